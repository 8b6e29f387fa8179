/* A wall clock that a test sets, for whatever is started with it in LD_PRELOAD: the file that
 * FAULT_CLOCK names holds the seconds by which it is wrong. Monotonic clocks stay as they are. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile long *wrong_by;
static int (*right)(clockid_t, struct timespec *);

__attribute__((constructor)) static void begin(void)
{
	int fd = open(getenv("FAULT_CLOCK"), O_RDONLY | O_CLOEXEC);
	void *page = mmap(NULL, sizeof *wrong_by, PROT_READ, MAP_SHARED, fd, 0);

	if (page == MAP_FAILED)
		abort();
	wrong_by = page;
	right = dlsym(RTLD_NEXT, "clock_gettime");
	close(fd);
}

int clock_gettime(clockid_t which, struct timespec *now)
{
	if (!right)
		begin();
	int result = right(which, now);

	if (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)
		now->tv_sec += *wrong_by;
	return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	struct timespec precise;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &precise);
	now->tv_sec = precise.tv_sec;
	now->tv_usec = precise.tv_nsec / 1000;
	return 0;
}

time_t time(time_t *where)
{
	struct timespec precise;

	clock_gettime(CLOCK_REALTIME, &precise);
	if (where)
		*where = precise.tv_sec;
	return precise.tv_sec;
}
