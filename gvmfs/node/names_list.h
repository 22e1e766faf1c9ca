/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * names_list.h - combines the nodes' lists of the name table: which names there are, which are
 * removed, what each node lacks, and whether a save counts.
 *
 * Pure code: the clients' half of the rules in RECORDS.md; the nodes have the other half
 * (memnode/daemon/names.c). tests/names has a model of both together.
 */
#ifndef GVMFS_NAMES_LIST_H
#define GVMFS_NAMES_LIST_H

#include "gvm_wire.h"

/* A record as nodes hold it. */
struct name_entry {
	struct gvm_id key;
	uint64_t table, born, version;
	uint32_t bytes; /* 0: a tombstone */
	uint8_t *record; /* malloc()ed; NULL in a tombstone, and in a node's list (struct names_view) */
};

/* Sorted by key; each key once. */
struct names_list {
	struct name_entry *entry;
	size_t count, room;
	size_t bytes; /* memory that the entries take, roughly */
};

/* What one node has. */
struct names_view {
	struct names_list has; /* without the records; with the node's horizons */
	bool whole; /* the list was read to its end */
	uint64_t stamp; /* the node's stamp of its table then: memnode/PROTOCOL.md; 0: not known */
	bool changes;	/* the list has only what changed since the last reading */
};

void names_list_free(struct names_list *list);
const struct name_entry *names_list_find(const struct names_list *list, const struct gvm_id *key);
struct name_entry *names_list_entry(struct names_list *list, const struct gvm_id *key);

/* Merges an entry: a tombstone is final; of two records the newer counts. The record is copied, unless it
 * is NULL. 0, -ENOMEM, or -E2BIG (larger than any table can be). */
int names_list_add(struct names_list *list, const struct name_entry *what);

/* Replaces the key's entry, whatever it was, and takes the record over. 0; on -ENOMEM or -E2BIG
 * nothing has changed, and the record stays the caller's. */
int names_list_put(struct names_list *list, const struct name_entry *what);

/* The node's horizon of a table: the birth up to which it has forgotten tombstones. */
uint64_t names_view_horizon(const struct names_view *view, uint64_t table);
/* The highest horizon of all nodes whose lists are whole. */
uint64_t names_views_horizon(const struct names_view *views, unsigned count, uint64_t table);

/* Turns into tombstones the names that some node does not have although they were born at or below its
 * horizon: there they were removed and forgotten, and the other nodes' copies are stale. */
void names_list_settle(struct names_list *list, const struct names_view *views, unsigned count);

/* The table for new names; 0: it cannot be told. The highest of which a node that was read has a horizon. If all
 * nodes were read (`all`) and none has a horizon, the highest of any name. Otherwise a name does not tell: it may be
 * from another cluster, whose nodes are away. */
uint64_t names_list_table(const struct names_list *list, const struct names_view *views, unsigned count,
			  bool all);

/* Whether the node has to be given the entry. */
bool names_view_lacks(const struct names_view *view, const struct name_entry *e);

/* What a round would have to do. */
#define NAMES_TABLES_MAX 16
struct names_due {
	unsigned gone; /* tombstones */
	bool uneven;   /* the nodes' horizons differ */
	uint64_t upto; /* the newest birth among these tombstones and horizons */
	uint64_t table[NAMES_TABLES_MAX]; /* their tables */
	unsigned tables;
};

void names_due_find(struct names_due *due, const struct names_list *list,
		    const struct names_view *views, unsigned count);

/* What the nodes answered to a NAME_PUT. */
struct names_votes {
	unsigned nodes; /* in the mount's list */
	unsigned ok, gone, fenced, stale, full, restarted;
	uint64_t newest; /* the highest number in an answer of STALE, FENCED or GONE */
};

void names_votes_add(struct names_votes *votes, int result, uint64_t detail);

/* Whether nodes that took the record are asked again before it counts: RECORDS.md, "When a save counts". */
bool names_votes_count_twice(const struct names_votes *votes);

/* Whether a node may have the record: not all have refused it. */
bool names_votes_may_have(const struct names_votes *votes);

/* Adds the second answer of a node that took the record. `same_life`: the node has not restarted
 * in between. */
void names_votes_add_again(struct names_votes *votes, int result, uint64_t detail, bool same_life);

/*
 * 0: a majority has the record. -EIDRM: the name was removed. -EAGAIN: a new name was born at or below a node's fence
 * or horizon: try under a new key, born after `newest`. -ESTALE: a node has another version: try one after `newest`.
 * -EKEYREVOKED: the fence of an interrupted round keeps it out: do a round first. -ERESTART: a node that
 * had taken it has restarted: ask all again. -ENOSPC: tables are full. -ETIMEDOUT: no majority answered.
 * `creates`: the first save of a new name.
 */
int names_votes_result(const struct names_votes *votes, bool creates);

static inline unsigned names_majority(unsigned nodes)
{
	return nodes / 2 + 1;
}

#endif
