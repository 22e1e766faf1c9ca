// SPDX-License-Identifier: GPL-2.0-or-later
/* resident.c - see resident.h. Faults, and how chunks come; resident_evict.c has how they go. */
#include "resident.h"

#include "keeper.h"
#include "log.h"
#include "region.h"
#include "resident_priv.h"
#include "uffd.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#define MESSAGES 64 /* faults taken with one read() */

int residents_init(struct worker *w)
{
	struct residents *rs = &w->residents;
	uint8_t *data = mmap(NULL, RESIDENT_FETCHES * GVM_CHUNK_BYTES, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (data == MAP_FAILED)
		return -ENOMEM;
	for (unsigned i = RESIDENT_FETCHES; i--;) {
		rs->fetches[i].data = data + (size_t)i * GVM_CHUNK_BYTES;
		rs->fetches[i].next_free = rs->fetches_free;
		rs->fetches_free = &rs->fetches[i];
	}
	for (unsigned i = RESIDENT_EVICTIONS; i--;) {
		rs->evictions[i].next_free = rs->evictions_free;
		rs->evictions_free = &rs->evictions[i];
	}
	rs->fetches_left = RESIDENT_FETCHES;
	rs->evictions_left = RESIDENT_EVICTIONS;
	return 0;
}

/* Lists of chunks. */

void chunk_unlist(struct resident *r, uint64_t c)
{
	struct chunk *k = &r->chunk[c];
	struct chunk_list *l = &r->lists[k->list];

	if (k->list == LIST_NONE)
		return;
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

/* Pages. */

uint32_t chunk_pages(const struct resident *r, uint64_t c)
{
	uint64_t left = (r->bytes - c * GVM_CHUNK_BYTES) / GVM_PAGE_BYTES;

	return left >= GVM_CHUNK_PAGES ? ~0u : (1u << left) - 1;
}

static uint64_t page_address(const struct resident *r, uint64_t c, unsigned page)
{
	return r->address + c * GVM_CHUNK_BYTES + (uint64_t)page * GVM_PAGE_BYTES;
}

static void mark_fill(struct resident *r, uint64_t c, uint32_t pages)
{
	journal_publish32(&r->mark[c].filled, r->mark[c].filled | pages);
}

void hashes_drop(struct resident *r, uint64_t c)
{
	if (r->chunk[c].hashes != r->zero_hashes)
		free(r->chunk[c].hashes);
	r->chunk[c].hashes = NULL;
}

void hashes_make(const uint8_t *data, uint64_t seed, XXH128_hash_t hashes[GVM_CHUNK_PAGES])
{
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		hashes[p] = XXH3_128bits_withSeed(data + p * GVM_PAGE_BYTES, GVM_PAGE_BYTES, seed);
}

/* An ioctl on the client's memory failed: that is its end, or ours. */
static void client_trouble(struct resident *r, int error)
{
	if (error == -ESRCH)
		resident_client_gone(r);
	else
		resident_abort(r, strerror(-error));
}

static void pages_wake(struct resident *r, uint64_t c, uint32_t pages)
{
	while (pages) {
		unsigned first = (unsigned)__builtin_ctz(pages);
		uint32_t rest = ~(pages >> first);
		unsigned n = rest ? (unsigned)__builtin_ctz(rest) : GVM_CHUNK_PAGES;

		uffd_wake(r->fd[SESSION_UFFD], page_address(r, c, first), n * GVM_PAGE_BYTES);
		pages &= first + n >= GVM_CHUNK_PAGES ? 0 : ~0u << (first + n);
	}
}

/* Calls `act` for each run of adjacent pages, until one fails. */
static int for_runs(struct resident *r, uint64_t c, uint32_t pages,
		    int (*act)(struct resident *r, uint64_t c, unsigned first, unsigned n, void *arg),
		    void *arg)
{
	int error = 0;

	while (pages && !error) {
		unsigned first = (unsigned)__builtin_ctz(pages);
		uint32_t rest = ~(pages >> first);
		unsigned n = rest ? (unsigned)__builtin_ctz(rest) : GVM_CHUNK_PAGES;

		error = act(r, c, first, n, arg);
		pages &= first + n >= GVM_CHUNK_PAGES ? 0 : ~0u << (first + n);
	}
	return error;
}

static int run_continue(struct resident *r, uint64_t c, unsigned first, unsigned n, void *arg)
{
	return uffd_continue(r->fd[SESSION_UFFD], page_address(r, c, first), n * GVM_PAGE_BYTES, arg);
}

static uint32_t run_mask(unsigned first, unsigned n)
{
	return (uint32_t)(((1ull << n) - 1) << first);
}

static int run_copy(struct resident *r, uint64_t c, unsigned first, unsigned n, void *arg)
{
	struct resident_fetch *f = arg;
	uint32_t run = run_mask(first, n);
	int error = uffd_copy(r->fd[SESSION_UFFD], page_address(r, c, first),
			      f->data + first * GVM_PAGE_BYTES, n * GVM_PAGE_BYTES,
			      (run & f->waited) != 0);

	if (!error)
		mark_fill(r, c, run);
	return error;
}

/* States. */

/* A chunk is not ABSENT any more. */
static void resident_count(struct resident *r)
{
	if (++r->resident > r->inode->resident_peak)
		r->inode->resident_peak = r->resident;
}

static void set_resident(struct resident *r, uint64_t c)
{
	r->chunk[c].state = CHUNK_RESIDENT;
	chunk_enlist(r, c, LIST_ACTIVE);
	resident_ops_continue(r);
}

/*
 * Maps a chunk that is here and wakes who waits. A page that was punched out gets a zero page only if
 * it is the one that faulted (GVM_NO_PAGE: none was).
 */
void chunk_show(struct resident *r, uint64_t c, unsigned page)
{
	struct chunk *k = &r->chunk[c];
	unsigned holes = 0;
	int error;

	if (page != GVM_NO_PAGE)
		k->holes &= ~(1u << page);
	error = for_runs(r, c, chunk_pages(r, c) & ~k->holes, run_continue, &holes);
	if (error) {
		client_trouble(r, error);
		return;
	}
	if (k->state != CHUNK_RESIDENT)
		set_resident(r, c);
	pages_wake(r, c, chunk_pages(r, c));
}

static void chunk_block(struct resident *r, uint64_t c, unsigned page)
{
	if (r->chunk[c].list == LIST_BLOCKED)
		return;
	r->chunk[c].want_page = (uint8_t)page;
	chunk_enlist(r, c, LIST_BLOCKED);
}

static bool is_zero(struct resident *r, uint64_t c)
{
	uint64_t entry = journal_index(&r->w->journal, r->inode->nr)[c];

	return !entry || entry & GVM_VERSION_ZERO;
}

static void fill_with_zeros(struct resident *r, uint64_t c)
{
	uint32_t pages = chunk_pages(r, c);
	int error = uffd_zero(r->fd[SESSION_UFFD], page_address(r, c, 0),
			      (size_t)__builtin_popcount(pages) * GVM_PAGE_BYTES);

	resident_count(r);
	r->chunk[c].state = CHUNK_FILLING;
	if (error) {
		client_trouble(r, error);
		return;
	}
	mark_fill(r, c, ~0u);
	r->chunk[c].hashes = r->zero_hashes;
	worker_count(r->w, r->inode, zero_pages_read, GVM_CHUNK_PAGES);
	set_resident(r, c);
	uffd_wake(r->fd[SESSION_UFFD], page_address(r, c, 0),
		  (size_t)__builtin_popcount(pages) * GVM_PAGE_BYTES);
}

static int fetch_piece(struct gvm_get *get, uint64_t version, const struct chunk_head *head,
		       const uint8_t *body);
static void fetch_done(struct gvm_req *req);

/* Whether a region may have one more GET under way: others, were its node dead, find some left. */
static bool fetch_allowed(const struct resident *r)
{
	return r->w->residents.fetches_free && r->fetches <= 2 * r->w->residents.fetches_left;
}

static void fetch_start(struct resident *r, uint64_t c, unsigned page, bool ahead)
{
	struct worker *w = r->w;
	struct residents *rs = &w->residents;
	struct resident_fetch *f = rs->fetches_free;
	struct chunk *k = &r->chunk[c];

	rs->fetches_free = f->next_free;
	rs->fetches_left--;
	rs->fetching++;
	r->fetches++;
	if (k->state == CHUNK_ABSENT)
		resident_count(r);
	k->state = CHUNK_FILLING;
	k->fetch = f;
	f->r = r;
	f->chunk = c;
	f->asked = ~r->mark[c].filled;
	f->decoded = 0;
	f->waited = page == GVM_NO_PAGE ? 0 : 1u << page;
	f->ahead = ahead;
	f->get.req = (struct gvm_req){
		.done = fetch_done, .arg = f, .deadline_ns = pool_deadline(w->opts)
	};
	f->get.on_piece = fetch_piece;
	region_get_fields(w, r->inode, c, &f->get.what);
	f->get.what.page_mask = f->asked;
	f->get.what.want_page = (uint8_t)page;
	gvm_get(worker_node(w, r->inode, c), &f->get);
}

static void fetch_free(struct resident_fetch *f)
{
	struct residents *rs = &f->r->w->residents;

	f->r->chunk[f->chunk].fetch = NULL;
	f->r->fetches--;
	f->r = NULL;
	f->next_free = rs->fetches_free;
	rs->fetches_free = f;
	rs->fetches_left++;
	rs->fetching--;
}

/* Puts what has been decoded into the client's memory. */
static int fetch_show(struct resident_fetch *f)
{
	struct resident *r = f->r;
	uint32_t pages = f->decoded & ~r->mark[f->chunk].filled & chunk_pages(r, f->chunk);

	return for_runs(r, f->chunk, pages, run_copy, f);
}

static int fetch_piece(struct gvm_get *get, uint64_t version, const struct chunk_head *head,
		       const uint8_t *body)
{
	struct resident_fetch *f = get->req.arg;
	struct resident *r = f->r;
	struct worker *w = r->w;
	uint32_t got = 0;
	int error = chunk_decode(w->pager.codec, head, body, &worker_disk(w, r->inode)->rec.id,
				 f->chunk, f->asked, f->data, &got);

	(void)version; /* at least what was asked for: the node saw to that */
	if (error < 0)
		return error;
	f->decoded |= got & f->asked;
	worker_count(w, r->inode, fetch_bytes, head->body_bytes);
	worker_count(w, r->inode, fetch_raw_bytes,
		     GVM_PAGE_BYTES * (uint64_t)__builtin_popcount(got & ~head->zero_map));
	if (!f->ahead && !r->client_gone)
		fetch_show(f); /* what fails here fails again in fetch_done() */
	return 0;
}

/* Nobody can have these pages: whoever touches them gets a memory failure. */
static void pages_fail(struct resident *r, uint64_t c, uint32_t pages)
{
	int error = 0;

	if (!r->poison)
		error = -EOPNOTSUPP;
	for (unsigned p = 0; !error && p < GVM_CHUNK_PAGES; p++)
		if (pages >> p & 1)
			error = uffd_poison(r->fd[SESSION_UFFD], page_address(r, c, p),
					    GVM_PAGE_BYTES);
	worker_count(r->w, r->inode, io_errors, 1);
	if (error == -ESRCH)
		resident_client_gone(r);
	else if (error)
		resident_abort(r, "a page of its memory cannot be had");
	else
		pages_wake(r, c, pages);
}

static void fetch_failed(struct resident *r, uint64_t c, uint32_t waited, int error)
{
	struct chunk *k = &r->chunk[c];

	region_report(r->w, r->inode, c, "read", error);
	if (!r->mark[c].filled) {
		k->state = CHUNK_ABSENT;
		r->resident--;
	}
	if (waited && !r->aborted)
		pages_fail(r, c, waited);
	error = error == -ETIMEDOUT ? -ETIMEDOUT : -EIO;
	sync_end(r, c, error);
	resident_ops_fail(r, c, error);
}

/* A chunk that was fetched ahead waits unmapped, so that its first use is noticed, and so that it is
 * the first to go if there is none. */
static int fetch_hide(struct resident_fetch *f)
{
	struct resident *r = f->r;
	struct resident_mark *mark = &r->mark[f->chunk];
	size_t done = 0;

	journal_publish32(&mark->hidden, 1);
	while (done < GVM_CHUNK_BYTES) {
		ssize_t n = pwrite(r->fd[SESSION_MEMORY], f->data + done, GVM_CHUNK_BYTES - done,
				   (off_t)(f->chunk * GVM_CHUNK_BYTES + done));

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	mark_fill(r, f->chunk, ~0u);
	journal_publish32(&mark->hidden, 0);
	return 0;
}

static void fetch_finish(struct resident_fetch *f)
{
	struct resident *r = f->r;
	uint64_t c = f->chunk;
	struct chunk *k = &r->chunk[c];
	bool whole = f->asked == ~0u, ahead = f->ahead;
	int error = ahead ? fetch_hide(f) : fetch_show(f);

	if (!error && !ahead)
		uffd_wake(r->fd[SESSION_UFFD], page_address(r, c, 0),
			  (size_t)__builtin_popcount(chunk_pages(r, c)) * GVM_PAGE_BYTES);
	if (error) {
		fetch_free(f);
		client_trouble(r, error);
		return;
	}
	worker_count(r->w, r->inode, chunks_fetched, 1);
	mark_fill(r, c, ~0u);
	if (whole && (k->hashes = malloc(sizeof(XXH128_hash_t) * GVM_CHUNK_PAGES)))
		hashes_make(f->data, r->seed, k->hashes);
	fetch_free(f);
	if (ahead) {
		k->state = CHUNK_INACTIVE;
		k->ahead = true;
		chunk_enlist(r, c, LIST_INACTIVE);
		resident_ops_continue(r);
	} else {
		set_resident(r, c);
	}
}

static void fetch_done(struct gvm_req *req)
{
	struct resident_fetch *f = req->arg;
	struct resident *r = f->r;
	uint64_t c = f->chunk;
	uint32_t waited = f->waited;

	if (r->client_gone) {
		fetch_free(f);
		if (!r->mark[c].filled) {
			r->chunk[c].state = CHUNK_ABSENT;
			r->resident--;
		}
	} else if (req->result < 0) {
		fetch_free(f);
		fetch_failed(r, c, waited, req->result);
	} else {
		fetch_finish(f);
	}
	resident_balance(r);
}

/* Room for one more chunk, and the means to fetch it. */
static bool may_bring(const struct resident *r, uint64_t c)
{
	if (r->chunk[c].state == CHUNK_ABSENT && r->resident >= r->local_chunks && !r->over &&
	    !r->pinned)
		return false;
	return is_zero((struct resident *)r, c) || fetch_allowed(r);
}

void resident_bring(struct resident *r, uint64_t c, unsigned page)
{
	struct chunk *k = &r->chunk[c];

	if (k->state != CHUNK_ABSENT && (k->state != CHUNK_FILLING || k->fetch))
		return;
	if (k->list == LIST_BLOCKED || r->client_gone || r->aborted)
		return;
	if (!may_bring(r, c)) {
		if (r->resident >= r->local_chunks)
			worker_count(r->w, r->inode, room_waits, 1);
		chunk_block(r, c, page);
	} else if (k->state == CHUNK_ABSENT && is_zero(r, c)) {
		fill_with_zeros(r, c);
	} else {
		fetch_start(r, c, page, false);
	}
}

void blocked_continue(struct resident *r)
{
	while (r->lists[LIST_BLOCKED].head && !r->client_gone && !r->aborted) {
		uint64_t c = r->lists[LIST_BLOCKED].head - 1;

		if (!may_bring(r, c))
			return;
		chunk_unlist(r, c);
		resident_bring(r, c, r->chunk[c].want_page);
	}
}

/* Fetches ahead of faults that go on as they did. */
static void fetch_ahead(struct resident *r, uint64_t c, unsigned page)
{
	uint64_t ahead[READAHEAD_WINDOW];
	unsigned n = readahead_note(&r->readahead, c * GVM_CHUNK_PAGES + page,
				    GVM_CHUNK_PAGES - page, r->chunks, ahead);

	for (unsigned i = 0; i < n; i++) {
		if (r->chunk[ahead[i]].state != CHUNK_ABSENT || r->chunk[ahead[i]].list ||
		    is_zero(r, ahead[i]))
			continue;
		if (r->resident + 1 >= r->local_chunks || !fetch_allowed(r) ||
		    r->w->residents.fetches_left <= RESIDENT_FETCHES / 3)
			return;
		worker_count(r->w, r->inode, prefetched, 1);
		fetch_start(r, ahead[i], GVM_NO_PAGE, true);
	}
}

/* A fault of a chunk that is being filled: of a page that has come, or that will. */
static void fault_filling(struct resident *r, uint64_t c, unsigned page)
{
	struct resident_fetch *f = r->chunk[c].fetch;
	unsigned holes = 0;
	int error = 0;

	if (r->mark[c].filled >> page & 1) {
		error = run_continue(r, c, page, 1, &holes);
		pages_wake(r, c, 1u << page);
	} else if (f) {
		f->waited |= 1u << page;
		if (f->ahead) {
			f->ahead = false;
			worker_count(r->w, r->inode, prefetch_used, 1);
			error = fetch_show(f);
		}
	} else {
		resident_bring(r, c, page);
	}
	if (error)
		client_trouble(r, error);
}

static void fault(struct resident *r, uint64_t address)
{
	uint64_t off = address - r->address, c = off / GVM_CHUNK_BYTES;
	unsigned page = off / GVM_PAGE_BYTES % GVM_CHUNK_PAGES;
	struct chunk *k;

	if (address < r->address || off >= r->bytes || r->client_gone || r->aborted)
		return;
	k = &r->chunk[c];
	worker_count(r->w, r->inode, faults, 1);
	/* By the chunk's state, not by what the message says: that may be long ago. */
	switch ((enum chunk_state)k->state) {
	case CHUNK_ABSENT:
		resident_bring(r, c, page);
		fetch_ahead(r, c, page);
		break;
	case CHUNK_FILLING:
		fault_filling(r, c, page);
		fetch_ahead(r, c, page);
		break;
	case CHUNK_EVICTING:
		worker_count(r->w, r->inode, evictions_ended, 1);
		chunk_show(r, c, page);
		break;
	case CHUNK_INACTIVE:
		worker_count(r->w, r->inode, minor_faults, 1);
		/* fall through */
	case CHUNK_RESIDENT:
	case CHUNK_ZAPPING:
		chunk_show(r, c, page);
		if (k->ahead) {
			k->ahead = false;
			worker_count(r->w, r->inode, prefetch_used, 1);
			fetch_ahead(r, c, page);
		}
		break;
	}
}

static unsigned resident_serve(struct resident *r)
{
	struct uffd_msg msg[MESSAGES];
	ssize_t bytes = read(r->fd[SESSION_UFFD], msg, sizeof(msg));
	unsigned n = bytes > 0 ? (unsigned)((size_t)bytes / sizeof(*msg)) : 0;

	for (unsigned i = 0; i < n; i++)
		if (msg[i].event == UFFD_EVENT_PAGEFAULT)
			fault(r, msg[i].arg.pagefault.address);
	if (n)
		resident_balance(r);
	return n;
}

unsigned residents_serve(struct worker *w)
{
	unsigned n = 0;

	for (unsigned i = 0; i < JOURNAL_SESSIONS && w->residents.count; i++)
		if (w->residents.list[i] && !w->residents.list[i]->client_gone)
			n += resident_serve(w->residents.list[i]);
	return n;
}

/* The budget. */

void resident_budget(struct resident *r)
{
	uint64_t bytes = worker_disk(r->w, r->inode)->local_bytes;

	r->local_chunks = bytes ? bytes / GVM_CHUNK_BYTES : r->chunks;
	if (r->local_chunks < RESIDENT_LOCAL_MIN)
		r->local_chunks = RESIDENT_LOCAL_MIN;
	r->over = false;
	resident_balance(r);
}

void resident_call_off(struct resident *r, uint64_t c)
{
	if (r->chunk[c].state != CHUNK_EVICTING)
		return;
	worker_count(r->w, r->inode, evictions_ended, 1);
	chunk_show(r, c, GVM_NO_PAGE);
}

void resident_make_zero(struct resident *r, uint64_t c)
{
	resident_count(r);
	mark_fill(r, c, ~0u);
	r->chunk[c].holes = ~0u;
	r->chunk[c].state = CHUNK_INACTIVE;
	chunk_enlist_first(r, c, LIST_INACTIVE);
}

void resident_punched(struct resident *r, uint64_t c, uint32_t pages)
{
	struct chunk *k = &r->chunk[c];

	k->holes |= pages;
	/* All of it: no page-table entry is left, and it can go at once. */
	if ((k->holes | ~chunk_pages(r, c)) == ~0u && k->state != CHUNK_ZAPPING) {
		k->state = CHUNK_INACTIVE;
		chunk_enlist_first(r, c, LIST_INACTIVE);
	}
}

/* Taking over. */

/* The pages that the memory holds, into chunk[].holes for the moment. */
static void recover_present(struct resident *r)
{
	int fd = r->fd[SESSION_MEMORY];
	off_t at = 0, end = (off_t)(r->chunks * GVM_CHUNK_BYTES);

	while ((at = lseek(fd, at, SEEK_DATA)) >= 0 && at < end) {
		off_t hole = lseek(fd, at, SEEK_HOLE);

		for (; at < hole && at < end; at += GVM_PAGE_BYTES)
			r->chunk[at / GVM_CHUNK_BYTES].holes |=
				1u << (at / GVM_PAGE_BYTES % GVM_CHUNK_PAGES);
	}
}

static void chunk_punch(struct resident *r, uint64_t c)
{
	if (fallocate(r->fd[SESSION_MEMORY], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)(c * GVM_CHUNK_BYTES), GVM_CHUNK_BYTES) < 0)
		log_error(worker_disk(r->w, r->inode)->rec.name, "memory cannot be given back: %s",
			  strerror(errno));
}

void chunk_drop(struct resident *r, uint64_t c)
{
	struct chunk *k = &r->chunk[c];

	chunk_unlist(r, c);
	journal_publish32(&r->mark[c].filled, 0);
	chunk_punch(r, c);
	hashes_drop(r, c);
	k->state = CHUNK_ABSENT;
	k->holes = 0;
	k->ahead = false;
	r->resident--;
}

static void recover_chunk(struct resident *r, uint64_t c)
{
	struct chunk *k = &r->chunk[c];
	struct resident_mark *mark = &r->mark[c];
	uint32_t present = k->holes;

	k->holes = 0;
	if (mark->hidden) {
		journal_publish32(&mark->hidden, 0);
		if (!mark->filled) {
			chunk_punch(r, c); /* perhaps half written; nobody has seen it */
			return;
		}
	}
	mark_fill(r, c, present);
	if (!mark->filled)
		return;
	resident_count(r);
	if ((mark->filled | ~chunk_pages(r, c)) != ~0u) {
		k->state = CHUNK_FILLING;
		return;
	}
	mark_fill(r, c, ~0u);
	k->holes = chunk_pages(r, c) & ~present;
	k->state = CHUNK_RESIDENT;
	chunk_enlist(r, c, LIST_ACTIVE);
}

static void recover(struct resident *r)
{
	int fd = r->fd[SESSION_MARKS];
	off_t at = 0, end = (off_t)(r->chunks * sizeof(*r->mark));

	recover_present(r);
	/* Only the parts of the marks that were ever written: the rest stays untouched. */
	while ((at = lseek(fd, at, SEEK_DATA)) >= 0 && at < end) {
		off_t hole = lseek(fd, at, SEEK_HOLE);

		for (at -= at % (off_t)sizeof(*r->mark); at < hole && at < end;
		     at += sizeof(*r->mark))
			recover_chunk(r, (uint64_t)at / sizeof(*r->mark));
	}
	for (uint64_t c = 0; c < r->chunks; c++)
		if (r->chunk[c].state == CHUNK_ABSENT && r->chunk[c].holes)
			recover_chunk(r, c);
	/* Faults that the predecessor had taken are not told again. */
	uffd_wake(r->fd[SESSION_UFFD], r->address, r->bytes);
}

static int resident_map(struct resident *r)
{
	void *marks = mmap(NULL, r->chunks * sizeof(*r->mark), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_NORESERVE, r->fd[SESSION_MARKS], 0);
	void *pins = mmap(NULL, r->chunks * sizeof(*r->pins), PROT_READ,
			  MAP_SHARED | MAP_NORESERVE, r->fd[SESSION_PINS], 0);

	/* Freed with munmap() even where only one of them is there. */
	r->mark = marks == MAP_FAILED ? NULL : marks;
	r->pins = pins == MAP_FAILED ? NULL : pins;
	r->chunk = mmap(NULL, r->chunks * sizeof(*r->chunk), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (r->chunk == MAP_FAILED)
		r->chunk = NULL;
	return r->mark && r->pins && r->chunk ? 0 : -ENOMEM;
}

static void resident_free(struct resident *r)
{
	for (uint64_t c = 0; r->chunk && r->resident && c < r->chunks; c++)
		if (r->chunk[c].hashes)
			hashes_drop(r, c);
	if (r->chunk)
		munmap(r->chunk, r->chunks * sizeof(*r->chunk));
	if (r->mark)
		munmap(r->mark, r->chunks * sizeof(*r->mark));
	if (r->pins)
		munmap((void *)r->pins, r->chunks * sizeof(*r->pins));
	for (unsigned i = 0; i < SESSION_FDS; i++)
		if (r->fd[i] >= 0)
			close(r->fd[i]);
	free(r);
}

static int epoll_add(struct worker *w, int fd, void *what)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = what };

	return epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

int resident_open(struct worker *w, unsigned session, const int fd[SESSION_FDS])
{
	const struct journal_session *s = &w->journal.sessions[session];
	struct resident *r = calloc(1, sizeof(*r));
	static const uint8_t zeros[GVM_CHUNK_BYTES];
	int error;

	if (!r)
		return -ENOMEM;
	r->w = w;
	r->inode = inode_get(&w->inodes, s->inode);
	r->session = session;
	memcpy(r->fd, fd, sizeof(r->fd));
	r->address = s->address;
	r->bytes = s->bytes;
	r->chunks = record_chunks(s->bytes);
	r->pid = s->pid;
	r->pinned = s->pinned;
	r->poison = uffd_knows_poison();
	error = r->inode ? resident_map(r) : -ENOMEM;
	if (!error && getrandom(&r->seed, sizeof(r->seed), 0) < 0)
		error = -errno;
	if (!error)
		error = epoll_add(w, r->fd[SESSION_UFFD], &r->fd[SESSION_UFFD]);
	if (!error)
		error = epoll_add(w, r->fd[SESSION_SOCKET], &r->fd[SESSION_SOCKET]);
	if (error) {
		for (unsigned i = 0; i < SESSION_FDS; i++)
			r->fd[i] = -1; /* still the caller's */
		resident_free(r);
		return error;
	}
	hashes_make(zeros, r->seed, r->zero_hashes);
	r->inode->resident = r;
	w->residents.list[session] = r;
	w->residents.count++;
	recover(r);
	resident_budget(r);
	return 0;
}

/* Said explicitly: the supervisor has the descriptors open too, so closing ours is not enough. */
void resident_unwatch(struct resident *r)
{
	epoll_ctl(r->w->epoll_fd, EPOLL_CTL_DEL, r->fd[SESSION_SOCKET], NULL);
	epoll_ctl(r->w->epoll_fd, EPOLL_CTL_DEL, r->fd[SESSION_UFFD], NULL);
}

void resident_close(struct resident *r)
{
	struct worker *w = r->w;
	struct inode *inode = r->inode;

	resident_unwatch(r);
	keeper_drop(w->keeper_fd, &w->journal, r->session);
	attaches_closed(w, r->session);
	w->residents.list[r->session] = NULL;
	w->residents.count--;
	inode->resident = NULL;
	resident_free(r);
	w->residents.on_close(w, inode);
}
