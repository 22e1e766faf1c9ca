// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * model.c - every state that a region of two chunks can reach, in which two pages of each are used, and what must
 * hold in each.
 *
 *	model [-m MUTANT] [-n STATES] [-t] [CASE... | long]
 *
 * From each state every event that is possible and that the case still allows is tried: READs, WRITEs, zeros,
 * fsyncs, cuts, what of a chunk comes back in which piece, what a writer's wire and the node do, refusals, the
 * clock, another host that writes while we do not, and a worker's death at each of the calls that an event makes.
 *
 * In the case `any` there are all kinds of these, each once, and any three happen; a request and a refusal is of one kind there
 * (is_plain()), and a chunk's pages come as one piece. The others have more of some kinds.
 *
 * The search is made smaller as that of ../resident/model.c is: cells are told by which are alike (cell_name()), a death is tried in
 * each call of each event, and a node's answer comes to its writer at once.
 */
#include "world.h"

#include "../sim/explore.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#define NEAR_PAGE 0u
#define FAR_PAGE  (GVM_CHUNK_PAGES - 1)

static struct limits {
	uint8_t reads, writes, zeros, syncs, cuts, cancels, refusals, kills, resends, others, stores, closes, nevers,
		detaches, sealed, grows, /* sealed: what is sent is */
		together, /* of all of these; 0: as many as each allows */
		plain;	  /* of what a request may be of only one, and a chunk's pages come as one piece */
} left;

#define EVERYTHING                                                                                                             \
	.reads = 1, .writes = 1, .zeros = 1, .syncs = 1, .cuts = 1, .cancels = 1, .refusals = 1, .kills = 1, .resends = 1,     \
	.others = 1, .stores = 1, .closes = 1, .nevers = 1, .detaches = 1, .grows = 1

