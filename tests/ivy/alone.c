// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * alone.c - one node, whose partner's messages are this program's.
 *
 * With very many pages, when its lease from their home ends, it may from then on use none of them,
 * which takes one sweep and no tick; and no call holds the lock for all of them. Nor does one at
 * the home, which gives the node no other lease before its directory is rid of it.
 *
 * A discard that is asked for while the page is being handed to a writer is of what that one
 * writes. A node that quits is not waited for, nor lost. An owner that was lost without memory to
 * look for another is still lost when it is back; and a node that is connected again hears what
 * waits for it alone.
 *
 * A home serves nothing before it is opened; one that has lost its directory says so of each page.
 * It lists its lost pages, each once, in calls that look at some of them each.
 *
 * A node that is asked for a page it does not have says so, and is asked once more before the home
 * believes that nobody owns it. What a writer may have written when it left is not taken back.
 *
 * Zeros that no other node has a copy of are granted to a reader that may want to write, which then
 * sends nothing. They are as much an owner's as any page: to other readers, and if it is lost.
 *
 * A node that writes one page after the other asks for the next ones ahead, in one message, and is
 * answered in one. It waits for none that it is not granted.
 */
#include "kmod/ivy/impl.h"
#include "kmod/ivy/ivy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGES	 20000u
#define NODES	 3u
#define LEASE_NS 1000000000ull

#define CHECK(x)                                                                   \
	do {                                                                       \
		if (!(x)) {                                                        \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #x); \
			exit(1);                                                   \
		}                                                                  \
	} while (0)

static struct ivy_slot slots[PAGES];
static bool resident[PAGES];
static u64 now = 1, deadline;
static u32 sweeps, endings, lost, looked_at, nr_resident, completed, failed;
static u16 self;
static bool no_memory;
static struct ivy_msg sent; /* the last one */
static u16 ahead;
static u16 sent_to;
static u32 nr_sent;

static void t_send(void *ctx, u16 dst, const struct ivy_msg *m, const void *data)
{
	(void)ctx;
	(void)data;
	CHECK(dst != self && dst < NODES);
	sent = *m;
	sent_to = dst;
	nr_sent++;
}

static int t_revoke(void *ctx, u64 page, enum ivy_right right, u64 at)
{
	(void)ctx;
	CHECK(resident[page] && right == IVY_I && (!deadline || at == deadline));
	return 1; /* the sweep has unmapped it */
}

static void t_sweep(void *ctx, u64 at)
{
	(void)ctx;
	deadline = at;
	sweeps++;
}

static void t_ending(void *ctx)
{
	(void)ctx;
	endings++;
}

static void t_install(void *ctx, u64 page, const void *data)
{
	(void)ctx;
	(void)data;
	CHECK(resident[page]);
}

static void t_complete(void *ctx, u64 page, int err)
{
	(void)ctx;
	(void)page;
	completed += !err;
	failed += !!err;
}

static void t_arm_hold(void *ctx, u64 page, u64 ns)
{
	(void)ctx;
	(void)page;
	(void)ns;
}

static u64 t_now(void *ctx)
{
	(void)ctx;
	return now;
}

static void *t_alloc(void *ctx, size_t bytes)
{
	(void)ctx;
	return no_memory ? NULL : calloc(1, bytes);
}

static void t_free(void *ctx, void *p, size_t bytes)
{
	(void)ctx;
	(void)bytes;
	free(p);
}

static void t_lost(void *ctx, u64 page)
{
	(void)ctx;
	(void)page;
	lost++;
}

static struct ivy_slot *t_slot_get(void *ctx, u64 page)
{
	(void)ctx;
	return resident[page] ? &slots[page] : NULL;
}

static struct ivy_slot *t_slot_new(void *ctx, u64 page)
{
	(void)ctx;
	memset(&slots[page], 0, sizeof(slots[page]));
	resident[page] = true;
	nr_resident++;
	return &slots[page];
}

static void t_slot_free(void *ctx, u64 page)
{
	(void)ctx;
	resident[page] = false;
	nr_resident--;
}

static bool t_slot_next(void *ctx, u64 *page)
{
	(void)ctx;
	looked_at++;
	for (; *page < PAGES; ++*page)
		if (resident[*page])
			return true;
	return false;
}

static const struct ivy_env env = {
	.send = t_send,
	.revoke = t_revoke,
	.sweep = t_sweep,
	.ending = t_ending,
	.install = t_install,
	.complete = t_complete,
	.arm_hold = t_arm_hold,
	.now = t_now,
	.alloc = t_alloc,
	.free = t_free,
	.lost = t_lost,
	.slot_get = t_slot_get,
	.slot_new = t_slot_new,
	.slot_free = t_slot_free,
	.slot_next = t_slot_next,
};

/* The home answers LEASE, if that was sent, and grants what is asked for. */
static void answer(struct ivy *c, u64 page)
{
	struct ivy_msg leased = {.type = IVY_LEASED, .inc = sent.inc, .ver = sent.ver, .who = 1};
	struct ivy_msg grant = {.type = IVY_GRANT, .flags = IVY_F_ZERO, .page = page, .ver = 2};

	if (sent.type == IVY_LEASE)
		ivy_rx(c, &leased, NULL);
	CHECK(sent.type == IVY_GETX && sent.page == page);
	grant.who = sent.who;
	ivy_rx(c, &grant, NULL);
	CHECK(sent.type == IVY_DONE && ivy_right(c, page) == IVY_M);
}

