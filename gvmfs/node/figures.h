/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * figures.h - asks the nodes how many bytes they hold of regions: about many at a time, in one request to each node.
 *
 * Only nodes that can hold data of a region are asked: those of the slots that have chunks within its size. About a
 * region that this host left empty a single node is asked first, only whether there was another writer since: with one
 * replica a slot, a writer has attached to every node before it writes.
 *
 * Front thread; the conversation runs as a job.
 */
#ifndef GVMFS_FIGURES_H
#define GVMFS_FIGURES_H

#include "region.h"

#define FIGURES_REGIONS 32u /* regions in a question: faults wait while the front thread puts it together */

struct figures;

/* A question about one region, whose inode the caller keeps until done(); NULL: no memory. */
struct figures *figures_create(struct worker *w, struct inode *inode);
/* Adds another region to it. False: it is full, or the region has other nodes, or one of the two was left empty here
 * and needs a question of its own. */
bool figures_add(struct figures *f, struct inode *inode);
/* The nodes that it asks about any of its regions, as entries of the front's pool. Returns how many. */
unsigned figures_nodes(const struct figures *f, uint16_t node[RECORD_NODES_MAX]);
/* It is not asked after all. */
void figures_destroy(struct figures *f);
/* Asks, with a deadline of a second for each request, and frees the question. Calls done() for each region once its
 * inode has the answer (inode_held_set()). */
void figures_ask(struct figures *f, region_done_fn *done, void *arg);

/* Whether the answer may take long: a node that would be asked is away, or did not answer the last time. */
bool figures_wait(struct worker *w, const struct inode *inode);

#endif
