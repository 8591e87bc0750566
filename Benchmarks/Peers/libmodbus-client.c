// The client to compare with: libmodbus, as its documentation uses it. Reads blocks of 125 holding registers, one after
// the other, from a server on which register i holds i, and checks every value.
//
//     libmodbus-client PORT SECONDS
//
// Prints one line of JSON: requests, seconds, cpu (seconds of this process), rss (bytes), wrong (answers).

#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { block = 125, blocks = 80 };

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double cpu(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
        + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static long resident(void)
{
    long size = 0, pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL) return 0;
    if (fscanf(file, "%ld %ld", &size, &pages) != 2) pages = 0;
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static void read_block(modbus_t *context, long number, long *wrong)
{
    uint16_t values[block];
    int start = (int)(number % blocks) * block;
    if (modbus_read_registers(context, start, block, values) != block) {
        fprintf(stderr, "libmodbus-client: %s\n", modbus_strerror(errno));
        exit(1);
    }
    for (int i = 0; i < block; i++) {
        if (values[i] != start + i) {
            ++*wrong;
            return;
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) return 64;
    modbus_t *context = modbus_new_tcp("127.0.0.1", atoi(argv[1]));
    modbus_set_slave(context, 1);
    if (modbus_connect(context) != 0) {
        fprintf(stderr, "libmodbus-client: %s\n", modbus_strerror(errno));
        return 1;
    }
    long requests = 0, wrong = 0;
    for (double end = now() + 0.1; now() < end; requests++) read_block(context, requests, &wrong);
    requests = 0;
    double start = now(), busy = cpu(), end = start + atof(argv[2]);
    for (; now() < end; requests++) read_block(context, requests, &wrong);
    printf("{\"requests\": %ld, \"seconds\": %f, \"cpu\": %f, \"rss\": %ld, \"wrong\": %ld}\n", requests, now() - start,
        cpu() - busy, resident(), wrong);
    modbus_close(context);
    modbus_free(context);
    return 0;
}
