// SPDX-License-Identifier: GPL-2.0-or-later
/* The leases that two nodes have from each other, in all regions: see pairs.h. */
#include "impl.h"

static u64 mix(u64 v)
{
	v = (v ^ v >> 30) * 0xbf58476d1ce4e5b9ull;
	v = (v ^ v >> 27) * 0x94d049bb133111ebull;
	return v ^ v >> 31;
}

u64 ivy_pair_lease(u64 key, u64 inc, u64 start)
{
	if (IVY_MUTANT(BEAT_ANEW))
		start = 0;
	return mix(mix(mix(key + 0x9e3779b97f4a7c15ull) + inc) + start);
}

/* ---- the table ---- */

struct ivy_pair *ivy_pair_get(const struct ivy_pairs *ps, u16 node)
{
	struct ivy_pair *chunk = node < ps->p.nodes ? ps->chunks[node / IVY_PEER_CHUNK] : NULL;

	return chunk ? &chunk[node % IVY_PEER_CHUNK] : NULL;
}

static bool chunk_make(struct ivy_pairs *ps, u32 i)
{
	u32 k, cap = (ps->nchunks + 1) * IVY_PEER_CHUNK;
	struct ivy_due **due = ps->env->alloc(ps->ctx, cap * sizeof(struct ivy_due *));
	struct ivy_pair *chunk = ps->env->alloc(ps->ctx, IVY_PEER_CHUNK * sizeof(*chunk));

	if (!due || !chunk) {
		if (due)
			ps->env->free(ps->ctx, due, cap * sizeof(struct ivy_due *));
		if (chunk)
			ps->env->free(ps->ctx, chunk, IVY_PEER_CHUNK * sizeof(*chunk));
		return false;
	}
	for (k = 0; k < IVY_PEER_CHUNK; k++) {
		chunk[k].due.node = (u16)(i * IVY_PEER_CHUNK + k);
		chunk[k].via = IVY_NONE;
	}
	ps->chunks[i] = chunk;
	due = ivy_heap_widen(&ps->heap, due, cap);
	if (due)
		ps->env->free(ps->ctx, due,
			      ps->nchunks * IVY_PEER_CHUNK * sizeof(struct ivy_due *));
	ps->nchunks++;
	return true;
}

static struct ivy_pair *pair_make(struct ivy_pairs *ps, u16 node)
{
	u32 i = node / IVY_PEER_CHUNK;

	if (node >= ps->p.nodes || (!ps->chunks[i] && !chunk_make(ps, i)))
		return NULL;
	return &ps->chunks[i][node % IVY_PEER_CHUNK];
}

static void lock(struct ivy_pairs *ps)
{
	ps->env->lock(ps->ctx);
}

static u64 due(const struct ivy_pairs *ps)
{
	const struct ivy_due *first = ivy_heap_first(&ps->heap);

	return first && first->at < ps->carry_at ? first->at : ps->carry_at;
}

/* The last thing that a call does. */
static void unlock(struct ivy_pairs *ps)
{
	u64 at = due(ps);

	if (at < ps->told) {
		ps->told = at;
		ps->env->wake(ps->ctx, at);
	}
	ps->env->unlock(ps->ctx);
}

static u64 now(const struct ivy_pairs *ps)
{
	return ps->env->now(ps->ctx);
}

/* ---- this node's leases ---- */

static void beat(struct ivy_pairs *ps, struct ivy_pair *pair)
{
	u64 again = ps->p.retry_ns < ps->p.lease_ns / 4 ? ps->p.retry_ns : ps->p.lease_ns / 4;
	u16 home = pair->due.node;
	struct ivy_beat b = {
		.node = ps->p.id, .ver = now(ps), .who = pair->my_sum, .inc = ps->p.start};
	struct ivy_msg m = {.type = IVY_BEAT,
			    .src = ps->p.id,
			    .to = home,
			    .ver = b.ver,
			    .who = b.who,
			    .inc = b.inc};

	/* The carrier has not answered. */
	if (pair->carried && !IVY_MUTANT(BEAT_LOST))
		pair->via = IVY_NONE;
	pair->carried = pair->via != IVY_NONE;
	if (pair->carried)
		again += ps->p.lease_ns / 4; /* for so long the carrier may keep it */
	ivy_heap_set(&ps->heap, &pair->due, b.ver + again);
	if (pair->via == ps->p.id)
		ivy_carry_add(ps, home, &b);
	else
		ps->env->send(ps->ctx, pair->carried ? pair->via : home, &m);
}

