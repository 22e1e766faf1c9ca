/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tree.h - which entries of the journal have an id, a name in a folder, or are in a folder.
 *
 * The journal has all of that, but to look through its inodes takes a cache miss for each: a mount with
 * thousands of files would hold up every fault behind a listing. What is kept here is in the worker's
 * memory, made anew by a successor. Entries are told apart by number; what they are called is the
 * caller's to compare, since two names may have one hash. Front thread only.
 */
#ifndef GVMFS_TREE_H
#define GVMFS_TREE_H

#include "journal.h"

#define TREE_NONE  0xffffffffu
#define TREE_HEADS 8192u /* a power of two */
#define TREE_WORDS (JOURNAL_INODES / 64u)

/* An entry as it was when it was added: what its record says may have changed since. */
struct tree_entry {
	uint32_t id_next, name_next; /* of those with the same hash: entry + 1; 0: none */
	uint32_t id_hash, name_hash;
	struct gvm_id parent;
	bool used, named;
};

/* The entries that are in one folder, which itself need not be known (yet). */
struct tree_folder {
	struct gvm_id id;
	struct tree_folder *next;
	unsigned count;
	uint64_t child[TREE_WORDS];
};

struct tree {
	uint32_t id_first[TREE_HEADS], name_first[TREE_HEADS]; /* entry + 1; 0: none */
	struct tree_entry entry[JOURNAL_INODES];
	struct tree_folder *folders[TREE_HEADS];
	uint64_t used[TREE_WORDS];
	unsigned count; /* of entries that are used */
};

/* Puts an entry where its record says that it belongs, wherever it was before; `named`: it is in a folder.
 * False: no memory, and it is in none. */
bool tree_put(struct tree *t, unsigned nr, const struct record *rec, bool named);
void tree_remove(struct tree *t, unsigned nr);
void tree_deinit(struct tree *t);

/* The entries that may have an id, or that name in that folder: the first, and the one after nr;
 * TREE_NONE: there is no more. */
unsigned tree_id_first(const struct tree *t, const struct gvm_id *id);
unsigned tree_id_next(const struct tree *t, unsigned nr);
unsigned tree_name_first(const struct tree *t, const struct gvm_id *parent, const char *name);
unsigned tree_name_next(const struct tree *t, unsigned nr);

/* The first entry of a folder with a number of at least nr; TREE_NONE: there is none. */
unsigned tree_child(const struct tree *t, const struct gvm_id *folder, unsigned nr);
/* The lowest number that no entry has; TREE_NONE: all are used. */
unsigned tree_free(const struct tree *t);

#endif
