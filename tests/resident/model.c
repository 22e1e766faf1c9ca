// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * model.c - every state that a region of two chunks can reach within the limits of a case, in which two
 * pages of each are used, and what must hold in each.
 *
 *	model [-d] [-m MUTANT] [-n STATES] [-t] [CASE... | long]
 *
 * From each state every event that is possible and that the case still allows is tried: accesses, faults
 * that are read, answers of the node and pieces of them, zaps, pins and what a device stores, writes, holes,
 * fsyncs, budgets, refusals, the clock, and a worker's death at each of the calls that an event makes. In
 * every state check.c looks at all of it; from every state in which nothing can happen, and from one in 64
 * of the others, the world goes on to its end: everything that waits ends, and the node has all.
 *
 * In the case `any` there are all kinds of these, each once, and any three happen, but none while another waits in a call; an access or
 * request is of one kind there (is_plain()), and a chunk's pages come as one piece. The others have more of some kinds. In the case
 * `in-turn` any four of the kinds that change most happen at any moment of what follows from them by itself: answers, pieces,
 * zaps, faults that are read, write-back, the clock; and of these the first that can goes on (goes_on()), not each. `long-in-turn`,
 * with all named kinds, has more than 80 million states, and was not gone through to its end.
 *
 * How the search is made smaller, and why nothing is missed by that:
 *	- What pages contain is told by which are alike (put_value()), versions by how far they are below the last one
 *	  (put_version()): the sources compare both, and do nothing else with them.
 *	- A death is tried in each call of each event (try_deadly()), and between events. Before, it was asked for some calls
 *	  ahead: a death that comes in a later event is that one's.
 *	- A node's answer to a write comes to its writer with the event that makes it (try_with_ack()): until the outcome is
 *	  collected that changes the writer alone, and a worker that dies has lost either.
 *	- Which of the threads that do nothing begins is all the same; so is which waits, and for what is the same, and which
 *	  place a fetch or an eviction has (in_order()).
 *	- What is learned of a region's use, without an end, is one thing all through a case (habits_set()): the simulator has it
 *	  learned.
 *
 * That the hash of a state leaves out nothing that decides what follows is tested, too: explore.h's -d.
 *
 * The search is ../sim/explore.h's. -t shows the way to what was found.
 */
#include "world.h"

#include "../sim/explore.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Pages that are used: the first window of a chunk, and the last page of it. */
#define NEAR 0u
#define FAR  (GVM_CHUNK_PAGES - 1)
#define MISSED_LONG 5u /* misses of a region after which one of a chunk's counts no more: above resident_spread.c's SOON */
#define ROWS	  6u /* r->pinned_row is divided by one more than there are busy chunks, 1 to 3 */
#define CALLS_MAX 64u /* of the client's, that an event makes */

/* How much a fault brings and how long a chunk stays is learned, without an end to what can have been learned. In a case it is
 * one thing all the time: */
enum habits {
	HABITS_FIRST, /* as a region begins */
	HABITS_SPARSE, /* a fault brings a page */
	HABITS_SELDOM, /* no two faults in a chunk follow each other soon */
	HABITS_LIVES, /* whatever is used again after a zap is passed over as often as may be */
};

struct limits {
	uint8_t touches, writes, zeros, syncs, pins, stores, budgets, refusals, strays, kills, leaves, resends,
		stalls, sealed, rots, shorts, replays, /* sealed: what is sent is */
		together, /* of all of these; 0: as many as each allows */
		waits, /* 0: what goes on by itself does so in any order; or so often, less one, something passes another over */
		plain,	  /* of what may be of several kinds only one, and a chunk's pages come as one piece */
		habits;	  /* enum habits */
};

#define EVERYTHING                                                                                                             \
	.touches = 1, .writes = 1, .zeros = 1, .syncs = 1, .pins = 1, .stores = 1, .budgets = 1, .refusals = 1, .strays = 1,   \
	.kills = 1, .leaves = 1, .resends = 1, .rots = 1, .shorts = 1, .replays = 1

/* (Faults, pieces and zaps follow from these.) */
#define NAMED                                                                                                                  \
	.touches = 1, .writes = 1, .zeros = 1, .syncs = 1, .pins = 1, .stores = 1, .budgets = 1, .refusals = 1, .kills = 1

struct model_case {
	struct explore_case name;
	struct limits limits;
	uint32_t local; /* pages */
	bool full;	/* the node has both chunks from before */
};