u64 ivy_pair_my_begin(struct ivy_pairs *ps, u16 node, u64 lease)
{
	struct ivy_pair *pair;
	u64 since = 0;

	lock(ps);
	pair = pair_make(ps, node);
	if (pair) {
		since = now(ps);
		pair->my_sum += lease;
		if (!pair->my_n++)
			ivy_heap_set(&ps->heap, &pair->due, since + ps->p.lease_ns / 4);
	}
	unlock(ps);
	return since;
}

void ivy_pair_my_end(struct ivy_pairs *ps, u16 node, u64 lease)
{
	struct ivy_pair *pair;

	lock(ps);
	pair = ivy_pair_get(ps, node);
	pair->my_sum -= lease;
	if (!--pair->my_n) {
		pair->other = false;
		pair->carried = false;
		ivy_heap_set(&ps->heap, &pair->due, IVY_NEVER);
	}
	unlock(ps);
}

u64 ivy_pair_my_sent(struct ivy_pairs *ps, u16 node)
{
	const struct ivy_pair *pair;
	u64 sent;

	lock(ps);
	pair = ivy_pair_get(ps, node);
	sent = pair ? pair->my_sent : 0;
	unlock(ps);
	return sent;
}

bool ivy_pair_other(struct ivy_pairs *ps, u16 node)
{
	const struct ivy_pair *pair;
	bool other;

	lock(ps);
	pair = ivy_pair_get(ps, node);
	other = !pair || pair->other;
	unlock(ps);
	return other;
}

/* ---- another node's leases ---- */

void ivy_pair_doubt(struct ivy_pairs *ps, u16 node)
{
	struct ivy_pair *pair;

	lock(ps);
	pair = ivy_pair_get(ps, node);
	if (pair)
		pair->doubt = true;
	unlock(ps);
}

bool ivy_pair_its_begin(struct ivy_pairs *ps, u16 node, u64 lease)
{
	struct ivy_pair *pair;

	lock(ps);
	pair = pair_make(ps, node);
	if (pair) {
		pair->its_sum += lease;
		ps->its_nodes += !pair->its_n++;
	}
	unlock(ps);
	return pair;
}

static void its_end(struct ivy_pairs *ps, struct ivy_pair *pair, u64 lease)
{
	pair->its_sum -= lease;
	ps->its_nodes -= !--pair->its_n;
}

void ivy_pair_its_end(struct ivy_pairs *ps, u16 node, u64 lease)
{
	lock(ps);
	its_end(ps, ivy_pair_get(ps, node), lease);
	unlock(ps);
}

u64 ivy_pair_its_expire(struct ivy_pairs *ps, u16 node, u64 lease, u64 lease_ns)
{
	struct ivy_pair *pair;
	u64 end;

	lock(ps);
	pair = ivy_pair_get(ps, node);
	end = pair->its_at ? pair->its_at + lease_ns : 0;
	if (end <= now(ps)) {
		its_end(ps, pair, lease);
		end = 0;
	}
	unlock(ps);
	return end;
}

/* ---- messages and time ---- */

/*
 * Who is to carry that node's next BEAT: a neighbour, or the node itself, that has been heard of
 * lately. For each home it is another one; and none where few nodes have leases.
 */
static u16 carrier_of(const struct ivy_pairs *ps, u16 node)
{
	u32 first = node / IVY_CARRY_GROUP * IVY_CARRY_GROUP, k;
	u32 at = (ps->p.id + IVY_CARRY_GROUP / 2) % IVY_CARRY_GROUP;

	if (ps->its_nodes <= ps->p.carry_above)
		return IVY_NONE;
	for (k = 0; k < IVY_CARRY_GROUP; k++) {
		/* Another order for each home, so that they do not all come to the same one. */
		u16 id = (u16)(first + (at + k * (at + 1)) % IVY_CARRY_GROUP);
		const struct ivy_pair *pair = ivy_pair_get(ps, id);

		if (id != ps->p.id && pair && pair->its_n && pair->its_at &&
		    pair->its_at + ps->p.lease_ns / 2 > now(ps))
			return id;
	}
	return IVY_NONE;
}

