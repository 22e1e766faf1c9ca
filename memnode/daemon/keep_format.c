// SPDX-License-Identifier: GPL-2.0-or-later
/* keep_format.c - see keep_format.h. */
#include "keep_format.h"

#include <errno.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define HORIZON_MAGIC 0x7a726f48u
#define SEGMENT_MAGIC 0x6d676553u
#define HEAD_MAGIC    0x64616548u
#define TAIL_MAGIC    0x6c696154u

#define SUPER_USED  (96u + KEEP_OWNER_BYTES)
#define FLAG_CLEAN  1u
#define FLAG_SYNC   2u

static const uint8_t super_magic[8] = {'G', 'V', 'M', 'K', 'E', 'E', 'P', '\n'};

void keep_super_pack(const struct keep_super *s, uint8_t *buf)
{
	memset(buf, 0, KEEP_SUPER_BYTES);
	memcpy(buf, super_magic, 8);
	gvm_store_le(buf + 8, s->version, 4);
	gvm_store_le(buf + 12, (s->clean ? FLAG_CLEAN : 0) | (s->sync ? FLAG_SYNC : 0), 4);
	memcpy(buf + 16, s->file.b, 16);
	memcpy(buf + 32, s->incarnation.b, 16);
	memcpy(buf + 48, s->boot.b, 16);
	gvm_store_le(buf + 64, s->inode, 8);
	gvm_store_le(buf + 72, s->segment_bytes, 4);
	gvm_store_le(buf + 76, s->segments, 4);
	gvm_store_le(buf + 80, s->forgiven, 8);
	gvm_store_le(buf + 88, s->life, 8);
	memcpy(buf + 96, s->owner, KEEP_OWNER_BYTES);
	gvm_store_le(buf + SUPER_USED, XXH3_64bits(buf, SUPER_USED), 8);
}

int keep_super_unpack(struct keep_super *s, const uint8_t *buf)
{
	uint64_t flags = gvm_load_le(buf + 12, 4);
	uint8_t any = 0;

	for (unsigned i = 0; i < KEEP_SUPER_BYTES; i++)
		any |= buf[i];
	if (!any)
		return -ENODATA;
	if (memcmp(buf, super_magic, 8))
		return -EBADMSG;
	memset(s, 0, sizeof(*s));
	s->version = (uint32_t)gvm_load_le(buf + 8, 4);
	if (s->version < KEEP_VERSION_READ || s->version > KEEP_VERSION)
		return -EPROTONOSUPPORT;
	if (gvm_load_le(buf + SUPER_USED, 8) != XXH3_64bits(buf, SUPER_USED) ||
	    buf[96 + KEEP_OWNER_BYTES - 1])
		return -EBADMSG;
	s->clean = flags & FLAG_CLEAN;
	s->sync = flags & FLAG_SYNC;
	memcpy(s->file.b, buf + 16, 16);
	memcpy(s->incarnation.b, buf + 32, 16);
	memcpy(s->boot.b, buf + 48, 16);
	s->inode = gvm_load_le(buf + 64, 8);
	s->segment_bytes = (uint32_t)gvm_load_le(buf + 72, 4);
	s->segments = (uint32_t)gvm_load_le(buf + 76, 4);
	s->forgiven = gvm_load_le(buf + 80, 8);
	s->life = gvm_load_le(buf + 88, 8);
	memcpy(s->owner, buf + 96, KEEP_OWNER_BYTES);
	if (s->segment_bytes < KEEP_SEGMENT_MIN || s->segment_bytes > KEEP_SEGMENT_MAX ||
	    s->segment_bytes % KEEP_UNIT || s->segments < KEEP_SEGMENTS_MIN)
		return -EBADMSG;
	return 0;
}

/* The last 8 bytes of a unit are the checksum of those before. */
static uint64_t unit_check(const uint8_t *unit, const struct keep_place *place)
{
	uint8_t seed[28];

	memcpy(seed, place->file->b, 16);
	gvm_store_le(seed + 16, place->seq, 8);
	gvm_store_le(seed + 24, place->off, 4);
	return XXH3_64bits_withSeed(unit, KEEP_UNIT - 8, XXH3_64bits(seed, sizeof(seed)));
}

