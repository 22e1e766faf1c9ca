// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * check.c - what must hold of the world after every event:
 *
 *	- no update is lost, and no page is older than what was acknowledged: what a page would be read
 *	  as, in the memory if it is marked there and else on the node, is its truth;
 *	- nothing is mapped that is not marked, and nothing lies unmarked that gvmfs put there;
 *	- of a client that goes on alone the memory is the truth, marked or not;
 *	- what is remembered as sent is what the node has;
 *	- what is known of a sealed page that is not in the memory is what the node has, and of one that this host wrote
 *	  something is known;
 *	- the budget is not exceeded by anything that comes, but where it says so;
 *	- the counts and lists are what the chunks say.
 *
 * And at the end: everything that waits has ended, and the node has all of it.
 */
#include "world.h"

#include <stdio.h>
#include <string.h>

static bool reads_as(uint32_t page, uint64_t value)
{
	const struct page *p = &world.page[page];

	return value == p->truth || (p->uncertain && value == p->other);
}

/* Whether the page's content is in the memory, also if that has to be found out first. */
static bool is_filled(uint64_t c, unsigned p)
{
	uint32_t at = (uint32_t)c * GVM_CHUNK_PAGES + p;
	bool comes = world.mark[c].coming >> p & 1 && world.page[at].present && resident_is_left(&world.r, c);

	return world.mark[c].filled >> p & 1 || comes;
}

static const char *page_check(uint64_t c, unsigned p)
{
	uint32_t at = (uint32_t)c * GVM_CHUNK_PAGES + p;
	const struct page *page = &world.page[at];
	bool filled = is_filled(c, p);
	uint64_t has[W_COPIES];
	unsigned copies;

	if (world.alone)
		return NULL;
	if (page->mapped && !filled)
		return "a page is mapped that is not marked";
	if (page->present && !filled && !page->stray)
		return "a page lies in the memory without its mark";
	if (filled && !reads_as(at, page_read(at)))
		return "an update is lost: the memory has an older page";
	copies = filled ? 0 : node_copies(at, has);
	for (unsigned i = 0; i < copies; i++)
		if (!reads_as(at, has[i]))
			return "an update is lost: the node has an older page";
	return NULL;
}

static void page_print(uint32_t page);

bool world_is_whole(void)
{
	for (uint32_t page = 0; page < W_PAGES; page++)
		if (!reads_as(page, page_read(page))) {
			if (world_trace)
				page_print(page);
			return false;
		}
	return true;
}

bool world_is_in_request(uint32_t page)
{
	const struct resident_io *io = world.r.io_now;

	return io && io->off < io->end && page >= io->off / GVM_PAGE_BYTES && page <= (io->end - 1) / GVM_PAGE_BYTES;
}

const char *world_read_check(void)
{
	if (world.failed || world.unwanted || world.alone || (world.told && world.client_left))
		return NULL;
	for (uint32_t page = 0; page < W_PAGES; page++) {
		const struct resident *r = &world.r;
		uint64_t c = page / GVM_CHUNK_PAGES;
		bool here = resident_has_page(r, c, page % GVM_CHUNK_PAGES);
		uint64_t has[W_COPIES];

		if ((!here && !node_copies(page, has)) || resident_is_changing(r, (uint64_t)page * GVM_PAGE_BYTES, GVM_PAGE_BYTES) || world_is_in_request(page))
			continue;
		if (!reads_as(page, here ? page_read(page) : node_read(page)))
			return "a program reads an old page while a call waits";
		if (page_read(page) && world.page[page].present && !world.page[page].stray && !resident_may_have(r, c) &&
		    !world.index[c])
			return "a program finds a hole where data is";
	}
	return NULL;
}

static void page_print(uint32_t page)
{
	const struct page *p = &world.page[page];

	printf("page %u of chunk %u: %llx is in the memory (present %d, mapped %d, stray %d), %llx on the node, "
	       "%llx is right, or (%d) %llx\n", page % GVM_CHUNK_PAGES, page / GVM_CHUNK_PAGES,
	       (unsigned long long)p->content, p->present, p->mapped, p->stray,
	       (unsigned long long)node_read(page), (unsigned long long)p->truth, p->uncertain,
	       (unsigned long long)p->other);
}

static const char *hashes_check(uint64_t c)
{
	const struct chunk *k = &world.r.chunk[c];
	uint64_t entry = world.index[c];
	XXH128_hash_t all[GVM_CHUNK_PAGES], hash;

	if (k->sending || k->rotten || world.mark[c].tried > (entry & GVM_VERSION_MASK))
		return NULL;
	hashes_spread(k, all);
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
		uint64_t has[W_COPIES];

		if (!(k->known >> p & 1) || !node_copies((uint32_t)c * GVM_CHUNK_PAGES + p, has))
			continue;
		hash_page((const uint8_t *)&has[0], world.r.seed, &hash);
		if (XXH128_isEqual(hash, all[p]))
			continue;
		if (world_trace)
			page_print((uint32_t)c * GVM_CHUNK_PAGES + p);
		return "what is remembered as sent is not what the node has";
	}
	return NULL;
}

