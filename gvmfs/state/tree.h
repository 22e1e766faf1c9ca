/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tree.h - hash tables over the journal's entries: by id, by name in a folder, and by folder.
 *
 * The journal has all of that, but a search through its inodes takes a cache miss for each: with
 * thousands of files, a listing would delay every fault behind it. The tables are in the worker's
 * memory; a successor rebuilds them. They hold entry numbers and hashes: the caller has to compare the
 * id or name, since two may have the same hash. Front thread only.
 */
#ifndef GVMFS_TREE_H
#define GVMFS_TREE_H

#include "journal.h"

#define TREE_NONE  0xffffffffu
#define TREE_HEADS 8192u /* a power of two */
#define TREE_WORDS (JOURNAL_INODES / 64u)

/* An entry as it was when it was added: its record may have changed since. */
struct tree_entry {
	uint32_t id_next, name_next; /* the next entry with the same hash, + 1; 0: none */
	uint32_t id_hash, name_hash;
	struct gvm_id parent;
	bool used, named;
};

/* The entries of one folder; the folder itself need not have an entry (yet). */
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
	unsigned count; /* of used entries */
};

/* Puts an entry into the tables by its record, taking it out of where it was before; `named`: also by name and folder.
 * False: no memory, and it can be found by id only. */
bool tree_put(struct tree *t, unsigned nr, const struct record *rec, bool named);
void tree_remove(struct tree *t, unsigned nr);
void tree_deinit(struct tree *t);

/* Candidates for an id, or for a name in a folder: the first, and the one after nr; TREE_NONE: no more. */
unsigned tree_id_first(const struct tree *t, const struct gvm_id *id);
unsigned tree_id_next(const struct tree *t, unsigned nr);
unsigned tree_name_first(const struct tree *t, const struct gvm_id *parent, const char *name);
unsigned tree_name_next(const struct tree *t, unsigned nr);

/* The folder's first entry with a number >= nr; TREE_NONE: none. */
unsigned tree_child(const struct tree *t, const struct gvm_id *folder, unsigned nr);
/* The lowest unused entry number; TREE_NONE: all are used. */
unsigned tree_free(const struct tree *t);

#endif
