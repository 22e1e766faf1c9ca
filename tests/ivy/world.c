// SPDX-License-Identifier: GPL-2.0-or-later
/* world.c - what the cores see as their environment, and what may happen to it. */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct world world;
bool world_trace;
static const struct world_config *config;

static struct frame *frame(u64 page)
{
	return &world.f[world.node][page];
}

/* ---- memory ---- */

/* Large blocks are scratch space: their contents mean nothing between two calls. */
#define LARGE 1280u
static_assert(sizeof(struct ivy) < LARGE, "an instance is part of a state");

static void *w_alloc(void *ctx, size_t bytes)
{
	u32 class = (u32)(bytes + 63) / 64, at;

	(void)ctx;
	if (bytes >= LARGE)
		return calloc(1, bytes);
	at = world.spare[class];
	if (at) {
		memcpy(&world.spare[class], world.arena + at - 1, sizeof(u32));
		at--;
	} else {
		at = world.used;
		world.used += class * 64;
		if (world.used > W_ARENA) {
			fprintf(stderr, "arena is too small\n");
			abort();
		}
	}
	memset(world.arena + at, 0, class * 64);
	return world.arena + at;
}

static void w_free(void *ctx, void *p, size_t bytes)
{
	u32 class = (u32)(bytes + 63) / 64;
	u32 at = (u32)((u8 *)p - world.arena) + 1;

	(void)ctx;
	if (bytes >= LARGE) {
		free(p);
		return;
	}
	memcpy(p, &world.spare[class], sizeof(u32));
	world.spare[class] = at;
}

/* ---- the cores' environment ---- */

static void w_send(void *ctx, u16 dst, const struct ivy_msg *m, const void *data)
{
	struct wire *w = &world.w[world.node][dst];
	struct packet *p = &w->p[w->n];
	u32 i;

	(void)ctx;
	if (w->n == W_WIRE || m->count > W_LIST)
		return;
	memset(p, 0, sizeof(*p));
	w->n++;
	p->m = *m;
	p->m.list = NULL;
	for (i = 0; i < m->count; i++)
		if (ivy_entry_bytes(m->type) == 2)
			p->list16[i] = ivy_list_id(m, i);
		else
			p->list64[i] = ivy_list_who(m, i);
	if (m->flags & IVY_F_PAGE)
		p->value = data ? *(const u64 *)data : frame(m->page)->value;
}

static int w_revoke(void *ctx, u64 page, enum ivy_right right, u64 deadline)
{
	struct frame *f = frame(page);

	(void)ctx;
	if (f->mapped <= right && !f->revoke)
		return 1;
	f->revoke = (u8)(1 + right);
	f->deadline = deadline;
	return 0;
}

static void w_sweep(void *ctx, u64 deadline)
{
	u64 *sweep = &world.sweep[world.node];

	(void)ctx;
	if (!*sweep || *sweep > deadline)
		*sweep = deadline;
}

static void w_ending(void *ctx)
{
	(void)ctx;
	world.ending[world.node] = true;
}

static void w_install(void *ctx, u64 page, const void *data)
{
	struct frame *f = frame(page);

	(void)ctx;
	f->value = data ? *(const u64 *)data : 0;
}

static void w_complete(void *ctx, u64 page, int err)
{
	struct frame *f = frame(page);

	(void)ctx;
	f->woken = true;
	f->failed |= err != 0;
	truth_discarded(&world.truth[page], f->discard, err);
	f->discard = 0;
}

static void w_arm_hold(void *ctx, u64 page, u64 ns)
{
	(void)ctx;
	(void)ns;
	frame(page)->armed = true;
}

static u64 w_now(void *ctx)
{
	(void)ctx;
	return world.now[world.node];
}

static void w_lost(void *ctx, u64 page)
{
	struct ivy *home = world.core[world.node];
	int i;

	(void)ctx;
	world.lost[page] = true;
	for (i = 0; i < config->nodes; i++) {
		const struct frame *f = &world.f[i][page];

		world.node = (u8)i;
		if (f->resident &&
		    truth_held(&world.truth[page], home, world.core[i], page, &f->slot, f->value))
			world.found = "a page was lost that a node has";
	}
	world.node = (u8)home->p.id;
}

