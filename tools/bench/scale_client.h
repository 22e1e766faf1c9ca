/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scale_client.h - processes that use a mount as guests do, for gvm bench scale: each maps a region through
 * the fast path and touches pages of it when it is told to; or lists a folder again and again.
 */
#ifndef TOOLS_BENCH_SCALE_CLIENT_H
#define TOOLS_BENCH_SCALE_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CLIENT_WHY 256

/* What it answers, in memory shared with it. */
struct client_answer {
	int error;
	char why[CLIENT_WHY]; /* it does not get the fast path: why */
	uint64_t attach_ns;
	unsigned count;
	uint64_t latency_ns[];
};

struct client {
	pid_t pid; /* 0: none */
	int to, from;
	struct client_answer *answer;
};

/* Starts one that maps a file of so many bytes, and waits until it has (or has not: the error). `faults`: how
 * many latencies it may be asked for. */
int client_start(struct client *c, const char *path, uint64_t bytes, unsigned faults);
/*
 * Has it touch one page in each of `count` chunks, with a pause between two, in the background: the first..-th in
 * an order of the region's first `among` chunks that no read-ahead foresees, so that each of them is cold.
 */
int client_touch(struct client *c, uint64_t among, uint64_t first, unsigned count, unsigned pause_us);
/* Waits until it has done what it was told: 0 or a negative errno. */
int client_wait(struct client *c);
void client_end(struct client *c);

/* One that lists a folder with `ls -l`'s calls until it is ended. Its answer: how many times (count), the
 * longest (latency_ns[0]), how many entries (latency_ns[1]). */
int lister_start(struct client *c, const char *folder);

#endif
