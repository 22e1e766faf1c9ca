// SPDX-License-Identifier: GPL-2.0-or-later
/* journal_append.c - what is appended at which change. */
#include "journal_impl.h"

#include <errno.h>
#include <string.h>

_Static_assert(KEEP_PAYLOAD_MAX >= CHUNK_ENCODED_MAX && KEEP_PAYLOAD_MAX >= NAME_IMAGE_BYTES + GVM_RECORD_MAX,
	       "a record holds any chunk and any name");

void meta_append(struct journal *j, enum keep_type type, uint64_t birth, uint64_t version,
		 const struct iovec *payload, unsigned iovs)
{
	uint32_t segment;

	j->serial++;
	for (unsigned i = 0; i < 2; i++) {
		struct keep_record r = {
			.type = (uint8_t)type, .birth = birth, .version = version, .count = j->serial};

		keep_log_append(&j->log, KEEP_META, &r, payload, iovs, &segment);
		j->meta_bytes += keep_record_bytes(r.bytes);
	}
}

void region_append(struct journal *j, struct region *r)
{
	uint8_t image[REGION_IMAGE_BYTES];
	const struct iovec payload = {image, sizeof(image)};

	region_image_pack(r, image);
	r->kept = keep_payload_check(image, sizeof(image));
	j->log.births = j->regions->births;
	meta_append(j, KEEP_REGION, r->birth, 0, &payload, 1);
}

void journal_region(struct journal *j, const struct gvm_id *id)
{
	struct region *r = region_find_any(j->regions, id);
	uint8_t image[REGION_IMAGE_BYTES];

	if (!r)
		return;
	region_image_pack(r, image);
	/* A reconnect, for example, changes nothing. */
	if (keep_payload_check(image, sizeof(image)) != r->kept)
		region_append(j, r);
}

/* The views of the first slot from *slot on that has some. False: none has. */
static bool view_append(struct journal *j, const struct region *r, unsigned *slot)
{
	uint8_t image[VIEWS_IMAGE_BYTES];
	const struct iovec payload = {image, sizeof(image)};

	if (!region_views_next(r, slot, image))
		return false;
	meta_append(j, KEEP_VIEWS, r->birth, 0, &payload, 1);
	return true;
}

void views_append(struct journal *j, const struct region *r)
{
	for (unsigned slot = 0; view_append(j, r, &slot); slot++)
		;
}

void journal_view(struct journal *j, const struct gvm_id *id, unsigned slot)
{
	const struct region *r = region_find_any(j->regions, id);

	if (r)
		view_append(j, r, &slot);
}

void journal_region_gone(struct journal *j, const struct gvm_id *id)
{
	struct gvm_id copy = *id;
	const struct iovec payload = {copy.b, sizeof(copy.b)};

	if (!region_find_any(j->regions, id))
		meta_append(j, KEEP_GONE, 0, 0, &payload, 1);
}

void name_append(struct journal *j, const struct name_image *n)
{
	uint8_t image[NAME_IMAGE_BYTES];
	const struct iovec payload[] = {{image, sizeof(image)}, {(void *)n->record, n->bytes}};

	memcpy(image, n->key.b, 16);
	gvm_store_le(image + 16, n->table, 8);
	gvm_store_le(image + 24, n->born, 8);
	gvm_store_le(image + 32, n->version, 8);
	gvm_store_le(image + 40, n->bytes, 4);
	meta_append(j, KEEP_NAME, 0, 0, payload, n->bytes ? 2 : 1);
}

void journal_name(struct journal *j, const struct gvm_id *key)
{
	struct name_image image;

	if (name_find(j->names, key, &image))
		name_append(j, &image);
}

void fence_append(struct journal *j)
{
	uint8_t image[FENCE_IMAGE_BYTES];
	const struct iovec payload = {image, sizeof(image)};

	gvm_store_le(image, j->names->fence, 8);
	gvm_store_le(image + 8, j->names->round, 8);
	gvm_store_le(image + 16, j->names->round_upto, 8);
	meta_append(j, KEEP_FENCE, 0, 0, &payload, 1);
}

void journal_fence(struct journal *j)
{
	fence_append(j);
}

void journal_forget(struct journal *j, uint64_t table)
{
	uint8_t image[16];
	const struct iovec payload = {image, sizeof(image)};

	gvm_store_le(image, table, 8);
	gvm_store_le(image + 8, names_horizon(j->names, table), 8);
	meta_append(j, KEEP_FORGET, 0, 0, &payload, 1);
}

void journal_drain(struct journal *j)
{
	meta_append(j, KEEP_DRAIN, 0, j->regions->drains, NULL, 0);
}

