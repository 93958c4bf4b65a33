// Put in front of the C library of one process (LD_PRELOAD): a disk that is slow, and a clock that is wrong, as the file
// that ORRERY_FAULTS names says at the time. Three numbers of 64 bits each stand in it: nanoseconds that CLOCK_REALTIME is ahead,
// microseconds that a sync takes longer, and that a write to a file takes longer.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct control {
  _Atomic int64_t ahead_ns, sync_us, write_us;
};
static struct control none;
static struct control* control = &none;

__attribute__((constructor)) static void open_control(void) {
  const char* path = getenv("ORRERY_FAULTS");
  const int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  if (fd < 0)
    return;
  void* mapped = mmap(NULL, sizeof(struct control), PROT_READ, MAP_SHARED, fd, 0);
  if (mapped != MAP_FAILED)
    control = mapped;
  close(fd);
}

#define SECOND 1000000000ll

static void shift(struct timespec* t, int64_t by) {
  const int64_t all = t->tv_sec * SECOND + t->tv_nsec + by;
  t->tv_sec = all / SECOND;
  t->tv_nsec = all % SECOND;
}

// ---- the clock
int clock_gettime(clockid_t id, struct timespec* t) {
  static int (*next)(clockid_t, struct timespec*);
  if (!next)
    next = (int (*)(clockid_t, struct timespec*))dlsym(RTLD_NEXT, "clock_gettime");
  const int result = next(id, t);
  if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
    shift(t, control->ahead_ns);
  return result;
}

int gettimeofday(struct timeval* restrict t, void* restrict zone) {
  (void)zone;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  t->tv_sec = now.tv_sec;
  t->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t* out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  if (out)
    *out = now.tv_sec;
  return now.tv_sec;
}

// A time to wait for is one of the clock that the process sees; the kernel knows the real one. A condition variable may also be
// one of the monotonic clock, which is never that late.
static const struct timespec* real(const struct timespec* until, struct timespec* room) {
  if (!until || until->tv_sec < 500000000)
    return until;
  *room = *until;
  shift(room, -control->ahead_ns);
  return room;
}

int pthread_cond_timedwait(pthread_cond_t* restrict c, pthread_mutex_t* restrict m, const struct timespec* restrict until) {
  static int (*next)(pthread_cond_t*, pthread_mutex_t*, const struct timespec*);
  if (!next)
    next = (int (*)(pthread_cond_t*, pthread_mutex_t*, const struct timespec*))dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");
  if (!next)
    next = (int (*)(pthread_cond_t*, pthread_mutex_t*, const struct timespec*))dlsym(RTLD_NEXT, "pthread_cond_timedwait");
  struct timespec room;
  return next(c, m, real(until, &room));
}

int pthread_cond_clockwait(pthread_cond_t* restrict c, pthread_mutex_t* restrict m, clockid_t id, const struct timespec* restrict until) {
  static int (*next)(pthread_cond_t*, pthread_mutex_t*, clockid_t, const struct timespec*);
  if (!next)
    next = (int (*)(pthread_cond_t*, pthread_mutex_t*, clockid_t, const struct timespec*))dlsym(RTLD_NEXT, "pthread_cond_clockwait");
  struct timespec room;
  return next(c, m, id, id == CLOCK_REALTIME ? real(until, &room) : until);
}

int pthread_mutex_timedlock(pthread_mutex_t* restrict m, const struct timespec* restrict until) {
  static int (*next)(pthread_mutex_t*, const struct timespec*);
  if (!next)
    next = (int (*)(pthread_mutex_t*, const struct timespec*))dlsym(RTLD_NEXT, "pthread_mutex_timedlock");
  struct timespec room;
  return next(m, real(until, &room));
}

int sem_timedwait(sem_t* restrict s, const struct timespec* restrict until) {
  static int (*next)(sem_t*, const struct timespec*);
  if (!next)
    next = (int (*)(sem_t*, const struct timespec*))dlsym(RTLD_NEXT, "sem_timedwait");
  struct timespec room;
  return next(s, real(until, &room));
}

// ---- the disk
static void rest(int64_t us) {
  struct timespec left = {us / 1000000, us % 1000000 * 1000};
  while (nanosleep(&left, &left) == -1 && errno == EINTR) {
  }
}

static void before_write(int fd) {
  const int64_t us = control->write_us;
  if (us <= 0)
    return;
  const int before = errno;
  struct stat about;
  if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode))
    rest(us);
  errno = before;
}

#define SLOW(result, name, decl, args, first)                     \
  result name decl {                                              \
    static result(*next) decl;                                    \
    if (!next)                                                    \
      next = (result(*) decl)dlsym(RTLD_NEXT, #name);             \
    first;                                                        \
    return next args;                                             \
  }
SLOW(ssize_t, write, (int fd, const void* from, size_t size), (fd, from, size), before_write(fd))
SLOW(ssize_t, pwrite, (int fd, const void* from, size_t size, off_t at), (fd, from, size, at), before_write(fd))
SLOW(ssize_t, pwrite64, (int fd, const void* from, size_t size, off_t at), (fd, from, size, at), before_write(fd))
SLOW(ssize_t, writev, (int fd, const struct iovec* from, int count), (fd, from, count), before_write(fd))
SLOW(int, fsync, (int fd), (fd), rest(control->sync_us))
SLOW(int, fdatasync, (int fd), (fd), rest(control->sync_us))
SLOW(int, sync_file_range, (int fd, off_t at, off_t size, unsigned flags), (fd, at, size, flags), rest(control->sync_us))