static struct ivy_slot *w_slot_get(void *ctx, u64 page)
{
	(void)ctx;
	return frame(page)->resident ? &frame(page)->slot : NULL;
}

static struct ivy_slot *w_slot_new(void *ctx, u64 page)
{
	struct frame *f = frame(page);

	(void)ctx;
	memset(&f->slot, 0, sizeof(f->slot));
	f->value = 0;
	f->resident = true;
	return &f->slot;
}

/* Whether the page's home let this node free what it put there, though nobody has it else. */
static bool given_up(const struct frame *f, u64 page)
{
	const struct truth *truth = &world.truth[page];
	int i, node = world.node;
	bool held;

	if (!(f->slot.flags & IVY_SLOT_PUT) || (f->slot.flags & (IVY_SLOT_ZERO | IVY_SLOT_FRESH)))
		return false;
	held = truth_held(truth, world.core[ivy_home(world.core[node], page)], world.core[node], page,
			  &f->slot, f->value);
	for (i = 0; i < config->nodes && held; i++)
		if (i != node && world.f[i][page].resident)
			held = world.f[i][page].value != truth->newest;
	world.node = (u8)node;
	return held;
}

static void w_slot_free(void *ctx, u64 page)
{
	struct frame *f = frame(page);

	(void)ctx;
	if (given_up(f, page))
		world.found = "the only copy was given up";
	memset(&f->slot, 0, sizeof(f->slot));
	f->value = 0;
	f->resident = false;
}

static bool w_slot_next(void *ctx, u64 *page)
{
	for (; *page < config->pages; ++*page)
		if (w_slot_get(ctx, *page))
			return true;
	return false;
}

static const struct ivy_env env = {
	.send = w_send,
	.revoke = w_revoke,
	.sweep = w_sweep,
	.ending = w_ending,
	.install = w_install,
	.complete = w_complete,
	.arm_hold = w_arm_hold,
	.now = w_now,
	.alloc = w_alloc,
	.free = w_free,
	.lost = w_lost,
	.slot_get = w_slot_get,
	.slot_new = w_slot_new,
	.slot_free = w_slot_free,
	.slot_next = w_slot_next,
};

static void w_pair_send(void *ctx, u16 dst, const struct ivy_msg *m)
{
	w_send(ctx, dst, m, NULL);
}

static void w_pair_lock(void *ctx)
{
	(void)ctx;
}

static void w_pair_wake(void *ctx, u64 at)
{
	(void)ctx;
	(void)at;
}

static const struct ivy_pairs_env pairs_env = {
	.lock = w_pair_lock,
	.unlock = w_pair_lock,
	.send = w_pair_send,
	.now = w_now,
	.wake = w_pair_wake,
	.alloc = w_alloc,
	.free = w_free,
};

/* ---- users of the memory ---- */

/* A faulter that was woken asks again, and maps the page if it may. */
static void fault_again(int node, int page)
{
	struct frame *f = &world.f[node][page];
	int got;

	world.node = (u8)node;
	f->woken = false;
	if (!f->wait)
		return;
	if (f->failed) {
		f->wait = f->failed = 0;
		return;
	}
	got = ivy_fault(world.core[node], (u64)page,
			f->wait == IVY_M				 ? IVY_WRITE
			: config->looks == 1 || (config->looks && node % 2) ? IVY_LOOK
									 : IVY_READ);
	if (got == 1) {
		if (f->mapped < f->wait)
			f->mapped = f->wait;
		/* A writer reads, too: most of the page stays. */
		if (!world.found)
			world.found = truth_wrong(&world.truth[page], f->value);
		if (f->wait == IVY_M)
			f->value = truth_write(&world.truth[page]);
		f->wait = 0;
	} else if (got < 0) {
		f->wait = 0;
	}
}

static void after(int node)
{
	int page, again = 8;

	do {
		for (page = 0; page < config->pages; page++)
			if (world.f[node][page].woken)
				fault_again(node, page);
		for (page = 0; page < config->pages && !world.f[node][page].woken; page++)
			;
	} while (page < config->pages && --again);
}

