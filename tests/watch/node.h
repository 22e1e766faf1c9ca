/* SPDX-License-Identifier: GPL-2.0-or-later */
/* node.h - what the node knows of a watch, which its own header does not show. */
#ifndef WATCH_NODE_H
#define WATCH_NODE_H

#include "../../memnode/daemon/watch.h"

struct node_watch {
	bool there, passed;
	uint64_t number, until_ns;
};

struct node_watch node_watch(const struct watches *w, uint64_t client);

#endif
