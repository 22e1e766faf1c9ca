// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_shares.c - parts of regions move until nodes are taken in equal proportion, and no longer. */
#include "check.h"
#include "node/shares.h"
#include "state/record.h"

#define NODES 12u
#define PARTS 400u
#define GIB   (1ull << 30)

struct world {
	struct share of[NODES];
	unsigned count;
	uint64_t bytes[PARTS];
	unsigned at[PARTS];
	unsigned parts;
};

/* What all nodes' squares come to, by their room. */
static double unevenness(const struct world *w)
{
	double sum = 0;

	for (unsigned i = 0; i < w->count; i++)
		if (w->of[i].room)
			sum += (double)w->of[i].taken / (double)w->of[i].room * (double)w->of[i].taken;
	return sum;
}

static bool move_any(struct world *w, unsigned first)
{
	int to = shares_emptiest(w->of, w->count);

	for (unsigned k = 0; to >= 0 && k < w->parts; k++) {
		unsigned p = (first + k) % w->parts;

		if (!shares_move(w->of, w->count, w->at[p], (unsigned)to, w->bytes[p]))
			continue;
		w->of[w->at[p]].taken -= w->bytes[p];
		w->of[to].taken += w->bytes[p];
		w->at[p] = (unsigned)to;
		return true;
	}
	return false;
}

static void part_add(struct world *w, unsigned node, uint64_t bytes)
{
	w->bytes[w->parts] = bytes;
	w->at[w->parts++] = node;
	w->of[node].taken += bytes;
}

static void a_node_that_is_added_gets_its_part(void)
{
	for (unsigned nodes = 1; nodes < NODES; nodes++) {
		struct world w = {.count = nodes + 1};
		unsigned moves = 0;

		for (unsigned i = 0; i <= nodes; i++)
			w.of[i].room = 100 * GIB;
		for (unsigned p = 0; p < 20 * nodes; p++)
			part_add(&w, p % nodes, GIB);
		while (move_any(&w, moves))
			moves++;
		CHECK(w.of[nodes].taken * (nodes + 1) * 100 >= 20 * nodes * GIB * SHARES_FAR);
		CHECK(moves <= 20);
	}
}

/* One region, of which each node has the same; its slots move one by one. */
static void a_large_region_spreads(void)
{
	struct share of[] = { { 60 * GIB, 100 * GIB }, { 60 * GIB, 100 * GIB }, { 60 * GIB, 100 * GIB }, { 0, 100 * GIB } };
	const uint64_t slot = 60 * GIB / 512;
	unsigned moved = 0, left[] = { 512, 512, 512 };

	CHECK(!shares_move(of, 4, 0, 3, 60 * GIB));
	for (unsigned from = 0; shares_emptiest(of, 4) == 3; from = (from + 1) % 3) {
		unsigned n = shares_move_some(of, 4, from, 3, slot, left[from]);

		left[from] -= n;
		moved += n;
		of[from].taken -= n * slot;
		of[3].taken += n * slot;
		CHECK(of[from].taken + slot > 45 * GIB);
		CHECK(n || from);
	}
	CHECK(moved <= 3 * 128);
	CHECK(of[3].taken >= 38 * GIB);
	CHECK_EQ(shares_move_some(of, 4, 0, 1, slot, 512), 0);
	of[3] = (struct share){ 0 };
	CHECK_EQ(shares_move_some(of, 4, 0, 3, slot, 512), 0);
}

static void what_is_even_stays(void)
{
	struct world w = {.count = 3};

	for (unsigned i = 0; i < 3; i++) {
		w.of[i].room = (i + 1) * 100 * GIB;
		for (unsigned p = 0; p <= i; p++)
			part_add(&w, i, 9 * GIB + p * GIB / 2);
	}
	CHECK(!move_any(&w, 0));
}

static void a_part_too_large_stays(void)
{
	struct world w = {.count = 3};

	for (unsigned i = 0; i < 3; i++)
		w.of[i].room = 100 * GIB;
	part_add(&w, 0, 40 * GIB);
	part_add(&w, 1, 40 * GIB);
	CHECK(shares_emptiest(w.of, 3) == 2);
	CHECK(!move_any(&w, 0));
}