static const struct model_case {
	struct explore_case name;
	struct limits limits;
	bool full; /* the nodes have both chunks from before */
} cases[] = {
#ifdef W_SPILLS /* each begins with both chunks being sent, and with the same pages spilled, those of the other one first */
	{ { "spilled-writes", "a WRITE, a READ", false }, { .reads = 1, .writes = 1 }, true },
	{ { "spilled-fsyncs", "a WRITE, an fsync", false }, { .writes = 1, .syncs = 1 }, true },
	{ { "spilled-holes", "a hole, an fsync", false }, { .zeros = 1, .syncs = 1 }, true },
	{ { "spilled-cuts", "a cut, a READ", false }, { .reads = 1, .cuts = 1 }, true },
	{ { "spilled-cuts-fail", "a cut, 2 refusals", false }, { .cuts = 1, .refusals = 2 }, true },
	{ { "spilled-refusals", "an fsync, 2 refusals", false }, { .syncs = 1, .refusals = 2 }, true },
	{ { "spilled-cancels", "a WRITE, its caller killed", false }, { .writes = 1, .cancels = 1 }, true },
	{ { "spilled-deaths", "an fsync, a worker's death", false }, { .syncs = 1, .kills = 1 }, true },
	{ { "spilled-sealed", "an fsync, a worker's death, sealed", false }, { .syncs = 1, .kills = 1, .sealed = 1 }, true },
	{ { "long-spilled-lost", "a WRITE, a death after which it does not come again", true },
	  { .writes = 1, .kills = 1, .nevers = 1 }, true },
	{ { "long-spilled-sealed", "a WRITE, a worker's death, sealed", true },
	  { .writes = 1, .kills = 1, .sealed = 1 }, true },
	{ { "long-spilled-fsyncs", "2 WRITEs, 2 fsyncs", true }, { .writes = 2, .syncs = 2 }, true },
	{ { "long-spilled-holes", "a WRITE, a hole, a READ", true }, { .reads = 1, .writes = 1, .zeros = 1 }, true },
	{ { "long-spilled-deaths", "a WRITE, an fsync, 2 deaths", true }, { .writes = 1, .syncs = 1, .kills = 2 }, true },
	{ { "long-spilled-empty", "an empty region: a WRITE, a hole, a death", true },
	  { .writes = 1, .zeros = 1, .kills = 1 }, false },
#else
	{ { "write-back", "2 WRITEs", false }, { .writes = 2 }, true },
	{ { "reads", "a WRITE, 2 READs", false }, { .reads = 2, .writes = 1 }, true },
	{ { "holes", "a WRITE, a hole", false }, { .writes = 1, .zeros = 1 }, true },
	{ { "empty", "an empty region: a WRITE, a hole, a READ", false },
	  { .reads = 1, .writes = 1, .zeros = 1 }, false },
	{ { "fsyncs", "2 WRITEs, an fsync", false }, { .writes = 2, .syncs = 1 }, true },
	{ { "cuts", "a cut, a READ", false }, { .reads = 1, .cuts = 1 }, true },
	{ { "cuts-grow", "a WRITE, a cut, a growth", false }, { .writes = 1, .cuts = 1, .grows = 1 }, true },
	{ { "cuts-death", "a cut, a worker's death, a growth", false }, { .cuts = 1, .kills = 1, .nevers = 1, .grows = 1 }, true },
	{ { "long-cuts-read", "a WRITE, a cut, a READ", true }, { .reads = 1, .writes = 1, .cuts = 1 }, true },
	{ { "long-cuts-grow", "a WRITE, a cut, a death, a growth", true },
	  { .writes = 1, .cuts = 1, .kills = 1, .nevers = 1, .grows = 1 }, true },
	{ { "cuts-fail", "a WRITE, a cut, a refusal", false }, { .writes = 1, .cuts = 1, .refusals = 1 }, true },
	{ { "refusals", "a WRITE, a READ, 2 refusals", false }, { .reads = 1, .writes = 1, .refusals = 2 }, true },
	{ { "deaths", "a WRITE, a worker's death", false }, { .writes = 1, .kills = 1 }, true },
	{ { "death-beside-a-read", "2 READs, a worker's death", false }, { .reads = 2, .kills = 1 }, true },
	{ { "death-in-a-hole", "a hole, an fsync, a worker's death", false },
	  { .zeros = 1, .syncs = 1, .kills = 1 }, true },
	{ { "cancels", "a WRITE, a READ, 2 callers killed", false },
	  { .reads = 1, .writes = 1, .cancels = 2 }, true },
	{ { "watch", "a READ, another host's store", false },
	  { .reads = 1, .others = 1, .stores = 1, .detaches = 1 }, true },
	{ { "resends", "2 READs, 2 broken connections", false }, { .reads = 2, .resends = 2 }, true },
	{ { "lost", "a WRITE, a death after which it does not come again", false },
	  { .writes = 1, .kills = 1, .nevers = 1 }, true },
	{ { "sealed", "2 WRITEs, a READ, sealed", false }, { .reads = 1, .writes = 2, .sealed = 1 }, true },
	{ { "sealed-deaths", "a WRITE, a worker's death, sealed", false }, { .writes = 1, .kills = 1, .sealed = 1 }, true },
	{ { "sealed-refusals", "a WRITE, a READ, 2 refusals, sealed", false },
	  { .reads = 1, .writes = 1, .refusals = 2, .sealed = 1 }, true },
	{ { "sealed-empty", "an empty region: 2 WRITEs, a READ, sealed", false }, { .reads = 1, .writes = 2, .sealed = 1 }, false },
	{ { "long-sealed-deaths", "a WRITE, a READ, a death, a refusal, sealed", true },
	  { .reads = 1, .writes = 1, .kills = 1, .refusals = 1, .sealed = 1 }, true },
	{ { "long-holes", "a WRITE, a hole, a READ", true }, { .reads = 1, .writes = 1, .zeros = 1 }, true },
	{ { "long-fsyncs", "2 WRITEs, 2 fsyncs", true }, { .writes = 2, .syncs = 2 }, true },
	{ { "long-cuts", "a WRITE, a cut, a READ, a refusal, a death", true },
	  { .reads = 1, .writes = 1, .cuts = 1, .refusals = 1, .kills = 1 }, true },
	{ { "long-watch", "2 READs, another host's store", true },
	  { .reads = 2, .others = 1, .stores = 1, .detaches = 1 }, true },
	{ { "long-lost", "2 WRITEs, a death after which they do not come again", true },
	  { .writes = 2, .kills = 1, .nevers = 2 }, true },
	{ { "long-writes", "3 WRITEs, a READ", true }, { .reads = 1, .writes = 3 }, true },
	{ { "long-deaths", "2 WRITEs, a READ, a worker's death", true },
	  { .reads = 1, .writes = 2, .kills = 1 }, true },
	{ { "two-deaths", "a WRITE, 2 deaths", true }, { .writes = 1, .kills = 2 }, true },
	{ { "turns", "a WRITE, a READ, another host's store before or after", true },
	  { .reads = 1, .writes = 1, .others = 1, .stores = 1, .detaches = 2 }, true },
	{ { "long-turns", "2 READs, a WRITE, another host's 2 stores", true },
	  { .reads = 2, .writes = 1, .others = 1, .stores = 2, .detaches = 2 }, true },
	{ { "everything", "one of everything", true }, { EVERYTHING, .sealed = 1 }, true },
	{ { "any", "any 3 of everything, each once", false }, { EVERYTHING, .together = 3, .plain = 1 }, true },
#endif
};

