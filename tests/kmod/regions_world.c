// SPDX-License-Identifier: GPL-2.0-or-later
/* regions_world.c - see regions_world.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

const char *mutant_chosen;
#define gvm_mutant(name) (mutant_chosen && !strcmp(mutant_chosen, name))

#include "module.h"
#include "regions_world.h" /* after the module's sources, which have names of their own */

#define NAME	 "r"
#define WIRE	 10
#define TRUTHS	 4
#define NOTES	 8	/* withdrawals that a node remembers here */
#define SMALL	 24
#define LARGE	 5
#define RESTARTED 100 /* a node that begins anew numbers its offers from so much further on */
#define ROUNDS	 16 /* after which everything has come to its end */

struct limits left;

/* What the sources keep in variables of their own, for one node. */
struct statics {
	struct list_head agreements, offers_queued, regions;
	struct xarray tags;
	struct withdrawn withdrawn[NOTES];
	unsigned int nr_withdrawn, nr_offers, nr_withdrawals;
	u32 last_number;
	bool offers_work;
};

enum phase { IDLE, ASKS, OFFERS };

/* A call of a user of the node: see device.c. */
struct call {
	u8 phase;
	bool creates;
	struct agreement agreement;
	struct gvm_region *region;
	u32 number, before;
};

struct wire {
	u8 n;
	bool has_past;
	struct region_frame frame[WIRE], past; /* past: the last that was delivered */
};

struct truth {
	u64 id;
	u8 opened, written, ended; /* by which homes: as zeros; a write; a region that it had */
};

static struct world {
	struct node {
		struct gvm_cluster cluster;
		struct gvm_peer *list[NODES];
		struct gvm_peer peer[NODES];
		u16 homes[NODES];
		struct statics statics;
		struct call call;
		bool holds; /* the work that takes offers stands still before it has queued this */
		u8 held_to;
		struct region_frame held;
	} node[NODES];
	struct wire wire[NODES][NODES];
	struct truth truth[TRUTHS];
	u8 truths;
	bool takes; /* that work runs */
	u64 drawn, serial;
	const char *wrong;
	struct small {
		u8 used;
		_Alignas(16) u8 bytes[176];
	} small[SMALL];
	struct large {
		u8 used;
		_Alignas(16) struct test_region region;
	} large[LARGE];
} world;

void *const world_memory = &world;
const size_t world_bytes = sizeof(world);
static u8 home_bits; /* of the region */

/* ---- one node at a time has the variables ---- */

static int self = -1;

static void list_put(struct list_head *to, struct list_head *from)
{
	*to = *from;
}

static void leave(void)
{
	struct statics *s = &world.node[self].statics;

	list_put(&s->agreements, &agreements);
	list_put(&s->offers_queued, &offers_queued);
	list_put(&s->regions, &regions);
	s->tags = tags;
	memcpy(s->withdrawn, withdrawn, sizeof(s->withdrawn));
	s->nr_withdrawn = nr_withdrawn;
	s->nr_offers = nr_offers;
	s->nr_withdrawals = nr_withdrawals;
	s->last_number = last_number;
	s->offers_work = offers_work.queued;
	self = -1;
}

static struct node *enter(unsigned int n)
{
	const struct statics *s = &world.node[n].statics;

	if (self == (int)n)
		return &world.node[n];
	if (self >= 0)
		leave();
	self = (int)n;
	agreements = s->agreements;
	offers_queued = s->offers_queued;
	regions = s->regions;
	tags = s->tags;
	memcpy(withdrawn, s->withdrawn, sizeof(s->withdrawn));
	nr_withdrawn = s->nr_withdrawn;
	nr_offers = s->nr_offers;
	nr_withdrawals = s->nr_withdrawals;
	last_number = s->last_number;
	offers_work.queued = s->offers_work;
	gvm_membership.cluster = &world.node[n].cluster;
	return &world.node[n];
}

/* ---- what the module sees ---- */

static void wrong(const char *what)
{
	if (!world.wrong)
		world.wrong = what;
}

void *test_alloc(size_t bytes)
{
	unsigned int i;

	for (i = 0; bytes <= sizeof(world.small[0].bytes) && i < SMALL; i++)
		if (!world.small[i].used) {
			world.small[i].used = (u8)(1 + self);
			return memset(world.small[i].bytes, 0, sizeof(world.small[i].bytes));
		}
	for (i = 0; bytes == sizeof(struct test_region) && i < LARGE; i++)
		if (!world.large[i].used) {
			world.large[i].used = (u8)(1 + self);
			return memset(&world.large[i].region, 0, bytes);
		}
	fprintf(stderr, "no room for %zu bytes\n", bytes);
	abort();
}