static void nodes_that_do_not_count_give_and_take_nothing(void)
{
	struct world w = {.count = 4};

	for (unsigned i = 0; i < 3; i++)
		w.of[i].room = 100 * GIB;
	for (unsigned p = 0; p < 20; p++)
		part_add(&w, p % 2 ? 3 : 0, GIB);
	for (unsigned i = 0; move_any(&w, i); i++)
		CHECK(i < 20);
	CHECK(w.of[3].taken == 10 * GIB);
	CHECK(shares_emptiest(NULL, 0) == -1);
}

/* A node that lies about itself draws nothing to it by figures of which sums would wrap. */
static void figures_beyond_reason_do_not_count(void)
{
	struct share of[] = { share_told(40 * GIB, 100 * GIB), share_told(0, 1ull << 62), share_told(~0ull, 100 * GIB) };

	CHECK(of[0].room == 100 * GIB && of[0].taken == 40 * GIB);
	CHECK(!of[1].room && !of[2].room);
	CHECK(shares_emptiest(of, 3) == -1);
}

/* Any nodes and parts: each move makes them more even, so that they come to an end. */
static void no_move_is_undone(void)
{
		for (unsigned turn = 0; turn < 300; turn++) {
		struct world w = {.count = 2 + (unsigned)check_random_below(NODES - 1)};
		unsigned parts = 1 + (unsigned)check_random_below(PARTS);
		double before;

		for (unsigned i = 0; i < w.count; i++)
			w.of[i].room = check_random_below(8) ? (1 + check_random_below(64)) * 16 * GIB : 0;
		for (unsigned p = 0; p < parts; p++)
			part_add(&w, (unsigned)check_random_below(1 + w.count / 2), 1 + check_random_below(8192) * (GIB >> 10));
		before = unevenness(&w);
		for (unsigned i = (unsigned)check_random_below(PARTS); move_any(&w, i); i++) {
			double after = unevenness(&w);

			CHECK(after < before);
			before = after;
		}
	}
}

/* Nodes that were filled with regions as they are made: with the places of each. */
struct filled {
	struct share of[NODES];
	unsigned count, copies, regions;
	unsigned percent;
	struct record rec[PARTS];
	uint64_t slot[PARTS]; /* bytes of each of its slots */
};

static bool region_add(struct filled *f, uint64_t slot_bytes)
{
	struct record *rec = &f->rec[f->regions];
	uint64_t kept[NODES], room[NODES], taken[NODES] = { 0 };

	shares_keep(f->of, f->count, 0, f->copies, f->percent, kept);
	for (unsigned i = 0; i < f->count; i++)
		room[i] = f->of[i].taken + kept[i] < f->of[i].room ? f->of[i].room - f->of[i].taken - kept[i] : 0;
	*rec = (struct record){ .node_count = (uint16_t)f->count, .replicas = (uint16_t)f->copies };
	if (record_place(rec, room, NULL))
		return false;
	for (unsigned s = 0; s < RECORD_SLOTS; s++)
		for (unsigned n = 0; n < f->copies; n++)
			taken[rec->slots[s].node[n]] += slot_bytes;
	for (unsigned i = 0; i < f->count; i++)
		if (taken[i] > room[i])
			return false;
	for (unsigned i = 0; i < f->count; i++)
		f->of[i].taken += taken[i];
	f->slot[f->regions++] = slot_bytes;
	return true;
}

static void nodes_fill(struct filled *f, uint64_t most)
{
	for (uint64_t slot = most; slot >= most / 1024 && f->regions < PARTS;)
		if (!region_add(f, slot))
			slot /= 2;
}

/* What a node had goes to others as replace_job.c chooses them. Returns how much found no place. */
static uint64_t node_lose(const struct filled *f, unsigned lost)
{
	struct share of[NODES];
	uint64_t homeless = 0;

	memcpy(of, f->of, sizeof(of));
	for (unsigned r = 0; r < f->regions; r++)
		for (unsigned s = 0; s < RECORD_SLOTS; s++) {
			unsigned best = NODES;

			if (record_replica_of(&f->rec[r], s, lost) < 0)
				continue;
			for (unsigned i = 0; i < f->count; i++)
				if (i != lost && record_replica_of(&f->rec[r], s, i) < 0 && of[i].room - of[i].taken >= f->slot[r] &&
				    (best == NODES || of[i].room - of[i].taken > of[best].room - of[best].taken))
					best = i;
			if (best < NODES)
				of[best].taken += f->slot[r];
			else
				homeless += f->slot[r];
		}
	return homeless;
}

