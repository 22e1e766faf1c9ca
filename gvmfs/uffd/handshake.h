/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * handshake.h - gvmfs's end of gvm_attach.h: a client that maps a region's file asks here for the
 * fast path, and gets it, or a refusal with the reason.
 *
 * A visitor's process (visitor.h) talks to the client. It announces the client here once the client
 * has shown its file, and passes on only descriptors that it has checked (visit.h). A conversation
 * makes sure, in this order, that the client has the file open for writing and no other process has
 * it open; that all dirty pages are on the nodes, and the page cache is empty; that the supervisor
 * keeps the descriptors. Then resident.h takes over. While a conversation has the region no process
 * may open the file for writing, and on the fast path only the client may; every open bypasses the
 * page cache.
 *
 * Front thread. Nothing here waits for a client, or is the last to close a client's descriptor
 * (release.h).
 */
#ifndef GVMFS_HANDSHAKE_H
#define GVMFS_HANDSHAKE_H

#include "base/loop.h"
#include "state/inode.h"
#include "state/journal.h"

#define HANDSHAKES_MAX 1024u /* conversations at a time: at least as many as the door lets in (door.c) */

struct worker;

struct handshake; /* a conversation */

struct handshakes {
	int bell_fd; /* socket on which clients are announced; -1: there is no fast path */
	struct loop_source bell, keeper;
	uint64_t bell_at_ns; /* when to watch bell_fd again, after a failure; 0: it is watched */
	LIST_HEAD(, handshake) list; /* all zero: empty */
	unsigned count;
};

/* Resumes the sessions of a predecessor, and begins to take clients. 0 or a negative errno. */
int handshakes_init(struct worker *w, int bell_fd);
/* Ends conversations that take too long; returns when to call again (CLOCK_MONOTONIC), ~0: never. */
uint64_t handshakes_tick(struct worker *w, uint64_t now_ns);

/* The mount has ended: refuses the clients of all conversations, and takes no new ones. */
void handshakes_stop(struct worker *w, const char *why);

/* Whether thread `tid` may open the file: 0; -EBUSY; -EAGAIN: try again when the pages that the
 * last client left have been written back. */
int handshake_allows_open(const struct inode *inode, bool write, int tid);

#endif
