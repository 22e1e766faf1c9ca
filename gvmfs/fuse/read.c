// SPDX-License-Identifier: GPL-2.0-or-later
/* read.c - see read.h. */
#include "read.h"

#include "base/mutant.h"
#include "store/readahead.h"
#include "store/store_env.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t zero_page[GVM_PAGE_BYTES] __attribute__((aligned(GVM_PAGE_BYTES)));

/* The pages that must be fetched for a READ. */
struct missing {
	unsigned count;
	uint64_t chunk[2];
	uint32_t pages[2];
};

/* A page in the cache; NULL: it is not there, or stale. */
static const uint8_t *entry_page(struct store *s, struct inode *inode, uint64_t chunk, unsigned page)
{
	struct cache_entry *e = cache_find(&s->cache, inode, chunk);

	if (!e || !(e->valid >> page & 1))
		return NULL;
	cache_use(&s->cache, e);
	if (e->ahead) {
		e->ahead = false;
		store_count(s, inode, prefetch_used, 1);
	}
	return e->data + page * GVM_PAGE_BYTES;
}

const uint8_t *page_find(struct store *s, struct inode *inode, uint64_t chunk, unsigned page, uint8_t *scratch)
{
	const struct journal_inode *d = s->env->disk(s, inode);
	uint64_t entry;

	if (inode->resident) {
		if (s->env->resident_page(s, inode, chunk, page, scratch))
			return scratch;
	} else {
		const uint8_t *p = wbufs_page(&s->wbufs, inode, chunk, page);

		if (p)
			return p;
	}
	if (!d->epoch) {
		/* A reader beside another host's writer has no index: every READ asks the node. */
		if (!d->rec.node_count)
			return zero_page;
	} else {
		entry = s->env->index(s, inode, chunk);
		if (!entry || entry & GVM_VERSION_ZERO)
			return zero_page;
	}
	return entry_page(s, inode, chunk, page);
}

/* A page for a READ: as page_find(), but no older than the READ. */
static const uint8_t *read_page(struct store *s, const struct store_read *r, uint64_t chunk, unsigned page,
				uint8_t *scratch)
{
	const uint8_t *from = page_find(s, r->wait.inode, chunk, page, scratch);
	const struct cache_entry *e;

	if (!from || !store_is_unseen(s, r->wait.inode))
		return from;
	e = cache_find(&s->cache, r->wait.inode, chunk);
	return e && from == e->data + page * GVM_PAGE_BYTES && e->begun < r->came && !mutant("earlier-answer") ?
		       NULL : from;
}

/* The same for the READ's n-th page; a READ that has waited keeps each page until it has all. */
static const uint8_t *read_page_kept(struct store *s, struct store_read *r, unsigned n)
{
	uint64_t p = r->off / GVM_PAGE_BYTES + n;
	bool keeps = r->copy && store_is_unseen(s, r->wait.inode);
	const uint8_t *from;

	if (!keeps)
		r->got = 0; /* the region was attached meanwhile: what was kept may be from before */
	if (r->got >> n & 1)
		return r->copy + n * GVM_PAGE_BYTES;
	from = read_page(s, r, p / GVM_CHUNK_PAGES, p % GVM_CHUNK_PAGES, s->scratch + n * GVM_PAGE_BYTES);
	if (!from || !keeps)
		return from;
	r->got |= 1ull << n;
	return memcpy(r->copy + n * GVM_PAGE_BYTES, from, GVM_PAGE_BYTES);
}

static void missing_add(struct missing *m, uint64_t chunk, unsigned page)
{
	if (!m->count || m->chunk[m->count - 1] != chunk) {
		assert(m->count < 2);
		m->chunk[m->count] = chunk;
		m->pages[m->count++] = 0;
	}
	m->pages[m->count - 1] |= 1u << page;
}

/* Gathers the content; returns the number of its parts, 0 if pages are missing. */
static int read_gather(struct store *s, struct store_read *r, struct iovec iov[READ_IOV_MAX], struct missing *m)
{
	uint64_t first = r->off / GVM_PAGE_BYTES, last = (r->off + r->size - 1) / GVM_PAGE_BYTES;
	uint64_t zeros = 0;
	int n = 0;

	m->count = 0;
	for (uint64_t p = first; p <= last; p++) {
		const uint8_t *from = read_page_kept(s, r, (unsigned)(p - first));
		size_t begin = p == first ? r->off % GVM_PAGE_BYTES : 0;
		size_t end = p == last ? (r->off + r->size - 1) % GVM_PAGE_BYTES + 1 : GVM_PAGE_BYTES;

		if (!from) {
			missing_add(m, p / GVM_CHUNK_PAGES, p % GVM_CHUNK_PAGES);
			continue;
		}
		zeros += from == zero_page;
		if (n && (const uint8_t *)iov[n - 1].iov_base + iov[n - 1].iov_len == from + begin) {
			iov[n - 1].iov_len += end - begin;
			continue;
		}
		iov[n].iov_base = (void *)(from + begin);
		iov[n++].iov_len = end - begin;
	}
	if (m->count)
		return 0;
	store_count(s, r->wait.inode, zero_pages_read, zeros);
	return n;
}

