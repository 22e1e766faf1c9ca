/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * region_fetch.h - a chunk of a region from its nodes: which are asked, and which first. Front thread.
 */
#ifndef GVMFS_REGION_FETCH_H
#define GVMFS_REGION_FETCH_H

#include "fetch.h"
#include "state/inode.h"

struct worker;

/* Begins a fetch of the chunk from the nodes that have it, in the version that the index names. The caller has set
 * the rest, and of f->what the page mask and the page that is waited for. */
void region_fetch(struct worker *w, struct inode *inode, uint64_t chunk, struct fetch *f);

#endif
