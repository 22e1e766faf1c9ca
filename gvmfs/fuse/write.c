// SPDX-License-Identifier: GPL-2.0-or-later
/* write.c - see write.h. */
#include "write.h"

#include "base/mutant.h"
#include "read.h"
#include "store/store_env.h"

#include <errno.h>

/* A WRITE of the kernel touches no more chunks; what touches more is found apart. */
#ifndef WRITE_CHUNKS
#define WRITE_CHUNKS 3u
#endif
#define WRITE_REACH (WRITE_CHUNKS - 1)

static struct store_writes *writes_of(struct store *s, const struct inode *inode, uint64_t chunk)
{
	return &s->writes[(chunk * 31 + inode->nr * 97) % STORE_WRITES];
}

static uint64_t first_of(const struct store_write *wr)
{
	return wr->begin / GVM_CHUNK_BYTES;
}

static uint64_t last_of(const struct store_write *wr)
{
	return (wr->end - 1) / GVM_CHUNK_BYTES;
}

static bool is_wide(const struct store_write *wr)
{
	return last_of(wr) - first_of(wr) > WRITE_REACH;
}

static struct store_writes *list_of(struct store *s, struct store_write *wr)
{
	return is_wide(wr) ? &wr->wait.inode->wide_writes : writes_of(s, wr->wait.inode, first_of(wr));
}

static void write_end(struct store *s, struct store_write *wr, int error)
{
	struct inode *inode = wr->wait.inode;
	/* A region that was never given a size has no nodes. */
	const void *node = error ? NULL : s->env->node(s, inode, (wr->end - 1) / GVM_CHUNK_BYTES);
	struct store_wait *next;

	if (error)
		store_count(s, inode, io_errors, error != -EINTR);
	if (error == -EBUSY)
		s->env->report(s, inode, wr->off / GVM_CHUNK_BYTES, "write", error);
	TAILQ_REMOVE(&inode->writes, wr, in);
	TAILQ_REMOVE(list_of(s, wr), wr, at);
	while ((next = TAILQ_FIRST(&wr->after)))
		store_due(s, next);
	wr->done(s, wr, error);
	if (!error && wbufs_are_short(&s->wbufs, node))
		store_seal_oldest(s);
}

/* The old content of a page of which only a part will be written. NULL: it is being fetched, and the write
 * goes on when it is here. */
static const uint8_t *edge_page(struct store *s, struct store_write *wr, uint64_t chunk, unsigned page,
				uint8_t *scratch)
{
	const uint64_t chunks[2] = { chunk };
	const uint32_t pages[2] = { 1u << page };
	const uint8_t *content = page_find(s, wr->wait.inode, chunk, page, scratch);

	if (!content)
		store_want(s, &wr->wait, 1, chunks, pages, page);
	return content;
}

static void write_stall(struct store *s, struct store_write *wr, uint64_t chunk)
{
	if (!wr->stalled) {
		wr->stalled = true;
		wr->wait.deadline_ns = s->env->deadline(s);
		store_count(s, wr->wait.inode, write_stalls, 1);
	}
	store_stall(s, &wr->wait, chunk);
}

/* The part of a write that falls into one chunk: bytes from..to-1, in pages first..last. */
struct part {
	uint64_t chunk;
	uint32_t from, to;
	unsigned first, last;
	const uint8_t *edge[2]; /* old content of the first and last page, where the write covers only a part of it */
};

/* Gets the edges' content. False: some is being fetched. */
static bool part_complete(struct store *s, struct store_write *wr, struct part *p)
{
	uint8_t *scratch = s->scratch;

	if (p->from % GVM_PAGE_BYTES || (p->first == p->last && p->to % GVM_PAGE_BYTES)) {
		p->edge[0] = edge_page(s, wr, p->chunk, p->first, scratch);
		if (!p->edge[0])
			return false;
	}
	if (p->first != p->last && p->to % GVM_PAGE_BYTES && !mutant("edge-open")) {
		p->edge[1] = edge_page(s, wr, p->chunk, p->last, scratch + GVM_PAGE_BYTES);
		if (!p->edge[1])
			return false;
	}
	return true;
}

/* Where so many wait for the chunk's node that this one may not. */
static bool part_spill(struct store *s, struct store_write *wr, const struct part *p, uint32_t pages)
{
	struct spill *spill = &s->wbufs.spill;
	struct spill_place *place;

	if (!wr->data || wr->bounded)
		return false;
	place = store_spill(s, wr->wait.inode, p->chunk, pages);
	if (!place)
		return false;
	for (unsigned i = 0; i < 2; i++)
		if (p->edge[i])
			spill_complete(spill, place, i ? p->last : p->first, p->edge[i]);
	spill_write(spill, place, p->from, p->to, wr->data + (wr->off - wr->data_off));
	return true;
}

static void part_put(struct store *s, struct store_write *wr, const struct part *p, struct wbuf *wbuf)
{
	for (unsigned i = 0; i < 2; i++)
		if (p->edge[i])
			wbuf_complete(&s->wbufs, wbuf, i ? p->last : p->first, p->edge[i]);
	wbuf_write(&s->wbufs, wbuf, p->from, p->to, wr->data ? wr->data + (wr->off - wr->data_off) : NULL);
	if (wbuf_disk(&s->wbufs, wbuf)->pages == ~0u)
		store_seal(s, wbuf);
}

