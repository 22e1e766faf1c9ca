// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * model.c - every state that a region of two chunks can reach, in which two pages of each are used, and
 * what must hold in each.
 *
 *	model [-m MUTANT] [-n STATES] [-t] [CASE... | long]
 *
 * From each state every event that is possible and that the case still allows is tried: accesses, faults
 * that are read, answers of the node and pieces of them, zaps, pins and what a device stores, writes, holes,
 * fsyncs, budgets, refusals, the clock, and a worker's death at each of the calls that an event makes. In
 * every state check.c looks at all of it; from every state in which nothing can happen, and from one in 64
 * of the others, the world goes on to its end: everything that waits ends, and the node has all.
 *
 * In the case `any` there are all kinds of these, each once, and any three happen, but none while another waits in a call; an access or
 * request is of one kind there (is_plain()), and a chunk's pages come as one piece. The others have more of some kinds.
 *
 * The search is ../sim/explore.h's. -t shows the way to what was found.
 */
#include "world.h"

#include "../sim/explore.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Pages that are used: the first window of a chunk, and the last page of it. */
#define NEAR 0u
#define FAR  (GVM_CHUNK_PAGES - 1)
#define CALLS_MAX 64u /* of the client's, that an event makes */

struct limits {
	uint8_t touches, writes, zeros, syncs, pins, stores, budgets, refusals, strays, kills, leaves, resends,
		stalls, sealed, rots, shorts, replays, /* sealed: what is sent is */
		together, /* of all of these; 0: as many as each allows */
		plain;	  /* of what may be of several kinds only one, and a chunk's pages come as one piece */
};

#define EVERYTHING                                                                                                             \
	.touches = 1, .writes = 1, .zeros = 1, .syncs = 1, .pins = 1, .stores = 1, .budgets = 1, .refusals = 1, .strays = 1,   \
	.kills = 1, .leaves = 1, .resends = 1, .rots = 1, .shorts = 1, .replays = 1

struct model_case {
	struct explore_case name;
	struct limits limits;
	uint32_t local; /* pages */
	bool full;	/* the node has both chunks from before */
};

static const struct model_case cases[] = {
	{ { "evictions", "3 accesses", false },
	  { .touches = 3 }, GVM_CHUNK_PAGES, true },
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

/* What matters of a state, and nothing that does not: no pointers, no times but what is due, no numbers
 * that only have to differ. */

static struct {
	uint64_t bytes[2048];
	unsigned n;
} text;

static void put(uint64_t value)
{
	if (text.n < sizeof(text.bytes) / sizeof(*text.bytes))
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
	if (k == seals.n && k < sizeof(seals.seal) / sizeof(*seals.seal))
		seals.seal[seals.n++] = seal;
	put(seal > SEAL_ZERO ? k + 2 : seal);
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
		put(p->present ? p->content : 0);
		put(p->truth);
		put(p->uncertain ? p->other : 0);
		put(world.node[i / GVM_CHUNK_PAGES].content[at]);
		put_seal(world.node[i / GVM_CHUNK_PAGES].seal[at]);
		put_seal(world.known[i / GVM_CHUNK_PAGES].page[at]);
	}
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
		put(world.mark[c].tried << 1 | (world.pins[c] != 0));
		put(world.index[c]);
		put(world.node[c].version);
		put(world.sealed ? world.ours[c] : 0);
	}
	put((uint64_t)r->zapping | (uint64_t)r->zapped << 1 | (uint64_t)r->over << 2 |
	    (uint64_t)(r->retry_at_ns > world.now) << 3 | (uint64_t)(r->zap_at_ns > world.now) << 4 |
	    (uint64_t)r->client_gone << 5 | (uint64_t)r->memory_gone << 6 | (uint64_t)r->draining << 7 |
	    (uint64_t)r->ios_lack_room << 8 | (uint64_t)world.failed << 9 | (uint64_t)world.closed << 10 |
	    (uint64_t)(r->pinned_row > r->busy) << 11 | (uint64_t)r->syncing << 12 |
	    (uint64_t)(r->syncing ? r->sync_next : 0) << 16 | (uint64_t)(r->syncing ? r->sync_sent : 0) << 24 | (uint64_t)r->local << 32);
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

