// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * check.c - what must hold of the world after every event:
 *
 *	- no update is lost: what a cell would be read as, in a wbuf if its page is there and else as the index has
 *	  it, is its truth, for this worker and for a successor;
 *	- what the cache has and calls valid is that, too;
 *	- the index has no version that the node has not;
 *	- a chunk has one wbuf that collects and one that is sealed, and what is sealed does not change;
 *	- what is known of a sealed page that is in no wbuf is what the node has, and of one that this host wrote
 *	  something is known;
 *	- of a region that has failed nothing is left but what is being sent;
 *	- the counts are what the wbufs and entries say;
 *	- whatever waits waits for something: for a GET under way, for an entry or a wbuf that it may not have, for a
 *	  wbuf on its way.
 *
 * And at the end: everything that waits has ended, and the node has all of it.
 */
#include "world.h"

#include <stdio.h>
#include <string.h>

bool is_being_cut(unsigned inode, uint32_t cell)
{
	return world.disk[inode].cut_to_plus_1 && cell >= world.disk[inode].cut_to_plus_1 - 1;
}

static const char *cells_check(unsigned inode)
{
	const struct region *reg = &world.region[inode];

	if (!world.disk[inode].epoch || region_is_lost(inode))
		return NULL;
	for (uint32_t i = 0; i < W_CELLS; i++) {
		const struct cell *c = &reg->cell[i];
		uint32_t value = cell_reads(inode, i);

		/* What is being cut off is as it was, or zero by now. */
		if (cell_may_be(c, value) || (is_being_cut(inode, i) && !value))
			continue;
		if (world_trace)
			printf("cell %u of inode %u is %x, %x is right, or (%d) %x\n", i, inode, value, c->truth,
			       c->uncertain, c->other);
		return "an update is lost";
	}
	for (unsigned c = 0; c < W_CHUNKS; c++)
		if ((reg->index[c] & GVM_VERSION_MASK) > reg->node[c].version)
			return "the index has a version that the node has not";
	return NULL;
}

static const char *seals_check(unsigned inode)
{
	const struct region *reg = &world.region[inode];
	const struct store *s = &world.store;

	if (!world.sealed || !world.disk[inode].epoch || region_is_lost(inode))
		return NULL;
	for (unsigned c = 0; c < W_CHUNKS; c++) {
		uint32_t pages = wbufs_pages(&s->wbufs, &world.inode[inode], c);

		if (wbufs_sealed(&s->wbufs, &world.inode[inode], c) || is_being_cut(inode, c * CHUNK_CELLS) ||
		    !reg->index[c] || reg->index[c] & GVM_VERSION_ZERO)
			continue;
		for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
			uint64_t known = reg->known[c].page[p];

			if (pages >> p & 1)
				continue;
			if (known == SEAL_UNKNOWN ? reg->ours[c] >> p & 1 : known != reg->node[c].seal[p])
				return known == SEAL_UNKNOWN ? "an old page of ours would be believed"
							     : "the node's page would not be believed";
		}
	}
	return NULL;
}

/* Pages that are valid in an entry, and in no wbuf, are as the index has them. */
static const char *entry_check(const struct cache_entry *e)
{
	unsigned nr = e->inode->nr;
	const struct region *reg = &world.region[nr];
	uint32_t pages = e->valid & ~wbufs_pages(&world.store.wbufs, e->inode, e->chunk);

	if (!world.disk[nr].epoch || region_is_lost(nr))
		return NULL;
	for (uint32_t i = 0; i < CHUNK_CELLS; i++) {
		const struct cell *c = &reg->cell[e->chunk * CHUNK_CELLS + i];
		uint32_t value;

		if (!(pages >> i / PAGE_CELLS & 1))
			continue;
		memcpy(&value, e->data + i * CELL_BYTES, sizeof(value));
		/* (What is cut off, or has no place on the nodes any more, nobody reads in this time.) */
		if (!cell_may_be(c, value) && !is_being_cut(nr, (uint32_t)e->chunk * CHUNK_CELLS + i))
			return "the cache has an old page";
	}
	return NULL;
}

