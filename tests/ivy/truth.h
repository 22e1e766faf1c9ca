/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * truth.h - what a page may contain, whoever reads it and whatever the cores think: for the model
 * checker and the simulator. Each write has a number, which is what it leaves in the page; zero is
 * what a discard leaves. A discard notes 1 + the newest number when it begins, and its place in the
 * order is somewhere between that and the moment in which it is told of.
 *
 * A node that is lost brings back no older value: either another node has the newest one, or the
 * page is lost, which every access is told. And it is not lost while a live node has the newest
 * value for others to take: truth_held().
 */
#ifndef GVM_TEST_TRUTH_H
#define GVM_TEST_TRUTH_H

#include "kmod/ivy/impl.h"
#include "kmod/ivy/ivy.h"

struct truth {
	u64 newest;    /* the value that was written last */
	u64 discarded; /* the newest one that a discard has been told to be the end of */
	u32 discards;  /* that have begun and have not been told of */
	bool zeroed;   /* the place of some discard may be after the last write */
};

/* NULL, or why nobody may see that value. */
static inline const char *truth_wrong(const struct truth *truth, u64 value)
{
	/* Not even a lost node brings that back. */
	if (value && value <= truth->discarded)
		return "what was discarded can be read";
	if (value == truth->newest)
		return NULL;
	return truth->zeroed && !value ? NULL : "a stale copy can be read";
}

/* The value that this write leaves. */
static inline u64 truth_write(struct truth *truth)
{
	truth->zeroed = truth->discards;
	return ++truth->newest;
}

/*
 * Whether the node has the newest value of a page that its home declares lost, under a lease that
 * both know to be running. A page handed to a writer is the writer's, and one put home the home's:
 * what is kept of it may be old.
 */
static inline bool truth_held(const struct truth *truth, struct ivy *home, struct ivy *node,
			      u64 page, const struct ivy_slot *s, u64 value)
{
	u16 id = home->p.id;

	if ((s->flags & IVY_SLOT_PUT) && s->ver != ivy_dir_entry(home, page, false)->ver)
		return false;
	return value == truth->newest && !(s->flags & (IVY_SLOT_GIVEN | IVY_SLOT_DYING)) &&
	       ivy_lease_live(node, id, false) &&
	       ivy_lease_of(home, node->p.id, ivy_lease_inc(node, id));
}

/* A discard that had noted that (0: there is none) has been told of, or has failed. */
static inline void truth_discarded(struct truth *truth, u64 noted, bool failed)
{
	if (!noted)
		return;
	if (!failed && noted - 1 > truth->discarded)
		truth->discarded = noted - 1;
	truth->discards--;
}

#endif
