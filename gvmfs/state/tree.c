// SPDX-License-Identifier: GPL-2.0-or-later
/* tree.c - see tree.h. */
#include "tree.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static uint32_t id_hash(const struct gvm_id *id)
{
	return (uint32_t)XXH3_64bits(id->b, sizeof(id->b)) % TREE_HEADS;
}

static uint32_t name_hash(const struct gvm_id *parent, const char *name)
{
	return (uint32_t)XXH3_64bits_withSeed(name, strlen(name), XXH3_64bits(parent->b, sizeof(parent->b))) %
	       TREE_HEADS;
}

/* ---- folders */

static struct tree_folder *folder_find(const struct tree *t, const struct gvm_id *id)
{
	struct tree_folder *f = t->folders[id_hash(id)];

	while (f && !gvm_id_equal(&f->id, id))
		f = f->next;
	return f;
}

static struct tree_folder *folder_make(struct tree *t, const struct gvm_id *id)
{
	struct tree_folder *f = folder_find(t, id), **head = &t->folders[id_hash(id)];

	if (f)
		return f;
	f = calloc(1, sizeof(*f));
	if (!f)
		return NULL;
	f->id = *id;
	f->next = *head;
	*head = f;
	return f;
}

static void folder_leave(struct tree *t, const struct gvm_id *id, unsigned nr)
{
	struct tree_folder *f = folder_find(t, id), **link = &t->folders[id_hash(id)];

	assert(f && f->child[nr / 64] >> nr % 64 & 1);
	f->child[nr / 64] &= ~(1ull << nr % 64);
	if (--f->count)
		return;
	while (*link != f)
		link = &(*link)->next;
	*link = f->next;
	free(f);
}

/* ---- entries */

static void unchain(uint32_t *head, struct tree *t, unsigned nr, bool by_name)
{
	uint32_t *link = head;

	while (*link != nr + 1) {
		struct tree_entry *e = &t->entry[*link - 1];

		link = by_name ? &e->name_next : &e->id_next;
	}
	*link = by_name ? t->entry[nr].name_next : t->entry[nr].id_next;
}

static void unname(struct tree *t, unsigned nr)
{
	struct tree_entry *e = &t->entry[nr];

	if (!e->named)
		return;
	unchain(&t->name_first[e->name_hash], t, nr, true);
	folder_leave(t, &e->parent, nr);
	e->named = false;
}

void tree_remove(struct tree *t, unsigned nr)
{
	struct tree_entry *e = &t->entry[nr];

	unname(t, nr);
	if (!e->used)
		return;
	unchain(&t->id_first[e->id_hash], t, nr, false);
	e->used = false;
	t->used[nr / 64] &= ~(1ull << nr % 64);
	t->count--;
}

static bool name_put(struct tree *t, unsigned nr, const struct record *rec)
{
	struct tree_entry *e = &t->entry[nr];
	struct tree_folder *f = folder_make(t, &rec->parent);

	if (!f)
		return false;
	f->child[nr / 64] |= 1ull << nr % 64;
	f->count++;
	e->parent = rec->parent;
	e->name_hash = name_hash(&rec->parent, rec->name);
	e->name_next = t->name_first[e->name_hash];
	t->name_first[e->name_hash] = nr + 1;
	e->named = true;
	return true;
}

bool tree_put(struct tree *t, unsigned nr, const struct record *rec, bool named)
{
	struct tree_entry *e = &t->entry[nr];

	tree_remove(t, nr);
	e->id_hash = id_hash(&rec->id);
	e->id_next = t->id_first[e->id_hash];
	t->id_first[e->id_hash] = nr + 1;
	e->used = true;
	t->used[nr / 64] |= 1ull << nr % 64;
	t->count++;
	return !named || name_put(t, nr, rec);
}

void tree_deinit(struct tree *t)
{
	for (unsigned nr = 0; nr < JOURNAL_INODES; nr++)
		tree_remove(t, nr);
}

/* ---- looking up */

unsigned tree_id_first(const struct tree *t, const struct gvm_id *id)
{
	return t->id_first[id_hash(id)] - 1;
}

unsigned tree_id_next(const struct tree *t, unsigned nr)
{
	return t->entry[nr].id_next - 1;
}

unsigned tree_name_first(const struct tree *t, const struct gvm_id *parent, const char *name)
{
	return t->name_first[name_hash(parent, name)] - 1;
}

unsigned tree_name_next(const struct tree *t, unsigned nr)
{
	return t->entry[nr].name_next - 1;
}

unsigned tree_child(const struct tree *t, const struct gvm_id *folder, unsigned nr)
{
	const struct tree_folder *f = folder_find(t, folder);

	for (unsigned w = nr / 64; f && w < TREE_WORDS; w++) {
		uint64_t left = f->child[w] & (w == nr / 64 ? ~0ull << nr % 64 : ~0ull);

		if (left)
			return w * 64 + (unsigned)__builtin_ctzll(left);
	}
	return TREE_NONE;
}

unsigned tree_free(const struct tree *t)
{
	for (unsigned w = 0; w < TREE_WORDS; w++)
		if (~t->used[w])
			return w * 64 + (unsigned)__builtin_ctzll(~t->used[w]);
	return TREE_NONE;
}