/* Beside them: every two of what may happen, with a WRITE (by name: pairs). */
static const struct {
	const char *what;
	struct limits limits;
} things[] = {
	{ "a READ", { .reads = 1 } },
	{ "a WRITE", { .writes = 1 } },
	{ "a hole", { .zeros = 1 } },
	{ "an fsync", { .syncs = 1 } },
	{ "a cut", { .cuts = 1 } },
	{ "a caller killed", { .cancels = 1 } },
	{ "a refusal", { .refusals = 1 } },
	{ "a death", { .kills = 1 } },
	{ "a broken connection", { .resends = 1 } },
	{ "another host's store", { .others = 1, .stores = 1, .detaches = 1 } },
	{ "a close", { .closes = 1 } },
};
#define CASES  (sizeof(cases) / sizeof(*cases))
#define THINGS (sizeof(things) / sizeof(*things))
#define PAIRS  EXPLORE_PAIRS(THINGS)

static struct model_case pairs[PAIRS];
static char pairs_what[PAIRS][64];

static void pairs_make(void)
{
	for (unsigned n = 0; n < PAIRS; n++) {
		struct limits limits = { .writes = 1 };
		unsigned a, b;

		explore_pair(n, THINGS, &a, &b);
		explore_limits_add(&limits, &things[a].limits, sizeof(limits));
		explore_limits_add(&limits, &things[b].limits, sizeof(limits));
		snprintf(pairs_what[n], sizeof(pairs_what[n]), "a WRITE, %s and %s", things[a].what, things[b].what);
		pairs[n] = (struct model_case){ { "pairs", pairs_what[n], true }, limits, true };
	}
}

static const struct model_case *case_of(unsigned c)
{
	return c < CASES ? &cases[c] : &pairs[c - CASES];
}

static const struct explore_case *case_nth(unsigned c)
{
	return &case_of(c)->name;
}

/* What matters of a state, and nothing that does not: no pointers, no times but what is due, no numbers that only
 * have to differ. */

static struct {
	uint64_t words[4096];
	unsigned n;
} text;

static void put(uint64_t value)
{
	assert(text.n < sizeof(text.words) / sizeof(*text.words));
	text.words[text.n++] = value;
}

/* Of what pages are known by only matters which are alike. */
static struct {
	uint64_t seal[256];
	unsigned n;
} seals;

static void put_seals(const uint64_t seal[GVM_CHUNK_PAGES])
{
	static const unsigned used[] = { NEAR_PAGE, FAR_PAGE };

	for (unsigned i = 0; world.sealed && i < 2; i++) {
		uint64_t s = seal[used[i]];
		unsigned k = 0;

		while (k < seals.n && seals.seal[k] != s)
			k++;
		assert(k < sizeof(seals.seal) / sizeof(*seals.seal));
		if (k == seals.n)
			seals.seal[seals.n++] = s;
		put(s > SEAL_ZERO ? k + 2 : s);
	}
}

/* Of what cells contain only matters which are alike, and which are zero: each other value is told by the order in which it
 * comes. */
static struct {
	uint32_t cell[512];
	unsigned n;
} values;

static uint64_t cell_name(uint32_t value)
{
	unsigned k = 0;

	if (!value)
		return 0;
	while (k < values.n && values.cell[k] != value)
		k++;
	assert(k < sizeof(values.cell) / sizeof(*values.cell));
	if (k == values.n)
		values.cell[values.n++] = value;
	return k + 1;
}

static void put_page(const void *page)
{
	uint32_t cell[PAGE_CELLS];

	_Static_assert(PAGE_CELLS == 2, "");
	memcpy(cell, page, sizeof(cell));
	put(cell_name(cell[0]) << 32 | cell_name(cell[1]));
}

/* Of the pages that are used, of a chunk's bytes. */
static void put_content(const void *chunk, uint32_t pages)
{
	static const unsigned used[] = { NEAR_PAGE, FAR_PAGE };

	for (unsigned i = 0; i < 2; i++)
		if (pages >> used[i] & 1)
			put_page((const uint8_t *)chunk + used[i] * GVM_PAGE_BYTES);
}

