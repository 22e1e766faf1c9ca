/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gather.h - a chunk as it is stored, put together from what one node or several answer to a GET.
 *
 * Nodes do not look at what they send, so that each block is checked here as a read would check it: a plain one by its hash,
 * which names region, chunk and place; a sealed one by its tag, which binds the version in which it was sent, too. A block that
 * does not verify is left out, and may come from another node: one version of a chunk is the same bytes on all nodes. So only
 * what was answered in one version, with the same zero pages, comes together; an answer in another version begins anew.
 *
 * A copy whose head is damaged has no block that could be judged: of it a node sends nothing.
 */
#ifndef GVMFS_GATHER_H
#define GVMFS_GATHER_H

#include "seal.h"

struct gather {
	/* set by the caller */
	struct gvm_id region;
	uint64_t chunk;
	bool sealed;
	struct chunk_codec *codec;
	struct sealer *sealer;
	const struct seal_known *known; /* what is sealed has to be this; NULL: nothing is known of it */
	uint8_t *opened;		/* room to open sealed blocks in: GVM_CHUNK_BYTES */
	unsigned node;			/* which one is asked now: any number below 8 */
	/* what came of it; `parts` is whole if gather_is_whole() */
	struct chunk_parts parts;
	uint64_t version;
	uint32_t got;	  /* pages that verified, and zero pages */
	uint32_t zero_map;
	uint8_t nodes;	  /* that sent some of it, as bits */
};

/* Nothing has come. `room`: 2 * GVM_CHUNK_BYTES, for the body. */
void gather_begin(struct gather *g, uint8_t *room);
/* A piece of an answer. -EBADMSG: some of it does not verify; the rest is taken. Another error: nothing is. */
int gather_piece(struct gather *g, uint64_t version, const struct chunk_head *head, const uint8_t *body);

static inline bool gather_is_whole(const struct gather *g)
{
	return g->got == ~0u;
}

/* No node alone had all of it. */
static inline bool gather_is_pieced(const struct gather *g)
{
	return g->nodes & (g->nodes - 1);
}

#endif
