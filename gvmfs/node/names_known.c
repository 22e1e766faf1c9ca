// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * names_known.c - see names_known.h.
 *
 * If every node that answered the last time lists changes only, no horizon among them, and no other node answers,
 * then only the listed keys can have another outcome than before: only these are judged anew, from what each node
 * is known to have. A new horizon, or a node that stops answering, may concern any key: then all are judged.
 */
#include "names_known.h"

#include "names_mutant.h"

#include <errno.h>
#include <stdlib.h>

int names_known_init(struct names_known *known, unsigned count)
{
	*known = (struct names_known){ .count = count };
	known->views = calloc(count, sizeof(*known->views));
	return known->views ? 0 : -ENOMEM;
}

/* The records of `news` belong to `all`: they are not freed. */
static void news_clear(struct names_known *known)
{
	for (size_t i = 0; i < known->news.count; i++)
		known->news.entry[i].record = NULL;
	names_list_free(&known->news);
	known->in_part = false;
}

void names_known_drop(struct names_known *known)
{
	news_clear(known);
	for (unsigned v = 0; v < known->count; v++) {
		names_list_free(&known->views[v].has);
		known->views[v] = (struct names_view){ 0 };
	}
	names_list_free(&known->all);
	known->healed = false;
}

void names_known_deinit(struct names_known *known)
{
	if (known->views)
		names_known_drop(known);
	free(known->views);
	*known = (struct names_known){ 0 };
}

uint64_t names_known_since(const struct names_known *known, unsigned node)
{
	return known->views && known->views[node].whole ? known->views[node].stamp : 0;
}

/* Whether, because of this node, only the keys that it listed now can have another outcome than before. */
static bool view_changes_in_part(const struct names_view *view, const struct names_view *now)
{
	if (view->whole && now->whole)
		return now->changes;
	return !view->whole && !view->has.count && !now->whole && !now->has.count;
}

/* Updates what a node has. Of an incomplete list, the entries count, but missing ones say nothing. */
static int view_take(struct names_view *view, const struct names_view *now, bool *in_part)
{
	*in_part &= view_changes_in_part(view, now);
	if (!now->whole && NAMES_MUTANT(KNOWN_OF_THE_ABSENT))
		return 0;
	if (!now->whole || !now->changes || NAMES_MUTANT(CHANGES_ONLY))
		names_list_free(&view->has);
	view->whole = now->whole;
	view->stamp = now->stamp;
	for (size_t i = 0; i < now->has.count; i++) {
		int r = names_list_put(&view->has, &now->has.entry[i]);

		if (r < 0)
			return r;
		if (gvm_name_is_horizon(&now->has.entry[i].key))
			*in_part = false;
	}
	return 0;
}

/* Moves an entry's record over from another list. -EAGAIN: that list does not have it in this version. */
static int record_take(struct name_entry *e, struct names_list *from)
{
	struct name_entry *its = names_list_entry(from, &e->key);

	if (!its || !its->record || its->version != e->version)
		return -EAGAIN;
	*e = *its;
	its->record = NULL;
	return 0;
}

static int records_take(struct names_list *list, struct names_list *listed, struct names_list *before)
{
	for (size_t i = 0; i < list->count; i++) {
		struct name_entry *e = &list->entry[i];

		if (e->bytes && record_take(e, listed) < 0 && record_take(e, before) < 0)
			return -EAGAIN;
	}
	return 0;
}

/* Settles what counts for all keys; without the records. */
static int judge_all(const struct names_known *known, struct names_list *all)
{
	for (unsigned v = 0; v < known->count; v++)
		for (size_t i = 0; i < known->views[v].has.count; i++) {
			const struct name_entry *e = &known->views[v].has.entry[i];
			int r = gvm_name_is_horizon(&e->key) ? 0 : names_list_add(all, e);

			if (r < 0)
				return r;
		}
	names_list_settle(all, known->views, known->count);
	return 0;
}

/* The same for the keys that were listed. */
static int judge_listed(const struct names_known *known, const struct names_list *listed,
			struct names_list *news)
{
	for (size_t i = 0; i < listed->count; i++)
		for (unsigned v = 0; v < known->count; v++) {
			const struct name_entry *e =
				names_list_find(&known->views[v].has, &listed->entry[i].key);
			int r = e ? names_list_add(news, e) : 0;

			if (r < 0)
				return r;
		}
	names_list_settle(news, known->views, known->count);
	return 0;
}

static int take_all(struct names_known *known, struct names_list *listed)
{
	struct names_list all = { 0 };
	int r = judge_all(known, &all);

	if (!r)
		r = records_take(&all, listed, &known->all);
	names_list_free(&known->all);
	known->all = all;
	return r;
}

/* Updates `all` by the listed keys; `news` then borrows their records from it. */
static int take_listed(struct names_known *known, struct names_list *listed)
{
	struct names_list *news = &known->news;
	int r = judge_listed(known, listed, news);

	known->in_part = true;
	if (!r)
		r = records_take(news, listed, &known->all);
	for (size_t i = 0; i < news->count; i++) {
		struct name_entry *e = &news->entry[i];

		if (!r)
			r = names_list_put(&known->all, e);
		if (r < 0) {
			free(e->record);
			e->record = NULL;
		}
	}
	return r;
}

int names_known_take(struct names_known *known, const struct names_view *now, struct names_list *listed)
{
	bool in_part = true;
	int r = 0;

	news_clear(known);
	for (unsigned v = 0; v < known->count && !r; v++)
		r = view_take(&known->views[v], &now[v], &in_part);
	if (!r)
		r = in_part ? take_listed(known, listed) : take_all(known, listed);
	if (r < 0)
		names_known_drop(known);
	return r;
}