static struct ivy_beat beat_answer(struct ivy_pairs *ps, const struct ivy_beat *b, u16 from)
{
	struct ivy_pair *pair = ivy_pair_get(ps, b->node);
	struct ivy_beat answer = {.node = b->node, .ver = b->ver, .who = IVY_NONE, .inc = b->inc};
	bool doubt = pair && pair->doubt && !IVY_MUTANT(BEAT_DOUBTED);

	if (pair && from == b->node)
		pair->doubt = false;
	if (doubt && from != b->node) {
		answer.flags = IVY_F_OTHER;
		return answer;
	}
	if (!IVY_MUTANT(BEAT_UNREAD) && (!pair || pair->its_sum != b->who)) {
		answer.flags = IVY_F_OTHER;
	} else if (pair) {
		pair->its_at = now(ps);
		answer.who = doubt ? IVY_NONE : carrier_of(ps, b->node);
	}
	return answer;
}

/* As a message without a list. */
static void beaten_send(struct ivy_pairs *ps, u16 home, const struct ivy_beat *b)
{
	struct ivy_msg m = {.type = IVY_BEATEN,
			    .flags = b->flags,
			    .src = ps->p.id,
			    .to = home,
			    .ver = b->ver,
			    .who = b->who,
			    .inc = b->inc};

	ps->env->send(ps->ctx, b->node, &m);
}

static struct ivy_beat beat_of(const struct ivy_msg *m)
{
	return (struct ivy_beat){
		.node = m->src, .flags = m->flags, .ver = m->ver, .who = m->who, .inc = m->inc};
}

/* What a carrier brings: answered as one message, too. */
static void rx_beats(struct ivy_pairs *ps, const struct ivy_msg *m)
{
	struct ivy_msg answer = {
		.type = IVY_BEATEN, .src = ps->p.id, .to = ps->p.id, .list = ps->list};
	u32 i;

	for (i = 0; i < m->count; i++) {
		struct ivy_beat b = ivy_list_beat(m, i);

		if (b.node == ps->p.id)
			continue;
		b = beat_answer(ps, &b, m->src);
		ivy_list_put_beat(ps->list, answer.count++, &b);
	}
	if (answer.count)
		ps->env->send(ps->ctx, m->src, &answer);
}

static void rx_beat(struct ivy_pairs *ps, const struct ivy_msg *m)
{
	struct ivy_beat b = beat_of(m);

	if (m->to == ps->p.id && m->count) {
		rx_beats(ps, m);
	} else if (m->to == ps->p.id || IVY_MUTANT(BEAT_CARRIED)) {
		b = m->to == ps->p.id ? beat_answer(ps, &b, m->src) : b;
		beaten_send(ps, m->to, &b);
	} else if (!m->count && m->to != m->src) {
		ivy_carry_add(ps, m->to, &b);
	}
}

/* The home's answer, which `from` has sent. */
static void beaten(struct ivy_pairs *ps, u16 home, u16 from, const struct ivy_beat *b)
{
	struct ivy_pair *pair = ivy_pair_get(ps, home);
	u64 turn = ps->p.lease_ns / 4, next;

	/* Of another life of this node, or older than the last one, or nothing is to be renewed. */
	if (!pair || !pair->my_n || b->inc != ps->p.start || b->ver > now(ps) ||
	    b->ver <= pair->my_sent || (from != home && from != pair->via))
		return;
	pair->carried = false;
	pair->via = IVY_NONE;
	pair->other = b->flags & IVY_F_OTHER;
	if (pair->other) {
		/* A lease has just begun, or one is left of which the home's end has not come. */
		ivy_heap_set(&ps->heap, &pair->due, b->ver + turn / 2);
		return;
	}
	pair->my_sent = b->ver;
	next = b->ver + turn;
	/* Just before the carrier's next turn; and so that the home can be asked in time, too. */
	if (from != home)
		next = now(ps) + turn * 7 / 8 < next + turn / 4 ? now(ps) + turn * 7 / 8
								: next + turn / 4;
	if (b->who < ps->p.nodes && b->who != home && ps->p.retry_ns <= turn / 4)
		pair->via = (u16)b->who;
	ivy_heap_set(&ps->heap, &pair->due, next);
}