static const char *seals_check(uint64_t c)
{
	const struct chunk *k = &world.r.chunk[c];
	uint64_t entry = world.index[c];
	bool sure = !k->sending && world.mark[c].tried <= (entry & GVM_VERSION_MASK);
	uint32_t pages = sure ? ~0u : ~world.mark[c].filled;

	if (!world.sealed || !entry || entry & GVM_VERSION_ZERO)
		return NULL;
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
		uint64_t known = world.known[c].page[p];

		if (!(pages >> p & 1))
			continue;
		if (known == SEAL_UNKNOWN ? sure && world.ours[c] >> p & 1 : !nodes_have_seal(c, p, known))
			return known == SEAL_UNKNOWN ? "an old page of ours would be believed" :
						       "the node's page would not be believed";
	}
	return NULL;
}

static const char *state_check(uint64_t c)
{
	const struct resident *r = &world.r;
	const struct chunk *k = &r->chunk[c];
	uint32_t filled = world.mark[c].filled;

	if (r->draining && k->sending)
		return NULL; /* it is listed when its writer hands it back */
	switch ((enum chunk_state)k->state) {
	case CHUNK_ABSENT:
		return filled && !r->recovering ? "an absent chunk has pages" :
		       k->list != LIST_NONE && k->list != LIST_BLOCKED ? "an absent chunk is listed" : NULL;
	case CHUNK_FILLING:
		return !k->fetch ? "a chunk is filled by no fetch" : NULL;
	case CHUNK_RESIDENT:
		return k->list != LIST_ACTIVE && k->list != LIST_BLOCKED ? "a resident chunk is lost" : NULL;
	case CHUNK_ZAPPING:
		return k->list ? "a zapped chunk is listed" : !r->zapping ? "a zap never ends" : NULL;
	case CHUNK_INACTIVE:
		return k->list != LIST_INACTIVE ? "an inactive chunk is lost" : NULL;
	case CHUNK_EVICTING:
		return k->list ? "an evicted chunk is listed" : !k->sending ? "an eviction never ends" : NULL;
	}
	return "a state that there is not";
}

static const char *counts_check(void)
{
	const struct resident *r = &world.r;
	uint64_t here = 0, left = 0, busy = 0, going = 0, coming = 0, sending = 0, synced = 0;
	unsigned lists[LISTS] = { 0 }, fetches = 0, evictions = 0, replaying = 0;

	for (uint64_t c = 0; c < W_CHUNKS; c++) {
		const struct chunk *k = &r->chunk[c];

		here += chunk_here(r, c);
		left += resident_is_left(r, c) ? chunk_here(r, c) : 0;
		busy += k->state != CHUNK_ABSENT;
		going += k->state == CHUNK_EVICTING ? chunk_here(r, c) : 0;
		sending += k->sending;
		lists[k->list]++;
	}
	for (unsigned i = 0; i < W_FETCHES; i++)
		if (world.rs.fetches[i].r == r) {
			coming += (unsigned)__builtin_popcount(world.rs.fetches[i].asked);
			fetches++;
			replaying += world.rs.fetches[i].replay;
		}
	for (unsigned i = 0; i < W_EVICTIONS; i++)
		if (world.rs.evictions[i].r == r) {
			evictions++;
			synced += r->syncing && world.rs.evictions[i].sync_pass == r->sync_pass;
		}
	/* Of what is left it may count more than there is. */
	if (r->recovering ? here > r->here || left > r->left || here - left != r->here - r->left : here != r->here || r->left)
		return "the pages that are here are counted wrong";
	if (busy != r->busy || going != r->going || coming != r->coming)
		return "the counts are not what the chunks say";
	if (sending != evictions || evictions != r->evictions || fetches != r->fetches || replaying != r->replaying ||
	    replaying != world.rs.replaying)
		return "what is under way is counted wrong";
	for (uint64_t c = 0; c < W_CHUNKS; c++)
		if (r->chunk[c].trail > r->trail_count ||
		    (r->chunk[c].trail && r->trail[r->chunk[c].trail - 1].chunk != c))
			return "the trail has another chunk's step";
	if (r->syncing && synced != r->sync_sent)
		return "an fsync waits for what is not being sent";
	for (unsigned l = LIST_ACTIVE; l < LISTS; l++)
		if (lists[l] != r->lists[l].count)
			return "the lists are counted wrong";
	return NULL;
}

