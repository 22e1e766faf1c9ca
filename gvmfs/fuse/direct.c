// SPDX-License-Identifier: GPL-2.0-or-later
/* direct.c - see direct.h. */
#include "direct.h"

#include <stdlib.h>

#define ROOM_BYTES    (1ull << 30)
#define REQUEST_BYTES (32u << 10) /* what each counts beside its data: a dead node has some 16,000 at the most */
#define COUNT_MAX     49152u /* of all nodes: the rest of the kernel's 65,535 is the page cache's */
#define CREDIT	      16u    /* with each answer so many more may wait */
#define CREDIT_MAX    8192u
#define STUCK_NS      200000000ull /* a node that has answered none for so long has no credit */

struct direct_node {
	LIST_ENTRY(direct_node) in;
	const void *node;
	uint64_t bytes;
	unsigned count, credit;
	uint64_t answered_ns; /* when one of them ended last */
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

static bool has_room(const struct direct *d, const struct direct_node *of, uint64_t bytes)
{
	return d->bytes + (of ? of->bytes : 0) + bytes <= ROOM_BYTES;
}

/* Whether one more is begun on the credit of a node. */
static bool credit_take(struct direct_node *of, uint64_t now_ns)
{
	if (!of || !of->credit || now_ns - of->answered_ns >= STUCK_NS)
		return false;
	of->credit--;
	return true;
}

bool direct_begin(struct direct *d, struct direct_share *share, const void *node, size_t data_bytes, uint64_t now_ns)
{
	uint64_t bytes = REQUEST_BYTES + data_bytes;
	struct direct_node *of = node_find(d, node);

	if (d->count == COUNT_MAX)
		return false;
	if (!has_room(d, of, bytes)) {
		if (!credit_take(of, now_ns))
			return false;
		bytes = 0;
	}
	if (!of && !(of = node_make(d, node)))
		return false;
	of->bytes += bytes;
	of->count++;
	d->bytes += bytes;
	d->count++;
	*share = (struct direct_share){ .of = of, .bytes = bytes };
	return true;
}

void direct_end(struct direct *d, struct direct_share *share, uint64_t now_ns)
{
	struct direct_node *of = share->of;

	if (!of)
		return;
	of->bytes -= share->bytes;
	d->bytes -= share->bytes;
	d->count--;
	share->of = NULL;
	of->answered_ns = now_ns;
	of->credit = of->credit + CREDIT < CREDIT_MAX ? of->credit + CREDIT : CREDIT_MAX;
	if (--of->count)
		return;
	LIST_REMOVE(of, in);
	free(of);
}
