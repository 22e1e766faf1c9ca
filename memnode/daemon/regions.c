// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * regions.c - regions: creating, attaching, sizing and listing them (their chunks: chunk.c).
 *
 * Entries are never given up before their region is: a region that shrinks keeps them, as versioned
 * zeros, so that a PUT from before cannot bring back what was cut off when it grows again.
 */
#include "region_priv.h"
#include "keep_log.h"
#include "../clock.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define INDEX_SCAN_MAX (1u << 20) /* entries that one answer looks at */

int regions_init(struct regions *t, struct store *store, uint64_t limit_cells, double overcommit)
{
	*t = (struct regions){.store = store, .limit_cells = limit_cells};
	t->promisable_cells = (uint64_t)((double)limit_cells * overcommit);
	TAILQ_INIT(&t->dying);
	t->clock.served_ns = 1;
	t->births = 1;
	t->scratch = malloc(CHUNK_ENCODED_MAX);
	return t->scratch ? 0 : -ENOMEM;
}

/* Where `id` stands, or would. */
static unsigned region_place(const struct regions *t, const struct gvm_id *id)
{
	unsigned from = 0, to = t->count;

	while (from < to) {
		unsigned at = (from + to) / 2;

		if (memcmp(&t->sorted[at]->id, id, sizeof(*id)) < 0)
			from = at + 1;
		else
			to = at;
	}
	return from;
}

struct region *region_find_any(const struct regions *t, const struct gvm_id *id)
{
	unsigned at = region_place(t, id);

	return at < t->count && gvm_id_equal(&t->sorted[at]->id, id) ? t->sorted[at] : NULL;
}

struct region *regions_find(const struct regions *t, const struct gvm_id *id)
{
	struct region *r = region_find_any(t, id);

	return r && (!r->remains || t->remains_too) ? r : NULL;
}

/* An entry's share of a node's memory; and of its disk, where an entry without a body takes a record. */
#define ENTRY_KEPT_BYTES 56u

static uint64_t entry_cells(const struct regions *t, uint64_t chunks)
{
	uint64_t bytes = chunks * (t->log ? ENTRY_KEPT_BYTES : sizeof(struct chunk_entry));

	/* At least a page: what the kernel takes for the smallest mapping. */
	return (bytes < GVM_PAGE_BYTES ? GVM_PAGE_BYTES : bytes + STORE_CELL_BYTES - 1) /
	       STORE_CELL_BYTES;
}

/* Whether `entries` + `reserve` more than is promised now can be; `detail`: chunks that could. */
static bool can_promise(const struct regions *t, uint64_t entries, uint64_t reserve,
			uint64_t *detail)
{
	uint64_t open = t->promisable_cells - t->promised_cells;
	uint64_t room = t->limit_cells - t->entry_cells - t->totals.cells;

	assert(t->promised_cells <= t->promisable_cells &&
	       t->entry_cells + t->totals.cells <= t->limit_cells);
	*detail = 0;
	if (entries > open || entries > room)
		return false;
	*detail = (open - entries) / REGION_CHUNK_CELLS;
	return reserve <= *detail;
}

bool regions_charge(struct regions *t, uint64_t cells)
{
	uint64_t chunks;

	if (!can_promise(t, cells, 0, &chunks))
		return false;
	t->entry_cells += cells;
	t->promised_cells += cells;
	return true;
}

void regions_uncharge(struct regions *t, uint64_t cells)
{
	t->entry_cells -= cells;
	t->promised_cells -= cells;
}

/* The spare page, since a region without chunks needs a mapping, too. */
static size_t entries_map_bytes(uint64_t chunks)
{
	return chunks * sizeof(struct chunk_entry) + GVM_PAGE_BYTES;
}

static size_t written_words(uint64_t chunks)
{
	return chunks / ENTRY_GROUP / 64 + 1;
}

static size_t places_map_bytes(uint64_t chunks)
{
	return chunks * sizeof(struct chunk_place) + GVM_PAGE_BYTES;
}

