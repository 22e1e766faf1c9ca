// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * chunk.c - the chunks of a region: GET, PUT and DISCARD.
 *
 * A PUT composes the new chunk first, then gives the old one's cells back, then takes cells for the
 * new one: it needs no space besides what was promised. (Old cells that are being sent stay pinned:
 * for those the store has head room of its own.)
 */
#include "../put_rule.h"
#include "region_priv.h"

#include <assert.h>
#include <string.h>

uint16_t regions_get(const struct regions *t, const struct gvm_get_req *what,
		     struct region_found *found, uint64_t *detail)
{
	const struct region *r = regions_find(t, &what->region);
	const struct chunk_entry *entry;
	uint64_t version;

	if (!r)
		return GVM_ERR_LOST;
	if (what->epoch && what->epoch != r->epoch) {
		*detail = r->epoch;
		return GVM_ERR_FENCED;
	}
	if (what->chunk >= r->chunks || what->version > GVM_VERSION_MASK ||
	    (what->want_page >= GVM_CHUNK_PAGES && what->want_page != GVM_NO_PAGE))
		return GVM_ERR_INVALID;
	/* (The writer knows what it has told us; it is a reader's record that may be old.) */
	if (!what->epoch && region_slot_is_gone(t, r, what->chunk))
		return GVM_ERR_LOST;
	entry = &r->entries[what->chunk];
	version = entry->version & GVM_VERSION_MASK;
	if (!version && what->version)
		return GVM_ERR_LOST;
	if (version < what->version) {
		*detail = version;
		return GVM_ERR_STALE;
	}
	found->version = version;
	found->cell = STORE_NONE;
	if (!entry_has_body(entry)) {
		found->head = (struct chunk_head){
			.zero_map = ~0u, .block_shift = CHUNK_BLOCK_SHIFT, .sealed = r->sealed};
		return GVM_OK;
	}
	found->cell = entry->cell;
	found->bytes = entry->bytes;
	found->head_bytes = entry->head_bytes;
	*detail = version;
	return entry_head(t, r, entry, &found->head);
}

/* The stored form of `delta` on top of the chunk of `entry`, in t->scratch. */
static uint16_t compose_delta(struct regions *t, const struct region *r,
			      const struct chunk_entry *entry, const struct chunk_head *delta,
			      const uint8_t *body, struct chunk_head *whole, uint32_t *head_bytes)
{
	struct chunk_head base = {.zero_map = ~0u, .block_shift = delta->block_shift};
	uint32_t from_base, base_off = entry->head_bytes, delta_off = 0;
	uint8_t *p;

	if (entry_has_body(entry)) {
		uint16_t status = entry_head(t, r, entry, &base);

		if (status)
			return status;
	}
	if (chunk_head_merge(&base, delta, whole, &from_base))
		return GVM_ERR_STALE_BASE;
	*head_bytes = (uint32_t)chunk_head_pack(whole, t->scratch);
	assert(*head_bytes + whole->body_bytes <= CHUNK_ENCODED_MAX);
	p = t->scratch + *head_bytes;
	for (unsigned b = 0; b < CHUNK_BLOCKS_MAX; b++) {
		uint32_t bit = 1u << b;

		if (from_base & bit) {
			store_copy(t->store, entry->cell, base_off, p, base.block[b].bytes);
			p += base.block[b].bytes;
		} else if (whole->block_mask & bit) {
			memcpy(p, body + delta_off, delta->block[b].bytes);
			p += delta->block[b].bytes;
		}
		base_off += base.block_mask & bit ? base.block[b].bytes : 0;
		delta_off += delta->block_mask & bit ? delta->block[b].bytes : 0;
	}
	assert(p == t->scratch + *head_bytes + whole->body_bytes);
	return GVM_OK;
}

#define REAP_AT_ONCE 64 /* chunks */
/* Of a REGION_CHECK: others wait meanwhile. */
#define CHECK_BYTES	  (256u << 10)
#define CHECK_ENTRY_BYTES 32u
_Static_assert(CHECK_BYTES / CHECK_ENTRY_BYTES * GVM_CHECK_ENTRY_BYTES <= GVM_DATA_MAX, "all of them may be rotten");

/* Whether region r may have this body in place of what `entry` has; false: NOSPACE. */
static bool can_hold(struct regions *t, const struct region *r, const struct chunk_entry *entry,
		     uint32_t cells)
{
	uint64_t taken = t->totals.cells + t->entry_cells;
	uint64_t own = 0;

	if (entry_has_body(entry)) {
		taken -= store_cells_of(entry->bytes);
		if (!store_is_pinned(t->store, entry->cell))
			own = store_cells_of(entry->bytes);
	} else if (r->totals.chunks >= r->reserve) {
		return false;
	}
	if (taken + cells > t->limit_cells)
		return false;
	/* Deleted regions may still have the cells that were promised anew since. */
	while (store_cells_free(t->store) + own < cells)
		if (!regions_reap(t, REAP_AT_ONCE))
			break;
	/* Always true while pins keep to the store's head room. */
	return store_cells_free(t->store) + own >= cells;
}