static void read_end(struct store *s, struct store_read *r, const struct iovec *iov, int count, int error)
{
	struct cache_entry *on[2] = { r->wait.on[0].entry, r->wait.on[1].entry };
	uint8_t *copy = r->copy;

	store_unwait(s, &r->wait);
	/* What was fetched is stale as soon as the READ is answered. */
	if (store_is_unseen(s, r->wait.inode))
		for (unsigned i = 0; i < 2; i++)
			if (on[i] && TAILQ_EMPTY(&on[i]->links))
				on[i]->valid = 0;
	if (error)
		store_count(s, r->wait.inode, io_errors, error != -EINTR);
	r->done(s, r, iov, count, error);
	free(copy);
}

/* Prefetches chunks for a reader that goes on as it did. */
static void read_ahead(struct store *s, struct inode *inode, struct readahead **of, uint64_t off, uint64_t size)
{
	uint64_t chunks[READAHEAD_WINDOW], first = off / GVM_PAGE_BYTES;
	uint64_t limit = record_chunks(s->env->disk(s, inode)->rec.size_bytes);
	unsigned n;

	if (!*of)
		*of = calloc(1, sizeof(**of));
	if (!*of)
		return;
	n = readahead_note(*of, first, (off + size - 1) / GVM_PAGE_BYTES - first + 1, limit, chunks);
	if (!n || store_is_unseen(s, inode))
		return;
	for (unsigned i = 0; i < n; i++) {
		uint64_t entry = s->env->index(s, inode, chunks[i]);

		if (entry && !(entry & GVM_VERSION_ZERO) && !store_ahead(s, inode, chunks[i]))
			return;
	}
}

/* The READ waits. Of its two chunks one may come and grow stale before the other is here, so pages
 * are kept. */
static bool read_begin_wait(struct store *s, struct store_read *r)
{
	bool two = r->off / GVM_CHUNK_BYTES != (r->off + r->size - 1) / GVM_CHUNK_BYTES;

	r->waited = true;
	if (!two || r->copy || mutant("nothing-kept") || !store_is_unseen(s, r->wait.inode))
		return true;
	r->copy = malloc(READ_IOV_MAX * GVM_PAGE_BYTES);
	return r->copy != NULL;
}

static void read_go(struct store *s, struct store_wait *wait)
{
	struct store_read *r = (struct store_read *)wait;
	struct inode *inode = wait->inode;
	struct iovec iov[READ_IOV_MAX];
	uint64_t off = r->off, size = r->size;
	bool first = !r->waited, view = r->view;
	struct missing m;
	int n;

	if (!wait->error && s->env->disk(s, inode)->failed)
		wait->error = -EIO;
	if (wait->error) {
		read_end(s, r, NULL, 0, wait->error);
		return;
	}
	if (store_is_cut(inode, off + size)) {
		r->waited = true;
		store_hold(s, wait);
		return;
	}
	n = read_gather(s, r, iov, &m);
	if (n) {
		store_count(s, inode, cache_hits, first);
		read_end(s, r, iov, n, 0); /* r may be freed by this */
	} else if (!read_begin_wait(s, r)) {
		read_end(s, r, NULL, 0, -ENOMEM);
		return;
	} else {
		store_want(s, wait, m.count, m.chunk, m.pages,
			   first && size == GVM_PAGE_BYTES ? off / GVM_PAGE_BYTES % GVM_CHUNK_PAGES :
							     GVM_NO_PAGE);
	}
	if (first)
		read_ahead(s, inode, view ? &inode->readahead_views : &inode->readahead, off, size);
}

void store_read(struct store *s, struct store_read *r, struct inode *inode, uint64_t off, uint32_t size)
{
	assert(size && size <= READ_BYTES_MAX);
	r->wait.go = read_go;
	r->wait.inode = inode;
	r->off = off;
	r->size = size;
	r->came = ++s->events;
	store_count(s, inode, reads, 1);
	store_count(s, inode, read_bytes, size);
	store_due(s, &r->wait);
}