static struct ivy *begin_of(u16 id, const u16 *homes, u16 nhomes, bool closed)
{
	struct ivy_params p = {.id = id,
			       .nodes = NODES,
			       .nhomes = nhomes,
			       .homes = homes,
			       .pages = PAGES,
			       .start = 1,
			       .closed = closed,
			       .lease_ns = LEASE_NS,
			       .retry_ns = ahead ? LEASE_NS / 40 : 0,
			       .ahead = ahead};
	struct ivy *c;

	self = id;
	CHECK(!ivy_create(&p, &env, NULL, &c));
	return c;
}

static struct ivy *begin_closed(u16 id, bool closed)
{
	static const u16 homes[] = {0};

	return begin_of(id, homes, 1, closed);
}

static struct ivy *begin(u16 id)
{
	return begin_closed(id, false);
}

static void at_the_node(void)
{
	struct ivy *c = begin(1);
	u64 page, asked = now;
	u32 calls = 0;

	for (page = 0; page < PAGES; page++) {
		CHECK(ivy_fault(c, page, IVY_WRITE) == 0);
		answer(c, page);
	}
	now += LEASE_NS - LEASE_NS / 4 - 1;
	CHECK(ivy_fault(c, PAGES - 1, IVY_WRITE) == 1 && !sweeps);

	/* The last moment has passed: nobody needs to have told the core. */
	now++;
	CHECK(ivy_right(c, PAGES - 1) == IVY_I && ivy_right(c, 0) == IVY_I);
	CHECK(ivy_evict(c, 1) == -EBUSY);
	CHECK(ivy_fault(c, PAGES - 1, IVY_READ) == 0);
	CHECK(sweeps == 1 && deadline == asked + LEASE_NS && looked_at == 0);
	CHECK(ivy_fault(c, 0, IVY_WRITE) == 0 && sweeps == 1);
	ivy_tick(c);
	CHECK(sweeps == 1 && nr_resident == PAGES && sent.type == IVY_DONE);

	do {
		u32 before = nr_resident;

		CHECK(calls++ < 2 * PAGES / IVY_END_STEP);
		looked_at = 0;
		if (!ivy_ending(c))
			break;
		CHECK(looked_at <= IVY_END_STEP && before - nr_resident <= IVY_END_STEP);
	} while (true);
	CHECK(!nr_resident && sent.type == IVY_LEASE && sent.inc > 1);
	CHECK(!endings && !lost);
	ivy_destroy(c);
	printf("%u pages in %u calls\n", PAGES, calls);
}

static u8 lease_said(struct ivy *c, u16 node, u64 inc, u8 flags)
{
	struct ivy_msg m = {.type = IVY_LEASE, .flags = flags, .src = node, .inc = inc, .ver = now};

	sent.type = 0;
	ivy_rx(c, &m, NULL);
	return sent.type;
}

/* Whether the home lets the node in with that lease. */
static bool lets_in(struct ivy *c, u64 inc)
{
	u8 said = lease_said(c, 1, inc, 0);

	CHECK(!said || said == IVY_LEASED);
	return said;
}

static void asked_by(struct ivy *c, u16 node, u64 inc, u64 page)
{
	struct ivy_msg getx = {.type = IVY_GETX, .src = node, .page = page};

	getx.who = ivy_who(node, inc + 1 + page);
	ivy_rx(c, &getx, NULL);
}

static void granted_to(struct ivy *c, u16 node, u64 inc, u64 page)
{
	struct ivy_msg done = {.type = IVY_DONE, .src = node, .page = page, .inc = inc};

	CHECK(sent.type == IVY_GRANT && sent.page == page);
	done.ver = sent.ver;
	ivy_rx(c, &done, NULL);
}

/* The node, whose lease is `inc`, writes the page at its home. */
static void written_by(struct ivy *c, u16 node, u64 inc, u64 page)
{
	asked_by(c, node, inc, page);
	granted_to(c, node, inc, page);
}

static void reads(struct ivy *c, u16 node, u64 inc, u64 page, u8 flags)
{
	struct ivy_msg gets = {
		.type = IVY_GETS, .flags = flags, .src = node, .page = page, .count = 1};
	u8 list[8];

	ivy_list_put_who(list, 0, ivy_who(node, inc + 1));
	gets.list = list;
	ivy_rx(c, &gets, NULL);
}

static void read_by(struct ivy *c, u16 node, u64 inc, u64 page)
{
	reads(c, node, inc, page, 0);
}

