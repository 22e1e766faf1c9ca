// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which nodes are alive, and the ends of leases.
 *
 * A node has a lease from each home of which it has pages. The node counts it from when it sent the
 * renewal, the home from when the renewal arrived, which is later; and the node stops a margin
 * before the end. So the node has always stopped before the home declares it lost, whatever their
 * clocks show, as long as the clocks' rates differ by less than the margin allows. Only durations
 * are compared.
 *
 * A lease has an incarnation, a number that the node chooses. After the end of a lease the node
 * returns with a new incarnation and no pages, and messages of the old one are ignored. An unused
 * lease is not renewed; the node says so before it ends (IVY_F_QUIT), as it does when it leaves the
 * region: so a node that is silent until the end is lost (or its QUIT was).
 *
 * At the end of a lease ivy_right() falls to IVY_I for all its pages at once, and the environment
 * removes all mappings by the deadline. The slots, of which there may be millions, are freed some
 * at a time after that (ivy_ending()); only then does the node take a new lease.
 */
#include "impl.h"

#define TXN_JUMP 0x1000000000ull /* 2^36: more requests than a node makes under one lease */

/* ---- the node's side ---- */

static void lease_ended(struct ivy *c, u16 home, struct ivy_peer *peer)
{
	bool gone = peer->home_start == ~0ull;

	IVY_ASSERT(!peer->my_slots);
	peer->my_state = gone ? IVY_LEASE_GONE : IVY_LEASE_NONE;
	ivy_lease_plan(c, peer);
	if (peer->my_ops)
		ivy_agent_resend(c, home, gone ? -EIO : 0);
}

static u64 my_deadline(const struct ivy *c, const struct ivy_peer *peer)
{
	return peer->my_end + c->p.margin_ns;
}

static void lease_end(struct ivy *c, u16 home, struct ivy_peer *peer)
{
	if (peer->my_slots || peer->my_ops)
		c->stats.lease_expiries++;
	c->stats.given_up += peer->my_slots;
	ivy_lease_uncount(c, home, peer);
	peer->my_left = 0;
	peer->my_state = IVY_LEASE_ENDING;
	peer->my_due = ivy_now(c) + c->p.retry_ns / 2;
	ivy_lease_plan(c, peer);
	ivy_agent_end(c, home);
	if (!peer->my_slots) {
		lease_ended(c, home, peer);
		return;
	}
	c->end_again = c->ending;
	c->ending = true;
	c->env->sweep(c->ctx, IVY_MUTANT(SWEEP_LATE) ? ~0ull : my_deadline(c, peer));
}

bool ivy_alive_use(struct ivy *c, u16 home)
{
	struct ivy_peer *peer = ivy_peer_get(c, home);

	if (ivy_lease_live(c, home, false))
		return true;
	if (IVY_MUTANT(ENDING_USED) && peer && peer->my_state == IVY_LEASE_ENDING)
		return true;
	if (peer && peer->my_state == IVY_LEASE_LIVE)
		lease_end(c, home, peer);
	return false;
}

void ivy_alive_step(struct ivy *c, u32 slots)
{
	u32 i;

	for (i = 0; i < slots && c->ending; i++) {
		struct ivy_peer *peer;
		u16 home;

		if (!c->env->slot_next(c->ctx, &c->end_at)) {
			c->end_at = 0;
			c->ending = c->end_again;
			c->end_again = false;
			continue;
		}
		home = ivy_home_of(c, c->end_at);
		peer = ivy_peer_get(c, home);
		if (peer && peer->my_state == IVY_LEASE_ENDING) {
			ivy_agent_end_page(c, c->end_at, my_deadline(c, peer));
			ivy_alive_settle(c, home);
		}
		c->end_at++;
	}
}

void ivy_alive_settle(struct ivy *c, u16 home)
{
	struct ivy_peer *peer = ivy_peer_get(c, home);

	if (peer && peer->my_state == IVY_LEASE_ENDING && !peer->my_slots)
		lease_ended(c, home, peer);
}

static u64 last_quarter(const struct ivy *c, const struct ivy_peer *peer)
{
	u64 quarter = c->p.lease_ns / 4;

	return peer->my_end > quarter ? peer->my_end - quarter : 0;
}