static const char *cache_check(void)
{
	const struct cache *cache = &world.store.cache;
	unsigned entries[W_INODES] = { 0 }, fetching = 0;

	for (unsigned i = 0; i < CACHE_ENTRIES; i++) {
		const struct cache_entry *e = &cache->entries[i];
		const char *wrong;

		if (e->fetching != world.get[i].under_way)
			return "an entry does not know whether it is fetched";
		fetching += e->fetching;
		if (!e->inode)
			continue;
		entries[e->inode->nr]++;
		wrong = entry_check(e);
		if (wrong)
			return wrong;
		if (!e->inode->opens && cache_is_free(e))
			return "a closed file keeps an entry";
	}
	for (unsigned i = 0; i < W_INODES; i++)
		if (entries[i] != world.inode[i].entries)
			return "an inode's entries are miscounted";
	return fetching != cache->fetching ? "GETs are miscounted" : NULL;
}

static const char *sealed_check(unsigned s)
{
	const struct journal_wbuf *js = &world.wbuf[s];

	return world.sealed_wbuf[s].version != js->version || world.sealed_wbuf[s].pages != js->pages ||
			       memcmp(world.sealed_wbuf[s].data, world.wbuf_data + (size_t)s * GVM_CHUNK_BYTES,
				      GVM_CHUNK_BYTES) ?
		       "a sealed wbuf has changed" : NULL;
}

static const char *place_check(const struct spill_place *place)
{
	const struct wbufs *wbufs = &world.store.wbufs;
	const struct journal_spill *d = spill_disk(&wbufs->spill, place);
	struct inode *inode = &world.inode[d->inode];
	const void *node = world_env.node(&world.store, inode, d->chunk);

	if (inode->spill_dropped)
		return NULL;
	if (world.disk[d->inode].failed)
		return "a region that has failed keeps what was spilled of it";
	if (spill_find(&wbufs->spill, inode, d->chunk) != place)
		return "a chunk is spilled twice, or not found";
	if (wbufs_collecting(wbufs, inode, d->chunk))
		return "a chunk is spilled that has a wbuf";
	if (!place->slot)
		return wbufs->spill.scanning ? NULL : "a chunk is spilled that nothing was done about";
	if (place->slot->of->node->node != node)
		return "a chunk is spilled, and counts on another node than its own";
	return wbufs_allow(wbufs, inode, node) ? "a chunk is spilled that may have a wbuf" : NULL;
}

/* Adds to what each inode has. */
static const char *spill_check(unsigned count[W_INODES])
{
	const struct spill *p = &world.store.wbufs.spill;
	unsigned places = 0, pages = 0, left = 0;
	const char *wrong = NULL;

	for (unsigned i = 0; i < JOURNAL_SPILL && !wrong; i++) {
		const struct journal_spill *d = &world.spill[i];

		if (d->state == SPILL_FREE)
			continue;
		count[d->inode]++;
		places++;
		left += !p->place[i].slot;
		pages += p->place[i].slot ? (unsigned)__builtin_popcount(d->pages) : 0;
		wrong = place_check(&p->place[i]);
	}
	/* The predecessor may have died before it had counted one less. */
	if (wrong || (p->scanning && p->count - places == p->left - left && p->left >= left && pages == p->pages))
		return wrong;
	return left || p->left || places != p->count || pages != p->pages || pages > W_SPILL_PAGES ? "what is spilled is miscounted" :
												      NULL;
}

static const char *wbufs_check(void)
{
	const struct wbufs *wbufs = &world.store.wbufs;
	unsigned count[W_INODES] = { 0 }, free = 0, sealed = 0;
	const char *wrong = NULL;

	for (unsigned s = 0; s < JOURNAL_WBUFS; s++) {
		const struct journal_wbuf *js = &world.wbuf[s];

		if (js->state == WBUF_FREE) {
			free++;
			continue;
		}
		count[js->inode]++;
		if (world.disk[js->inode].failed && wbuf_is(wbufs, &wbufs->wbuf[s]) != WBUF_IS_SENDING)
			return "a region that has failed keeps what was written to it";
		for (unsigned t = 0; t < s; t++)
			if (world.wbuf[t].state == js->state && world.wbuf[t].inode == js->inode &&
			    world.wbuf[t].chunk == js->chunk)
				return "a chunk has two wbufs of a kind";
		if (js->state == WBUF_SEALED) {
			sealed++;
			wrong = sealed_check(s);
			if (!wrong && world.wire[s].state == WIRE_FREE && !wbufs->wbuf[s].retry_at_ns)
				wrong = "a wbuf is sent by nothing";
		}
		if (wrong)
			return wrong;
	}
	wrong = spill_check(count);
	for (unsigned i = 0; i < W_INODES && !wrong; i++)
		if (count[i] != world.inode[i].wbufs && !(count[i] < world.inode[i].wbufs && world.inode[i].spill_left))
			wrong = "an inode's wbufs are miscounted";
	if (wrong)
		return wrong;
	return free != wbufs->free || sealed != wbufs->sealed ? "wbufs are miscounted" : NULL;
}