static bool is_used(uint32_t cell)
{
	return cell % CHUNK_CELLS < PAGE_CELLS || cell % CHUNK_CELLS >= CHUNK_CELLS - PAGE_CELLS;
}

static void put_wait(const struct store_wait *wait)
{
	put((uint64_t)(uint32_t)wait->error << 32 | (uint64_t)wait->state << 16 |
	    (wait->on[0].entry ? wait->on[0].entry - world.store.cache.entries + 1 : 0) << 8 |
	    (wait->on[1].entry ? wait->on[1].entry - world.store.cache.entries + 1 : 0));
	put((uint64_t)(wait->on[0].entry && wait->on[0].later) << 1 | (wait->on[1].entry && wait->on[1].later));
}

static void put_region(void)
{
	const struct region *reg = &world.region[0];

	for (uint32_t i = 0; i < W_CELLS; i++) {
		const struct cell *c = &reg->cell[i];

		if (is_used(i))
			put(cell_name(c->truth) << 32 | (c->uncertain ? cell_name(c->other) : 0x80000000u));
	}
	for (unsigned c = 0; c < W_CHUNKS; c++) {
		put(reg->index[c]);
		put(reg->node[c].version);
		put_content(reg->node[c].content, ~0u);
		put_seals(reg->node[c].seal);
		put_seals(reg->known[c].page);
		put(world.sealed ? reg->ours[c] : 0);
	}
	put(reg->epoch << 8 | reg->other | reg->fenced << 1 | (uint64_t)reg->cut_plus_1 << 2);
	put(world.disk[0].epoch << 32 | world.disk[0].failed);
	put((uint64_t)reg->cells << 32 | world.disk[0].cut_to_plus_1);
	put(world.disk[0].cut_version);
	for (unsigned n = 0; n < W_NODES; n++)
		put((uint64_t)reg->node_chunks[n] << 2 | world.cut[0].discarded[n] << 1 | world.cut[0].resized[n]);
	put((uint64_t)world.cut[0].state << 32 | world.cut[0].cells);
	put(world.inode[0].cutting ? world.inode[0].cut_bytes + 1 : 0);
	if (world.cut[0].state == CUT_REST) {
		put_wait(&world.cut[0].rest.wait);
		put(world.cut[0].rest.off);
	}
	for (unsigned s = 0; world.cut[0].state == CUT_LAST && s < JOURNAL_WBUFS; s++)
		put(world.wbuf[s].state != WBUF_FREE && world.store.wbufs.wbuf[s].order <= world.cut[0].s.until);
	put((uint64_t)world.inode[0].opens << 32 | !TAILQ_EMPTY(&world.inode[0].writes));
}

static void put_past(uint32_t cell, uint32_t gen)
{
	const struct cell *c = &world.region[0].cell[cell];

	put(c->gen - gen);
	for (unsigned n = 0; n < W_PAST && gen != c->gen; n++, gen++)
		put(cell_name(c->past[gen % W_PAST]));
}

static void put_put(const struct put *p)
{
	put((uint64_t)p->pages << 32 | p->chunk << 1 | p->whole);
	put(p->version);
	put(p->base ^ p->epoch << 56);
	put_content(p->content, p->pages);
	put_seals(p->seal);
}

/* How many wbufs and places have a lower order number. */
static unsigned orders_below(uint64_t order)
{
	const struct wbufs *wbufs = &world.store.wbufs;
	unsigned n = 0;

	for (unsigned s = 0; s < JOURNAL_WBUFS; s++)
		n += world.wbuf[s].state != WBUF_FREE && wbufs->wbuf[s].order < order;
	for (unsigned i = 0; i < JOURNAL_SPILL; i++)
		n += world.spill[i].state != SPILL_FREE && wbufs->spill.place[i].order < order;
	return n;
}

