// SPDX-License-Identifier: GPL-2.0-or-later
/* writeback.c - see writeback.h. */
#include "writeback.h"

#include "base/log.h"
#include "fuse/interrupt.h"
#include "node/pool.h"
#include "node/region.h"
#include "pager.h"
#include "state/worker.h"
#include "writer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SEALED_ENOUGH (2 * WRITER_IN_FLIGHT) /* keeps the writers busy: beyond it, gather */
#define RETRY_NS      1000000000ull
#define NO_SLOT	      0
#define YIELD_NICE    5

/* A WRITE or a punch on its way into slots. */
struct write_io {
	struct pager_wait wait;
	fuse_req_t req; /* of a WRITE */
	void (*done)(struct worker *w, void *arg, int error); /* of a punch */
	void *arg;
	const uint8_t *data; /* NULL: zeros */
	uint8_t *kept;	     /* the request's buffer, once it is ours */
	uint64_t begin, off, end;
	bool stalled;	      /* has had to wait for a slot */
	uint64_t deadline_ns; /* of that; 0: none */
	struct write_io *next_stalled;
	struct interrupt interrupt;
};

static unsigned *bucket_of(struct writeback *wb, unsigned inode, uint64_t chunk)
{
	return &wb->buckets[(chunk * 31 + inode * 97) % WRITEBACK_BUCKETS];
}

/* The slot (+ 1) of a chunk that is in `state`. */
static unsigned slot_find(struct worker *w, unsigned inode, uint64_t chunk, unsigned state)
{
	unsigned s = *bucket_of(w->writeback, inode, chunk);

	for (; s; s = w->writeback->rt[s - 1].next) {
		const struct journal_slot *js = &w->journal->slots[s - 1];

		if (js->chunk == chunk && js->inode == inode && js->state == state)
			return s;
	}
	return NO_SLOT;
}

static void slot_insert(struct worker *w, unsigned s)
{
	struct writeback *wb = w->writeback;
	const struct journal_slot *js = &w->journal->slots[s - 1];
	unsigned *bucket = bucket_of(wb, js->inode, js->chunk);
	struct inode *inode = inode_get(w->inodes, js->inode);

	wb->rt[s - 1].next = *bucket;
	wb->rt[s - 1].order = ++wb->order;
	wb->rt[s - 1].opened_ns = gvm_now_ns();
	wb->rt[s - 1].retry_at_ns = 0;
	wb->rt[s - 1].node = region_node(w, inode, js->chunk);
	*bucket = s;
	inode->slots++;
}

static unsigned node_slots(struct worker *w, const struct gvm_conn *node)
{
	unsigned n = 0;

	for (unsigned s = 0; s < JOURNAL_SLOTS; s++)
		n += w->journal->slots[s].state != SLOT_FREE && w->writeback->rt[s].node == node;
	return n;
}

/* A region may have so many slots, and so may all that goes to one node, that others find some left
 * were that node dead. */
static bool slot_allowed(struct worker *w, struct inode *inode, uint64_t chunk)
{
	unsigned room = 2 * w->writeback->free;

	return inode->slots <= room &&
	       (room >= JOURNAL_SLOTS || node_slots(w, region_node(w, inode, chunk)) <= room);
}

static unsigned slot_alloc(struct worker *w, unsigned inode, uint64_t chunk)
{
	struct writeback *wb = w->writeback;
	unsigned s = wb->free_list;
	struct journal_slot *js;

	if (!s || !slot_allowed(w, inode_get(w->inodes, inode), chunk))
		return NO_SLOT;
	wb->free_list = wb->rt[s - 1].next;
	wb->free--;
	js = &w->journal->slots[s - 1];
	js->inode = inode;
	js->chunk = chunk;
	js->pages = 0;
	js->version = 0;
	journal_publish32(&js->state, SLOT_OPEN);
	slot_insert(w, s);
	return s;
}

