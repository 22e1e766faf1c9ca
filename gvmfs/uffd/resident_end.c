// SPDX-License-Identifier: GPL-2.0-or-later
/* resident_end.c - the end of a region of resident.h. When the client has left and its mapping is gone,
 * no process can change the memory any more: all of it is written back, and the region is a file again. */
#include "base/log.h"
#include "resident_priv.h"

#include <errno.h>

/* Everything that is here may go as it is. */
static void drain_begin(struct resident *r)
{
	r->draining = true;
	r->zapping = false;
	fetches_cancel(r);
	while (r->lists[LIST_BLOCKED].head)
		chunk_unlist(r, r->lists[LIST_BLOCKED].head - 1);
	for (uint64_t c = 0; r->busy && (c = chunk_touched(r, c)) < r->chunks; c++) {
		/* What a writer or a fetch has comes when that has ended. */
		if (r->chunk[c].state != CHUNK_ABSENT && r->chunk[c].state != CHUNK_FILLING &&
		    !r->chunk[c].sending) {
			chunk_set_state(r, c, CHUNK_INACTIVE);
			chunk_enlist(r, c, LIST_INACTIVE);
		}
	}
}

/* Nobody wants what is here, since the region is deleted, or it has no place to go, since it
 * failed. The memory itself goes with the session. */
static void drop_all(struct resident *r, bool failed)
{
	uint64_t lost = 0;

	for (uint64_t c = 0; r->busy && (c = chunk_touched(r, c)) < r->chunks; c++)
		if (r->chunk[c].state != CHUNK_ABSENT && !r->chunk[c].sending) {
			chunk_forget(r, c);
			lost++;
		}
	if (lost && failed)
		log_error(r->env->name(r), "%llu chunks that were on this host are lost",
			  (unsigned long long)lost);
}

/* The client's memory is gone: what is here goes to the nodes, or nowhere. */
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
