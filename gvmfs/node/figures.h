/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * figures.h - asks the nodes how many bytes they hold of regions: of many at a time, with one request to each node.
 *
 * Only the nodes that can hold data of a region are asked: those of the slots that its size has chunks of. Of one that
 * this host left empty it is a single one, to begin with. It has to be asked whether there was another writer since, and
 * with one replica nobody is that before he has attached to every node.
 *
 * Front thread; the conversation runs as a job.
 */
#ifndef GVMFS_FIGURES_H
#define GVMFS_FIGURES_H

#include "region.h"

#define FIGURES_REGIONS 32u /* of a question: a fault waits for as long as it takes to put together */

struct figures;

/* A question about one region, which stays until its answer; NULL: no memory. */
struct figures *figures_create(struct worker *w, struct inode *inode);
/* And about one more. False: it has to be asked about by itself, or there are as many as there can be. */
bool figures_add(struct figures *f, struct inode *inode);
/* Asks, with a short deadline. done: for each of the regions, when its inode has what was answered. */
void figures_ask(struct figures *f, region_done_fn *done, void *arg);

/* Whether an answer may take long: a node that would be asked is away, or did not answer last time. */
bool figures_wait(struct worker *w, const struct inode *inode);

#endif