static void put_wires(void)
{
	for (unsigned i = 0; i < W_FETCHES; i++) {
		const struct resident_fetch *f = &world.rs.fetches[i];
		const struct get *g = &world.get[i];

		put(f->r ? (uint64_t)f->asked << 32 | f->decoded : 0);
		put(f->r ? (uint64_t)f->waited << 32 | f->chunk << 2 | (uint64_t)f->replay << 1 | f->ahead : 0);
		put(f->r ? (uint64_t)g->left << 32 | g->under_way | g->served << 1 | g->cancelled << 2 : 0);
		put(f->r && g->served ? g->content[NEAR] ^ g->content[FAR] << 8 : 0);
		put_seal(f->r && g->served ? g->seal[NEAR] : 0);
		put_seal(f->r && g->served ? g->seal[FAR] : 0);
	}
	for (unsigned i = 0; i < W_EVICTIONS; i++) {
		const struct write *w = &world.write[i];
		const struct flush *f = &world.rs.evictions[i].flush;

		put(w->state);
		if (w->state == W_FREE)
			continue;
		put(f->chunk | (uint64_t)f->tried << 8 | (uint64_t)f->whole_retry << 9 | (uint64_t)f->clean << 10 |
		    (uint64_t)f->delta << 11 | (uint64_t)f->all_zero << 12 |
		    (uint64_t)(world.r.syncing && world.rs.evictions[i].sync_pass == world.r.sync_pass) << 13 |
		    (uint64_t)(uint32_t)w->result << 32);
		put((uint64_t)f->pages << 32 | f->known);
		put(f->base);
		put(f->version);
		put(f->known ? world.rs.evictions[i].known[NEAR].low64 ^ world.rs.evictions[i].known[FAR].high64 : 0);
		put(w->state > W_QUEUED ? w->put.content[NEAR] ^ w->put.content[FAR] << 8 : 0);
		put(world.sealed && w->state > W_QUEUED ? w->put.pages : 0);
		put_seal(w->state > W_QUEUED ? w->put.seal[NEAR] : 0);
		put_seal(w->state > W_QUEUED ? w->put.seal[FAR] : 0);
	}
	put(world.zaps);
	for (unsigned i = 0; i < world.zaps; i++)
		put(world.zap[i].off << 8 | world.zap[i].done << 1 | (world.zap[i].seq == world.r.zap_seq));
	for (unsigned i = 0; i < world.lates; i++)
		put(world.late[i].version ^ world.late[i].chunk << 56 ^ world.late[i].content[NEAR] << 8 ^
		    world.late[i].content[FAR] << 16);
}

/* In the order of what they do: which does it is all the same. */
static void put_threads(void)
{
	uint64_t what[W_THREADS];

	for (unsigned i = 0; i < W_THREADS; i++) {
		const struct thread *t = &world.thread[i];
		unsigned at = i;

		what[i] = t->state ? (uint64_t)t->state << 32 | t->page << 2 | t->how : 0;
		for (; at && what[at - 1] > what[at]; at--) {
			uint64_t other = what[at];

			what[at] = what[at - 1];
			what[at - 1] = other;
		}
	}
	for (unsigned i = 0; i < W_THREADS; i++)
		put(what[i]);
}

