// SPDX-License-Identifier: GPL-2.0-or-later
/* net.c - the clock, the processors, the links, and how they fail. */
#include "net.h"

#include "truth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_BYTES 78u /* Ethernet, IP and TCP around a message */
#define KEPT	    4	/* messages that a connection can repeat */
#define SLOWER	    500u /* a message at a node that is slow for a while */

struct net_packet {
	struct net_packet *next;
	u32 hop, epoch;
	u64 seq;
	u16 from;
	u32 bytes;
	u64 value;
	u8 wire[]; /* header and list */
};

/* One direction of a connection; only with faults. */
struct way {
	u64 sent, cut; /* messages; those of an old epoch from `cut` on are lost */
	u64 arrives;   /* the last one */
	u32 epoch;
	struct net_packet *kept[KEPT];
};

enum kind { ARRIVE, WORK, REVOKED, UNHOLD, SWEPT, ENDING, CALL, TICK, RESET };

struct event {
	u64 t, seq;
	u8 kind;
	u16 node;
	u32 page;
	u32 life; /* of the node, when it was planned */
	void *p;
};

struct net_node *net_nodes;
struct net_totals net_totals;
u64 net_now;
void (*net_answered)(struct net_node *n, u32 page, bool lost);

static struct net_config config;
static struct way *ways;
static struct event *heap;
static size_t heap_n, heap_cap;
static u64 event_seq, random_state;
static struct truth *truths; /* by group and page */
static u64 active;     /* events that are not ticks or resets */

/* The first node of those that share a region with this one, and how many they are. */
static u16 group_first(u16 node)
{
	return config.group ? (u16)(node - node % config.group) : 0;
}

static u16 group_end(u16 node)
{
	u32 end = config.group ? group_first(node) + (u32)config.group : config.nodes;

	return (u16)(end < config.nodes ? end : config.nodes);
}

static struct truth *truth_of(const struct net_node *n, u64 page)
{
	return &truths[config.group ? n->id / config.group * config.pages + page : page];
}

u64 net_random(u64 below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 11) % below;
}

static void bad(const char *what, u64 page)
{
	fprintf(stderr, "%s: page %llu at %llu ns\n", what, (unsigned long long)page,
		(unsigned long long)net_now);
	exit(1);
}

/* ---- events ---- */

static bool earlier(const struct event *a, const struct event *b)
{
	return a->t < b->t || (a->t == b->t && a->seq < b->seq);
}

static void event_add(u64 t, enum kind kind, u16 node, u32 page, void *p)
{
	struct event e = {t, event_seq++, (u8)kind, node, page, net_nodes[node].life, p};
	size_t i;

	if (heap_n == heap_cap) {
		heap_cap = heap_cap ? 2 * heap_cap : 65536;
		heap = realloc(heap, heap_cap * sizeof(*heap));
	}
	active += kind < TICK;
	for (i = heap_n++; i && earlier(&e, &heap[(i - 1) / 2]); i = (i - 1) / 2)
		heap[i] = heap[(i - 1) / 2];
	heap[i] = e;
}

static struct event event_take(void)
{
	struct event first = heap[0], last = heap[--heap_n];
	size_t i = 0, k;

	while ((k = 2 * i + 1) < heap_n) {
		if (k + 1 < heap_n && earlier(&heap[k + 1], &heap[k]))
			k++;
		if (!earlier(&heap[k], &last))
			break;
		heap[i] = heap[k];
		i = k;
	}
	heap[i] = last;
	active -= first.kind < TICK;
	return first;
}

void net_at(u64 when, u16 node, void (*fn)(struct net_node *n))
{
	event_add(when, CALL, node, 0, (void *)fn);
}

/* Something that happens once in so many times, if anything goes wrong at all. */
static bool mishap(u64 times)
{
	return config.faults && net_now && !net_random(times);
}

static u64 cpu_ns(const struct net_node *n)
{
	return config.cpu_ns * (n->slow_until > net_now ? SLOWER : 1);
}

/* ---- the wire ---- */

static struct way *way_of(u16 from, u16 to)
{
	return ways ? &ways[(size_t)from * config.nodes + to] : NULL;
}

