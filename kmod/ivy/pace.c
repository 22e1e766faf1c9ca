// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How long another node's answer is waited for, before it is asked again.
 *
 * A node that is slow, or has much to do, is busy with what it was sent. If all of that comes once
 * more it takes as long again, and what it has yet to take waits behind it: from there on it does
 * little else. So one message that had no answer in time is repeated, and each other one that waits
 * for that node waits for twice as long; and so on, up to a bound. An answer that is quick, to what
 * was not repeated, halves it again. What a broken connection lost is sent over the next one at
 * once.
 */
#include "impl.h"

#define DOUBLINGS 5u
#define QUICK	  4u /* a part of retry_ns */

static struct ivy_peer *slow_peer(struct ivy *c, u16 node)
{
	return node == c->p.id ? NULL : ivy_peer_get(c, node);
}

u64 ivy_pace_ns(struct ivy *c, u16 node)
{
	const struct ivy_peer *peer = slow_peer(c, node);

	return c->p.retry_ns << (peer ? peer->slow : 0);
}

void ivy_pace_late(struct ivy *c, u16 node)
{
	struct ivy_peer *peer = slow_peer(c, node);

	if (peer && peer->slow < DOUBLINGS && !IVY_MUTANT(RETRY_FIXED))
		peer->slow++;
}

void ivy_pace_answered(struct ivy *c, u16 node, u64 asked, bool again)
{
	struct ivy_peer *peer = slow_peer(c, node);

	if (peer && peer->slow && !again && asked && ivy_now(c) - asked < c->p.retry_ns / QUICK)
		peer->slow--;
}