static struct ivy *enter(int node)
{
	world.node = (u8)node;
	return world.core[node];
}

void packet_print(const struct packet *p)
{
	printf(" %s(page %d+%d ver %d who %d.%d inc %d flags %x)", ivy_type_name(p->m.type),
	       (int)p->m.page, p->m.more, (int)p->m.ver, ivy_who_node(p->m.who),
	       (int)ivy_who_txn(p->m.who), (int)p->m.inc, p->m.flags);
}

/* ---- events ---- */

void world_fault(int node, int page, bool write)
{
	world.f[node][page].wait = write ? IVY_M : IVY_S;
	world.f[node][page].failed = false;
	fault_again(node, page);
	after(node);
}

static void packet_deliver(struct packet *p, int to)
{
	u8 list[W_LIST * 8];
	u32 i;

	for (i = 0; i < p->m.count; i++)
		if (ivy_entry_bytes(p->m.type) == 2)
			ivy_list_put_id(list, i, p->list16[i]);
		else
			ivy_list_put_who(list, i, p->list64[i]);
	p->m.list = list;
	enter(to);
	if (p->m.type == IVY_BEAT || p->m.type == IVY_BEATEN)
		ivy_pairs_rx(world.pairs[to], &p->m);
	else
		ivy_rx(world.core[to], &p->m, p->m.flags & IVY_F_PAGE ? &p->value : NULL);
	ivy_flush(enter(to));
	after(to);
}

static struct packet wire_take(struct wire *w, int n)
{
	struct packet p = w->p[n];

	w->n--;
	memmove(w->p + n, w->p + n + 1, (size_t)(w->n - n) * sizeof(w->p[0]));
	memset(&w->p[w->n], 0, sizeof(w->p[0]));
	return p;
}

void world_overtake(int from, int to, int n)
{
	struct packet p = wire_take(&world.w[from][to], n);

	world.overtakes--;
	packet_deliver(&p, to);
}

void world_deliver(int from, int to)
{
	struct wire *w = &world.w[from][to];
	struct packet p = wire_take(w, 0);

	if (world.repeats) {
		if (w->past == W_HISTORY)
			memmove(w->before, w->before + 1, sizeof(w->before) - sizeof(w->before[0]));
		else
			w->past++;
		w->before[w->past - 1] = p;
	}
	if (world_trace) {
		printf("    then %d to %d:", from, to);
		packet_print(&p);
		printf("\n");
	}
	packet_deliver(&p, to);
}

void world_lose(int from, int to, int keep)
{
	struct wire *w = &world.w[from][to];

	memset(&w->p[keep], 0, (size_t)(w->n - keep) * sizeof(w->p[0]));
	w->n = (u8)keep;
	/* What comes again would have to come in order: nothing does, after a gap. */
	w->past = 0;
	memset(w->before, 0, sizeof(w->before));
	world.losses--;
}

void world_drop(int from, int to, int n)
{
	wire_take(&world.w[from][to], n);
	world.drops--;
}

void world_repeat(int from, int to, int how_many)
{
	struct wire *w = &world.w[from][to];

	if (w->n + how_many > W_WIRE)
		return;
	memmove(w->p + how_many, w->p, w->n * sizeof(w->p[0]));
	memcpy(w->p, w->before + w->past - how_many, (size_t)how_many * sizeof(w->p[0]));
	w->n = (u8)(w->n + how_many);
	world.repeats--;
	if (!world.repeats) {
		int i, k;

		for (i = 0; i < W_NODES; i++)
			for (k = 0; k < W_NODES; k++) {
				world.w[i][k].past = 0;
				memset(world.w[i][k].before, 0, sizeof(world.w[i][k].before));
			}
	}
}

void world_revoked(int node, int page)
{
	struct frame *f = &world.f[node][page];
	u8 right = (u8)(f->revoke - 1);

	/* The worst moment for a last write. */
	if (f->mapped == IVY_M)
		f->value = truth_write(&world.truth[page]);
	if (f->mapped > right)
		f->mapped = right;
	f->revoke = 0;
	f->deadline = 0;
	ivy_revoked(enter(node), (u64)page);
	after(node);
}

