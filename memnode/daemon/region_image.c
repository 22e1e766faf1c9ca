// SPDX-License-Identifier: GPL-2.0-or-later
/* region_image.c - see region_image.h. */
#include "region_image.h"
#include "../clock.h"
#include "region_priv.h"

#include <errno.h>
#include <string.h>

#define FLAG_REMOVES 1u
#define FLAG_REMAINS 2u
#define FLAG_SEALED  4u
#define FLAG_VIEWS   8u /* room is kept for the views of its slots */

/* Offsets of the image. */
enum {
	AT_ID = 0,
	AT_ENTRIES = 16,
	AT_CHUNKS = 24,
	AT_RESERVE = 32,
	AT_VIEW = 40,
	AT_EPOCH = 48,
	AT_CLIENT = 56,
	AT_LEASE_MS = 64,
	AT_FLAGS = 68,
	AT_HOST = 72,
	AT_PROCESS = 104,
	AT_HOLD_CLIENT = 120,
	AT_HOLD_EPOCH = 128,
};

void region_image_pack(const struct region *r, uint8_t *buf)
{
	memset(buf, 0, REGION_IMAGE_BYTES);
	memcpy(buf + AT_ID, r->id.b, 16);
	gvm_store_le(buf + AT_ENTRIES, r->entries_chunks, 8);
	gvm_store_le(buf + AT_CHUNKS, r->chunks, 8);
	gvm_store_le(buf + AT_RESERVE, r->reserve, 8);
	gvm_store_le(buf + AT_VIEW, r->view, 8);
	gvm_store_le(buf + AT_EPOCH, r->epoch, 8);
	gvm_store_le(buf + AT_CLIENT, r->client, 8);
	gvm_store_le(buf + AT_LEASE_MS, r->lease.ms, 4);
	gvm_store_le(buf + AT_FLAGS,
		     (r->lease.removes ? FLAG_REMOVES : 0) | (r->remains ? FLAG_REMAINS : 0) |
			     (r->sealed ? FLAG_SEALED : 0) | (r->views ? FLAG_VIEWS : 0),
		     4);
	memcpy(buf + AT_HOST, r->lease.host.b, 32);
	memcpy(buf + AT_PROCESS, r->lease.process.b, 16);
	gvm_store_le(buf + AT_HOLD_CLIENT, r->lease.hold_client, 8);
	gvm_store_le(buf + AT_HOLD_EPOCH, r->lease.hold_epoch, 8);
}

static void lease_restore(struct region *r, const uint8_t *buf)
{
	r->lease.ms = (uint32_t)gvm_load_le(buf + AT_LEASE_MS, 4);
	r->lease.removes = gvm_load_le(buf + AT_FLAGS, 4) & FLAG_REMOVES;
	memcpy(r->lease.host.b, buf + AT_HOST, 32);
	memcpy(r->lease.process.b, buf + AT_PROCESS, 16);
	if (r->remains)
		return;
	lease_begin(&r->lease, r->clock);
	if (gvm_load_le(buf + AT_HOLD_CLIENT, 8))
		lease_hold(&r->lease, gvm_load_le(buf + AT_HOLD_CLIENT, 8), gvm_load_le(buf + AT_HOLD_EPOCH, 8),
			   r->clock);
	watches_unknown(&r->watches, gvm_now_ns());
}

bool region_image_views(const uint8_t *buf)
{
	return gvm_load_le(buf + AT_FLAGS, 4) & FLAG_VIEWS;
}

int region_image_restore(struct regions *t, const uint8_t *buf, uint64_t birth, bool remains,
			 struct region **region)
{
	uint64_t entries = gvm_load_le(buf + AT_ENTRIES, 8), chunks = gvm_load_le(buf + AT_CHUNKS, 8);
	uint64_t reserve = gvm_load_le(buf + AT_RESERVE, 8), births = t->births;
	struct gvm_id id;
	struct region *r;