static void put_spill(void)
{
	const struct spill *p = &world.store.wbufs.spill;
	const struct spill_place *place;
	const struct spill_node *n;
	const struct spill_slot *slot;
	unsigned free = 0;

	for (unsigned i = 0; i < JOURNAL_SPILL; i++) {
		const struct journal_spill *d = &world.spill[i];

		put((uint64_t)d->state << 33 | (uint64_t)d->used << 32 | d->pages);
		put((uint64_t)d->next << 2 | p->place[i].seen << 1 | (p->place[i].slot != NULL));
		if (d->state == SPILL_FREE)
			continue;
		put(d->chunk << 8 | orders_below(p->place[i].order));
		put_content(world.spill_data + (size_t)i * GVM_CHUNK_BYTES, d->pages);
	}
	for (unsigned i = 0; i < SPILL_BUCKETS; i++)
		put(p->buckets[i]);
	put((uint64_t)p->scanning << 32 | p->end);
	put((uint64_t)orders_below(p->left_order) << 1 | (p->left_order <= world.inode[0].synced));
	put(p->scanning || world.inode[0].spill_dropped || left.kills ? world.now / 1000000 % 2 : 2);
	put((uint64_t)world.inode[0].spill_left << 1 | world.inode[0].spill_dropped);
	TAILQ_FOREACH(n, &p->nodes, in)
		TAILQ_FOREACH(slot, &TAILQ_FIRST(&n->shares)->slots, in)
			put((uint64_t)(slot - world.inode[0].spill_slots));
	TAILQ_FOREACH(place, &p->free, in)
		free = free * JOURNAL_SPILL + (unsigned)(place - p->place) + 1;
	TAILQ_FOREACH(place, &p->freed, in)
		put((uint64_t)(place - p->place));
	put((uint64_t)free << 1 | (world.store.tidy_ns > world.now));
}

/* When something is due, if that is not over. */
static void put_time(uint64_t at_ns)
{
	put(at_ns > world.now && at_ns != ~0ull ? at_ns - world.now : at_ns == ~0ull);
}

static void put_wbufs(void)
{
	const struct wbufs *wbufs = &world.store.wbufs;

	for (unsigned s = 0; s < JOURNAL_WBUFS; s++) {
		const struct journal_wbuf *js = &world.wbuf[s];
		const struct wbuf *wbuf = &wbufs->wbuf[s];
		const struct flush *f = &wbuf->flush;
		const struct wire *wire = &world.wire[s];
		bool is_sent = wire->state >= WIRE_SENT;

		put(js->state);
		if (js->state == WBUF_FREE)
			continue;
		put(js->chunk << 32 | js->pages);
		put(js->state == WBUF_SEALED ? js->version << 1 | js->tried : 0);
		put_content(world.wbuf_data + (size_t)s * GVM_CHUNK_BYTES, js->pages);
		put(orders_below(wbuf->order) | (uint64_t)(wbuf->retry_at_ns != 0) << 9 |
		    (uint64_t)(wbuf->order <= wbuf->inode->synced) << 11);
		put_time(js->state == WBUF_OPEN ? wbuf->opened_ns + STORE_AGE_NS : 0);
		put_time(wbuf->retry_at_ns);
		put(wire->state);
		if (wire->state == WIRE_FREE)
			continue;
		put((uint64_t)(uint32_t)(wire->state == WIRE_FINISHED ? f->result : 0) << 32 | f->whole_retry |
		    (is_sent && f->delta) << 1 | (is_sent && f->all_zero) << 2);
		put(f->base);
		put((uint64_t)(wire->state == WIRE_GETTING ? f->asked : 0) << 32 |
		    (uint32_t)(wire->state == WIRE_ANSWERED ? wire->result : 0));
		if (is_sent || (world.sealed && wire->state == WIRE_GETTING))
			put_put(&wire->put);
	}
	for (unsigned i = 0; i < world.lates; i++)
		put_put(&world.late[i]);
	for (const struct wbuf *wbuf = wbufs->free_list; wbuf; wbuf = wbuf->next)
		put((uint64_t)(wbuf - wbufs->wbuf));
}

static void put_entries(void)
{
	for (unsigned i = 0; i < CACHE_ENTRIES; i++) {
		const struct cache_entry *e = &world.store.cache.entries[i];
		const struct get *g = &world.get[i];
		const struct cache_link *link;
		unsigned before = 0;

		put(e->inode != NULL);
		if (!e->inode)
			continue;
		for (unsigned k = 0; k < CACHE_ENTRIES; k++)
			before += world.store.cache.entries[k].inode &&
				  world.store.cache.entries[k].used_at < e->used_at;
		put(e->chunk << 8 | e->fetching << 1 | e->ahead << 2 | before << 3);
		put((uint64_t)e->valid << 32 | e->want);
		put_content(e->data, e->valid);
		TAILQ_FOREACH(link, &e->links, at)
			put((uint64_t)((const uint8_t *)link - (const uint8_t *)&world));
		put(~0ull);
		if (!e->fetching)
			continue;
		put((uint64_t)e->asked << 32 | e->stale);
		put((uint64_t)e->late << 32 | g->left);
		put(e->epoch << 2 | (uint64_t)e->cut << 1 | g->served);
		if (g->served)
			put_content(g->content, g->left);
		if (g->served)
			put_seals(g->seal);
	}
}

