/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * names.h - the name table: opaque records under 128-bit keys, the newest version wins.
 *
 * The node does not interpret records, except removal: a tombstone is an entry without bytes, and
 * final. Tombstones are dropped by a horizon: it says that this node has, or had, every name of a
 * table that was born at or below it; so such a name that it does not have was removed, and cannot
 * come back. RECORDS.md has how clients raise the horizon, and why that loses no name. Clusters
 * that are independent of each other have tables, and so horizons, of their own.
 *
 * A horizon stands among the names, under the key (zeros, table), and is listed with them.
 *
 * Each change has a number, the table's stamp after it: a client that has listed the table before is told
 * what has changed since. The first stamp is a large random number, so that one of another life means
 * nothing here. What was dropped leaves no trace: a stamp from before that means nothing either.
 *
 * The table is bounded in number and bytes. Pure code: no socket, no clock.
 */
#ifndef GVM_NAMES_H
#define GVM_NAMES_H

#include "../gvm_wire.h"

#include <sys/queue.h>

#define NAMES_COUNT_MIN	    16u
#define NAMES_COUNT_DEFAULT 65536u
#define NAMES_COUNT_MAX	    1048576u
#define NAMES_BYTES_MAX	    (64u << 20)

#define NAMES_LIFE_MAX	    (1ull << 62) /* of the first stamp: the others do not overflow */

struct name;
TAILQ_HEAD(name_changes, name);

struct names {
	struct name **sorted; /* by key */
	unsigned count, room;
	unsigned gone; /* of count: tombstones */
	unsigned count_max;
	uint64_t bytes;
	uint64_t fence; /* names born at or below it are created by `round` only */
	uint64_t round; /* the round that put up a fence last, up to `round_upto`; 0: none */
	uint64_t round_upto;
	struct name_changes changes; /* all of them, in the order in which they changed */
	uint64_t stamp;		     /* of the last change */
	uint64_t told_from;	     /* what has changed after this stamp, or a later one, is known */
};

/* `life`: random, another each time that a node begins; from 1 to NAMES_LIFE_MAX. */
void names_init(struct names *t, unsigned count_max, uint64_t life);
/* 0: the node has never dropped tombstones of that table. */
uint64_t names_horizon(const struct names *t, uint64_t table);
void names_deinit(struct names *t);

uint16_t name_put(struct names *t, const struct gvm_name_put_req *what, const uint8_t *record,
		  uint32_t bytes, uint64_t *detail);
/* Writes the answer's data to buf (room: GVM_DATA_MAX), its length to *bytes. */
uint16_t name_list(const struct names *t, const struct gvm_name_list_req *what,
		   struct gvm_name_list_rsp *rsp, uint8_t *buf, uint32_t *bytes, uint64_t *detail);
uint16_t name_fence(struct names *t, const struct gvm_name_fence_req *what);
uint16_t name_forget(struct names *t, const struct gvm_name_forget_req *what, uint64_t *detail);

/* A name as it is kept on a disk; a tombstone or a horizon has no bytes. */
struct name_image {
	struct gvm_id key;
	uint64_t table, born, version;
	uint32_t bytes;
	const uint8_t *record;
};

bool name_find(const struct names *t, const struct gvm_id *key, struct name_image *image);
/* The first one after `after`; NULL: of all. */
bool names_next(const struct names *t, const struct gvm_id *after, struct name_image *image);
/* Put back what was kept, in the order in which it was. False: no memory. */
bool name_restore(struct names *t, const struct name_image *image);
void names_restore_fence(struct names *t, uint64_t fence, uint64_t round, uint64_t upto);
bool names_restore_forget(struct names *t, uint64_t table, uint64_t horizon);
/* What was kept may lack the newest changes: horizons and fences say more than it can. */
void names_doubt(struct names *t);

#endif
