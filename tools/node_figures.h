/* SPDX-License-Identifier: GPL-2.0-or-later */
/* node_figures.h - asks a memory node for its own figures; and says in words why one did not answer. */
#ifndef TOOLS_NODE_FIGURES_H
#define TOOLS_NODE_FIGURES_H

#include "memnode/gvm_client.h"

/* How long a node has to answer. */
#define NODE_DEADLINE_NS (5ull * 1000 * 1000 * 1000)

/* Why there is no connection; "": there is one, or nothing is known. */
struct node_reason {
	char text[160];
};

/* For gvm_conn_opts: on_state, with a struct node_reason as arg. */
void node_reason_note(struct gvm_conn *conn, enum gvm_conn_state state, bool renewed, const char *why, void *arg);
/* A negative errno of a request as the end of a sentence; valid until the next call. */
const char *node_reason_text(int error, const struct node_reason *reason);

/* Both wait for the answer, at most NODE_DEADLINE_NS. 0 or a negative errno. */
int node_stat_ask(struct gvm_conn *conn, struct gvm_node_stat_rsp *stat);
/* *knows false: the node is of a version that does not count these, and they are 0. */
int node_rot_ask(struct gvm_conn *conn, struct gvm_node_rot_rsp *rot, bool *knows);
/* Both as lines "name value", which the caller frees; `rot` NULL: without these. NULL: no memory. */
char *node_figures_lines(const struct gvm_node_stat_rsp *stat, const struct gvm_node_rot_rsp *rot);

#endif
