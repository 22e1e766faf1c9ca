// SPDX-License-Identifier: GPL-2.0-or-later
/* resident.c - see resident.h: regions on the fast path, and their faults. */
#include "keeper.h"
#include "resident_priv.h"
#include "uffd.h"
#include "worker.h"

#include <errno.h>
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
	rs->window.uffd = -1; /* made for the first region: perhaps there is never one */
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

/* A fault of a chunk that a fetch is under way for: of a page that has come, or that will. */
static void fault_filling(struct resident *r, uint64_t c, unsigned page)
{
	struct chunk *k = &r->chunk[c];
	int error;

	if (r->mark[c].filled >> page & 1) {
		chunk_mark_holes(r, c, 1u << page, false);
		error = pages_map(r, c, 1u << page);
		pages_wake(r, c, 1u << page);
		if (error)
			client_trouble(r, error);
		return;
	}
	/* One that is not among those asked for is faulted for again when these have come. */
	k->fetch->waited |= 1u << page;
	if (k->fetch->ahead) {
		k->fetch->ahead = false;
		worker_count(r->w, r->inode, prefetch_used, 1);
	}
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
	if (k->state == CHUNK_FILLING) {
		fault_filling(r, c, page);
		resident_ahead(r, c, page);
	} else if (!(r->mark[c].filled >> page & 1)) {
		resident_miss(r, c, page);
		resident_ahead(r, c, page);
	} else if (k->holes >> page & 1 && !resident_has_room(r, 1)) {
		worker_count(r->w, r->inode, room_waits, 1);
		resident_block(r, c, page);
	} else {
		if (k->state == CHUNK_INACTIVE)
			worker_count(r->w, r->inode, minor_faults, 1);
		chunk_show(r, c, page);
		if (k->ahead) {
			k->ahead = false;
			worker_count(r->w, r->inode, prefetch_used, 1);
			resident_ahead(r, c, page);
		}
	}
}

static unsigned resident_serve(struct resident *r)
{
	struct uffd_msg msg[MESSAGES];
	ssize_t bytes = uffd_read(r->fd[SESSION_UFFD], msg, sizeof(msg));
	unsigned n = (unsigned)((size_t)bytes / sizeof(*msg));

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

void resident_budget(struct resident *r)
{
	uint64_t bytes = worker_disk(r->w, r->inode)->local_bytes;

	r->local = bytes ? bytes / GVM_PAGE_BYTES : r->chunks * GVM_CHUNK_PAGES;
	if (r->local < RESIDENT_LOCAL_MIN)
		r->local = RESIDENT_LOCAL_MIN;
	r->over = false;
	resident_balance(r);
}

/* Life. */

static int resident_map(struct resident *r)
{
	void *marks = mmap(NULL, r->chunks * sizeof(*r->mark), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_NORESERVE, r->fd[SESSION_MARKS], 0);
	void *pins = mmap(NULL, r->chunks * sizeof(*r->pins), PROT_READ,
			  MAP_SHARED | MAP_NORESERVE, r->fd[SESSION_PINS], 0);

	/* Freed with munmap() even where only one of them is there. */
	r->mark = marks == MAP_FAILED ? NULL : marks;
	r->pins = pins == MAP_FAILED ? NULL : pins;
	/* Sparse, like what they are about. */
	if (r->mark)
		madvise(r->mark, r->chunks * sizeof(*r->mark), MADV_NOHUGEPAGE);
	if (r->pins)
		madvise((void *)r->pins, r->chunks * sizeof(*r->pins), MADV_NOHUGEPAGE);
	r->chunk = mmap(NULL, r->chunks * sizeof(*r->chunk), PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (r->chunk == MAP_FAILED)
		r->chunk = NULL;
	return r->mark && r->pins && r->chunk ? 0 : -ENOMEM;
}

static void resident_free(struct resident *r)
{
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

/* Said explicitly: the supervisor has the descriptors open too, so closing ours is not enough. */
void resident_unwatch(struct resident *r)
{
	epoll_ctl(r->w->epoll_fd, EPOLL_CTL_DEL, r->fd[SESSION_SOCKET], NULL);
	epoll_ctl(r->w->epoll_fd, EPOLL_CTL_DEL, r->fd[SESSION_UFFD], NULL);
}

int resident_open(struct worker *w, unsigned session, const int fd[SESSION_FDS])
{
	static const uint8_t zeros[GVM_PAGE_BYTES];
	const struct journal_session *s = &w->journal.sessions[session];
	struct resident *r = calloc(1, sizeof(*r));
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
	if (!error && w->residents.window.uffd < 0)
		error = window_init(&w->residents.window);
	if (!error && getrandom(&r->seed, sizeof(r->seed), 0) < 0)
		error = -errno;
	if (!error)
		error = epoll_add(w, r->fd[SESSION_UFFD], &r->fd[SESSION_UFFD]);
	if (!error)
		error = epoll_add(w, r->fd[SESSION_SOCKET], &r->fd[SESSION_SOCKET]);
	if (error) {
		resident_unwatch(r);
		for (unsigned i = 0; i < SESSION_FDS; i++)
			r->fd[i] = -1; /* still the caller's */
		resident_free(r);
		return error;
	}
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		hash_page(zeros, r->seed, &r->zero_hashes[p]);
	/* An answer to a predecessor's request must not be taken for one to ours. */
	r->zap_seq = (uint64_t)w->journal.super->starts << 32;
	r->inode->resident = r;
	w->residents.list[session] = r;
	if (!w->residents.count++)
		writeback_yield(w, true);
	pager_forget(w, r->inode);
	r->inode->resident_peak = 0; /* of this guest, not of the one before */
	resident_recover(r);
	resident_budget(r);
	return 0;
}

void resident_close(struct resident *r)
{
	struct worker *w = r->w;
	struct inode *inode = r->inode;

	resident_unwatch(r);
	/* A reader's private mapping may have cached pages that have changed since. */
	worker_disk(w, inode)->cache_stale = 1;
	pager_forget(w, inode);
	keeper_drop(w->keeper_fd, &w->journal, r->session);
	attaches_closed(w, r->session);
	w->residents.list[r->session] = NULL;
	if (!--w->residents.count)
		writeback_yield(w, false);
	inode->resident = NULL;
	resident_ops_hand_over(r);
	resident_free(r);
	w->residents.on_close(w, inode);
}