static struct chunk_entry *entries_map(uint64_t chunks)
{
	void *p = mmap(NULL, entries_map_bytes(chunks), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	return p;
}

static struct chunk_place *places_map(uint64_t chunks)
{
	void *p = mmap(NULL, places_map_bytes(chunks), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

static void region_free(struct region *r)
{
	if (r->entries)
		munmap(r->entries, entries_map_bytes(r->entries_chunks));
	if (r->places)
		munmap(r->places, places_map_bytes(r->entries_chunks));
	free(r->views);
	free(r->note);
	free(r->written);
	free(r);
}

static bool sorted_make_room(struct regions *t)
{
	unsigned room = t->room ? 2 * t->room : 16;
	struct region **sorted;

	if (t->count < t->room)
		return true;
	sorted = realloc(t->sorted, room * sizeof(*sorted));
	if (!sorted)
		return false;
	t->sorted = sorted;
	t->room = room;
	return true;
}

struct region *regions_add(struct regions *t, const struct gvm_id *id, uint64_t chunks)
{
	unsigned at = region_place(t, id);
	struct region *r = sorted_make_room(t) ? calloc(1, sizeof(*r)) : NULL;

	if (!r)
		return NULL;
	r->entries_chunks = chunks;
	r->written = calloc(written_words(chunks), sizeof(*r->written));
	r->entries = r->written ? entries_map(chunks) : NULL;
	r->places = r->entries && t->log ? places_map(chunks) : NULL;
	if (!r->entries || (t->log && !r->places)) {
		region_free(r);
		return NULL;
	}
	r->id = *id;
	r->chunks = chunks;
	LIST_INIT(&r->attaches);
	r->clock = &t->clock;
	r->birth = t->births++;
	t->entry_cells += entry_cells(t, chunks);
	t->promised_cells += entry_cells(t, chunks);
	memmove(&t->sorted[at + 1], &t->sorted[at], (t->count - at) * sizeof(*t->sorted));
	t->sorted[at] = r;
	t->count++;
	return r;
}

void regions_reserve(struct regions *t, struct region *r, uint64_t reserve_chunks)
{
	t->promised_cells -= r->reserve * REGION_CHUNK_CELLS;
	t->promised_cells += reserve_chunks * REGION_CHUNK_CELLS;
	r->reserve = reserve_chunks;
}

static uint64_t views_cells(void)
{
	return store_cells_of(GVM_SLOTS_MAX * sizeof(struct slot_views));
}

bool region_views_make(struct regions *t, struct region *r)
{
	uint64_t cells = views_cells();

	if (r->views)
		return true;
	if (!regions_charge(t, cells))
		return false;
	r->views = calloc(GVM_SLOTS_MAX, sizeof(*r->views));
	if (!r->views) {
		regions_uncharge(t, cells);
		return false;
	}
	r->views_cells = cells;
	return true;
}

static void order_set(struct region *r, uint64_t epoch, uint64_t order)
{
	r->order_epoch = epoch;
	r->order = order;
}

bool region_is_late(const struct region *r, uint64_t epoch, uint64_t order, uint64_t *detail)
{
	if (epoch != r->order_epoch || order >= r->order)
		return false;
	*detail = r->order;
	return true;
}

uint16_t regions_create(struct regions *t, const struct gvm_region_create_req *what,
			uint64_t *detail)
{
	unsigned at = region_place(t, &what->region);
	struct region *r = at < t->count ? t->sorted[at] : NULL;
	uint64_t tables;

	if (gvm_id_is_none(&what->region) || what->chunks > REGION_CHUNKS_MAX ||
	    what->reserve_chunks > what->chunks || what->views > 1)
		return GVM_ERR_INVALID;
	if (r && gvm_id_equal(&r->id, &what->region)) {
		if (r->remains || r->chunks != what->chunks || r->reserve != what->reserve_chunks || r->view != what->view ||
		    (what->views && !r->views))
			return GVM_ERR_EXISTS;
		if (what->epoch > r->order_epoch || (what->epoch == r->order_epoch && what->order > r->order))
			order_set(r, what->epoch, what->order);
		return GVM_OK;
	}
	if (grave_bars(&t->graves, what, detail))
		return GVM_ERR_STALE;
	tables = entry_cells(t, what->chunks) + (what->views ? views_cells() : 0);
	if (t->drains || !can_promise(t, tables, what->reserve_chunks, detail) || t->count == REGION_COUNT_MAX)
		return GVM_ERR_NOSPACE;
	r = regions_add(t, &what->region, what->chunks);
	if (!r)
		return GVM_ERR_NOSPACE;
	if (what->views && !region_views_make(t, r)) {
		regions_erase(t, &what->region);
		return GVM_ERR_NOSPACE;
	}
	regions_reserve(t, r, what->reserve_chunks);
	r->view = what->view;
	order_set(r, what->epoch, what->order);
	return GVM_OK;
}

static void attach_end(struct region_attach *a)
{
	struct region *r = a->region;

	LIST_REMOVE(a, of_region);
	LIST_REMOVE(a, of_writer);
	free(a);
	if (LIST_EMPTY(&r->attaches))
		lease_begin(&r->lease, r->clock);
}

static void attaches_end(struct region *r)
{
	while (!LIST_EMPTY(&r->attaches))
		attach_end(LIST_FIRST(&r->attaches));
}

void region_writer_gone(struct region_writer *writer)
{
	while (!LIST_EMPTY(&writer->attaches))
		attach_end(LIST_FIRST(&writer->attaches));
}

static uint8_t region_writer_state(const struct region *r)
{
	return LIST_EMPTY(&r->attaches) ? lease_state(&r->lease, r->clock) : GVM_WRITER_THERE;
}

static bool attach_add(struct region *r, struct region_writer *writer)
{
	struct region_attach *a;

	LIST_FOREACH (a, &r->attaches, of_region)
		if (a->writer == writer)
			return true;
	a = malloc(sizeof(*a));
	if (!a)
		return false;
	a->writer = writer;
	a->region = r;
	LIST_INSERT_HEAD(&r->attaches, a, of_region);
	LIST_INSERT_HEAD(&writer->attaches, a, of_writer);
	return true;
}

bool region_open_keeps(const struct gvm_region_open_req *what)
{
	return what->mode == GVM_OPEN_ATTACH || what->mode == GVM_OPEN_HOLD || what->mode == GVM_OPEN_UNHOLD;
}

static bool open_is_valid(const struct gvm_region_open_req *what, const struct region_writer *writer)
{
	if (what->lapse > 1 || (what->mode != GVM_OPEN_ATTACH && (what->lease_ms || what->lapse)))
		return false;
	switch (what->mode) {
	case GVM_OPEN_LOOK:
		return !what->epoch && !what->force;
	case GVM_OPEN_ATTACH:
	case GVM_OPEN_HOLD:
		return what->epoch && what->epoch <= GVM_EPOCH_MAX && what->force <= GVM_FORCE_LEASE &&
		       writer->client;
	case GVM_OPEN_UNHOLD:
	case GVM_OPEN_WATCH:
	case GVM_OPEN_UNWATCH:
	case GVM_OPEN_PASS: /* the epoch is the watch's number */
		return what->epoch && !what->force && writer->client;
	}
	return false;
}

/* Whether a client may attach, or hold the region in order to: OK, FENCED or BUSY. */
static uint16_t region_claimable(const struct region *r, const struct gvm_region_open_req *what,
				 uint64_t client)
{
	bool same = r->client == client;
	uint8_t state = region_writer_state(r);

	if (what->epoch < r->epoch || (what->epoch == r->epoch && !same))
		return GVM_ERR_FENCED;
	/*
	 * A writer that comes back while another claims its lapsed lease attaches, and will be
	 * fenced.
	 */
	if (what->epoch == r->epoch && what->mode == GVM_OPEN_ATTACH)
		return GVM_OK;
	if (what->epoch == r->epoch)
		return GVM_ERR_FENCED;
	if (lease_is_held_by_another(&r->lease, client, r->clock))
		return GVM_ERR_BUSY;
	if (same || lease_is_held_by(&r->lease, client, what->epoch, r->clock) ||
	    what->force == GVM_FORCE_WRITER)
		return GVM_OK;
	if (state == GVM_WRITER_THERE || (state == GVM_WRITER_AWAY && !what->force))
		return GVM_ERR_BUSY;
	return GVM_OK;
}

static uint16_t region_attach(struct region *r, const struct gvm_region_open_req *what,
			      struct region_writer *writer)
{
	if (what->epoch > r->epoch)
		attaches_end(r);
	if (!attach_add(r, writer))
		return GVM_ERR_NOSPACE;
	if (what->epoch > r->epoch)
		r->lease.hold_client = 0;
	watches_attached(&r->watches);
	lease_choose(&r->lease, what);
	r->epoch = what->epoch;
	r->client = writer->client;
	r->view = what->view;
	return GVM_OK;
}

uint16_t regions_open(struct regions *t, const struct gvm_region_open_req *what,
		      struct region_writer *writer, struct gvm_region_open_rsp *rsp,
		      uint64_t *detail)
{
	struct region *r = regions_find(t, &what->region);
	uint16_t status = GVM_OK;

	*detail = 0;
	if (!open_is_valid(what, writer))
		return GVM_ERR_INVALID;
	if (!r || (r->remains && what->mode != GVM_OPEN_LOOK))
		return GVM_ERR_LOST;
	if (what->mode == GVM_OPEN_ATTACH || what->mode == GVM_OPEN_HOLD) {
		*detail = r->epoch;
		status = region_claimable(r, what, writer->client);
		if (status)
			return status;
	}
	/* A reader need not know a view; one that gives it must not be older, either. */
	if (what->view < r->view && (what->mode == GVM_OPEN_ATTACH || what->mode == GVM_OPEN_HOLD || what->view)) {
		*detail = r->view;
		return GVM_ERR_STALE;
	}
	if (what->mode == GVM_OPEN_WATCH)
		status = watches_renew(&r->watches, writer->client, what->epoch, gvm_now_ns(), detail);
	else if (what->mode == GVM_OPEN_UNWATCH)
		watches_end(&r->watches, writer->client, what->epoch);
	else if (what->mode == GVM_OPEN_PASS)
		watches_pass(&r->watches, writer->client, what->epoch, gvm_now_ns());
	else if (what->mode == GVM_OPEN_ATTACH && what->epoch > r->epoch &&
		 watches_bar(&r->watches, writer->client, gvm_now_ns()))
		status = GVM_ERR_WATCHED;
	else if (what->mode == GVM_OPEN_HOLD)
		lease_hold(&r->lease, writer->client, what->epoch, r->clock);
	else if (what->mode == GVM_OPEN_UNHOLD)
		lease_unhold(&r->lease, writer->client, what->epoch);
	if (!status && what->mode == GVM_OPEN_ATTACH)
		status = region_attach(r, what, writer);
	if (status)
		return status;
	*rsp = (struct gvm_region_open_rsp){
		.epoch = r->epoch,
		.chunks = r->chunks,
		.reserve_chunks = r->reserve,
		.view = r->view,
		.writer = region_writer_state(r),
		.lease_ms = LIST_EMPTY(&r->attaches) ? lease_left_ms(&r->lease, r->clock) : 0,
		.host = r->lease.host,
		.process = r->lease.process,
	};
	return GVM_OK;
}

uint16_t region_of_writer(const struct regions *t, const struct gvm_id *id, uint64_t epoch,
			  struct region **region, uint64_t *detail)
{
	struct region *r = regions_find(t, id);

	if (!r || r->remains)
		return GVM_ERR_LOST;
	if (epoch != r->epoch) {
		*detail = r->epoch;
		return GVM_ERR_FENCED;
	}
	*region = r;
	return GVM_OK;
}

uint16_t regions_close(struct regions *t, const struct gvm_region_close_req *what, uint64_t *detail)
{
	struct region *r;
	uint16_t status = region_of_writer(t, &what->region, what->epoch, &r, detail);

	if (status)
		return status;
	attaches_end(r);
	lease_end(&r->lease);
	return GVM_OK;
}

static bool group_is_written(const struct region *r, uint64_t chunk)
{
	uint64_t group = chunk / ENTRY_GROUP;

	return r->written[group / 64] >> group % 64 & 1;
}

uint64_t region_next_written(const struct region *r, uint64_t chunk)
{
	while (chunk < r->entries_chunks && !group_is_written(r, chunk))
		chunk += ENTRY_GROUP - chunk % ENTRY_GROUP;
	return chunk < r->entries_chunks ? chunk : r->entries_chunks;
}

/* Cuts off the chunks from `chunks` on. Their entries stay, as zeros of the same version. */
static void region_cut(struct regions *t, struct region *r, uint64_t chunks)
{
	for (uint64_t c = chunks; r->totals.chunks && (c = region_next_written(r, c)) < r->chunks; c++)
		if (entry_has_body(&r->entries[c]))
			entry_drop_body(t, r, &r->entries[c]);
}

static uint64_t bodies_below(const struct region *r, uint64_t chunks)
{
	uint64_t bodies = r->totals.chunks;

	for (uint64_t c = chunks; bodies && (c = region_next_written(r, c)) < r->chunks; c++)
		bodies -= entry_has_body(&r->entries[c]);
	return bodies;
}

static bool entries_grow(struct region *r, uint64_t chunks)
{
	size_t before = written_words(r->entries_chunks), after = written_words(chunks);
	uint64_t *written = realloc(r->written, after * sizeof(*written));
	void *p;

	if (!written)
		return false;
	memset(written + before, 0, (after - before) * sizeof(*written));
	r->written = written;
	p = mremap(r->entries, entries_map_bytes(r->entries_chunks), entries_map_bytes(chunks),
		   MREMAP_MAYMOVE);
	if (p == MAP_FAILED)
		return false;
	r->entries = p;
	if (r->places) {
		p = mremap(r->places, places_map_bytes(r->entries_chunks), places_map_bytes(chunks),
			   MREMAP_MAYMOVE);
		if (p == MAP_FAILED)
			return false;
		r->places = p;
	}
	r->entries_chunks = chunks;
	return true;
}

uint16_t regions_resize(struct regions *t, const struct gvm_region_resize_req *what,
			uint64_t *detail)
{
	uint64_t entries = 0, more = 0;
	struct region *r;
	uint16_t status = region_of_writer(t, &what->region, what->epoch, &r, detail);

	if (status)
		return status;
	if (region_is_late(r, what->epoch, what->order, detail))
		return GVM_ERR_STALE;
	order_set(r, what->epoch, what->order);
	if (what->chunks > REGION_CHUNKS_MAX || what->reserve_chunks > what->chunks ||
	    what->reserve_chunks < bodies_below(r, what->chunks))
		return GVM_ERR_INVALID;
	if (what->chunks > r->entries_chunks)
		entries = entry_cells(t, what->chunks) - entry_cells(t, r->entries_chunks);
	if (what->reserve_chunks > r->reserve)
		more = what->reserve_chunks - r->reserve;
	if ((entries || more) && !can_promise(t, entries, more, detail)) {
		*detail += r->reserve;
		return GVM_ERR_NOSPACE;
	}
	if (what->chunks > r->entries_chunks && !entries_grow(r, what->chunks))
		return GVM_ERR_NOSPACE;
	region_cut(t, r, what->chunks);
	t->entry_cells += entries;
	t->promised_cells += entries;
	regions_reserve(t, r, what->reserve_chunks);
	r->chunks = what->chunks;
	assert(r->chunks <= r->entries_chunks && r->totals.chunks <= r->reserve);
	return GVM_OK;
}

void chunk_place_set(struct regions *t, struct region *r, uint64_t chunk, uint32_t segment, uint32_t bytes)
{
	struct chunk_place *p = &r->places[chunk];

	/* The new one first: a segment is drained when what replaces its last record is there. */
	if (segment)
		keep_log_count(t->log, segment - 1, bytes, 1);
	if (p->segment)
		keep_log_count(t->log, p->segment - 1, p->bytes, -1);
	*p = (struct chunk_place){.segment = segment, .bytes = bytes};
}

/* Whether anything of a deleted region is left at or after r->reaped. */
static bool region_is_left(const struct region *r)
{
	return r->reaped < r->entries_chunks && (r->places || r->totals.chunks);
}

bool regions_reap(struct regions *t, unsigned chunks)
{
	struct region *r;

	while ((r = TAILQ_FIRST(&t->dying))) {
		for (; region_is_left(r); r->reaped++) {
			const struct chunk_entry *entry;
			bool placed;

			r->reaped = region_next_written(r, r->reaped);
			if (r->reaped == r->entries_chunks)
				break;
			entry = &r->entries[r->reaped];
			placed = r->places && r->places[r->reaped].segment;
			if (!placed && !entry_has_body(entry))
				continue;
			if (!chunks--)
				return true;
			if (placed)
				chunk_place_set(t, r, r->reaped, 0, 0);
			if (!entry_has_body(entry))
				continue;
			store_free(t->store, entry->cell);
			r->totals.chunks--;
		}
		assert(!r->totals.chunks); /* no body is left in the store without an entry */
		TAILQ_REMOVE(&t->dying, r, dying_link);
		region_free(r);
	}
	return false;
}

/* No request finds it any more; regions_reap() frees its chunks. */
static void region_bury(struct regions *t, struct region *r)
{
	uint64_t entries = entry_cells(t, r->entries_chunks);

	assert(t->totals.chunks >= r->totals.chunks && t->totals.cells >= r->totals.cells &&
	       t->entry_cells >= entries &&
	       t->promised_cells >= entries + r->reserve * REGION_CHUNK_CELLS);
	attaches_end(r);
	watches_deinit(&r->watches);
	t->totals.chunks -= r->totals.chunks;
	t->totals.cells -= r->totals.cells;
	t->totals.stored_bytes -= r->totals.stored_bytes;
	t->totals.nonzero_bytes -= r->totals.nonzero_bytes;
	t->totals.rotten -= r->totals.rotten;
	t->totals.raw -= r->totals.raw;
	regions_uncharge(t, entries + r->views_cells + r->note_cells);
	t->promised_cells -= r->reserve * REGION_CHUNK_CELLS;
	TAILQ_INSERT_TAIL(&t->dying, r, dying_link);
}

static void region_remove(struct regions *t, unsigned at)
{
	struct region *r = t->sorted[at];

	t->count--;
	memmove(&t->sorted[at], &t->sorted[at + 1], (t->count - at) * sizeof(*t->sorted));
	region_bury(t, r);
}

/* The writer says with its DELETE up to which order a CREATE is late, also where there is no region: what makes it may be
 * yet to come. Of a region that goes otherwise, a copy of what made it is. */
static void region_grave(struct regions *t, const struct gvm_region_delete_req *what, const struct region *r)
{
	if (what->order != UINT64_MAX)
		grave_note(&t->graves, &what->region, what->epoch, what->order);
	else if (r && r->order)
		grave_note(&t->graves, &what->region, r->order_epoch, r->order + 1);
}

uint16_t regions_delete(struct regions *t, const struct gvm_region_delete_req *what,
			uint64_t *detail)
{
	struct region *r = region_find_any(t, &what->region);
	uint16_t status;

	/* What a loss has left has no writer any more: whoever knows its epoch may remove it. */
	if (r && r->remains)
		status = what->epoch >= r->epoch ? GVM_OK : GVM_ERR_FENCED;
	else
		status = region_of_writer(t, &what->region, what->epoch, &r, detail);
	if (!status && !r->remains && region_is_late(r, what->epoch, what->order, detail))
		status = GVM_ERR_STALE;
	if (!status || status == GVM_ERR_LOST)
		region_grave(t, what, status ? NULL : r);
	if (!status)
		region_remove(t, region_place(t, &what->region));
	return status;
}

void regions_erase(struct regions *t, const struct gvm_id *id)
{
	region_remove(t, region_place(t, id));
}

bool region_has_epoch(const struct regions *t, const struct gvm_id *id, uint64_t epoch)
{
	const struct region *r = regions_find(t, id);

	return r && r->epoch >= epoch;
}

void regions_clock(struct regions *t, uint64_t boottime_ns)
{
	lease_clock_go(&t->clock, boottime_ns);
}

bool regions_lapse(struct regions *t, struct gvm_id *removed)
{
	for (unsigned at = 0; at < t->count; at++) {
		const struct region *r = t->sorted[at];

		if (!r->lease.removes || region_writer_state(r) != GVM_WRITER_LAPSED)
			continue;
		*removed = r->id;
		if (r->order)
			grave_note(&t->graves, &r->id, r->order_epoch, r->order + 1);
		region_remove(t, at);
		return true;
	}
	return false;
}

void regions_deinit(struct regions *t)
{
	for (unsigned i = 0; i < t->count; i++)
		region_bury(t, t->sorted[i]);
	while (regions_reap(t, UINT32_MAX))
		;
	free(t->sorted);
	free(t->scratch);
	*t = (struct regions){0};
}

static uint64_t region_held_bytes(const struct regions *t, const struct region *r)
{
	return (r->totals.cells + entry_cells(t, r->entries_chunks) + r->views_cells + r->note_cells) * STORE_CELL_BYTES;
}

uint16_t regions_stat(const struct regions *t, const struct gvm_region_stat_req *what,
		      struct gvm_region_stat_rsp *rsp)
{
	const struct region *r = regions_find(t, &what->region);

	if (!r)
		return GVM_ERR_LOST;
	*rsp = (struct gvm_region_stat_rsp){
		.chunks = r->chunks,
		.reserve_chunks = r->reserve,
		.epoch = r->epoch,
		.writer = region_writer_state(r),
		.host = r->lease.host,
		.process = r->lease.process,
		.chunks_held = r->totals.chunks,
		.held_bytes = region_held_bytes(t, r),
		.stored_bytes = r->totals.stored_bytes,
		.nonzero_bytes = r->totals.nonzero_bytes,
	};
	return GVM_OK;
}

uint32_t regions_held(const struct regions *t, const uint8_t *ids, uint32_t count, uint8_t *buf)
{
	for (uint32_t i = 0; i < count; i++) {
		uint8_t *p = buf + i * GVM_HELD_ENTRY_BYTES;
		const struct region *r;
		struct gvm_id id;

		memcpy(id.b, ids + i * sizeof(id), sizeof(id));
		r = regions_find(t, &id);
		gvm_store_le(p, r != NULL, 1);
		gvm_store_le(p + 1, r ? r->epoch : 0, 8);
		gvm_store_le(p + 9, r ? r->totals.chunks : 0, 8);
		gvm_store_le(p + 17, r ? region_held_bytes(t, r) : 0, 8);
	}
	return count * GVM_HELD_ENTRY_BYTES;
}

uint32_t regions_list(const struct regions *t, const struct gvm_region_list_req *what,
		      struct gvm_region_list_rsp *rsp, uint8_t *buf)
{
	unsigned at = region_place(t, &what->after);
	uint8_t *p = buf;

	if (at < t->count && gvm_id_equal(&t->sorted[at]->id, &what->after))
		at++;
	for (; at < t->count && p + 32 <= buf + GVM_DATA_MAX; at++) {
		if (t->sorted[at]->remains && !t->remains_too)
			continue;
		memcpy(p, t->sorted[at]->id.b, 16);
		gvm_store_le(p + 16, t->sorted[at]->chunks, 8);
		gvm_store_le(p + 24, region_held_bytes(t, t->sorted[at]), 8);
		p += 32;
	}
	rsp->count = (uint32_t)(p - buf) / 32;
	rsp->more = at < t->count;
	return (uint32_t)(p - buf);
}

uint16_t regions_index(const struct regions *t, const struct gvm_region_index_req *what,
		       struct gvm_region_index_rsp *rsp, uint8_t *buf, uint32_t *bytes)
{
	const struct region *r = regions_find(t, &what->region);
	uint64_t c = what->first, seen = 0;
	uint8_t *p = buf;

	if (!r)
		return GVM_ERR_LOST;
	for (; c < r->chunks && seen < INDEX_SCAN_MAX && p + 16 <= buf + GVM_DATA_MAX; c++, seen++) {
		if (!group_is_written(r, c)) {
			c += ENTRY_GROUP - 1 - c % ENTRY_GROUP;
			continue;
		}
		if (!r->entries[c].version)
			continue;
		gvm_store_le(p, c, 8);
		gvm_store_le(p + 8, r->entries[c].version, 8);
		p += 16;
	}
	*bytes = (uint32_t)(p - buf);
	rsp->count = *bytes / 16;
	rsp->next = c < r->chunks ? c : UINT64_MAX;
	return GVM_OK;
}