static u64 link_ns(u32 bytes)
{
	return (u64)(bytes + FRAME_BYTES) * 8000 / config.bits_per_us;
}

static void packet_keep(struct way *w, const struct net_packet *p)
{
	size_t size = sizeof(*p) + p->bytes;
	struct net_packet **at = &w->kept[w->sent % KEPT];

	free(*at);
	*at = malloc(size);
	memcpy(*at, p, size);
}

static void packet_fly(struct net_node *n, u16 to, struct net_packet *p, bool page)
{
	u64 start = n->cpu > n->tx ? n->cpu : n->tx;
	struct way *w = way_of(n->id, to);
	u64 at;

	n->tx = start + link_ns(p->bytes + (page ? IVY_PAGE_BYTES : 0));
	at = n->tx + config.rtt_ns / 2;
	if (config.jitter_ns)
		at += net_random(config.jitter_ns);
	if (w) {
		if (!ivy_type_urgent(p->wire[0]) || net_random(2)) {
			at = at > w->arrives ? at : w->arrives + 1;
			w->arrives = at;
		}
		p->epoch = w->epoch;
		p->seq = w->sent;
		packet_keep(w, p);
		w->sent++;
	}
	event_add(at, ARRIVE, to, 0, p);
}

static void inv_count(struct net_node *n, const struct ivy_msg *m, u32 hop)
{
	if (m->type != IVY_INV && m->type != IVY_ACK)
		return;
	n->inv_sent++;
	if (m->type == IVY_INV && !net_totals.first_inv) {
		net_totals.first_inv = n->cpu;
		net_totals.inv_hop = hop;
	}
}

static void net_send(void *ctx, u16 dst, const struct ivy_msg *m, const void *data)
{
	struct net_node *n = ctx;
	u32 bytes = IVY_HDR_BYTES + m->count * ivy_entry_bytes(m->type);
	bool page = m->flags & IVY_F_PAGE;
	struct net_packet *p = calloc(1, sizeof(*p) + bytes);

	n->cpu = (n->cpu > net_now ? n->cpu : net_now) + cpu_ns(n);
	p->from = n->id;
	p->hop = n->hop + 1;
	p->bytes = bytes;
	ivy_msg_pack(m, p->wire);
	if (page)
		p->value = data ? *(const u64 *)data : n->frames[m->page].value;
	inv_count(n, m, n->hop);
	net_totals.messages++;
	net_totals.bytes += bytes + (page ? IVY_PAGE_BYTES : 0);
	n->messages++;
	if (n->cut_until > net_now || net_nodes[dst].cut_until > net_now || mishap(2000)) {
		net_totals.dropped++;
		free(p);
		return;
	}
	packet_fly(n, dst, p, page);
}

static void net_pair_send(void *ctx, u16 dst, const struct ivy_msg *m)
{
	net_totals.beats++;
	net_send(ctx, dst, m, NULL);
}

/* The connection breaks: what was sent last is lost, and some of the rest comes again. */
static void way_reset(u16 from, u16 to)
{
	struct way *w = way_of(from, to);
	u64 lost = net_random(3), again = net_random(KEPT), i;

	if (w->sent < KEPT)
		return;
	w->cut = w->sent - lost;
	w->epoch++;
	net_totals.resets++;
	for (i = w->cut > again ? w->cut - again : 0; i < w->cut; i++) {
		const struct net_packet *old = w->kept[i % KEPT];
		struct net_packet *p;

		if (!old || old->seq != i)
			continue;
		p = malloc(sizeof(*p) + old->bytes);
		memcpy(p, old, sizeof(*p) + old->bytes);
		p->epoch = w->epoch;
		p->next = NULL;
		w->arrives += 1000;
		if (w->arrives < net_now)
			w->arrives = net_now;
		event_add(w->arrives, ARRIVE, to, 0, p);
		net_totals.repeated++;
	}
}

static bool packet_lost(const struct net_packet *p, u16 to)
{
	struct way *w = way_of(p->from, to);

	if (net_nodes[p->from].cut_until > net_now || net_nodes[to].cut_until > net_now)
		return true;
	return w && p->epoch != w->epoch && (p->epoch + 1 != w->epoch || p->seq >= w->cut);
}

