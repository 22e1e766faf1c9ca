/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * names_list.h - what nodes say of the name table, put together: which names there are, which are
 * gone, what each node has to be told, and whether a change counts.
 *
 * Pure code, the half of the rules in RECORDS.md that clients keep; the other half is the nodes'
 * (memnode/daemon/names.c). tests/names has a model of the two together.
 */
#ifndef GVMFS_NAMES_LIST_H
#define GVMFS_NAMES_LIST_H

#include "gvm_wire.h"

/* A record as nodes hold it. */
struct name_entry {
	struct gvm_id key;
	uint64_t table, born, version;
	uint32_t bytes; /* 0: a tombstone */
	uint8_t *record; /* malloc()ed; NULL in a tombstone, and in what is kept of one node */
};

/* Sorted by key, each once. */
struct names_list {
	struct name_entry *entry;
	size_t count, room;
	size_t bytes; /* that all of it took, about */
};

/* What one node has, to see what it misses. */
struct names_view {
	struct names_list has; /* without the records; horizons as they were listed */
	bool whole; /* all of it was read */
	uint64_t stamp; /* what it was like then: memnode/PROTOCOL.md; 0: not known */
	bool changes;	/* only what had changed since the reading before */
};

void names_list_free(struct names_list *list);
const struct name_entry *names_list_find(const struct names_list *list, const struct gvm_id *key);
struct name_entry *names_list_entry(struct names_list *list, const struct gvm_id *key);

/* Takes an entry in: a tombstone is final, of two records the newer counts. Its record is copied, and
 * left out where it is NULL. 0, -ENOMEM, or -E2BIG (no table has so many). */
int names_list_add(struct names_list *list, const struct name_entry *what);

/* Puts an entry in the place of what was there, whatever it was; takes its record over. 0, -ENOMEM or -E2BIG:
 * nothing has changed, and the record is the caller's. */
int names_list_put(struct names_list *list, const struct name_entry *what);

/* Up to which birth the node has forgotten what was removed from a table. */
uint64_t names_view_horizon(const struct names_view *view, uint64_t table);
/* The same of all nodes that were read: the highest. */
uint64_t names_views_horizon(const struct names_view *views, unsigned count, uint64_t table);

/* Makes tombstones of the names that a node no longer has although its horizon has passed their
 * birth: there it was removed and forgotten, and what others have is an old copy. */
void names_list_settle(struct names_list *list, const struct names_view *views, unsigned count);

/* The table that new names belong in, as far as can be told; 0: it cannot. One of which a node that
 * was read has a horizon: then what was read is as late as that. Or, if all nodes were read and none has
 * a horizon, the highest there is. A name alone may be of another cluster, whose node is away. */
uint64_t names_list_table(const struct names_list *list, const struct names_view *views, unsigned count,
			  bool all);

/* Whether the node is to be given the entry. */
bool names_view_lacks(const struct names_view *view, const struct name_entry *e);

/* What a round would be good for. */
#define NAMES_TABLES_MAX 16
struct names_due {
	unsigned gone; /* tombstones */
	bool uneven;   /* a node does not know what another has forgotten */
	uint64_t upto; /* the newest birth of these */
	uint64_t table[NAMES_TABLES_MAX]; /* theirs */
	unsigned tables;
};

void names_due_find(struct names_due *due, const struct names_list *list,
		    const struct names_view *views, unsigned count);

/* What the nodes answered to a NAME_PUT. */
struct names_votes {
	unsigned nodes; /* of the list */
	unsigned ok, gone, fenced, stale, full, restarted;
	uint64_t newest; /* that STALE, FENCED, GONE named as newer */
};

void names_votes_add(struct names_votes *votes, int result, uint64_t detail);

/* Whether those who have taken it are asked again before it counts: RECORDS.md, "When a save counts". */
bool names_votes_count_twice(const struct names_votes *votes);

/* A node has it, or may have: not all have refused it. */
bool names_votes_may_have(const struct names_votes *votes);

/* Of one that had taken it, and was asked again when a majority had. `same_life`: it has not restarted
 * in between. */
void names_votes_add_again(struct names_votes *votes, int result, uint64_t detail, bool same_life);

/*
 * 0: a majority has it. -EIDRM: the name was removed. -EAGAIN: it was born too late to be made: under
 * a new key, and born after `newest`. -ESTALE: another version is there: once more, after `newest`.
 * -EKEYREVOKED: a round that was cut short keeps it out; one must be conducted first. -ERESTART: one that
 * had taken it has restarted; all are asked anew. -ENOSPC, -ETIMEDOUT. `creates`: the first save of a new
 * name.
 */
int names_votes_result(const struct names_votes *votes, bool creates);

static inline unsigned names_majority(unsigned nodes)
{
	return nodes / 2 + 1;
}

#endif
