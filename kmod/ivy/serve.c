// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reads, at a page's home.
 *
 * They are granted at once, any number at a time: the readers enter the copyset, and the owner (or
 * the home, for a page of zeros) sends them copies.
 */
#include "impl.h"

static bool reader_enter(struct ivy *c, struct ivy_home *h, u64 page, u64 who)
{
	u16 node = ivy_who_node(who);

	if (!ivy_lease_of_txn(c, who) || node == h->owner ||
	    !ivy_dir_usable(c, h, page, who, IVY_HAVE_READ))
		return false;
	if (IVY_MUTANT(HOLDER_FORGOTTEN) && h->set.n)
		return true;
	return !ivy_set_add(c, &h->set, node);
}

/* A page without an owner. This node's own request is met without a message. */
static void zeros_serve(struct ivy *c, const struct ivy_home *h, u64 page, u32 n)
{
	u32 i, others = 0;

	for (i = 0; i < n; i++) {
		u64 who = c->readers[i];

		if (ivy_who_node(who) == c->p.id)
			ivy_grant_data(c, page, h->ver, who, IVY_F_ZERO, NULL);
		else
			c->readers[others++] = who;
	}
	ivy_cast_data(c, page, h->ver, IVY_F_ZERO, c->readers, others, NULL);
}

void ivy_serve(struct ivy *c, struct ivy_home *h, u64 page, u32 n)
{
	u32 i, entered = 0;

	for (i = 0; i < n; i++)
		if (reader_enter(c, h, page, c->readers[i]))
			c->readers[entered++] = c->readers[i];
	if (!entered)
		return;
	c->stats.grants += entered;
	if (h->owner == IVY_NONE)
		zeros_serve(c, h, page, entered);
	else if (h->owner == c->p.id)
		ivy_grant_serve(c, page, h->ver, c->readers, entered);
	else
		ivy_cast_serve(c, h->owner, page, h->ver, c->readers, entered);
}
