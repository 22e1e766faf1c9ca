// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * pairs.c - a lease that is renewed together with those of other regions guards what one did that
 * was renewed by itself.
 *
 *	pairs [-m MUTANT] [SEED [LAST]]
 *
 * Three nodes, of which one is the home of three regions: the others use some of them, join and
 * leave them, and with an odd seed one of them carries what both have to say; messages wait,
 * overtake, come twice and are lost; each begins a region anew; time passes in steps of which some
 * are long, and ticks come when they like. Whenever a node may use its pages of a region, the home
 * has that very lease, to an end that is a margin later; or it began the region anew, and makes
 * nothing of these pages until then. And as long as nothing goes wrong, leases take as many
 *messages for three regions as for one.
 */
#include "kmod/ivy/impl.h"
#include "kmod/ivy/ivy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REGIONS	 3
#define LEASE_NS 8000000ull
#define STEP_NS	 500000ull
#define QUEUED	 64

int ivy_mutant;

enum { HOME, USER, OTHER, NODES };

struct side {
	struct ivy *core;
	struct ivy_slot slot;
	bool resident;
	u8 region, node;
};

struct packet {
	struct ivy_msg m;
	u8 list[4 * IVY_BEAT_BYTES];
	u8 region; /* REGIONS: of the pair */
};

struct queue {
	struct packet p[QUEUED];
	u32 n;
};

static struct side sides[REGIONS][NODES];
static struct ivy_pairs *pairs[NODES];
static struct queue queues[NODES]; /* to that node */
static bool carries;		   /* as soon as two nodes have leases */
static u64 carried;		   /* messages that brought more than one BEAT */
static bool cut;		   /* between the home and node 2 */
static u64 now, seed, random_state, starts;
static u64 sent[IVY_TYPES];
static bool memory_short; /* now and then */

static u64 pick(u64 below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 11) % below;
}

/* ---- what the cores see ---- */

static void put(u8 region, u16 dst, const struct ivy_msg *m)
{
	struct queue *q = &queues[dst];
	struct packet *p = &q->p[q->n];

	sent[m->type]++;
	carried += m->type == IVY_BEAT && m->count > 1;
	if (cut && ((m->src == HOME && dst == OTHER) || (m->src == OTHER && dst == HOME)))
		return;
	if (q->n == QUEUED)
		return;
	q->n++;
	p->m = *m;
	p->region = region;
	if (m->count && m->count * ivy_entry_bytes(m->type) > sizeof(p->list))
		abort();
	if (m->count)
		memcpy(p->list, m->list, m->count * ivy_entry_bytes(m->type));
}

static void e_send(void *ctx, u16 dst, const struct ivy_msg *m, const void *data)
{
	(void)data;
	put(((struct side *)ctx)->region, dst, m);
}

static void e_pair_send(void *ctx, u16 dst, const struct ivy_msg *m)
{
	(void)ctx;
	put(REGIONS, dst, m);
}

static int e_revoke(void *ctx, u64 page, enum ivy_right right, u64 deadline)
{
	(void)ctx;
	(void)page;
	(void)right;
	(void)deadline;
	return 1;
}

static void e_nothing(void *ctx)
{
	(void)ctx;
}

static void e_time(void *ctx, u64 time)
{
	(void)ctx;
	(void)time;
}

static void e_install(void *ctx, u64 page, const void *data)
{
	(void)ctx;
	(void)page;
	(void)data;
}

static void e_complete(void *ctx, u64 page, int err)
{
	(void)ctx;
	(void)page;
	(void)err;
}

static void e_arm_hold(void *ctx, u64 page, u64 ns)
{
	(void)ctx;
	(void)page;
	(void)ns;
}

static u64 e_now(void *ctx)
{
	(void)ctx;
	return now;
}

static void *e_alloc(void *ctx, size_t bytes)
{
	(void)ctx;
	return memory_short && !pick(50) ? NULL : calloc(1, bytes);
}

static void e_free(void *ctx, void *p, size_t bytes)
{
	(void)ctx;
	(void)bytes;
	free(p);
}

static void e_lost(void *ctx, u64 page)
{
	(void)ctx;
	(void)page;
}

static struct ivy_slot *e_slot_get(void *ctx, u64 page)
{
	struct side *side = ctx;

	return page || !side->resident ? NULL : &side->slot;
}

static struct ivy_slot *e_slot_new(void *ctx, u64 page)
{
	struct side *side = ctx;

	(void)page;
	memset(&side->slot, 0, sizeof(side->slot));
	side->resident = true;
	return &side->slot;
}

