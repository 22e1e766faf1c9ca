// SPDX-License-Identifier: GPL-2.0-or-later
/* wbufs.c - see wbufs.h. */
#include "wbufs.h"

#include "base/mutant.h"

#include <assert.h>
#include <string.h>

static struct wbuf **bucket_of(const struct wbufs *s, const struct inode *inode, uint64_t chunk)
{
	return (struct wbuf **)&s->buckets[(chunk * 31 + inode->nr * 97) % WBUFS_BUCKETS];
}

enum wbuf_is wbuf_is(const struct wbufs *s, const struct wbuf *wbuf)
{
	switch (wbuf_disk(s, wbuf)->state) {
	case WBUF_OPEN:
		return WBUF_IS_COLLECTING;
	case WBUF_SEALED:
		return wbuf->retry_at_ns ? WBUF_IS_REFUSED : WBUF_IS_SENDING;
	default:
		return WBUF_IS_FREE;
	}
}

static struct wbuf *wbufs_find(const struct wbufs *s, const struct inode *inode, uint64_t chunk, uint32_t state)
{
	struct wbuf *wbuf = *bucket_of(s, inode, chunk);

	for (; wbuf; wbuf = wbuf->next)
		if (wbuf->inode == inode && wbuf_disk(s, wbuf)->chunk == chunk &&
		    wbuf_disk(s, wbuf)->state == state)
			return wbuf;
	return NULL;
}

struct wbuf *wbufs_collecting(const struct wbufs *s, const struct inode *inode, uint64_t chunk)
{
	if (inode->wbufs && mutant("sealed-takes") && wbufs_find(s, inode, chunk, WBUF_SEALED))
		return wbufs_find(s, inode, chunk, WBUF_SEALED);
	return inode->wbufs ? wbufs_find(s, inode, chunk, WBUF_OPEN) : NULL;
}

struct wbuf *wbufs_sealed(const struct wbufs *s, const struct inode *inode, uint64_t chunk)
{
	return inode->wbufs ? wbufs_find(s, inode, chunk, WBUF_SEALED) : NULL;
}

void wbufs_begin(struct wbufs *s)
{
	for (struct wbuf *wbuf = s->wbuf + JOURNAL_WBUFS; wbuf-- != s->wbuf;)
		if (wbuf_disk(s, wbuf)->state == WBUF_FREE) {
			wbuf->next = s->free_list;
			s->free_list = wbuf;
			s->free++;
		}
}

/* The node's place in the table; a free one (with `wbufs` 0) if it has none: there are as many
 * places as wbufs. */
static struct wbufs_node *node_find(const struct wbufs *s, const void *node)
{
	struct wbufs_node *none = NULL;

	for (unsigned i = 0, left = s->nodes_count; i < JOURNAL_WBUFS && (left || !none); i++) {
		struct wbufs_node *of = (struct wbufs_node *)&s->nodes[i];

		if (of->wbufs && of->node == node)
			return of;
		left -= of->wbufs > 0;
		if (!of->wbufs && !none)
			none = of;
	}
	return none;
}

static void node_enter(struct wbufs *s, struct wbuf *wbuf, const void *node)
{
	wbuf->of = node_find(s, node);
	wbuf->of->node = node;
	s->nodes_count += !wbuf->of->wbufs;
	wbuf->of->wbufs++;
}

static void node_leave(struct wbufs *s, struct wbuf *wbuf)
{
	assert(wbuf->of->wbufs);
	wbuf->of->wbufs--;
	s->nodes_count -= !wbuf->of->wbufs;
	wbuf->of = NULL;
}

static void sealed_add(struct wbufs *s, struct wbuf *wbuf, int n)
{
	s->sealed += (unsigned)n;
	wbuf->of->sealed += (unsigned)n;
	assert(wbuf->of->sealed <= wbuf->of->wbufs && wbuf->of->sealed <= s->sealed && s->sealed <= JOURNAL_WBUFS - s->free);
}

/* Makes the wbuf findable by its chunk. */
static void wbuf_insert(struct wbufs *s, struct wbuf *wbuf, struct inode *inode, const void *node, uint64_t now_ns)
{
	struct wbuf **bucket = bucket_of(s, inode, wbuf_disk(s, wbuf)->chunk);

	assert(!wbuf->inode && !wbuf->of);
	wbuf->inode = inode;
	node_enter(s, wbuf, node);
	wbuf->order = ++s->order;
	wbuf->opened_ns = now_ns;
	wbuf->retry_at_ns = 0;
	wbuf->next = *bucket;
	*bucket = wbuf;
	inode->wbufs++;
}

