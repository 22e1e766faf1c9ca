/* SPDX-License-Identifier: GPL-2.0-or-later */
/* journal_impl.h - what the journal's files share. */
#ifndef GVM_JOURNAL_IMPL_H
#define GVM_JOURNAL_IMPL_H

#include "journal.h"
#include "region_image.h"
#include "region_priv.h"

#define NAME_IMAGE_BYTES  44u /* before the name's record */
#define FENCE_IMAGE_BYTES 24u

/* Appends a record of regions and names, twice: damage to one is none. */
void meta_append(struct journal *j, enum keep_type type, uint64_t birth, uint64_t version,
		 const struct iovec *payload, unsigned iovs);
void region_append(struct journal *j, struct region *r);
/* All views of its slots. */
void views_append(struct journal *j, const struct region *r);
void name_append(struct journal *j, const struct name_image *n);
void fence_append(struct journal *j);
/* The chunk as it is now. */
void chunk_append(struct journal *j, struct region *r, uint64_t chunk);
/* The run of zero chunks from `chunk` on that have one version, before `end`; with `segment` >= 0 only those whose
 * record is there. Returns where it ended. */
uint64_t zeros_append(struct journal *j, struct region *r, uint64_t chunk, uint64_t end, int64_t segment);
/* The zero records of chunks that were cut off. */
void cut_append(struct journal *j, struct region *r);

/* journal_load.c */
int journal_load(struct journal *j, const struct keep_wish *wish, char *why, size_t why_bytes);

/* journal_space.c */
void checkpoint_begin(struct journal *j);
bool checkpoint_work(struct journal *j);

#endif