void test_free(const void *p)
{
	unsigned int i;

	for (i = 0; i < SMALL; i++)
		if (p == world.small[i].bytes)
			world.small[i].used = 0;
	for (i = 0; i < LARGE; i++)
		if (p == &world.large[i].region)
			world.large[i].used = 0;
}

u64 ktime_get_real_ns(void)
{
	return 1000ull << NUMBER_NS_SHIFT;
}

u64 get_random_u64(void)
{
	return ++world.drawn;
}

static bool trace;

void test_log(const char *format, ...)
{
	va_list arguments;

	if (!trace)
		return;
	va_start(arguments, format);
	printf("\t\tnode %d: ", self);
	vprintf(format, arguments);
	va_end(arguments);
}

static void wire_put(unsigned int from, unsigned int to, const struct region_frame *frame)
{
	struct wire *w = &world.wire[from][to];

	if (w->n < WIRE) /* a frame that finds no room is dropped */
		w->frame[w->n++] = *frame;
}

void test_send(struct gvm_peer *peer, const u8 *body, u16 bytes)
{
	struct node *n = &world.node[self];
	struct region_frame frame;

	(void)bytes;
	if (gvm_region_frame_decode(body, &frame))
		wrong("a frame is sent that is not well formed");
	if (world.takes) {
		if (n->holds)
			wrong("an offer is answered twice");
		n->holds = true;
		n->held_to = (u8)peer->id;
		n->held = frame;
	} else {
		wire_put((unsigned int)self, peer->id, &frame);
	}
}

static struct truth *truth_of(u64 id)
{
	struct truth *t = world.truth;

	while (t < world.truth + world.truths && t->id != id)
		t++;
	if (t == world.truth + world.truths) {
		if (world.truths == TRUTHS)
			abort();
		world.truths++;
		t->id = id;
	}
	return t;
}

void test_opens(struct gvm_region *region, bool lost)
{
	struct truth *t = truth_of(region->id);
	u8 home = (u8)(1 << self);

	if (!lost && t->written & home)
		wrong("a home begins with zeros what it had contents of");
	else if (!lost && t->opened & home)
		wrong("a home begins with zeros what it was open for before");
	else if (lost && !(t->ended & home))
		wrong("a home begins as lost what it never had");
	if (!lost)
		t->opened |= home;
}

void test_ends(struct gvm_region *region)
{
	if (world.takes && (region->core->stats.received || region->resident.n))
		wrong("a withdrawal ends a region that is in use");
	truth_of(region->id)->ended |= (u8)(1 << self);
}

/* ---- calls: as device.c has them ---- */

static struct gvm_region *region_here(unsigned int n)
{
	struct gvm_region *region;

	enter(n);
	region = gvm_region_find(NAME);
	if (region)
		gvm_region_put(region); /* the list has one */
	return region;
}

static bool region_leave(struct gvm_region *region)
{
	if (gvm_region_shut(region))
		return false;
	if (region->opening.creates && !gvm_opening_completed(region))
		gvm_tell_withdraw(region, region->number);
	gvm_region_end(region);
	return true;
}

static struct home_list homes_now; /* of regions that are created */

/* The region is here, and is offered from now on. */
static bool call_offers(struct call *call, u64 id, const struct home_list *homes, bool complete)
{
	struct region_wish wish = {.name = NAME, .pages = 2, .id = id, .homes = *homes};
	bool was_here = region_here((unsigned int)self);

	call->phase = IDLE;
	if (gvm_region_join(gvm_membership.cluster, &wish, &call->region))
		return false;
	call->region->made |= !was_here;
	if (complete)
		gvm_opening_complete(call->region);
	gvm_opening_begin(call->region, call->creates);
	call->before = call->region->number;
	call->region->joining++;
	gvm_agree_offer_begin(&call->agreement, call->region);
	call->number = call->region->number = call->agreement.question.number;
	call->phase = OFFERS;
	gvm_agree_send(&call->agreement, gvm_membership.cluster);
	return true;
}

static bool call_begin(unsigned int n, bool creates)
{
	struct node *node = enter(n);
	struct gvm_region *region = region_here(n);
	struct call *call = &node->call;

	if (call->phase != IDLE || (creates && region))
		return false;
	call->creates = creates;
	if (creates)
		return call_offers(call, get_random_u64(), &homes_now, false);
	if (region)
		return call_offers(call, region->id, &region->homes, false);
	if (gvm_agree_ask(&call->agreement, &node->cluster, NAME))
		abort();
	call->phase = ASKS;
	gvm_agree_send(&call->agreement, &node->cluster);
	return true;
}