static const struct model_case cases[] = {
	{ { "evictions", "3 accesses", false },
	  { .touches = 3 }, GVM_CHUNK_PAGES, true },
	{ { "sparse", "3 accesses, each of which brings a page", false },
	  { .touches = 3, .habits = HABITS_SPARSE }, GVM_CHUNK_PAGES, true },
	{ { "seldom", "3 accesses, far apart", false },
	  { .touches = 3, .habits = HABITS_SELDOM }, GVM_CHUNK_PAGES, true },
	{ { "lives", "3 accesses, what is used again is passed over", false },
	  { .touches = 3, .habits = HABITS_LIVES }, GVM_CHUNK_PAGES, true },
	{ { "pins", "2 accesses, a direct read", false },
	  { .touches = 2, .pins = 1, .stores = 1 }, GVM_CHUNK_PAGES, true },
	{ { "requests", "an access, a write, a hole", false },
	  { .touches = 1, .writes = 1, .zeros = 1 }, GVM_CHUNK_PAGES, true },
	{ { "fsyncs", "2 accesses, 2 fsyncs, a refusal", false },
	  { .touches = 2, .syncs = 2, .refusals = 1 }, 2 * GVM_CHUNK_PAGES, true },
	{ { "refusals", "3 accesses, 2 refusals", false },
	  { .touches = 3, .refusals = 2 }, GVM_CHUNK_PAGES, true },
	{ { "deaths", "2 accesses, a worker's death", false },
	  { .touches = 2, .kills = 1 }, GVM_CHUNK_PAGES, true },
	{ { "death-in-a-request", "a write or a hole, a worker's death", false },
	  { .writes = 1, .zeros = 1, .kills = 1 }, GVM_CHUNK_PAGES, true },
	{ { "death-in-an-fsync", "a write, an fsync, a worker's death", false },
	  { .writes = 1, .syncs = 1, .kills = 1 }, GVM_CHUNK_PAGES, true },
	{ { "budgets", "2 accesses, 2 changes of the budget", false },
	  { .touches = 2, .budgets = 2 }, GVM_CHUNK_PAGES, true },
	{ { "strangers", "an access, 2 strange pages, a death", false },
	  { .touches = 1, .strays = 2, .kills = 1 }, GVM_CHUNK_PAGES, true },
	{ { "resends", "2 accesses, 2 broken connections", false },
	  { .touches = 2, .resends = 2 }, GVM_CHUNK_PAGES, true },
	{ { "zeros", "an empty region: 3 accesses, a hole", false },
	  { .touches = 3, .zeros = 1 }, GVM_CHUNK_PAGES, false },
	{ { "stalls", "2 accesses, something while a call waits", false },
	  { .touches = 2, .stalls = 1 }, GVM_CHUNK_PAGES, true },
	{ { "stalled-requests", "a write or a hole, something while a call waits", false },
	  { .writes = 1, .zeros = 1, .stalls = 1 }, GVM_CHUNK_PAGES, true },
	{ { "stalled-zeros", "an empty region: 2 accesses, something while a call waits", false },
	  { .touches = 2, .stalls = 1 }, GVM_CHUNK_PAGES, false },
	{ { "sealed", "3 accesses, sealed", false },
	  { .touches = 3, .sealed = 1 }, GVM_CHUNK_PAGES, true },
	{ { "sealed-deaths", "2 accesses, a worker's death, sealed", false },
	  { .touches = 2, .kills = 1, .sealed = 1 }, GVM_CHUNK_PAGES, true },
	{ { "sealed-fsyncs", "2 accesses, an fsync, a refusal, sealed", false },
	  { .touches = 2, .syncs = 1, .refusals = 1, .sealed = 1 }, GVM_CHUNK_PAGES, true },
	{ { "sealed-zeros", "an empty region: 2 accesses, a hole, sealed", false },
	  { .touches = 2, .zeros = 1, .sealed = 1 }, GVM_CHUNK_PAGES, false },
	{ { "long-stalls", "an access, a write, a hole, an fsync, something while a call waits", true },
	  { .touches = 1, .writes = 1, .zeros = 1, .syncs = 1, .stalls = 1 }, GVM_CHUNK_PAGES, true },
	{ { "stalled-deaths", "2 accesses, something while a call waits, a worker's death", true },
	  { .touches = 2, .stalls = 1, .kills = 1 }, GVM_CHUNK_PAGES, true },
	{ { "rots", "3 accesses, what the node has rots", false },
	  { .touches = 3, .rots = 1 }, GVM_CHUNK_PAGES, true },
	{ { "shorts", "2 accesses, the client's group has no memory", false },
	  { .touches = 2, .shorts = 1 }, GVM_CHUNK_PAGES, true },
	{ { "short-zeros", "an empty region: 2 accesses, no memory", false },
	  { .touches = 2, .shorts = 1 }, GVM_CHUNK_PAGES, false },
	{ { "short-requests", "a write or a hole, no memory", false },
	  { .writes = 1, .zeros = 1, .shorts = 1 }, GVM_CHUNK_PAGES, true },
	{ { "short-deaths", "2 accesses, no memory, a worker's death", true },
	  { .touches = 2, .shorts = 1, .kills = 1 }, GVM_CHUNK_PAGES, true },
	{ { "replays", "2 accesses, what an earlier start touched", false },
	  { .touches = 2, .replays = 1 }, GVM_CHUNK_PAGES, true },
	{ { "replayed-zeros", "an empty region: 2 accesses, the same", false },
	  { .touches = 2, .replays = 1 }, 2 * GVM_CHUNK_PAGES, false },
	{ { "replay-deaths", "an access, what an earlier start touched, a worker's death", false },
	  { .touches = 1, .replays = 1, .kills = 1 }, 2 * GVM_CHUNK_PAGES, true },
	{ { "leaves", "an access, an fsync, the client leaves", false },
	  { .touches = 1, .syncs = 1, .leaves = 1 }, GVM_CHUNK_PAGES, true },
	{ { "long-evictions", "4 accesses", true },
	  { .touches = 4 }, GVM_CHUNK_PAGES, true },
	{ { "long-requests", "2 accesses, a write, a hole", true },
	  { .touches = 2, .writes = 1, .zeros = 1 }, GVM_CHUNK_PAGES, true },
	{ { "long-deaths", "3 accesses, a worker's death", true },
	  { .touches = 3, .kills = 1 }, GVM_CHUNK_PAGES, true },
	{ { "long-death-in-a-request", "a write or a hole, an fsync, a worker's death", true },
	  { .writes = 1, .zeros = 1, .syncs = 1, .kills = 1 }, GVM_CHUNK_PAGES, true },
	{ { "two-deaths", "an access, 2 deaths", true },
	  { .touches = 1, .kills = 2 }, GVM_CHUNK_PAGES, true },
	{ { "long-strangers", "2 accesses, 2 strange pages, a death", true },
	  { .touches = 2, .strays = 2, .kills = 1 }, GVM_CHUNK_PAGES, true },
	{ { "long-leaves", "2 accesses, an fsync, the client leaves", true },
	  { .touches = 2, .syncs = 1, .leaves = 1 }, GVM_CHUNK_PAGES, true },
	{ { "everything", "one of everything", true },
	  { EVERYTHING, .stalls = 1, .sealed = 1 }, GVM_CHUNK_PAGES, true },
	{ { "in-turn", "any 4 of the named kinds, each once, and what goes on by itself in one order", false },
	  { NAMED, .together = 4, .waits = 1, .plain = 1 }, GVM_CHUNK_PAGES, true },
	{ { "long-in-turn", "all that the issue names, each once, and what goes on by itself in one order", true },
	  { NAMED, .waits = 1, .plain = 1 }, GVM_CHUNK_PAGES, true },
	{ { "any", "any 3 of everything, each once, and nothing while a call waits", false },
	  { EVERYTHING, .together = 3, .plain = 1 }, GVM_CHUNK_PAGES, true },
};

