// SPDX-License-Identifier: GPL-2.0-or-later
/* resident_end.c - the end of a region of resident.h. When the client has left and its mapping is
 * gone, no process can change the memory any more: all of it is written back, and the region is an
 * ordinary file again. */
#include "base/log.h"
#include "resident_priv.h"

#include <errno.h>

/* Makes all chunks INACTIVE, so that they can be evicted. */
static void drain_begin(struct resident *r)
{
	r->draining = true;
	r->zapping = false;
	fetches_cancel(r);
	while (r->lists[LIST_BLOCKED].head)
		chunk_unlist(r, r->lists[LIST_BLOCKED].head - 1);
	for (uint64_t c = 0; r->busy && (c = chunk_touched(r, c)) < r->chunks; c++) {
		/* A chunk that a writer or a fetch has becomes INACTIVE when that has ended. */
		if (r->chunk[c].state != CHUNK_ABSENT && r->chunk[c].state != CHUNK_FILLING &&
		    !r->chunk[c].sending) {
			chunk_set_state(r, c, CHUNK_INACTIVE);
			chunk_enlist(r, c, LIST_INACTIVE);
		}
	}
}

/* Drops what is here: the region is deleted, so no program wants it, or has failed, so no node
 * takes it. The memory itself is freed when the session ends. */
static void drop_all(struct resident *r, bool failed)
{
	uint64_t lost = 0;

	for (uint64_t c = 0; r->busy && (c = chunk_touched(r, c)) < r->chunks; c++)
		if (r->chunk[c].state != CHUNK_ABSENT && !r->chunk[c].sending) {
			chunk_forget(r, c);
			lost++;
		}
	if (lost && failed)
		log_error(r->env->name(r), "%llu chunks lost: they were on this host only",
			  (unsigned long long)lost);
}

/* The client's memory is gone: writes back what is here, or drops it. */
void drain(struct resident *r)
{
	if (!r->draining)
		drain_begin(r);
	if (r->env->failed(r) || r->env->unwanted(r)) {
		drop_all(r, r->env->failed(r));
		sync_continue(r);
		return;
	}
	while (r->lists[LIST_INACTIVE].head && r->env->now(r) >= r->retry_at_ns)
		if (!eviction_start(r, r->lists[LIST_INACTIVE].head - 1))
			break;
	sync_continue(r);
}
