/* A failing file layer for the chaos tests, loaded with LD_PRELOAD.
 *
 * FAIL_UNDER  only files below this folder are touched
 * FAIL_FROM   the n-th write to them and every later one fails
 * FAIL_ERRNO  with this error (28 = no space left, 5 = input/output error)
 *
 * Only the first process fails; the programs it starts find FAIL_OWNER set and are left alone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static long from, met;
static int error_number;
static const char *under;

__attribute__((constructor)) static void prepare(void) {
    if (getenv("FAIL_OWNER")) return;
    setenv("FAIL_OWNER", "1", 1);
    under = getenv("FAIL_UNDER");
    from = atol(getenv("FAIL_FROM") ? getenv("FAIL_FROM") : "0");
    error_number = atoi(getenv("FAIL_ERRNO") ? getenv("FAIL_ERRNO") : "28");
}

static int fails(int fd) {
    char link[64], path[PATH_MAX];
    if (!under || from <= 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    if (strncmp(path, under, strlen(under)) != 0) return 0;
    if (__sync_add_and_fetch(&met, 1) < from) return 0;
    errno = error_number;
    return 1;
}

ssize_t write(int fd, const void *data, size_t size) {
    ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    return fails(fd) ? -1 : real(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    ssize_t (*real)(int, const void *, size_t, off_t) = dlsym(RTLD_NEXT, "pwrite");
    return fails(fd) ? -1 : real(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    ssize_t (*real)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
    return fails(fd) ? -1 : real(fd, data, size, at);
}
