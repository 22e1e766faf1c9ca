/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * region_image.h - regions and chunks as they are written to a disk, and put back from it.
 *
 * Of a lease only its terms are kept: after a restart it begins anew, so that the writer has all of its
 * time to come back. Watches are not kept: for as long as one may last no other writer is attached.
 */
#ifndef GVM_REGION_IMAGE_H
#define GVM_REGION_IMAGE_H

#include "region.h"

#define REGION_IMAGE_BYTES 160u

struct chunk_entry;

/* Writes REGION_IMAGE_BYTES. */
void region_image_pack(const struct region *r, uint8_t *buf);

/* Whether room is kept for the views of its slots, which have images of their own. */
bool region_image_views(const uint8_t *buf);

/*
 * Puts back a region that is not there, under its number. remains: as what a loss has left.
 * -EBADMSG: no image.
 * -ENOSPC: the node has not so much memory.
 * -ENOMEM.
 */
int region_image_restore(struct regions *t, const uint8_t *buf, uint64_t birth, bool remains,
			 struct region **region);

/* Put back the newest state of a chunk that has none yet. False: no room. `body_check`: the lowest
 * RESTORED_CHECK_BITS of what it was; a sealed body that was rotten when it was written down is so again. 0: unknown. */
#define RESTORED_CHECK_BITS 48u
bool chunk_restore(struct regions *t, struct region *r, uint64_t chunk, uint64_t version,
		   const uint8_t *packed, uint32_t head_bytes, uint32_t bytes, uint64_t body_check);
/* It is there, but what it held is not: every GET of it is CORRUPT, until a PUT replaces it. */
bool chunk_restore_damaged(struct regions *t, struct region *r, uint64_t chunk, uint64_t version);
/* Version 0: it was forgotten. */
void chunk_restore_zero(struct region *r, uint64_t chunk, uint64_t version);
/* All are put back: a region that a loss has left is promised what it holds, and no more. */
void regions_restored(struct regions *t);

#endif