void world_swept(int node)
{
	int page;

	world.node = (u8)node;
	for (page = 0; page < config->pages; page++) {
		struct frame *f = &world.f[node][page];

		/* The worst moment for a last write. */
		if (f->mapped == IVY_M)
			f->value = truth_write(&world.truth[page]);
		f->mapped = IVY_I;
	}
	world.sweep[node] = 0;
	world.ending[node] = true;
}

void world_ending(int node)
{
	world.ending[node] = ivy_ending(enter(node));
	after(node);
}

void world_unhold(int node, int page)
{
	world.f[node][page].armed = false;
	ivy_unhold(enter(node), (u64)page);
	after(node);
}

void world_evict(int node, int page)
{
	ivy_evict(enter(node), (u64)page);
	after(node);
}

void world_discard(int node, int page)
{
	struct frame *f = &world.f[node][page];
	u64 before = f->discard;

	/* Where nobody else has it, it may be told at once. */
	f->discard = 1 + world.truth[page].newest;
	world.truth[page].discards += !before;
	if (ivy_discard(enter(node), (u64)page)) {
		f->discard = before;
		world.truth[page].discards -= !before;
	} else {
		world.truth[page].zeroed = true;
	}
	after(node);
}

static void tick(int node)
{
	enter(node);
	if (world.pairs[node])
		ivy_pairs_tick(world.pairs[node]);
	ivy_tick(world.core[node]);
	after(node);
}

/* One node's clock is ahead: all that it waits for is late. */
void world_tick(int node)
{
	world.now[node] += 4 * W_STEP_NS;
	tick(node);
}

/* The environment ends a mapping by the end of the lease: that is its promise. */
bool world_may_step(void)
{
	int i, k;

	for (i = 0; !config->slow && i < config->nodes; i++)
		for (k = 0; k < config->nodes; k++)
			if (world_may_deliver(i, k))
				return false;
	for (i = 0; i < config->nodes; i++)
		if (world.sweep[i] && world.sweep[i] <= world.now[i] + W_STEP_NS)
			return false;
	for (i = 0; i < config->nodes; i++)
		for (k = 0; k < config->pages; k++)
			if (world.f[i][k].revoke && world.f[i][k].deadline &&
			    world.f[i][k].deadline <= world.now[i] + W_STEP_NS)
				return false;
	return true;
}

void world_step(void)
{
	int i;

	/* The home is node 0: it declares others lost as early as it may. */
	for (i = 0; i < config->nodes; i++)
		world.now[i] += W_STEP_NS;
	for (i = 0; i < config->nodes; i++)
		tick(i);
}

/* What is on the wires stays there, until the node comes back or the connections are given up. */
void world_cut(int node)
{
	world.cut = (u8)(1 + node);
}

void world_heal(bool lose)
{
	int i, node = world.cut - 1;

	world.cut = 0;
	for (i = 0; lose && i < config->nodes; i++) {
		memset(&world.w[i][node], 0, sizeof(world.w[i][node]));
		memset(&world.w[node][i], 0, sizeof(world.w[node][i]));
	}
}

bool world_may_deliver(int from, int to)
{
	return world.w[from][to].n && world.cut != 1 + from && world.cut != 1 + to;
}

/* ---- what must hold ---- */

static const char *page_wrong(int page)
{
	int i, writers = 0, readers = 0;

	for (i = 0; i < config->nodes; i++) {
		const struct frame *f = &world.f[i][page];
		const char *wrong = f->mapped ? truth_wrong(&world.truth[page], f->value) : NULL;

		writers += f->mapped == IVY_M;
		readers += f->mapped == IVY_S;
		if (wrong)
			return wrong;
	}
	if (writers > 1)
		return "two nodes can write";
	if (writers && readers)
		return "a node can write what another one reads";
	return NULL;
}

const char *world_wrong(void)
{
	const char *wrong = world.found;
	int page;

	for (page = 0; page < config->pages && !wrong; page++) {
		wrong = page_wrong(page);
		/* A lease ends, too, whose renewals are dropped. */
		if (!wrong && world.lost[page] && !config->cuts &&
		    !(config->leases && config->drops))
			wrong = "a page was lost and no node was";
	}
	return wrong;
}

