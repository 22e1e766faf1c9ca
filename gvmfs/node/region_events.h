/* SPDX-License-Identifier: GPL-2.0-or-later */
/* region_events.h - what the nodes' side tells the layers above it about a region. Front thread. */
#ifndef GVMFS_REGION_EVENTS_H
#define GVMFS_REGION_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

struct inode;
struct worker;

/* w->region_events, set at the start. */
struct region_events {
	/* Its index is replaced: cached chunks are stale. */
	void (*forget)(struct worker *w, struct inode *inode);
	/* It is about to be attached here; the journal still has its last epoch. */
	void (*attached)(struct worker *w, struct inode *inode);
	void (*detached)(struct worker *w, struct inode *inode);
	/* It has failed for good (the journal says so already): nothing of it can be stored any more. */
	void (*failed)(struct worker *w, struct inode *inode, const char *why);
	/* The members of a slot's view have changed, or which nodes answer. */
	void (*replicas_changed)(struct worker *w, struct inode *inode);
	/* A node has answered, to a request that was not about a chunk, that another host is the writer. */
	void (*fenced)(struct worker *w, struct inode *inode);
	/* No node has a copy of the chunk that is not rotten. True: this host has all of it, and writes it anew; *news: that was not
	 * known. */
	bool (*rotten)(struct worker *w, struct inode *inode, uint64_t chunk, bool *news);
	/* names_refresh(): `done` gets 0 if a majority of the nodes answered about names. */
	void (*names_read)(struct worker *w, bool once, void (*done)(struct worker *w, int result, void *arg), void *arg);
};

#endif