static void call_fails(struct call *call, struct gvm_region *region)
{
	bool stays = !region->made || region->joined || region->joining;

	if (!stays)
		stays = !region_leave(region);
	if (stays && region->opening.creates)
		return;
	gvm_tell_withdraw(region, call->number);
	if (region->number == call->number)
		region->number = call->before;
}

static bool call_succeeds(const struct call *call)
{
	const struct agreement *a = &call->agreement;
	struct gvm_region *region = call->region;
	const struct truth *t = truth_of(region->id);

	if (atomic_read(&region->opened) < 0 || a->differs || a->refused)
		return false;
	if (call->creates && gvm_opening_spoilt(region)) {
		if (!t->ended)
			wrong("a create says that a home began anew, and none did");
		return false;
	}
	return gvm_opening_ended(region) || left.impatient;
}

/* The wait of a call is over. */
static bool call_end(unsigned int n, bool gives_up)
{
	struct node *node = enter(n);
	struct call *call = &node->call;
	struct gvm_region *region = call->region;
	u64 id = call->agreement.id;
	struct home_list homes = call->agreement.homes;

	if (call->phase == IDLE || gives_up == (bool)agreement_ends(&call->agreement))
		return false;
	gvm_agree_end(&call->agreement);
	if (call->phase == ASKS && !call->agreement.pages) {
		call->phase = IDLE;
		return true;
	}
	if (call->phase == ASKS) {
		call_offers(call, id, &homes, call->agreement.complete);
		return true;
	}
	call->phase = IDLE;
	region->joining--;
	if (call_succeeds(call)) {
		region->joined = true;
		gvm_region_keep(region);
	} else {
		call_fails(call, region);
	}
	gvm_region_put(region);
	call->region = NULL;
	return true;
}

/* ---- connections, works ---- */

static bool is_up(unsigned int i, unsigned int k)
{
	return world.node[i].peer[k].link;
}

static void link_set(unsigned int i, unsigned int k, bool up)
{
	world.node[i].peer[k].link = up ? (struct link *)&world : NULL;
	world.node[k].peer[i].link = up ? (struct link *)&world : NULL;
}

/* receive_joined() */
static void joined(unsigned int n, unsigned int with)
{
	struct gvm_region *region = region_here(n);

	if (!region)
		return;
	gvm_opening_doubt(region, (u16)with);
	gvm_tell_offer(region, &world.node[n].peer[with]);
}

static bool link_begin(unsigned int i, unsigned int k)
{
	if (i >= k || is_up(i, k))
		return false;
	link_set(i, k, true);
	joined(i, k);
	joined(k, i);
	return true;
}

/* What was under way is lost, or it was not sent yet, and is sent over the next connection. */
static void link_end(unsigned int i, unsigned int k, bool loses)
{
	link_set(i, k, false);
	world.wire[i][k].has_past = world.wire[k][i].has_past = false;
	if (loses)
		world.wire[i][k].n = world.wire[k][i].n = 0;
}

static void frame_deliver(unsigned int from, unsigned int to, const struct region_frame *frame)
{
	u8 body[REGION_FRAME_BYTES];
	struct node *node = enter(to);

	gvm_region_frame_encode(frame, body);
	if (gvm_agree_receive(&node->peer[from], body))
		wrong("a frame is taken for one that is not well formed");
}

static bool deliver(unsigned int from, unsigned int to)
{
	struct wire *w = &world.wire[from][to];
	struct region_frame frame = w->frame[0];

	if (from == to || !w->n || !is_up(from, to))
		return false;
	w->n--;
	memmove(w->frame, w->frame + 1, w->n * sizeof(w->frame[0]));
	w->has_past = left.repeats;
	w->past = frame;
	frame_deliver(from, to, &frame);
	return true;
}

static bool repeat(unsigned int from, unsigned int to)
{
	struct wire *w = &world.wire[from][to];

	if (from == to || !w->has_past || w->n == WIRE)
		return false;
	memmove(w->frame + 1, w->frame, w->n * sizeof(w->frame[0]));
	w->n++;
	w->frame[0] = w->past;
	w->has_past = false;
	return true;
}

