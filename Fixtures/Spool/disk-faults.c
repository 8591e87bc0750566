// A disk that fails, for tests: preloaded into a process, it answers for the files under ALD_FAULT_DIRECTORY.
//
//   ALD_FAULT_SYNC=N       the N-th sync of a segment fails with EIO, as all later ones of the same file do
//   ALD_FAULT_CAPACITY=B   files may grow by B bytes together; more is ENOSPC
//   ALD_FAULT_TORN=N       the N-th write to a segment is cut in half, and the process is killed in the middle of it
//   ALD_FAULT_RECORD=FILE  every write, sync, truncation, removal and renaming is recorded, and what goes to standard
//                          output, in order, so that any power failure can be played afterwards
//
// A record: one letter, three numbers of eight bytes (offset, length of the name, length of the data), name, data.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long long syncs, writes, grown;
static char failed[4096];
static int record_file = -2;

static long long setting(const char *name) {
    const char *text = getenv(name);
    return text ? atoll(text) : -1;
}

// Whether the file is one of ours; then `path` holds its name.
static int is_ours(int file, char *path, size_t size) {
    const char *directory = getenv("ALD_FAULT_DIRECTORY");
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = directory ? readlink(link, path, size - 1) : -1;
    if (length <= 0) return 0;
    path[length] = 0;
    return strncmp(path, directory, strlen(directory)) == 0;
}

static int is_segment(const char *path) { return strstr(path, "/segment-") != NULL; }

static void note(char letter, const char *name, uint64_t offset, const void *data, uint64_t length) {
    if (record_file == -2) {
        const char *path = getenv("ALD_FAULT_RECORD");
        record_file = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    }
    if (record_file < 0) return;
    uint64_t numbers[3] = {offset, strlen(name), length};
    syscall(SYS_write, record_file, &letter, 1);
    syscall(SYS_write, record_file, numbers, sizeof numbers);
    syscall(SYS_write, record_file, name, strlen(name));
    if (length) syscall(SYS_write, record_file, data, length);
}

// Room for `length` bytes at `offset`: -1 when the disk is full.
static int grow(int file, off_t offset, size_t length) {
    long long capacity = setting("ALD_FAULT_CAPACITY");
    struct stat status;
    if (capacity < 0 || fstat(file, &status) != 0) return 0;
    long long more = (long long)offset + (long long)length - (long long)status.st_size;
    if (more <= 0) return 0;
    if (grown + more > capacity) {
        errno = ENOSPC;
        return -1;
    }
    grown += more;
    return 0;
}

static ssize_t write_at(int file, const void *data, size_t length, off_t offset) {
    char path[4096];
    if (!is_ours(file, path, sizeof path)) return syscall(SYS_pwrite64, file, data, length, offset);
    pthread_mutex_lock(&lock);
    ssize_t result = -1;
    if (grow(file, offset, length) == 0) {
        if (is_segment(path) && ++writes == setting("ALD_FAULT_TORN")) {
            syscall(SYS_pwrite64, file, data, length / 2, offset);
            kill(getpid(), SIGKILL);
        }
        result = syscall(SYS_pwrite64, file, data, length, offset);
        if (result > 0) note('W', path, offset, data, result);
    }
    pthread_mutex_unlock(&lock);
    return result;
}

ssize_t pwrite64(int file, const void *data, size_t length, off_t offset) { return write_at(file, data, length, offset); }
ssize_t pwrite(int file, const void *data, size_t length, off_t offset) { return write_at(file, data, length, offset); }

ssize_t write(int file, const void *data, size_t length) {
    char path[4096];
    if (file == STDOUT_FILENO) {
        pthread_mutex_lock(&lock);
        note('A', "", 0, data, length);
        pthread_mutex_unlock(&lock);
        return syscall(SYS_write, file, data, length);
    }
    if (!is_ours(file, path, sizeof path)) return syscall(SYS_write, file, data, length);
    off_t offset = lseek(file, 0, SEEK_CUR);
    ssize_t result = write_at(file, data, length, offset);
    if (result > 0) lseek(file, offset + result, SEEK_SET);
    return result;
}

static int sync_file(int file, long number) {
    char path[4096];
    if (!is_ours(file, path, sizeof path)) return syscall(number, file);
    pthread_mutex_lock(&lock);
    int result = -1;
    if (is_segment(path) && ++syncs == setting("ALD_FAULT_SYNC")) strcpy(failed, path);
    if (failed[0] && strcmp(failed, path) == 0) {
        errno = EIO;
    } else {
        result = syscall(number, file);
        if (result == 0) note('S', path, 0, NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    return result;
}

int fsync(int file) { return sync_file(file, SYS_fsync); }
int fdatasync(int file) { return sync_file(file, SYS_fdatasync); }

static int truncate_file(int file, off_t length) {
    char path[4096];
    if (!is_ours(file, path, sizeof path)) return syscall(SYS_ftruncate, file, length);
    pthread_mutex_lock(&lock);
    struct stat status;
    fstat(file, &status);
    int result = syscall(SYS_ftruncate, file, length);
    if (result == 0) {
        if (length < status.st_size) grown -= status.st_size - length;
        note('T', path, length, NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    return result;
}

int ftruncate(int file, off_t length) { return truncate_file(file, length); }
int ftruncate64(int file, off_t length) { return truncate_file(file, length); }

int posix_fallocate(int file, off_t offset, off_t length) {
    char path[4096];
    if (!is_ours(file, path, sizeof path)) return syscall(SYS_fallocate, file, 0, offset, length) == 0 ? 0 : errno;
    pthread_mutex_lock(&lock);
    int result = grow(file, offset, length) == 0 && syscall(SYS_fallocate, file, 0, offset, length) == 0 ? 0 : errno;
    pthread_mutex_unlock(&lock);
    return result;
}
int posix_fallocate64(int file, off_t offset, off_t length) { return posix_fallocate(file, offset, length); }

int unlink(const char *path) {
    const char *directory = getenv("ALD_FAULT_DIRECTORY");
    pthread_mutex_lock(&lock);
    struct stat status;
    int is_known = directory && strncmp(path, directory, strlen(directory)) == 0 && stat(path, &status) == 0;
    int result = syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (result == 0 && is_known) {
        grown -= status.st_size;
        note('U', path, 0, NULL, 0);
    }
    pthread_mutex_unlock(&lock);
    return result;
}

int rename(const char *from, const char *to) {
    const char *directory = getenv("ALD_FAULT_DIRECTORY");
    pthread_mutex_lock(&lock);
    int result = syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (result == 0 && directory && strncmp(from, directory, strlen(directory)) == 0) note('R', from, 0, to, strlen(to));
    pthread_mutex_unlock(&lock);
    return result;
}
