/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * swap_area.h - swap of our own, for a while: what a user would try first. Whatever swap the machine has meanwhile is of less
 * priority, and only groups that are at their limit use any.
 */
#ifndef TOOLS_BENCH_SWAP_AREA_H
#define TOOLS_BENCH_SWAP_AREA_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* In memory that is shared with the keeper, which calls bench_swap_end() if we cannot. */
struct bench_swap {
	char path[PATH_MAX]; /* of the file or device; empty: there is none */
	int zram;	     /* number of the device plus 1; 0: none was made */
	bool on;
};

/* Makes one; `path` is a file that does not exist yet. 0 or a negative errno (said). bench_swap_end() is due in every case. */
int bench_swap_zram(struct bench_swap *s, const char *path, uint64_t bytes);
int bench_swap_file(struct bench_swap *s, const char *path, uint64_t bytes);
/* Uses it; no longer. 0 or a negative errno. */
int bench_swap_on(struct bench_swap *s);
int bench_swap_off(struct bench_swap *s);
void bench_swap_end(struct bench_swap *s);

#endif
