/* SPDX-License-Identifier: GPL-2.0-or-later */
/* region_job.h - what a conversation with a region's nodes (region_jobs.h) is about, and what comes of it. */
#ifndef GVMFS_REGION_JOB_H
#define GVMFS_REGION_JOB_H

#include "jobs.h"
#include "state/record.h"

struct inode;
struct worker;

struct region_job {
	struct job job;
	struct worker *w;
	struct inode *inode;
	void (*done)(struct worker *w, struct inode *inode, int result, void *arg);
	void *arg;
	struct record rec;	 /* a copy; create: out, with nodes and slots */
	uint64_t epoch;		 /* create, attach: out; otherwise ours, 0 if not attached */
	uint64_t seen_epoch;	 /* stat, out: of the writer that attached last */
	uint64_t size_bytes;	 /* resize: the new size */
	unsigned replicas;	 /* create: of each slot */
	uint64_t cut_version;	 /* the inode's */
	uint64_t discard_version; /* shrink, out: version of the zeros that it left behind; 0: it discarded nothing */
	_Atomic uint64_t *index; /* create, attach, out: what the nodes have */
	uint64_t *words;	 /* the same, with several replicas: the views of its slots; NULL: they are not set */
	bool away[RECORD_NODES_MAX]; /* nodes to skip: without a slot, or left out since others have their chunks */
	uint64_t held_bytes;	 /* stat, out */
	uint8_t writer;		 /* stat, out: see owner_judge() */
	uint64_t lease_ms;	 /* attach, out on -EBUSY: how long the writer, which is away, keeps its lease */
	const struct options *opts;
	struct record_owner self;
	bool room_owed;		 /* the inode's; resize, trim, out: nodes may keep more room than the size needs */
	bool lost;		 /* a node has LOST it, and is not left out */
	bool narrow[RECORD_NODES_MAX]; /* attach: these nodes have less than the record's size */
	uint64_t narrowest;	 /* and one of them has so few chunks */
	bool roomy;		 /* attach, out: a node has promised more than it needs by the record */
	bool excess;		 /* resize, trim, out: a node had another size, or another room */
	bool unlinked;		 /* it has no name: the nodes remove it when its lease lapses */
	bool pass;		 /* attach: a node has a lease that is ours, or of a dead mount: override it */
	bool take;		 /* also from a live writer, on a user's request */
	bool force;		 /* also if it is not known which node has the last writes, on a user's request */
	uint64_t forced[RECORD_SLOTS / 64]; /* the slots of which it is not known */
	bool asked[RECORD_NODES_MAX]; /* stat: the nodes that have a slot, and were asked */
	bool quiet[RECORD_NODES_MAX]; /* of these, those that did not answer; set before: those that did not the last time */
	bool sealed;		 /* the region */
	bool tidies;		 /* detach: what a move has left on nodes is removed: replicas_are_untidy() */
	bool down[RECORD_NODES_MAX]; /* not on these, which are not connected */
};

#endif