/* Puts one chunk's part of the write into its wbuf, or spills it. False: it waits for a wbuf or a page. */
static bool write_part(struct store *s, struct store_write *wr)
{
	struct inode *inode = wr->wait.inode;
	uint64_t left = wr->stop - wr->off;
	struct part p = { .chunk = wr->off / GVM_CHUNK_BYTES, .from = wr->off % GVM_CHUNK_BYTES };
	struct wbuf *wbuf = wbufs_collecting(&s->wbufs, inode, p.chunk);
	uint32_t pages;

	p.to = left < GVM_CHUNK_BYTES - p.from ? p.from + (uint32_t)left : GVM_CHUNK_BYTES;
	p.first = p.from / GVM_PAGE_BYTES;
	p.last = (p.to - 1) / GVM_PAGE_BYTES;
	pages = (uint32_t)(((1ull << (p.last - p.first + 1)) - 1) << p.first);
	/* Zeros over a chunk that was never written need no wbuf. */
	if (wbuf || wr->data || s->env->index(s, inode, p.chunk) ||
	    ((wbufs_sealed(&s->wbufs, inode, p.chunk) || spill_find(&s->wbufs.spill, inode, p.chunk)) &&
	     !mutant("hole-skipped"))) {
		if (!part_complete(s, wr, &p))
			return false;
		if (!wbuf)
			wbuf = store_wbuf_open(s, inode, p.chunk);
		if (wbuf) {
			part_put(s, wr, &p, wbuf);
		} else if (!part_spill(s, wr, &p, pages)) {
			write_stall(s, wr, p.chunk);
			return false;
		}
		cache_invalidate(&s->cache, inode, p.chunk, pages);
	}
	wr->off += p.to - p.from;
	return true;
}

static bool is_before(const struct store_write *other, const struct store_write *wr)
{
	return other->number < wr->number && other->wait.inode == wr->wait.inode && other->begin < wr->end &&
	       wr->begin < other->end && !mutant("writes-overtake");
}

static struct store_write *before_in(const struct store_writes *list, const struct store_write *wr)
{
	struct store_write *other;

	TAILQ_FOREACH(other, list, at)
		if (other->number >= wr->number || is_before(other, wr))
			break;
	return other && is_before(other, wr) ? other : NULL;
}

/* An earlier one that overlaps it, and has not ended; NULL: there is none. */
static struct store_write *write_before(struct store *s, const struct store_write *wr)
{
	struct inode *inode = wr->wait.inode;
	uint64_t chunk = first_of(wr);
	struct store_write *other;

	if (is_wide(wr)) {
		TAILQ_FOREACH(other, &inode->writes, in)
			if (other == wr || is_before(other, wr))
				break;
		return other == wr ? NULL : other;
	}
	other = mutant("wide-unseen") ? NULL : before_in(&inode->wide_writes, wr);
	chunk = chunk > WRITE_REACH ? chunk - WRITE_REACH : 0;
	for (chunk += mutant("reach-short"); !other && chunk <= last_of(wr); chunk++)
		other = before_in(writes_of(s, inode, chunk), wr);
	return other;
}

static void write_go(struct store *s, struct store_wait *wait)
{
	struct store_write *wr = (struct store_write *)wait, *before = write_before(s, wr);
	int error = 0;

	if (!wait->error && (!wr->of_cut || mutant("cut-rest-waits")) && !s->env->disk(s, wait->inode)->failed) {
		if (store_is_cut(wait->inode, wr->stop) && !wr->of_cut) {
			store_hold(s, wait);
			return;
		}
		if (before) {
			store_follow(s, wait, &before->after);
			return;
		}
	}
	store_unwait(s, wait);
	while (!error && wr->off < wr->stop) {
		const struct journal_inode *d = s->env->disk(s, wait->inode);

		if (wait->error)
			error = wait->error;
		else if (d->failed)
			error = -EIO;
		else if (!d->epoch)
			error = -EBUSY; /* opened while it had no size, which another host has set since */
		else if (!write_part(s, wr))
			return;
	}
	write_end(s, wr, error);
}

void store_write(struct store *s, struct store_write *wr, struct inode *inode, const void *data, uint64_t off,
		 uint64_t size)
{
	wr->wait.go = write_go;
	wr->wait.inode = inode;
	wr->data = data;
	wr->begin = wr->off = wr->data_off = off;
	wr->end = wr->stop = off + size;
	wr->number = ++s->writes_came;
	TAILQ_INIT(&wr->after);
	TAILQ_INSERT_TAIL(&inode->writes, wr, in);
	TAILQ_INSERT_TAIL(list_of(s, wr), wr, at);
	if (data) {
		store_count(s, inode, writes, 1);
		store_count(s, inode, write_bytes, size);
	} else {
		store_count(s, inode, punched_pages, size / GVM_PAGE_BYTES);
	}
	store_due(s, &wr->wait);
}

void store_writes_cut(struct inode *inode)
{
	struct store_write *wr;

	TAILQ_FOREACH(wr, &inode->writes, in)
		if (wr->stop > inode->cut_bytes && !mutant("cut-revives"))
			wr->stop = wr->off > inode->cut_bytes ? wr->off : inode->cut_bytes;
}
