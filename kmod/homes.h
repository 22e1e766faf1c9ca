/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A region's homes: some of the nodes that lend memory, as its creator chose them. They keep its
 * pages in turns; the list is as much the region's as its id, and never changes.
 */
#ifndef GVM_HOMES_H
#define GVM_HOMES_H

#include <linux/types.h>

#include "frame.h"

struct gvm_cluster;

#define HOMES_DEFAULT 4 /* few: each that is lost takes its share of the region with it */

/* The node's place in the list, or -1: it is no home of the region. */
int gvm_homes_place(const struct home_list *homes, u16 id);
/* The page's home. */
u16 gvm_homes_of(const struct home_list *homes, u64 page);
/* How many of so many pages have their home at that node. */
u64 gvm_homes_share(const struct home_list *homes, u16 id, u64 pages);
/* Whether the list is one, and all of it lend memory in this cluster. */
bool gvm_homes_known(const struct home_list *homes, const struct gvm_cluster *cluster);
/* Some of the cluster's: others for other names, the same for one name, on every node. */
void gvm_homes_choose(struct home_list *homes, const struct gvm_cluster *cluster, const char *name);

#endif