static void put_call(const struct call *c)
{
	put(c->begun | c->cancelled << 1 | (uint64_t)(world.region[0].refusals - c->refusals) << 8);
}

static void put_lanes(const struct store_lanes *lanes)
{
	const struct store_lane *lane;
	const struct store_wait *wait;

	TAILQ_FOREACH(lane, lanes, in) {
		TAILQ_FOREACH(wait, &lane->waits, in)
			put((uint64_t)((const uint8_t *)wait - (const uint8_t *)&world));
		put(~0ull);
	}
	put(~1ull);
}

static void put_held(void)
{
	const struct store_wait *wait;

	TAILQ_FOREACH(wait, &world.store.held, in)
		put((uint64_t)((const uint8_t *)wait - (const uint8_t *)&world));
	put(~0ull);
}

static void put_reads(void)
{
	for (unsigned i = 0; i < W_READS; i++) {
		const struct reading *o = &world.reading[i];

		put(o->call.used ? (uint64_t)o->first << 16 | o->count : ~0ull);
		if (!o->call.used)
			continue;
		put_call(&o->call);
		for (uint32_t k = 0; k < o->count; k++)
			if (is_used(o->first + k))
				put_past(o->first + k, o->gen[k]);
		if (!o->call.begun)
			continue;
		put_wait(&o->r.wait);
		put(o->r.waited | (uint64_t)(o->r.copy != NULL) << 1);
		put(o->r.got);
		for (unsigned k = 0; k < 64; k++)
			if (o->r.got >> k & 1)
				put_page(o->r.copy + k * GVM_PAGE_BYTES);
		for (unsigned k = 0; k < CACHE_ENTRIES; k++)
			put(world.store.cache.entries[k].begun < o->r.came);
	}
}

static void put_writes(void)
{
	for (unsigned i = 0; i < W_WRITES; i++) {
		const struct writing *o = &world.writing[i];

		put(o->call.used ? (uint64_t)o->zeros << 48 | (uint64_t)o->first << 16 | o->count : ~0ull);
		if (!o->call.used)
			continue;
		put_call(&o->call);
		for (uint32_t k = 0; k < o->count && !o->zeros; k++)
			if (is_used(o->first + k))
				put(cell_name(o->data[k]));
		if (!o->call.begun)
			continue;
		put_wait(&o->w.wait);
		put(o->w.off << 1 | o->w.stalled);
		put((uint64_t)o->stop << 32 | o->w.stop);
	}
	for (unsigned i = 0; i < W_SYNCS; i++) {
		const struct syncing *o = &world.syncing[i];

		put(o->call.used ? o->cut_plus_1 << 1 | o->cutting : ~0ull);
		if (!o->call.used)
			continue;
		put_call(&o->call);
		for (uint32_t k = 0; k < W_CELLS; k++)
			if (is_used(k))
				put_past(k, o->gen[k]);
		if (!o->call.begun)
			continue;
		for (unsigned s = 0; s < JOURNAL_WBUFS; s++)
			put(world.wbuf[s].state != WBUF_FREE && world.store.wbufs.wbuf[s].order <= o->s.until);
		put(world.store.wbufs.spill.left_order <= o->s.until);
		for (unsigned k = 0; k < JOURNAL_SPILL; k++)
			put(world.spill[k].state != SPILL_FREE && world.store.wbufs.spill.place[k].order <= o->s.until);
	}
}

static uint64_t state_hash(void)
{
	text.n = seals.n = values.n = 0;
	put_region();
	put_wbufs();
	put_spill();
	put_entries();
	put_reads();
	put_writes();
	put_lanes(&world.store.starved);
	put_lanes(&world.store.stalled);
	put_held();
	put(world.kill_in);
	put_time(world.due);
	return XXH3_64bits(text.words, text.n * sizeof(*text.words)) ^ XXH3_64bits(&left, sizeof(left));
}

/* Every event that there may be, in some order; limits say which of them are still allowed. */

static struct event all[512];
static unsigned all_count;

