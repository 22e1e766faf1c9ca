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
	for (k = 0; k < IVY_PEER_CHUNK; k++)
		chunk[k].due.node = (u16)(i * IVY_PEER_CHUNK + k);
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

/* The last thing that a call does. */
static void unlock(struct ivy_pairs *ps)
{
	const struct ivy_due *first = ivy_heap_first(&ps->heap);

	if (first && first->at < ps->told) {
		ps->told = first->at;
		ps->env->wake(ps->ctx, first->at);
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
	struct ivy_msg m = {.type = IVY_BEAT,
			    .src = ps->p.id,
			    .ver = now(ps),
			    .who = pair->my_sum,
			    .inc = ps->p.start};

	ivy_heap_set(&ps->heap, &pair->due, m.ver + again);
	ps->env->send(ps->ctx, pair->due.node, &m);
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

bool ivy_pair_its_begin(struct ivy_pairs *ps, u16 node, u64 lease)
{
	struct ivy_pair *pair;

	lock(ps);
	pair = pair_make(ps, node);
	if (pair)
		pair->its_sum += lease;
	unlock(ps);
	return pair;
}

void ivy_pair_its_end(struct ivy_pairs *ps, u16 node, u64 lease)
{
	lock(ps);
	ivy_pair_get(ps, node)->its_sum -= lease;
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
		pair->its_sum -= lease;
		end = 0;
	}
	unlock(ps);
	return end;
}

/* ---- messages and time ---- */

static void rx_beat(struct ivy_pairs *ps, const struct ivy_msg *m)
{
	struct ivy_pair *pair = ivy_pair_get(ps, m->src);
	struct ivy_msg answer = {.type = IVY_BEATEN, .src = ps->p.id, .ver = m->ver, .inc = m->inc};

	if (!IVY_MUTANT(BEAT_UNREAD) && (!pair || pair->its_sum != m->who))
		answer.flags = IVY_F_OTHER;
	else if (pair)
		pair->its_at = now(ps);
	ps->env->send(ps->ctx, m->src, &answer);
}

static void rx_beaten(struct ivy_pairs *ps, const struct ivy_msg *m)
{
	struct ivy_pair *pair = ivy_pair_get(ps, m->src);

	/* Of another life of this node, or older than the last one, or nothing is to be renewed. */
	if (!pair || !pair->my_n || m->inc != ps->p.start || m->ver > now(ps) ||
	    m->ver <= pair->my_sent)
		return;
	pair->other = m->flags & IVY_F_OTHER;
	if (pair->other) {
		/* A lease has just begun, or one is left of which the home's end has not come. */
		ivy_heap_set(&ps->heap, &pair->due, m->ver + ps->p.lease_ns / 8);
		return;
	}
	pair->my_sent = m->ver;
	ivy_heap_set(&ps->heap, &pair->due, m->ver + ps->p.lease_ns / 4);
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
	ps->told = IVY_NEVER;
	unlock(ps);
}

u64 ivy_pairs_due(struct ivy_pairs *ps)
{
	const struct ivy_due *first;
	u64 at;

	lock(ps);
	first = ivy_heap_first(&ps->heap);
	at = first ? first->at : IVY_NEVER;
	unlock(ps);
	return at;
}

void ivy_pairs_joined(struct ivy_pairs *ps, u16 node)
{
	struct ivy_pair *pair;

	lock(ps);
	pair = ivy_pair_get(ps, node);
	if (pair && pair->my_n)
		beat(ps, pair);
	unlock(ps);
}

/* ---- life ---- */

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
	ps->told = IVY_NEVER;
	ps->chunks = env->alloc(ctx, table_bytes(ps));
	if (!ps->chunks) {
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
	ps->env->free(ps->ctx, ps, sizeof(*ps));
}