/* ---- the cores' environment ---- */

static int net_revoke(void *ctx, u64 page, enum ivy_right right, u64 deadline)
{
	struct net_node *n = ctx;
	struct net_frame *f = &n->frames[page];

	(void)deadline;
	if (f->mapped <= right && !f->revoke)
		return 1;
	if (!f->revoke)
		event_add(net_now + 1000, REVOKED, n->id, (u32)page, NULL);
	f->revoke = (u8)(1 + right);
	return 0;
}

static void net_sweep(void *ctx, u64 deadline)
{
	(void)deadline;
	event_add(net_now + 1000, SWEPT, ((struct net_node *)ctx)->id, 0, NULL);
}

static void net_ending(void *ctx)
{
	event_add(net_now + 1000, ENDING, ((struct net_node *)ctx)->id, 0, NULL);
}

static void net_install(void *ctx, u64 page, const void *data)
{
	((struct net_node *)ctx)->frames[page].value = data ? *(const u64 *)data : 0;
}

static void net_complete(void *ctx, u64 page, int err)
{
	struct net_frame *f = &((struct net_node *)ctx)->frames[page];

	f->woken = true;
	f->failed |= err != 0;
	truth_discarded(truth_of(ctx, page), f->discard, err);
	net_totals.discards += f->discard && !err;
	f->discard = 0;
}

static void net_arm_hold(void *ctx, u64 page, u64 ns)
{
	event_add(net_now + ns, UNHOLD, ((struct net_node *)ctx)->id, (u32)page, NULL);
}

static u64 net_clock(void *ctx)
{
	(void)ctx;
	return net_now;
}

/* Memory is short, now and then: everything has to go on without. */
static bool memory_short(const struct net_node *n)
{
	return mishap(n->short_until > net_now ? 3 : 500);
}

static void *net_alloc(void *ctx, size_t bytes)
{
	if (memory_short(ctx))
		return NULL;
	net_totals.memory += bytes;
	if (net_totals.memory > net_totals.memory_max)
		net_totals.memory_max = net_totals.memory;
	return calloc(1, bytes);
}

static void net_free(void *ctx, void *p, size_t bytes)
{
	(void)ctx;
	net_totals.memory -= bytes;
	free(p);
}

static void net_lost(void *ctx, u64 page)
{
	const struct net_node *home = ctx;
	u32 i;

	net_totals.lost++;
	for (i = group_first(home->id); i < group_end(home->id); i++) {
		const struct net_node *n = &net_nodes[i];
		const struct net_frame *f = &n->frames[page];

		if (f->resident &&
		    truth_held(truth_of(home, page), home->core, n->core, page, &f->slot, f->value))
			bad("a page was lost that a node has", page);
	}
	if (!net_totals.cuts && !net_totals.restarts && !net_totals.spells)
		bad("lost, and no node was cut off or began anew", page);
}

static struct ivy_slot *net_slot_get(void *ctx, u64 page)
{
	struct net_frame *f = &((struct net_node *)ctx)->frames[page];

	return f->resident ? &f->slot : NULL;
}

static struct ivy_slot *net_slot_new(void *ctx, u64 page)
{
	struct net_frame *f = &((struct net_node *)ctx)->frames[page];

	if (memory_short(ctx))
		return NULL;
	memset(&f->slot, 0, sizeof(f->slot));
	f->resident = true;
	return &f->slot;
}

static void net_slot_free(void *ctx, u64 page)
{
	((struct net_node *)ctx)->frames[page].resident = false;
}

static bool net_slot_next(void *ctx, u64 *page)
{
	for (; *page < config.pages; ++*page)
		if (net_slot_get(ctx, *page))
			return true;
	return false;
}

/* ---- time ---- */

static void tick_plan(struct net_node *n, u64 at)
{
	u64 late = config.faults ? net_random(config.retry_ns / 2) : 0;

	if (at >= n->tick_at)
		return;
	n->tick_at = at > net_now ? at : net_now;
	n->tick_at += late;
	event_add(n->tick_at, TICK, n->id, 0, NULL);
}

