/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trail.h - the record of what a start touched of a region: a set of chunks in a coarse order, and of each which parts.
 * gvmfs leaves it beside the region (node/trail_job.h), and the next start fetches what it names before it is asked for
 * (uffd/resident_trail.c). RECORDS.md has the bytes. Pure code.
 */
#ifndef GVMFS_TRAIL_H
#define GVMFS_TRAIL_H

#include "gvm_wire.h"

#define TRAIL_STEPS	   32768u /* at most: 4 GiB of chunks */
#define TRAIL_WINDOW_PAGES 4u	  /* of each, a bit */
#define TRAIL_BYTES_MAX	   GVM_NOTE_MAX

struct trail_step {
	uint32_t chunk;
	uint32_t windows; /* bit w: pages of window w, 0..7 */
};

/* The windows that these pages are in, and the pages of windows. */
uint32_t trail_windows(uint32_t pages);
uint32_t trail_pages(uint32_t windows);

/* Packs the first `count` steps, or as many of them as fit into `size` bytes. Sorts steps within their groups. No chunk
 * is there twice. Returns the bytes. */
size_t trail_pack(struct trail_step *steps, unsigned count, uint8_t *buf, size_t size);
/* Unpacks a record of exactly `bytes` bytes, from an untrusted source, into steps[TRAIL_STEPS]; chunks may be none of the
 * region's. Returns how many there are, or -EBADMSG. */
int trail_unpack(struct trail_step *steps, const uint8_t *buf, size_t bytes);

#endif