/* The work that takes offers takes one, as far as to its answer. */
static bool offer_work(unsigned int n)
{
	struct node *node = enter(n);
	struct offer *offer;

	if (node->holds)
		return false;
	offer = offer_next();
	if (!offer)
		return false;
	world.takes = true;
	offer_take(offer);
	world.takes = false;
	return true;
}

static bool answer_work(unsigned int n)
{
	struct node *node = &world.node[n];

	if (!node->holds)
		return false;
	node->holds = false;
	wire_put(n, node->held_to, &node->held);
	memset(&node->held, 0, sizeof(node->held));
	return true;
}

static bool open_work(unsigned int n)
{
	struct gvm_region *region = region_here(n);

	if (!region || !region->opening.work.work.queued)
		return false;
	region->opening.work.work.queued = false;
	region->opening.work.work.run(&region->opening.work.work);
	return true;
}

/* ---- users ---- */

static bool write_to(unsigned int user, unsigned int home)
{
	struct gvm_region *here = region_here(user), *there = region_here(home);
	struct truth *t;

	if (!(home_bits >> home & 1) || !here || !there || here->id != there->id || !there->core->open ||
	    there->core->lost || atomic_read(&here->opened) < 0 || (user != home && !is_up(user, home)))
		return false;
	t = truth_of(here->id);
	if (t->written >> home & 1)
		return false;
	t->written |= (u8)(1 << home);
	here->resident.n = 1;
	if (user != home)
		there->core->stats.received = 1;
	return true;
}

static bool region_leaves(unsigned int n)
{
	struct gvm_region *region = region_here(n);

	return region && world.node[n].call.phase == IDLE && region_leave(region);
}

static void statics_init(struct statics *s, u32 number)
{
	memset(s, 0, sizeof(*s));
	s->agreements = (struct list_head){&agreements, &agreements};
	s->offers_queued = (struct list_head){&offers_queued, &offers_queued};
	s->regions = (struct list_head){&regions, &regions};
	s->last_number = number;
}

static bool restart(unsigned int n, bool loses)
{
	struct gvm_region *region = region_here(n);
	struct node *node = &world.node[n];
	unsigned int i;

	if (!region && node->call.phase == IDLE && !node->holds)
		return false;
	if (region)
		truth_of(region->id)->ended |= (u8)(1 << n);
	leave();
	statics_init(&node->statics, node->statics.last_number + RESTARTED);
	memset(&node->call, 0, sizeof(node->call));
	node->holds = false;
	node->cluster.serial = ++world.serial;
	for (i = 0; i < SMALL; i++)
		world.small[i].used = world.small[i].used == 1 + n ? 0 : world.small[i].used;
	for (i = 0; i < LARGE; i++)
		world.large[i].used = world.large[i].used == 1 + n ? 0 : world.large[i].used;
	for (i = 0; i < NODES; i++)
		if (i != n) {
			link_end(i, n, loses);
			world.wire[n][i].n = 0;
		}
	return true;
}

/* ---- events ---- */

static bool send_again(unsigned int n)
{
	struct node *node = enter(n);

	if (node->call.phase == IDLE)
		return false;
	gvm_agree_send(&node->call.agreement, &node->cluster);
	return true;
}

/* a: a node; b: another one, or in which way. */
static bool happens(enum kind kind, unsigned int a, unsigned int b)
{
	switch (kind) {
	case DELIVER:
		return deliver(a, b);
	case CONNECT:
		return link_begin(a, b);
	case WRITE:
		return write_to(a, b);
	case REPEAT:
		return repeat(a, b);
	case CUT: /* the pair's second place says which two, its first whether all is lost */
		if (a > 1 || !is_up(b, (b + 1) % NODES))
			return false;
		link_end(b, (b + 1) % NODES, a);
		return true;
	case RESTART:
		return b <= 1 && restart(a, b);
	default:
		break;
	}
	if (b)
		return false;
	switch (kind) {
	case ANSWER:
		return answer_work(a);
	case TAKE:
		return offer_work(a);
	case END:
		return call_end(a, false);
	case WORK:
		return open_work(a);
	case SEND:
		return send_again(a);
	case GIVE_UP:
		return call_end(a, true);
	case CREATE:
		return call_begin(a, true);
	case JOIN:
		return call_begin(a, false);
	case LEAVE:
		return region_leaves(a);
	default:
		return false;
	}
}

bool world_event(enum kind kind, unsigned int a, unsigned int b)
{
	if (happens(kind, a, b)) {
		if (self >= 0)
			leave();
		return true;
	}
	self = -1; /* nothing has changed, but the world may before it is asked again */
	return false;
}