/* A region's chunks are plain or sealed, all of them: a host that was told otherwise than the last one has no
 * use for what is there, and is not to spoil it. */
static bool region_takes_form(const struct region *r, const struct chunk_head *head)
{
	return !head->block_mask || !r->totals.chunks || head->sealed == r->sealed;
}

/* A body in place of what the entry has. `packed` is its head, of head_bytes. Not `sound`: blocks of it may be rotten, and a
 * sealed one is to be found so. `raw`: pack.c is to look at it. */
static uint16_t body_store(struct regions *t, struct region *r, struct chunk_entry *entry, uint64_t version,
			   const struct chunk_head *head, const uint8_t *packed, uint32_t head_bytes,
			   const uint8_t *body, bool sound, bool raw)
{
	struct chunk_entry new = {
		.version = version,
		.bytes = head_bytes + head->body_bytes,
		.head_bytes = (uint16_t)head_bytes,
		.nonzero_pages = (uint8_t)__builtin_popcount(~head->zero_map),
		.body_check = entry_body_check(head, body) ^ !sound,
		.raw = raw,
	};

	if (!can_hold(t, r, entry, store_cells_of(new.bytes)))
		return GVM_ERR_NOSPACE;
	if (entry_has_body(entry))
		entry_drop_body(t, r, entry);
	new.cell = store_alloc(t->store, store_cells_of(new.bytes));
	assert(new.cell != STORE_NONE);
	store_fill(t->store, new.cell, 0, packed, head_bytes);
	store_fill(t->store, new.cell, head_bytes, body, head->body_bytes);
	r->sealed = head->sealed;
	*entry = new;
	entry->check = entry_check(r, entry, packed);
	entry_count(&t->totals, entry, 1);
	entry_count(&r->totals, entry, 1);
	assert(r->totals.chunks <= r->reserve);
	return GVM_OK;
}

void chunk_repack(struct regions *t, struct region *r, uint64_t chunk, const struct chunk_head *head,
		  const uint8_t *body)
{
	struct chunk_entry *entry = &r->entries[chunk];
	uint8_t packed[CHUNK_HEAD_MAX];
	uint32_t head_bytes = (uint32_t)chunk_head_pack(head, packed);
	uint16_t status;

	assert(entry_has_body(entry) && !store_is_pinned(t->store, entry->cell) && !head->sealed && !r->sealed &&
	       head_bytes + head->body_bytes <= entry->bytes);
	status = body_store(t, r, entry, entry->version, head, packed, head_bytes, body, true, false);
	assert(!status);
	(void)status;
}

/* Whether a well-formed PUT is to be carried out. OK and *done: it has been. */
static uint16_t put_judge(const struct region *r, const struct chunk_entry *entry, const struct gvm_put_req *what,
			  const struct chunk_head *head, bool *done)
{
	uint64_t held = entry->version & GVM_VERSION_MASK;

	*done = false;
	switch (put_rule(held, entry_has_body(entry), what->version, what->base)) {
	case PUT_REPEATS:
		*done = true;
		return GVM_OK;
	case PUT_IS_OLD:
		return GVM_ERR_STALE;
	case PUT_IS_BESIDE:
		return GVM_ERR_STALE_BASE;
	case PUT_APPLIES:
		break;
	}
	if (!region_takes_form(r, head) || (put_mends(what->version, what->base) && !head->block_mask))
		return GVM_ERR_INVALID;
	return GVM_OK;
}

