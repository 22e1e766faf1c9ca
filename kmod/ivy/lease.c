// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The leases between this node and each other one, and messages under them: leases of this node
 * from homes, and of other nodes from this home. alive.c handles their ends.
 */
#include "impl.h"

struct ivy_peer *ivy_peer_get(struct ivy *c, u16 node)
{
	struct ivy_peer *chunk;

	if (node >= c->p.nodes)
		return NULL;
	chunk = c->peers[node / IVY_PEER_CHUNK];
	return chunk ? &chunk[node % IVY_PEER_CHUNK] : NULL;
}

static size_t heap_bytes(u32 nchunks)
{
	return nchunks * IVY_PEER_CHUNK * sizeof(struct ivy_due *);
}

static struct ivy_peer *chunk_make(struct ivy *c, u32 i)
{
	struct ivy_due **due = ivy_alloc(c, heap_bytes(c->nchunks + 1));
	struct ivy_peer *chunk = ivy_alloc(c, IVY_PEER_CHUNK * sizeof(*chunk));
	u32 k;

	if (!due || !chunk) {
		ivy_free(c, due, heap_bytes(c->nchunks + 1));
		ivy_free(c, chunk, IVY_PEER_CHUNK * sizeof(*chunk));
		return NULL;
	}
	for (k = 0; k < IVY_PEER_CHUNK; k++)
		chunk[k].due.node = (u16)(i * IVY_PEER_CHUNK + k);
	due = ivy_heap_widen(&c->heap, due, (c->nchunks + 1) * IVY_PEER_CHUNK);
	ivy_free(c, due, heap_bytes(c->nchunks));
	c->nchunks++;
	return chunk;
}

struct ivy_peer *ivy_peer_make(struct ivy *c, u16 node)
{
	struct ivy_peer **chunk;

	if (node >= c->p.nodes)
		return NULL;
	chunk = &c->peers[node / IVY_PEER_CHUNK];
	if (!*chunk)
		*chunk = chunk_make(c, node / IVY_PEER_CHUNK);
	return *chunk ? &(*chunk)[node % IVY_PEER_CHUNK] : NULL;
}

struct ivy_peer *ivy_home_peer(struct ivy *c, u64 page)
{
	u16 home = ivy_home_of(c, page);

	return home == c->p.id ? NULL : ivy_peer_make(c, home);
}

void ivy_lease_free(struct ivy *c)
{
	struct ivy_peer *peer;
	u16 node;
	u32 i;

	for (node = 0; c->peers && node < c->p.nodes; node++) {
		peer = ivy_peer_get(c, node);
		if (!peer)
			continue;
		ivy_lease_uncount(c, node, peer);
		ivy_lease_its_uncount(c, node, peer);
	}
	for (i = 0; c->peers && i * IVY_PEER_CHUNK < c->p.nodes; i++)
		ivy_free(c, c->peers[i], IVY_PEER_CHUNK * sizeof(**c->peers));
	ivy_free(c, c->heap.due, heap_bytes(c->nchunks));
}

void ivy_lease_plan(struct ivy *c, struct ivy_peer *peer)
{
	u64 at = IVY_NEVER, its_end;

	if (peer->my_state == IVY_LEASE_JOINING || peer->my_state == IVY_LEASE_LIVE ||
	    peer->my_state == IVY_LEASE_ENDING)
		at = peer->my_due;
	if (peer->its_state == IVY_LEASE_LIVE) {
		its_end = peer->its_end - (IVY_MUTANT(LOST_EARLY) ? c->p.lease_ns / 2 : 0);
		at = at < its_end ? at : its_end;
	}
	ivy_heap_set(&c->heap, &peer->due, at);
}

/* ---- this node at a home ---- */

static u64 my_lease(const struct ivy *c, const struct ivy_peer *peer)
{
	return ivy_pair_lease(c->p.key, peer->my_inc, peer->home_start);
}

void ivy_lease_count(struct ivy *c, u16 home, struct ivy_peer *peer)
{
	if (c->p.pairs && !peer->my_since)
		peer->my_since = ivy_pair_my_begin(c->p.pairs, home, my_lease(c, peer));
}

