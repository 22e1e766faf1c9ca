/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * heap.h - what the decisions allocate, as a part of the world, so that a state is saved and restored with it: blocks
 * of one size. A source is built with -Dmalloc=sim_malloc -Dcalloc=sim_calloc -Dfree=sim_free.
 */
#ifndef SIM_HEAP_H
#define SIM_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_heap {
	bool *used;
	uint8_t *bytes; /* blocks * block_bytes, aligned */
	size_t block_bytes;
	unsigned blocks;
};

/* A world defines both. */
extern const struct sim_heap sim_heap;
void world_wrong(const char *what);

/* NULL, and the world is wrong, when all of it is in use: memory leaks. */
void *sim_malloc(size_t bytes);
void *sim_calloc(size_t count, size_t bytes);
void sim_free(void *p);

#endif
