// SPDX-License-Identifier: GPL-2.0-or-later
/* limit.c - see limit.h. */
#include "limit.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>

enum { IDLE, LOWERS, ENDED };

static struct {
	_Atomic int state;
	struct memcg *cg;
	uint64_t bytes;
	int rc;
} lower;

/* Without a margin, so that the group's other limit (v2) stays, which is the main thread's to change. */
static void *lower_main(void *arg)
{
	lower.rc = memcg_limit(lower.cg, lower.bytes, 0);
	lower.state = ENDED;
	return arg;
}

static int lower_begin(struct memcg *cg, uint64_t bytes)
{
	sigset_t every, before;
	pthread_t thread;
	int rc;

	lower.cg = cg;
	lower.bytes = bytes;
	lower.state = LOWERS;
	/* Signals are the main thread's. */
	sigfillset(&every);
	pthread_sigmask(SIG_SETMASK, &every, &before);
	rc = -pthread_create(&thread, NULL, lower_main, NULL);
	if (!rc)
		pthread_detach(thread);
	else
		lower.state = IDLE;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return rc;
}

bool run_limit_set(struct memcg *cg, uint64_t bytes, uint64_t margin, uint64_t now_bytes, int *rc)
{
	if (bytes >= now_bytes) {
		*rc = memcg_limit(cg, bytes, margin);
		return true;
	}
	if (lower.state != IDLE)
		return false;
	*rc = lower_begin(cg, bytes);
	return *rc != 0;
}

bool run_limit_ended(uint64_t *bytes, int *rc)
{
	if (lower.state != ENDED)
		return false;
	*rc = lower.rc;
	/* A higher one was perhaps set meanwhile: after this one, or before. */
	if (memcg_limit_read(lower.cg, bytes))
		*bytes = lower.bytes;
	lower.state = IDLE;
	return true;
}

bool run_limit_waits(void)
{
	return lower.state == LOWERS;
}