static void net_wake(void *ctx, u64 at)
{
	tick_plan(ctx, at);
}

static void net_lock(void *ctx)
{
	(void)ctx;
}

static const struct ivy_pairs_env pairs_env = {
	.lock = net_lock,
	.unlock = net_lock,
	.send = net_pair_send,
	.now = net_clock,
	.wake = net_wake,
	.alloc = net_alloc,
	.free = net_free,
};

static const struct ivy_env env = {
	.send = net_send,
	.revoke = net_revoke,
	.sweep = net_sweep,
	.ending = net_ending,
	.install = net_install,
	.complete = net_complete,
	.arm_hold = net_arm_hold,
	.now = net_clock,
	.alloc = net_alloc,
	.free = net_free,
	.lost = net_lost,
	.slot_get = net_slot_get,
	.slot_new = net_slot_new,
	.slot_free = net_slot_free,
	.slot_next = net_slot_next,
};

/* ---- users of the memory ---- */

static const char *wrong_near(const struct net_node *n, u32 page)
{
	u32 i, writers = 0, readers = 0;

	for (i = group_first(n->id); i < group_end(n->id); i++) {
		const struct net_frame *f = &net_nodes[i].frames[page];
		const char *wrong = f->mapped ? truth_wrong(truth_of(n, page), f->value) : NULL;

		writers += f->mapped == IVY_M;
		readers += f->mapped == IVY_S;
		if (wrong)
			return wrong;
	}
	if (writers > 1)
		return "two nodes can write";
	return writers && readers ? "a node can write what another one reads" : NULL;
}

const char *net_wrong(u32 page)
{
	return wrong_near(&net_nodes[0], page);
}

static void answered(struct net_node *n, u32 page, bool lost)
{
	struct net_frame *f = &n->frames[page];

	n->ended = net_now;
	n->ended_hop = n->hop;
	if (!lost) {
		const char *wrong;

		if (f->mapped < f->wait)
			f->mapped = f->wait;
		/* A writer reads, too: most of the page stays. */
		wrong = truth_wrong(truth_of(n, page), f->value);
		if (f->wait == IVY_M)
			f->value = truth_write(truth_of(n, page));
		if (!wrong && group_end(n->id) - group_first(n->id) <= 512)
			wrong = wrong_near(n, page);
		if (wrong)
			bad(wrong, page);
	}
	net_totals.faults++;
	f->wait = 0;
	if (net_answered)
		net_answered(n, page, lost);
}

static void fault_again(struct net_node *n, u32 page)
{
	struct net_frame *f = &n->frames[page];
	enum ivy_access access = IVY_READ;
	int got;

	f->woken = false;
	if (!f->wait)
		return;
	if (f->failed) {
		f->failed = false;
		answered(n, page, true);
		return;
	}
	if (f->wait == IVY_M)
		access = IVY_WRITE;
	else if (config.faults && !net_random(3))
		access = IVY_LOOK;
	got = ivy_fault(n->core, page, access);
	if (got == 1)
		answered(n, page, false);
	else if (got == -EIO)
		answered(n, page, true);
	else if (got == -ENOMEM)
		f->woken = true;
}

static void after(struct net_node *n)
{
	u32 page;

	for (page = 0; page < config.pages; page++)
		if (n->frames[page].woken)
			fault_again(n, page);
	tick_plan(n, ivy_due(n->core));
}

void net_fault(u16 node, u32 page, bool write)
{
	struct net_node *n = &net_nodes[node];
	struct net_frame *f = &n->frames[page];

	n->started = net_now;
	n->hop = 0;
	f->wait = write ? IVY_M : IVY_S;
	f->failed = false;
	fault_again(n, page);
	after(n);
}

void net_discard(u16 node, u32 page)
{
	struct net_node *n = &net_nodes[node];
	struct net_frame *f = &n->frames[page];
	u64 before = f->discard;

	/* It may be told of at once. */
	f->discard = 1 + truth_of(n, page)->newest;
	truth_of(n, page)->discards += !before;
	if (!ivy_discard(n->core, page)) {
		truth_of(n, page)->zeroed = true;
	} else {
		f->discard = before;
		truth_of(n, page)->discards -= !before;
	}
	after(n);
}