static uint64_t state_hash(void)
{
	text.n = seals.n = 0;
	put_pages();
	put_chunks();
	put_wires();
	put_threads();
	for (unsigned i = 0; i < W_PINS; i++)
		put(world.pin[i].counted ? (uint64_t)world.pinning[i].state << 32 | world.pin[i].page << 3 |
						   world.pin[i].got << 1 | world.pin[i].punched << 2 |
						   (world.page[world.pin[i].page].frame == world.pin[i].frame)
					 : 0);
	for (unsigned i = 0; i < W_IOS; i++) {
		const struct io *o = &world.io[i];

		put(o->used ? (uint64_t)o->kind << 32 | o->begun << 16 | o->off << 1 : 0);
		put(o->used && o->kind != IO_SYNC ? o->io.off : 0);
		for (uint32_t c = 0; o->used && o->kind == IO_SYNC && c < W_CHUNKS; c++) {
			put(world.page[c * GVM_CHUNK_PAGES + NEAR].gen - o->gen[c * GVM_CHUNK_PAGES + NEAR]);
			put(world.page[c * GVM_CHUNK_PAGES + FAR].gen - o->gen[c * GVM_CHUNK_PAGES + FAR]);
		}
	}
	put(world.kill_in);
	put(world.race);
	put(world.shorts);
	put(world.short_where);
	put(world.due > world.now);
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

static void may(enum event_kind kind, uint32_t a, uint32_t b)
{
	all[all_count++] = (struct event){ kind, a, b };
}

static void all_make(void)
{
	const uint32_t pages[] = { NEAR, FAR, GVM_CHUNK_PAGES + NEAR, GVM_CHUNK_PAGES + FAR };
	/* Bytes of a page are in words of 4. */
	const uint32_t word = GVM_PAGE_BYTES / 4, chunk = GVM_CHUNK_PAGES * word;

	for (unsigned t = 0; t < W_THREADS; t++) {
		for (unsigned i = 0; i < 4; i++)
			may(E_TOUCH, t, pages[i] * 4 + HOW_WRITE);
		may(E_TOUCH, t, pages[0] * 4 + HOW_READ);
		may(E_TOUCH, t, pages[0] * 4 + HOW_ZERO);
		may(E_AGAIN, t, 0);
		may(E_FAULTS, 1u << t, 0);
	}
	for (unsigned i = 0; i < W_FETCHES; i++) {
		may(E_SERVE, i, 0);
		may(E_SERVE, i, EIO);
		may(E_PIECE, i, ~0u);
		may(E_PIECE, i, 1u << NEAR);
		may(E_PIECE, i, 1u << FAR);
		may(E_END, i, 0);
		may(E_RESEND, i, 0);
	}
	for (unsigned i = 0; i < W_EVICTIONS; i++) {
		may(E_START, i, 0);
		may(E_BASE, i, 0);
		may(E_APPLY, i, 0);
		may(E_APPLY, i, ENOSPC);
		may(E_ACK, i, 0);
	}
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
	for (unsigned i = 1; i <= 24; i++)
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
	if (!left.together)
		left.together = UINT8_MAX;
	world_init(case_of(c)->local, case_of(c)->limits.sealed);
	if (case_of(c)->full)
		world_fill(NEAR, FAR);
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

static bool try(const struct event *e)
{
	uint8_t *limit = limit_of(e);

	if ((limit && (!*limit || !left.together)) || (left.plain && !is_plain(e)))
		return false;
	/* Which of those that do nothing begins is all the same. */
	if (e->kind == E_TOUCH && e->a && world.thread[e->a - 1].state == T_IDLE)
		return false;
	if (!world_event(e))
		return false;
	if (limit) {
		--*limit;
		left.together--;
	}
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
	came = try(e);
	*beyond = !came || world.client_calls <= call;
	world.stall_in = 0;
	if (!came && !world.stall_came)
		return WENT_NOT;
	if (!came || !world.stall_came || (limit && (!*limit || left.together < 2)) || (left.plain && !is_plain(meanwhile)))
		return WENT_BACK;
	if (limit) {
		--*limit;
		left.together--;
	}
	left.stalls--;
	left.together--;
	return WENT_ON;
}

/* Each event by itself, then with each other in each of its calls. */
#define VARIANTS (1 + CALLS_MAX * all_count)

static enum explore_went go(unsigned event, unsigned *next)
{
	const struct event *e = &all[event / VARIANTS];
	unsigned variant = event % VARIANTS, beyond_this = (event / VARIANTS + 1) * VARIANTS;
	enum explore_went went;
	bool beyond;

	world.stall_in = 0;
	world.stall_events = world.stall_came = false;
	if (!variant) {
		went = try(e) ? WENT_ON : WENT_NOT;
		if (went == WENT_NOT || !world.client_calls)
			*next = beyond_this;
		return went;
	}
	if (!left.stalls || !left.together) {
		*next = beyond_this;
		return WENT_NOT;
	}
	went = try_stalled(e, (variant - 1) / all_count, &all[(variant - 1) % all_count], &beyond);
	if (beyond)
		*next = beyond_this;
	return went;
}

static void print_event(unsigned event)
{
	event_print(&all[event / VARIANTS]);
	if (event % VARIANTS)
		event_print(&all[(event % VARIANTS - 1) % all_count]);
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