void ivy_lease_uncount(struct ivy *c, u16 home, struct ivy_peer *peer)
{
	if (peer->my_since)
		ivy_pair_my_end(c->p.pairs, home, my_lease(c, peer));
	peer->my_since = 0;
}

void ivy_lease_pull(struct ivy *c, u16 home, struct ivy_peer *peer)
{
	u64 sent, end;

	if (!peer->my_since)
		return;
	sent = ivy_pair_my_sent(c->p.pairs, home);
	/* What was sent before the lease was in the sum, or just then, did not ask for it. */
	if (sent <= peer->my_since && !IVY_MUTANT(BEAT_LATER))
		return;
	end = sent + c->p.lease_ns - c->p.margin_ns;
	if (end > peer->my_end)
		peer->my_end = end;
}

void ivy_lease_renew(struct ivy *c, u16 home, struct ivy_peer *peer)
{
	u64 now = ivy_now(c);
	struct ivy_msg m = {
		.type = IVY_LEASE, .inc = peer->my_inc, .ver = now, .who = peer->my_left};

	/* Retry before the lease is due again: one lost message must not cost a lease. */
	peer->my_due =
		now + (c->p.retry_ns < c->p.lease_ns / 4 ? c->p.retry_ns : c->p.lease_ns / 4);
	if (peer->my_state == IVY_LEASE_LIVE && now < peer->my_end && peer->my_due > peer->my_end)
		peer->my_due = peer->my_end;
	ivy_send(c, home, &m, NULL);
}

void ivy_lease_quit(struct ivy *c, u16 home, struct ivy_peer *peer)
{
	struct ivy_msg m = {.type = IVY_LEASE, .flags = IVY_F_QUIT, .inc = peer->my_inc};

	/* QUIT may be lost: the next lease says it once more. */
	peer->my_left = peer->my_slots ? 0 : peer->my_inc;
	if (peer->my_slots)
		m.flags |= IVY_F_LOSS;
	ivy_lease_uncount(c, home, peer);
	peer->my_state = IVY_LEASE_NONE;
	ivy_lease_plan(c, peer);
	ivy_send(c, home, &m, NULL);
}

static void lease_begin(struct ivy *c, u16 home, struct ivy_peer *peer)
{
	IVY_ASSERT(!peer->my_slots);
	peer->my_state = IVY_LEASE_JOINING;
	peer->slow = 0;
	peer->my_inc = ++c->txn;
	ivy_lease_renew(c, home, peer);
	ivy_lease_plan(c, peer);
}

bool ivy_lease_stale(struct ivy *c, const struct ivy_peer *peer, u32 ops)
{
	return peer->my_state == IVY_LEASE_LIVE && peer->my_ops <= ops &&
	       (!peer->my_slots || IVY_MUTANT(QUIT_USED)) &&
	       ivy_now(c) + c->p.lease_ns / 4 >= peer->my_end;
}

bool ivy_lease_live(struct ivy *c, u16 home, bool ask)
{
	struct ivy_peer *peer;

	if (home == c->p.id)
		return true;
	peer = ask ? ivy_peer_make(c, home) : ivy_peer_get(c, home);
	if (!peer)
		return false;
	if (ask && ivy_lease_stale(c, peer, 1))
		ivy_lease_quit(c, home, peer);
	if (ask && peer->my_state == IVY_LEASE_NONE)
		lease_begin(c, home, peer);
	if (peer->my_state == IVY_LEASE_LIVE && ivy_now(c) >= peer->my_end)
		ivy_lease_pull(c, home, peer);
	return peer->my_state == IVY_LEASE_LIVE &&
	       (ivy_now(c) < peer->my_end || IVY_MUTANT(LEASE_IGNORED));
}

u64 ivy_lease_inc(struct ivy *c, u16 home)
{
	struct ivy_peer *peer = ivy_peer_get(c, home);

	return home == c->p.id || !peer ? 0 : peer->my_inc;
}

