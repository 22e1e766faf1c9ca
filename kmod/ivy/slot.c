// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The slots of resident pages. Each lease counts the slots under it.
 *
 * A page stays for a minimum hold after it was granted. That is short, for others wait as long; but
 * a page that goes to and fro costs an exchange each time, for few accesses. So each time that a
 * page comes back soon after others took it, its hold doubles, up to a bound. Each node counts for
 * itself, for the pages that were taken from it last.
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

#define SOON 64u /* holds: a page that comes back later has not bounced */

static struct ivy_bounce *bounce_of(struct ivy *c, u64 page)
{
	return &c->bounces[page % IVY_BOUNCES];
}

static u32 hold_us(const struct ivy *c, u32 doubled)
{
	return (u32)(c->p.hold_ns / 1000) << doubled;
}

void ivy_slot_taken(struct ivy *c, u64 page)
{
	struct ivy_bounce *b = bounce_of(c, page);

	if (b->page != page + 1)
		b->doubled = 0;
	b->page = page + 1;
	b->taken = now_us(c);
	b->away = true;
}

/* How often the hold of a page that is granted now has doubled. */
static u32 doublings(struct ivy *c, u64 page)
{
	struct ivy_bounce *b = bounce_of(c, page);

	if (b->page != page + 1)
		return 0;
	if (b->away && now_us(c) - b->taken > (u64)SOON * hold_us(c, b->doubled)) {
		if (!IVY_MUTANT(HOLD_KEPT))
			b->doubled = 0;
	} else if (b->away) {
		c->stats.bounces++;
		b->doubled += b->doubled < c->p.hold_doublings && !IVY_MUTANT(HOLD_FIXED);
	}
	b->away = false;
	return b->doubled;
}

void ivy_slot_grant(struct ivy *c, u64 page, struct ivy_slot *s, u64 ver, enum ivy_right right)
{
	u32 hold = hold_us(c, doublings(c, page));

	IVY_ASSERT(ver && right > IVY_I);
	s->ver = ver;
	s->right = (u8)right;
	s->flags = right == IVY_M ? IVY_SLOT_OWNER : 0;
	s->held = now_us(c) + hold;
	if (hold > c->stats.hold_us_max)
		c->stats.hold_us_max = hold;
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
 * for longer may then look held once, for at most the longest hold.
 */
u32 ivy_slot_hold_left(struct ivy *c, const struct ivy_slot *s)
{
	u32 left = s->held - now_us(c);

	return left <= hold_us(c, c->p.hold_doublings) ? left : 0;
}