void wbuf_adopt(struct wbufs *s, struct wbuf *wbuf, struct inode *inode, const void *node, uint64_t now_ns)
{
	assert(wbuf_disk(s, wbuf)->state != WBUF_FREE && wbuf_disk(s, wbuf)->inode == inode->nr);
	wbuf_insert(s, wbuf, inode, node, now_ns);
	sealed_add(s, wbuf, wbuf_disk(s, wbuf)->state == WBUF_SEALED);
	if (mutant("wbuf-presence-trusted"))
		wbuf_disk(s, wbuf)->pages = ~0u;
}

void wbuf_renode(struct wbufs *s, struct wbuf *wbuf, const void *node)
{
	int sealed = wbuf_disk(s, wbuf)->state == WBUF_SEALED;

	if (wbuf->of->node == node)
		return;
	sealed_add(s, wbuf, -sealed);
	node_leave(s, wbuf);
	node_enter(s, wbuf, node);
	sealed_add(s, wbuf, sealed);
}

const uint8_t *wbufs_page(const struct wbufs *s, const struct inode *inode, uint64_t chunk, unsigned page)
{
	const struct spill_place *place = spill_find(&s->spill, inode, chunk);
	struct wbuf *wbuf = wbufs_collecting(s, inode, chunk);

	if (place && spill_disk(&s->spill, place)->pages >> page & 1 && !mutant("spill-unread"))
		return spill_data(&s->spill, place) + page * GVM_PAGE_BYTES;
	if (!wbuf || !(wbuf_disk(s, wbuf)->pages >> page & 1) || mutant("older-first"))
		wbuf = wbufs_sealed(s, inode, chunk);
	return wbuf && wbuf_disk(s, wbuf)->pages >> page & 1 ? wbuf_data(s, wbuf) + page * GVM_PAGE_BYTES : NULL;
}

uint32_t wbufs_pages(const struct wbufs *s, const struct inode *inode, uint64_t chunk)
{
	const struct wbuf *collecting = wbufs_collecting(s, inode, chunk), *sealed = wbufs_sealed(s, inode, chunk);
	const struct spill_place *place = spill_find(&s->spill, inode, chunk);

	return (collecting ? wbuf_disk(s, collecting)->pages : 0) | (sealed ? wbuf_disk(s, sealed)->pages : 0) |
	       (place && !mutant("spill-revives") ? spill_disk(&s->spill, place)->pages : 0);
}

uint64_t wbufs_next_chunk(const struct wbufs *s, const struct inode *inode, uint64_t chunk)
{
	uint64_t best = inode->spilled ? spill_next_chunk(&s->spill, inode, chunk) : ~0ull;

	for (unsigned i = 0; inode->wbufs && i < JOURNAL_WBUFS; i++) {
		const struct journal_wbuf *js = &s->disk[i];

		if (js->state != WBUF_FREE && js->inode == inode->nr && js->chunk >= chunk && js->chunk < best)
			best = js->chunk;
	}
	return best;
}

uint64_t wbufs_oldest(const struct wbufs *s, const struct inode *inode)
{
	uint64_t oldest = spill_oldest(&s->spill, inode);

	for (unsigned i = 0; inode->wbufs && i < JOURNAL_WBUFS; i++)
		if (s->disk[i].state != WBUF_FREE && s->wbuf[i].inode == inode && s->wbuf[i].order < oldest &&
		    !(mutant("synced-when-sent") && s->disk[i].state == WBUF_SEALED))
			oldest = s->wbuf[i].order;
	return oldest;
}

bool wbufs_node_allows(const struct wbufs *s, const void *node)
{
	unsigned room = 2 * s->free;

	return s->free && (room >= JOURNAL_WBUFS || mutant("wbufs-unshared") || node_find(s, node)->wbufs <= room);
}

bool wbufs_allow(const struct wbufs *s, const struct inode *inode, const void *node)
{
	return inode->wbufs - inode->spilled <= 2 * s->free && wbufs_node_allows(s, node);
}

bool wbufs_are_short(const struct wbufs *s, const void *node)
{
	return !s->free || node_find(s, node)->wbufs > s->free;
}

struct wbuf *wbufs_open(struct wbufs *s, struct inode *inode, uint64_t chunk, const void *node, uint64_t now_ns)
{
	struct wbuf *wbuf = s->free_list;
	struct journal_wbuf *js;

	assert(!wbufs_collecting(s, inode, chunk));
	if (!wbufs_allow(s, inode, node))
		return NULL;
	s->free_list = wbuf->next;
	s->free--;
	js = wbuf_disk(s, wbuf);
	assert(js->state == WBUF_FREE && !wbuf->inode);
	js->inode = inode->nr;
	js->chunk = chunk;
	js->pages = 0;
	js->version = 0;
	js->tried = 0;
	s->mark32(&js->state, WBUF_OPEN);
	wbuf_insert(s, wbuf, inode, node, now_ns);
	return wbuf;
}