static void e_slot_free(void *ctx, u64 page)
{
	(void)page;
	((struct side *)ctx)->resident = false;
}

static bool e_slot_next(void *ctx, u64 *page)
{
	return !*page && ((struct side *)ctx)->resident;
}

static const struct ivy_env env = {
	.send = e_send,
	.revoke = e_revoke,
	.sweep = e_time,
	.ending = e_nothing,
	.install = e_install,
	.complete = e_complete,
	.arm_hold = e_arm_hold,
	.now = e_now,
	.alloc = e_alloc,
	.free = e_free,
	.lost = e_lost,
	.slot_get = e_slot_get,
	.slot_new = e_slot_new,
	.slot_free = e_slot_free,
	.slot_next = e_slot_next,
};

static const struct ivy_pairs_env pairs_env = {
	.lock = e_nothing,
	.unlock = e_nothing,
	.send = e_pair_send,
	.now = e_now,
	.wake = e_time,
	.alloc = e_alloc,
	.free = e_free,
};

/* ---- regions ---- */

static void region_begin(u8 region, u8 node, bool closed)
{
	static const u16 homes[] = {HOME};
	struct side *side = &sides[region][node];
	struct ivy_params p = {.id = node,
			       .nodes = NODES,
			       .nhomes = 1,
			       .homes = homes,
			       .pages = 1,
			       .pairs = pairs[node],
			       .key = 100u + region,
			       .start = starts += 1000,
			       .closed = closed,
			       .lease_ns = LEASE_NS,
			       .retry_ns = STEP_NS};

	side->region = region;
	side->node = node;
	side->resident = false;
	while (ivy_create(&p, &env, side, &side->core))
		;
}

static void region_anew(u8 region, u8 node)
{
	struct side *side = &sides[region][node];

	if (node != HOME && pick(2))
		ivy_leave(side->core);
	ivy_destroy(side->core);
	region_begin(region, node, node == HOME);
}

static void begin(void)
{
	u8 r, i;

	memset(queues, 0, sizeof(queues));
	now = 0;
	starts = 0;
	random_state = 0x9e3779b97f4a7c15ull * (seed + 1);
	for (i = 0; i < NODES; i++) {
		struct ivy_pairs_params p = {.id = i,
					     .nodes = NODES,
					     .start = 1,
					     .lease_ns = LEASE_NS,
					     .retry_ns = STEP_NS,
					     .carry_above = carries};

		if (ivy_pairs_create(&p, &pairs_env, &queues[i], &pairs[i]))
			abort();
		for (r = 0; r < REGIONS; r++)
			region_begin(r, i, false);
	}
	now = 100 * LEASE_NS;
}

static void end(void)
{
	u8 r, i;

	for (i = 0; i < NODES; i++) {
		for (r = 0; r < REGIONS; r++)
			ivy_destroy(sides[r][i].core);
		ivy_pairs_destroy(pairs[i]);
	}
}

/* ---- events ---- */

static void deliver(u8 to, u32 n)
{
	struct queue *q = &queues[to];
	u8 zeros[IVY_PAGE_BYTES] = {0};
	struct packet p = q->p[n];
	struct ivy *core;

	/* Now and then it comes again. */
	if (pick(8)) {
		q->n--;
		memmove(q->p + n, q->p + n + 1, (q->n - n) * sizeof(p));
	}
	p.m.list = p.list;
	if (p.region == REGIONS) {
		ivy_pairs_rx(pairs[to], &p.m);
		return;
	}
	core = sides[p.region][to].core;
	ivy_rx(core, &p.m, p.m.flags & IVY_F_PAGE ? zeros : NULL);
	ivy_flush(core);
}

static void something(void)
{
	u8 r = (u8)pick(REGIONS), node = (u8)pick(NODES);
	struct ivy *core = sides[r][node].core, *user = sides[r][USER + pick(2)].core;
	struct queue *q = &queues[node];
	u32 n = 0;

	switch (pick(24)) {
	case 0:
		now += pick(8) ? STEP_NS : pick(LEASE_NS); /* in the latter case it stood still */
		break;
	case 1:
		if (q->n && !pick(6))
			q->n = (u32)pick(q->n); /* the connection broke */
		break;
	case 2:
		if (!pick(20))
			region_anew(r, node);
		break;
	case 3:
		ivy_open(sides[r][HOME].core, true);
		break;
	case 4:
	case 5:
		ivy_pairs_tick(pairs[node]);
		break;
	case 6:
	case 7:
		ivy_tick(core);
		while (ivy_ending(core))
			;
		break;
	case 8:
		if (!pick(4))
			ivy_evict(user, 0);
		break;
	case 9:
		ivy_fault(user, 0, IVY_LOOK);
		break;
	case 10:
		if (!pick(20)) {
			u16 other = (u16)((node + 1 + pick(NODES - 1)) % NODES);

			ivy_pairs_joined(pairs[node], other);
			ivy_node_joined(core, other);
		}
		break;
	default:
		if (!q->n)
			break;
		n = (u32)pick(q->n);
		deliver(node, ivy_type_urgent(q->p[n].m.type) ? n : 0);
		break;
	}
}

