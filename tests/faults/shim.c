/* Preloaded under a process whose store is tried: one call on a file of the site fails, or is its last.
 *
 * Only calls on files below the root that fault_arm() is told are counted. What was done is written to a log, with what
 * it takes to undo it, so that power.py can make the disk as a loss of power may leave it: what is overwritten is kept in
 * an undo file, what is removed or replaced gets a second name in a folder of its own.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN = 1, WRITE = 2, SYNC = 4, NAME = 8 };
enum { KILL = -1, SHORT = -2, COUNT = 0 }; /* or an errno */

static char root[PATH_MAX], graves[PATH_MAX];
static size_t root_length;
static int mask, fault, sticky, is_failing, armed, log_fd = -1, undo_fd = -1;
static long wanted_at, seen, graves_count;
static off_t undo_at;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name, type, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static int is_below(const char *path) {
    return strncmp(path, root, root_length) == 0 && (path[root_length] == '/' || path[root_length] == 0);
}

static int path_of(int fd, char *out) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, out, PATH_MAX - 1);
    out[n < 0 ? 0 : n] = 0;
    return n > 0 && is_below(out);
}

/* The absolute path of `name` in `dir`; whether it is the site's. */
static int path_at(int dir, const char *name, char *out) {
    if (name[0] == '/' || dir == AT_FDCWD) {
        snprintf(out, PATH_MAX, "%s", name);
        return is_below(out);
    }
    char base[PATH_MAX];
    if (!path_of(dir, base)) return 0;
    return snprintf(out, PATH_MAX, "%s/%s", base, name) < PATH_MAX;
}

static void note(const char *format, ...) {
    char line[3 * PATH_MAX];
    va_list list;
    va_start(list, format);
    int n = vsnprintf(line, sizeof line, format, list);
    va_end(list);
    if (log_fd >= 0 && syscall(SYS_write, log_fd, line, (size_t)n) != n) abort();
}

/* Called before each call of kind `kind` on a file of the site: 0 to go on, else -1 with errno, or SHORT. */
static int before(int kind) {
    if (!armed || !(kind & mask)) return 0;
    pthread_mutex_lock(&lock);
    int hit = is_failing || ++seen == wanted_at;
    if (hit && sticky) is_failing = 1;
    pthread_mutex_unlock(&lock);
    if (!hit || fault == COUNT) return 0;
    if (fault == KILL) kill(getpid(), SIGKILL);
    if (fault == SHORT) return SHORT;
    errno = fault;
    return -1;
}

/* `calls`: a sum of OPEN, WRITE, SYNC, NAME; `what`: KILL, SHORT, COUNT or an errno, at call number `at`, and with
 * `is_sticky` at all that follow. */
void fault_arm(const char *below, const char *bury_in, int calls, int what, int is_sticky, long at, int log, int undo) {
    snprintf(root, sizeof root, "%s", below);
    snprintf(graves, sizeof graves, "%s", bury_in);
    root_length = strlen(root);
    mask = calls, fault = what, sticky = is_sticky, wanted_at = at, log_fd = log, undo_fd = undo;
    seen = graves_count = is_failing = 0, undo_at = 0, armed = 1;
}

/* How many calls there were. */
long fault_disarm(void) {
    armed = 0;
    return seen;
}

static unsigned long inode_of(int fd, off_t *size) {
    struct stat found;
    if (fstat(fd, &found)) return 0;
    if (size) *size = found.st_size;
    return found.st_ino;
}

/* Keep what [at, at + length) of the file holds, before it is overwritten. */
static void keep(int fd, off_t at, size_t length) {
    off_t size;
    unsigned long inode = inode_of(fd, &size);
    size_t old = at < size ? ((off_t)length < size - at ? length : (size_t)(size - at)) : 0;
    if (old) {
        char *held = malloc(old), again[64];
        snprintf(again, sizeof again, "/proc/self/fd/%d", fd);
        int reading = syscall(SYS_openat, AT_FDCWD, again, O_RDONLY | O_CLOEXEC, 0);
        if (!held || reading < 0 || pread(reading, held, old, at) != (ssize_t)old) abort();
        if (syscall(SYS_pwrite64, undo_fd, held, old, undo_at) != (ssize_t)old) abort();
        close(reading);
        free(held);
    }
    note("write\t%lu\t%ld\t%ld\t%zu\t%ld\n", inode, (long)at, (long)size, old, (long)undo_at);
    undo_at += old;
}

/* A second name for what a call is about to take the name from; its number, or 0 when there is nothing. */
static long bury(const char *path) {
    char grave[PATH_MAX + 32];
    snprintf(grave, sizeof grave, "%s/%ld", graves, graves_count + 1);
    if (syscall(SYS_linkat, AT_FDCWD, path, AT_FDCWD, grave, 0)) return 0;
    return ++graves_count;
}

