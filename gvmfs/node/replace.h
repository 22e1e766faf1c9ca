/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * replace.h - a replica whose node is lost gets another node.
 *
 * A replica outside of its slot's view, whose node began anew without its memory, or has been of no use for --repair-after,
 * is given to a node of the command line that has no other replica of the slot and can promise the room; to one in a rack
 * without a copy, if there is any. In this order:
 * the journal's record names the node, so that a successor finds what was made there; the node reserves the room, and
 * takes us for the region's writer; the record gives it the slots; the name table has that record. Only then does
 * repair.h copy, and can a view have the replica: who attaches the region after the loss of this host finds each member
 * of the last view in the record.
 *
 * All that takes seconds. A replica that is in its view again by then stays where it is; and before the record changes,
 * members are asked whether another host has the region: what that has made is not touched.
 *
 * The node that had the replica stays in the record, without a slot, until it is rid of its part, or seen to have lost it;
 * so does one that was chosen and did not get the slot.
 *
 * Front thread; a change of the record holds the inode.
 */
#ifndef GVMFS_REPLACE_H
#define GVMFS_REPLACE_H

#include "replicas.h"

/* Looks for something to do. */
void replace_look(struct replicas *r, uint64_t now_ns);

#endif