void net_evict(u16 node, u32 page)
{
	ivy_evict(net_nodes[node].core, page);
	after(&net_nodes[node]);
}

/* ---- what happens ---- */

static void packet_take(struct net_node *n, struct net_packet *p)
{
	u64 page[IVY_PAGE_BYTES / 8] = {p->value};
	static u8 whole[IVY_MSG_MAX];
	struct ivy_msg m;
	u32 bytes = (u32)ivy_msg_bytes(p->wire);

	memcpy(whole, p->wire, p->bytes);
	if (ivy_msg_check(whole, bytes, config.nodes, config.pages))
		bad("a core has sent what is no message", p->wire[0]);
	ivy_msg_unpack(whole, &m);
	n->messages++;
	n->hop = p->hop;
	n->cpu = net_now;
	if (m.type == IVY_ACK) {
		net_totals.last_ack = net_now;
		net_totals.ack_hop = n->hop;
	}
	if (m.type == IVY_BEAT || m.type == IVY_BEATEN)
		ivy_pairs_rx(n->pairs, &m);
	else
		ivy_rx(n->core, &m, m.flags & IVY_F_PAGE ? page : NULL);
	after(n);
	free(p);
}

static void work_plan(struct net_node *n)
{
	if (n->scheduled || !n->queue)
		return;
	n->scheduled = true;
	event_add((n->cpu > net_now ? n->cpu : net_now) + cpu_ns(n), WORK, n->id, 0, NULL);
}

static void on_arrive(struct net_node *n, struct net_packet *p)
{
	if (packet_lost(p, n->id)) {
		net_totals.dropped++;
		free(p);
		return;
	}
	p->next = NULL;
	*n->queue_end = p;
	n->queue_end = &p->next;
	work_plan(n);
}

static void on_work(struct net_node *n)
{
	struct net_packet *p = n->queue;

	n->scheduled = false;
	n->queue = p->next;
	if (!n->queue)
		n->queue_end = &n->queue;
	packet_take(n, p);
	if (!n->queue)
		ivy_flush(n->core);
	work_plan(n);
}

static void on_revoked(struct net_node *n, u32 page)
{
	struct net_frame *f = &n->frames[page];

	if (f->mapped == IVY_M)
		f->value = truth_write(truth_of(n, page));
	if (f->mapped > f->revoke - 1)
		f->mapped = (u8)(f->revoke - 1);
	f->revoke = 0;
	ivy_revoked(n->core, page);
	after(n);
}

/* What is mapped for writing is written once more, and then nothing is mapped. */
static void all_unmap(struct net_node *n)
{
	u32 page;

	for (page = 0; page < config.pages; page++) {
		struct net_frame *f = &n->frames[page];

		if (f->mapped == IVY_M)
			f->value = truth_write(truth_of(n, page));
		f->mapped = IVY_I;
	}
}

static void on_swept(struct net_node *n)
{
	all_unmap(n);
	event_add(net_now + 1000, ENDING, n->id, 0, NULL);
}

static void on_ending(struct net_node *n)
{
	if (ivy_ending(n->core))
		event_add(net_now + 1000 + net_random(3000000), ENDING, n->id, 0, NULL);
	after(n);
}

static void on_tick(struct net_node *n)
{
	if (net_now < n->tick_at)
		return; /* one is planned that is not later than due */
	n->tick_at = IVY_NEVER;
	if (ivy_pairs_due(n->pairs) <= net_now)
		ivy_pairs_tick(n->pairs);
	if (ivy_due(n->core) <= net_now)
		ivy_tick(n->core);
	after(n);
	tick_plan(n, ivy_pairs_due(n->pairs));
}

/* ---- nodes that begin anew ---- */

