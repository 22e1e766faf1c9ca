// SPDX-License-Identifier: GPL-2.0-or-later
/* node.c - see node.h: includes the node's source, whose struct watch is another than gvmfs's. */
#include "../../memnode/daemon/watch.c"

#include "node.h"

struct node_watch node_watch(const struct watches *w, uint64_t client)
{
	const struct watch *watch = watch_find(w, client);

	if (!watch)
		return (struct node_watch){ .there = false };
	return (struct node_watch){ true, watch->passed, watch->number, watch->until_ns };
}
