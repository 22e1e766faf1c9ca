// SPDX-License-Identifier: GPL-2.0-or-later
/* pager.c - see pager.h. */
#include "pager.h"

#include "base/log.h"
#include "fuse/interrupt.h"
#include "node/pool.h"
#include "node/region.h"
#include "pagecache.h"
#include "readahead.h"
#include "state/request.h"
#include "state/worker.h"
#include "uffd/resident.h"
#include "watch.h"
#include "writeback.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define READ_PARTS_MAX 2

static const uint8_t zero_page[GVM_PAGE_BYTES] __attribute__((aligned(GVM_PAGE_BYTES)));

/* A READ that is not answered yet. */
struct read_io {
	struct pager_wait wait;
	fuse_req_t req;
	uint64_t off;
	uint32_t size;
	unsigned how; /* enum read_how */
	uint32_t trust; /* watch_read_begin(), when it came */
	uint64_t came;	/* pager->events then */
	uint8_t *copy;	/* of the pages that it got so far; NULL: of none */
	uint64_t got;	/* which, from its first one on */
	struct interrupt interrupt;
};

int pager_init(struct worker *w)
{
	struct pager *pager = w->pager;
	uint8_t *data = mmap(NULL, PAGER_ENTRIES * GVM_CHUNK_BYTES, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (data == MAP_FAILED)
		return -ENOMEM;
	pager->codec = chunk_codec_create();
	pager->scratch = aligned_alloc(GVM_PAGE_BYTES, PAGER_SCRATCH * GVM_PAGE_BYTES);
	if (!pager->codec || !pager->scratch)
		return -ENOMEM;
	for (unsigned i = 0; i < PAGER_ENTRIES; i++) {
		pager->entries[i].w = w;
		pager->entries[i].data = data + (size_t)i * GVM_CHUNK_BYTES;
	}
	pager->starved_tail = &pager->starved;
	return 0;
}

uint8_t *pager_scratch(struct worker *w)
{
	return w->pager->scratch + w->pager->scratch_next++ % PAGER_SCRATCH * GVM_PAGE_BYTES;
}

static struct pager_entry **bucket_of(struct pager *pager, const struct inode *inode, uint64_t chunk)
{
	return &pager->buckets[(chunk * 31 + inode->nr * 97) % PAGER_BUCKETS];
}

static struct pager_entry *entry_find(struct pager *pager, const struct inode *inode, uint64_t chunk)
{
	struct pager_entry *e = *bucket_of(pager, inode, chunk);

	while (e && (e->inode != inode || e->chunk != chunk))
		e = e->next;
	return e;
}

static bool entry_is_free(const struct pager_entry *e)
{
	return !e->fetching && !e->waiters;
}

static void entry_drop(struct pager *pager, struct pager_entry *e)
{
	struct pager_entry **link = bucket_of(pager, e->inode, e->chunk);

	while (*link != e)
		link = &(*link)->next;
	*link = e->next;
	e->inode->entries--;
	e->inode = NULL;
}

/* The free entry that was used longest ago, emptied; NULL if all are in use. */
static struct pager_entry *entry_take(struct worker *w, struct inode *inode, uint64_t chunk)
{
	struct pager *pager = w->pager;
	struct pager_entry *best = NULL;

	for (unsigned i = 0; i < PAGER_ENTRIES; i++) {
		struct pager_entry *e = &pager->entries[i];

		if (!entry_is_free(e))
			continue;
		if (!e->inode) {
			best = e;
			break;
		}
		if (!best || e->used_at < best->used_at)
			best = e;
	}
	if (!best)
		return NULL;
	if (best->inode)
		entry_drop(pager, best);
	best->inode = inode;
	inode->entries++;
	best->chunk = chunk;
	best->node = region_node(w, inode, chunk);
	best->valid = 0;
	best->want = 0;
	best->ahead = false;
	best->next = *bucket_of(pager, inode, chunk);
	*bucket_of(pager, inode, chunk) = best;
	return best;
}

static unsigned entries_free(const struct pager *pager)
{
	unsigned n = 0;

	for (unsigned i = 0; i < PAGER_ENTRIES; i++)
		n += entry_is_free(&pager->entries[i]);
	return n;
}

/* Whether an inode may take `count` entries more, for chunks of `nodes`: there are that many, and
 * others, were a node dead, would find some left. */
static bool entries_allow(const struct pager *pager, const struct inode *inode,
			  struct gvm_conn *const nodes[2], unsigned count)
{
	unsigned n = entries_free(pager), of_inode = 0, of_node[2] = { 0, 0 };

	for (unsigned i = 0; i < PAGER_ENTRIES; i++) {
		const struct pager_entry *e = &pager->entries[i];

		if (entry_is_free(e))
			continue;
		of_inode += e->inode == inode;
		of_node[0] += e->node == nodes[0];
		of_node[1] += e->node == nodes[1];
	}
	return n >= count && of_inode <= 2 * n && of_node[0] <= 2 * n && of_node[1] <= 2 * n;
}

/* Wakes everybody on the entry's list; they take themselves off it or stay. */
static void entry_wake(struct pager_entry *e, int error)
{
	struct pager_wait *wait = e->waiters, *next;

	for (; wait; wait = next) {
		next = wait->on[wait->on[0].entry == e ? 0 : 1].next;
		if (error)
			wait->error = error;
		wait->wake(e->w, wait);
	}
}

/* Wakes those that wait for entries and may have them now, in their order. */
static void starved_wake(struct worker *w)
{
	struct pager *pager = w->pager;
	struct pager_wait *wait = pager->starved, *next;

	if (!wait)
		return;
	pager->starved = NULL;
	pager->starved_tail = &pager->starved;
	for (; wait; wait = next) {
		next = wait->next_starved;
		if (entries_allow(pager, wait->inode, wait->nodes, READ_PARTS_MAX)) {
			wait->starved = false;
			wait->wake(w, wait);
			continue;
		}
		wait->next_starved = NULL;
		*pager->starved_tail = wait;
		pager->starved_tail = &wait->next_starved;
	}
}

static void starved_remove(struct pager *pager, struct pager_wait *wait)
{
	struct pager_wait **link = &pager->starved;

	while (*link != wait)
		link = &(*link)->next_starved;
	*link = wait->next_starved;
	if (!*link)
		pager->starved_tail = link;
	wait->starved = false;
}

/* Somebody else than the kernel changes the region, and does not tell us: another host, or the client
 * of the fast path. */
static bool changes_unseen(struct worker *w, const struct inode *inode)
{
	return !region_is_attached(w, inode) || inode->resident;
}

static int fetch_piece(struct gvm_get *get, uint64_t version, const struct chunk_head *head,
		       const uint8_t *body);
static void fetch_done(struct gvm_req *req);

/* Sends a GET for what is wanted and not valid. Nothing while one is under way: its end looks
 * again. */
static void entry_fetch(struct pager_entry *e, unsigned want_page)
{
	struct worker *w = e->w;
	struct gvm_conn *conn;
	uint32_t pages = e->want & ~(changes_unseen(w, e->inode) ? 0 : e->valid);

	if (e->fetching || !pages)
		return;
	conn = region_node(w, e->inode, e->chunk);
	e->asked = pages;
	/* What is kept is no older than the last GET: read_page(). */
	if (changes_unseen(w, e->inode))
		e->valid = 0;
	e->late = 0;
	/* The node may answer before it has what is still on its way there. */
	e->stale = writeback_pages(w, e->inode, e->chunk);
	e->get.req = (struct gvm_req){
		.done = fetch_done, .arg = e, .deadline_ns = pool_deadline(w->opts)
	};
	e->get.on_piece = fetch_piece;
	region_get_fields(w, e->inode, e->chunk, &e->get.what);
	e->get.what.page_mask = pages;
	e->get.what.want_page = (uint8_t)want_page;
	e->fetching = true;
	e->begun = ++w->pager->events;
	w->pager->fetching++;
	gvm_get(conn, &e->get);
}

static int fetch_piece(struct gvm_get *get, uint64_t version, const struct chunk_head *head,
		       const uint8_t *body)
{
	struct pager_entry *e = get->req.arg;
	struct worker *w = e->w;
	uint32_t got = 0;
	int r;

	(void)version; /* at least what was asked for: the node saw to that */
	r = chunk_decode(w->pager->codec, head, body, &worker_disk(w, e->inode)->rec.id, e->chunk,
			 e->asked, e->data, &got);
	if (r < 0) {
		e->valid = 0;
		return r;
	}
	e->valid |= got & ~e->stale;
	worker_count(w, e->inode, fetch_bytes, head->body_bytes);
	worker_count(w, e->inode, fetch_raw_bytes,
		     GVM_PAGE_BYTES * (uint64_t)__builtin_popcount(got & ~head->zero_map));
	entry_wake(e, 0);
	return 0;
}

static void fetch_done(struct gvm_req *req)
{
	struct pager_entry *e = req->arg;
	struct worker *w = e->w;
	int r = req->result;

	e->fetching = false;
	w->pager->fetching--;
	if (r < 0 && e->get.what.epoch != worker_disk(w, e->inode)->epoch) {
		/* Asked under an attachment that has ended since, and perhaps refused for that alone:
		 * it says nothing about the present one. Whoever still waits asks again. */
		e->want = 0;
		entry_wake(e, 0);
	} else if (r < 0) {
		region_report(w, e->inode, e->chunk, "read", r);
		e->want = 0;
		entry_wake(e, r == -ETIMEDOUT ? -ETIMEDOUT : -EIO);
	} else {
		worker_count(w, e->inode, chunks_fetched, 1);
		/* What was wanted since then goes out at once; what was written meanwhile is for
		 * those who want it to look for again. */
		e->want &= ~((e->valid & ~e->late) | e->stale);
		if (e->waiters)
			entry_fetch(e, GVM_NO_PAGE);
		entry_wake(e, 0);
	}
	/* By now it may be another's, or nobody's. */
	if (e->inode && entry_is_free(e)) {
		struct inode *inode = e->inode;

		e->want = 0;
		if (!inode->opens) {
			entry_drop(w->pager, e);
			inode_reap(w->inodes, inode->nr);
		}
	}
	starved_wake(w);
}

static const uint8_t *resident_page(struct worker *w, struct resident *r, uint64_t chunk, unsigned page)
{
	uint8_t *to;

	if (!resident_has_page(r, chunk, page))
		return NULL;
	to = pager_scratch(w);
	resident_read(r, chunk, page, to);
	return to;
}

const uint8_t *pager_page(struct worker *w, struct inode *inode, uint64_t chunk, unsigned page)
{
	struct pager_entry *e;
	const uint8_t *p = inode->resident ? resident_page(w, inode->resident, chunk, page)
					   : writeback_page(w, inode, chunk, page);
	uint64_t entry;

	if (p)
		return p;
	if (!region_is_attached(w, inode)) {
		/* A reader beside another host's writer: the index is not ours, every read asks. */
		if (!worker_disk(w, inode)->rec.node_count)
			return zero_page;
	} else {
		entry = journal_index(w->journal, inode->nr)[chunk];
		if (!entry || entry & GVM_VERSION_ZERO)
			return zero_page;
	}
	e = entry_find(w->pager, inode, chunk);
	if (e && e->valid >> page & 1) {
		e->used_at = ++w->pager->clock;
		if (e->ahead) {
			e->ahead = false;
			worker_count(w, inode, prefetch_used, 1);
		}
		return e->data + page * GVM_PAGE_BYTES;
	}
	return NULL;
}

static bool waits_on(const struct pager_wait *wait, const struct pager_entry *e)
{
	return wait->on[0].entry == e || wait->on[1].entry == e;
}

void pager_want(struct worker *w, struct pager_wait *wait, unsigned count, const uint64_t chunk[2],
		const uint32_t pages[2], unsigned want_page)
{
	struct pager *pager = w->pager;
	struct pager_entry *found[2] = { NULL, NULL };
	unsigned needed = 0;

	for (unsigned i = 0; i < count; i++) {
		found[i] = entry_find(pager, wait->inode, chunk[i]);
		needed += !found[i];
		wait->nodes[i] = region_node(w, wait->inode, chunk[i]);
	}
	if (count == 1)
		wait->nodes[1] = wait->nodes[0];
	/* All or nothing, so that no two hold what the other needs. (Free entries for all of them,
	 * since one that was found may itself be free and must not be taken for the other.) */
	if (needed && !entries_allow(pager, wait->inode, wait->nodes, count)) {
		pager_unwant(w, wait);
		if (!wait->starved) {
			wait->starved = true;
			wait->next_starved = NULL;
			*pager->starved_tail = wait;
			pager->starved_tail = &wait->next_starved;
		}
		return;
	}
	for (unsigned i = 0; i < count; i++)
		if (found[i])
			found[i]->used_at = ++pager->clock;
	for (unsigned i = 0; i < count; i++) {
		struct pager_entry *e = found[i];

		if (!e)
			e = entry_take(w, wait->inode, chunk[i]);
		e->used_at = ++pager->clock;
		if (!waits_on(wait, e)) {
			unsigned at = wait->on[0].entry ? 1 : 0;

			wait->on[at].entry = e;
			wait->on[at].next = e->waiters;
			e->waiters = wait;
		}
		if (e->fetching && changes_unseen(w, wait->inode))
			e->late |= pages[i];
		e->want |= pages[i];
		entry_fetch(e, want_page);
	}
}

static void wait_unlink(struct pager_wait *wait, unsigned at)
{
	struct pager_entry *e = wait->on[at].entry;
	struct pager_wait **link = &e->waiters;

	while (*link != wait)
		link = &(*link)->on[(*link)->on[0].entry == e ? 0 : 1].next;
	*link = wait->on[at].next;
	wait->on[at].entry = NULL;
}

void pager_unwant(struct worker *w, struct pager_wait *wait)
{
	(void)w;
	for (unsigned at = 0; at < 2; at++)
		if (wait->on[at].entry)
			wait_unlink(wait, at);
}

void pager_cancel(struct worker *w, struct pager_wait *wait)
{
	if (wait->starved)
		starved_remove(w->pager, wait);
	pager_unwant(w, wait);
}

/* A page for a READ, as pager_page(), but not older than the READ. */
static const uint8_t *read_page(struct worker *w, const struct read_io *io, uint64_t chunk, unsigned page)
{
	const uint8_t *from = pager_page(w, io->wait.inode, chunk, page);
	const struct pager_entry *e;

	if (!from || !changes_unseen(w, io->wait.inode))
		return from;
	e = entry_find(w->pager, io->wait.inode, chunk);
	return e && from == e->data + page * GVM_PAGE_BYTES && e->begun < io->came ? NULL : from;
}

/* The same for the n-th page of one that has waited, which is kept until all are there. */
static const uint8_t *read_page_kept(struct worker *w, struct read_io *io, unsigned n)
{
	uint64_t p = io->off / GVM_PAGE_BYTES + n;
	bool keeps = io->copy && changes_unseen(w, io->wait.inode);
	const uint8_t *from;

	if (!keeps)
		io->got = 0; /* attached meanwhile: what it got may be from before */
	if (io->got >> n & 1)
		return io->copy + n * GVM_PAGE_BYTES;
	from = read_page(w, io, p / GVM_CHUNK_PAGES, p % GVM_CHUNK_PAGES);
	if (!from || !keeps)
		return from;
	io->got |= 1ull << n;
	return memcpy(io->copy + n * GVM_PAGE_BYTES, from, GVM_PAGE_BYTES);
}

/* Replies if every page is there; otherwise fills in what is missing and returns false. */
static bool read_try(struct worker *w, struct read_io *io, unsigned *count, uint64_t chunk[2],
		     uint32_t pages[2])
{
	struct iovec iov[READ_BYTES_MAX / GVM_PAGE_BYTES + 1];
	struct inode *inode = io->wait.inode;
	uint64_t first = io->off / GVM_PAGE_BYTES;
	uint64_t last = (io->off + io->size - 1) / GVM_PAGE_BYTES;
	uint64_t zeros = 0;
	unsigned n = 0;

	*count = 0;
	for (uint64_t p = first; p <= last; p++) {
		uint64_t c = p / GVM_CHUNK_PAGES;
		unsigned page = p % GVM_CHUNK_PAGES;
		const uint8_t *from = read_page_kept(w, io, (unsigned)(p - first));
		size_t begin = p == first ? io->off % GVM_PAGE_BYTES : 0;
		size_t end = p == last ? (io->off + io->size - 1) % GVM_PAGE_BYTES + 1 : GVM_PAGE_BYTES;

		if (!from) {
			if (!*count || chunk[*count - 1] != c) {
				chunk[*count] = c;
				pages[(*count)++] = 0;
			}
			pages[*count - 1] |= 1u << page;
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
	if (*count)
		return false;
	worker_count(w, inode, zero_pages_read, zeros);
	if (!watch_read(w, inode, io->off, io->size, io->trust) && io->how & READ_FOREIGN)
		pagecache_note(w, inode, io->off, io->size);
	interrupt_disarm(&io->interrupt);
	fuse_reply_iov(io->req, iov, (int)n);
	return true;
}

static void read_end(struct worker *w, struct read_io *io)
{
	struct pager_entry *on[2] = { io->wait.on[0].entry, io->wait.on[1].entry };

	pager_unwant(w, &io->wait);
	/* What was fetched is out of date as soon as it is answered. */
	if (changes_unseen(w, io->wait.inode))
		for (unsigned i = 0; i < 2; i++)
			if (on[i] && !on[i]->waiters)
				on[i]->valid = 0;
	if (io->how & READ_FILLS)
		io->wait.inode->fills--;
	free(io->copy);
	free(io);
}

static void read_wake(struct worker *w, struct pager_wait *wait)
{
	struct read_io *io = (struct read_io *)wait;
	uint64_t chunk[2];
	uint32_t pages[2];
	unsigned count;

	if (!wait->error && worker_disk(w, wait->inode)->failed)
		wait->error = -EIO;
	if (wait->error) {
		worker_count(w, wait->inode, io_errors, wait->error != -EINTR);
		interrupt_disarm(&io->interrupt);
		fuse_reply_err(io->req, -wait->error);
		read_end(w, io);
		return;
	}
	if (read_try(w, io, &count, chunk, pages))
		read_end(w, io);
	else
		pager_want(w, wait, count, chunk, pages, GVM_NO_PAGE);
}

/* Its caller is being killed: a node that does not answer does not hold dead processes. */
static void read_interrupted(struct interrupt *interrupt)
{
	struct read_io *io = (struct read_io *)((char *)interrupt - offsetof(struct read_io, interrupt));

	pager_cancel(interrupt->w, &io->wait);
	io->wait.error = -EINTR;
	read_wake(interrupt->w, &io->wait);
}

/* Fetches chunks ahead of a reader that goes on as it did, into entries that nobody needs now. */
static void read_ahead(struct worker *w, struct inode *inode, uint64_t off, size_t size)
{
	uint64_t chunks[READAHEAD_WINDOW];
	struct pager *pager = w->pager;
	uint64_t limit = record_chunks(worker_disk(w, inode)->rec.size_bytes);
	unsigned n;

	if (!inode->readahead)
		inode->readahead = calloc(1, sizeof(*inode->readahead));
	if (!inode->readahead)
		return;
	n = readahead_note(inode->readahead, off / GVM_PAGE_BYTES,
			   (off + size - 1) / GVM_PAGE_BYTES - off / GVM_PAGE_BYTES + 1, limit, chunks);
	if (!n || changes_unseen(w, inode))
		return;
	for (unsigned i = 0; i < n; i++) {
		uint64_t entry = journal_index(w->journal, inode->nr)[chunks[i]];
		struct pager_entry *e;

		if (!entry || entry & GVM_VERSION_ZERO || entry_find(pager, inode, chunks[i]))
			continue;
		if (entries_free(pager) < PAGER_ENTRIES / 2)
			return;
		e = entry_take(w, inode, chunks[i]);
		e->used_at = ++pager->clock;
		e->ahead = true;
		e->want = ~0u;
		worker_count(w, inode, prefetched, 1);
		entry_fetch(e, GVM_NO_PAGE);
	}
}

void pager_read(struct worker *w, fuse_req_t req, struct inode *inode, uint64_t off, size_t size,
		unsigned how)
{
	struct journal_inode *d = worker_disk(w, inode);
	struct read_io now = {
		.wait = { .wake = read_wake, .inode = inode }, .req = req, .off = off, .how = how,
		.trust = watch_read_begin(w, inode)
	};
	struct read_io *io;
	uint64_t chunk[2];
	uint32_t pages[2];
	unsigned count;

	if (d->failed) {
		worker_count(w, inode, io_errors, 1);
		fuse_reply_err(req, EIO);
		return;
	}
	if (off >= d->rec.size_bytes || !size) {
		fuse_reply_buf(req, NULL, 0);
		return;
	}
	if (size > d->rec.size_bytes - off)
		size = d->rec.size_bytes - off;
	now.size = (uint32_t)size;
	now.came = ++w->pager->events;
	worker_count(w, inode, reads, 1);
	worker_count(w, inode, read_bytes, size);
	if (read_try(w, &now, &count, chunk, pages)) {
		worker_count(w, inode, cache_hits, 1);
		read_ahead(w, inode, off, size);
		return;
	}
	io = malloc(sizeof(*io));
	if (!io) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	*io = now;
	if (changes_unseen(w, inode) && count > 1) {
		io->copy = malloc((READ_BYTES_MAX / GVM_PAGE_BYTES + 1) * GVM_PAGE_BYTES);
		if (!io->copy) {
			free(io);
			fuse_reply_err(req, ENOMEM);
			return;
		}
	}
	if (how & READ_FILLS)
		inode->fills++;
	interrupt_arm(&io->interrupt, w, req, false, read_interrupted);
	pager_want(w, &io->wait, count, chunk, pages,
		   size == GVM_PAGE_BYTES ? off / GVM_PAGE_BYTES % GVM_CHUNK_PAGES : GVM_NO_PAGE);
	read_ahead(w, inode, off, size);
}

void pager_invalidate(struct worker *w, struct inode *inode, uint64_t chunk, uint32_t pages)
{
	struct pager_entry *e = entry_find(w->pager, inode, chunk);

	if (!e)
		return;
	e->valid &= ~pages;
	if (e->fetching)
		e->stale |= pages;
}

void pager_forget(struct worker *w, struct inode *inode)
{
	for (unsigned i = 0; i < PAGER_ENTRIES; i++) {
		struct pager_entry *e = &w->pager->entries[i];

		if (e->inode != inode)
			continue;
		e->valid = 0;
		if (e->fetching)
			e->stale = ~0u;
		else if (!e->waiters)
			entry_drop(w->pager, e);
	}
}
