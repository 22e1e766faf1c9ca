// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Litmus tests between nodes: what x86-64 promises of one machine's memory must hold of the cluster's.
 * Each runs in the first nodes that it needs; the others wait for them.
 *
 *   message passing   data = i, then flag = i: who sees the flag sees the data
 *   store buffering   x = 1, fence, read y | y = 1, fence, read x: not both read the old value
 *   coherence order   two write one word; any two readers agree on the order of what both have seen
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "share.h"

enum { X_PAGE = 1, Y_PAGE = 2, ORDER_PAGE = 3, LOG_PAGE = 8 };

#define LOG_PAGES 4
#define LOG_WORDS (LOG_PAGES * PAGE_WORDS)

static void message_passing(unsigned int rounds)
{
	unsigned int i, seen = 0;

	if (share.node == 0) {
		share_store(X_PAGE, 0, 0);
		share_store(Y_PAGE, 0, 0);
	}
	share_meet(16);
	if (share.node == 0) {
		for (i = 1; i <= rounds; i++) {
			share_store(X_PAGE, 0, i);
			share_store(Y_PAGE, 0, i);
		}
	} else {
		do {
			uint64_t flag = share_load(Y_PAGE, 0), data = share_load(X_PAGE, 0);

			if (data < flag)
				share_wrong("message passing: flag %llu, data %llu",
					    (unsigned long long)flag, (unsigned long long)data);
			seen = flag;
		} while (seen < rounds);
	}
	share_meet(17);
}

static void store_buffering(unsigned int rounds)
{
	size_t mine = share.node ? Y_PAGE : X_PAGE, other = share.node ? X_PAGE : Y_PAGE;
	unsigned int i;

	share_meet(18);
	for (i = 1; i <= rounds; i++) {
		/* Results of this round lie beside each other in a page of their own. */
		if (share.node < 2) {
			share_store(mine, 8, i);
			__atomic_thread_fence(__ATOMIC_SEQ_CST);
			share_store(LOG_PAGE, share.node, share_load(other, 8));
		}
		share_meet(19);
		if (share_load(LOG_PAGE, 0) < i && share_load(LOG_PAGE, 1) < i)
			share_wrong("store buffering: both read the old value in round %u", i);
		share_meet(20);
	}
	if (share.node < 2)
		share_store(mine, 8, 0);
	share_meet(21);
}

static size_t log_position(unsigned int node, uint64_t value)
{
	size_t i;

	for (i = 0; i < LOG_WORDS; i++)
		if (share_load(LOG_PAGE + node * LOG_PAGES, i) == value)
			return i;
	return LOG_WORDS;
}

static void coherence_order(unsigned int rounds)
{
	size_t log = LOG_PAGE + share.node * LOG_PAGES, length = 0, i, position, last = 0;
	uint64_t value, before = 0;
	unsigned int other = (share.node + 1) % share.nodes, written = 0;

	for (i = 0; i < LOG_WORDS; i++)
		share_store(log, i, 0);
	share_meet(22);
	while (length < LOG_WORDS && length < rounds) {
		if (share.node < 2 && written < rounds)
			share_store(ORDER_PAGE, 0, (uint64_t)(share.node + 1) << 32 | ++written);
		value = share_load(ORDER_PAGE, 0);
		if (value != before)
			share_store(log, length++, before = value);
		else if (share_load(ORDER_PAGE, 8) >= 2)
			break;
		if (share.node < 2 && written == rounds) {
			share_add(ORDER_PAGE, 8, 1);
			written++;
		}
	}
	if (share.node < 2 && written <= rounds)
		share_add(ORDER_PAGE, 8, 1);
	share_meet(23);
	for (i = 0; i < length; i++) {
		position = log_position(other, share_load(log, i));
		if (position == LOG_WORDS)
			continue;
		if (position < last)
			share_wrong("coherence order: node %u and %u differ at %zu", share.node, other,
				    i);
		last = position;
	}
	share_meet(24);
	if (share.node == 0)
		share_store(ORDER_PAGE, 8, 0);
	share_meet(25);
}

void litmus_run(unsigned int rounds)
{
	message_passing(rounds);
	store_buffering(rounds / 10 + 1);
	coherence_order(rounds);
}
