// SPDX-License-Identifier: GPL-2.0-or-later
/* resident_chunk.c - a chunk of resident.h and its pages: lists, counters, page tables, hashes. No
 * policy. */
#include "base/log.h"
#include "base/mutant.h"
#include "page_run.h"
#include "resident_priv.h"
#include "xxh.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STRANGERS_MAX 64u /* attempts to put pages in where another process keeps putting its own */

/* Lists. */

void chunk_unlist(struct resident *r, uint64_t c)
{
	struct chunk *k = &r->chunk[c];
	struct chunk_list *l = &r->lists[k->list];

	if (k->list == LIST_NONE)
		return;
	assert(l->count && l->head && l->tail);
	*(k->prev ? &r->chunk[k->prev - 1].next : &l->head) = k->next;
	*(k->next ? &r->chunk[k->next - 1].prev : &l->tail) = k->prev;
	k->list = LIST_NONE;
	k->next = k->prev = 0;
	l->count--;
}

void chunk_enlist(struct resident *r, uint64_t c, enum chunk_list_id list)
{
	struct chunk *k = &r->chunk[c];
	struct chunk_list *l = &r->lists[list];

	chunk_unlist(r, c);
	k->list = (uint8_t)list;
	k->prev = l->tail;
	*(l->tail ? &r->chunk[l->tail - 1].next : &l->head) = (uint32_t)c + 1;
	l->tail = (uint32_t)c + 1;
	l->count++;
}

void chunk_enlist_first(struct resident *r, uint64_t c, enum chunk_list_id list)
{
	struct chunk *k = &r->chunk[c];
	struct chunk_list *l = &r->lists[list];

	chunk_unlist(r, c);
	k->list = (uint8_t)list;
	k->next = l->head;
	*(l->head ? &r->chunk[l->head - 1].prev : &l->tail) = (uint32_t)c + 1;
	l->head = (uint32_t)c + 1;
	l->count++;
}

void chunk_set_state(struct resident *r, uint64_t c, enum chunk_state state)
{
	struct chunk *k = &r->chunk[c];

	r->busy += state != CHUNK_ABSENT;
	assert(r->busy || k->state == CHUNK_ABSENT);
	r->busy -= k->state != CHUNK_ABSENT;
	if (k->state == CHUNK_EVICTING)
		r->going -= chunk_here(r, c);
	if (state == CHUNK_EVICTING)
		r->going += chunk_here(r, c);
	k->state = (uint8_t)state;
	assert(r->busy <= r->chunks && r->going <= r->here);
}

uint64_t chunk_touched(struct resident *r, uint64_t c)
{
	uint64_t at = c * sizeof(*r->mark), end;

	if (c >= r->touched && c < r->touched_end)
		return c;
	if (c >= r->chunks || !r->env->data(r, SESSION_MARKS, &at, &end) || at >= r->chunks * sizeof(*r->mark))
		return r->chunks;
	r->touched = at / sizeof(*r->mark);
	r->touched_end = end / sizeof(*r->mark);
	if (r->touched_end > r->chunks)
		r->touched_end = r->chunks;
	return r->touched;
}

/* Pages. */

uint32_t chunk_pages(const struct resident *r, uint64_t c)
{
	uint64_t left = (r->bytes - c * GVM_CHUNK_BYTES) / GVM_PAGE_BYTES;

	return left >= GVM_CHUNK_PAGES ? ~0u : (1u << left) - 1;
}

unsigned chunk_here(const struct resident *r, uint64_t c)
{
	return (unsigned)__builtin_popcount(r->mark[c].filled & r->mark[c].coming & chunk_pages(r, c));
}

/* The number of the chunk's pages that are here was `before`: brings the counters up to date. */
static void recount(struct resident *r, uint64_t c, unsigned before)
{
	unsigned after = chunk_here(r, c);

	r->here += after;
	assert(r->here >= before);
	r->here -= before;
	if (r->chunk[c].state == CHUNK_EVICTING) {
		r->going += after;
		r->going -= before;
	}
	assert(r->going <= r->here);
	if (after < before && !mutant("room-untold"))
		resident_ios_look(r);
	if (after != before)
		r->env->mark64(r, &r->kept->here, r->here);
	if (r->here > *r->peak && !r->recovering)
		*r->peak = r->here;
}

static void coming_set(struct resident *r, uint64_t c, uint32_t pages)
{
	if (r->mark[c].coming != pages)
		r->env->mark32(r, &r->mark[c].coming, pages);
}

void chunk_fill(struct resident *r, uint64_t c, uint32_t pages)
{
	unsigned before = chunk_here(r, c);

	r->brought += (unsigned)__builtin_popcount(pages & ~r->mark[c].filled);
	r->env->mark32(r, &r->mark[c].filled, r->mark[c].filled | pages);
	recount(r, c, before);
}

void chunk_mark_holes(struct resident *r, uint64_t c, uint32_t pages, bool holes)
{
	unsigned before = chunk_here(r, c);

	coming_set(r, c, holes ? r->mark[c].coming & ~pages : r->mark[c].coming | pages);
	recount(r, c, before);
}

