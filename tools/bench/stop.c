// SPDX-License-Identifier: GPL-2.0-or-later
/* stop.c - see stop.h. */
#include "stop.h"

#include <signal.h>
#include <stddef.h>

static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
#define SIGNALS (sizeof(signals) / sizeof(*signals))

static struct sigaction before[SIGNALS];
static volatile sig_atomic_t stopped; /* the signal */

static void on_stop(int sig)
{
	stopped = sig;
}

void bench_stop_watch(void)
{
	const struct sigaction stop = {.sa_handler = on_stop};

	for (unsigned i = 0; i < SIGNALS; i++)
		sigaction(signals[i], &stop, &before[i]);
}

void bench_stop_unwatch(void)
{
	for (unsigned i = 0; i < SIGNALS; i++)
		sigaction(signals[i], &before[i], NULL);
	if (stopped)
		raise(stopped);
	stopped = 0;
}

bool bench_stopped(void)
{
	return stopped;
}