static void core_begin(struct net_node *n, u64 start, bool closed)
{
	u16 homes[64], i;
	struct ivy_params p = {.id = n->id,
			       .nodes = config.nodes,
			       .nhomes = config.nhomes,
			       .ahead = config.ahead,
			       .fanout = config.fanout,
			       .relay_above = config.relay_above,
			       .homes = homes,
			       .pages = config.pages,
			       .key = 1 + group_first(n->id),
			       .start = start,
			       .closed = closed,
			       .hold_ns = config.hold_ns,
			       .hold_doublings = config.hold_doublings,
			       .lease_ns = config.lease_ns,
			       .retry_ns = config.retry_ns};
	struct ivy_pairs_params pairs = {.id = n->id,
					 .nodes = config.nodes,
					 .start = start,
					 .lease_ns = config.lease_ns,
					 .retry_ns = config.retry_ns};
	int err;

	for (i = 0; i < config.nhomes; i++)
		homes[i] = (u16)(group_first(n->id) + i);
	n->tick_at = IVY_NEVER;
	do /* memory may be short */
		err = ivy_pairs_create(&pairs, &pairs_env, n, &n->pairs);
	while (err == -ENOMEM);
	p.pairs = n->pairs;
	do
		err = ivy_create(&p, &env, n, &n->core);
	while (err == -ENOMEM);
	if (err)
		bad("no core", n->id);
}

/* What was under way to it is lost; what it has sent may still arrive, but does not come again. */
static void ways_end(u16 node)
{
	u16 other;
	u32 k;

	for (other = 0; ways && other < config.nodes; other++) {
		struct way *to = way_of(other, node), *from = way_of(node, other);

		to->cut = 0;
		to->epoch++;
		from->cut = from->sent;
		from->epoch++;
		for (k = 0; k < KEPT; k++) {
			free(from->kept[k]);
			from->kept[k] = NULL;
		}
	}
}

static void node_empty(struct net_node *n)
{
	u32 page;

	while (n->queue) {
		struct net_packet *p = n->queue;

		n->queue = p->next;
		free(p);
	}
	n->queue_end = &n->queue;
	n->scheduled = false;
	for (page = 0; page < config.pages; page++) {
		struct net_frame *f = &n->frames[page];

		truth_discarded(truth_of(n, page), f->discard, true);
		*f = (struct net_frame){.wait = f->wait};
	}
}

static void home_open(struct net_node *n)
{
	ivy_open(n->core, true);
	after(n);
}

/* Leaves as a host does that is told to go down at once: what only it has is lost. */
static void node_leave(struct net_node *n)
{
	all_unmap(n);
	ivy_leave(n->core);
	net_totals.left++;
}

/* Its program goes on, too, as if what it waited for had failed. */
static void node_restart(struct net_node *n)
{
	u64 start = n->core->txn + 1 + net_random(1000);
	bool home = n->id - group_first(n->id) < config.nhomes;
	u32 page;

	if (mishap(2))
		node_leave(n);
	ivy_destroy(n->core);
	ivy_pairs_destroy(n->pairs);
	n->life++;
	net_totals.restarts++;
	node_empty(n);
	ways_end(n->id);
	core_begin(n, start, home);
	if (home)
		net_at(net_now + 1 + net_random(2 * config.lease_ns), n->id, home_open);
	for (page = 0; page < config.pages; page++)
		if (n->frames[page].wait)
			answered(n, page, true);
}

void net_lose(u16 node, u64 ns)
{
	net_nodes[node].cut_until = net_now + ns;
	net_totals.cuts++;
}

void net_restart(u16 node)
{
	node_restart(&net_nodes[node]);
}

/* It may cost a node its lease, as a cut does. */
static void spell(u64 *until)
{
	*until = net_now + net_random(config.lease_ns);
	net_totals.spells++;
}

static void on_reset(void)
{
	u16 a = (u16)net_random(config.nodes), b = (u16)net_random(config.nodes);

	if (a != b) {
		way_reset(a, b);
		if (net_random(2)) {
			ivy_pairs_joined(net_nodes[a].pairs, b);
			ivy_node_joined(net_nodes[a].core, b);
			after(&net_nodes[a]);
		}
	}
	if (!net_random(300) && net_now > 2 * config.lease_ns) {
		net_nodes[a].cut_until = net_now + net_random(3 * config.lease_ns);
		net_totals.cuts++;
	}
	if (mishap(300))
		spell(&net_nodes[b].slow_until);
	if (mishap(300))
		spell(&net_nodes[b].short_until);
	if (!net_random(300) && net_now > 2 * config.lease_ns)
		node_restart(&net_nodes[net_random(2) ? a : a % config.nhomes]);
	event_add(net_now + 1 + net_random(200000), RESET, 0, 0, NULL);
}

