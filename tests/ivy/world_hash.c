// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * world_hash.c - one number for a state.
 *
 * Everything that can make a difference later goes in, and nothing else: not where a block of
 * memory lies, not how long ago something was due. Nodes that play the same part can change places:
 * the smaller number of both orders stands for both.
 */
#include "world.h"

static u64 hash;
static const struct world_config *config;
static u8 place[W_NODES]; /* node -> its place */
static u8 order[W_NODES]; /* place -> node */

static void mix(u64 v)
{
	hash = (hash ^ v) * 0x9e3779b97f4a7c15ull;
	hash ^= hash >> 29;
	hash *= 0xbf58476d1ce4e5b9ull;
	hash ^= hash >> 32;
}

static void mix_node(u16 node)
{
	mix(node < W_NODES ? place[node] : node);
}

static void mix_who(u64 who)
{
	mix_node(ivy_who_node(who));
	mix(ivy_who_txn(who));
}

static void mix_time(int node, u64 t)
{
	mix(t > world.now[node] ? t - world.now[node] : 0);
}

/* Also of what is over, since something else follows it by a margin. */
static void mix_around(int node, u64 t)
{
	mix(t + 16 * W_STEP_NS > world.now[node] ? t - world.now[node] : ~0ull >> 1);
}

static void mix_ago(int node, u64 t)
{
	mix(!t || world.now[node] - t > 16 * W_STEP_NS ? ~0ull : world.now[node] - t);
}

/* How long it waits for an answer already: how long it may is up to how slow the other node is. */
static void mix_asked(int node, u64 asked, bool again)
{
	mix((asked ? world.now[node] - asked : ~0ull >> 1) << 1 | again);
}

/* The time at `from` when it asked, or, in an answer, at `to`; or a version. */
static u64 since(const struct packet *p, int from, int to)
{
	if (!p->m.ver)
		return 0;
	if (p->m.type == IVY_LEASE || p->m.type == IVY_BEAT)
		return world.now[from] - p->m.ver;
	if (p->m.type == IVY_LEASED || p->m.type == IVY_BEATEN)
		return world.now[to] - p->m.ver;
	return p->m.ver;
}

static void mix_packet(const struct packet *p, bool raw, int from, int to)
{
	u32 i;

	mix(p->m.type | p->m.flags << 8 | p->m.count << 16);
	mix_node(p->m.src);
	mix_node(p->m.type == IVY_INV ? p->m.to : IVY_NONE);
	mix(p->m.page | (u64)p->m.more << 32);
	mix(since(p, from, to));
	if (raw)
		mix(p->m.who);
	else
		mix_who(p->m.who);
	mix(p->m.inc);
	mix(p->value);
	for (i = 0; i < p->m.count; i++) {
		if (ivy_entry_bytes(p->m.type) == 2)
			mix_node(p->list16[i]);
		else
			mix_who(p->list64[i]);
	}
}

/* Whether `who` is no request's number. */
static bool raw_who(const struct packet *p)
{
	return p->m.type <= IVY_LEASED || p->m.type == IVY_BEAT;
}

static void mix_wire(int from, int to)
{
	const struct wire *w = &world.w[from][to];
	int i;

	mix(w->n | w->past << 8);
	for (i = 0; i < w->n; i++)
		mix_packet(&w->p[i], raw_who(&w->p[i]), from, to);
	for (i = 0; i < w->past; i++)
		mix_packet(&w->before[i], raw_who(&w->before[i]), from, to);
}

static void mix_frame(int node, const struct frame *f)
{
	mix(f->resident | f->mapped << 4 | f->revoke << 8 | f->armed << 12 | f->wait << 16 |
	    f->failed << 20 | (u64)f->slot.right << 24 | (u64)f->slot.flags << 32);
	mix(f->slot.ver);
	mix(f->value);
	mix(f->discard);
	mix_time(node, f->slot.held * 1000ull);
	if (f->deadline)
		mix_time(node, f->deadline);
}

static void mix_op(int node, const struct ivy_op *op)
{
	int i;

	mix(op->want | op->sent << 4 | op->discard << 8 | op->todo << 12 | op->give_flags << 20 |
	    (u64)op->nserve << 32 | (u64)(op->want == IVY_S && op->look) << 48 |
	    (u64)op->ahead << 52);
	mix_who(op->who);
	mix(op->floor);
	if (op->want && (op->sent || op->ahead))
		mix_asked(node, op->asked, op->again);
	mix_asked(node, op->slot_asked, op->slot_again);
	if (op->todo & IVY_TODO_GIVE) {
		mix(op->give_ver);
		mix_who(op->give_who);
	}
	if (op->todo & IVY_TODO_INV) {
		mix(op->inv_ver);
		mix_node(op->inv_to);
	}
	if (op->nserve)
		mix(op->serve_ver);
	for (i = 0; i < op->nserve; i++)
		mix_who(op->serve[i]);
	if (op->cast) {
		mix(op->cast->ver << 16 | op->cast->n << 8 | op->cast->acked);
		mix_node(op->cast->to);
		mix_time(node, op->cast->due);
		for (i = 0; i < op->cast->n; i++)
			mix_node(op->cast->ids[i]);
		mix(((u8 *)(op->cast->ids + op->cast->n))[0]);
	}
}