static const char *wait_check(const struct call *c, const struct store_wait *wait)
{
	struct store *s = &world.store;

	if (!c->used || !c->begun)
		return NULL;
	/* It has its turn after those that came before it. */
	if (wait->lane && TAILQ_FIRST(&wait->lane->waits) != wait)
		return NULL;
	switch (wait->state) {
	case WAIT_ORDER:
		return NULL; /* as long as the other waits for something: it is in that one's list */
	case WAIT_PAGES:
		for (unsigned i = 0; i < 2; i++)
			if (wait->on[i].entry && wait->on[i].entry->fetching)
				return NULL;
		return "a request waits for a page that is not fetched";
	case WAIT_CUT:
		return wait->inode->cutting ? NULL : "a request waits for the end of a cut that has ended";
	case WAIT_ENTRIES:
		return cache_allow(&s->cache, wait->inode, wait->nodes, wait->count) ?
			       "a request waits for an entry that it may have" : NULL;
	case WAIT_WBUF:
		return wbufs_allow(&s->wbufs, wait->inode, world_env.node(s, wait->inode, wait->chunk)) ?
			       "a request waits for a wbuf that it may have" : NULL;
	default:
		return "a request waits for nothing";
	}
}

/* It waits for wbufs that are on their way, or whose chunk has another that is. */
static const char *sync_check(const struct syncing *o)
{
	const struct store *s = &world.store;
	const struct inode *inode = &world.inode[o->call.inode];

	for (const struct wbuf *wbuf = s->wbufs.wbuf; wbuf != s->wbufs.wbuf + JOURNAL_WBUFS; wbuf++)
		if (wbuf->inode == inode && wbuf->order <= o->s.until &&
		    wbuf_is(&s->wbufs, wbuf) == WBUF_IS_COLLECTING &&
		    !wbufs_sealed(&s->wbufs, inode, wbuf_disk(&s->wbufs, wbuf)->chunk))
			return "an fsync waits for a wbuf that is not sent";
	return wbufs_oldest(&s->wbufs, inode) > o->s.until ? "an fsync waits for nothing" : NULL;
}

static const char *waits_check(void)
{
	const char *wrong = NULL;

	for (unsigned i = 0; i < W_READS && !wrong; i++)
		wrong = wait_check(&world.reading[i].call, &world.reading[i].r.wait);
	for (unsigned i = 0; i < W_WRITES && !wrong; i++)
		wrong = wait_check(&world.writing[i].call, &world.writing[i].w.wait);
	for (unsigned i = 0; i < W_SYNCS && !wrong; i++) {
		const struct syncing *o = &world.syncing[i];

		if (o->call.used && o->call.begun && !o->cutting)
			wrong = sync_check(o);
	}
	return wrong;
}

const char *world_check(void)
{
	const char *wrong = world.wrong;

	for (unsigned i = 0; i < W_INODES && !wrong; i++)
		wrong = cells_check(i);
	for (unsigned i = 0; i < W_INODES && !wrong; i++)
		wrong = seals_check(i);
	if (!wrong)
		wrong = wbufs_check();
	if (!wrong)
		wrong = cache_check();
	return wrong ? wrong : waits_check();
}

/* ---- The end: nothing new begins, no node refuses. */

static bool any(enum event_kind kind, unsigned count, uint32_t b)
{
	for (unsigned i = 0; i < count; i++) {
		struct event e = { kind, i, b };

		if (world_event(&e))
			return true;
	}
	return false;
}

#define STEPS 13u
#define ENOUGH 60000u