static void slot_free(struct worker *w, unsigned s)
{
	struct writeback *wb = w->writeback;
	struct journal_slot *js = &w->journal->slots[s - 1];
	unsigned *link = bucket_of(wb, js->inode, js->chunk);

	while (*link != s)
		link = &wb->rt[*link - 1].next;
	*link = wb->rt[s - 1].next;
	journal_publish32(&js->state, SLOT_FREE);
	wb->rt[s - 1].next = wb->free_list;
	wb->free_list = s;
	wb->free++;
	inode_get(w->inodes, js->inode)->slots--;
}

void writeback_send(struct worker *w, struct flush *f)
{
	struct writeback *wb = w->writeback;

	flush_queue_add(&wb->queue, f);
	wb->next_writer = (wb->next_writer + 1) % w->opts->writers;
	writer_wake(&wb->writers[wb->next_writer]);
}

void writeback_yield(struct worker *w, bool yield)
{
	for (unsigned i = 0; i < w->opts->writers; i++)
		writer_nice(&w->writeback->writers[i], yield ? YIELD_NICE : 0);
}

static void slot_flushed(struct worker *w, struct flush *f);

static void slot_send(struct worker *w, unsigned s)
{
	struct writeback *wb = w->writeback;
	struct journal_slot *js = &w->journal->slots[s - 1];
	struct journal_inode *d = inode_disk(w->inodes, js->inode);
	struct flush *f = &wb->rt[s - 1].flush;

	f->region = d->rec.id;
	region_node_place(w, inode_get(w->inodes, js->inode), js->chunk, &f->node);
	f->epoch = d->epoch;
	f->chunk = js->chunk;
	f->version = js->version;
	f->base = journal_index(w->journal, js->inode)[js->chunk];
	f->pages = js->pages;
	f->data = journal_slot_data(w->journal, s - 1);
	f->done = slot_flushed;
	f->resident = false;
	f->tried = false;
	f->whole_retry = false;
	wb->rt[s - 1].retry_at_ns = 0;
	writeback_send(w, f);
}

/* From here on the slot's pages do not change. False: the chunk's last version is still on its way,
 * this one's turn comes with that acknowledgement. */
static bool slot_seal(struct worker *w, unsigned s)
{
	struct journal_slot *js = &w->journal->slots[s - 1];
	struct journal_inode *d = inode_disk(w->inodes, js->inode);
	uint64_t base = journal_index(w->journal, js->inode)[js->chunk] & GVM_VERSION_MASK;
	uint64_t fresh = gvm_version(d->epoch, 1);

	if (slot_find(w, js->inode, js->chunk, SLOT_SEALED))
		return false;
	js->version = base < fresh ? fresh : base + 1;
	journal_publish32(&js->state, SLOT_SEALED);
	w->writeback->sealed++;
	slot_send(w, s);
	return true;
}

int writeback_init(struct worker *w)
{
	struct writeback *wb = w->writeback;
	int r = flush_queue_init(&wb->queue);

	if (r < 0)
		return r;
	wb->stalled_tail = &wb->stalled;
	for (unsigned i = 0; i < w->opts->writers; i++) {
		r = writer_start(&wb->writers[i], w->opts, w->journal->super->client, &wb->queue);
		if (r < 0)
			return r;
	}
	for (unsigned s = JOURNAL_SLOTS; s; s--) {
		struct journal_slot *js = &w->journal->slots[s - 1];

		if (js->state == SLOT_FREE) {
			wb->rt[s - 1].next = wb->free_list;
			wb->free_list = s;
			wb->free++;
			continue;
		}
		slot_insert(w, s);
		if (js->state == SLOT_SEALED) {
			wb->sealed++;
			slot_send(w, s);
		}
	}
	return 0;
}

const uint8_t *writeback_page(struct worker *w, struct inode *inode, uint64_t chunk, unsigned page)
{
	static const unsigned newest_first[] = { SLOT_OPEN, SLOT_SEALED };

	if (!inode->slots)
		return NULL;
	for (unsigned i = 0; i < 2; i++) {
		unsigned s = slot_find(w, inode->nr, chunk, newest_first[i]);

		if (s && w->journal->slots[s - 1].pages >> page & 1)
			return journal_slot_data(w->journal, s - 1) + page * GVM_PAGE_BYTES;
	}
	return NULL;
}

