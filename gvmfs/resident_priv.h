/* SPDX-License-Identifier: GPL-2.0-or-later */
/* resident_priv.h - what resident.c (how chunks come) and resident_evict.c (how they go) share. */
#ifndef GVMFS_RESIDENT_PRIV_H
#define GVMFS_RESIDENT_PRIV_H

#include "resident.h"

#define GROUP_CHUNKS 16u /* dropped from the page tables at once: 2 MiB, one flush for all */

void chunk_unlist(struct resident *r, uint64_t c);
/* Puts it at the end of a list, or at the beginning, off any other. */
void chunk_enlist(struct resident *r, uint64_t c, enum chunk_list_id list);
void chunk_enlist_first(struct resident *r, uint64_t c, enum chunk_list_id list);
/* The pages of a chunk that the region has: the last chunk may have fewer. */
uint32_t chunk_pages(const struct resident *r, uint64_t c);
/* Maps a chunk that is here, makes it RESIDENT, and wakes who waits; `page`: what faulted. */
void chunk_show(struct resident *r, uint64_t c, unsigned page);
/* Gives the chunk's memory back: it is ABSENT. */
void chunk_drop(struct resident *r, uint64_t c);
/* Brings chunks that wait for room or for means to fetch, as far as there are any. */
void blocked_continue(struct resident *r);

void hashes_make(const uint8_t *data, uint64_t seed, XXH128_hash_t hashes[GVM_CHUNK_PAGES]);
void hashes_drop(struct resident *r, uint64_t c);

/* Has a chunk that is INACTIVE looked at by a writer, unless something pins it or a writer has it
 * already: then it is active again. False: no writer has room. */
bool eviction_start(struct resident *r, uint64_t c);

/* If an fsync waits for the chunk: it need not any more. */
void sync_end(struct resident *r, uint64_t c, int error);

/* The client has left. When its memory is gone too, what is here is sent, and the session ends. */
void resident_client_gone(struct resident *r);
/* Its descriptors are not waited for any more. */
void resident_unwatch(struct resident *r);
void resident_close(struct resident *r);

#endif
