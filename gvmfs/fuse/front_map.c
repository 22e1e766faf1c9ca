// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * front_map.c - see front_map.h.
 *
 * A window's entries of the index are one page of the journal, and its marks a few cache lines of a page. Where there is
 * no such page nothing is looked at, since to read a hole of a memfd would allocate its memory.
 */
#include "front_map.h"

#include "store/store.h"
#include "uffd/resident.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

size_t map_head(const struct inode *inode, char *text, size_t size)
{
	const struct record *rec = &inode->disk->rec;
	size_t n = (size_t)snprintf(text, size, "chunks %llu\n", (unsigned long long)record_chunks(rec->size_bytes));

	for (unsigned i = 0; i < rec->node_count; i++)
		n += (size_t)snprintf(text + n, size - n, "node %s\n", rec->nodes[i].addr);
	n += (size_t)snprintf(text + n, size - n, "slots");
	for (unsigned s = 0; rec->node_count && s < rec->slot_count; s++) {
		char between = ' ';

		for (uint8_t left = record_filled(rec, s); left; left &= (uint8_t)(left - 1)) {
			n += (size_t)snprintf(text + n, size - n, "%c%u", between, rec->slots[s].node[__builtin_ctz(left)]);
			between = ',';
		}
	}
	return n + (size_t)snprintf(text + n, size - n, "\n");
}

/* Marks, by the index, the chunks of which the nodes have something. */
static void nodes_mark(struct worker *w, struct inode *inode, uint64_t first, uint64_t end, char *text)
{
	const struct journal_inode *d = inode->disk;

	memset(text, d->epoch || !d->rec.node_count ? GVM_MAP_NOTHING : GVM_MAP_UNKNOWN, end - first);
	if (!d->epoch || journal_index_next(w->journal, inode->nr, first) >= end)
		return;
	for (uint64_t c = first; c < end; c++) {
		uint64_t entry = inode->index[c];

		if (entry && !(entry & GVM_VERSION_ZERO))
			text[c - first] = GVM_MAP_NODES;
	}
}

static char resident_letter(const struct resident *r, uint64_t c, char on_nodes)
{
	const struct chunk *k = &r->chunk[c];

	switch (k->state) {
	case CHUNK_FILLING:
		return GVM_MAP_COMING;
	case CHUNK_EVICTING:
		return GVM_MAP_GOING;
	case CHUNK_INACTIVE:
		return GVM_MAP_COLD;
	default:
		return on_nodes == GVM_MAP_NOTHING ? GVM_MAP_ONLY : k->lives ? GVM_MAP_HOT : GVM_MAP_HERE;
	}
}

static void resident_mark_all(struct resident *r, uint64_t first, uint64_t end, char *text)
{
	for (uint64_t c = chunk_touched(r, first); c < end; c = chunk_touched(r, c + 1))
		if (resident_has(r, c))
			text[c - first] = resident_letter(r, c, text[c - first]);
}

static void wbufs_mark(struct store *s, struct inode *inode, uint64_t first, uint64_t end, char *text)
{
	for (uint64_t c = first; c < end; c++)
		if (wbufs_pages(&s->wbufs, inode, c))
			text[c - first] = GVM_MAP_GOING;
}

int map_window(struct worker *w, struct inode *inode, const char *window, char text[GVM_MAP_CHUNKS])
{
	uint64_t chunks = record_chunks(inode->disk->rec.size_bytes), first, end;
	char *behind;

	errno = 0;
	first = strtoull(window, &behind, 10);
	if (*window < '0' || *window > '9' || *behind || errno || first > chunks / GVM_MAP_CHUNKS)
		return -ENODATA;
	first *= GVM_MAP_CHUNKS;
	if (first >= chunks)
		return -ENODATA;
	end = chunks - first < GVM_MAP_CHUNKS ? chunks : first + GVM_MAP_CHUNKS;
	nodes_mark(w, inode, first, end, text);
	if (inode->resident && inode->resident->chunks >= end)
		resident_mark_all(inode->resident, first, end, text);
	else if (inode->wbufs)
		wbufs_mark(w->store, inode, first, end, text);
	return (int)(end - first);
}
