/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nodes.h - the memory nodes that gvm top asks itself: one connection to each, and never a wait for any. */
#ifndef TOOLS_TOP_NODES_H
#define TOOLS_TOP_NODES_H

#include "sample.h"
#include "tools/node_figures.h"

#include <poll.h>

#define TOP_NODES_MAX 128

struct top_asked {
	struct gvm_call call; /* first */
	char *address;
	struct gvm_conn *conn; /* NULL: there is none */
	struct node_reason reason;
	struct gvm_node_stat_rsp stat, before; /* the last answer, and the one before it */
	uint64_t stat_ns, before_ns;	       /* when they came; 0: none yet */
	uint64_t asked_ns, round_ns;
	bool pending;
	int error; /* of the last question */
};

struct top_nodes {
	const struct gvm_conn_opts *opts; /* of the key; NULL: none is asked */
	struct top_asked *list[TOP_NODES_MAX];
	unsigned count;
};

/* Asks all nodes of a sample for their figures, those that have not answered yet apart. */
void top_nodes_ask(struct top_nodes *nodes, const struct top_sample *sample);
/* Fills in what is to be polled, at most `most`; returns how many those are. */
unsigned top_nodes_poll(const struct top_nodes *nodes, struct pollfd *fds, unsigned most);
/* Takes what has come. */
void top_nodes_process(struct top_nodes *nodes);
/* Whether a question has not ended. */
bool top_nodes_pending(const struct top_nodes *nodes);
/* Asks them, and waits for their answers, no longer than that. */
void top_nodes_wait(struct top_nodes *nodes, const struct top_sample *sample, uint64_t patience_ns);
/* NULL: it is not asked. */
const struct top_asked *top_nodes_find(const struct top_nodes *nodes, const char *address);
void top_nodes_close(struct top_nodes *nodes);

#endif