static void at_the_home(void)
{
	const u64 inc = 5, next_inc = inc + 2 * PAGES;
	struct ivy *c = begin(0);
	u64 page;
	u32 before, calls = 0;

	CHECK(lets_in(c, inc));
	for (page = 0; page < PAGES; page++)
		written_by(c, 1, inc, page);
	now += LEASE_NS;
	ivy_tick(c);
	CHECK(endings == 1 && lost && lost <= IVY_LOSE_NOW * IVY_RUN);
	do {
		CHECK(!lets_in(c, next_inc));
		before = lost;
		calls++;
		if (!ivy_ending(c))
			break;
		CHECK(lost - before <= IVY_LOSE_STEP * IVY_RUN);
	} while (true);
	CHECK(lost == PAGES && endings == 1 && lets_in(c, next_inc));
	ivy_destroy(c);
	printf("%u pages of a lost node in %u calls\n", PAGES, calls + 1);
}

/* The node has the copy that is sought. */
static void has_sought(struct ivy *c, const struct ivy_txn *t, u16 node, u64 inc)
{
	struct ivy_msg have = {.type = IVY_HAVE,
			       .src = node,
			       .page = t->page,
			       .ver = t->home->ver,
			       .who = t->who,
			       .inc = inc};

	CHECK(t->phase == IVY_PH_SEEK && t->seek == node);
	ivy_rx(c, &have, NULL);
}

/* As many pages as may be looked for at once; asks for more when it may. */
static void seeks_some(struct ivy *c)
{
	while (ivy_ending(c))
		CHECK(c->nseeks < IVY_SEEK_MAX + IVY_RUN);
	CHECK(c->nseeks < IVY_SEEK_MAX + IVY_RUN);
}

/* Of the pages of a lost node that another one has, too, some are looked for at any time. */
static void seeking_at_the_home(void)
{
	const u64 inc = 5, next_inc = inc + 2 * PAGES;
	struct ivy *c = begin(0);
	u64 page;
	u32 before, rounds = 0;

	endings = lost = 0;
	CHECK(lets_in(c, inc) && lease_said(c, 2, inc, 0) == IVY_LEASED);
	for (page = 0; page < PAGES; page++) {
		written_by(c, 1, inc, page);
		read_by(c, 2, inc, page);
	}
	now += LEASE_NS / 2;
	CHECK(lease_said(c, 2, inc, 0) == IVY_LEASED);
	now += LEASE_NS / 2;
	ivy_tick(c);
	while (rounds * IVY_SEEK_MAX < PAGES / 2) {
		CHECK(!lets_in(c, next_inc));
		before = endings;
		seeks_some(c);
		CHECK(c->nseeks >= IVY_SEEK_MAX && endings == before);
		while (c->nseeks > IVY_SEEK_MAX / 2)
			has_sought(c, c->txns, 2, inc);
		CHECK(endings == before + 1);
		rounds++;
	}
	seeks_some(c);
	CHECK(!lost);
	/* Now that one is lost: what it was asked for, and then all that it had. */
	now += LEASE_NS / 2;
	ivy_tick(c);
	for (rounds = 0; (ivy_ending(c) || c->losing) && rounds < PAGES; rounds++)
		ivy_tick(c);
	CHECK(lost == PAGES && !c->nseeks && !c->txns && lets_in(c, next_inc));
	ivy_destroy(c);
	lost = 0;
	printf("%u pages are sought, %u at a time\n", PAGES, IVY_SEEK_MAX);
}

static void discarding(void)
{
	struct ivy *c = begin(1);
	struct ivy_msg give = {.type = IVY_GIVE, .ver = 2, .who = ivy_who(0, 7)};
	struct ivy_msg freed = {.type = IVY_FREE, .ver = 3};
	struct ivy_msg grant = {.type = IVY_GRANT, .ver = 4};

	CHECK(ivy_fault(c, 0, IVY_WRITE) == 0);
	answer(c, 0);
	give.inc = freed.inc = sent.inc;
	ivy_rx(c, &give, NULL);
	CHECK(sent.type == IVY_GRANT && ivy_right(c, 0) == IVY_I);

	completed = 0;
	CHECK(ivy_discard(c, 0) == 0 && sent.type == IVY_GETX);
	ivy_rx(c, &freed, NULL);
	CHECK(!completed && sent.type == IVY_GETX);
	grant.who = sent.who;
	ivy_rx(c, &grant, NULL);
	CHECK(!completed && sent.type == IVY_PUT && (sent.flags & IVY_F_ZERO) && sent.ver == 4);
	freed.ver = 4;
	ivy_rx(c, &freed, NULL);
	CHECK(completed == 1 && !nr_resident);
	ivy_destroy(c);
}

/* A reader has left: a writer does not wait for it, and it is not lost. */
static void quitting_at_the_home(void)
{
	struct ivy *c = begin(0);

	CHECK(lets_in(c, 5));
	read_by(c, 1, 5, 0);
	CHECK(sent.type == IVY_DATA);
	CHECK(ivy_fault(c, 0, IVY_WRITE) == 0 && sent.type == IVY_INV);
	CHECK(lease_said(c, 1, 5, IVY_F_QUIT) == 0);
	CHECK(ivy_fault(c, 0, IVY_WRITE) == 1 && ivy_stats(c)->lost_nodes == 0);

	/* What asked for that lease comes later than its end; its end, later than the next one. */
	CHECK(lease_said(c, 1, 5, 0) == IVY_FENCED);
	while (ivy_ending(c))
		;
	CHECK(lets_in(c, 7));
	CHECK(lease_said(c, 1, 5, IVY_F_QUIT) == 0);
	CHECK(lets_in(c, 7));
	CHECK(!lost && ivy_stats(c)->lost_nodes == 0);
	ivy_destroy(c);
	t_slot_free(NULL, 0);
	endings = 0;
}