static uint8_t *limit_of(const struct event *e)
{
	switch (e->kind) {
	case E_READ: return &left.reads;
	case E_WRITE: return &left.writes;
	case E_ZERO: return &left.zeros;
	case E_SYNC: return &left.syncs;
	case E_CUT: return &left.cuts;
	case E_CANCEL: return &left.cancels;
	case E_NEVER: return &left.nevers;
	case E_GROW: return &left.grows;
	case E_CUTS: return e->b >> 8 ? &left.refusals : NULL;
	case E_SERVE:
	case E_BASE:
	case E_APPLY: return e->b ? &left.refusals : NULL;
	case E_RESEND: return &left.resends;
	case E_KILL: return &left.kills;
	case E_CLOSE: return world.inode[0].opens ? &left.closes : NULL;
	case E_OTHER: return world.region[0].other ? NULL : &left.others;
	case E_STORE: return &left.stores;
	case E_DETACH: return world.disk[0].failed ? NULL : &left.detaches;
	default: return NULL;
	}
}

static void may(enum event_kind kind, uint32_t a, uint32_t b)
{
	all[all_count++] = (struct event){ kind, a, b };
}

static uint32_t cells(uint32_t first, uint32_t count)
{
	return first << 14 | count;
}

static void requests_make(void)
{
	const uint32_t both = CHUNK_CELLS - PAGE_CELLS; /* the end of one chunk and the beginning of the other */

	for (unsigned i = 0; i < W_READS; i++) {
		may(E_READ, i, cells(0, PAGE_CELLS));
		may(E_READ, i, cells(both, 2 * PAGE_CELLS));
	}
	for (unsigned i = 0; i < W_WRITES; i++) {
		may(E_WRITE, i, cells(0, PAGE_CELLS));
		may(E_WRITE, i, cells(1, 1));
		may(E_WRITE, i, cells(both, 2 * PAGE_CELLS));
		may(E_WRITE, i, cells(both + 1, 2 * PAGE_CELLS - 2));
		may(E_WRITE, i, cells(0, CHUNK_CELLS));
		may(E_ZERO, i, cells(0, PAGE_CELLS));
		may(E_ZERO, i, cells(both + 1, 2));
		may(E_ZERO, i, cells(CHUNK_CELLS, CHUNK_CELLS));
		may(E_ZERO, i, cells(0, W_CELLS));
	}
	for (unsigned i = 0; i < W_SYNCS; i++) {
		may(E_SYNC, i, 0);
		may(E_CUT, i, 0);
		may(E_CUT, i, CHUNK_CELLS);
		may(E_CUT, i, 1);
	}
	for (unsigned n = 0; n < W_NODES; n++)
		may(E_CUTS, 0, n);
	may(E_CUTS, 0, 1u << 8);
	may(E_GROW, 0, W_CELLS);
	for (unsigned what = 0; what < 3; what++)
		for (unsigned i = 0; i < (what == 0 ? W_READS : what == 1 ? W_WRITES : W_SYNCS); i++) {
			may(E_BEGIN, i, what);
			may(E_NEVER, i, what);
			if (what < 2)
				may(E_CANCEL, i, what);
		}
}

static void all_make(void)
{
	requests_make();
	for (unsigned i = 0; i < CACHE_ENTRIES; i++) {
		may(E_SERVE, i, 0);
		may(E_SERVE, i, EIO);
		may(E_PIECE, i, ~0u);
		may(E_PIECE, i, 1u << NEAR_PAGE);
		may(E_PIECE, i, 1u << FAR_PAGE);
		may(E_END, i, 0);
		may(E_RESEND, i, 0);
		may(E_RESEND, i, 1);
	}
	for (unsigned i = 0; i < JOURNAL_WBUFS; i++) {
		may(E_START, i, 0);
		may(E_BASE, i, 0);
		may(E_BASE, i, ENOMEM);
		may(E_APPLY, i, 0);
		may(E_APPLY, i, ENOSPC);
		may(E_APPLY, i, EREMCHG);
		may(E_APPLY, i, EIO);
		may(E_ACK, i, 0);
	}
	may(E_COLLECT, 0, 0);
	may(E_LATE, 0, 0);
	may(E_LOST, 0, 0);
	may(E_TICK, 0, 0);
	may(E_CLOSE, 0, 0);
	may(E_ATTACH, 0, 0);
	may(E_DETACH, 0, 0);
	may(E_OTHER, 0, 0);
	may(E_OTHER, 0, 1);
	may(E_STORE, 0, 0);
	may(E_STORE, 0, CHUNK_CELLS - 1);
	may(E_STORE, 0, CHUNK_CELLS);
	may(E_KILL, 0, 0);
}