static void unit_seal(uint8_t *unit, const struct keep_place *place)
{
	gvm_store_le(unit + KEEP_UNIT - 8, unit_check(unit, place), 8);
}

static bool unit_holds(const uint8_t *unit, uint32_t magic, const struct keep_place *place)
{
	return gvm_load_le(unit, 4) == magic &&
	       gvm_load_le(unit + KEEP_UNIT - 8, 8) == unit_check(unit, place);
}

void keep_horizon_pack(const struct keep_horizon *h, const struct gvm_id *file, uint8_t *buf)
{
	const struct keep_place place = {.file = file};

	memset(buf, 0, KEEP_UNIT);
	gvm_store_le(buf, HORIZON_MAGIC, 4);
	buf[4] = h->suspect;
	for (unsigned k = 0; k < KEEP_KINDS; k++) {
		gvm_store_le(buf + 8 + 16 * k, h->end[k].seq, 8);
		gvm_store_le(buf + 16 + 16 * k, h->end[k].off, 4);
	}
	unit_seal(buf, &place);
}

bool keep_horizon_unpack(struct keep_horizon *h, const struct gvm_id *file, const uint8_t *buf)
{
	const struct keep_place place = {.file = file};

	memset(h, 0, sizeof(*h));
	if (!unit_holds(buf, HORIZON_MAGIC, &place))
		return false;
	h->suspect = buf[4];
	for (unsigned k = 0; k < KEEP_KINDS; k++) {
		h->end[k].seq = gvm_load_le(buf + 8 + 16 * k, 8);
		h->end[k].off = (uint32_t)gvm_load_le(buf + 16 + 16 * k, 4);
	}
	return true;
}

void keep_segment_pack(const struct keep_segment *s, const struct gvm_id *file, uint8_t *buf)
{
	const struct keep_place place = {.file = file};

	memset(buf, 0, KEEP_UNIT);
	gvm_store_le(buf, SEGMENT_MAGIC, 4);
	buf[4] = s->kind;
	gvm_store_le(buf + 8, s->seq, 8);
	gvm_store_le(buf + 16, s->births, 8);
	unit_seal(buf, &place);
}

bool keep_segment_unpack(struct keep_segment *s, const struct gvm_id *file, const uint8_t *buf)
{
	const struct keep_place place = {.file = file};

	if (!unit_holds(buf, SEGMENT_MAGIC, &place))
		return false;
	s->kind = buf[4];
	s->seq = gvm_load_le(buf + 8, 8);
	s->births = gvm_load_le(buf + 16, 8);
	return s->kind < KEEP_KINDS && s->seq;
}

uint64_t keep_payload_check(const void *payload, uint32_t bytes)
{
	return XXH3_64bits(payload, bytes);
}

void keep_record_pack(const struct keep_record *r, const struct keep_place *place, bool trailer, uint8_t *buf)
{
	gvm_store_le(buf, trailer ? TAIL_MAGIC : HEAD_MAGIC, 4);
	gvm_store_le(buf + 4, r->type, 4);
	gvm_store_le(buf + 8, r->bytes, 4);
	gvm_store_le(buf + 12, 0, 4);
	gvm_store_le(buf + 16, r->birth, 8);
	gvm_store_le(buf + 24, r->at, 8);
	gvm_store_le(buf + 32, r->version, 8);
	gvm_store_le(buf + 40, r->count, 8);
	gvm_store_le(buf + 48, r->payload_check, 8);
	unit_seal(buf, place);
}

bool keep_record_unpack(struct keep_record *r, const struct keep_place *place, bool trailer,
			const uint8_t *buf)
{
	if (!unit_holds(buf, trailer ? TAIL_MAGIC : HEAD_MAGIC, place))
		return false;
	r->type = buf[4];
	r->bytes = (uint32_t)gvm_load_le(buf + 8, 4);
	r->birth = gvm_load_le(buf + 16, 8);
	r->at = gvm_load_le(buf + 24, 8);
	r->version = gvm_load_le(buf + 32, 8);
	r->count = gvm_load_le(buf + 40, 8);
	r->payload_check = gvm_load_le(buf + 48, 8);
	return r->type && r->type < KEEP_TYPES && r->bytes <= KEEP_PAYLOAD_MAX;
}