static void rx_beaten(struct ivy_pairs *ps, const struct ivy_msg *m)
{
	struct ivy_beat b = beat_of(m);
	u32 i;

	if (!m->count)
		beaten(ps, m->to, m->src, &b);
	for (i = 0; m->to == m->src && i < m->count; i++) {
		b = ivy_list_beat(m, i);
		if (b.node == ps->p.id)
			beaten(ps, m->src, ps->p.id, &b);
		else
			beaten_send(ps, m->src, &b);
	}
}

void ivy_pairs_rx(struct ivy_pairs *ps, const struct ivy_msg *m)
{
	if (m->src == ps->p.id)
		return;
	lock(ps);
	if (m->type == IVY_BEAT)
		rx_beat(ps, m);
	else if (m->type == IVY_BEATEN)
		rx_beaten(ps, m);
	unlock(ps);
}

void ivy_pairs_tick(struct ivy_pairs *ps)
{
	struct ivy_due *due;

	lock(ps);
	while ((due = ivy_heap_first(&ps->heap)) && due->at <= now(ps))
		beat(ps, ivy_pair_get(ps, due->node));
	ivy_carry_tick(ps);
	ps->told = IVY_NEVER;
	unlock(ps);
}

u64 ivy_pairs_due(struct ivy_pairs *ps)
{
	u64 at;

	lock(ps);
	at = due(ps);
	unlock(ps);
	return at;
}

void ivy_pairs_joined(struct ivy_pairs *ps, u16 node)
{
	struct ivy_pair *pair;

	lock(ps);
	pair = ivy_pair_get(ps, node);
	if (pair && pair->my_n) {
		pair->via = IVY_NONE;
		beat(ps, pair);
	}
	unlock(ps);
}

/* ---- life ---- */

u32 ivy_pairs_leases(struct ivy_pairs *ps, u16 node)
{
	const struct ivy_pair *pair;
	u32 leases;

	lock(ps);
	pair = ivy_pair_get(ps, node);
	leases = pair ? pair->my_n + pair->its_n : 0;
	unlock(ps);
	return leases;
}

static size_t table_bytes(const struct ivy_pairs *ps)
{
	return (ps->p.nodes + IVY_PEER_CHUNK - 1) / IVY_PEER_CHUNK * sizeof(struct ivy_pair *);
}

int ivy_pairs_create(const struct ivy_pairs_params *p, const struct ivy_pairs_env *env, void *ctx,
		     struct ivy_pairs **out)
{
	struct ivy_pairs *ps;

	if (!p->nodes || p->nodes > IVY_NODES_MAX || p->id >= p->nodes || !p->start ||
	    !p->lease_ns || !p->retry_ns)
		return -EINVAL;
	ps = env->alloc(ctx, sizeof(*ps));
	if (!ps)
		return -ENOMEM;
	ps->env = env;
	ps->ctx = ctx;
	ps->p = *p;
	if (!ps->p.carry_above)
		ps->p.carry_above = 128;
	ps->told = IVY_NEVER;
	ps->carry_at = IVY_NEVER;
	ps->chunks = env->alloc(ctx, table_bytes(ps));
	ps->list = env->alloc(ctx, IVY_LIST_BYTES);
	if (!ps->chunks || !ps->list) {
		ivy_pairs_destroy(ps);
		return -ENOMEM;
	}
	*out = ps;
	return 0;
}

void ivy_pairs_destroy(struct ivy_pairs *ps)
{
	u32 i;

	if (!ps)
		return;
	for (i = 0; ps->chunks && i * IVY_PEER_CHUNK < ps->p.nodes; i++)
		if (ps->chunks[i])
			ps->env->free(ps->ctx, ps->chunks[i],
				      IVY_PEER_CHUNK * sizeof(struct ivy_pair));
	if (ps->heap.due)
		ps->env->free(ps->ctx, ps->heap.due, ps->heap.cap * sizeof(struct ivy_due *));
	if (ps->chunks)
		ps->env->free(ps->ctx, ps->chunks, table_bytes(ps));
	if (ps->list)
		ps->env->free(ps->ctx, ps->list, IVY_LIST_BYTES);
	ivy_carry_free(ps);
	ps->env->free(ps->ctx, ps, sizeof(*ps));
}