static void rx_leased(struct ivy *c, const struct ivy_msg *m, struct ivy_peer *peer)
{
	u64 end = m->ver + c->p.lease_ns - c->p.margin_ns;
	bool joined = peer->my_state == IVY_LEASE_JOINING;

	if (!joined && peer->my_state != IVY_LEASE_LIVE)
		return;
	if (peer->home_start && peer->home_start != m->who && !IVY_MUTANT(ANEW_UNSEEN)) {
		/*
		 * The home has lost its directory. If it knows (ANEW), it answers LOST for each
		 * page; if not, its pages are now those of another region.
		 */
		ivy_lease_uncount(c, m->src, peer);
		peer->home_start = m->flags & IVY_F_ANEW ? 0 : ~0ull;
		lease_end(c, m->src, peer);
		return;
	}
	peer->home_start = m->who;
	/* The renewal that this answers has run out already, or its time is in the future. */
	if (m->ver > ivy_now(c) || end <= ivy_now(c))
		return;
	peer->my_state = IVY_LEASE_LIVE;
	ivy_lease_count(c, m->src, peer);
	if (joined || end > peer->my_end) {
		peer->my_end = end;
		/* The pair renews it meanwhile; without that it is to be renewed by itself. */
		peer->my_due = peer->my_since ? last_quarter(c, peer) :
						m->ver + c->p.lease_ns / 4;
	}
	ivy_lease_plan(c, peer);
	if (joined)
		ivy_agent_resend(c, m->src, 0);
}

static void rx_fenced(struct ivy *c, const struct ivy_msg *m, struct ivy_peer *peer)
{
	if (peer->my_state != IVY_LEASE_LIVE && peer->my_state != IVY_LEASE_JOINING)
		return;
	/*
	 * The home knows a higher incarnation of this node: its counter restarted too low. Requests
	 * of that incarnation have ids above it, and may still be in flight: go on far above them.
	 */
	if (m->ver > c->txn) {
		if (m->ver > IVY_TXN_MAX - TXN_JUMP)
			return;
		c->txn = m->ver + TXN_JUMP;
		c->stats.renumbered++;
	}
	lease_end(c, m->src, peer);
}

/* Not over, as far as is known, and not idle in its last quarter. */
static void my_extend(struct ivy *c, u16 home, struct ivy_peer *peer)
{
	bool idle = !peer->my_slots && !peer->my_ops;
	u64 now = ivy_now(c);

	ivy_lease_pull(c, home, peer);
	if ((peer->my_since || idle) && now < last_quarter(c, peer))
		peer->my_due = last_quarter(c, peer);
	else if (now < peer->my_end && peer->my_since && !ivy_pair_other(c->p.pairs, home))
		peer->my_due = now + c->p.retry_ns; /* the pair has asked */
	else if (now < peer->my_end)
		ivy_lease_renew(c, home, peer);
	else if (!IVY_MUTANT(LEASE_IGNORED))
		lease_end(c, home, peer);
	else
		peer->my_due = now + c->p.retry_ns;
	if (peer->my_state == IVY_LEASE_LIVE && now < peer->my_end && peer->my_due > peer->my_end)
		peer->my_due = peer->my_end;
}

static void my_tick(struct ivy *c, u16 home, struct ivy_peer *peer)
{
	u64 now = ivy_now(c);

	if (now < peer->my_due)
		return;

	switch (peer->my_state) {
	case IVY_LEASE_JOINING:
		if (!peer->my_ops)
			ivy_lease_quit(c, home, peer);
		else
			ivy_lease_renew(c, home, peer);
		break;
	case IVY_LEASE_LIVE:
		/* Also one that is over, which nobody has seen: QUIT says that nothing is left. */
		if (ivy_lease_stale(c, peer, 0))
			ivy_lease_quit(c, home, peer);
		else
			my_extend(c, home, peer);
		break;
	case IVY_LEASE_ENDING:
		peer->my_due = now + c->p.retry_ns / 2;
		ivy_alive_settle(c, home);
		break;
	default:
		break;
	}
}

/* ---- the home's side ---- */

static void node_gone(struct ivy *c, struct ivy_peer *peer, bool clean)
{
	ivy_lease_its_uncount(c, peer->due.node, peer);
	peer->its_state = IVY_LEASE_LOST;
	peer->its_leaving = true;
	peer->its_clean = clean;
	ivy_recover_node_lost(c);
}

static void node_lost(struct ivy *c, struct ivy_peer *peer)
{
	c->stats.lost_nodes++;
	node_gone(c, peer, false);
}