/* ---- a fair end ---- */

static bool deliver_all(void)
{
	bool any = false;
	int i, k;

	for (i = 0; i < config->nodes; i++)
		for (k = 0; k < config->nodes; k++)
			if (world_may_deliver(i, k)) {
				world_deliver(i, k);
				any = true;
			}
	for (i = 0; i < config->nodes; i++) {
		if (world.sweep[i]) {
			world_swept(i);
			any = true;
		}
		if (world.ending[i]) {
			world_ending(i);
			any = true;
		}
	}
	for (i = 0; i < config->nodes; i++)
		for (k = 0; k < config->pages; k++) {
			if (world.f[i][k].revoke) {
				world_revoked(i, k);
				any = true;
			}
			if (world.f[i][k].armed) {
				world_unhold(i, k);
				any = true;
			}
		}
	return any;
}

static const char *pending(void)
{
	int i, k;

	for (i = 0; i < config->nodes; i++)
		for (k = 0; k < config->pages; k++) {
			if (world.f[i][k].wait)
				return "a fault never ends";
			if (world.f[i][k].discard)
				return "a discard is never told of";
			if (world.f[i][k].slot.flags & (IVY_SLOT_GIVEN | IVY_SLOT_PUT))
				return "a page is kept for nobody";
			if (ivy_op_get(world.core[i], (u64)k))
				return "something never ends";
			if (ivy_home(world.core[i], (u64)k) == i) {
				const struct ivy_home *h = ivy_dir_entry(world.core[i], (u64)k, false);

				if (h && h->txn)
					return "a write never ends";
			}
		}
	return NULL;
}

/* With nothing under way, the directory and the nodes have to agree. */
static const char *page_disagrees(int page)
{
	u16 home = ivy_home(world.core[0], (u64)page);
	const struct ivy_home *h = NULL;
	int i, rights = 0;

	world.node = (u8)home;
	h = ivy_dir_entry(world.core[home], (u64)page, false);
	for (i = 0; i < config->nodes; i++) {
		const struct frame *f = &world.f[i][page];

		if (f->mapped > f->slot.right)
			return "more is mapped than allowed";
		if (!f->resident)
			continue;
		if (!h || f->slot.ver != h->ver)
			return "a copy has another version than the directory";
		if (h->owner != i && !ivy_set_has(&h->set, (u16)i))
			return "a holder is not in the copyset";
		if ((f->slot.flags & IVY_SLOT_OWNER) && h->owner != i)
			return "a node thinks it is the owner";
		rights += f->slot.right == IVY_M ? 100 : 1;
	}
	if (rights > 100)
		return "more than a writer";
	if (h && h->owner != IVY_NONE && !(world.f[h->owner][page].slot.flags & IVY_SLOT_OWNER))
		return "the owner does not know that it is";
	return NULL;
}

const char *world_finish(void)
{
	const char *wrong = NULL;
	int rounds, page, i, busy = 0;

	if (world.cut)
		world_heal(false);
	for (rounds = 0; rounds < 40; rounds++) {
		while (deliver_all())
			if ((wrong = world_wrong()))
				return wrong;
			else if (++busy > 500)
				return "messages go round for ever";
		wrong = pending();
		/* Long enough for every lease that is not renewed to end. */
		if (!wrong && (!world_leases(config) || rounds > 8))
			break;
		if (world_leases(config))
			world_step();
		else
			for (i = 0; i < config->nodes; i++)
				world_tick(i);
	}
	for (page = 0; page < config->pages && !wrong; page++)
		wrong = page_disagrees(page);
	return wrong ? wrong : world_wrong();
}

/* ---- the beginning ---- */

static void settle(void)
{
	while (deliver_all())
		;
}

static bool waits(int from, int to, u8 type)
{
	const struct wire *w = &world.w[from][to];

	return w->n && w->p[w->n - 1].m.type == type;
}

static void access_whole(int node, bool write)
{
	world_fault(node, 0, write);
	settle();
}