/* Beside them: every two of what may happen, with an access (by name: pairs). */
static const struct {
	const char *what;
	struct limits limits;
} things[] = {
	{ "an access", { .touches = 1 } },
	{ "a write", { .writes = 1 } },
	{ "a hole", { .zeros = 1 } },
	{ "an fsync", { .syncs = 1 } },
	{ "a direct read", { .pins = 1, .stores = 1 } },
	{ "a change of the budget", { .budgets = 1 } },
	{ "a refusal", { .refusals = 1 } },
	{ "a strange page", { .strays = 1 } },
	{ "no memory", { .shorts = 1 } },
	{ "a death", { .kills = 1 } },
	{ "the client's end", { .leaves = 1 } },
	{ "a broken connection", { .resends = 1 } },
	{ "a copy that rots", { .rots = 1 } },
	{ "what an earlier start touched", { .replays = 1 } },
};
#define CASES  (sizeof(cases) / sizeof(*cases))
#define THINGS (sizeof(things) / sizeof(*things))
#define PAIRS  EXPLORE_PAIRS(THINGS)

static struct model_case pairs[PAIRS];
static char pairs_what[PAIRS][64];

static void pairs_make(void)
{
	for (unsigned n = 0; n < PAIRS; n++) {
		struct limits limits = { .touches = 1 };
		unsigned a, b;

		explore_pair(n, THINGS, &a, &b);
		explore_limits_add(&limits, &things[a].limits, sizeof(limits));
		explore_limits_add(&limits, &things[b].limits, sizeof(limits));
		snprintf(pairs_what[n], sizeof(pairs_what[n]), "an access, %s and %s", things[a].what, things[b].what);
		pairs[n] = (struct model_case){ { "pairs", pairs_what[n], true }, limits, GVM_CHUNK_PAGES, true };
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

static struct limits left;
static bool kills_wait; /* the case's deaths are asked for some events before, since they may come in one that waits in a call */

static void habits_set(void)
{
	struct resident *r = &world.r;

	spread_begin(r);
	if (left.habits == HABITS_SPARSE)
		r->spread = r->run = 0;
	r->stay = left.habits == HABITS_LIVES ? UINT16_MAX : 0;
	r->hurry = r->hurry ? HEADROOM_MAX : 0;
	for (uint32_t c = 0; c < W_CHUNKS; c++) {
		world.chunk[c].since = r->brought;
		world.chunk[c].missed = (uint8_t)(r->misses - (left.habits == HABITS_SELDOM ? MISSED_LONG : 0));
	}
}

/* What matters of a state, and nothing that does not: no pointers, no times but what is due, no numbers
 * that only have to differ. */

static struct {
	uint64_t bytes[2048];
	unsigned n;
} text;

static void put(uint64_t value)
{
	assert(text.n < sizeof(text.bytes) / sizeof(*text.bytes));
	text.bytes[text.n++] = value;
}

/* Of what pages are known by only matters which are alike. */
static struct {
	uint64_t seal[256];
	unsigned n;
} seals;

static void put_seal(uint64_t seal)
{
	unsigned k = 0;

	if (!world.sealed)
		return;
	while (k < seals.n && seals.seal[k] != seal)
		k++;
	assert(k < sizeof(seals.seal) / sizeof(*seals.seal));
	if (k == seals.n)
		seals.seal[seals.n++] = seal;
	put(seal > SEAL_ZERO ? k + 2 : seal);
}

/* Of what pages contain only matters which words are alike, and which are zero: each other value is told by the order in which
 * it comes. (Sources compare pages, and look for zeros; hashes of them are told by what they are of: put_hashes().) */
static struct {
	uint32_t word[256];
	uint64_t page[256];
	unsigned words, pages;
} values;

static uint64_t word_name(uint32_t word)
{
	unsigned k = 0;

	while (k < values.words && values.word[k] != word)
		k++;
	assert(k < sizeof(values.word) / sizeof(*values.word));
	if (k == values.words)
		values.word[values.words++] = word;
	return word ? k + 1 : 0;
}

static void put_value(uint64_t value)
{
	unsigned k = 0;

	while (k < values.pages && values.page[k] != value)
		k++;
	assert(k < sizeof(values.page) / sizeof(*values.page));
	if (k == values.pages)
		values.page[values.pages++] = value;
	put(value == W_ROTTEN ? value : word_name((uint32_t)(value >> 32)) << 32 | word_name((uint32_t)value));
}

/* Which of the places that are all alike something has is all the same: fetches and evictions are told by their chunks, of
 * which each has one at most, threads by what they do. */
static void in_order(unsigned n, uint64_t (*key)(unsigned i), unsigned order[])
{
	for (unsigned i = 0; i < n; i++) {
		unsigned at = i;

		for (; at && key(order[at - 1]) > key(i); at--)
			order[at] = order[at - 1];
		order[at] = i;
	}
}

static uint64_t fetch_key(unsigned i)
{
	const struct resident_fetch *f = &world.rs.fetches[i];

	return f->r ? f->chunk : ~0ull;
}

static uint64_t write_key(unsigned i)
{
	return world.write[i].state == W_FREE ? ~0ull : world.rs.evictions[i].flush.chunk;
}

/* After all values, the hashes: each is of one of them, or of none that there is any more. */
static struct {
	uint64_t low64[256];
	unsigned n;
} strange;

static void put_hash(const XXH128_hash_t *hash)
{
	unsigned k = 0;

	for (; k < values.pages; k++) {
		XXH128_hash_t of;

		hash_page((const uint8_t *)&values.page[k], world.r.seed, &of);
		if (XXH128_isEqual(of, *hash)) {
			put(k);
			return;
		}
	}
	for (k = 0; k < strange.n && strange.low64[k] != hash->low64; k++)
		;
	assert(k < sizeof(strange.low64) / sizeof(*strange.low64));
	if (k == strange.n)
		strange.low64[strange.n++] = hash->low64;
	put(1000 + k);
}

static void put_hashes(void)
{
	unsigned writes[W_EVICTIONS];

	strange.n = 0;
	for (uint32_t c = 0; c < W_CHUNKS; c++) {
		const struct chunk *k = &world.r.chunk[c];
		XXH128_hash_t all[GVM_CHUNK_PAGES];

		hashes_spread(k, all);
		for (unsigned p = NEAR; p < GVM_CHUNK_PAGES; p += FAR - NEAR)
			if (k->known >> p & 1)
				put_hash(&all[p]);
	}
	in_order(W_EVICTIONS, write_key, writes);
	for (unsigned n = 0; n < W_EVICTIONS; n++) {
		unsigned i = writes[n];
		const struct eviction *e = &world.rs.evictions[i];

		for (unsigned p = NEAR; world.write[i].state != W_FREE && p < GVM_CHUNK_PAGES; p += FAR - NEAR) {
			if (e->flush.known >> p & 1)
				put_hash(&e->known[p]);
			if (world.write[i].state > W_QUEUED && e->flush.pages >> p & 1)
				put_hash(&e->found[p]);
		}
	}
}

/* Versions of this epoch are compared, and the next one follows the highest that was tried: it is told from that how far
 * below it they are. Earlier ones are as they are. */
static void put_version(uint64_t c, uint64_t version)
{
	uint64_t last = world.index[c] & GVM_VERSION_MASK;

	if (world.mark[c].tried > last)
		last = world.mark[c].tried;
	if (last < gvm_version(W_EPOCH, 1) || (version & GVM_VERSION_MASK) < gvm_version(W_EPOCH, 1))
		put(version);
	else
		put((version & ~GVM_VERSION_MASK) | 1ull << 62 | (last - (version & GVM_VERSION_MASK) + 16));
}

static void put_pages(void)
{
	uint64_t bits = 0;

	for (uint32_t i = 0; i < W_PAGES; i++) {
		const struct page *p = &world.page[i];
		unsigned at = i % GVM_CHUNK_PAGES;

		bits = bits << 4 | (uint64_t)(p->present | p->mapped << 1 | p->stray << 2 | p->uncertain << 3);
		if (i % 16 == 15)
			put(bits);
		if (at != NEAR && at != FAR)
			continue;
		put_value(p->present ? p->content : 0);
		put_value(p->truth);
		put_value(p->uncertain ? p->other : 0);
		put(p->poisoned);
		put_value(world.node[i / GVM_CHUNK_PAGES].content[at]);
		put_seal(world.node[i / GVM_CHUNK_PAGES].seal[at]);
		put_seal(world.known[i / GVM_CHUNK_PAGES].page[at]);
	}
}

/* When something is due, if that is not over. */
static void put_time(uint64_t at_ns)
{
	put(at_ns > world.now && at_ns != ~0ull ? at_ns - world.now : at_ns == ~0ull);
}

static void put_chunks(void)
{
	const struct resident *r = &world.r;

	for (uint32_t c = 0; c < W_CHUNKS; c++) {
		const struct chunk *k = &r->chunk[c];

		put((uint64_t)k->state | (uint64_t)k->list << 8 |
		    (uint64_t)(k->list == LIST_BLOCKED ? k->want_page : 0) << 16 | (uint64_t)k->sending << 24 |
		    (uint64_t)k->ahead << 25 | (uint64_t)(k->sync_pass == r->sync_pass && r->syncing) << 26 |
		    (uint64_t)k->replayed << 27 | (uint64_t)k->next << 32 | (uint64_t)k->prev << 40);
		put((uint64_t)world.mark[c].filled << 32 | world.mark[c].coming);
		put(k->known);
		put(world.pins[c] != 0);
		put_version(c, world.mark[c].tried);
		put_version(c, world.index[c]);
		put_version(c, world.node[c].version);
		put(world.sealed ? world.ours[c] : 0);
		put((uint64_t)k->lives | (uint64_t)k->streamed << 8 | (uint64_t)k->rotten << 9 | (uint64_t)k->lost << 10);
	}
	put(r->hurry != 0);
	if (left.kills || r->recovering || r->sweeping) {
		put(world.kept.here);
		put(world.kept.putting);
	}
	put((uint64_t)r->zapping | (uint64_t)r->zapped << 1 | (uint64_t)r->over << 2 |
	    (uint64_t)r->client_gone << 5 | (uint64_t)r->memory_gone << 6 | (uint64_t)r->draining << 7 |
	    (uint64_t)r->ios_lack_room << 8 | (uint64_t)world.failed << 9 | (uint64_t)world.closed << 10 |
	    (uint64_t)r->syncing << 12 |
	    (uint64_t)(r->syncing ? r->sync_next : 0) << 16 | (uint64_t)(r->syncing ? r->sync_sent : 0) << 24 | (uint64_t)r->local << 32);
	put(r->pinned_row < ROWS ? r->pinned_row : ROWS + r->pinned_row % ROWS);
	put_time(r->retry_at_ns);
	put_time(r->zap_at_ns);
	put_time(r->short_at_ns);
	put_time(r->look_at_ns);
	put_time(r->sync_deadline_ns);
	put((uint64_t)r->detached | (uint64_t)r->looking << 1 | (uint64_t)r->aborted << 2 | (uint64_t)(r->short_at_ns != 0) << 3 |
	    (uint64_t)(uint32_t)r->sync_error << 32);
	put(r->zapping ? r->zap_first << 32 | r->zap_count : 0);
	put((uint64_t)r->dropping << 32 | r->end_next);
	put(r->recovering ? r->left << 32 | r->recover_next << 1 | 1 : r->sweeping ? r->recover_next << 1 : ~0ull);
	for (unsigned i = r->replay_next; i < r->replay_count; i++)
		put((uint64_t)r->replay[i].windows << 32 | r->replay[i].chunk);
	/* Only a raised budget looks at these. */
	for (uint64_t n = 1; left.budgets && n <= r->gone_count && n <= r->gone_room; n++)
		put((uint64_t)r->gone[(r->gone_count - n) % r->gone_room].windows << 32 |
		    r->gone[(r->gone_count - n) % r->gone_room].chunk);
	put(~0ull);
}

static void put_late(const struct put *late)
{
	put((uint64_t)late->pages << 32 | late->chunk << 1 | late->whole);
	put_version(late->chunk, late->version);
	put_version(late->chunk, late->base);
	for (unsigned p = NEAR; p < GVM_CHUNK_PAGES; p += FAR - NEAR) {
		put_value(late->pages >> p & 1 ? late->content[p] : 0);
		put_seal(late->pages >> p & 1 ? late->seal[p] : 0);
	}
}

static bool is_sent(const struct write *w)
{
	return w->state == W_SENT || w->state == W_ANSWERED;
}

static void put_wires(void)
{
	unsigned fetches[W_FETCHES], writes[W_EVICTIONS];

	in_order(W_FETCHES, fetch_key, fetches);
	in_order(W_EVICTIONS, write_key, writes);
	for (unsigned k = 0; k < W_FETCHES; k++) {
		const struct resident_fetch *f = &world.rs.fetches[fetches[k]];
		const struct get *g = &world.get[fetches[k]];

		put(f->r ? (uint64_t)f->asked << 32 | f->decoded : 0);
		put(f->r ? (uint64_t)f->waited << 32 | f->chunk << 2 | (uint64_t)f->replay << 1 | f->ahead : 0);
		put(f->r ? (uint64_t)g->left << 32 | g->under_way | g->served << 1 | g->cancelled << 2 : 0);
		put_value(f->r && g->served ? g->content[NEAR] : 0);
		put_value(f->r && g->served ? g->content[FAR] : 0);
		put_seal(f->r && g->served ? g->seal[NEAR] : 0);
		put_seal(f->r && g->served ? g->seal[FAR] : 0);
	}
	for (unsigned k = 0; k < W_EVICTIONS; k++) {
		unsigned i = writes[k];
		const struct write *w = &world.write[i];
		const struct flush *f = &world.rs.evictions[i].flush;

		put(w->state);
		if (w->state == W_FREE)
			continue;
		put(f->chunk | (uint64_t)f->tried << 8 | (uint64_t)f->whole_retry << 9);
		if (w->state > W_QUEUED) /* as the writer found it */
			put((uint64_t)f->clean | (uint64_t)(is_sent(w) && f->delta) << 1 | (uint64_t)f->all_zero << 2);
		put(
		    (uint64_t)(world.r.syncing && world.rs.evictions[i].sync_pass == world.r.sync_pass) << 13 |
		    (uint64_t)(uint32_t)(w->state == W_FINISHED ? f->result : w->state == W_ANSWERED ? w->result : 0) << 32);
		put((uint64_t)f->pages << 32 | f->known);
		put_version(f->chunk, f->base);
		put_version(f->chunk, f->version);
		for (unsigned p = NEAR; p < GVM_CHUNK_PAGES; p += FAR - NEAR) {
			bool is_read = w->state >= W_GETTING && w->state <= W_ANSWERED && f->pages >> p & 1;
			bool is_in = (is_sent(w) || (w->state == W_GETTING && world.sealed)) && w->put.pages >> p & 1;
			uint64_t read;

			memcpy(&read, w->scratch + p * GVM_PAGE_BYTES, sizeof(read));
			put_value(is_read ? read : 0);
			put(is_in);
			put_value(is_in ? w->put.content[p] : 0);
			put_seal(is_in ? w->put.seal[p] : 0);
		}
	}
	put(world.zaps);
	for (unsigned i = 0; i < world.zaps; i++)
		put(world.zap[i].off << 8 | world.zap[i].done << 1 | (world.zap[i].seq == world.r.zap_seq));
	for (unsigned i = 0; i < world.lates; i++)
		put_late(&world.late[i]);
}

static uint64_t thread_key(unsigned i)
{
	const struct thread *t = &world.thread[i];

	return t->state ? (uint64_t)t->state << 32 | t->page << 2 | t->how : 0;
}

static void put_threads(void)
{
	unsigned threads[W_THREADS];

	in_order(W_THREADS, thread_key, threads);
	for (unsigned i = 0; i < W_THREADS; i++)
		put(thread_key(threads[i]));
}

/* What a page has been since an fsync came. */
static void put_past(uint32_t page, uint32_t gen)
{
	put(world.page[page].gen - gen);
	for (unsigned n = 0; n < W_PAST && gen != world.page[page].gen; n++, gen++)
		put_value(world.past[page].content[gen % W_PAST]);
}

static void put_list(const struct resident_ios *list)
{
	const struct resident_io *io;

	TAILQ_FOREACH(io, list, entry)
		put((uint64_t)((const struct io *)io - world.io) + 1);
	put(0);
}

/* In which order requests wait, and fsyncs for which pass. */
static void put_order(void)
{
	put_list(&world.r.ios);
	put_list(&world.r.syncs);
	put_list(&world.r.syncs_next);
}

static uint64_t state_hash(void)
{
	text.n = seals.n = values.words = values.pages = 0;
	put_pages();
	put_chunks();
	put_wires();
	put_threads();
	for (unsigned i = 0; i < W_PINS; i++)
		put(world.pin[i].counted ? (uint64_t)world.pinning[i].state << 32 | world.pin[i].page << 3 |
						   world.pin[i].got << 1 | world.pin[i].punched << 2 |
						   (world.pin[i].got && world.page[world.pin[i].page].frame == world.pin[i].frame)
					 : 0);
	for (unsigned i = 0; i < W_IOS; i++) {
		const struct io *o = &world.io[i];

		put(o->used ? (uint64_t)o->kind << 32 | o->begun << 16 | o->off << 1 : 0);
		put(o->used && o->kind != IO_SYNC ? o->bytes << 32 | o->io.off : 0);
		put_value(o->used && o->kind == IO_WRITE ? o->data[0] : 0);
		for (uint32_t c = 0; o->used && o->kind == IO_SYNC && c < W_CHUNKS; c++) {
			put_past(c * GVM_CHUNK_PAGES + NEAR, o->gen[c * GVM_CHUNK_PAGES + NEAR]);
			put_past(c * GVM_CHUNK_PAGES + FAR, o->gen[c * GVM_CHUNK_PAGES + FAR]);
		}
	}
	put_order();
	put_hashes();
	put(world.kill_in);
	put(world.race);
	put(world.shorts);
	put(world.short_where);
	put_time(world.due);
	put((uint64_t)world.client_left | (uint64_t)world.memory_gone << 1 | (uint64_t)world.aborted << 2 | (uint64_t)world.marked << 3);
	return XXH3_64bits(text.bytes, text.n * sizeof(*text.bytes)) ^
	       XXH3_64bits(&left, sizeof(left));
}

/* Every event that there may be, in some order; limits say which of them are still allowed. */

static uint8_t *limit_of(const struct event *e)
{
	switch (e->kind) {
	case E_TOUCH: return &left.touches;
	case E_SERVE: return e->b ? &left.refusals : NULL;
	case E_APPLY: return e->b ? &left.refusals : NULL;
	case E_RESEND: return &left.resends;
	case E_PIN: return &left.pins;
	case E_DMA: return &left.stores;
	case E_WRITE: return &left.writes;
	case E_ZERO: return &left.zeros;
	case E_SYNC: return &left.syncs;
	case E_BUDGET: return &left.budgets;
	case E_STRAY: return &left.strays;
	case E_SHORT: return &left.shorts;
	case E_KILL: return &left.kills;
	case E_LEAVE: return &left.leaves;
	case E_ROT: return &left.rots;
	case E_REPLAY: return &left.replays;
	default: return NULL;
	}
}

static struct event all[512];
static unsigned all_count;
static unsigned of_threads, of_fetches, of_evictions, of_none; /* where in it those begin; as many of each for one as for the other */

static void may(enum event_kind kind, uint32_t a, uint32_t b)
{
	all[all_count++] = (struct event){ kind, a, b };
}

static void all_make(void)
{
	const uint32_t pages[] = { NEAR, FAR, GVM_CHUNK_PAGES + NEAR, GVM_CHUNK_PAGES + FAR };
	/* Bytes of a page are in words of 4. */
	const uint32_t word = GVM_PAGE_BYTES / 4, chunk = GVM_CHUNK_PAGES * word;

	of_threads = all_count;
	for (unsigned t = 0; t < W_THREADS; t++) {
		for (unsigned i = 0; i < 4; i++)
			may(E_TOUCH, t, pages[i] * 4 + HOW_WRITE);
		may(E_TOUCH, t, pages[0] * 4 + HOW_READ);
		may(E_TOUCH, t, pages[0] * 4 + HOW_ZERO);
		may(E_AGAIN, t, 0);
		may(E_FAULTS, 1u << t, 0);
	}
	of_fetches = all_count;
	for (unsigned i = 0; i < W_FETCHES; i++) {
		may(E_SERVE, i, 0);
		may(E_SERVE, i, EIO);
		may(E_PIECE, i, ~0u);
		may(E_PIECE, i, 1u << NEAR);
		may(E_PIECE, i, 1u << FAR);
		may(E_END, i, 0);
		may(E_RESEND, i, 0);
	}
	of_evictions = all_count;
	for (unsigned i = 0; i < W_EVICTIONS; i++) {
		may(E_START, i, 0);
		may(E_BASE, i, 0);
		may(E_APPLY, i, 0);
		may(E_APPLY, i, ENOSPC);
		may(E_ACK, i, 0);
	}
	of_none = all_count;
	may(E_COLLECT, 0, 0);
	may(E_LATE, 0, 0);
	may(E_LOST, 0, 0);
	may(E_ZAP, 0, 0);
	may(E_ZAPPED, 0, 0);
	for (unsigned i = 0; i < W_PINS; i++) {
		may(E_PIN, i, NEAR);
		may(E_FAULTS, 1u << (W_THREADS + i), 0);
		may(E_GET, i, 0);
		may(E_DMA, i, 0);
		may(E_UNPIN, i, 0);
	}
	may(E_WRITE, 0, pages[0] * word | word << 16);
	may(E_WRITE, 0, pages[1] * word | 2 * word << 16); /* the end of one and the beginning of the other */
	may(E_ZERO, 1, pages[0] * word | word << 16);
	may(E_ZERO, 1, pages[0] * word | chunk << 16);
	may(E_ZERO, 1, (pages[1] * word + 1) | word << 16);
	may(E_SYNC, 2, 0);
	for (unsigned i = 0; i < W_IOS; i++) {
		may(E_BEGIN, i, 0);
		may(E_CANCEL, i, 0);
	}
	may(E_BUDGET, GVM_CHUNK_PAGES, 0);
	may(E_BUDGET, 2 * GVM_CHUNK_PAGES, 0);
	may(E_STRAY, NEAR, 1);
	may(E_STRAY, FAR, 2);
	may(E_SHORT, 1, SHORT_FIRST);
	may(E_SHORT, 1, SHORT_LAST);
	may(E_SHORT, 3, SHORT_MIDDLE);
	for (unsigned i = 0; i <= 24; i++)
		may(E_KILL, i, 0);
	may(E_TICK, 0, 0);
	may(E_LEAVE, 0, 0);
	may(E_GONE, 0, 0);
	may(E_REPLAY, 0 | 1 << 8, 0x81); /* NEAR and FAR */
	may(E_REPLAY, 1 | 0 << 8, 0xff);
	may(E_ROT, 0, ~0u);
	may(E_ROT, 1, 1u << FAR);
}

static uint32_t pick_first(uint32_t below)
{
	static uint32_t n;

	return n++ % below;
}

static const char *finish(void)
{
	return world_finish(pick_first);
}

static void begin(unsigned c)
{
	left = case_of(c)->limits;
	kills_wait = left.stalls;
	if (!left.together)
		left.together = UINT8_MAX;
	world_init(case_of(c)->local, case_of(c)->limits.sealed);
	if (case_of(c)->full)
		world_fill(NEAR, FAR);
	habits_set();
}

static bool over(void)
{
	return world.closed;
}

/* Whether the event is allowed and possible; then the world is behind it. */
/* A store to the first page of a chunk, a WRITE of the end of one and the beginning of the other, zeros over one. */
static bool is_plain(const struct event *e)
{
	const uint32_t word = GVM_PAGE_BYTES / 4, chunk = GVM_CHUNK_PAGES * word;

	switch (e->kind) {
	case E_TOUCH: return e->b / 4 % GVM_CHUNK_PAGES == NEAR && e->b % 4 == HOW_WRITE;
	case E_PIECE: return e->b == ~0u;
	case E_WRITE: return e->b == (FAR * word | 2 * word << 16);
	case E_ZERO: return e->b == (NEAR * word | chunk << 16);
	case E_STRAY: return e->a == NEAR;
	case E_SHORT: return e->a == 1;
	case E_REPLAY: return !(e->a & 0xff);
	case E_ROT: return !e->a;
	default: return true;
	}
}

/* How many of what is counted would happen, of those that may together. */
static bool is_left(const uint8_t *limit, unsigned others)
{
	return left.together >= others + (limit != NULL) && (!limit || *limit);
}

static void spend(uint8_t *limit)
{
	if (limit)
		--*limit, left.together--;
}

/* Whether something goes on by itself: the first of these that can is what a case does where nothing waits for another. */
static bool goes_on(const struct event *e)
{
	switch (e->kind) {
	case E_FAULTS:
		for (unsigned i = 0; i < W_THREADS + W_PINS; i++)
			if (e->a >> i & 1 && (i < W_THREADS ? &world.thread[i] : &world.pinning[i - W_THREADS])->state == T_QUEUED)
				return !world.client_left;
		return false;
	case E_AGAIN: return world.thread[e->a].state == T_AGAIN;
	case E_GET: return world.pin[e->a].counted && !world.pin[e->a].got && world.pinning[e->a].state == T_AGAIN;
	case E_SERVE: return !e->b && world.get[e->a].under_way && !world.get[e->a].served;
	case E_PIECE: return e->b == ~0u && world.get[e->a].under_way && world.get[e->a].served && world.get[e->a].left;
	case E_END: return world.get[e->a].under_way && world.get[e->a].served && !world.get[e->a].left;
	case E_START: return world.write[e->a].state == W_QUEUED;
	case E_BASE: return !e->b && world.write[e->a].state == W_GETTING;
	case E_APPLY: return !e->b && world.write[e->a].state == W_SENT;
	case E_COLLECT:
		for (unsigned i = 0; i < W_EVICTIONS; i++)
			if (world.write[i].state == W_FINISHED)
				return true;
		return false;
	case E_ZAP: return world.zaps && !world.zap[0].done;
	case E_ZAPPED: return world.zaps && world.zap[0].done;
	case E_BEGIN: return world.io[e->a].used && !world.io[e->a].begun;
	case E_UNPIN: return world.pin[e->a].got;
	case E_LATE: return world.lates;
	case E_TICK: return world.due != ~0ull;
	default: return false;
	}
}

static unsigned turn_among(unsigned at, unsigned begin, unsigned end, unsigned n, uint64_t (*key)(unsigned i))
{
	unsigned each = (end - begin) / n, i = (at - begin) / each, before = 0;

	for (unsigned k = 0; k < n; k++)
		before += key(k) < key(i) || (key(k) == key(i) && k < i);
	return begin + before * each + (at - begin) % each;
}

/* When it has its turn: in the order of in_order(). */
static unsigned turn_of(const struct event *e)
{
	unsigned at = (unsigned)(e - all);

	if (at < of_fetches)
		return turn_among(at, of_threads, of_fetches, W_THREADS, thread_key);
	if (at < of_evictions)
		return turn_among(at, of_fetches, of_evictions, W_FETCHES, fetch_key);
	if (at < of_none)
		return turn_among(at, of_evictions, of_none, W_EVICTIONS, write_key);
	return at;
}

/* How many of those before it wait for it. */
static unsigned waits_of(const struct event *e)
{
	unsigned n = 0;

	for (const struct event *other = all; goes_on(e) && other < all + all_count; other++)
		n += turn_of(other) < turn_of(e) && goes_on(other);
	return n;
}

static bool try(const struct event *e)
{
	uint8_t *limit = limit_of(e);
	unsigned waits = left.waits && !limit ? waits_of(e) : 0;

	if (waits && waits >= left.waits)
		return false;
	if (!is_left(limit, 0) || (left.plain && !is_plain(e)))
		return false;
	/* Which of those that do nothing begins is all the same. */
	if (e->kind == E_TOUCH && e->a && world.thread[e->a - 1].state == T_IDLE)
		return false;
	/* A death in one of the next events comes with that one: try_deadly(). */
	if (e->kind == E_KILL && e->a && !kills_wait)
		return false;
	if (!world_event(e))
		return false;
	habits_set();
	spend(limit);
	left.waits -= (uint8_t)waits;
	return true;
}

/* A writer sees at once what its node answers: nobody else can tell whether it has, before its outcome is collected. */
static bool try_with_ack(const struct event *e)
{
	uint64_t took;

	if (e->kind == E_ACK || !try(e))
		return false;
	took = world.took;
	if (e->kind == E_APPLY && world_event(&(struct event){ E_ACK, e->a, 0 }))
		world.took = took;
	return true;
}

/* The same, and while one of the calls that it makes waits, another comes. Otherwise it was the same again. */
static enum explore_went try_stalled(const struct event *e, unsigned call, const struct event *meanwhile, bool *beyond)
{
	uint8_t *limit = limit_of(meanwhile);
	bool came;

	world.stall_came = false;
	world.stall_in = call + 1;
	world.stall_events = true;
	world.stall_event = *meanwhile;
	came = try_with_ack(e);
	*beyond = !came || world.client_calls <= call;
	world.stall_in = 0;
	if (!came && !world.stall_came)
		return WENT_NOT;
	if (!came || !world.stall_came || !is_left(limit, 1) || (left.plain && !is_plain(meanwhile)))
		return WENT_BACK;
	spend(limit);
	spend(&left.stalls);
	return WENT_ON;
}

/* The same, and in the so manieth of the calls that it makes the worker dies; *beyond: it makes fewer. */
static enum explore_went try_deadly(const struct event *e, unsigned call, bool *beyond)
{
	bool came;

	*beyond = true;
	if (!is_left(limit_of(e), 1))
		return WENT_NOT;
	world.kill_in = call;
	came = try_with_ack(e);
	*beyond = !came || world.kill_in;
	if (*beyond) {
		world.kill_in = 0;
		return came ? WENT_BACK : WENT_NOT;
	}
	spend(&left.kills);
	return WENT_ON;
}

/* Each event by itself, then with the worker's death in each of its calls, then with each other event in each of those that may
 * wait. */
#define DEATHS	 256u
#define VARIANTS (DEATHS + CALLS_MAX * all_count)

static enum explore_went go(unsigned event, unsigned *next)
{
	const struct event *e = &all[event / VARIANTS];
	unsigned variant = event % VARIANTS, this = event - variant;
	enum explore_went went;
	bool beyond;

	world.stall_in = 0;
	world.stall_events = world.stall_came = false;
	if (!variant) {
		bool deadly = world.kill_in;

		went = try_with_ack(e) ? WENT_ON : WENT_NOT;
		if (went == WENT_NOT)
			*next = this + VARIANTS;
		else if (e->kind == E_KILL || kills_wait || !left.kills)
			*next = this + DEATHS;
		/* It comes in a later event: then it might be asked for just before that one. */
		if (went == WENT_ON && deadly && world.kill_in)
			went = WENT_BACK;
		return went;
	}
	if (variant < DEATHS) {
		went = try_deadly(e, variant, &beyond);
		if (beyond)
			*next = this + DEATHS;
		assert(beyond || variant < DEATHS - 1);
		return went;
	}
	variant -= DEATHS;
	if (!left.stalls || !left.together) {
		*next = this + VARIANTS;
		return WENT_NOT;
	}
	went = try_stalled(e, variant / all_count, &all[variant % all_count], &beyond);
	if (beyond)
		*next = this + VARIANTS;
	return went;
}

static void print_event(unsigned event)
{
	unsigned variant = event % VARIANTS;

	event_print(&all[event / VARIANTS]);
	if (variant >= DEATHS)
		event_print(&all[(variant - DEATHS) % all_count]);
	else if (variant)
		printf("(it dies in call %u of that)\n", variant);
}

int main(int argc, char **argv)
{
	struct explore x = {
		.world = &world, .world_bytes = sizeof(world), .left = &left, .left_bytes = sizeof(left),
		.cases = CASES + PAIRS, .nth = case_nth, .begin = begin, .go = go, .over = over,
		.hash = state_hash, .check = world_check, .finish = finish, .print_event = print_event,
		.print_world = world_print,
	};

	pairs_make();
	all_make();
	x.events = all_count * VARIANTS;
	return explore_main(&x, argc, argv);
}