/* What is used is renewed in time, by a message of its own where the node has no pairs. */
static void renewing_at_the_node(void)
{
	struct ivy *c = begin(1);
	u64 inc;

	CHECK(ivy_due(c) == IVY_NEVER);
	CHECK(ivy_fault(c, 0, IVY_WRITE) == 0);
	answer(c, 0);
	inc = sent.inc;
	CHECK(ivy_due(c) == now + LEASE_NS / 4);
	now = ivy_due(c);
	ivy_tick(c);
	CHECK(sent.type == IVY_LEASE && !sent.flags && sent.inc == inc);
	CHECK(ivy_due(c) > now && ivy_due(c) <= now + LEASE_NS / 4);
	ivy_leave(c);
	CHECK(ivy_due(c) == IVY_NEVER);
	ivy_destroy(c);
	t_slot_free(NULL, 0);
}

/* What is not used ends before its time, and so does all when the node leaves. */
static void quitting_at_the_node(void)
{
	struct ivy *c = begin(1);
	struct ivy_msg freed = {.type = IVY_FREE, .ver = 2};
	u64 inc;

	CHECK(ivy_fault(c, 0, IVY_WRITE) == 0);
	answer(c, 0);
	inc = sent.inc;
	now += LEASE_NS / 4;
	CHECK(ivy_evict(c, 0) == 0 && sent.type == IVY_PUT);
	freed.inc = inc;
	ivy_rx(c, &freed, NULL);
	now += LEASE_NS / 4 - 1;
	ivy_tick(c);
	CHECK(sent.type == IVY_PUT);
	now++;
	ivy_tick(c);
	CHECK(sent.type == IVY_LEASE && sent.flags == IVY_F_QUIT && sent.inc == inc);

	CHECK(ivy_fault(c, 0, IVY_WRITE) == 0);
	CHECK(sent.type == IVY_LEASE && !sent.flags && sent.inc > inc);
	inc = sent.inc;
	ivy_leave(c);
	CHECK(sent.type == IVY_LEASE && sent.flags == IVY_F_QUIT && sent.inc == inc);
	ivy_destroy(c);
}

/* An owner is lost with no memory to look for another, and comes back without the page. */
static void owner_back(void)
{
	struct ivy *c = begin(0);
	struct ivy_msg data = {.type = IVY_DATA, .flags = IVY_F_PAGE, .src = 1, .count = 1};
	u8 list[8], page[IVY_PAGE_BYTES] = {0};

	CHECK(lets_in(c, 5));
	written_by(c, 1, 5, 0);
	CHECK(ivy_fault(c, 0, IVY_READ) == 0 && sent.type == IVY_SERVE);
	data.ver = sent.ver;
	ivy_list_put_who(list, 0, ivy_list_who(&sent, 0));
	data.list = list;
	ivy_rx(c, &data, page);
	CHECK(ivy_right(c, 0) == IVY_S);

	now += LEASE_NS;
	no_memory = true;
	ivy_tick(c);
	while (ivy_ending(c))
		;
	no_memory = false;
	CHECK(ivy_stats(c)->lost_nodes == 1 && !lost);
	CHECK(lets_in(c, 7));
	read_by(c, 1, 7, 0);
	CHECK(sent.type == IVY_DATA && (sent.flags & IVY_F_PAGE));
	ivy_destroy(c);
	t_slot_free(NULL, 0);
	endings = 0;
}

/* ---- a connection is new: what waits for that node is sent again, and nothing else ---- */

/* How many messages that makes. */
static u32 again(struct ivy *c, u16 node)
{
	u32 before = nr_sent;

	ivy_node_joined(c, node);
	return nr_sent - before;
}

static struct ivy *begin_with_two(void)
{
	struct ivy *c = begin(0);

	CHECK(lease_said(c, 1, 5, 0) == IVY_LEASED && lease_said(c, 2, 5, 0) == IVY_LEASED);
	return c;
}

/* What is under way goes to that one of the nodes 1 and 2, when it is back, and ends. */
static void goes_to(struct ivy *c, u16 node, u8 type)
{
	CHECK(again(c, 3 - node) == 0);
	CHECK(again(c, node) == 1 && sent.type == type && sent_to == node);
	ivy_destroy(c);
}

static void copies_and_grants(void)
{
	struct ivy_msg ack = {.type = IVY_ACK, .src = 1, .ver = 1, .count = 1};
	struct ivy *c = begin_with_two();
	u8 list[2];

	asked_by(c, 1, 5, 0);
	goes_to(c, 1, IVY_GRANT);

	c = begin_with_two();
	read_by(c, 1, 5, 0);
	read_by(c, 2, 5, 0);
	CHECK(ivy_fault(c, 0, IVY_WRITE) == 0 && again(c, 1) && sent.type == IVY_INV);
	ivy_list_put_id(list, 0, 1);
	ack.list = list;
	ivy_rx(c, &ack, NULL);
	goes_to(c, 2, IVY_INV);
}