static void mix_txn(int node, const struct ivy_txn *t)
{
	u32 i;

	mix(t->phase | t->dead << 8 | t->nodata << 9 | t->doubt << 10 |
	    (u64)(t->nwait - t->at) << 16);
	mix_who(t->who);
	mix(t->newver);
	mix_asked(node, t->asked, t->again);
	if (t->phase == IVY_PH_SEEK)
		mix_node(t->seek);
	for (i = t->at; i < t->nwait; i++) {
		mix_who(t->wait[i].who);
		mix(t->wait[i].have);
	}
}

static void mix_home(int node, const struct ivy_home *h)
{
	int i;

	mix(h->ver << 2 | h->orphan << 1 | h->lost);
	mix_node(h->owner);
	for (i = 0; i < config->nodes; i++)
		mix(ivy_set_has(&h->set, order[i]));
	if (h->txn)
		mix_txn(node, h->txn);
}

static void mix_peer(int node, const struct ivy_peer *p)
{
	mix(p->my_state | p->its_state << 8 | p->my_slots << 16 | (u64)p->my_ops << 24 |
	    (u64)p->its_leaving << 48 | (u64)p->its_clean << 49 | (u64)p->slow << 52);
	mix(p->my_inc);
	mix(p->its_inc);
	if (!world_leases(config))
		return;
	mix(p->home_start);
	mix_around(node, p->my_end);
	mix_time(node, p->my_due);
	mix_time(node, p->its_end);
	mix(p->its_counted);
	mix(p->my_left);
}

static void mix_pair(int node, const struct ivy_pair *p, const struct ivy_peer *peer)
{
	mix_time(node, p->due.place ? p->due.at : 0);
	mix(p->other);
	if (!peer)
		return;
	mix(peer->my_since ? 1 + (p->my_sent > peer->my_since) : 0);
	mix_ago(node, peer->my_since);
	mix_ago(node, p->my_sent);
	mix_ago(node, p->its_at);
}

static void mix_core(int node)
{
	struct ivy *c = world.core[node];
	const struct ivy_txn *txn;
	const struct ivy_op *one;
	int i;

	world.node = (u8)node;
	mix(c->txn);
	mix(c->end_at | (u64)c->ending << 32 | (u64)c->end_again << 33 |
	    (u64)world.ending[node] << 34);
	mix(c->lose_at << 1 | c->losing);
	for (i = 0; i < c->nlost; i++)
		mix_node(c->lost[i]);
	if (config->ahead)
		mix(c->streams[0].next | c->streams[0].end << 32 | (u64)c->streams[0].n << 48);
	if (world.sweep[node])
		mix_time(node, world.sweep[node]);
	for (i = 0; i < config->nodes; i++)
		if (ivy_peer_get(c, order[i]))
			mix_peer(node, ivy_peer_get(c, order[i]));
	for (i = 0; world.pairs[node] && i < config->nodes; i++)
		if (ivy_pair_get(world.pairs[node], order[i]))
			mix_pair(node, ivy_pair_get(world.pairs[node], order[i]),
				 ivy_peer_get(c, order[i]));
	/* Who is looked at first is the first to be asked once more, and to make others wait longer. */
	for (txn = c->txns; txn; txn = txn->next)
		mix(txn->page);
	for (i = 0; i < (int)IVY_BUCKETS; i++)
		for (one = c->ops[i]; one; one = one->next)
			mix(one->page);
	for (i = 0; i < config->pages; i++) {
		const struct ivy_op *op = ivy_op_get(c, (u64)i);
		const struct ivy_home *h = ivy_dir_entry(c, (u64)i, false);

		mix_frame(node, &world.f[node][i]);
		mix(op ? 1 : 2);
		if (op)
			mix_op(node, op);
		mix(h ? 3 : 4);
		if (h)
			mix_home(node, h);
	}
}

static u64 hash_in_order(void)
{
	int i, k;

	hash = 0x2545f4914f6cdd1dull;
	for (i = 0; i < config->nodes; i++) {
		place[order[i]] = (u8)i;
	}
	for (i = 0; i < config->nodes; i++) {
		mix(world.left[order[i]]);
		mix_core(order[i]);
		for (k = 0; k < config->nodes; k++)
			mix_wire(order[i], order[k]);
		if (config->cuts)
			mix(world.cut == 1 + order[i]);
	}
	for (i = 0; i < config->pages; i++) {
		const struct truth *truth = &world.truth[i];

		mix(truth->newest << 2 | truth->zeroed << 1 | world.lost[i]);
		mix(truth->discarded);
	}
	mix(world.found ? 1 : 0);
	mix(world.evicts | world.discards << 4 | world.losses << 8 | world.repeats << 12 |
	    (u64)world.ticks << 16 | (u64)world.steps << 20 | (u64)world.cuts << 28 |
	    (u64)world.overtakes << 32 | (u64)world.drops << 36);
	return hash;
}

u64 world_hash(const struct world_config *cfg)
{
	u64 one, other;
	int i;

	config = cfg;
	for (i = 0; i < W_NODES; i++)
		order[i] = (u8)i;
	one = hash_in_order();
	/* A chain, a second home and the search for a copy treat nodes by their number; so do those of which one only looks. */
	if (cfg->looks > 1 || cfg->nodes != 3 || cfg->fanout == 1 || cfg->pages > 1 || world_leases(cfg) ||
	    cfg->faults[1] != cfg->faults[2])
		return one;
	order[1] = 2;
	order[2] = 1;
	other = hash_in_order();
	return one < other ? one : other;
}
