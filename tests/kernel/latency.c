// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How long accesses take: node 0 measures faults on pages that node 1 wrote last, and local hits.
 * The last page comes first: in their order pages would be asked for ahead. Beside it, `exchange`
 * measures the raw exchange of the same bytes.
 *
 * And how fast pages come in their order: node 0 touches unused ones, and reads node 1's.
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
		size_t page = FIRST_PAGE + count - 1 - i;

		begun = share_now();
		if (write)
			share_store(page, 0, i);
		else
			share_load(page, 0);
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

static void pass_over(const char *what, size_t first, size_t pages, bool write)
{
	double begun = share_now(), seconds;
	size_t page;

	for (page = first; page < first + pages; page++)
		if (write)
			share_store(page, 0, page);
		else if (share_load(page, 0) != page)
			share_wrong("page %zu is not what node 1 wrote", page);
	seconds = share_now() - begun;
	printf("stream: %s: %.2f MB/s\n", what, pages * PAGE_BYTES / seconds / 1e6);
}

/* The first half of the region is node 0's to touch, the second node 1's to write. */
void stream_run(void)
{
	size_t half = share.pages / 2;

	share.poll_us = POLL_US;
	if (share.node == 1)
		pass_over("written", half, half, true);
	share_meet(40);
	if (share.node == 0) {
		pass_over("first touch", FIRST_PAGE, half - FIRST_PAGE, true);
		pass_over("read", half, half, false);
	}
	share_meet(41);
}
