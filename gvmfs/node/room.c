// SPDX-License-Identifier: GPL-2.0-or-later
/* room.c - see room.h. */
#include "room.h"

#include "ask.h"
#include "shares.h"

static void rooms_keep(struct room *of, const struct share *share, const struct pool *pool, unsigned copies, unsigned percent)
{
	uint64_t kept[OPTIONS_NODES_MAX] = { 0 }, open;
	unsigned silent = 0;

	for (unsigned i = 0; i < pool->listed; i++)
		silent += !of[i].answers && !pool->again[i];
	shares_keep(share, pool->listed, silent, copies, percent, kept);
	for (unsigned i = 0; i < pool->listed; i++) {
		open = share[i].room > share[i].taken ? share[i].room - share[i].taken : 0;
		of[i].kept_bytes = kept[i] < open ? kept[i] : open;
		of[i].free_bytes = open - of[i].kept_bytes;
	}
}

int rooms_ask(struct pool *pool, const struct options *opts, unsigned copies, uint64_t deadline_ns,
	      struct room of[OPTIONS_NODES_MAX])
{
	struct share share[OPTIONS_NODES_MAX] = { { 0 } };
	struct ask *asks = asks_make(pool->listed);

	if (!asks)
		return -ENOMEM;
	for (unsigned i = 0; i < pool->listed; i++)
		gvm_node_stat(pool->conns[i], ask_begin(&asks[i], deadline_ns));
	for (unsigned i = 0; i < pool->listed; i++) {
		const struct gvm_node_stat_rsp *st = &asks[i].call.rsp.node_stat;

		of[i] = (struct room){ .answers = !ask_wait(&asks[i]) };
		if (of[i].answers)
			share[i] = share_told(st->reserved_bytes, st->promisable_bytes);
	}
	/* (Which names are one node's is known once they have answered.) */
	for (unsigned i = 0; i < pool->listed; i++) {
		of[i].answers &= !pool->again[i];
		share[i] = of[i].answers ? share[i] : (struct share){ 0 };
	}
	rooms_keep(of, share, pool, copies > opts->replicas ? copies : opts->replicas, opts->repair_reserve);
	free(asks);
	return 0;
}

bool room_has(const struct room *room, uint64_t chunks)
{
	return chunks <= room->free_bytes / GVM_PROMISE_BYTES;
}

int rooms_look(struct pool *pool, const struct options *opts, const struct record *rec, const uint64_t *held, uint64_t chunks,
	       uint64_t deadline_ns)
{
	struct room of[OPTIONS_NODES_MAX];
	int r = rooms_ask(pool, opts, rec->replicas, deadline_ns, of);

	for (unsigned i = 0; !r && i < rec->node_count; i++) {
		uint64_t after = record_node_chunks(rec, i, chunks);
		int at = pool_index(pool, &rec->nodes[i]);

		if (after > held[i] && at >= 0 && (unsigned)at < pool->listed && of[at].answers && !room_has(&of[at], after - held[i]))
			r = -ENOSPC;
	}
	return r;
}
