// SPDX-License-Identifier: GPL-2.0-or-later
/* sizes.c - how a region of world.h gets another size: what front_size.c and the nodes do, node by node. A cut begins in
 * world.c, with its fsync. */
#include "world.h"

#include <errno.h>
#include <string.h>

void cut_adopt(unsigned nr)
{
	struct region *reg = &world.region[nr];
	uint32_t cells = world.disk[nr].cut_to_plus_1 - 1;

	if (!world.disk[nr].cut_to_plus_1)
		return;
	if (region_is_lost(nr) || reg->cells <= cells) {
		world.disk[nr].cut_to_plus_1 = 0;
		reg->cut_plus_1 = 0;
		return;
	}
	world.cut[nr].state = CUT_READY;
	world.cut[nr].cells = cells;
	store_cut_begin(&world.store, &world.inode[nr], (uint64_t)cells * CELL_BYTES);
}

/* The region has its new size (0), or has failed, or was not cut. */
static void cut_ended(unsigned nr, int error)
{
	struct cut *cut = &world.cut[nr];

	cut->state = CUT_NONE;
	if (!error)
		store_writes_cut(&world.inode[nr]);
	store_cut_end(&world.store, &world.inode[nr]);
	world.region[nr].cut_plus_1 = 0;
	for (unsigned i = 0; i < W_SYNCS; i++) {
		struct syncing *o = &world.syncing[i];

		if (o->call.used && o->call.begun && !o->call.ended && o->cut_plus_1 && o->cutting && o->call.inode == nr)
			call_ended(&o->call, error);
	}
}

static uint32_t cut_first(const struct cut *cut)
{
	return (cut->cells + CHUNK_CELLS - 1) / CHUNK_CELLS;
}

static void cut_chunk_forget(struct region *reg, uint32_t c)
{
	reg->index[c] = 0;
	memset(&reg->known[c], 0, sizeof(reg->known[c]));
	reg->ours[c] = 0;
}

/* As region_sized(). */
static void cut_sized(struct store *s, struct store_sync *sync, int error)
{
	unsigned nr = sync->inode->nr;
	struct region *reg = &world.region[nr];
	struct cut *cut = &world.cut[nr];

	if (error || reg->fenced) { /* the other's record may be newer: no case for this world */
		world.disk[nr].cut_to_plus_1 = 0;
		cut_ended(nr, -EIO);
		return;
	}
	world_call();
	for (uint32_t c = cut_first(cut); c < W_CHUNKS; c++)
		cut_chunk_forget(reg, c);
	store_forget(s, sync->inode);
	world_call();
	reg->cells = cut->cells;
	for (uint32_t i = cut->cells; i < W_CELLS; i++)
		cell_changed(&reg->cell[i], 0);
	for (unsigned i = 0; i < W_WRITES; i++) {
		struct writing *o = &world.writing[i];

		if (o->call.used && !o->call.ended && o->call.inode == nr && o->stop > cut->cells)
			o->stop = cut->cells;
	}
	world_call();
	world.disk[nr].cut_to_plus_1 = 0;
	world_call();
	cut_ended(nr, 0);
}

static void cut_rest_zero(struct store *s, struct store_write *w, int error)
{
	struct cut *cut = &world.cut[w->wait.inode->nr];

	if (error && !region_is_lost(w->wait.inode->nr)) {
		cut->state = CUT_NODES; /* the next E_CUTS tries it again */
		return;
	}
	cut->state = CUT_LAST;
	cut->s = (struct store_sync){ .done = cut_sized };
	store_sync(s, &cut->s, w->wait.inode);
}

static void cut_rest(unsigned nr)
{
	struct cut *cut = &world.cut[nr];
	uint32_t end = cut_first(cut) * CHUNK_CELLS;

	end = end < world.region[nr].cells ? end : world.region[nr].cells;
	cut->state = CUT_REST;
	cut->rest = (struct store_write){ .done = cut_rest_zero, .of_cut = true };
	if (cut->cells < end) {
		store_write(&world.store, &cut->rest, &world.inode[nr], NULL, (uint64_t)cut->cells * CELL_BYTES,
			    (uint64_t)(end - cut->cells) * CELL_BYTES);
	} else {
		cut->rest.wait.inode = &world.inode[nr];
		cut_rest_zero(&world.store, &cut->rest, 0);
	}
}

