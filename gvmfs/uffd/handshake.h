/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * handshake.h - gvmfs's end of gvm_attach.h: a client that maps a region's file asks here for the fast path,
 * and gets it, or the reason for the refusal.
 *
 * The client itself is looked after by a process of its own, which announces it here once it has shown
 * its file, and from which the worker takes only what has been found in order (visit.h). A conversation
 * makes sure, in this order, that the client has the file open for writing and no other process has it
 * open; that all dirty pages are on the nodes, and the page cache is empty; that the supervisor
 * keeps the descriptors. Then resident.h takes over. From the beginning of it, opening the file for
 * writing is for the client alone, and every open is past the page cache.
 *
 * Front thread. Nothing here waits for a client, or closes a descriptor of one as the last (release.h).
 */
#ifndef GVMFS_HANDSHAKE_H
#define GVMFS_HANDSHAKE_H

#include "base/loop.h"
#include "state/inode.h"
#include "state/journal.h"

#define HANDSHAKES_MAX 64u /* conversations at a time */

struct worker;

struct handshake; /* a conversation */

struct handshakes {
	int bell_fd; /* where clients are announced; -1: there is no fast path */
	struct loop_source bell, keeper;
	uint64_t bell_at_ns; /* when to look there again; 0: we do */
	struct handshake *list[HANDSHAKES_MAX];
};

/* Goes on with the sessions that a predecessor had, and takes clients. 0 or a negative errno. */
int handshakes_init(struct worker *w, int bell_fd);
/* Ends conversations that take too long; returns when to call again (CLOCK_MONOTONIC), ~0: not. */
uint64_t handshakes_tick(struct worker *w, uint64_t now_ns);

/* The mount has ended: no conversation begins, and those under way end. */
void handshakes_stop(struct worker *w, const char *why);

/* Whether a request of thread `tid` to open the file may be granted: 0, -EBUSY, or -EAGAIN: when what
 * the last client left in memory has been written back. */
int handshake_allows_open(const struct inode *inode, bool write, int tid);

#endif
