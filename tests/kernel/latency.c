// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How long accesses take: node 0 measures faults on pages that node 1 wrote last, and local hits.
 * Beside it, `rtt` measures the raw exchange of the same bytes.
 */
#include <stdio.h>
#include <stdlib.h>

#include "share.h"

#define FIRST_PAGE 64
#define POLL_US 100000 /* the node that waits is to take no processor from its kernel */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void say(const char *what, double *seconds, unsigned int count)
{
	qsort(seconds, count, sizeof(*seconds), by_value);
	printf("latency: %s: median %.1f us, 90 %% %.1f us\n", what, seconds[count / 2] * 1e6,
	       seconds[count * 9 / 10] * 1e6);
}

static void measure(const char *what, unsigned int count, bool write)
{
	double *seconds = calloc(count, sizeof(*seconds)), begun;
	unsigned int i;

	for (i = 0; i < count; i++) {
		begun = share_now();
		if (write)
			share_store(FIRST_PAGE + i, 0, i);
		else
			share_load(FIRST_PAGE + i, 0);
		seconds[i] = share_now() - begun;
	}
	say(what, seconds, count);
	free(seconds);
}

void latency_run(unsigned int rounds)
{
	unsigned int i;

	share.poll_us = POLL_US;
	if (rounds > share.pages - FIRST_PAGE)
		rounds = share.pages - FIRST_PAGE;
	for (i = 0; share.node == 1 && i < rounds; i++)
		share_store(FIRST_PAGE + i, 0, i);
	share_meet(32);
	if (share.node == 0) {
		measure("remote read", rounds, false);
		measure("write after read", rounds, true);
		measure("local write", rounds, true);
	}
	share_meet(33);
	for (i = 0; share.node == 1 && i < rounds; i++)
		share_store(FIRST_PAGE + i, 0, i);
	share_meet(34);
	if (share.node == 0)
		measure("remote write", rounds, true);
	share_meet(35);
}
