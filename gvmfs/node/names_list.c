// SPDX-License-Identifier: GPL-2.0-or-later
/* names_list.c - see names_list.h. */
#include "names_list.h"

#include "names_mutant.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LIST_BYTES_MAX (512u << 20)

void names_list_free(struct names_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->entry[i].record);
	free(list->entry);
	*list = (struct names_list){ 0 };
}

/* The index of a key, or where it has to be inserted. */
static size_t entry_place(const struct names_list *list, const struct gvm_id *key)
{
	size_t from = 0, to = list->count;

	/* Nodes list in order of the keys: the end is the likeliest place. */
	if (to && memcmp(list->entry[to - 1].key.b, key->b, sizeof(key->b)) < 0)
		return to;
	while (from < to) {
		size_t at = (from + to) / 2;

		if (memcmp(list->entry[at].key.b, key->b, sizeof(key->b)) < 0)
			from = at + 1;
		else
			to = at;
	}
	return from;
}

static struct name_entry *entry_find(const struct names_list *list, const struct gvm_id *key)
{
	size_t at = entry_place(list, key);

	return at < list->count && gvm_id_equal(&list->entry[at].key, key) ? &list->entry[at] : NULL;
}

const struct name_entry *names_list_find(const struct names_list *list, const struct gvm_id *key)
{
	return entry_find(list, key);
}

struct name_entry *names_list_entry(struct names_list *list, const struct gvm_id *key)
{
	return entry_find(list, key);
}

static struct name_entry *entry_insert(struct names_list *list, const struct gvm_id *key)
{
	size_t at = entry_place(list, key);

	if (list->count == list->room) {
		size_t more = list->room ? 2 * list->room : 64;
		struct name_entry *bigger = realloc(list->entry, more * sizeof(*bigger));

		if (!bigger)
			return NULL;
		list->entry = bigger;
		list->room = more;
	}
	memmove(&list->entry[at + 1], &list->entry[at],
		(list->count++ - at) * sizeof(*list->entry));
	list->entry[at] = (struct name_entry){ .key = *key };
	return &list->entry[at];
}

static void entry_bury(struct name_entry *e)
{
	free(e->record);
	e->record = NULL;
	e->bytes = 0;
}

int names_list_add(struct names_list *list, const struct name_entry *what)
{
	struct name_entry *e = entry_find(list, &what->key);
	uint32_t kept = what->record ? what->bytes : 0;
	uint8_t *copy = NULL;

	if (e && !what->bytes) {
		entry_bury(e);
		return 0;
	}
	if (e && (!e->bytes || (e->version >= what->version && !NAMES_MUTANT(LISTED_LAST_COUNTS))))
		return 0;
	if (list->bytes + sizeof(*e) + kept > LIST_BYTES_MAX)
		return -E2BIG;
	list->bytes += sizeof(*e) + kept;
	if (kept) {
		copy = malloc(kept);
		if (!copy)
			return -ENOMEM;
		memcpy(copy, what->record, kept);
	}
	if (!e)
		e = entry_insert(list, &what->key);
	if (!e) {
		free(copy);
		return -ENOMEM;
	}
	free(e->record);
	*e = *what;
	e->record = copy;
	return 0;
}

int names_list_put(struct names_list *list, const struct name_entry *what)
{
	struct name_entry *e = entry_find(list, &what->key);
	uint64_t before = e ? sizeof(*e) + e->bytes : 0; /* roughly: not every entry's record was counted */
	uint64_t bytes = list->bytes - (before < list->bytes ? before : list->bytes) + sizeof(*e) + what->bytes;

	if (bytes > LIST_BYTES_MAX)
		return -E2BIG;
	if (!e)
		e = entry_insert(list, &what->key);
	if (!e)
		return -ENOMEM;
	list->bytes = bytes;
	free(e->record);
	*e = *what;
	return 0;
}

uint64_t names_view_horizon(const struct names_view *view, uint64_t table)
{
	struct gvm_id key = { { 0 } };
	const struct name_entry *e;

	gvm_store_le(key.b + 8, table, 8);
	e = entry_find(&view->has, &key);
	if (NAMES_MUTANT(TABLES_COMPARED) && !e && view->has.count &&
	    gvm_name_is_horizon(&view->has.entry[0].key))
		e = &view->has.entry[0];
	return e ? e->born : 0;
}

uint64_t names_views_horizon(const struct names_view *views, unsigned count, uint64_t table)
{
	uint64_t highest = 0;

	for (unsigned v = 0; v < count; v++) {
		uint64_t its = views[v].whole ? names_view_horizon(&views[v], table) : 0;

		if (its > highest)
			highest = its;
	}
	return highest;
}

static bool view_has_forgotten(const struct names_view *view, const struct name_entry *e)
{
	return !NAMES_MUTANT(OLD_COPIES_COUNT) && (view->whole || NAMES_MUTANT(LISTS_IN_PART)) &&
	       e->born <= names_view_horizon(view, e->table) && !entry_find(&view->has, &e->key);
}

