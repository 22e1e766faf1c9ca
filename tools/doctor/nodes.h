/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nodes.h - what a memory node, and the way to it, can do: measured. */
#ifndef TOOLS_DOCTOR_NODES_H
#define TOOLS_DOCTOR_NODES_H

#include "facts.h"
#include "memnode/gvm_client.h"

/* Takes a second or two, and for that time a region of some MiB there. */
void doctor_node_probe(const char *address, const struct gvm_conn_opts *opts,
		       struct doctor_node *node);

#endif
