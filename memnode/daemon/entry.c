// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * entry.c - the entry of one chunk: its version, and where its bytes are stored.
 *
 * The stored head is checked again whenever it is read: its blocks' hashes (or tags) let the client check
 * the bodies, but only the entry can tell that the head itself is the one that was stored here.
 */
#include "region_priv.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <assert.h>

uint32_t entry_check(const struct region *r, const struct chunk_entry *entry,
		      const uint8_t *packed)
{
	uint64_t place = (uint64_t)(entry - r->entries);

	assert(place < r->entries_chunks);
	return (uint32_t)XXH3_64bits_withSeed(packed, entry->head_bytes, entry->version ^ place << 20);
}

uint64_t entry_body_check(const struct chunk_head *head, const uint8_t *body)
{
	return head->sealed ? XXH3_64bits(body, head->body_bytes) : 0;
}

void entry_count(struct region_totals *sum, const struct chunk_entry *entry, int sign)
{
	uint64_t one = (uint64_t)sign; /* unsigned, so that minus one wraps as it should */

	sum->chunks += one;
	sum->cells += one * store_cells_of(entry->bytes);
	sum->stored_bytes += one * entry->bytes;
	sum->nonzero_bytes += one * entry->nonzero_pages * GVM_PAGE_BYTES;
	sum->rotten += one * entry->rotten;
	sum->raw += one * entry->raw;
}

void entry_set_raw(struct regions *t, struct region *r, struct chunk_entry *entry, bool raw)
{
	uint64_t more = (uint64_t)raw - entry->raw; /* unsigned: as entry_count() */

	t->totals.raw += more;
	r->totals.raw += more;
	entry->raw = raw;
}

void entry_drop_body(struct regions *t, struct region *r, struct chunk_entry *entry)
{
	assert(entry_has_body(entry) && r->totals.chunks && t->totals.chunks >= r->totals.chunks);
	entry_count(&t->totals, entry, -1);
	entry_count(&r->totals, entry, -1);
	store_free(t->store, entry->cell);
	entry->version |= GVM_VERSION_ZERO;
}

const uint8_t *entry_packed(const struct regions *t, const struct chunk_entry *entry,
			    uint8_t copy[CHUNK_HEAD_MAX])
{
	if (entry->head_bytes <= STORE_CELL_BYTES)
		return store_head(t->store, entry->cell);
	store_copy(t->store, entry->cell, 0, copy, entry->head_bytes);
	return copy;
}

uint16_t entry_head(const struct regions *t, const struct region *r,
		     const struct chunk_entry *entry, struct chunk_head *head)
{
	uint8_t copy[CHUNK_HEAD_MAX];
	const uint8_t *packed = entry_packed(t, entry, copy);

	if (entry_check(r, entry, packed) != entry->check ||
	    chunk_head_unpack(head, packed, entry->head_bytes) ||
	    head->body_bytes != entry->bytes - entry->head_bytes)
		return GVM_ERR_CORRUPT;
	return GVM_OK;
}

bool entry_is_sound(struct regions *t, const struct region *r, const struct chunk_entry *entry)
{
	uint64_t chunk = (uint64_t)(entry - r->entries);
	struct chunk_head head;

	assert(entry_has_body(entry));
	if (entry_head(t, r, entry, &head))
		return false;
	store_copy(t->store, entry->cell, entry->head_bytes, t->scratch, head.body_bytes);
	if (head.sealed)
		return entry_body_check(&head, t->scratch) == entry->body_check;
	return !chunk_verify(&head, t->scratch, &r->id, chunk);
}