static void hand_overs(void)
{
	struct ivy_msg nack = {.type = IVY_NACK, .src = 2, .inc = 5};
	struct ivy *c = begin_with_two();

	/* Each of two pages has an owner of its own, and its write does not move the other's. */
	written_by(c, 1, 5, 1);
	written_by(c, 2, 5, 2);
	CHECK(ivy_fault(c, 1, IVY_WRITE) == 0 && ivy_fault(c, 2, IVY_WRITE) == 0);
	CHECK(again(c, 1) == 1 && sent_to == 1);
	CHECK(again(c, 2) == 1 && sent_to == 2 && sent.type == IVY_GIVE);
	ivy_destroy(c);

	/* Of the writer it may be the answer that was lost. */
	c = begin_with_two();
	written_by(c, 1, 5, 0);
	asked_by(c, 2, 5, 0);
	CHECK(again(c, 2) == 1 && sent.type == IVY_GIVE && sent_to == 1);
	nack.ver = sent.ver + 1;
	ivy_rx(c, &nack, NULL);
	CHECK(sent.type == IVY_GRANT && (sent.flags & IVY_F_BACK));
	goes_to(c, 1, IVY_GRANT);
}

/* Node 2 is silent until its lease is over; node 1 is not. */
static void second_is_silent(struct ivy *c)
{
	now += LEASE_NS / 2;
	CHECK(lease_said(c, 1, 5, 0) == IVY_LEASED);
	now += LEASE_NS / 2;
	ivy_tick(c);
	CHECK(ivy_stats(c)->lost_nodes == 1);
}

static void owner_lost(void)
{
	struct ivy *c = begin_with_two();

	written_by(c, 2, 5, 0);
	read_by(c, 1, 5, 0);
	second_is_silent(c);
	goes_to(c, 1, IVY_SEEK);

	c = begin_with_two();
	written_by(c, 2, 5, 0);
	asked_by(c, 1, 5, 0);
	second_is_silent(c);
	goes_to(c, 1, IVY_GRANT);
	CHECK(!lost);
	endings = 0;
}

/* And a node's own requests, when their home is back. */
static void own_requests(void)
{
	static const u16 homes[] = {0, 2};
	struct ivy *c = begin_of(1, homes, 2, false);
	u16 i;

	for (i = 0; i < 2; i++) {
		struct ivy_msg leased = {.type = IVY_LEASED, .src = homes[i], .who = 1};

		CHECK(ivy_fault(c, i * IVY_RUN, IVY_WRITE) == 0 && sent.type == IVY_LEASE);
		leased.inc = sent.inc;
		leased.ver = sent.ver;
		ivy_rx(c, &leased, NULL);
		CHECK(sent.type == IVY_GETX && sent.page == i * IVY_RUN && sent_to == homes[i]);
	}
	/* The lease is renewed, too. */
	CHECK(again(c, 0) == 2 && sent_to == 0);
	CHECK(again(c, 2) == 2 && sent_to == 2);
	ivy_destroy(c);
}

/* A home serves nothing before it is opened; if it was one before, its pages are lost. */
static void opened(bool lost_before)
{
	struct ivy *c = begin_closed(0, true);
	struct ivy_msg getx = {.type = IVY_GETX, .src = 1, .who = ivy_who(1, 6)};

	CHECK(lease_said(c, 1, 5, 0) == 0);
	ivy_rx(c, &getx, NULL);
	CHECK(sent.type == 0);
	CHECK(ivy_fault(c, 1, IVY_WRITE) == 0);
	completed = failed = 0;
	ivy_open(c, lost_before);
	CHECK(completed == !lost_before && failed == lost_before);
	CHECK(lease_said(c, 1, 5, 0) == IVY_LEASED);
	CHECK(sent.flags == (lost_before ? IVY_F_ANEW : 0));
	ivy_rx(c, &getx, NULL);
	CHECK(sent.type == (lost_before ? IVY_LOST : IVY_GRANT));
	CHECK(sent.ver >= 1u << 15); /* above all of a home that began earlier */
	if (lost_before) {
		/* Not as long as another node may have a lease of the home that it was. */
		getx.ver = IVY_VER_ANY;
		now += LEASE_NS - 1;
		CHECK(lease_said(c, 1, 5, 0) == IVY_LEASED);
		ivy_rx(c, &getx, NULL);
		CHECK(sent.type == IVY_LEASED);
		now++;
		ivy_rx(c, &getx, NULL);
		CHECK(sent.type == IVY_GRANT);
	}
	ivy_destroy(c);
	if (resident[1])
		t_slot_free(NULL, 1);
}

/* The home that a node had a page from has begun anew, and says so or does not know it. */
static void home_anew(bool knows)
{
	struct ivy *c = begin(1);
	struct ivy_msg leased = {.type = IVY_LEASED, .who = 2, .flags = knows ? IVY_F_ANEW : 0};

	CHECK(ivy_fault(c, 0, IVY_WRITE) == 0);
	answer(c, 0);
	leased.inc = sent.inc;
	leased.ver = ++now;
	ivy_rx(c, &leased, NULL);
	CHECK(ivy_right(c, 0) == IVY_I && sweeps == 1);
	deadline = 0;
	while (ivy_ending(c))
		;
	sweeps = looked_at = 0;
	CHECK(!nr_resident);
	CHECK(ivy_fault(c, 0, IVY_WRITE) == (knows ? 0 : -EIO));
	CHECK(!knows || (sent.type == IVY_LEASE && sent.inc > leased.inc));
	ivy_destroy(c);
}

