// SPDX-License-Identifier: GPL-2.0-or-later
/* direct.c - see direct.h. */
#include "direct.h"

#include <stdlib.h>

#define ROOM_BYTES    (1ull << 30)
#define REQUEST_BYTES (32u << 10) /* what each counts beside its data: a node has some 16,000 at the most */

struct direct_node {
	LIST_ENTRY(direct_node) in;
	const void *node;
	uint64_t bytes;
};

void direct_init(struct direct *d)
{
	*d = (struct direct){ 0 };
	LIST_INIT(&d->nodes);
}

static struct direct_node *node_find(struct direct *d, const void *node)
{
	struct direct_node *of;

	LIST_FOREACH(of, &d->nodes, in)
		if (of->node == node)
			return of;
	return NULL;
}

static struct direct_node *node_make(struct direct *d, const void *node)
{
	struct direct_node *of = calloc(1, sizeof(*of));

	if (!of)
		return NULL;
	of->node = node;
	LIST_INSERT_HEAD(&d->nodes, of, in);
	return of;
}

bool direct_begin(struct direct *d, struct direct_share *share, const void *node, size_t data_bytes)
{
	uint64_t bytes = REQUEST_BYTES + data_bytes;
	struct direct_node *of = node_find(d, node);

	if ((of ? of->bytes : 0) + bytes > ROOM_BYTES - d->bytes)
		return false;
	if (!of && !(of = node_make(d, node)))
		return false;
	of->bytes += bytes;
	d->bytes += bytes;
	*share = (struct direct_share){ .of = of, .bytes = bytes };
	return true;
}

void direct_end(struct direct *d, struct direct_share *share)
{
	struct direct_node *of = share->of;

	if (!of)
		return;
	of->bytes -= share->bytes;
	d->bytes -= share->bytes;
	share->of = NULL;
	if (of->bytes)
		return;
	LIST_REMOVE(of, in);
	free(of);
}
