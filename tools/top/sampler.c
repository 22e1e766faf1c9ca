// SPDX-License-Identifier: GPL-2.0-or-later
/* sampler.c - see sampler.h. */
#include "sampler.h"

#include "memnode/clock.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define PART 10 /* of the time are samples taken at most: what answers also serves guests */

static void *samples_take(void *arg)
{
	struct top_sampler *s = arg;
	const uint64_t one = 1;

	for (;;) {
		uint64_t from_ns = gvm_now_ns(), until_ns;
		struct top_sample *sample = top_sample_take(s->paths, s->count), *old;
		struct timespec until;

		until_ns = from_ns + PART * (gvm_now_ns() - from_ns);
		if (until_ns < from_ns + s->interval_ns)
			until_ns = from_ns + s->interval_ns;
		until = (struct timespec){.tv_sec = (time_t)(until_ns / 1000000000), .tv_nsec = (long)(until_ns % 1000000000)};
		pthread_mutex_lock(&s->lock);
		old = s->newest;
		s->newest = sample;
		pthread_mutex_unlock(&s->lock);
		top_sample_free(old);
		if (write(s->fd, &one, sizeof(one)) < 0)
			return NULL;
		while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
			;
	}
}

int top_sampler_start(struct top_sampler *s)
{
	sigset_t all, before;
	pthread_t thread;
	int rc;

	s->newest = NULL;
	pthread_mutex_init(&s->lock, NULL);
	s->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->fd < 0)
		return -errno;
	/* Signals are for the thread that has the terminal. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	rc = pthread_create(&thread, NULL, samples_take, s);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!rc)
		pthread_detach(thread);
	return -rc;
}

struct top_sample *top_sampler_get(struct top_sampler *s)
{
	struct top_sample *newest;
	uint64_t count;

	if (read(s->fd, &count, sizeof(count)) < 0)
		return NULL;
	pthread_mutex_lock(&s->lock);
	newest = s->newest;
	s->newest = NULL;
	pthread_mutex_unlock(&s->lock);
	return newest;
}