/* What is here, and what has been asked for and is not. */
uint64_t world_takes(void)
{
	uint64_t pages = world.r.here;

	for (unsigned i = 0; i < W_FETCHES; i++) {
		const struct resident_fetch *f = &world.rs.fetches[i];

		if (f->r == &world.r)
			pages += (unsigned)__builtin_popcount(f->asked & ~world.mark[f->chunk].filled);
	}
	return pages;
}

const char *world_check(void)
{
	const struct resident *r = &world.r;
	const char *wrong = world.wrong;

	if (!wrong && world.alone && !world.memory_gone && !world_is_whole())
		wrong = "a client goes on alone, and an update of it is lost";
	if (world.failed || world.unwanted || world.settled || (world.told && world.client_left))
		return wrong; /* what was here may be lost: it was said */
	for (uint64_t c = 0; c < W_CHUNKS && !wrong; c++) {
		for (unsigned p = 0; p < GVM_CHUNK_PAGES && !wrong; p++)
			if ((wrong = page_check(c, p)) && world_trace)
				page_print((uint32_t)c * GVM_CHUNK_PAGES + p);
		if (!wrong && !world.closed)
			wrong = hashes_check(c);
		if (!wrong && !world.closed)
			wrong = seals_check(c);
		if (!wrong && !world.closed)
			wrong = state_check(c);
	}
	if (!wrong)
		wrong = nodes_check();
	if (!wrong && !world.closed)
		wrong = counts_check();
	if (!wrong && !world.closed && !r->draining && world_takes() > world.took &&
	    world_takes() > r->local && r->local < W_PAGES && !r->give && !r->give_asked && !r->over && !r->pinned)
		wrong = "the budget is exceeded";
	return wrong;
}

/* The end: nothing new begins, nobody refuses, nothing is pinned. */

bool world_any(enum event_kind kind, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct event e = { kind, i, kind == E_PIECE ? ~0u : 0 };

		if (world_event(&e))
			return true;
	}
	return false;
}

#define OWN_STEPS 9u

static bool step(unsigned which)
{
	const struct event all = { E_FAULTS, ~0u, 0 };

	switch (which) {
	case 0: return world_any(E_AGAIN, W_THREADS);
	case 1: return world_event(&all);
	case 2: return world_any(E_ZAP, 1);
	case 3: return world_any(E_ZAPPED, 1);
	case 4: return world_any(E_GET, W_PINS);
	case 5: return world_any(E_UNPIN, W_PINS);
	case 6: return world_any(E_BEGIN, W_IOS);
	case 7: return world_any(E_GIVE, 2);
	case 8: return world_any(E_ALONE, 2);
	}
	return nodes_settle(which - OWN_STEPS);
}

#define STEPS (OWN_STEPS + NODES_STEPS)
#define ENOUGH 60000u

/* Goes on until nothing can: NULL, or what is wrong. The clock goes on only where nothing else does. */
static const char *settle(uint32_t (*pick)(uint32_t below), bool (*over)(void))
{
	const struct event tick = { E_TICK, 0, 0 };
	const char *wrong = world_check();
	unsigned idle = 0;

	for (unsigned n = 0; !wrong && n < ENOUGH; n++) {
		unsigned first = pick(STEPS), i;

		for (i = 0; i < STEPS && !step((first + i) % STEPS); i++)
			;
		wrong = world_check();
		if (i < STEPS) {
			idle = 0;
			continue;
		}
		if (over())
			return wrong;
		if (++idle > nodes_idle || !world_event(&tick))
			return wrong ? wrong : "something waits for ever";
	}
	return wrong ? wrong : "it does not come to rest";
}

static bool nothing_waits(void)
{
	for (unsigned i = 0; i < W_THREADS && !world.client_left && !world.aborted; i++)
		if (world.thread[i].state != T_IDLE)
			return false;
	for (unsigned i = 0; i < W_IOS && !(world.client_left && !world.closed); i++)
		if (world.io[i].used && !(world.closed && !world.io[i].begun))
			return false;
	return nodes_are_done();
}

static bool is_closed(void)
{
	return world.closed;
}

const char *world_finish(uint32_t (*pick)(uint32_t below))
{
	const struct event leave = { E_LEAVE, 0, 0 }, gone = { E_GONE, 0, 0 };
	const char *wrong;

	resident_give_cancel(&world.r); /* its client never hears of it, if it has not */
	world.took = ~0ull;
	world.kill_in = world.kill_next = world.stall_in = 0;
	wrong = settle(pick, nothing_waits);
	if (wrong)
		return wrong;
	world_event(&leave);
	world_event(&gone);
	wrong = settle(pick, is_closed);
	if (wrong || world.failed || world.unwanted || world.told)
		return wrong;
	for (uint32_t page = 0; page < W_PAGES; page++) {
		uint64_t has[W_COPIES];
		unsigned copies = node_copies(page, has);

		for (unsigned i = 0; i < copies; i++)
			if (!reads_as(page, has[i]))
				return "the client has left, and the node has an older page";
	}
	return NULL;
}
