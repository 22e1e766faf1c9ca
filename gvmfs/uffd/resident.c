// SPDX-License-Identifier: GPL-2.0-or-later
/* resident.c - see resident.h: regions on the fast path, and their faults. */
#include "resident_priv.h"

void residents_begin(struct residents *rs, uint8_t *data)
{
	for (unsigned i = RESIDENT_FETCHES; i--;) {
		rs->fetches[i].data = data + (size_t)i * GVM_CHUNK_BYTES;
		rs->fetches[i].next_free = rs->fetches_free;
		rs->fetches_free = &rs->fetches[i];
	}
	for (unsigned i = RESIDENT_EVICTIONS; i--;) {
		rs->evictions[i].next_free = rs->evictions_free;
		rs->evictions_free = &rs->evictions[i];
	}
	rs->fetches_left = RESIDENT_FETCHES;
	rs->evictions_left = RESIDENT_EVICTIONS;
}

void resident_begin(struct resident *r, uint64_t starts)
{
	static const uint8_t zeros[GVM_PAGE_BYTES];

	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		hash_page(zeros, r->seed, &r->zero_hashes[p]);
	/* An answer to a predecessor's request must not be taken for one to ours. */
	r->zap_seq = starts << 32;
	resident_recover(r);
}

/* A fault of a chunk that a fetch is under way for: of a page that has come, or that will. */
static void fault_filling(struct resident *r, uint64_t c, unsigned page)
{
	struct chunk *k = &r->chunk[c];
	int error;

	if (r->mark[c].filled >> page & 1) {
		chunk_mark_holes(r, c, 1u << page, false);
		error = pages_map(r, c, 1u << page);
		pages_wake(r, c, 1u << page);
		if (error)
			client_trouble(r, error);
		return;
	}
	/* One that is not among those asked for is faulted for again when these have come. */
	k->fetch->waited |= 1u << page;
	if (k->fetch->ahead) {
		k->fetch->ahead = false;
		resident_count(r, prefetch_used, 1);
	}
}

void resident_fault(struct resident *r, uint64_t address)
{
	uint64_t off = address - r->address, c = off / GVM_CHUNK_BYTES;
	unsigned page = off / GVM_PAGE_BYTES % GVM_CHUNK_PAGES;
	struct chunk *k;

	if (address < r->address || off >= r->bytes || r->client_gone || r->aborted)
		return;
	k = &r->chunk[c];
	resident_count(r, faults, 1);
	/* By the chunk's state, not by what the message says: that may be long ago. */
	if (k->state == CHUNK_FILLING) {
		fault_filling(r, c, page);
		resident_ahead(r, c, page);
	} else if (!(r->mark[c].filled >> page & 1)) {
		resident_miss(r, c, page);
		resident_ahead(r, c, page);
	} else if (k->holes >> page & 1 && !resident_has_room(r, 1)) {
		resident_count(r, room_waits, 1);
		resident_block(r, c, page);
	} else {
		if (k->state == CHUNK_INACTIVE)
			resident_count(r, minor_faults, 1);
		chunk_show(r, c, page);
		if (k->ahead) {
			k->ahead = false;
			resident_count(r, prefetch_used, 1);
			resident_ahead(r, c, page);
		}
	}
}

void resident_budget(struct resident *r, uint64_t bytes)
{
	r->local = bytes ? bytes / GVM_PAGE_BYTES : r->chunks * GVM_CHUNK_PAGES;
	if (r->local < RESIDENT_LOCAL_MIN)
		r->local = RESIDENT_LOCAL_MIN;
	r->over = false;
	resident_balance(r);
}