/* In the journal before a node is asked. */
static void cut_publish(unsigned nr)
{
	const struct region *reg = &world.region[nr];
	uint64_t version = gvm_version(world.disk[nr].epoch, 1);

	world_call();
	world.disk[nr].cut_to_plus_1 = world.cut[nr].cells + 1;
	if (world.disk[nr].cut_version >= version)
		version = world.disk[nr].cut_version + 1;
	for (uint32_t c = cut_first(&world.cut[nr]); c < W_CHUNKS; c++)
		if ((reg->index[c] & GVM_VERSION_MASK) >= version)
			version = (reg->index[c] & GVM_VERSION_MASK) + 1;
	world_call();
	world.disk[nr].cut_version = version;
	world.cut[nr].state = CUT_NODES;
	world_call();
}

static void node_discard(unsigned nr, unsigned node)
{
	struct region *reg = &world.region[nr];

	for (uint32_t c = cut_first(&world.cut[nr]); c < reg->node_chunks[node]; c++) {
		if (node_of(nr, c) != node || !reg->index[c])
			continue;
		if (reg->node[c].version > world.disk[nr].cut_version)
			world_wrong("what is cut off is still being written");
		reg->node[c].version = world.disk[nr].cut_version;
		memset(reg->node[c].content, 0, sizeof(reg->node[c].content));
		for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
			reg->node[c].seal[p] = SEAL_ZERO;
	}
}

static void node_resize(unsigned nr, unsigned node)
{
	struct region *reg = &world.region[nr];
	uint32_t first = cut_first(&world.cut[nr]);

	for (uint32_t c = first; c < W_CHUNKS; c++)
		for (uint32_t i = 0; node_of(nr, c) == node && i < CHUNK_CELLS; i++)
			if (reg->node[c].content[i])
				world_wrong("a node has more than it was told to discard");
	reg->node_chunks[node] = first;
}

/* The next step of a node: all discard before any is resized. */
static bool node_cuts(unsigned nr, unsigned node)
{
	struct cut *cut = &world.cut[nr];
	bool all_resized = true, was = cut->resized[node];

	for (unsigned n = 0; n < W_NODES; n++)
		if (!node_has(nr, n))
			cut->discarded[n] = cut->resized[n] = true;
	if (!cut->discarded[node]) {
		node_discard(nr, node);
		cut->discarded[node] = true;
		return true;
	}
	for (unsigned n = 0; n < W_NODES; n++)
		if (!cut->discarded[n])
			return false;
	if (!cut->resized[node])
		node_resize(nr, node);
	cut->resized[node] = true;
	for (unsigned n = 0; n < W_NODES; n++)
		all_resized &= cut->resized[n];
	if (!all_resized)
		return !was;
	for (uint32_t c = cut_first(cut); c < W_CHUNKS; c++) {
		world_call();
		cut_chunk_forget(&world.region[nr], c);
	}
	cut_rest(nr);
	return true;
}

bool region_cuts(const struct event *e)
{
	unsigned nr = e->a, node = e->b & 0xff;
	struct cut *cut = &world.cut[nr];

	if (cut->state != CUT_READY && cut->state != CUT_NODES)
		return false;
	if (region_is_lost(nr) || e->b >> 8) {
		if (!region_is_lost(nr) && world.disk[nr].cut_to_plus_1)
			return false; /* it has to come to its end */
		world.disk[nr].cut_to_plus_1 = 0;
		world.region[nr].refusals++;
		cut_ended(nr, region_is_lost(nr) ? -EIO : -ETIMEDOUT);
		return true;
	}
	if (world.dead[node] || !node_has(nr, node) || (cut->state == CUT_READY && region_is_cut_off(nr)))
		return false;
	if (cut->state == CUT_READY)
		cut_publish(nr);
	return node_cuts(nr, node);
}

void region_grow(unsigned nr, uint32_t cells)
{
	struct region *reg = &world.region[nr];

	for (unsigned n = 0; n < W_NODES; n++)
		reg->node_chunks[n] = (cells + CHUNK_CELLS - 1) / CHUNK_CELLS;
	world_call();
	reg->cells = cells;
}

bool region_grows(const struct event *e)
{
	uint32_t cells = e->b & 0xffff, only = e->b >> 16;
	struct region *reg = &world.region[e->a];

	if (!world.disk[e->a].epoch || region_is_lost(e->a) || reg->cut_plus_1 || world.cut[e->a].state ||
	    cells <= reg->cells || cells > W_CELLS || region_is_cut_off(e->a))
		return false;
	if (!only)
		region_grow(e->a, cells);
	else if (node_has(e->a, only - 1) && reg->node_chunks[only - 1] < (cells + CHUNK_CELLS - 1) / CHUNK_CELLS)
		reg->node_chunks[only - 1] = (cells + CHUNK_CELLS - 1) / CHUNK_CELLS;
	else
		return false;
	return true;
}
