/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gather.h - mounts, their regions, nodes and the kernel module are asked for what Prometheus is to know. */
#ifndef TOOLS_METRICS_GATHER_H
#define TOOLS_METRICS_GATHER_H

#include "exposition.h"
#include "memnode/gvm_client.h"

/* Each adds to `all`: a mount and its regions, or a node. One that does not answer is added as such, and the
 * user is told. 0, or 1 if it did not answer. */
int metrics_gather_mount(struct metrics_sources *all, const char *path);
int metrics_gather_node(struct metrics_sources *all, const char *address, const struct gvm_conn_opts *opts);
/* The kernel mode's nodes and the regions that this host has joined. `asked` false: nobody misses a module that is not
 * loaded. */
int metrics_gather_dsm(struct metrics_sources *all, bool asked);

#endif