void chunk_forget(struct resident *r, uint64_t c)
{
	struct chunk *k = &r->chunk[c];
	unsigned before;

	chunk_unlist(r, c);
	chunk_set_state(r, c, CHUNK_ABSENT);
	before = chunk_here(r, c);
	r->env->mark32(r, &r->mark[c].filled, 0);
	r->env->mark32(r, &r->mark[c].coming, 0);
	hashes_forget(r, c);
	k->ahead = k->replayed = false;
	k->streamed = false;
	k->rotten = k->lost = k->whole = k->several = false;
	k->soon = k->lives = 0;
	recount(r, c, before);
}

void chunk_drop(struct resident *r, uint64_t c)
{
	int error;

	/* The marks first: a successor takes a page that is marked and missing for zeros. */
	if (!mutant("dropped-early"))
		chunk_forget(r, c);
	error = r->env->punch(r, c * GVM_CHUNK_BYTES, GVM_CHUNK_BYTES);
	if (error)
		log_error(r->env->name(r), "cannot return its memory to the kernel: %s", strerror(-error));
	if (mutant("dropped-early"))
		chunk_forget(r, c);
}

int for_page_runs(struct resident *r, uint64_t c, uint32_t pages,
		  int (*act)(struct resident *r, uint64_t c, unsigned first, unsigned n, void *arg),
		  void *arg)
{
	struct page_run run;
	int error = 0;

	while (!error && page_run_take(&pages, &run))
		error = act(r, c, run.first, run.count, arg);
	return error;
}

static int run_punch(struct resident *r, uint64_t c, unsigned first, unsigned n, void *arg)
{
	(void)arg;
	return r->env->punch(r, c * GVM_CHUNK_BYTES + first * GVM_PAGE_BYTES, n * GVM_PAGE_BYTES);
}

int pages_punch(struct resident *r, uint64_t c, uint32_t pages)
{
	return for_page_runs(r, c, pages, run_punch, NULL);
}

/* Pages are about to be put into a chunk. A successor takes it over first: a page that was coming, and is there by then,
 * may be another process's. */
static void putting_begin(struct resident *r, uint64_t c)
{
	r->putting = mutant("putting-untold") ? 0 : c + 1;
	if (r->kept->putting != c + 1)
		r->env->mark64(r, &r->kept->putting, c + 1);
}

/* No page is coming any more that has not come. */
static void coming_end(struct resident *r, uint64_t c)
{
	coming_set(r, c, r->mark[c].coming & r->mark[c].filled);
}

/*
 * Pages are about to be put in. Pages that are at their places already have other content, and are
 * punched out before the new ones are marked as coming: so what a successor finds at such a place
 * is the right page. (`strange`: there is such a page, even if r->env->data() finds none: it leaves
 * out pages that were only allocated.)
 */
static int pages_expect(struct resident *r, uint64_t c, unsigned first, unsigned n, bool strange)
{
	uint64_t begin = c * GVM_CHUNK_BYTES + first * GVM_PAGE_BYTES, data = begin;
	int error = 0;

	coming_end(r, c);
	if (strange ||
	    (r->env->data(r, SESSION_MEMORY, &data, NULL) && data < begin + n * GVM_PAGE_BYTES))
		error = run_punch(r, c, first, n, NULL);
	if (!error && !mutant("unannounced"))
		coming_set(r, c, r->mark[c].coming | page_run_mask(first, n));
	if (mutant("marked-early"))
		chunk_fill(r, c, page_run_mask(first, n));
	return error;
}

/* Ends what pages_expect() began: after an error the pages are no longer marked as coming. */
static int pages_expected(struct resident *r, uint64_t c, int error)
{
	if (error)
		coming_end(r, c);
	r->putting = 0;
	return error;
}

int pages_put(struct resident *r, uint64_t c, unsigned first, unsigned n, const uint8_t *chunk,
	      bool wake)
{
	unsigned strangers = 0;
	int error;

	putting_begin(r, c);
	do {
		unsigned done = 0;

		error = pages_expect(r, c, first, n, strangers > 0);
		if (error)
			break;
		error = r->env->copy(r, c, first, n, chunk, wake, &done);
		chunk_fill(r, c, page_run_mask(first, done));
		first += done;
		n -= done;
		/* -EEXIST: another process has put a page there. It is punched out, and we try
		 * again. */
	} while (error == -EEXIST && ++strangers < STRANGERS_MAX);
	if (!error)
		client_fed(r);
	return pages_expected(r, c, error);
}

static int run_put_hidden(struct resident *r, uint64_t c, unsigned first, unsigned n, void *arg)
{
	const uint8_t *chunk = arg;
	unsigned done = 0;
	int error;

	putting_begin(r, c);
	error = pages_expect(r, c, first, n, false);
	if (!error) {
		error = r->env->copy_hidden(r, c, first, n, chunk, &done);
		chunk_fill(r, c, page_run_mask(first, done));
	}
	return pages_expected(r, c, error);
}

