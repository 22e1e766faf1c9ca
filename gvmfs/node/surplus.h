/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * surplus.h - slots that have a replica more than they should, and which one leaves: as at the end of a move (drain.h), or after
 * one that was given up.
 *
 * It is one that the view lacks, if there is any: as many as should be have all that was acknowledged without it. Otherwise it
 * is the one that moves; or, if nothing is known of a move any more (the worker is another's successor), one on a node
 * that is drained. It leaves the view (view_leave()) while others stay; once all members know that, replace.h takes it out of
 * the record.
 *
 * A region with one copy has no such slots. Front thread.
 */
#ifndef GVMFS_SURPLUS_H
#define GVMFS_SURPLUS_H

#include "state/record.h"

struct replicas;

/* The replica that leaves the slot; -1: none does, for now. */
int surplus_of(const struct replicas *r, unsigned slot);
/* Has them leave their views. */
void surplus_look(struct replicas *r, uint64_t now_ns);
/* For replace.h: whether some have left; takes these out of the record, and returns how many. */
bool surplus_is_out(const struct replicas *r);
unsigned surplus_take_out(struct replicas *r, struct record *rec);

#endif
