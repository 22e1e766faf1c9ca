/* SPDX-License-Identifier: GPL-2.0-or-later */
/* state.h - where each chunk of a region is, by gvmfs (user.gvm.map) and by the kernel's page cache. */
#ifndef TOOLS_MAP_STATE_H
#define TOOLS_MAP_STATE_H

#include <stdbool.h>
#include <stdint.h>

/* What is where, by map_looks[]. Where a cell has as many chunks of two kinds, it shows the one that stands
 * first here. */
enum map_kind {
	MAP_GOING,
	MAP_COMING,
	MAP_HOT,
	MAP_HERE,
	MAP_ONLY,
	MAP_CACHED,
	MAP_COLD,
	MAP_NODES,
	MAP_UNKNOWN,
	MAP_NOTHING,
	MAP_KINDS
};

struct map_look {
	const char *name;  /* one word, for programs */
	const char *about; /* for people */
	char letter;	   /* as in user.gvm.map, and 'm' */
	unsigned colour;   /* 0xRRGGBB */
	unsigned ansi;	   /* the nearest of a terminal's 256 colours */
};
extern const struct map_look map_looks[MAP_KINDS];

struct map_state {
	uint64_t size_bytes, chunks;
	uint8_t *kind; /* enum map_kind of each chunk */
	char **nodes;  /* addresses, by the numbers that slots have */
	unsigned node_count;
	uint64_t *slots; /* of each slot bits, in two words: the nodes that have it */
	unsigned slot_count;
	uint64_t *slot_chunks; /* of each slot: how many of its chunks nodes may hold */
	bool cache_unknown; /* the kernel does not tell what of a mapped file is in the page cache */
};

/* Looks at the region at `path`: nothing is fetched, and nothing moves. 0, or a negative errno and nothing to
 * free (-ENODATA, -EOPNOTSUPP: no region of a mount, or one of an older gvmfs). */
int map_state_get(const char *path, struct map_state *state);
void map_state_free(struct map_state *state);

/* How many chunks are of each kind. */
void map_count(const struct map_state *state, uint64_t counts[MAP_KINDS]);
/* How many of the chunks that nodes may hold lie on that node. */
uint64_t map_node_chunks(const struct map_state *state, unsigned node);
/* The kind that stands for chunks first..end-1: the most frequent but MAP_NOTHING, and this only where hardly
 * any chunk is of another kind. */
enum map_kind map_cell(const struct map_state *state, uint64_t first, uint64_t end);

#endif