static struct filled filled;

/* Equal nodes, filled with regions until none has room for another. */
static void what_is_kept_has_room_for_what_a_node_had(void)
{
	for (unsigned copies = 2; copies <= 3; copies++)
		for (unsigned count = copies + 1; count <= 8; count++) {
			filled = (struct filled){ .count = count, .copies = copies, .percent = SHARES_KEEP };
			for (unsigned i = 0; i < count; i++)
				filled.of[i].room = 64 * GIB;
			nodes_fill(&filled, GIB / 16);
			CHECK(filled.of[0].taken * 100 >= filled.of[0].room / count * (count - 1) * 97);
			for (unsigned i = 0; i < count; i++)
				CHECK_EQ(node_lose(&filled, i), 0);
			filled.percent = 0; /* as if nothing were kept */
			nodes_fill(&filled, GIB / 16);
			CHECK(node_lose(&filled, 0) > 0);
		}
}

static void unequal_nodes_keep_enough_too(void)
{
	for (unsigned turn = 0; turn < 100; turn++) {
		filled = (struct filled){ .count = 4 + (unsigned)check_random_below(5), .copies = 2, .percent = SHARES_KEEP };
		for (unsigned i = 0; i < filled.count; i++)
			filled.of[i].room = (64 + check_random_below(64)) * GIB;
		nodes_fill(&filled, GIB / 16);
		for (unsigned i = 0; i < filled.count; i++)
			CHECK_EQ(node_lose(&filled, i), 0);
	}
}

static void what_is_kept_is_a_share(void)
{
	struct share of[] = { { 0, 100 * GIB }, { 0, 50 * GIB }, { 0, 50 * GIB }, { 0, 0 } };
	uint64_t kept[4];

	shares_keep(of, 4, 0, 2, SHARES_KEEP, kept);
	CHECK(kept[0] == 50 * GIB + 100 * GIB / SHARES_SPARE && !kept[3]);
	CHECK(kept[1] == 25 * GIB + 50 * GIB / SHARES_SPARE && kept[2] == kept[1]);
	shares_keep(of, 4, 0, 2, 10, kept);
	CHECK(kept[0] == 10 * GIB && kept[1] == 5 * GIB);
	/* A copy cannot be made anew; or it may, when the node is back that does not answer. */
	shares_keep(of, 4, 0, 3, SHARES_KEEP, kept);
	CHECK(!kept[0] && !kept[1]);
	shares_keep(of, 4, 0, 1, SHARES_KEEP, kept);
	CHECK(!kept[0] && !kept[1]);
	shares_keep(of, 4, 2, 3, SHARES_KEEP, kept);
	CHECK(kept[0] == 25 * GIB + 100 * GIB / SHARES_SPARE && kept[1] == kept[0] / 2);
	shares_keep(&of[3], 1, 5, 2, SHARES_KEEP, kept);
	CHECK(!kept[0]);
}

static const struct check_test tests[] = {
	{ "a-node-that-is-added-gets-its-part", a_node_that_is_added_gets_its_part },
	{ "a-large-region-spreads", a_large_region_spreads },
	{ "what-is-even-stays", what_is_even_stays },
	{ "a-part-too-large-stays", a_part_too_large_stays },
	{ "nodes-that-do-not-count-give-and-take-nothing", nodes_that_do_not_count_give_and_take_nothing },
	{ "figures-beyond-reason-do-not-count", figures_beyond_reason_do_not_count },
	{ "no-move-is-undone", no_move_is_undone },
	{ "what-is-kept-has-room-for-what-a-node-had", what_is_kept_has_room_for_what_a_node_had },
	{ "unequal-nodes-keep-enough-too", unequal_nodes_keep_enough_too },
	{ "what-is-kept-is-a-share", what_is_kept_is_a_share },
};
CHECK_MAIN(tests)