uint32_t writeback_pages(struct worker *w, struct inode *inode, uint64_t chunk)
{
	unsigned open, sealed;

	if (!inode->slots)
		return 0;
	open = slot_find(w, inode->nr, chunk, SLOT_OPEN);
	sealed = slot_find(w, inode->nr, chunk, SLOT_SEALED);
	return (open ? w->journal->slots[open - 1].pages : 0) |
	       (sealed ? w->journal->slots[sealed - 1].pages : 0);
}

uint64_t writeback_next_chunk(struct worker *w, struct inode *inode, uint64_t chunk)
{
	uint64_t best = ~0ull;

	for (unsigned i = 0; inode->slots && i < JOURNAL_SLOTS; i++) {
		const struct journal_slot *js = &w->journal->slots[i];

		if (js->state != SLOT_FREE && js->inode == inode->nr && js->chunk >= chunk &&
		    js->chunk < best)
			best = js->chunk;
	}
	return best;
}

static void write_end(struct worker *w, struct write_io *io, int error)
{
	io->wait.inode->writes--;
	pager_unwant(w, &io->wait);
	interrupt_disarm(&io->interrupt);
	if (io->req && error)
		fuse_reply_err(io->req, -error);
	else if (io->req)
		fuse_reply_write(io->req, io->end - io->begin);
	else
		io->done(w, io->arg, error);
	free(io->kept);
	free(io);
}

static void write_interrupted(struct interrupt *interrupt);

/* A WRITE that cannot go on now keeps the buffer that its data are in. */
static void write_keep(struct worker *w, struct write_io *io)
{
	if (io->req && !io->interrupt.req)
		interrupt_arm(&io->interrupt, w, io->req, false, write_interrupted);
	if (io->data && !io->kept) {
		io->kept = w->request;
		w->request = NULL;
	}
}

/* Seals so many of the oldest open slots that writers have work and room comes. */
static void seal_oldest(struct worker *w)
{
	struct writeback *wb = w->writeback;

	while (wb->sealed < SEALED_ENOUGH) {
		unsigned oldest = NO_SLOT;

		for (unsigned s = 1; s <= JOURNAL_SLOTS; s++)
			if (w->journal->slots[s - 1].state == SLOT_OPEN &&
			    (!oldest || wb->rt[s - 1].order < wb->rt[oldest - 1].order) &&
			    !slot_find(w, w->journal->slots[s - 1].inode,
				       w->journal->slots[s - 1].chunk, SLOT_SEALED))
				oldest = s;
		if (!oldest)
			return;
		slot_seal(w, oldest);
	}
}

/*
 * The content of a page of which only a part will be written. NULL: it is being fetched, and the
 * write will be continued then.
 */
static const uint8_t *edge_page(struct worker *w, struct write_io *io, uint64_t chunk, unsigned page)
{
	const uint64_t chunks[2] = { chunk };
	const uint32_t pages[2] = { 1u << page };
	const uint8_t *content = pager_page(w, io->wait.inode, chunk, page);

	if (!content) {
		write_keep(w, io);
		pager_want(w, &io->wait, 1, chunks, pages, page);
	}
	return content;
}

static void stalled_add(struct writeback *wb, struct write_io *io)
{
	io->next_stalled = NULL;
	*wb->stalled_tail = io;
	wb->stalled_tail = &io->next_stalled;
}

static void write_stall(struct worker *w, struct write_io *io)
{
	write_keep(w, io);
	if (!io->stalled) {
		io->stalled = true;
		io->deadline_ns = pool_deadline(w->opts);
		worker_count(w, io->wait.inode, write_stalls, 1);
	}
	stalled_add(w->writeback, io);
	seal_oldest(w);
}