/* ---- what must hold ---- */

static const char *guarded(u8 r, u8 node)
{
	struct ivy *user = sides[r][node].core, *home = sides[r][HOME].core;
	const struct ivy_peer *my = ivy_peer_get(user, HOME), *its = ivy_peer_get(home, node);
	u64 until, end;

	if (!ivy_lease_live(user, HOME, false))
		return NULL;
	until = my->my_end + user->p.margin_ns;
	if (my->home_start != home->p.start)
		return home->closed || until <= home->grace
			       ? NULL
			       : "the home began anew, and grants its pages";
	if (!its || its->its_state != IVY_LEASE_LIVE || its->its_inc != my->my_inc)
		return "the home has no such lease";
	end = its->its_end;
	if (its->its_counted && ivy_pair_get(pairs[HOME], node)->its_at + LEASE_NS > end)
		end = ivy_pair_get(pairs[HOME], node)->its_at + LEASE_NS;
	return until <= end ? NULL : "the home's end comes first";
}

static u64 run(u64 steps)
{
	u64 live = 0;
	u8 r, node;

	carries = seed % 2;
	begin();
	memory_short = true;
	for (; steps; steps--) {
		something();
		for (r = 0; r < REGIONS; r++) {
			for (node = USER; node < NODES; node++) {
				const char *wrong = guarded(r, node);

				if (wrong) {
					printf("seed %llu, node %u, region %u, %llu steps before "
					       "the end: %s\n",
					       (unsigned long long)seed, node, r,
					       (unsigned long long)steps, wrong);
					exit(1);
				}
				live += ivy_lease_live(sides[r][node].core, HOME, false);
			}
		}
	}
	end();
	memory_short = false;
	return live;
}

/* The first message of that region that waits for the node, once; false: there is none. */
static bool deliver_of(u8 to, u8 region)
{
	struct queue *q = &queues[to];
	u32 n = 0, before = q->n;

	while (n < q->n && q->p[n].region != region)
		n++;
	if (n == q->n)
		return false;
	deliver(to, n);
	if (q->n == before) { /* it is to come again: not here */
		q->n--;
		memmove(q->p + n, q->p + n + 1, (q->n - n) * sizeof(q->p[0]));
	}
	return true;
}

static void settle(u8 region)
{
	while (deliver_of(HOME, region) || deliver_of(USER, region))
		;
}

/*
 * A lease of region 1 begins while a BEAT without it is on its way, and is over at the home when
 * that arrives. Its answer is about region 0 alone, though the lease has not been seen to be over
 * here.
 */
static void late_answer(void)
{
	struct ivy *user;
	u64 asked;
	u8 i;

	begin();
	user = sides[1][USER].core;
	while (ivy_fault(sides[0][USER].core, 0, IVY_LOOK) != 1)
		settle(0);
	asked = now;
	while (!queues[HOME].n)
		ivy_fault(user, 0, IVY_LOOK);
	deliver_of(HOME, 1);
	for (i = 0; i < 8; i++) {
		now += LEASE_NS / 8;
		ivy_node_joined(sides[0][USER].core, HOME);
		settle(0);
		if (i == 2) {
			ivy_pairs_tick(pairs[USER]);
			deliver_of(USER, 1);
		}
	}
	now = asked + LEASE_NS;
	ivy_tick(sides[1][HOME].core);
	while (deliver_of(HOME, REGIONS) || deliver_of(USER, REGIONS))
		;
	if (!ivy_pair_my_sent(pairs[USER], HOME))
		printf("the BEAT was not answered\n"), exit(1);
	if (guarded(1, USER) || ivy_lease_live(user, HOME, false))
		printf("a lease goes on that its home has ended\n"), exit(1);
	end();
}

/*
 * Everything happens in time, in ten leases, while so many regions are in use by both. After half
 * of it nothing reaches the carrier any more, if it is to be lost; the home still hears of it. Or
 * the connection between the home and the other one is broken, over which the home has asked
 * something.
 */
