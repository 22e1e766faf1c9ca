/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replicas.h - the replicas of an attached region: which of its nodes are bad, and the view (views.h) of each slot.
 *
 * A region has a struct replicas (inode->replicas) if its slots have several replicas; with one replica, only from the
 * time on that one of its nodes is drained or balanced (drain.h).
 *
 * A node is bad when its connection has been down for REPLICA_PATIENCE_NS, when it has not answered a request for as
 * long that others have carried out, when it answered that it lacks data it should have, or when it restarted without
 * its memory. It is good again when it is connected, is the same incarnation, and has answered something a while later.
 * A bad node is not written to, and read last. A slot gets a view without it when a write waits for that, or when it
 * has been bad for so long that others (readers, the next writer if this host is lost, repair) should know, or when it
 * has lost its memory, or when the region is about to be detached. If no member would be left, the view stays, and the region waits for its nodes, as one without replicas does.
 *
 * If no node of the mount is heard of, it is this host that is cut off: no node is bad then, and when one is heard of
 * again, the others get some time to be connected, too. A request that fails for a reason that passes, or that is this
 * host's (memory), is retried.
 *
 * Views are in the journal (journal_views()): a successor goes on with them. Replicas outside of a view come back
 * by repair.h. Front thread.
 */
#ifndef GVMFS_REPLICAS_H
#define GVMFS_REPLICAS_H

#include "state/record.h"

#include <stdbool.h>
#include <stdint.h>

struct inode;
struct replicas;
struct view_slot;
struct worker;

/* Call it once the region is attached and its words in the journal are set: by this worker, or by a predecessor.
 * Without memory the worker ends. */
void replicas_open(struct worker *w, struct inode *inode);
/* Nodes have, or promise, more of it than anybody needs: a move was under way, or has just ended. */
bool replicas_are_untidy(const struct inode *inode);
/* The region is about to be detached. Views with members that do not answer would keep the next writer, which cannot know
 * that these have nothing newer, from attaching. So all nodes are asked whether they are there, and views without those
 * that are not are recorded. Then calls left(arg), from the loop, after LEAVE_NS in any case. False: nothing of this is
 * needed, and left() is not called. */
bool replicas_leave(struct inode *inode, void (*left)(void *arg), void *arg);
/* The region is detached. Flushes that wait for a view end with an error, later, from the loop. */
void replicas_close(struct inode *inode);

/* The slot of a chunk; NULL: the region has no struct replicas (any more). */
struct view_slot *replicas_slot(struct inode *inode, uint64_t chunk);
/* A node has taken a write (error 0), or failed: its answer, or -ETIMEDOUT if others have taken the write. `asked`:
 * the node, whose place in the record may be another's by now. False: the reason passes, and proves nothing about
 * the node. */
bool replicas_heard(struct inode *inode, const struct gvm_id *asked, int error);
/* A write that all good members have waits for the bad ones: a view without them is needed. */
void replicas_need(struct inode *inode, uint64_t chunk);
/* A write of a chunk is about to be sent to the members. False: writes are held; events->replicas_changed() tells when
 * to try again. Each begin needs an end; `epoch`: the region's at the begin, so that a write of an earlier attachment
 * does not count. */
bool replicas_write_begin(struct inode *inode, uint64_t chunk);
void replicas_write_end(struct inode *inode, uint64_t epoch, uint64_t chunk);
/* The region's size has changed. */
void replicas_resized(struct inode *inode);
/* Copies are being made, or moved: nodes may have promised room that the record does not tell of. */
bool replicas_are_moving(const struct inode *inode);
/* The order in which to ask a chunk's replicas: node[] gets entries of the record's nodes, best first. Returns how
 * many; the first *good of them are not bad. */
unsigned replicas_order(struct inode *inode, uint64_t chunk, unsigned node[RECORD_PLACES], unsigned *good);

/* ---- for looks.h */

/* Looks at the region's nodes, and goes on with what is to be done about them. */
void replicas_look(struct replicas *r, uint64_t now_ns);
/* Ends flushes that wait for a view of a region that failed or was detached: no view comes any more. False: it is neither.
 * (Frees `r`, if it was detached.) */
bool replicas_end_waits(struct worker *w, struct replicas *r);

/* How many of the region's slots have fewer members than there should be replicas. */
unsigned replicas_degraded(const struct inode *inode);
/* How many of its slots have a member that does not answer now, or that restarted without its memory. */
unsigned replicas_unanswered(const struct inode *inode);
/* Of how many of its slots no member answers, while one of them may have what was written: what needs them waits. */
unsigned replicas_absent(const struct inode *inode);
/* Chunks still to be copied, as far as is known: by the repair in progress, and by the move from a drained node. */
uint64_t replicas_repair_left(const struct inode *inode);
uint64_t replicas_drain_left(const struct inode *inode);

#endif