static void cut_until_lost(int node)
{
	world_cut(node);
	while (!ivy_stats(world.core[0])->lost_nodes) {
		settle();
		world_step();
	}
}

static void begin_shared(void)
{
	access_whole(1, true);
	access_whole(2, false);
}

static void begin_owner_lost(void)
{
	begin_shared();
	cut_until_lost(1);
	while (!waits(0, 2, IVY_SEEK))
		world_ending(0);
}

static void begin_copy_on_way(void)
{
	access_whole(1, true);
	access_whole(2, true);
	access_whole(1, true);
	world_fault(2, 0, false);
	while (!waits(1, 2, IVY_DATA)) {
		if (world.f[1][0].revoke)
			world_revoked(1, 0);
		else
			world_deliver(world.w[2][0].n ? 2 : 0, world.w[2][0].n ? 0 : 1);
	}
	cut_until_lost(1);
	world_heal(false);
}

static void begin_asked_twice(void)
{
	struct packet again;

	access_whole(1, false);
	access_whole(2, false);
	world_fault(2, 0, true);
	again = world.w[2][0].p[0];
	settle();
	access_whole(1, true);
	access_whole(2, false);
	access_whole(0, false);
	world.w[2][0].p[world.w[2][0].n++] = again;
}

static void begin(void)
{
	switch (config->begin) {
	case W_NOTHING:
		break;
	case W_FRESH:
		access_whole(1, false);
		break;
	case W_SHARED:
		begin_shared();
		break;
	case W_OWNER_LOST:
		begin_owner_lost();
		break;
	case W_COPY_ON_WAY:
		begin_copy_on_way();
		break;
	case W_ASKED_TWICE:
		begin_asked_twice();
		break;
	}
}

static struct ivy_pairs *pairs_begin(const struct ivy_params *core)
{
	struct ivy_pairs_params p = {.id = core->id,
				     .nodes = core->nodes,
				     .start = core->start,
				     .lease_ns = core->lease_ns,
				     .retry_ns = core->retry_ns};
	struct ivy_pairs *pairs;

	if (ivy_pairs_create(&p, &pairs_env, NULL, &pairs))
		abort();
	return pairs;
}

void world_init(const struct world_config *cfg)
{
	static const u16 homes[W_NODES] = {0, 1, 2};
	struct ivy_params p = {.nodes = cfg->nodes,
			       .nhomes = (u16)(1 + (cfg->pages - 1) / IVY_RUN),
			       .homes = homes,
			       .pages = cfg->pages,
			       .fanout = cfg->fanout,
			       .ahead = cfg->ahead};
	int i;

	config = cfg;
	memset(&world, 0, sizeof(world));
	p.hold_ns = cfg->hold ? 1000000 : 0;
	p.retry_ns = world_leases(cfg) ? 2 * W_STEP_NS : 3 * W_STEP_NS;
	p.lease_ns = world_leases(cfg) ? 6 * W_STEP_NS : 1ull << 50;
	p.margin_ns = world_leases(cfg) ? 2 * W_STEP_NS : 1000;
	for (i = 0; i < cfg->nodes; i++) {
		world.node = (u8)i;
		world.now[i] = 100 * W_STEP_NS;
		world.left[i] = cfg->faults[i];
		p.id = (u16)i;
		p.start = 1;
		p.pairs = cfg->beats ? pairs_begin(&p) : NULL;
		world.pairs[i] = p.pairs;
		if (ivy_create(&p, &env, NULL, &world.core[i]))
			abort();
	}
	begin();
	world.evicts = cfg->evicts;
	world.discards = cfg->discards;
	world.losses = cfg->losses;
	world.drops = cfg->drops;
	world.repeats = cfg->repeats;
	world.ticks = cfg->ticks;
	world.steps = cfg->steps;
	world.cuts = cfg->cuts;
	world.overtakes = cfg->overtakes;
}

void world_deinit(void)
{
	int i;

	for (i = 0; i < config->nodes; i++)
		ivy_destroy(enter(i));
	for (i = 0; i < config->nodes; i++)
		ivy_pairs_destroy(world.pairs[i]);
}

size_t world_bytes(void)
{
	return offsetof(struct world, arena) + world.used;
}
