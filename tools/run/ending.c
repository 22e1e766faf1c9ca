// SPDX-License-Identifier: GPL-2.0-or-later
/* ending.c - see ending.h. A thread: the main one may be in a wait that only a fatal signal ends. */
#include "ending.h"

#include "say.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static struct {
	const struct run_region *region;
	unsigned regions;
} at_stake;

static void region_say(const struct run_region *r)
{
	if (r->keep)
		say("%s: ended before all of the guest's memory was known to be on the nodes; gvmfs goes on "
		    "to write it back: do not end gvmfs before the nodes answer", r->path);
	else
		say("%s: ended before it was removed; it stays on the nodes until they answer, and gvmfs "
		    "removes it then", r->path);
}

static void *signals_wait(void *arg)
{
	sigset_t set;
	int sig;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGQUIT);
	if (sigwait(&set, &sig))
		return arg;
	for (unsigned i = 0; i < at_stake.regions; i++)
		region_say(&at_stake.region[i]);
	_exit(128 + sig);
}

void run_ending_begin(const struct run_region *region, unsigned regions)
{
	pthread_t thread;

	at_stake.region = region;
	at_stake.regions = regions;
	if (pthread_create(&thread, NULL, signals_wait, NULL) == 0)
		pthread_detach(thread);
}