static bool step(unsigned which)
{
	switch (which) {
	case 0: return any(E_SERVE, CACHE_ENTRIES, 0);
	case 1: return any(E_PIECE, CACHE_ENTRIES, ~0u);
	case 2: return any(E_END, CACHE_ENTRIES, 0);
	case 3: return any(E_START, JOURNAL_WBUFS, 0);
	case 4: return any(E_BASE, JOURNAL_WBUFS, 0);
	case 5: return any(E_APPLY, JOURNAL_WBUFS, 0);
	case 6: return any(E_ACK, JOURNAL_WBUFS, 0);
	case 7: return any(E_COLLECT, 1, 0);
	case 8: return any(E_BEGIN, W_READS, 0);
	case 9: return any(E_BEGIN, W_WRITES, 1);
	case 10: return any(E_BEGIN, W_SYNCS, 2);
	case 11: return any(E_LOST, W_LATE, 0);
	case 12:
		for (unsigned n = 0; n < W_NODES; n++)
			if (any(E_CUTS, W_INODES, n))
				return true;
	}
	return false;
}

static bool waits(const struct call *c, const bool of[W_INODES])
{
	return c->used && of[c->inode];
}

/* Whether something of these inodes waits, or is not on its node yet. */
static bool is_busy(const bool of[W_INODES])
{
	bool busy = false;

	for (unsigned i = 0; i < W_READS; i++)
		busy |= waits(&world.reading[i].call, of);
	for (unsigned i = 0; i < W_WRITES; i++)
		busy |= waits(&world.writing[i].call, of);
	for (unsigned i = 0; i < W_SYNCS; i++)
		busy |= waits(&world.syncing[i].call, of);
	for (unsigned i = 0; i < W_INODES; i++)
		busy |= of[i] && (world.inode[i].wbufs || world.cut[i].state);
	return busy;
}

/* Goes on until nothing is busy: NULL, or what is wrong. The clock goes on only where nothing else does. */
static const char *settle(uint32_t (*pick)(uint32_t below), const bool of[W_INODES])
{
	const struct event tick = { E_TICK, 0, 0 };
	const char *wrong = world_check();
	unsigned idle = 0;

	for (unsigned n = 0; !wrong && n < ENOUGH && is_busy(of); n++) {
		unsigned first = pick(STEPS), i;

		for (i = 0; i < STEPS && !step((first + i) % STEPS); i++)
			;
		if (i < STEPS)
			idle = 0;
		else if (++idle > 100 || !world_event(&tick))
			return "something waits for ever";
		wrong = world_check();
	}
	return !wrong && is_busy(of) ? "it does not come to rest" : wrong;
}

static const char *nodes_check(unsigned inode)
{
	const struct region *reg = &world.region[inode];

	for (uint32_t i = 0; i < W_CELLS; i++) {
		const struct cell *c = &reg->cell[i];
		uint64_t entry = reg->index[i / CHUNK_CELLS];
		uint32_t has = reg->node[i / CHUNK_CELLS].content[i % CHUNK_CELLS];

		if (world.disk[inode].epoch && !entry)
			has = 0;
		if (!cell_may_be(c, has))
			return "all is written, and a node has an older cell";
	}
	return NULL;
}

const char *world_finish(uint32_t (*pick)(uint32_t below), unsigned dead)
{
	const struct event seal = { E_SEAL, 0, 0 };
	bool of[W_INODES];
	const char *wrong = NULL;

	world.kill_in = world.kill_next = 0;
	for (unsigned n = 0; n < W_NODES; n++)
		world.dead[n] = n + 1 == dead;
	world_event(&seal);
	/* A dead node stops what is on it, and nothing else. */
	for (unsigned i = 0; i < W_INODES; i++)
		of[i] = !region_is_cut_off(i);
	wrong = settle(pick, of);
	memset(world.dead, 0, sizeof(world.dead));
	for (unsigned i = 0; i < W_INODES; i++)
		of[i] = true;
	if (!wrong)
		wrong = settle(pick, of);
	for (unsigned i = 0; i < W_INODES && !wrong; i++)
		if (!region_is_lost(i))
			wrong = nodes_check(i);
	/* Behind the end there is nothing that shows when it grows. */
	for (unsigned i = 0; i < W_INODES && !wrong; i++) {
		const struct event grow = { E_GROW, i, W_CELLS };

		if (world_event(&grow))
			wrong = world_check();
	}
	return wrong;
}
