// SPDX-License-Identifier: GPL-2.0-or-later
/* strays.c - see strays.h. */
#include "strays.h"

#include "index_read.h"

#define READ_NS 1000000000ull

struct strays {
	const struct record *rec;
	const struct record_slot *also;
	unsigned node;
	uint64_t chunks, count;
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