void wbuf_complete(struct wbufs *s, struct wbuf *wbuf, unsigned page, const uint8_t *content)
{
	uint8_t *at = wbuf_data(s, wbuf) + page * GVM_PAGE_BYTES;

	assert(wbuf_is(s, wbuf) == WBUF_IS_COLLECTING && page < GVM_CHUNK_PAGES);
	if (content != at)
		memcpy(at, content, GVM_PAGE_BYTES);
}

void wbuf_write(struct wbufs *s, struct wbuf *wbuf, uint32_t from, uint32_t to, const uint8_t *data)
{
	struct journal_wbuf *js = wbuf_disk(s, wbuf);
	unsigned first = from / GVM_PAGE_BYTES, last = (to - 1) / GVM_PAGE_BYTES;
	uint32_t pages = (uint32_t)(((1ull << (last - first + 1)) - 1) << first);

	assert(wbuf_is(s, wbuf) == WBUF_IS_COLLECTING && from < to && to <= GVM_CHUNK_BYTES);
	if (mutant("pages-early"))
		s->mark32(&js->pages, js->pages | pages);
	if (data)
		memcpy(wbuf_data(s, wbuf) + from, data, to - from);
	else
		memset(wbuf_data(s, wbuf) + from, 0, to - from);
	s->mark32(&js->pages, js->pages | pages);
}

void wbuf_unspill(struct wbufs *s, struct wbuf *wbuf, struct spill_place *place)
{
	const struct journal_spill *d = spill_disk(&s->spill, place);
	const uint8_t *data = spill_data(&s->spill, place);
	bool early = mutant("unspilled-early");

	assert(wbuf_is(s, wbuf) == WBUF_IS_COLLECTING && wbuf->inode == place->slot->of->inode &&
	       wbuf_disk(s, wbuf)->chunk == d->chunk);
	if (early)
		spill_free(&s->spill, place);
	for (unsigned page = 0; page < GVM_CHUNK_PAGES; page++)
		if (d->pages >> page & 1)
			memcpy(wbuf_data(s, wbuf) + page * GVM_PAGE_BYTES, data + page * GVM_PAGE_BYTES, GVM_PAGE_BYTES);
	s->mark32(&wbuf_disk(s, wbuf)->pages, wbuf_disk(s, wbuf)->pages | d->pages);
	if (place->order < wbuf->order && !mutant("unspilled-new"))
		wbuf->order = place->order; /* an fsync may wait for it */
	if (!early)
		spill_free(&s->spill, place);
}

void wbuf_seal(struct wbufs *s, struct wbuf *wbuf, uint64_t version)
{
	struct journal_wbuf *js = wbuf_disk(s, wbuf);

	assert(wbuf_is(s, wbuf) == WBUF_IS_COLLECTING && !wbufs_sealed(s, wbuf->inode, js->chunk));
	js->version = version;
	s->mark32(&js->state, WBUF_SEALED);
	sealed_add(s, wbuf, 1);
}

void wbuf_refuse(struct wbufs *s, struct wbuf *wbuf, uint64_t retry_at_ns)
{
	assert(wbuf_is(s, wbuf) == WBUF_IS_SENDING && retry_at_ns);
	wbuf->retry_at_ns = retry_at_ns;
}

void wbuf_resend(struct wbufs *s, struct wbuf *wbuf)
{
	assert(wbuf_is(s, wbuf) == WBUF_IS_REFUSED);
	wbuf->retry_at_ns = 0;
}

void wbuf_resend_anew(struct wbufs *s, struct wbuf *wbuf)
{
	struct journal_wbuf *js = wbuf_disk(s, wbuf);

	s->mark32(&js->tried, 1);
	if (!mutant("version-kept"))
		s->mark64(&js->version, js->version + 1);
	wbuf_resend(s, wbuf);
}

void wbuf_free(struct wbufs *s, struct wbuf *wbuf)
{
	struct journal_wbuf *js = wbuf_disk(s, wbuf);
	struct wbuf **link = bucket_of(s, wbuf->inode, js->chunk);

	assert(js->state != WBUF_FREE && wbuf->inode->wbufs > wbuf->inode->spilled && s->free < JOURNAL_WBUFS);
	if (js->state == WBUF_SEALED)
		sealed_add(s, wbuf, -1);
	while (*link != wbuf)
		link = &(*link)->next;
	*link = wbuf->next;
	s->mark32(&js->state, WBUF_FREE);
	wbuf->inode->wbufs--;
	wbuf->inode = NULL;
	node_leave(s, wbuf);
	wbuf->retry_at_ns = 0;
	wbuf->next = s->free_list;
	s->free_list = wbuf;
	s->free++;
}