int pages_put_hidden(struct resident *r, uint64_t c, uint32_t pages, const uint8_t *chunk)
{
	return for_page_runs(r, c, pages, run_put_hidden, (void *)(uintptr_t)chunk);
}

static int run_map(struct resident *r, uint64_t c, unsigned first, unsigned n, void *arg)
{
	int error = r->env->map(r, c, first, n);

	(void)arg;
	return error == ENV_MAPPED ? 0 : error;
}

int pages_map(struct resident *r, uint64_t c, uint32_t pages)
{
	return for_page_runs(r, c, pages & chunk_pages(r, c), run_map, NULL);
}

static int run_wake(struct resident *r, uint64_t c, unsigned first, unsigned n, void *arg)
{
	(void)arg;
	r->env->wake(r, c, first, n);
	return 0;
}

void pages_wake(struct resident *r, uint64_t c, uint32_t pages)
{
	for_page_runs(r, c, pages & chunk_pages(r, c), run_wake, NULL);
}

void chunk_activate(struct resident *r, uint64_t c)
{
	chunk_set_state(r, c, CHUNK_RESIDENT);
	chunk_enlist(r, c, LIST_ACTIVE);
}

void chunk_block(struct resident *r, uint64_t c, unsigned page)
{
	struct chunk *k = &r->chunk[c];

	if (k->list == LIST_BLOCKED)
		return;
	k->want_page = (uint8_t)page;
	/* A chunk that has pages waits as RESIDENT: in any other state it could be evicted. */
	if (k->state != CHUNK_ABSENT)
		chunk_set_state(r, c, CHUNK_RESIDENT);
	chunk_enlist(r, c, LIST_BLOCKED);
}

/* Wakes them by one call. Faulters between them that wait for other pages fault again. */
static void pages_wake_span(struct resident *r, uint64_t c, uint32_t pages)
{
	unsigned first;

	pages &= chunk_pages(r, c);
	if (!pages)
		return;
	first = (unsigned)__builtin_ctz(pages);
	r->env->wake(r, c, first, GVM_CHUNK_PAGES - (unsigned)__builtin_clz(pages) - first);
}

void chunk_show(struct resident *r, uint64_t c, unsigned page)
{
	struct chunk *k = &r->chunk[c];
	uint32_t filled = r->mark[c].filled, first = 0;
	bool stale = false;
	int error = 0;

	if (k->state == CHUNK_EVICTING)
		resident_count(r, evictions_ended, 1);
	if (k->state != CHUNK_RESIDENT && !(k->state == CHUNK_EVICTING && mutant("shown-evicting")))
		chunk_activate(r, c);
	if (page != GVM_NO_PAGE) {
		/* The faulter goes on while the other pages are mapped. */
		first = filled & 1u << page;
		chunk_mark_holes(r, c, first, false);
		error = first ? r->env->map(r, c, page, 1) : 0;
		/* It was mapped after the message was sent, and the others with it, or they fault. */
		stale = error == ENV_MAPPED;
		if (error == ENV_MAPPED)
			error = 0;
		if (error == -ENOMEM) {
			client_trouble(r, error);
			chunk_block(r, c, page);
			return;
		}
		pages_wake(r, c, first);
	}
	if (stale)
		return;
	if (!error)
		error = pages_map(r, c, filled & ~chunk_holes(r, c) & ~first);
	if (error)
		client_trouble(r, error);
	if (!error || error == -ENOMEM) /* (those of pages that were not mapped fault again) */
		pages_wake_span(r, c, filled & ~first);
}

/* Hashes: an array with the known ones only, so that a chunk with few pages takes little memory. */

void hash_page(const uint8_t *page, uint64_t seed, XXH128_hash_t *hash)
{
	*hash = XXH3_128bits_withSeed(page, GVM_PAGE_BYTES, seed);
}

void hashes_spread(const struct chunk *k, XXH128_hash_t all[GVM_CHUNK_PAGES])
{
	unsigned n = 0;

	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		if (k->known >> p & 1)
			all[p] = k->hashes[n++];
}

void hashes_forget(struct resident *r, uint64_t c)
{
	struct chunk *k = &r->chunk[c];

	if (k->hashes != r->zero_hashes)
		free(k->hashes);
	k->hashes = NULL;
	k->known = 0;
}

void hashes_learn(struct resident *r, uint64_t c, const XXH128_hash_t *all, uint32_t pages)
{
	struct chunk *k = &r->chunk[c];
	uint32_t known = k->known | pages;
	XXH128_hash_t merged[GVM_CHUNK_PAGES], *hashes;
	unsigned n = 0;

	hashes_spread(k, merged);
	hashes = malloc((size_t)__builtin_popcount(known) * sizeof(*hashes));
	hashes_forget(r, c);
	if (!hashes)
		return; /* no memory: all pages count as changed */
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		if (known >> p & 1)
			hashes[n++] = pages >> p & 1 ? all[p] : merged[p];
	k->hashes = hashes;
	k->known = known;
}
