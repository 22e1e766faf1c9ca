/* SPDX-License-Identifier: GPL-2.0-or-later */
/* state.h - where each chunk of a region is, by gvmfs (user.gvm.map) and by the kernel's page cache. */
#ifndef TOOLS_MAP_STATE_H
#define TOOLS_MAP_STATE_H

#include <stdbool.h>
#include <stdint.h>

/* In the order in which one stands for a cell of several. */
enum map_kind { MAP_GOING, MAP_COMING, MAP_HOT, MAP_HERE, MAP_ONLY, MAP_CACHED, MAP_COLD, MAP_NODES, MAP_UNKNOWN, MAP_NOTHING, MAP_KINDS };

struct map_look {
	const char *name;  /* of one word, for programs */
	const char *about; /* for people */
	char letter;
	unsigned colour;   /* 0xRRGGBB */
	unsigned ansi;	   /* the nearest of 256 */
};
extern const struct map_look map_looks[MAP_KINDS];

struct map_state {
	uint64_t size_bytes, chunks;
	uint8_t *kind; /* enum map_kind of each chunk */
	char **nodes;  /* addresses */
	unsigned node_count;
	uint64_t *slots; /* bits: nodes that have it; two words each */
	unsigned slot_count;
	bool cache_unknown; /* the kernel does not tell what of a mapped file is in the page cache */
};

/* 0 or a negative errno (-ENODATA: a gvmfs of an older version). Nothing is fetched, and nothing moves. */
int map_state_get(const char *path, struct map_state *state);
void map_state_free(struct map_state *state);

/* How many chunks are so. */
void map_count(const struct map_state *state, uint64_t counts[MAP_KINDS]);
/* How many chunks of what the nodes may hold lie on a node. */
uint64_t map_node_chunks(const struct map_state *state, unsigned node);
/* What stands for chunks first..end-1: the most frequent, but nothing only where hardly anything else is. */
enum map_kind map_cell(const struct map_state *state, uint64_t first, uint64_t end);

#endif
