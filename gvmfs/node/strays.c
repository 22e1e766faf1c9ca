// SPDX-License-Identifier: GPL-2.0-or-later
/* strays.c - see strays.h. */
#include "strays.h"

#include "base/mutant.h"
#include "index_read.h"

#include <string.h>

#define READ_NS	  1000000000ull
#define FORGET_NS 1000000000ull
#define BATCH	  64u /* requests in one go */
#define LIST_MAX  (1u << 20) /* strays that are forgotten in one go; the rest counts as what the node keeps */

struct strays {
	const struct record *rec;
	const struct record_slot *also;
	unsigned node;
	uint64_t chunks, count, order;
};

static void chunk_look(void *arg, uint64_t chunk, uint64_t version)
{
	struct strays *st = arg;
	unsigned slot = record_slot_of(st->rec, chunk);
	bool own = record_replica_of(st->rec, slot, st->node) >= 0;

	for (unsigned n = 0; st->also && n < record_places(st->rec); n++)
		own |= st->also[slot].node[n] == st->node;
	st->count += !own && chunk < st->chunks && !(version & GVM_VERSION_ZERO);
}

int strays_count(struct pool *pool, const struct record *rec, unsigned node, const struct record_slot *also, uint64_t chunks,
		 uint64_t promised, uint64_t *count)
{
	struct strays st = { .rec = rec, .also = also, .node = node, .chunks = chunks };
	int r = 0;

	if (promised > record_node_chunks(rec, node, record_chunks(rec->size_bytes)))
		r = index_read(pool, &rec->nodes[node], &rec->id, READ_NS, chunk_look, &st);
	*count = st.count;
	return r;
}

/* ---- forgetting them */

struct stray_list {
	struct strays of;
	uint64_t *chunk;
	uint64_t room;
	int error;
};

static void stray_add(void *arg, uint64_t chunk, uint64_t version)
{
	struct stray_list *l = arg;

	(void)version;
	if (l->error || l->of.count == LIST_MAX || (record_replica_of(l->of.rec, record_slot_of(l->of.rec, chunk), l->of.node) >= 0 && !mutant("strays-are-all")))
		return;
	if (l->of.count == l->room) {
		uint64_t room = l->room ? 2 * l->room : 1024;
		uint64_t *more = malloc(room * sizeof(*more));

		if (!more) {
			l->error = -ENOMEM;
			return;
		}
		if (l->chunk)
			memcpy(more, l->chunk, l->of.count * sizeof(*more));
		free(l->chunk);
		l->chunk = more;
		l->room = room;
	}
	l->chunk[l->of.count++] = chunk;
}

static int batch_forget(struct pool *pool, const struct stray_list *l, struct gvm_conn *conn, uint64_t from, uint64_t epoch)
{
	struct gvm_discard_req what = { .region = l->of.rec->id, .epoch = epoch, .count = 1, .order = l->of.order };
	unsigned count = l->of.count - from < BATCH ? (unsigned)(l->of.count - from) : BATCH;
	struct ask *asks = asks_make(count);
	int result = asks ? 0 : -ENOMEM;

	pool_gather(pool, true);
	for (unsigned i = 0; asks && i < count; i++) {
		what.first = l->chunk[from + i];
		gvm_discard(conn, ask_begin_to(&asks[i], ns_from_now(FORGET_NS), &l->of.rec->nodes[l->of.node]), &what);
	}
	pool_gather(pool, false);
	for (unsigned i = 0; asks && i < count; i++) {
		int r = ask_wait(&asks[i]);

		result = result ? result : r;
	}
	free(asks);
	return result;
}

int strays_forget(struct pool *pool, const struct record *rec, unsigned node, uint64_t epoch)
{
	struct stray_list l = { .of = { .rec = rec, .node = node, .order = gvm_now_ns() } };
	struct gvm_conn *conn = pool_node(pool, &rec->nodes[node]);
	int r = conn ? index_read(pool, &rec->nodes[node], &rec->id, READ_NS, stray_add, &l) : -ENOMEM;

	r = r ? r : l.error;
	for (uint64_t i = 0; !r && i < l.of.count; i += BATCH)
		r = batch_forget(pool, &l, conn, i, epoch);
	free(l.chunk);
	return r;
}