/* What the home is told in answer to the message that it sent last, by the node that got it. */
static void answered(struct ivy *c, u8 type, u64 who)
{
	struct ivy_msg m = {.type = type, .src = sent_to, .page = sent.page, .ver = sent.ver};

	m.who = who;
	m.inc = 5;
	ivy_rx(c, &m, NULL);
}

/* The owner says that it does not have the page: it is asked once more before that is believed. */
static void owner_without_page(void)
{
	struct ivy *c = begin_with_two();
	u64 question;

	lost = 0;
	written_by(c, 1, 5, 0);
	read_by(c, 2, 5, 0);
	CHECK(sent.type == IVY_SERVE && sent_to == 1);
	answered(c, IVY_MISS, 0);
	CHECK(sent.type == IVY_SEEK && sent_to == 1 && !lost);
	answered(c, IVY_HAVE, sent.who);
	read_by(c, 2, 5, 0);
	CHECK(sent.type == IVY_SERVE && sent_to == 1);

	answered(c, IVY_MISS, 0);
	CHECK(sent.type == IVY_SEEK && sent_to == 1);
	question = sent.who;
	answered(c, IVY_MISS, 0); /* repeated */
	CHECK(sent.who == question && !lost);
	answered(c, IVY_MISS, question);
	CHECK(sent.type == IVY_SEEK && sent_to == 2 && !sent.flags);
	question = sent.who;
	answered(c, IVY_MISS, question);
	CHECK(sent.who == question && !lost);
	now += LEASE_NS / 4;
	ivy_tick(c);
	CHECK(sent.type == IVY_SEEK && sent_to == 2 && sent.flags == IVY_F_LOSS);
	answered(c, IVY_MISS, question);
	CHECK(!lost);
	answered(c, IVY_MISS, sent.who);
	CHECK(lost == 1);
	ivy_destroy(c);
	lost = endings = 0;
}

/* A node that does not have what it is to serve, or to hand over, says so. */
static void asked_for_nothing(void)
{
	struct ivy *c = begin(1);
	struct ivy_msg serve = {.type = IVY_SERVE, .page = 1, .ver = 9, .count = 1};
	struct ivy_msg give = {.type = IVY_GIVE, .page = 1, .ver = 9, .who = ivy_who(2, 7)};
	u8 list[8];

	CHECK(ivy_fault(c, 0, IVY_WRITE) == 0);
	answer(c, 0);
	serve.inc = give.inc = sent.inc;
	ivy_list_put_who(list, 0, ivy_who(2, 7));
	serve.list = list;
	ivy_rx(c, &serve, NULL);
	CHECK(sent.type == IVY_MISS && sent.page == 1 && sent.ver == 9 && !sent.who);
	ivy_rx(c, &give, NULL);
	CHECK(sent.type == IVY_MISS && sent.page == 1 && sent.who == give.who);
	/* A version below the one owned here was handed over long ago: nobody waits for it. */
	serve.page = give.page = 0;
	serve.ver = give.ver = 1;
	sent.type = 0;
	ivy_rx(c, &serve, NULL);
	ivy_rx(c, &give, NULL);
	CHECK(!sent.type && ivy_right(c, 0) == IVY_M);
	ivy_destroy(c);
	t_slot_free(NULL, 0);
}

static void fresh_at_the_home(void)
{
	struct ivy *c = begin_with_two();

	reads(c, 1, 5, 0, IVY_F_FRESH);
	CHECK(sent.type == IVY_GRANT && sent_to == 1 && sent.flags == IVY_F_ZERO);
	granted_to(c, 1, 5, 0);
	reads(c, 2, 5, 0, IVY_F_FRESH);
	CHECK(sent.type == IVY_SERVE && sent_to == 1);

	/* Neither if it only looks nor if another node may have a copy; but if it had one itself. */
	read_by(c, 1, 5, 1);
	CHECK(sent.type == IVY_DATA && sent_to == 1);
	reads(c, 2, 5, 1, IVY_F_FRESH);
	CHECK(sent.type == IVY_DATA && sent_to == 2);
	read_by(c, 1, 5, 2);
	reads(c, 1, 5, 2, IVY_F_FRESH);
	CHECK(sent.type == IVY_GRANT && sent_to == 1);

	/* A holder that refuses it leaves zeros; one that is lost may have written them. */
	answered(c, IVY_NACK, 0);
	read_by(c, 2, 5, 2);
	CHECK(sent.type == IVY_DATA && (sent.flags & IVY_F_ZERO));
	reads(c, 1, 5, 3, IVY_F_FRESH);
	granted_to(c, 1, 5, 3);
	lost = 0;
	lease_said(c, 1, 7, 0);
	while (ivy_ending(c))
		;
	CHECK(lost == 1);
	ivy_destroy(c);
	lost = endings = 0;
}

