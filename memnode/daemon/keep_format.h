/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keep_format.h - the bytes of the file in which a node with --persist keeps what it holds.
 *
 * The file is made once, at its full size:
 *
 *	0	superblock, twice (KEEP_SUPER_BYTES apart): whose file this is, and how its node ended
 *	8192	horizon: up to where the records had been written when the last request was answered
 *	64 KiB	segments, all of one size: a header, then records, then a record END
 *
 * A segment is used again when nothing in it counts any more, so segments are ordered by the sequence
 * number in their headers, and every record's checksum is seeded with file, sequence and place: what an
 * earlier use left behind is no record.
 *
 * A record is a header of 64 bytes and, if it has a payload, the payload (padded to 64 bytes) and a
 * trailer: the header once more. Either names what the record was about, so that damage to a part of it
 * is damage to that chunk alone. Integers are little-endian. Pure code.
 */
#ifndef GVM_KEEP_FORMAT_H
#define GVM_KEEP_FORMAT_H

#include "../gvm_wire.h"

#define KEEP_VERSION	   3u
/* Also read: 2 is as 3, with one member less in a view's image; 1 is as 2, without KEEP_DRAIN, and with nothing above a chunk's
 * KEEP_HEAD_BYTES. */
#define KEEP_VERSION_READ  1u
#define KEEP_SUPER_BYTES   4096u
#define KEEP_HORIZON_AT	   8192u
#define KEEP_BASE	   65536u /* of segment 0 */
#define KEEP_UNIT	   64u	  /* header, trailer, horizon, segment header; records are multiples of it */
#define KEEP_PAYLOAD_MAX   (GVM_DATA_MAX + 4096u) /* a chunk with the largest head */
#define KEEP_RECORD_MAX	   (KEEP_PAYLOAD_MAX + 3 * KEEP_UNIT)
#define KEEP_SEGMENT_MIN   (2u << 20)
#define KEEP_SEGMENT_MAX   (32u << 20)
#define KEEP_SEGMENTS_MIN  16u
#define KEEP_OWNER_BYTES   64u

enum keep_kind { KEEP_DATA, KEEP_META, KEEP_KINDS };

struct keep_super {
	uint32_t version;
	bool clean; /* the node ended in good order: everything is on the disk */
	bool sync;  /* it answered nothing before that was on the disk */
	struct gvm_id file, incarnation, boot;
	uint64_t inode; /* of the file: a copy has another */
	uint32_t segment_bytes, segments;
	uint64_t life; /* of the node's last start; the file has it beside its content, too (keep_file.c); 0: it has none */
	uint64_t forgiven; /* damage in segments below this sequence number made the node begin anew already */
	char owner[KEEP_OWNER_BYTES]; /* the address that its node serves */
};

struct keep_horizon {
	bool suspect; /* the disk has lost what it had taken */
	struct {
		uint64_t seq;
		uint32_t off;
	} end[KEEP_KINDS];
};

struct keep_segment {
	uint8_t kind;
	uint64_t seq, births;
};

enum keep_type {
	KEEP_END = 1,
	/* data */
	KEEP_CHUNK,   /* payload: packed head and body; count: KEEP_HEAD_BYTES, and above them what is kept of body_check */
	KEEP_ZERO,    /* chunks at..at+count-1 are all zero, in this version; 0: never written, or forgotten */
	KEEP_DAMAGED, /* the chunk in this version was found damaged */
	/* meta; count is their serial number */
	KEEP_REGION, /* payload: see journal_append.c */
	KEEP_GONE,   /* the region was deleted */
	KEEP_NAME,
	KEEP_FENCE,
	KEEP_FORGET,
	KEEP_BEGIN, /* of a checkpoint: what stands from here to KEEP_END_OF is all there is */
	KEEP_END_OF, /* version: sequence of the segment with BEGIN */
	KEEP_VIEWS,  /* of a slot of a region */
	KEEP_DRAIN,  /* version 1: the node is to be emptied; 0: not any more */
	KEEP_TYPES
};

#define KEEP_HEAD_BYTES 0xffffull /* of a chunk's count: of its head */
#define KEEP_CHECK_SHIFT 16u /* above them the lowest bits of a sealed body's body_check (region.h); 0: unknown */

struct keep_record {
	uint8_t type;
	uint32_t bytes;	 /* of the payload */
	uint64_t birth;	 /* which region: numbered as they are made, never twice */
	uint64_t at;	 /* chunk */
	uint64_t version;
	uint64_t count;
	uint64_t payload_check;
};

/* Where a record stands. */
struct keep_place {
	const struct gvm_id *file;
	uint64_t seq;
	uint32_t off;
};

/* The whole record's bytes: header, padded payload, trailer. */
static inline uint32_t keep_record_bytes(uint32_t payload)
{
	return payload ? 2 * KEEP_UNIT + (payload + KEEP_UNIT - 1) / KEEP_UNIT * KEEP_UNIT : KEEP_UNIT;
}

void keep_super_pack(const struct keep_super *s, uint8_t *buf);
/* 0; -ENODATA: all zero; -EBADMSG: no superblock; -EPROTONOSUPPORT: of another version (in s->version). */
int keep_super_unpack(struct keep_super *s, const uint8_t *buf);

void keep_horizon_pack(const struct keep_horizon *h, const struct gvm_id *file, uint8_t *buf);
bool keep_horizon_unpack(struct keep_horizon *h, const struct gvm_id *file, const uint8_t *buf);

void keep_segment_pack(const struct keep_segment *s, const struct gvm_id *file, uint8_t *buf);
bool keep_segment_unpack(struct keep_segment *s, const struct gvm_id *file, const uint8_t *buf);

uint64_t keep_payload_check(const void *payload, uint32_t bytes);
/* KEEP_UNIT bytes: a header, or with `trailer` a trailer, for that very place. */
void keep_record_pack(const struct keep_record *r, const struct keep_place *place, bool trailer, uint8_t *buf);
bool keep_record_unpack(struct keep_record *r, const struct keep_place *place, bool trailer,
			const uint8_t *buf);

#endif