/* What happens before a case begins. */
#define NEAR_END (CHUNK_CELLS - PAGE_CELLS) /* the last page of the first chunk; the first of the other follows */
static const struct event first[] = {
#ifdef W_SPILLS
	{ E_WRITE, 0, NEAR_END << 14 | 2 * PAGE_CELLS }, { E_TICK, 0, 0 },
	{ E_WRITE, 0, CHUNK_CELLS << 14 | PAGE_CELLS }, { E_WRITE, 0, NEAR_END << 14 | PAGE_CELLS },
#endif
	{ EVENTS, 0, 0 },
};

static void begin(unsigned c)
{
	left = case_of(c)->limits;
	if (!left.together)
		left.together = UINT8_MAX;
	world_init(case_of(c)->full, case_of(c)->limits.sealed);
	for (const struct event *e = first; e->kind != EVENTS; e++)
		world_event(e);
}

/* A READ or WRITE of the end of one chunk and the beginning of the other, zeros over both, a cut in a page. */
static bool is_plain(const struct event *e)
{
	const uint32_t end = CHUNK_CELLS - PAGE_CELLS;

	switch (e->kind) {
	case E_READ: return e->b == cells(end, 2 * PAGE_CELLS);
	case E_WRITE: return e->b == cells(end + 1, 2 * PAGE_CELLS - 2);
	case E_ZERO: return e->b == cells(0, W_CELLS);
	case E_CUT: return e->b == 1;
	case E_PIECE: return e->b == ~0u;
	case E_STORE: return e->b == CHUNK_CELLS;
	case E_RESEND: return e->b;
	case E_BASE: return !e->b;
	case E_APPLY: return !e->b || e->b == EIO;
	default: return true;
	}
}

static bool try(const struct event *e)
{
	uint8_t *limit = limit_of(e);

	if ((limit && (!*limit || !left.together)) || (left.plain && !is_plain(e)))
		return false;
	/* Which of those that are free it is is all the same. */
	if ((e->kind == E_WRITE || e->kind == E_ZERO) && e->a && !world.writing[e->a - 1].call.used)
		return false;
	if (e->kind == E_READ && e->a && !world.reading[e->a - 1].call.used)
		return false;
	/* A writer sees at once what its node answers: nobody else can tell whether it has, before its outcome is collected. */
	if (e->kind == E_ACK || !world_event(e))
		return false;
	if (e->kind == E_APPLY)
		world_event(&(struct event){ E_ACK, e->a, 0 });
	if (limit)
		--*limit, left.together--;
	return true;
}

/* Each event by itself, then with the worker's death in each of the calls that it makes. */
#define DEATHS 512u

static enum explore_went go(unsigned event, unsigned *next)
{
	const struct event *e = &all[event / DEATHS];
	unsigned call = event % DEATHS, beyond = event - call + DEATHS;
	bool came;

	if (!call) {
		came = try(e);
		if (!came || e->kind == E_KILL || !left.kills || !left.together)
			*next = beyond;
		return came ? WENT_ON : WENT_NOT;
	}
	if (left.together < 1 + (limit_of(e) != NULL)) {
		*next = beyond;
		return WENT_NOT;
	}
	assert(call < DEATHS - 1);
	world.kill_in = call;
	came = try(e);
	if (came && !world.kill_in) {
		left.kills--;
		left.together--;
		return WENT_ON;
	}
	world.kill_in = 0;
	*next = beyond;
	return came ? WENT_BACK : WENT_NOT;
}

static uint32_t pick_first(uint32_t below)
{
	static uint32_t n;

	return n++ % below;
}

static const char *finish(void)
{
	return world_finish(pick_first, 0);
}

static void print_event(unsigned event)
{
	event_print(&all[event / DEATHS]);
	if (event % DEATHS)
		printf("(it dies in call %u of that)\n", event % DEATHS);
}

int main(int argc, char **argv)
{
	struct explore x = {
		.world = &world, .world_bytes = sizeof(world), .left = &left, .left_bytes = sizeof(left),
		.cases = CASES + PAIRS, .nth = case_nth, .begin = begin, .go = go,
		.hash = state_hash, .check = world_check, .finish = finish, .print_event = print_event,
		.print_world = world_print,
	};

	pairs_make();
	all_make();
	x.events = all_count * DEATHS;
	return explore_main(&x, argc, argv);
}
