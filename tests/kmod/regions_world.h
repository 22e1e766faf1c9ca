/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * regions_world.h - three nodes that agree on a region, with the module's own sources (module.h), for regions_model.c: what
 * can happen to them, and what must hold.
 *
 * Nodes create a region of one name, join it, and leave it; they begin anew and know nothing then; connections end, and
 * what was on them is lost, or comes over the next one, or comes twice. Calls give up. The work that takes offers may
 * stand still before it has queued its answer, since others run before it. A write is one that a home has acknowledged.
 */
#ifndef TEST_KMOD_REGIONS_WORLD_H
#define TEST_KMOD_REGIONS_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NODES 3
#define PAIR  (NODES * NODES)

/* How often each may still happen. */
struct limits {
	uint8_t creates, joins, leaves, sends, works, gives_up, writes, restarts, cuts, repeats;
	uint8_t impatient; /* a create that gives up succeeds: --wait 0 */
	uint8_t others; /* bits: they lend memory, but not for this region */
};
extern struct limits left;

enum kind {
	DELIVER, ANSWER, TAKE, CONNECT, END, WORK, SEND, GIVE_UP, CREATE, JOIN, LEAVE, WRITE, CUT, REPEAT, RESTART, KINDS
};

/* All that changes, for regions_model.c to keep and bring back. */
extern void *const world_memory;
extern const size_t world_bytes;

/* Everybody is connected, and nothing has happened. Bits of nodes: the region's homes; who else lends memory. */
void world_begin(uint8_t homes, uint8_t others);
/* a: a node; b: another one, or in which way. False: that cannot be now. */
bool world_event(enum kind kind, unsigned int a, unsigned int b);
/* All that happens by itself, until nothing does. */
void world_settle(void);
/* Equal for states that differ in nothing that matters. */
uint64_t world_hash(void);
/* What was found wrong so far; NULL: nothing. */
const char *world_wrong(void);
/* The same at the end, once it has settled: what else must hold then. */
const char *world_wrong_at_end(void);
void world_print(void);

#endif
