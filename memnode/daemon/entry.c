// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * record.c - the record of one chunk: which version the node holds, and where its bytes stand.
 *
 * The stored head is checked again whenever it is read: its blocks' hashes let the client check the
 * bodies, but only the record can tell that the head itself is the one that was stored here.
 */
#include "region_priv.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint32_t record_check(const struct region *r, const struct region_record *rec,
		      const uint8_t *packed)
{
	uint64_t place = (uint64_t)(rec - r->records);

	return (uint32_t)XXH3_64bits_withSeed(packed, rec->head_bytes, rec->version ^ place << 20);
}

void record_count(struct region_totals *sum, const struct region_record *rec, int sign)
{
	uint64_t one = (uint64_t)sign; /* unsigned, so that minus one wraps as it should */

	sum->chunks += one;
	sum->cells += one * store_cells_of(rec->bytes);
	sum->stored_bytes += one * rec->bytes;
	sum->nonzero_bytes += one * rec->nonzero_pages * GVM_PAGE_BYTES;
}

void record_drop_body(struct regions *t, struct region *r, struct region_record *rec)
{
	record_count(&t->totals, rec, -1);
	record_count(&r->totals, rec, -1);
	store_free(t->store, rec->cell);
	rec->version |= GVM_VERSION_ZERO;
}

uint16_t record_head(const struct regions *t, const struct region *r,
		     const struct region_record *rec, struct chunk_head *head)
{
	const uint8_t *packed = store_head(t->store, rec->cell);

	if (record_check(r, rec, packed) != rec->check ||
	    chunk_head_unpack(head, packed, rec->head_bytes) ||
	    head->body_bytes != rec->bytes - rec->head_bytes)
		return GVM_ERR_CORRUPT;
	return GVM_OK;
}