static off_t position(int fd) {
    off_t size = 0;
    if (fcntl(fd, F_GETFL) & O_APPEND) {
        inode_of(fd, &size);
        return size;
    }
    return lseek(fd, 0, SEEK_CUR);
}

static int watched(int fd) {
    char path[PATH_MAX];
    return armed && path_of(fd, path);
}

/* --- opening */

static int opened(int (*go)(int, const char *, int, mode_t), int dir, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    if (!armed || !path_at(dir, name, path)) return go(dir, name, flags, mode);
    if (before(OPEN)) return -1;
    int is_new = (flags & O_CREAT) && access(path, F_OK) != 0;
    struct stat old;
    if (!is_new && (flags & O_TRUNC) && stat(path, &old) == 0 && old.st_size) {
        int fd = go(dir, name, O_RDONLY | O_CLOEXEC, 0);
        if (fd >= 0) keep(fd, 0, old.st_size), close(fd);
    }
    int fd = go(dir, name, flags, mode);
    if (fd >= 0 && is_new) note("create\t%s\n", path);
    return fd;
}

static int go_openat(int dir, const char *name, int flags, mode_t mode) {
    REAL("openat64", int, int, const char *, int, ...);
    return real(dir, name, flags, mode);
}

#define MODE(flags) \
    mode_t mode = 0; \
    if (((flags) & O_CREAT) || ((flags) & O_TMPFILE) == O_TMPFILE) { va_list list; va_start(list, flags); mode = va_arg(list, mode_t); va_end(list); }