/* Puts one chunk's part of the write into its slot. False: it waits, for a slot or a page. */
static bool write_part(struct worker *w, struct write_io *io)
{
	struct inode *inode = io->wait.inode;
	uint64_t chunk = io->off / GVM_CHUNK_BYTES;
	uint32_t from = io->off % GVM_CHUNK_BYTES;
	uint64_t left = io->end - io->off;
	uint32_t to = left < GVM_CHUNK_BYTES - from ? from + (uint32_t)left : GVM_CHUNK_BYTES;
	unsigned first = from / GVM_PAGE_BYTES, last = (to - 1) / GVM_PAGE_BYTES;
	uint32_t mask = (uint32_t)(((1ull << (last - first + 1)) - 1) << first);
	unsigned s = slot_find(w, inode->nr, chunk, SLOT_OPEN);
	const uint8_t *edge[2] = { NULL, NULL };
	struct journal_slot *js;
	uint8_t *data;

	if (!s && !io->data && !journal_index(w->journal, inode->nr)[chunk] &&
	    !slot_find(w, inode->nr, chunk, SLOT_SEALED)) {
		io->off += to - from; /* zeros over what was never written */
		return true;
	}
	if ((from % GVM_PAGE_BYTES || (first == last && to % GVM_PAGE_BYTES)) &&
	    !(edge[0] = edge_page(w, io, chunk, first)))
		return false;
	if (first != last && to % GVM_PAGE_BYTES && !(edge[1] = edge_page(w, io, chunk, last)))
		return false;
	if (!s)
		s = slot_alloc(w, inode->nr, chunk);
	if (!s) {
		write_stall(w, io);
		return false;
	}
	js = &w->journal->slots[s - 1];
	data = journal_slot_data(w->journal, s - 1);
	for (unsigned i = 0; i < 2; i++) {
		uint8_t *at = data + (i ? last : first) * GVM_PAGE_BYTES;

		if (edge[i] && edge[i] != at)
			memcpy(at, edge[i], GVM_PAGE_BYTES);
	}
	if (io->data)
		memcpy(data + from, io->data + (io->off - io->begin), to - from);
	else
		memset(data + from, 0, to - from);
	journal_publish32(&js->pages, js->pages | mask);
	pager_invalidate(w, inode, chunk, mask);
	if (js->pages == ~0u)
		slot_seal(w, s);
	io->off += to - from;
	return true;
}

static void write_continue(struct worker *w, struct write_io *io)
{
	struct inode *inode = io->wait.inode;
	int error = 0;

	pager_unwant(w, &io->wait);
	while (!error && io->off < io->end) {
		if (io->wait.error)
			error = io->wait.error;
		else if (worker_disk(w, inode)->failed)
			error = -EIO;
		else if (!region_is_attached(w, inode))
			error = -EBUSY; /* opened without a size, which another host then gave it */
		else if (!write_part(w, io))
			return;
	}
	if (error)
		worker_count(w, inode, io_errors, error != -EINTR);
	if (error == -EBUSY)
		region_report(w, inode, io->off / GVM_CHUNK_BYTES, "write", error);
	write_end(w, io, error);
	if (w->writeback->free < JOURNAL_SLOTS / 2)
		seal_oldest(w);
}

static void write_wake(struct worker *w, struct pager_wait *wait)
{
	write_continue(w, (struct write_io *)wait);
}

/* Its caller is being killed. What is in slots already stays written. */
static void write_interrupted(struct interrupt *interrupt)
{
	struct write_io *io = (struct write_io *)((char *)interrupt - offsetof(struct write_io, interrupt));
	struct writeback *wb = interrupt->w->writeback;
	struct write_io **link = &wb->stalled;

	pager_cancel(interrupt->w, &io->wait);
	while (*link && *link != io)
		link = &(*link)->next_stalled;
	if (*link) {
		*link = io->next_stalled;
		if (!*link)
			wb->stalled_tail = link;
	}
	io->wait.error = -EINTR;
	write_continue(interrupt->w, io);
}

static struct write_io *write_begin(struct inode *inode, uint64_t off, uint64_t size)
{
	struct write_io *io = calloc(1, sizeof(*io));

	if (io) {
		io->wait.wake = write_wake;
		io->wait.inode = inode;
		io->begin = io->off = off;
		io->end = off + size;
		inode->writes++;
	}
	return io;
}

