// For ThreadSanitizer on Linux: what a thread that had to wait for a `Mutex` knows of those that had it before.
//
// `Mutex` of Swift's standard library locks and unlocks in the code that uses it, which the sanitizer sees. Only who finds
// it taken, and who has others waiting for it, go into the library, which is not instrumented: for the sanitizer nobody
// unlocks there and nobody locks. Everything under a lock that is fought for would look like a race. Loaded before the
// library (LD_PRELOAD), these do what theirs do, and tell the sanitizer.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define SWIFT_METHOD __attribute__((swiftcall))
#define SWIFT_SELF __attribute__((swift_context))

// Of the program, when it is instrumented: who acquires an address knows what they did that released it.
__attribute__((weak)) void __tsan_acquire(void *address);
__attribute__((weak)) void __tsan_release(void *address);

typedef SWIFT_METHOD void (*LockSlow)(uint32_t state, SWIFT_SELF void *handle);
typedef SWIFT_METHOD bool (*TryLockSlow)(SWIFT_SELF void *handle);
typedef SWIFT_METHOD void (*UnlockSlow)(SWIFT_SELF void *handle);

static void *next(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    // Another version of the library: rather an end than a test that says nothing.
    if (found == NULL) abort();
    return found;
}

// Synchronization._MutexHandle._lockSlow(UInt32) -> ()
SWIFT_METHOD void lockSlow(uint32_t state, SWIFT_SELF void *handle)
    __asm__("$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF");
SWIFT_METHOD void lockSlow(uint32_t state, SWIFT_SELF void *handle) {
    ((LockSlow)next("$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"))(state, handle);
    if (__tsan_acquire != NULL) __tsan_acquire(handle);
}

// Synchronization._MutexHandle._tryLockSlow() -> Bool
SWIFT_METHOD bool tryLockSlow(SWIFT_SELF void *handle)
    __asm__("$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF");
SWIFT_METHOD bool tryLockSlow(SWIFT_SELF void *handle) {
    bool hasIt = ((TryLockSlow)next("$s15Synchronization12_MutexHandleV12_tryLockSlowSbyF"))(handle);
    if (hasIt && __tsan_acquire != NULL) __tsan_acquire(handle);
    return hasIt;
}

// Synchronization._MutexHandle._unlockSlow() -> ()
SWIFT_METHOD void unlockSlow(SWIFT_SELF void *handle)
    __asm__("$s15Synchronization12_MutexHandleV11_unlockSlowyyF");
SWIFT_METHOD void unlockSlow(SWIFT_SELF void *handle) {
    if (__tsan_release != NULL) __tsan_release(handle);
    ((UnlockSlow)next("$s15Synchronization12_MutexHandleV11_unlockSlowyyF"))(handle);
}
