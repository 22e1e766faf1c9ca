// SPDX-License-Identifier: GPL-2.0-or-later
/* heap.c - see heap.h. */
#include "heap.h"

#include <string.h>

void *sim_malloc(size_t bytes)
{
	for (unsigned i = 0; i < sim_heap.blocks && bytes <= sim_heap.block_bytes; i++)
		if (!sim_heap.used[i]) {
			sim_heap.used[i] = true;
			return sim_heap.bytes + i * sim_heap.block_bytes;
		}
	world_wrong("memory leaks");
	return NULL;
}

void *sim_calloc(size_t count, size_t bytes)
{
	void *p = sim_malloc(count * bytes);

	return p ? memset(p, 0, count * bytes) : NULL;
}

void sim_free(void *p)
{
	if (p)
		sim_heap.used[(size_t)((uint8_t *)p - sim_heap.bytes) / sim_heap.block_bytes] = false;
}
