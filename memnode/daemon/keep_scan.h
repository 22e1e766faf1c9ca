/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keep_scan.h - the records of one segment, as they are found on the disk.
 *
 * Up to `vouched` every byte was written before a request was answered: what does not verify there is
 * damage. A record whose header or whose payload is damaged is still known by what is left of it
 * (`whole` is false where the payload is); a stretch in which nothing can be read is a hole. From
 * `vouched` on the first byte that does not verify is the end: a write that the end of the process or of
 * the machine cut off.
 */
#ifndef GVM_KEEP_SCAN_H
#define GVM_KEEP_SCAN_H

#include "keep_format.h"

struct scan_record {
	struct keep_record r;
	uint32_t off; /* of its header */
	bool whole;
};

struct scan {
	const struct gvm_id *file;
	const uint8_t *bytes; /* of the segment */
	uint32_t size;
	uint64_t seq;
	uint32_t vouched;
	/* the result */
	struct scan_record *record;
	unsigned count, room;
	uint32_t end; /* behind the last record */
	bool ended;   /* by a record END */
	unsigned holes;
	bool hole_at_end;
};

/* 0 or -ENOMEM. The caller keeps s->record and s->room from one scan to the next. */
int keep_scan(struct scan *s);
static inline const uint8_t *scan_payload(const struct scan *s, const struct scan_record *r)
{
	return s->bytes + r->off + KEEP_UNIT;
}

#endif
