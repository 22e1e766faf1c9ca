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
#define STOP_NS (300ull * 1000 * 1000) /* for a sample that is just being taken, at the end */
#define PAUSE_NS (10ull * 1000 * 1000 * 1000) /* after one that took long since gvmfs stood still */

static struct timespec at(uint64_t ns)
{
	return (struct timespec){.tv_sec = (time_t)(ns / 1000000000), .tv_nsec = (long)(ns % 1000000000)};
}

/* When the next one is to be taken, of one that began then and has ended. */
static uint64_t next_ns(const struct top_sampler *s, uint64_t from_ns)
{
	uint64_t now_ns = gvm_now_ns(), pause_ns = (now_ns - from_ns) * (PART - 1);

	if (pause_ns > PAUSE_NS)
		pause_ns = PAUSE_NS;
	return now_ns + pause_ns > from_ns + s->interval_ns ? now_ns + pause_ns : from_ns + s->interval_ns;
}

static void *samples_take(void *arg)
{
	struct top_sampler *s = arg;
	const uint64_t one = 1;

	pthread_mutex_lock(&s->lock);
	while (!s->over) {
		uint64_t from_ns = gvm_now_ns();
		struct top_sample *sample;
		struct timespec until;

		pthread_mutex_unlock(&s->lock);
		sample = top_sample_take(s->paths, s->count);
		until = at(next_ns(s, from_ns));
		pthread_mutex_lock(&s->lock);
		top_sample_free(s->newest);
		s->newest = sample;
		if (write(s->fd, &one, sizeof(one)) < 0)
			break;
		while (!s->over && pthread_cond_timedwait(&s->changed, &s->lock, &until) != ETIMEDOUT)
			;
	}
	s->ended = true;
	pthread_cond_signal(&s->changed);
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

int top_sampler_start(struct top_sampler *s)
{
	pthread_condattr_t clock;
	sigset_t all, before;
	pthread_t thread;
	int rc;

	s->newest = NULL;
	s->over = s->ended = false;
	pthread_mutex_init(&s->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&s->changed, &clock);
	pthread_condattr_destroy(&clock);
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

void top_sampler_stop(struct top_sampler *s)
{
	struct timespec until = at(gvm_now_ns() + STOP_NS);

	pthread_mutex_lock(&s->lock);
	s->over = true;
	pthread_cond_signal(&s->changed);
	while (!s->ended && pthread_cond_timedwait(&s->changed, &s->lock, &until) != ETIMEDOUT)
		;
	top_sample_free(s->newest);
	s->newest = NULL;
	pthread_mutex_unlock(&s->lock);
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
