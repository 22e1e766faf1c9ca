// SPDX-License-Identifier: GPL-2.0-or-later
/* gather.c - see gather.h. */
#include "gather.h"

#include "base/mutant.h"

#include <errno.h>

static void gather_anew(struct gather *g)
{
	g->got = 0;
	g->nodes = 0;
	chunk_parts_begin(&g->parts, g->sealed);
}

void gather_begin(struct gather *g, uint8_t *room)
{
	g->version = 0;
	g->parts.body = room;
	g->parts.other = room + GVM_CHUNK_BYTES;
	gather_anew(g);
}

/* What is lost (codec.h) is so in the copy, too. */
static int blocks_believe(const struct gather *g, uint64_t version, const struct chunk_head *head, const uint8_t *body)
{
	static const struct seal_known nothing;
	uint32_t got;
	int r;

	if (!head->sealed)
		return chunk_verify(head, body, &g->region, g->chunk);
	r = seal_decode(g->sealer, g->codec, head, body, &g->region, g->chunk, version, g->known ? g->known : &nothing,
			g->known ? ~0u : 0, g->opened, &got);
	return r == -ENODATA ? 0 : r;
}

/* Takes blocks that verify, and with them the head's word for which pages are zero. */
static int blocks_take(struct gather *g, uint64_t version, const struct chunk_head *head, const uint8_t *body)
{
	uint32_t pages = chunk_pages_of_blocks(head->block_shift, head->block_mask);
	bool all = head->block_mask == chunk_blocks_complete(head->block_shift, head->zero_map), zeros_differ;
	int r;

	if (version != g->version && !mutant("parts-mixed"))
		gather_anew(g);
	zeros_differ = g->got && head->zero_map != g->zero_map && !mutant("parts-mixed");
	if (zeros_differ && !all)
		return -EBADMSG;
	if (zeros_differ)
		gather_anew(g);
	r = head->block_mask ? chunk_parts_add(&g->parts, head, body) : 0;
	if (r)
		return r;
	if (pages & ~g->got)
		g->nodes |= (uint8_t)(1u << g->node);
	g->version = version;
	g->zero_map = head->zero_map;
	g->got |= pages | head->zero_map;
	return 0;
}

/* Of blocks that do not verify all together, those that do. */
static void blocks_sift(struct gather *g, uint64_t version, const struct chunk_head *head, const uint8_t *body)
{
	for (uint32_t left = head->block_mask; left; left &= left - 1) {
		struct chunk_head one = *head;
		uint32_t from, bytes;

		chunk_head_narrow(&one, left & -left, &from, &bytes);
		if (!blocks_believe(g, version, &one, body + from))
			blocks_take(g, version, &one, body + from);
	}
}

int gather_piece(struct gather *g, uint64_t version, const struct chunk_head *head, const uint8_t *body)
{
	int r;

	if (head->block_mask && !head->sealed != !g->sealed)
		return -EBADMSG;
	r = head->block_mask ? blocks_believe(g, version, head, body) : 0;
	if (r == -EBADMSG && !mutant("mend-undivided"))
		blocks_sift(g, version, head, body);
	return r ? r : blocks_take(g, version, head, body);
}
