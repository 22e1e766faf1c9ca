// SPDX-License-Identifier: GPL-2.0-or-later
/* watch.c - see watch.h. */
#include "watch.h"
#include "../clock.h"

#include "../gvm_wire.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

struct watch {
	LIST_ENTRY(watch) link;
	uint64_t client;
	uint64_t number;
	uint64_t until_ns;
	bool passed; /* by the writer that waits */
};

static void watch_free(struct watches *w, struct watch *watch)
{
	assert(w->count);
	LIST_REMOVE(watch, link);
	w->count--;
	free(watch);
}

static struct watch *watch_find(const struct watches *w, uint64_t client)
{
	struct watch *watch;

	LIST_FOREACH (watch, &w->list, link)
		if (watch->client == client)
			return watch;
	return NULL;
}

static void lapsed_free(struct watches *w, uint64_t now_ns)
{
	struct watch *watch = LIST_FIRST(&w->list), *next;

	for (; watch; watch = next) {
		next = LIST_NEXT(watch, link);
		if (watch->until_ns <= now_ns)
			watch_free(w, watch);
	}
}

uint16_t watches_renew(struct watches *w, uint64_t client, uint64_t number, uint64_t now_ns,
		       uint64_t *barred)
{
	struct watch *watch = watch_find(w, client);

	if (w->claim_until_ns > now_ns && w->claimer != client) {
		*barred = watch && !watch->passed && watch->until_ns > now_ns;
		return GVM_ERR_WATCHED;
	}
	if (!watch) {
		lapsed_free(w, now_ns);
		if (w->count == WATCH_MAX)
			return GVM_ERR_NOSPACE;
		watch = calloc(1, sizeof(*watch));
		if (!watch)
			return GVM_ERR_NOSPACE;
		watch->client = client;
		LIST_INSERT_HEAD(&w->list, watch, link);
		w->count++;
	}
	if (number > watch->number)
		watch->number = number;
	watch->until_ns = now_ns + WATCH_NS;
	watch->passed = false;
	return GVM_OK;
}

void watches_pass(struct watches *w, uint64_t client, uint64_t number, uint64_t now_ns)
{
	struct watch *watch = watch_find(w, client);

	if (!watch || watch->number > number || w->claim_until_ns <= now_ns)
		return;
	watch->passed = true;
	watch->until_ns = now_ns + WATCH_NS;
}

void watches_end(struct watches *w, uint64_t client, uint64_t number)
{
	struct watch *watch = watch_find(w, client);

	if (watch && watch->number <= number)
		watch_free(w, watch);
}

bool watches_bar(struct watches *w, uint64_t client, uint64_t now_ns)
{
	struct watch *watch;

	lapsed_free(w, now_ns);
	if (w->claim_until_ns <= now_ns)
		watches_attached(w); /* the writer that they let pass has not attached */
	LIST_FOREACH (watch, &w->list, link) {
		if (watch->client == client || watch->passed)
			continue;
		if (w->claim_until_ns > now_ns && w->claimer != client)
			return true; /* another writer waits already, and this one for its watch */
		w->claimer = client;
		w->claim_until_ns = now_ns + WATCH_CLAIM_NS;
		return true;
	}
	return w->unknown_until_ns > now_ns;
}

void watches_unknown(struct watches *w, uint64_t now_ns)
{
	w->unknown_until_ns = now_ns + WATCH_NS;
}

void watches_attached(struct watches *w)
{
	struct watch *watch;

	w->claim_until_ns = 0;
	LIST_FOREACH (watch, &w->list, link)
		watch->passed = false;
}

void watches_deinit(struct watches *w)
{
	while (!LIST_EMPTY(&w->list))
		watch_free(w, LIST_FIRST(&w->list));
}
