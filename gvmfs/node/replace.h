/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replace.h - gives a replica whose node is lost another node.
 *
 * A replica outside of its slot's view whose node restarted without its memory, or was of no use for --repair-after,
 * goes to a node of the command line that has no other replica of the slot and can promise the room; to one in a rack
 * without a copy, if there is any. In this order: the journal's record names the node, so that a successor finds what
 * was created there; the node reserves the room, and this mount attaches to it; the record gives it the slots; the name
 * table gets that record. Only then does repair.h copy, and can a view include the replica: so a host that attaches the
 * region after the loss of this one finds every member of the last view in the record.
 *
 * All that takes seconds. A replica that is in its view again by then stays where it is. Before the record gives slots
 * to other nodes, members are asked whether another host has the region: if so, nothing of it is touched.
 *
 * The replica's former node stays in the record, without a slot, until it has dropped its part, or is seen to have lost
 * it; so does a node that was chosen but did not get the slot.
 *
 * Front thread; a change of the record holds the inode.
 */
#ifndef GVMFS_REPLACE_H
#define GVMFS_REPLACE_H

#include <stdint.h>

struct replicas;

/* Starts a change of the record if one is needed. */
void replace_look(struct replicas *r, uint64_t now_ns);

#endif