static void event_run(const struct event *e)
{
	struct net_node *n = &net_nodes[e->node];

	/* Messages and programs outlive what the node was. */
	if (e->life != n->life && e->kind != ARRIVE && e->kind != CALL && e->kind != RESET)
		return;
	switch (e->kind) {
	case ARRIVE:
		on_arrive(n, e->p);
		break;
	case WORK:
		on_work(n);
		break;
	case REVOKED:
		on_revoked(n, e->page);
		break;
	case SWEPT:
		on_swept(n);
		break;
	case ENDING:
		on_ending(n);
		break;
	case UNHOLD:
		ivy_unhold(n->core, e->page);
		after(n);
		break;
	case CALL:
		((void (*)(struct net_node *))e->p)(n);
		break;
	case TICK:
		on_tick(n);
		break;
	case RESET:
		on_reset();
		break;
	}
}

static bool anyone_left(void)
{
	u32 i;

	for (i = 0; i < config.nodes; i++)
		if (net_nodes[i].left)
			return true;
	return false;
}

void net_run(void)
{
	u64 events = 0;

	while (heap_n) {
		struct event e;

		/* Ticks and resets go on for ever: they are not what is waited for. */
		if (config.faults ? !(events++ & 1023) && !anyone_left() : !active)
			break;
		e = event_take();
		net_now = e.t;
		event_run(&e);
		if (config.faults && net_now > 600ull * 1000 * 1000 * 1000)
			bad("a fault never ends", 0);
	}
}

void net_run_until(u64 time)
{
	while (heap_n && heap[0].t <= time) {
		struct event e = event_take();

		net_now = e.t;
		event_run(&e);
	}
	net_now = time;
}

/* ---- the beginning and the end ---- */

static void node_begin(u16 id)
{
	struct net_node *n = &net_nodes[id];

	n->id = id;
	n->queue_end = &n->queue;
	n->frames = calloc(config.pages, sizeof(*n->frames));
	core_begin(n, 1, false);
}

void net_begin(const struct net_config *cfg)
{
	u16 i;

	config = *cfg;
	random_state = 0x9e3779b97f4a7c15ull * (cfg->seed + 1);
	memset(&net_totals, 0, sizeof(net_totals));
	net_now = 0;
	net_nodes = calloc(cfg->nodes, sizeof(*net_nodes));
	truths = calloc(cfg->pages * (cfg->group ? cfg->nodes / cfg->group + 1u : 1u), sizeof(*truths));
	ways = cfg->faults ? calloc((size_t)cfg->nodes * cfg->nodes, sizeof(*ways)) : NULL;
	for (i = 0; i < cfg->nodes; i++)
		node_begin(i);
	if (cfg->faults)
		event_add(1000000, RESET, 0, 0, NULL);
}

void net_end(void)
{
	size_t i;
	u32 k;

	while (heap_n) {
		struct event e = event_take();

		if (e.kind == ARRIVE)
			free(e.p);
	}
	for (i = 0; i < config.nodes; i++) {
		ivy_destroy(net_nodes[i].core);
		ivy_pairs_destroy(net_nodes[i].pairs);
		while (net_nodes[i].queue) {
			struct net_packet *p = net_nodes[i].queue;

			net_nodes[i].queue = p->next;
			free(p);
		}
		free(net_nodes[i].frames);
	}
	for (i = 0; ways && i < (size_t)config.nodes * config.nodes; i++)
		for (k = 0; k < KEPT; k++)
			free(ways[i].kept[k]);
	free(ways);
	free(net_nodes);
	free(truths);
	if (net_totals.memory)
		bad("memory is left behind", net_totals.memory);
}