static void rx_quit(struct ivy *c, const struct ivy_msg *m, struct ivy_peer *peer)
{
	/* The end of a later lease says nothing of how this one ended. */
	bool clean = m->inc == peer->its_inc && !(m->flags & IVY_F_LOSS);

	if (m->inc < peer->its_inc && !IVY_MUTANT(QUIT_LATE))
		return; /* another lease has begun since */
	ivy_lease_its_uncount(c, m->src, peer);
	peer->its_inc = m->inc;
	if (peer->its_state == IVY_LEASE_LIVE)
		node_gone(c, peer, clean);
	peer->its_state = IVY_LEASE_LOST; /* so that a late renewal does not revive it */
}

static void rx_lease(struct ivy *c, const struct ivy_msg *m)
{
	struct ivy_peer *peer = ivy_peer_make(c, m->src);
	struct ivy_msg leased = {.type = IVY_LEASED,
				 .flags = c->begun_lost ? IVY_F_ANEW : 0,
				 .inc = m->inc,
				 .ver = m->ver,
				 .who = c->p.start};
	struct ivy_msg fenced = {.type = IVY_FENCED, .inc = m->inc};

	if (!peer || m->src == c->p.id)
		return;
	if (m->flags & IVY_F_QUIT) {
		rx_quit(c, m, peer);
		return;
	}
	fenced.ver = peer->its_inc;
	if (m->inc < peer->its_inc) {
		ivy_send(c, m->src, &fenced, NULL);
		return;
	}
	if (m->inc > peer->its_inc) {
		/* A new incarnation means that the node holds no page under the old lease. */
		if (peer->its_state == IVY_LEASE_LIVE && m->who == peer->its_inc)
			node_gone(c, peer, true); /* its QUIT was lost */
		else if (peer->its_state == IVY_LEASE_LIVE)
			node_lost(c, peer);
		if (peer->its_leaving && !IVY_MUTANT(BACK_EARLY))
			return; /* the node retries */
		peer->its_inc = m->inc;
		peer->its_state = IVY_LEASE_LIVE;
		peer->slow = 0;
	}
	if (peer->its_state == IVY_LEASE_LIVE) {
		peer->its_end = ivy_now(c) + c->p.lease_ns;
		ivy_lease_its_count(c, m->src, peer);
	}
	ivy_send(c, m->src, peer->its_state == IVY_LEASE_LIVE ? &leased : &fenced, NULL);
}

static void its_tick(struct ivy *c, struct ivy_peer *peer)
{
	u64 end = peer->its_end - (IVY_MUTANT(LOST_EARLY) ? c->p.lease_ns / 2 : 0);

	if (peer->its_state == IVY_LEASE_LIVE && ivy_now(c) >= end &&
	    (IVY_MUTANT(LOST_EARLY) || ivy_lease_its_expire(c, peer->due.node, peer)))
		node_lost(c, peer);
}

/* ---- both ---- */

void ivy_alive_rx(struct ivy *c, const struct ivy_msg *m)
{
	struct ivy_peer *peer = ivy_peer_get(c, m->src);

	if (m->type == IVY_LEASE)
		rx_lease(c, m);
	else if (!peer || peer->my_inc != m->inc)
		c->stats.ignored++;
	else if (m->type == IVY_LEASED)
		rx_leased(c, m, peer);
	else
		rx_fenced(c, m, peer);
	peer = ivy_peer_get(c, m->src);
	if (peer)
		ivy_lease_plan(c, peer);
}

void ivy_alive_joined(struct ivy *c, u16 node)
{
	struct ivy_peer *peer = ivy_peer_get(c, node);

	if (!peer)
		return;
	/* Its answer tells whether the home has begun anew, which that to BEAT does not. */
	if (peer->my_state == IVY_LEASE_LIVE && (peer->my_slots || peer->my_ops) &&
	    ivy_alive_use(c, node)) {
		ivy_lease_renew(c, node, peer);
	} else if (peer->my_state == IVY_LEASE_JOINING) {
		peer->my_due = 0;
		my_tick(c, node, peer);
	}
	ivy_lease_plan(c, peer);
}

void ivy_alive_tick(struct ivy *c)
{
	struct ivy_due *due;
	struct ivy_peer *peer;

	while ((due = ivy_heap_first(&c->heap)) && due->at <= ivy_now(c)) {
		peer = ivy_peer_get(c, due->node);
		my_tick(c, due->node, peer);
		its_tick(c, peer);
		ivy_lease_plan(c, peer);
	}
}