void ivy_tell_home(struct ivy *c, u8 type, u64 page, u64 ver, u8 flags)
{
	u16 home = ivy_home_of(c, page);
	struct ivy_msg m = {.type = type,
			    .flags = flags,
			    .page = page,
			    .ver = ver,
			    .inc = ivy_lease_inc(c, home)};

	ivy_send(c, home, &m, NULL);
}

void ivy_answer_home(struct ivy *c, u8 type, u64 page, u64 ver, u64 who)
{
	u16 home = ivy_home_of(c, page);
	struct ivy_msg m = {.type = type,
			    .page = page,
			    .ver = ver,
			    .who = who,
			    .inc = ivy_lease_inc(c, home)};

	ivy_send(c, home, &m, NULL);
}

bool ivy_lease_gone(struct ivy *c, u16 home)
{
	const struct ivy_peer *peer = ivy_peer_get(c, home);

	return peer && peer->my_state == IVY_LEASE_GONE;
}

void ivy_lease_leave(struct ivy *c)
{
	struct ivy_peer *peer;
	u16 home;

	for (home = 0; home < c->p.nodes; home++) {
		peer = ivy_peer_get(c, home);
		if (peer && peer->my_state != IVY_LEASE_NONE && peer->my_state != IVY_LEASE_GONE)
			ivy_lease_quit(c, home, peer);
	}
}

/* ---- another node at this home ---- */

static u64 its_lease(const struct ivy *c, const struct ivy_peer *peer)
{
	return ivy_pair_lease(c->p.key, peer->its_inc, c->p.start);
}

void ivy_lease_its_count(struct ivy *c, u16 node, struct ivy_peer *peer)
{
	if (c->p.pairs && !peer->its_counted)
		peer->its_counted = ivy_pair_its_begin(c->p.pairs, node, its_lease(c, peer));
}

void ivy_lease_its_uncount(struct ivy *c, u16 node, struct ivy_peer *peer)
{
	if (peer->its_counted)
		ivy_pair_its_end(c->p.pairs, node, its_lease(c, peer));
	peer->its_counted = false;
}

bool ivy_lease_its_expire(struct ivy *c, u16 node, struct ivy_peer *peer)
{
	u64 end;

	if (!peer->its_counted)
		return true;
	end = ivy_pair_its_expire(c->p.pairs, node, its_lease(c, peer), c->p.lease_ns);
	peer->its_counted = end;
	if (end)
		peer->its_end = end;
	return !end;
}

void ivy_lease_doubt(struct ivy *c, u16 node)
{
	if (c->p.pairs)
		ivy_pair_doubt(c->p.pairs, node);
}

bool ivy_lease_of(struct ivy *c, u16 node, u64 inc)
{
	struct ivy_peer *peer = ivy_peer_get(c, node);

	if (node == c->p.id)
		return true;
	if (IVY_MUTANT(DEAD_INCARNATION))
		return peer;
	return peer && peer->its_state == IVY_LEASE_LIVE && peer->its_inc == inc;
}

bool ivy_lease_of_txn(struct ivy *c, u64 who)
{
	struct ivy_peer *peer = ivy_peer_get(c, ivy_who_node(who));

	if (ivy_who_node(who) == c->p.id)
		return true;
	if (IVY_MUTANT(DEAD_INCARNATION))
		return peer;
	return peer && peer->its_state == IVY_LEASE_LIVE && ivy_who_txn(who) > peer->its_inc;
}

u64 ivy_lease_its_inc(struct ivy *c, u16 node)
{
	struct ivy_peer *peer = ivy_peer_get(c, node);

	return node == c->p.id || !peer ? 0 : peer->its_inc;
}

void ivy_tell_node(struct ivy *c, u16 dst, u8 type, u64 page, u64 ver, u64 who, u8 flags)
{
	struct ivy_msg m = {.type = type,
			    .flags = flags,
			    .page = page,
			    .ver = ver,
			    .who = who,
			    .inc = ivy_lease_its_inc(c, dst)};

	ivy_send(c, dst, &m, NULL);
}
