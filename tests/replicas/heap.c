// SPDX-License-Identifier: GPL-2.0-or-later
/* heap.c - see heap.h. */
#include "heap.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct piece {
	LIST_ENTRY(piece) entry;
	_Alignas(16) uint8_t bytes[];
};

static LIST_HEAD(, piece) pieces = LIST_HEAD_INITIALIZER(pieces);

void *sim_malloc(size_t bytes)
{
	struct piece *p = malloc(sizeof(*p) + bytes);

	if (!p)
		abort();
	LIST_INSERT_HEAD(&pieces, p, entry);
	return p->bytes;
}

void *sim_calloc(size_t count, size_t bytes)
{
	return memset(sim_malloc(count * bytes), 0, count * bytes);
}

void sim_free(void *bytes)
{
	struct piece *p;

	if (!bytes)
		return;
	p = (struct piece *)((uint8_t *)bytes - offsetof(struct piece, bytes));
	LIST_REMOVE(p, entry);
	free(p);
}

void heap_reset(void)
{
	struct piece *p;

	while ((p = LIST_FIRST(&pieces)))
		sim_free(p->bytes);
}