static void quiet(u8 used, bool lost, bool broken)
{
	u64 until, half;
	u8 r, i;

	begin();
	memset(sent, 0, sizeof(sent));
	carried = 0;
	half = now + 5 * LEASE_NS;
	for (until = now + 10 * LEASE_NS; now < until; now += STEP_NS) {
		if (broken && !cut && now > half) {
			cut = true;
			ivy_pair_doubt(pairs[HOME], OTHER);
		}
		for (r = 0; r < REGIONS; r++) {
			for (i = USER; i < NODES && r < used; i++)
				ivy_fault(sides[r][i].core, 0, IVY_LOOK);
			for (i = 0; i < NODES; i++)
				ivy_tick(sides[r][i].core);
		}
		for (i = 0; i < NODES; i++)
			ivy_pairs_tick(pairs[i]);
		while (queues[HOME].n || queues[USER].n || queues[OTHER].n) {
			if (lost && now > half)
				queues[USER].n = 0;
			for (i = 0; i < NODES; i++)
				if (queues[i].n)
					deliver(i, 0);
		}
	}
	for (r = 0; r < used; r++)
		for (i = lost ? OTHER : USER; i < (broken ? OTHER : NODES); i++)
			if (ivy_stats(sides[r][i].core)->lease_expiries ||
			    !ivy_lease_live(sides[r][i].core, HOME, false))
				printf("a lease ended, and nothing was wrong with it\n"), exit(1);
	if (broken && ivy_peer_get(sides[0][HOME].core, OTHER)->its_state == IVY_LEASE_LIVE)
		printf("a node is alive for ever that does not answer\n"), exit(1);
	cut = false;
	end();
}

/*
 * The other node has written a page when its connection to the home breaks, and node 1, which
 * carries for it, reads it: the home finds that the owner does not answer.
 */
static void owner_is_cut_off(void)
{
	u64 half, until;
	u8 r, i;

	begin();
	half = now + 5 * LEASE_NS;
	for (until = half + 5 * LEASE_NS; now < until; now += STEP_NS) {
		cut = now > half;
		for (r = 0; r < REGIONS; r++) {
			ivy_fault(sides[r][OTHER].core, 0, IVY_WRITE);
			if (r || cut)
				ivy_fault(sides[r][USER].core, 0, IVY_LOOK);
			for (i = 0; i < NODES; i++)
				ivy_tick(sides[r][i].core);
		}
		for (i = 0; i < NODES; i++)
			ivy_pairs_tick(pairs[i]);
		while (queues[HOME].n || queues[USER].n || queues[OTHER].n)
			for (i = 0; i < NODES; i++)
				if (queues[i].n)
					deliver(i, 0);
	}
	if (ivy_peer_get(sides[0][HOME].core, OTHER)->its_state == IVY_LEASE_LIVE)
		printf("an owner is alive for ever that does not answer\n"), exit(1);
	cut = false;
	end();
}

/* How many messages of leases are sent to the home then. */
static u64 quiet_messages(u8 used)
{
	quiet(used, false, false);
	return sent[IVY_LEASE] + sent[IVY_BEAT];
}

/* Node 1 carries for both, for it is the first that the home comes to. */
static void carriers(void)
{
	carries = true;
	quiet(REGIONS, false, false);
	printf("of %llu BEATs %llu brought those of both\n", (unsigned long long)sent[IVY_BEAT],
	       (unsigned long long)carried);
	if (!ivy_mutant && carried < 30)
		printf("they are not carried together\n"), exit(1);
	quiet(REGIONS, true, false);
	quiet(REGIONS, false, true);
	owner_is_cut_off();
	carries = false;
}

int main(int argc, char **argv)
{
	u64 last = 2000, live = 0, one, all;
	int at = 1;

	if (argc > 2 && !strcmp(argv[1], "-m")) {
		ivy_mutant = atoi(argv[2]);
		at = 3;
	}
	seed = at < argc ? strtoull(argv[at], NULL, 10) : 1;
	if (at < argc)
		last = at + 1 < argc ? strtoull(argv[at + 1], NULL, 10) : seed;
	late_answer();
	one = quiet_messages(1);
	all = quiet_messages(REGIONS);
	printf("messages of leases in ten leases' time: %llu with one region, %llu with %u\n",
	       (unsigned long long)one, (unsigned long long)all, REGIONS);
	/* Each begins by itself. Messages come twice here, and leases begin between beats. */
	if (!ivy_mutant && all > one + one / 4 + 2 * REGIONS)
		return 1;
	carriers();
	for (; seed <= last; seed++)
		live += run(20000);
	printf("leases were live %llu times, and guarded\n", (unsigned long long)live);
	return !live;
}