void names_list_settle(struct names_list *list, const struct names_view *views, unsigned count)
{
	for (size_t i = 0; i < list->count; i++)
		for (unsigned v = 0; v < count && list->entry[i].bytes; v++)
			if (view_has_forgotten(&views[v], &list->entry[i]))
				entry_bury(&list->entry[i]);
}

uint64_t names_list_table(const struct names_list *list, const struct names_view *views, unsigned count,
			  bool all)
{
	uint64_t highest = 0;

	for (unsigned v = 0; v < count; v++)
		for (size_t i = 0; views[v].whole && i < views[v].has.count &&
				   gvm_name_is_horizon(&views[v].has.entry[i].key);
		     i++)
			if (views[v].has.entry[i].table > highest)
				highest = views[v].has.entry[i].table;
	if (highest || !(all || NAMES_MUTANT(TABLE_OF_ANY_NAME)))
		return highest;
	for (size_t i = 0; i < list->count; i++)
		if (list->entry[i].table > highest)
			highest = list->entry[i].table;
	return highest;
}

bool names_view_lacks(const struct names_view *view, const struct name_entry *e)
{
	const struct name_entry *its = entry_find(&view->has, &e->key);

	if (!its)
		return e->born > names_view_horizon(view, e->table);
	if (!e->bytes)
		return its->bytes && !NAMES_MUTANT(HEAL_WITHOUT_GONE);
	return its->version < e->version;
}

static void due_add(struct names_due *due, uint64_t table, uint64_t born)
{
	unsigned i = 0;

	while (i < due->tables && due->table[i] != table)
		i++;
	if (i == NAMES_TABLES_MAX)
		return; /* left to a later round */
	due->table[i] = table;
	if (i == due->tables)
		due->tables++;
	if (born > due->upto)
		due->upto = born;
}

static bool horizon_is_uneven(const struct names_view *views, unsigned count,
			      const struct name_entry *horizon)
{
	bool uneven = false;

	for (unsigned v = 0; v < count; v++)
		uneven |= views[v].whole &&
			  names_view_horizon(&views[v], horizon->table) < horizon->born;
	return uneven;
}

static void due_add_horizons(struct names_due *due, const struct names_view *views, unsigned count,
			     bool uneven)
{
	for (unsigned v = 0; v < count; v++)
		for (size_t i = 0; views[v].whole && i < views[v].has.count; i++) {
			const struct name_entry *e = &views[v].has.entry[i];

			if (!gvm_name_is_horizon(&e->key))
				break;
			if (horizon_is_uneven(views, count, e) != uneven)
				continue;
			due->uneven |= uneven && !NAMES_MUTANT(HORIZONS_UNEVEN);
			due_add(due, e->table, e->born);
		}
}

void names_due_find(struct names_due *due, const struct names_list *list,
		    const struct names_view *views, unsigned count)
{
	*due = (struct names_due){ 0 };
	/* Tables with work first, so that each gets its turn however many tables there are. */
	for (size_t i = 0; i < list->count; i++)
		if (!list->entry[i].bytes) {
			due->gone++;
			due_add(due, list->entry[i].table, list->entry[i].born);
		}
	due_add_horizons(due, views, count, true);
	due_add_horizons(due, views, count, false);
}

void names_votes_add(struct names_votes *votes, int result, uint64_t detail)
{
	votes->ok += result == 0;
	votes->gone += result == -EIDRM;
	votes->fenced += result == -EKEYREVOKED;
	votes->stale += result == -ESTALE;
	votes->full += result == -ENOSPC;
	if ((result == -EIDRM || result == -EKEYREVOKED || result == -ESTALE) &&
	    detail > votes->newest)
		votes->newest = detail;
}

bool names_votes_count_twice(const struct names_votes *votes)
{
	return votes->nodes > 1 && !NAMES_MUTANT(VOTES_COUNT_ONCE);
}

bool names_votes_may_have(const struct names_votes *votes)
{
	return votes->gone + votes->fenced + votes->full < votes->nodes;
}

void names_votes_add_again(struct names_votes *votes, int result, uint64_t detail, bool same_life)
{
	same_life |= NAMES_MUTANT(VOTES_OF_DEAD_LIVES);
	if (result == -EIDRM)
		names_votes_add(votes, result, detail);
	else if (same_life && (result == 0 || result == -ESTALE))
		votes->ok++; /* -ESTALE: a newer record is in its place, which is as good */
	else if (!same_life)
		votes->restarted++;
}

int names_votes_result(const struct names_votes *votes, bool creates)
{
	/* A single node that has the tombstone, or has forgotten it, outweighs a majority, of which some nodes may
	 * have restarted. */
	if (votes->gone && !NAMES_MUTANT(GONE_OUTVOTED))
		return creates ? -EAGAIN : -EIDRM;
	if (votes->ok >= names_majority(votes->nodes))
		return 0;
	if (votes->restarted)
		return -ERESTART;
	if (votes->fenced)
		return creates ? -EAGAIN : -EKEYREVOKED;
	if (votes->stale)
		return -ESTALE;
	return votes->full ? -ENOSPC : -ETIMEDOUT;
}