/* The home grants the zeros that were asked for by a read. */
static void fresh_come(struct ivy *c, u64 page, u64 ver)
{
	struct ivy_msg grant = {.type = IVY_GRANT, .flags = IVY_F_ZERO, .page = page, .ver = ver};

	CHECK(sent.type == IVY_GETS && sent.page == page && sent.flags == IVY_F_FRESH);
	grant.who = ivy_list_who(&sent, 0);
	ivy_rx(c, &grant, NULL);
	CHECK(sent.type == IVY_DONE && ivy_right(c, page) == IVY_S);
}

static void fresh_at_the_node(void)
{
	struct ivy *c = begin(1);
	struct ivy_msg serve = {.type = IVY_SERVE, .page = 2, .ver = 2, .count = 1};
	struct ivy_msg freed = {.type = IVY_FREE, .ver = 2};
	u32 before;
	u8 list[8];

	CHECK(ivy_fault(c, 9, IVY_WRITE) == 0);
	answer(c, 9); /* there is a lease */
	serve.inc = freed.inc = sent.inc;

	CHECK(ivy_fault(c, 0, IVY_READ) == 0);
	fresh_come(c, 0, 2);
	before = nr_sent;
	CHECK(ivy_fault(c, 0, IVY_WRITE) == 1 && ivy_right(c, 0) == IVY_M && nr_sent == before);
	CHECK(ivy_evict(c, 0) == 0 && sent.type == IVY_PUT && sent.flags == IVY_F_PAGE);

	/* Never written: nobody needs bytes of it. */
	CHECK(ivy_fault(c, 1, IVY_READ) == 0);
	fresh_come(c, 1, 2);
	CHECK(ivy_evict(c, 1) == 0 && sent.type == IVY_PUT && sent.flags == IVY_F_ZERO);
	freed.page = 1;
	ivy_rx(c, &freed, NULL);
	CHECK(!resident[1]);

	/* Another node has a copy: it has to be asked for. */
	CHECK(ivy_fault(c, 2, IVY_READ) == 0);
	fresh_come(c, 2, 2);
	ivy_list_put_who(list, 0, ivy_who(2, 7));
	serve.list = list;
	ivy_rx(c, &serve, NULL);
	CHECK(sent.type == IVY_DATA && sent_to == 2 && sent.flags == IVY_F_ZERO);
	CHECK(ivy_fault(c, 2, IVY_WRITE) == 0 && sent.type == IVY_GETX && sent.ver == 2);

	CHECK(ivy_fault(c, 3, IVY_LOOK) == 0 && sent.type == IVY_GETS && !sent.flags);
	ivy_destroy(c);
	memset(resident, 0, sizeof(resident));
	nr_resident = 0;
}

/* The home's answer about the pages that it was asked for last. */
static void answer_run(struct ivy *c, u8 type, u8 flags)
{
	struct ivy_msg m = {.type = type, .flags = flags, .page = sent.page, .more = sent.more};

	m.ver = type == IVY_GRANT ? 2 : 0;
	m.who = ivy_list_who(&sent, 0);
	m.inc = 2; /* of the only lease */
	ivy_rx(c, &m, NULL);
}

/* Writes from the page on, the first three of which are asked for one by one. */
static void write_three(struct ivy *c, u64 page)
{
	u64 i;

	for (i = 0; i < 2; i++) {
		CHECK(ivy_fault(c, page + i, IVY_WRITE) == 0);
		answer(c, page + i);
	}
	/* The third one shows that it goes on. */
	CHECK(ivy_fault(c, page + i, IVY_WRITE) == 0);
	CHECK(sent.type == IVY_GETS && sent.flags == (IVY_F_FRESH | IVY_F_AHEAD));
	CHECK(sent.page == page + 3 && sent.more == 5);
}

static void asked_ahead(void)
{
	struct ivy *c;
	u32 before;
	u64 who;

	ahead = 64;
	c = begin(1);
	write_three(c, 0);
	/* All in one message; each is written without another, but for those that come next. */
	answer_run(c, IVY_GRANT, IVY_F_ZERO);
	CHECK(sent.type == IVY_DONE && sent.page == 3 && sent.more == 5);
	before = nr_sent;
	CHECK(ivy_fault(c, 3, IVY_WRITE) == 1 && ivy_right(c, 3) == IVY_M && nr_sent == before);
	CHECK(ivy_right(c, 8) == IVY_S && ivy_fault(c, 4, IVY_WRITE) == 1 && nr_sent == before + 1);
	CHECK(sent.type == IVY_GETS && sent.page == 9 && sent.flags == (IVY_F_FRESH | IVY_F_AHEAD));

	/* They are another node's: nobody waits for them, but a fault for the first. */
	completed = 0;
	CHECK(ivy_fault(c, 9, IVY_WRITE) == 0 && nr_sent == before + 1);
	answer_run(c, IVY_NOT, 0);
	CHECK(completed == 1 && ivy_right(c, 9) == IVY_I && !ivy_op_get(c, 10));
	CHECK(ivy_fault(c, 9, IVY_WRITE) == 0 && sent.type == IVY_GETX && sent.page == 9);
	ivy_destroy(c);
	memset(resident, 0, sizeof(resident));

	/* What is not answered in time is given up, and may be answered late. */
	c = begin(1);
	write_three(c, 100);
	who = ivy_list_who(&sent, 0);
	now += LEASE_NS / 20;
	ivy_tick(c);
	CHECK(ivy_op_get(c, 103)); /* a slow link takes longer for them than for one */
	now += LEASE_NS / 5;
	{
		struct ivy_msg late = {
			.type = IVY_GRANT, .flags = IVY_F_ZERO, .ver = 2, .page = 103, .more = 5};

		late.who = who;
		ivy_tick(c);
		CHECK(!ivy_op_get(c, 103) && ivy_op_get(c, 102));
		ivy_rx(c, &late, NULL);
		CHECK(sent.type == IVY_NACK && sent.page == 103 && sent.more == 5 &&
		      !resident[103]);
	}
	ivy_destroy(c);
	memset(resident, 0, sizeof(resident));
	nr_resident = completed = ahead = 0;
}