uint16_t regions_put(struct regions *t, const struct gvm_put_req *what,
		     const struct chunk_head *head, const uint8_t *body, uint64_t *detail)
{
	struct chunk_head merged;
	uint8_t packed_whole[CHUNK_HEAD_MAX];
	const uint8_t *packed = packed_whole;
	struct chunk_entry *entry;
	struct region *r;
	uint32_t head_bytes;
	bool done, sound = true, raw = chunk_is_raw(head);
	uint16_t status = region_of_writer(t, &what->region, what->epoch, &r, detail);

	if (status)
		return status;
	if (!what->epoch || what->chunk >= r->chunks || !what->version ||
	    what->version > GVM_VERSION_MASK || gvm_version_epoch(what->version) > what->epoch)
		return GVM_ERR_INVALID;
	entry = &r->entries[what->chunk];
	status = put_judge(r, entry, what, head, &done);
	if (done)
		return GVM_OK;
	*detail = entry->version & GVM_VERSION_MASK;
	if (status)
		return status;
	/* Tags are the client's to check; request.c has compared the data with their checksum. Blocks that stay are not
	 * looked at: one that is rotten stays so, and what is written beside it counts. */
	if (!head->sealed && chunk_verify(head, body, &what->region, what->chunk))
		return GVM_ERR_CORRUPT;
	if (what->base && !put_mends(what->version, what->base)) {
		sound = !head->sealed || !entry_has_body(entry) || entry_is_sound(t, r, entry);
		raw |= entry_has_body(entry) && entry->raw;
		status = compose_delta(t, r, entry, head, body, &merged, &head_bytes);
		if (status)
			return status;
		head = &merged;
		packed = t->scratch;
		body = t->scratch + head_bytes;
	} else if (head->block_mask != chunk_blocks_complete(head->block_shift, head->zero_map)) {
		return GVM_ERR_INVALID;
	} else {
		head_bytes = (uint32_t)chunk_head_pack(head, packed_whole);
	}
	*detail = 0;
	region_note_write(r, what->chunk);
	if (head->block_mask)
		return body_store(t, r, entry, what->version, head, packed, head_bytes, body, sound, raw);
	if (entry_has_body(entry))
		entry_drop_body(t, r, entry);
	entry->version = what->version | GVM_VERSION_ZERO;
	return GVM_OK;
}

/* As if they had never been written: but with --persist that, too, has a place in the file (region_next_written()). */
static void chunks_forget(struct regions *t, struct region *r, uint64_t first, uint64_t count)
{
	for (uint64_t c = first; c < first + count; c++) {
		region_note_write(r, c);
		if (entry_has_body(&r->entries[c]))
			entry_drop_body(t, r, &r->entries[c]);
		if (r->entries[c].version)
			r->entries[c].version = 0;
	}
}

uint16_t regions_discard(struct regions *t, const struct gvm_discard_req *what, uint64_t *detail)
{
	struct region *r;
	uint16_t status = region_of_writer(t, &what->region, what->epoch, &r, detail);

	if (status)
		return status;
	if (!what->epoch || what->first > r->chunks || what->count > r->chunks - what->first ||
	    what->version > GVM_VERSION_MASK || gvm_version_epoch(what->version) > what->epoch)
		return GVM_ERR_INVALID;
	if (!what->version && region_is_late(r, what->epoch, what->order, detail))
		return GVM_ERR_STALE;
	if (!what->version) {
		chunks_forget(t, r, what->first, what->count);
		return GVM_OK;
	}
	for (uint64_t c = what->first; c < what->first + what->count; c++) {
		uint64_t held = r->entries[c].version & GVM_VERSION_MASK;

		if (held > what->version) {
			*detail = held;
			return GVM_ERR_STALE;
		}
	}
	for (uint64_t c = what->first; c < what->first + what->count; c++) {
		struct chunk_entry *entry = &r->entries[c];

		if ((entry->version & GVM_VERSION_MASK) == what->version)
			continue;
		if (entry_has_body(entry))
			entry_drop_body(t, r, entry);
		region_note_write(r, c);
		entry->version = what->version | GVM_VERSION_ZERO;
	}
	return GVM_OK;
}

static void rotten_note(struct regions *t, struct region *r, struct chunk_entry *entry, bool rotten)
{
	uint64_t more = (uint64_t)rotten - entry->rotten; /* unsigned: as entry_count() */

	t->totals.rotten += more;
	r->totals.rotten += more;
	t->rotten_found += rotten && !entry->rotten;
	entry->rotten = rotten;
}

uint16_t regions_check(struct regions *t, const struct gvm_region_check_req *what,
		       struct gvm_region_check_rsp *rsp, uint8_t *buf, uint32_t *bytes)
{
	struct region *r = regions_find(t, &what->region);
	uint32_t looked = 0;
	uint8_t *p = buf;
	uint64_t c;

	if (!r)
		return GVM_ERR_LOST;
	for (c = region_next_written(r, what->first); c < r->chunks && looked < CHECK_BYTES;
	     c = region_next_written(r, c + 1)) {
		struct chunk_entry *entry = &r->entries[c];

		looked += CHECK_ENTRY_BYTES;
		if (!entry_has_body(entry))
			continue;
		looked += entry->bytes;
		rotten_note(t, r, entry, !entry_is_sound(t, r, entry));
		if (!entry->rotten)
			continue;
		gvm_store_le(p, c, 8);
		gvm_store_le(p + 8, entry->version, 8);
		p += GVM_CHECK_ENTRY_BYTES;
	}
	*bytes = (uint32_t)(p - buf);
	rsp->count = *bytes / GVM_CHECK_ENTRY_BYTES;
	rsp->next = c < r->chunks ? c : UINT64_MAX;
	return GVM_OK;
}