void writeback_write(struct worker *w, fuse_req_t req, struct inode *inode, const void *data,
		     uint64_t off, size_t size)
{
	struct write_io *io = write_begin(inode, off, size);

	if (!io) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	worker_count(w, inode, writes, 1);
	worker_count(w, inode, write_bytes, size);
	io->req = req;
	io->data = data;
	write_continue(w, io);
}

void writeback_zero(struct worker *w, struct inode *inode, uint64_t off, uint64_t size,
		    void (*done)(struct worker *w, void *arg, int error), void *arg)
{
	struct write_io *io = write_begin(inode, off, size);

	if (!io) {
		done(w, arg, -ENOMEM);
		return;
	}
	worker_count(w, inode, punched_pages, size / GVM_PAGE_BYTES);
	io->done = done;
	io->arg = arg;
	write_continue(w, io);
}

/* The oldest order number of an inode's slots; ~0: it has none. */
static uint64_t oldest_order(struct worker *w, const struct inode *inode)
{
	uint64_t oldest = ~0ull;

	for (unsigned i = 0; inode->slots && i < JOURNAL_SLOTS; i++)
		if (w->journal->slots[i].state != SLOT_FREE && w->journal->slots[i].inode == inode->nr &&
		    w->writeback->rt[i].order < oldest)
			oldest = w->writeback->rt[i].order;
	return oldest;
}

static void syncs_check(struct worker *w, uint64_t now_ns)
{
	struct writeback_sync **link = &w->writeback->syncs, *sync;

	while ((sync = *link)) {
		int error = 1;

		if (worker_disk(w, sync->inode)->failed)
			error = -EIO;
		else if (oldest_order(w, sync->inode) > sync->until)
			error = 0;
		else if (sync->deadline_ns && now_ns > sync->deadline_ns)
			error = -ETIMEDOUT;
		if (error > 0) {
			link = &sync->next;
			continue;
		}
		*link = sync->next;
		sync->done(w, sync, error);
		link = &w->writeback->syncs; /* done() may have changed the list */
	}
}

void writeback_sync(struct worker *w, struct writeback_sync *sync, struct inode *inode)
{
	sync->inode = inode;
	sync->until = w->writeback->order;
	sync->next = w->writeback->syncs;
	w->writeback->syncs = sync;
	for (unsigned s = 1; inode->slots && s <= JOURNAL_SLOTS; s++)
		if (w->journal->slots[s - 1].state == SLOT_OPEN &&
		    w->journal->slots[s - 1].inode == inode->nr)
			slot_seal(w, s);
}

void writeback_drop(struct worker *w, struct inode *inode, uint64_t first)
{
	for (unsigned s = 1; s <= JOURNAL_SLOTS; s++) {
		const struct journal_slot *js = &w->journal->slots[s - 1];

		if (js->state == SLOT_OPEN && js->inode == inode->nr && js->chunk >= first)
			slot_free(w, s);
	}
	w->writeback->look_again = true;
}

void writeback_fail(struct worker *w, struct inode *inode)
{
	writeback_drop(w, inode, 0);
	/* A sealed one that waits to be sent again will not be. */
	for (unsigned s = 1; s <= JOURNAL_SLOTS; s++) {
		const struct journal_slot *js = &w->journal->slots[s - 1];

		if (js->state == SLOT_SEALED && js->inode == inode->nr &&
		    w->writeback->rt[s - 1].retry_at_ns) {
			w->writeback->sealed--;
			slot_free(w, s);
		}
	}
}

