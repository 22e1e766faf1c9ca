// SPDX-License-Identifier: GPL-2.0-or-later
/* keep_scan.c - see keep_scan.h. */
#include "keep_scan.h"

#include <errno.h>
#include <stdlib.h>

static bool record_add(struct scan *s, const struct keep_record *r, uint32_t off, bool whole)
{
	if (s->count == s->room) {
		unsigned room = s->room ? 2 * s->room : 256;
		struct scan_record *record = realloc(s->record, room * sizeof(*record));

		if (!record)
			return false;
		s->record = record;
		s->room = room;
	}
	s->record[s->count++] = (struct scan_record){.r = *r, .off = off, .whole = whole};
	return true;
}

static bool unit_read(const struct scan *s, uint32_t off, bool trailer, struct keep_record *r)
{
	const struct keep_place place = {.file = s->file, .seq = s->seq, .off = off};

	return off + KEEP_UNIT <= s->size && keep_record_unpack(r, &place, trailer, s->bytes + off);
}

static bool payload_holds(const struct scan *s, const struct keep_record *r, uint32_t off)
{
	return !r->bytes || keep_payload_check(s->bytes + off + KEEP_UNIT, r->bytes) == r->payload_check;
}

/* A header at `off` whose record fits: *whole says whether its payload verifies. */
static bool header_read(const struct scan *s, uint32_t off, struct keep_record *r, bool *whole)
{
	if (!unit_read(s, off, false, r) || keep_record_bytes(r->bytes) > s->size - off)
		return false;
	*whole = payload_holds(s, r, off);
	return true;
}

/* The next header or trailer behind `from`, below `s->vouched`. A trailer: *off is where its header was. */
static bool damage_skip(struct scan *s, uint32_t from, struct keep_record *r, uint32_t *off, bool *trailer)
{
	for (uint32_t at = from; at + KEEP_UNIT <= s->size && at < s->vouched; at += KEEP_UNIT) {
		uint32_t before;

		*trailer = false;
		*off = at;
		if (unit_read(s, at, false, r))
			return true;
		if (!unit_read(s, at, true, r))
			continue;
		before = keep_record_bytes(r->bytes) - KEEP_UNIT;
		if (!r->bytes || before > at - KEEP_UNIT)
			continue;
		*trailer = true;
		*off = at - before;
		return true;
	}
	return false;
}

/* Goes on behind damage at s->end. False: nothing more can be read. */
static bool damage_pass(struct scan *s, bool *memory)
{
	struct keep_record r;
	uint32_t off;
	bool trailer;

	*memory = true;
	if (!damage_skip(s, s->end, &r, &off, &trailer)) {
		s->holes++;
		s->hole_at_end = true;
		return false;
	}
	s->holes += off > s->end;
	if (!trailer) {
		s->end = off;
		return true;
	}
	*memory = record_add(s, &r, off, payload_holds(s, &r, off));
	s->end = off + keep_record_bytes(r.bytes);
	return *memory;
}

int keep_scan(struct scan *s)
{
	s->count = s->holes = 0;
	s->end = KEEP_UNIT;
	s->ended = s->hole_at_end = false;
	while (s->end + KEEP_UNIT <= s->size) {
		struct keep_record r;
		bool whole = false, memory;

		if (header_read(s, s->end, &r, &whole) && (whole || s->end < s->vouched)) {
			if (r.type == KEEP_END) {
				s->ended = true;
				return 0;
			}
			if (!record_add(s, &r, s->end, whole))
				return -ENOMEM;
			s->end += keep_record_bytes(r.bytes);
			continue;
		}
		if (s->end >= s->vouched)
			return 0;
		if (!damage_pass(s, &memory))
			return memory ? 0 : -ENOMEM;
	}
	return 0;
}