/* ---- states that differ in nothing that matters ---- */

static u64 sum;
static u64 known[64]; /* ids and tokens, in the order in which they are come upon */
static unsigned int nr_known;

static void mix(u64 value)
{
	sum = (sum ^ value) * 0x9e3779b97f4a7c15ull;
	sum ^= sum >> 29;
}

static void mix_name(u64 drawn)
{
	unsigned int i = 0;

	while (drawn && i < nr_known && known[i] != drawn)
		i++;
	if (drawn && i == nr_known && nr_known < 64)
		known[nr_known++] = drawn;
	mix(drawn ? i + 1 : 0);
}

/* Numbers of a node's offers: only which, and in which order. */
static void mix_number(unsigned int of, u32 number)
{
	mix(of >= NODES ? ~0ull : number ? world.node[of].statics.last_number - number : ~1ull);
}

static void mix_frame(unsigned int from, unsigned int to, const struct region_frame *frame)
{
	mix(frame->word | frame->share << 8 | frame->flags << 16 | (u32)frame->pages << 24);
	mix_name(frame->id);
	mix_name(frame->token);
	mix_number(frame->word == REGION_ANSWER ? to : from, frame->number);
}

static void mix_region(const struct gvm_region *r)
{
	const struct opening *o = &r->opening;

	mix_name(r->id);
	mix_name(r->token);
	mix((u64)r->joined | r->made << 1 | r->leaving << 2 | (u64)r->joining << 3 | (u64)(r->opened.n < 0) << 8 |
	    (u64)r->share << 9 | (u64)!!r->core->stats.received << 12 | (u64)!!r->resident.n << 13 |
	    (u64)o->creates << 14 | (u64)o->complete << 15 | (u64)o->spoilt << 16 | (u64)o->announced << 17 |
	    (u64)o->work.work.queued << 18 | (u64)!!o->homes << 19 | (u64)r->ref.n << 20);
	mix(r->on.from);
	mix_number(r->on.from, r->on.number);
	mix(r->creator.from);
	mix_number(r->creator.from, r->creator.number);
	mix_number(r->cluster->id, r->number);
	for (unsigned int i = 0; o->homes && i < r->homes.nr; i++) {
		mix_name(o->homes[i].token);
		mix((u64)o->homes[i].share | o->homes[i].told << 4 | o->homes[i].zeros << 8 |
		    (u64)o->homes[i].refused << 9);
	}
}

static void mix_call(unsigned int n, const struct call *call)
{
	const struct agreement *a = &call->agreement;

	mix((u64)call->phase | call->creates << 2);
	if (call->phase == IDLE)
		return;
	mix((u64)a->over | a->complete << 1 | a->differs << 2 | a->refused << 3 | (u64)a->nr_silent << 4 |
	    a->pages << 8 | (u64)(a->silent ? *a->silent : 0) << 16);
	mix_name(a->id);
	mix_number(n, a->question.number);
	mix(a->question.flags);
	if (call->phase != OFFERS)
		return;
	mix_region(call->region);
	mix_number(n, call->number);
	mix_number(n, call->before);
}

static void mix_node(unsigned int n)
{
	struct gvm_region *region = region_here(n);
	const struct node *node = &world.node[n];
	const struct offer *offer;
	unsigned int i;

	mix(!!region);
	if (region)
		mix_region(region);
	list_for_each_entry(offer, &offers_queued, list) {
		mix(offer->on.from | (u64)(offer->cluster == node->cluster.serial) << 16);
		mix_frame(offer->on.from, n, &offer->frame);
	}
	for (i = 0; i < NOTES; i++)
		if (withdrawn[i].cluster == node->cluster.serial) {
			mix(withdrawn[i].offer.from);
			mix_number(withdrawn[i].offer.from, withdrawn[i].offer.number);
		}
	if (nr_withdrawn > NOTES)
		abort();
	mix_call(n, &node->call);
	mix(node->holds);
	if (!node->holds)
		return;
	mix(node->held_to);
	mix_frame(n, node->held_to, &node->held);
}

u64 world_hash(void)
{
	unsigned int i, k;

	sum = 1;
	nr_known = 0;
	for (i = 0; i < world.truths; i++) {
		mix_name(world.truth[i].id);
		mix(world.truth[i].opened | world.truth[i].written << 8 | world.truth[i].ended << 16);
	}
	for (i = 0; i < NODES; i++)
		mix_node(i);
	leave();
	for (i = 0; i < NODES; i++)
		for (k = 0; k < NODES; k++) {
			struct wire *w = &world.wire[i][k];

			mix(w->n | (u64)is_up(i, k) << 8 | (u64)w->has_past << 9);
			for (u8 at = 0; at < w->n; at++)
				mix_frame(i, k, &w->frame[at]);
			if (w->has_past)
				mix_frame(i, k, &w->past);
		}
	for (i = 0; i < sizeof(left); i++)
		mix(((const u8 *)&left)[i]);
	return sum;
}