static void slot_flushed(struct worker *w, struct flush *f)
{
	struct writeback *wb = w->writeback;
	unsigned s = (unsigned)((struct slot_rt *)f - wb->rt) + 1;
	struct journal_slot *js = &w->journal->slots[s - 1];
	struct inode *inode = inode_get(w->inodes, js->inode);
	uint64_t chunk = js->chunk;
	unsigned open;

	if (f->result == -ENOSPC || f->result == -ENOMEM || f->result == -EBADMSG) {
		/* Nothing is lost: it stays in the journal, and is sent again. */
		region_report(w, inode, chunk, "write-back (will be tried again)", f->result);
		if (!worker_disk(w, inode)->failed) {
			wb->rt[s - 1].retry_at_ns = gvm_now_ns() + RETRY_NS;
			return;
		}
	} else if (f->result < 0) {
		region_fail(w, inode, chunk, f->result);
	} else {
		journal_index(w->journal, js->inode)[chunk] = flush_index_entry(f);
		worker_count(w, inode, chunks_written, 1);
		worker_count(w, inode, put_bytes, f->put_bytes);
		worker_count(w, inode, put_raw_bytes, f->raw_bytes);
		worker_count(w, inode, zero_pages_written, f->zero_pages);
		worker_count(w, inode, delta_puts, f->delta);
		worker_count(w, inode, base_fetches, f->base_fetched);
	}
	wb->sealed--;
	slot_free(w, s);
	open = slot_find(w, inode->nr, chunk, SLOT_OPEN);
	if (open && (w->journal->slots[open - 1].pages == ~0u || wb->syncs))
		slot_seal(w, open);
	if (!inode->slots)
		inode_reap(w->inodes, inode->nr);
}

/* Gives those that wait for slots another try, in their order; they line up again if need be. */
static void stalled_continue(struct worker *w, uint64_t now_ns)
{
	struct writeback *wb = w->writeback;
	struct write_io *io = wb->stalled, *next;

	wb->stalled = NULL;
	wb->stalled_tail = &wb->stalled;
	for (; io; io = next) {
		next = io->next_stalled;
		if (io->deadline_ns && now_ns > io->deadline_ns)
			io->wait.error = -ETIMEDOUT;
		if (io->wait.error || worker_disk(w, io->wait.inode)->failed ||
		    (wb->free && slot_allowed(w, io->wait.inode, io->off / GVM_CHUNK_BYTES)))
			write_continue(w, io);
		else
			stalled_add(wb, io);
	}
}

void writeback_collect(struct worker *w)
{
	struct flush *f = flush_queue_finished(&w->writeback->queue), *next;

	for (; f; f = next) {
		next = f->next;
		f->done(w, f);
	}
	stalled_continue(w, gvm_now_ns());
	if (w->writeback->syncs)
		syncs_check(w, gvm_now_ns());
}

uint64_t writeback_tick(struct worker *w, uint64_t now_ns)
{
	struct writeback *wb = w->writeback;
	uint64_t next = ~0ull;

	if (wb->stalled && wb->look_again)
		stalled_continue(w, now_ns);
	wb->look_again = false;
	if (wb->free == JOURNAL_SLOTS && !wb->syncs)
		return next;
	if (wb->stalled && wb->stalled->deadline_ns) {
		if (now_ns > wb->stalled->deadline_ns)
			stalled_continue(w, now_ns);
		if (wb->stalled)
			next = wb->stalled->deadline_ns;
	}
	for (unsigned s = 1; s <= JOURNAL_SLOTS; s++) {
		const struct journal_slot *js = &w->journal->slots[s - 1];
		uint64_t due = ~0ull;

		if (js->state == SLOT_SEALED && wb->rt[s - 1].retry_at_ns)
			due = wb->rt[s - 1].retry_at_ns;
		else if (js->state == SLOT_OPEN && !slot_find(w, js->inode, js->chunk, SLOT_SEALED))
			due = wb->rt[s - 1].opened_ns + WRITEBACK_AGE_NS;
		if (due <= now_ns) {
			if (js->state == SLOT_OPEN)
				slot_seal(w, s);
			else
				slot_send(w, s);
		} else if (due < next) {
			next = due;
		}
	}
	syncs_check(w, now_ns);
	for (struct writeback_sync *sync = wb->syncs; sync; sync = sync->next)
		if (sync->deadline_ns && sync->deadline_ns < next)
			next = sync->deadline_ns;
	return next;
}

void writeback_seal_all(struct worker *w)
{
	for (unsigned s = 1; s <= JOURNAL_SLOTS; s++)
		if (w->journal->slots[s - 1].state == SLOT_OPEN)
			slot_seal(w, s);
}
