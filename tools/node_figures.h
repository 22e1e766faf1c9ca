/* SPDX-License-Identifier: GPL-2.0-or-later */
/* node_figures.h - a memory node is asked for its own figures; and why one did not answer, in words. */
#ifndef TOOLS_NODE_FIGURES_H
#define TOOLS_NODE_FIGURES_H

#include "memnode/gvm_client.h"

/* How long a node has to answer. */
#define NODE_DEADLINE_NS (5ull * 1000 * 1000 * 1000)

/* What stood in the way of a connection last; "": nothing. */
struct node_reason {
	char text[160];
};

/* For gvm_conn_opts: on_state, with a struct node_reason as arg. */
void node_reason_note(struct gvm_conn *conn, enum gvm_conn_state state, bool renewed, const char *why, void *arg);
/* A negative errno of a request as the end of a sentence; valid until the next call. */
const char *node_reason_text(int error, const struct node_reason *reason);

/* 0 or a negative errno. */
int node_stat_ask(struct gvm_conn *conn, struct gvm_node_stat_rsp *stat);
/* *knows false: it is of a version that does not count them, and they are 0. */
int node_rot_ask(struct gvm_conn *conn, struct gvm_node_rot_rsp *rot, bool *knows);

#endif
