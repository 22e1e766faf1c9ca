// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The slots of resident pages. Each lease counts the slots under it.
 */
#include "impl.h"

struct ivy_slot *ivy_slot_get(struct ivy *c, u64 page)
{
	return c->env->slot_get(c->ctx, page);
}

struct ivy_slot *ivy_slot_make(struct ivy *c, u64 page)
{
	struct ivy_peer *peer = ivy_home_peer(c, page);
	struct ivy_slot *s = ivy_slot_get(c, page);

	if (s)
		return s;
	IVY_ASSERT(peer || ivy_home_of(c, page) == c->p.id);
	s = c->env->slot_new(c->ctx, page);
	if (s && peer)
		peer->my_slots++;
	return s;
}

void ivy_slot_drop(struct ivy *c, u64 page)
{
	struct ivy_peer *peer = ivy_home_peer(c, page);

	IVY_ASSERT(!peer || peer->my_slots);
	c->env->slot_free(c->ctx, page);
	if (peer)
		peer->my_slots--;
}

static u32 now_us(struct ivy *c)
{
	return (u32)(ivy_now(c) / 1000);
}

void ivy_slot_grant(struct ivy *c, struct ivy_slot *s, u64 ver, enum ivy_right right)
{
	IVY_ASSERT(ver && right > IVY_I);
	s->ver = ver;
	s->right = (u8)right;
	s->flags = right == IVY_M ? IVY_SLOT_OWNER : 0;
	s->held = now_us(c) + (u32)(c->p.hold_ns / 1000);
}

bool ivy_slot_sole(const struct ivy_slot *s)
{
	return s->right == IVY_M || (s->right == IVY_S && (s->flags & IVY_SLOT_FRESH));
}

void ivy_slot_hold_end(struct ivy *c, struct ivy_slot *s)
{
	s->held = now_us(c);
}

/*
 * Microseconds left of the hold. The 32-bit clock wraps after 71 minutes; a page that was at rest
 * for longer may then look held once, for at most hold_ns.
 */
u32 ivy_slot_hold_left(struct ivy *c, const struct ivy_slot *s)
{
	u32 left = s->held - now_us(c);

	return left <= (u32)(c->p.hold_ns / 1000) ? left : 0;
}