/* ---- what must hold ---- */

const char *world_wrong(void)
{
	return world.wrong;
}


/* All that happens by itself, once. */
static bool round_run(void)
{
	bool any = false;

	for (unsigned int i = 0; i < PAIR; i++) {
		any |= link_begin(i / NODES, i % NODES);
		while (deliver(i / NODES, i % NODES))
			any = true;
	}
	for (unsigned int i = 0; i < NODES; i++) {
		while (answer_work(i) || offer_work(i))
			any = true;
		any |= call_end(i, false);
	}
	return any;
}

/* Its users' accesses to pages of homes that have no such region are not answered. */
static void accesses(unsigned int n)
{
	struct gvm_region *region = region_here(n), *there;

	for (unsigned int home = 0; region && home < NODES; home++) {
		there = home_bits >> home & 1 ? region_here(home) : region;
		enter(n);
		if (!there || there->id != region->id)
			gvm_opening_doubt(region, (u16)home);
	}
}

static void settle(void)
{
	for (unsigned int round = 0; round < ROUNDS; round++) {
		while (round_run())
			;
		for (unsigned int i = 0; i < NODES; i++) {
			accesses(i);
			open_work(i);
			if (round == ROUNDS / 2)
				call_end(i, true);
			else
				send_again(i);
		}
	}
	while (round_run())
		;
}

static const char *home_wrong(const struct gvm_region *region, unsigned int home)
{
	const struct gvm_region *there = region_here(home);

	if (!there)
		return "a home does not join a region that a node uses";
	if (there->id == region->id && !there->core->open)
		return "a home's share stays closed";
	return NULL;
}

void world_settle(void)
{
	settle();
	if (self >= 0)
		leave();
}

const char *world_wrong_at_end(void)
{
	const char *what = NULL;

	for (unsigned int n = 0; n < NODES && !what; n++) {
		const struct gvm_region *region = region_here(n);

		if (!region || !region->joined || !region->opening.complete)
			continue;
		for (unsigned int home = 0; home < NODES && !what; home++)
			if (home_bits >> home & 1)
				what = home_wrong(region, home);
	}
	if (self >= 0)
		leave();
	return world.wrong ?: what;
}

/* ---- its begin ---- */

static void node_init(unsigned int n, u8 lenders)
{
	struct node *node = &world.node[n];

	node->cluster = (struct gvm_cluster){.serial = ++world.serial,
					     .id = (u16)n,
					     .nodes = NODES,
					     .nr_nodes = NODES,
					     .peers = node->list,
					     .homes = node->homes};
	for (unsigned int i = 0; i < NODES; i++) {
		node->peer[i] = (struct gvm_peer){.cluster = &node->cluster, .id = (u16)i};
		node->list[i] = i == n ? NULL : &node->peer[i];
		if (lenders >> i & 1)
			node->homes[node->cluster.nr_homes++] = (u16)i;
	}
	statics_init(&node->statics, 1000);
}

void world_begin(u8 of_region, u8 others)
{
	memset(&world, 0, sizeof(world));
	memset(&left, 0, sizeof(left));
	self = -1;
	home_bits = of_region;
	for (unsigned int n = 0; n < NODES; n++)
		node_init(n, home_bits | others);
	homes_now = (struct home_list){.relays = NODES};
	for (unsigned int n = 0; n < NODES; n++)
		if (home_bits >> n & 1)
			homes_now.ids[homes_now.nr++] = (u16)n;
	for (unsigned int i = 0; i < PAIR; i++)
		link_begin(i / NODES, i % NODES);
	if (self >= 0)
		leave();
}

void world_print(void)
{
	for (unsigned int n = 0; n < NODES; n++) {
		const struct gvm_region *r = region_here(n);

		printf("  node %u: ", n);
		if (!r)
			printf("nothing\n");
		else
			printf("region %llu token %llu share %u complete %u creates %u joined %u\n",
			       (unsigned long long)r->id, (unsigned long long)r->token, r->share,
			       r->opening.complete, r->opening.creates, r->joined);
	}
	leave();
}