static bool is_in(const struct region *r, uint64_t chunk, int64_t segment)
{
	return segment < 0 || r->places[chunk].segment == (uint64_t)segment + 1;
}

uint64_t zeros_append(struct journal *j, struct region *r, uint64_t chunk, uint64_t end, int64_t segment)
{
	uint64_t version = r->entries[chunk].version, last = chunk + 1;
	struct keep_record record = {
		.type = KEEP_ZERO, .birth = r->birth, .at = chunk, .version = version & GVM_VERSION_MASK};
	uint32_t at, bytes;

	while (last < end && r->entries[last].version == version && is_in(r, last, segment))
		last++;
	record.count = last - chunk;
	if (!keep_log_append(&j->log, KEEP_DATA, &record, NULL, 0, &at))
		return last;
	/* A run's record counts for nothing in its segment's bytes: it may be of a million chunks. */
	bytes = last - chunk == 1 ? KEEP_UNIT : 0;
	for (uint64_t c = chunk; c < last; c++)
		chunk_place_set(j->regions, r, c, at + 1, bytes);
	return last;
}

static void damaged_append(struct journal *j, struct region *r, uint64_t chunk)
{
	struct keep_record record = {
		.type = KEEP_DAMAGED, .birth = r->birth, .at = chunk, .version = r->entries[chunk].version};
	uint32_t at;

	if (keep_log_append(&j->log, KEEP_DATA, &record, NULL, 0, &at))
		chunk_place_set(j->regions, r, chunk, at + 1, KEEP_UNIT);
}

void chunk_append(struct journal *j, struct region *r, uint64_t chunk)
{
	const struct chunk_entry *entry = &r->entries[chunk];
	struct keep_record record = {
		.type = KEEP_CHUNK, .birth = r->birth, .at = chunk, .version = entry->version,
		.count = entry->head_bytes | entry->body_check << KEEP_CHECK_SHIFT};
	struct iovec iov[CHUNK_ENCODED_MAX / STORE_CELL_BYTES + 3];
	struct chunk_head head;
	uint32_t at;
	unsigned iovs;

	if (!entry_has_body(entry)) {
		zeros_append(j, r, chunk, chunk + 1, -1);
		return;
	}
	/* A head that is damaged in memory must not become a sound one on the disk. */
	if (entry_head(j->regions, r, entry, &head)) {
		damaged_append(j, r, chunk);
		return;
	}
	iovs = store_iov(j->regions->store, entry->cell, 0, entry->bytes, iov);
	if (keep_log_append(&j->log, KEEP_DATA, &record, iov, iovs, &at))
		chunk_place_set(j->regions, r, chunk, at + 1, keep_record_bytes(record.bytes));
}

void journal_chunk(struct journal *j, const struct gvm_id *id, uint64_t chunk)
{
	struct region *r = region_find_any(j->regions, id);

	if (r)
		chunk_append(j, r, chunk);
}

void journal_discard(struct journal *j, const struct gvm_id *id, uint64_t first, uint64_t count)
{
	struct region *r = region_find_any(j->regions, id);
	uint64_t c = first;

	while (r && c < first + count) {
		if (entry_has_body(&r->entries[c]))
			c++; /* of the same version, left as it is: its PUT has been written down */
		else
			c = zeros_append(j, r, c, first + count, -1);
	}
}

void cut_append(struct journal *j, struct region *r)
{
	for (uint64_t c = region_next_written(r, r->chunks); c < r->entries_chunks; c = region_next_written(r, c)) {
		/* Those that were zero before have their record. */
		if (!entry_has_body(&r->entries[c]) && r->places[c].bytes > KEEP_UNIT)
			c = zeros_append(j, r, c, c + 1, -1);
		else
			c++;
	}
}

void journal_region_cut(struct journal *j, const struct gvm_id *id)
{
	struct region *r = region_find_any(j->regions, id);

	if (!r || r->chunks == r->entries_chunks)
		return;
	j->cuts += !r->cut;
	r->cut = j->log.appended ? j->log.appended : 1;
}

bool journal_region_waits(const struct journal *j, const struct gvm_id *id)
{
	const struct region *r = region_find_any(j->regions, id);

	return r && r->cut;
}

bool journal_look(struct journal *j)
{
	struct keep_progress now;
	bool news;

	keep_log_tick(&j->log);
	keep_log_look(&j->log, &now);
	news = now.written != j->progress.written || now.error != j->progress.error;
	j->progress = now;
	return news;
}

bool journal_is_quiet(struct journal *j)
{
	return !j->progress.error && keep_log_is_quiet(&j->log);
}

int journal_ready(struct journal *j)
{
	if (j->progress.error)
		return -EIO;
	return keep_log_has_room(&j->log) ? 0 : -EAGAIN;
}