	memcpy(id.b, buf + AT_ID, 16);
	if (gvm_id_is_none(&id) || entries > REGION_CHUNKS_MAX || chunks > entries || reserve > chunks)
		return -EBADMSG;
	if (t->count == REGION_COUNT_MAX)
		return -ENOSPC;
	r = regions_add(t, &id, entries);
	if (!r)
		return -ENOMEM;
	r->birth = birth;
	t->births = births > birth ? births : birth + 1;
	r->chunks = chunks;
	r->view = gvm_load_le(buf + AT_VIEW, 8);
	r->epoch = gvm_load_le(buf + AT_EPOCH, 8);
	r->client = gvm_load_le(buf + AT_CLIENT, 8);
	r->remains = remains || gvm_load_le(buf + AT_FLAGS, 4) & FLAG_REMAINS;
	r->sealed = gvm_load_le(buf + AT_FLAGS, 4) & FLAG_SEALED;
	lease_restore(r, buf);
	regions_reserve(t, r, reserve);
	*region = r;
	return 0;
}

/* The bytes' cells; STORE_NONE: no room. */
static uint32_t body_alloc(struct regions *t, uint32_t bytes)
{
	uint32_t cells = store_cells_of(bytes);

	if (t->totals.cells + t->entry_cells + cells > t->limit_cells)
		return STORE_NONE;
	return store_alloc(t->store, cells);
}

static bool entry_restore(struct regions *t, struct region *r, uint64_t chunk, struct chunk_entry new,
			  const uint8_t *packed, uint32_t check_xor)
{
	struct chunk_entry *entry = &r->entries[chunk];

	new.cell = body_alloc(t, new.bytes);
	if (new.cell == STORE_NONE)
		return false;
	store_fill(t->store, new.cell, 0, packed, new.bytes);
	region_note_write(r, chunk);
	*entry = new;
	entry->check = entry_check(r, entry, packed) ^ check_xor;
	entry_count(&t->totals, entry, 1);
	entry_count(&r->totals, entry, 1);
	return true;
}

bool chunk_restore_damaged(struct regions *t, struct region *r, uint64_t chunk, uint64_t version)
{
	static const uint8_t nothing[16];
	const struct chunk_entry new = {
		.version = version, .bytes = sizeof(nothing), .head_bytes = sizeof(nothing)};

	return entry_restore(t, r, chunk, new, nothing, 1);
}

bool chunk_restore(struct regions *t, struct region *r, uint64_t chunk, uint64_t version,
		   const uint8_t *packed, uint32_t head_bytes, uint32_t bytes, uint64_t body_check)
{
	struct chunk_entry new = {.version = version, .bytes = bytes};
	struct chunk_head head;

	if (head_bytes > bytes || head_bytes > CHUNK_HEAD_MAX || bytes > CHUNK_ENCODED_MAX ||
	    chunk_head_unpack(&head, packed, head_bytes) || head.body_bytes != bytes - head_bytes)
		return chunk_restore_damaged(t, r, chunk, version);
	r->sealed = head.sealed;
	new.head_bytes = (uint16_t)head_bytes;
	new.nonzero_pages = (uint8_t)__builtin_popcount(~head.zero_map);
	new.raw = chunk_is_raw(&head);
	new.body_check = entry_body_check(&head, packed + head_bytes);
	new.body_check ^= body_check && (new.body_check ^ body_check) << (64 - RESTORED_CHECK_BITS);
	return entry_restore(t, r, chunk, new, packed, 0);
}

void chunk_restore_zero(struct region *r, uint64_t chunk, uint64_t version)
{
	region_note_write(r, chunk);
	r->entries[chunk].version = version ? version | GVM_VERSION_ZERO : 0;
}

void regions_restored(struct regions *t)
{
	for (unsigned i = 0; i < t->count; i++)
		if (t->sorted[i]->remains)
			regions_reserve(t, t->sorted[i], t->sorted[i]->totals.chunks);
}
