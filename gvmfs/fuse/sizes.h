/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sizes.h - what is left of changes of size that did not go well, to be tried again.
 *
 * A change to a smaller size that nodes have begun with has to come to its end: it holds its inode, and waits here when a
 * node has refused it for now.
 *
 * A growth that has failed may have left room on nodes: one whose answer was lost has reserved it, and only we know that
 * it is not in the record. (To somebody who attaches the region later the same looks like an old record of his.) So the
 * journal remembers it (room_owed), and the room is taken back once all nodes are there: while we are its writer, or, if it is
 * open no more and no other host has been its writer since, as one that we become for that. Front thread.
 */
#ifndef GVMFS_SIZES_H
#define GVMFS_SIZES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct resize;
struct worker;

struct sizes {
	STAILQ_HEAD(, resize) waiting;
	uint64_t again_ns; /* when they are tried again; 0: none waits */
	uint64_t trim_ns;  /* when to look for room that is owed; 0: there is none */
	unsigned trim_nr;  /* the inode at which that look goes on; 0: it has not begun */
	bool trim_owed;	   /* it has found some, or there may be some that it has passed */
};

void sizes_init(struct sizes *sizes);
/* Calls again(rs) after a while. */
void sizes_wait(struct resize *rs, void (*again)(struct resize *rs));
/* Some inode's room_owed was set. */
void sizes_owe(struct worker *w);
/* Does what is due; returns when it wants to be called again (CLOCK_MONOTONIC), or ~0. */
uint64_t sizes_tick(struct worker *w, uint64_t now_ns);

#endif