int open(const char *name, int flags, ...) { MODE(flags); return opened(go_openat, AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { MODE(flags); return opened(go_openat, AT_FDCWD, name, flags, mode); }
int openat(int dir, const char *name, int flags, ...) { MODE(flags); return opened(go_openat, dir, name, flags, mode); }
int openat64(int dir, const char *name, int flags, ...) { MODE(flags); return opened(go_openat, dir, name, flags, mode); }

/* --- writing */

#define BEFORE_WRITE(fd, at, length, halve, call) \
    if (watched(fd)) { \
        int failed = before(WRITE); \
        if (failed == -1) return -1; \
        if (failed == SHORT) { halve; } \
        keep(fd, at, length); \
    } \
    return call

static size_t total(const struct iovec *pieces, int count) {
    size_t sum = 0;
    for (int i = 0; i < count; i++) sum += pieces[i].iov_len;
    return sum;
}

ssize_t write(int fd, const void *data, size_t n) {
    REAL("write", ssize_t, int, const void *, size_t);
    BEFORE_WRITE(fd, position(fd), n, n = n > 1 ? n / 2 : n, real(fd, data, n));
}
ssize_t writev(int fd, const struct iovec *v, int c) {
    REAL("writev", ssize_t, int, const struct iovec *, int);
    struct iovec one;
    BEFORE_WRITE(fd, position(fd), total(v, c), (one = v[0], one.iov_len = one.iov_len > 1 ? one.iov_len / 2 : one.iov_len, v = &one, c = 1), real(fd, v, c));
}
ssize_t pwrite64(int fd, const void *data, size_t n, off_t at) {
    REAL("pwrite64", ssize_t, int, const void *, size_t, off_t);
    BEFORE_WRITE(fd, at, n, n = n > 1 ? n / 2 : n, real(fd, data, n, at));
}
ssize_t pwrite(int fd, const void *data, size_t n, off_t at) { return pwrite64(fd, data, n, at); }
ssize_t pwritev64(int fd, const struct iovec *v, int c, off_t at) {
    REAL("pwritev64", ssize_t, int, const struct iovec *, int, off_t);
    struct iovec one;
    BEFORE_WRITE(fd, at, total(v, c), (one = v[0], one.iov_len = one.iov_len > 1 ? one.iov_len / 2 : one.iov_len, v = &one, c = 1), real(fd, v, c, at));
}
ssize_t pwritev(int fd, const struct iovec *v, int c, off_t at) { return pwritev64(fd, v, c, at); }
ssize_t pwritev64v2(int fd, const struct iovec *v, int c, off_t at, int flags) {
    REAL("pwritev64v2", ssize_t, int, const struct iovec *, int, off_t, int);
    struct iovec one;
    BEFORE_WRITE(fd, at, total(v, c), (one = v[0], one.iov_len = one.iov_len > 1 ? one.iov_len / 2 : one.iov_len, v = &one, c = 1), real(fd, v, c, at, flags));
}
ssize_t pwritev2(int fd, const struct iovec *v, int c, off_t at, int f) { return pwritev64v2(fd, v, c, at, f); }
ssize_t copy_file_range(int in, off64_t *in_at, int fd, off64_t *at, size_t n, unsigned flags) {
    REAL("copy_file_range", ssize_t, int, off64_t *, int, off64_t *, size_t, unsigned);
    BEFORE_WRITE(fd, at ? *at : position(fd), n, n = n > 1 ? n / 2 : n, real(in, in_at, fd, at, n, flags));
}
ssize_t sendfile64(int fd, int in, off_t *in_at, size_t n) {
    REAL("sendfile64", ssize_t, int, int, off_t *, size_t);
    BEFORE_WRITE(fd, position(fd), n, n = n > 1 ? n / 2 : n, real(fd, in, in_at, n));
}
ssize_t sendfile(int fd, int in, off_t *in_at, size_t n) { return sendfile64(fd, in, in_at, n); }
int ftruncate64(int fd, off_t length) {
    REAL("ftruncate64", int, int, off_t);
    off_t size = 0;
    inode_of(fd, &size);
    BEFORE_WRITE(fd, length, size > length ? (size_t)(size - length) : 0, (void)0, real(fd, length));
}
int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }
int posix_fallocate64(int fd, off_t at, off_t length) {
    REAL("posix_fallocate64", int, int, off_t, off_t);
    if (watched(fd)) {
        if (before(WRITE) == -1) return errno;
        keep(fd, at + length, 0);
    }
    return real(fd, at, length);
}
int posix_fallocate(int fd, off_t at, off_t length) { return posix_fallocate64(fd, at, length); }

/* --- syncing */

#define SYNCED(fd, what) \
    if (watched(fd)) { \
        if (before(SYNC) == -1) return -1; \
        int done = real(fd); \
        if (done == 0) { char path[PATH_MAX]; path_of(fd, path); note(what "\t%lu\t%s\n", inode_of(fd, NULL), path); } \
        return done; \
    } \
    return real(fd)

int fsync(int fd) { REAL("fsync", int, int); SYNCED(fd, "sync"); }
int fdatasync(int fd) { REAL("fdatasync", int, int); SYNCED(fd, "sync"); }
int syncfs(int fd) { REAL("syncfs", int, int); SYNCED(fd, "all"); }

/* --- naming */

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags) {
    REAL("linkat", int, int, const char *, int, const char *, int);
    char path[PATH_MAX];
    if (!armed || !path_at(to_dir, to, path)) return real(from_dir, from, to_dir, to, flags);
    if (before(NAME)) return -1;
    int done = real(from_dir, from, to_dir, to, flags);
    if (done == 0) note("link\t%s\n", path);
    return done;
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags) {
    REAL("renameat2", int, int, const char *, int, const char *, unsigned);
    char source[PATH_MAX], target[PATH_MAX];
    int is_ours = armed && path_at(to_dir, to, target) && path_at(from_dir, from, source);
    if (!is_ours) return real(from_dir, from, to_dir, to, flags);
    if (before(NAME)) return -1;
    long grave = bury(target);
    int done = real(from_dir, from, to_dir, to, flags);
    if (done == 0) note("rename\t%s\t%s\t%ld\n", source, target, grave);
    return done;
}
int renameat(int from_dir, const char *from, int to_dir, const char *to) { return renameat2(from_dir, from, to_dir, to, 0); }
int rename(const char *from, const char *to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

int unlinkat(int dir, const char *name, int flags) {
    REAL("unlinkat", int, int, const char *, int);
    char path[PATH_MAX];
    if (!armed || !path_at(dir, name, path)) return real(dir, name, flags);
    if (before(NAME)) return -1;
    long grave = flags & AT_REMOVEDIR ? 0 : bury(path);
    int done = real(dir, name, flags);
    if (done == 0) note(flags & AT_REMOVEDIR ? "rmdir\t%s\n" : "unlink\t%s\t%ld\n", path, grave);
    return done;
}
int unlink(const char *name) { return unlinkat(AT_FDCWD, name, 0); }
int rmdir(const char *name) { return unlinkat(AT_FDCWD, name, AT_REMOVEDIR); }

int mkdirat(int dir, const char *name, mode_t mode) {
    REAL("mkdirat", int, int, const char *, mode_t);
    char path[PATH_MAX];
    if (!armed || !path_at(dir, name, path)) return real(dir, name, mode);
    if (before(NAME)) return -1;
    int done = real(dir, name, mode);
    if (done == 0) note("mkdir\t%s\n", path);
    return done;
}
int mkdir(const char *name, mode_t mode) { return mkdirat(AT_FDCWD, name, mode); }