/* A writer leaves before it has said that it has the page: with pages, it may have written it. */
static void writer_leaves(u8 flags)
{
	struct ivy *c = begin_with_two();

	lost = 0;
	written_by(c, 1, 5, 0);
	asked_by(c, 2, 5, 0);
	CHECK(sent.type == IVY_GIVE && sent_to == 1);
	CHECK(lease_said(c, 2, 5, IVY_F_QUIT | flags) == IVY_GRANT);
	CHECK(sent_to == 1 && sent.flags == (IVY_F_BACK | flags));
	answered(c, IVY_NACK, 0);
	CHECK(lost == 1);
	ivy_destroy(c);
	lost = endings = 0;
}

/* The first page that this home keeps, from that one on. */
static u64 kept_from(struct ivy *c, u64 page)
{
	while (ivy_home(c, page) != c->p.id)
		page++;
	return page;
}

/* All that the home lists, which is each page that it keeps, or some; no call looks at more than it may. */
static u32 list_lost(struct ivy *c, u32 room, u64 first, u64 step)
{
	u64 pages[64], from = 0, before, next = first;
	u32 all = 0, n, i, calls = 0;

	do {
		before = from;
		n = ivy_lost(c, &from, pages, room);
		CHECK(n <= room && from > before && calls++ < 2 * PAGES);
		for (i = 0; i < n; i++, all++) {
			CHECK(pages[i] == next && next >= before && next < from);
			next = step ? next + step : kept_from(c, next + 1);
		}
	} while (from < PAGES);
	CHECK(ivy_lost(c, &from, pages, room) == 0 && from == PAGES);
	return all;
}

static void lost_are_listed(void)
{
	static const u16 homes[] = {2, 0, 1};
	struct ivy *c = begin_of(0, homes, 3, false);
	struct ivy_msg getx = {
		.type = IVY_GETX, .src = 1, .who = ivy_who(1, 9), .ver = IVY_VER_ANY, .page = IVY_RUN};
	const u64 step = 9 * IVY_RUN, first = IVY_RUN + 5, share = ivy_share_pages(PAGES, 3, 1);
	u64 page;

	CHECK(list_lost(c, 64, 0, 0) == 0);
	CHECK(lets_in(c, 5));
	for (page = 0; page < 3; page++)
		written_by(c, 1, 5, first + step * page);
	CHECK(list_lost(c, 1, 0, 0) == 0);
	now += LEASE_NS;
	ivy_tick(c);
	while (ivy_ending(c))
		;
	CHECK(list_lost(c, 1, first, step) == 3 && list_lost(c, 64, first, step) == 3);
	ivy_destroy(c);

	/* Of those that nobody has asked for, too; but not before it knows, nor what it does not keep. */
	c = begin_of(0, homes, 3, true);
	CHECK(list_lost(c, 64, 0, 0) == 0);
	ivy_open(c, true);
	CHECK(list_lost(c, 7, IVY_RUN, 0) == share && list_lost(c, 64, IVY_RUN, 0) == share);
	now += LEASE_NS;
	CHECK(lets_in(c, 6));
	ivy_rx(c, &getx, NULL);
	granted_to(c, 1, 6, IVY_RUN);
	CHECK(list_lost(c, 64, IVY_RUN + 1, 0) == share - 1);
	ivy_destroy(c);

	c = begin(1);
	CHECK(list_lost(c, 64, 0, 0) == 0);
	ivy_destroy(c);
	lost = 0;
	endings = 0;
}

int main(void)
{
	owner_without_page();
	asked_for_nothing();
	fresh_at_the_home();
	fresh_at_the_node();
	asked_ahead();
	writer_leaves(0);
	writer_leaves(IVY_F_LOSS);
	opened(false);
	opened(true);
	lost_are_listed();
	home_anew(false);
	home_anew(true);
	discarding();
	owner_back();
	copies_and_grants();
	hand_overs();
	owner_lost();
	own_requests();
	quitting_at_the_home();
	renewing_at_the_node();
	quitting_at_the_node();
	at_the_node();
	at_the_home();
	seeking_at_the_home();
	return 0;
}
