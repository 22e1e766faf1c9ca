// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * resident_io.c - what FUSE asks for of a region that the fast path serves (resident.h): reads see
 * the client's memory and change nothing; writes and holes go into it, chunk by chunk, each of which
 * is brought in first; an fsync has everything sent and kept.
 */
#include "region.h"
#include "resident_priv.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A write, or zeros (data NULL), or an fsync. */
struct resident_op {
	struct resident_op *next;
	fuse_req_t req; /* of a write */
	void (*done)(struct worker *w, void *arg, int error);
	void *arg;
	const uint8_t *data;
	uint8_t *kept; /* the request's buffer */
	uint64_t begin, off, end;
	struct resident *r;
	struct interrupt interrupt;
};

static struct resident_op *op_make(uint64_t off, uint64_t size)
{
	struct resident_op *op = calloc(1, sizeof(*op));

	if (op) {
		op->begin = op->off = off;
		op->end = off + size;
	}
	return op;
}

static void op_finish(struct resident *r, struct resident_op *op, int error)
{
	if (error)
		worker_count(r->w, r->inode, io_errors, error != -EINTR);
	interrupt_disarm(&op->interrupt);
	if (!op->req)
		op->done(r->w, op->arg, error);
	else if (error)
		fuse_reply_err(op->req, -error);
	else
		fuse_reply_write(op->req, op->end - op->begin);
	free(op->kept);
	free(op);
}

/* Reads. */

const uint8_t *resident_page(struct resident *r, uint64_t chunk, unsigned page)
{
	uint8_t *to;

	if (r->chunk[chunk].state == CHUNK_ABSENT || !(r->mark[chunk].filled >> page & 1))
		return NULL;
	to = pager_scratch(r->w);
	if (pread(r->fd[SESSION_MEMORY], to, GVM_PAGE_BYTES,
		  (off_t)(chunk * GVM_CHUNK_BYTES + page * GVM_PAGE_BYTES)) != GVM_PAGE_BYTES)
		abort(); /* our own memfd, within its size */
	return to;
}

/* Writes and holes. */

static int memory_write(struct resident *r, const void *data, uint64_t off, size_t size)
{
	static const uint8_t zeros[GVM_PAGE_BYTES];
	size_t done = 0;

	while (done < size) {
		ssize_t n = pwrite(r->fd[SESSION_MEMORY],
				   data ? (const uint8_t *)data + done : zeros, size - done,
				   (off_t)(off + done));

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

static uint32_t pages_between(uint64_t off, uint64_t end)
{
	unsigned first = off / GVM_PAGE_BYTES % GVM_CHUNK_PAGES;
	unsigned count = (unsigned)((end - 1) / GVM_PAGE_BYTES - off / GVM_PAGE_BYTES + 1);

	return (uint32_t)(((1ull << count) - 1) << first);
}

/* Ends a chunk's eviction, if there is one: it stays, since it is about to change. */
static void call_off(struct resident *r, uint64_t c)
{
	if (r->chunk[c].state == CHUNK_EVICTING)
		chunk_show(r, c, GVM_NO_PAGE);
}

/* Pages of a chunk have become holes, whether they were here or not. */
static void chunk_punched(struct resident *r, uint64_t c, uint32_t pages)
{
	struct chunk *k = &r->chunk[c];

	chunk_mark_holes(r, c, pages, true);
	chunk_fill(r, c, pages);
	if (k->state == CHUNK_ABSENT)
		chunk_activate(r, c);
	/* All of it: no page-table entry is left, and it can go at once. */
	if ((k->holes | ~chunk_pages(r, c)) == ~0u && k->list != LIST_BLOCKED &&
	    (k->state == CHUNK_RESIDENT || k->state == CHUNK_INACTIVE)) {
		chunk_set_state(r, c, CHUNK_INACTIVE);
		chunk_enlist_first(r, c, LIST_INACTIVE);
	}
	/* Who waited for a page to be fetched finds that it is zero. */
	pages_wake(r, c, pages);
}

/* The bytes of a chunk that an op wants to change in pages which are to stay otherwise as they are have
 * to be here. False: they are not, yet. */
static bool pages_are_here(struct resident *r, uint64_t off, uint64_t end)
{
	uint64_t c = off / GVM_CHUNK_BYTES;
	uint32_t pages = off < end ? pages_between(off, end) : 0;
	uint32_t lacking = pages & ~r->mark[c].filled;

	if (!lacking)
		return true;
	resident_bring(r, c, (unsigned)__builtin_ctz(lacking), ~0u);
	return !(pages & ~r->mark[c].filled);
}

/* Writes zeros to a part of a page that is filled, if that is not a hole. */
static int edge_zero(struct resident *r, uint64_t off, uint64_t end)
{
	uint64_t c = off / GVM_CHUNK_BYTES;

	if (off == end || r->chunk[c].holes & pages_between(off, end))
		return 0;
	return memory_write(r, NULL, off, end - off);
}

/* Puts zero pages where holes are: a write would perhaps put some beside them, too. */
static int run_unhole(struct resident *r, uint64_t c, unsigned first, unsigned n, void *arg)
{
	int error = 0;

	(void)arg;
	for (unsigned p = first; p < first + n && (!error || error == -EEXIST); p++) {
		size_t done;

		error = window_fill(&r->w->residents.window, r->fd[SESSION_MEMORY],
				    c * GVM_CHUNK_BYTES + p * GVM_PAGE_BYTES, NULL, GVM_PAGE_BYTES, &done);
	}
	return error == -EEXIST ? 0 : error;
}

/* Makes whole pages holes, and writes zeros to the parts of pages at both ends. 1: it waits. */
static int step_zero(struct resident *r, uint64_t off, uint64_t end)
{
	uint64_t c = off / GVM_CHUNK_BYTES, entry = journal_index(&r->w->journal, r->inode->nr)[c];
	uint64_t first = (off + GVM_PAGE_BYTES - 1) / GVM_PAGE_BYTES * GVM_PAGE_BYTES;
	uint64_t last = end / GVM_PAGE_BYTES * GVM_PAGE_BYTES;
	int error;

	if (!resident_has(r, c) && (!entry || entry & GVM_VERSION_ZERO))
		return 0;
	if (first > last) { /* within one page */
		if (!pages_are_here(r, off, end))
			return 1;
		call_off(r, c);
		return edge_zero(r, off, end);
	}
	if (!pages_are_here(r, off, first) || !pages_are_here(r, last, end))
		return 1;
	call_off(r, c);
	error = edge_zero(r, off, first);
	if (!error)
		error = edge_zero(r, last, end);
	if (error || first == last)
		return error;
	if (fallocate(r->fd[SESSION_MEMORY], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)first,
		      (off_t)(last - first)) < 0)
		return -errno;
	chunk_punched(r, c, pages_between(first, last));
	return 0;
}

static int step_write(struct resident *r, const uint8_t *data, uint64_t off, uint64_t end)
{
	uint64_t c = off / GVM_CHUNK_BYTES;
	int error;

	if (!pages_are_here(r, off, end) ||
	    !resident_has_room(r, (unsigned)__builtin_popcount(r->chunk[c].holes &
							       pages_between(off, end))))
		return 1;
	call_off(r, c);
	error = for_page_runs(r, c, r->chunk[c].holes & pages_between(off, end), run_unhole, NULL);
	if (error)
		return error;
	chunk_mark_holes(r, c, pages_between(off, end), false);
	return memory_write(r, data, off, end - off);
}

/* One chunk's part. 1: it waits. */
static int op_step(struct resident *r, struct resident_op *op)
{
	uint64_t end = (op->off / GVM_CHUNK_BYTES + 1) * GVM_CHUNK_BYTES;
	int error;

	if (end > op->end)
		end = op->end;
	error = op->data ? step_write(r, op->data + (op->off - op->begin), op->off, end)
			 : step_zero(r, op->off, end);
	if (!error)
		op->off = end;
	return error;
}

/* 1: it waits; otherwise it is finished. */
static int op_continue(struct resident *r, struct resident_op *op)
{
	int error = 0;

	while (!error && op->off < op->end) {
		if (r->aborted || worker_disk(r->w, r->inode)->failed)
			error = -EIO;
		else if (r->client_gone)
			error = 1; /* it is done when the region is a file again */
		else
			error = op_step(r, op);
	}
	if (error > 0)
		return 1;
	op_finish(r, op, error);
	return 0;
}

/* The writer is being killed: what is written already stays so. */
static void op_interrupted(struct interrupt *interrupt)
{
	struct resident_op *op =
		(struct resident_op *)((char *)interrupt - offsetof(struct resident_op, interrupt));
	struct resident_op **link = &op->r->ops;

	while (*link != op)
		link = &(*link)->next;
	*link = op->next;
	op_finish(op->r, op, -EINTR);
}

static void op_wait(struct resident *r, struct resident_op *op)
{
	struct worker *w = r->w;

	op->r = r;
	if (op->req && !op->interrupt.req)
		interrupt_arm(&op->interrupt, w, op->req, false, op_interrupted);

	if (op->data && !op->kept) {
		op->kept = w->request;
		w->request = NULL;
	}
	op->next = r->ops;
	r->ops = op;
}

void resident_write(struct resident *r, fuse_req_t req, const void *data, uint64_t off, size_t size)
{
	struct resident_op *op = op_make(off, size);

	if (!op) {
		fuse_reply_err(req, ENOMEM);
		return;
	}
	worker_count(r->w, r->inode, writes, 1);
	worker_count(r->w, r->inode, write_bytes, size);
	op->req = req;
	op->data = data;
	if (op_continue(r, op))
		op_wait(r, op);
	resident_balance(r);
}

void resident_zero(struct resident *r, uint64_t off, uint64_t size,
		   void (*done)(struct worker *w, void *arg, int error), void *arg)
{
	struct resident_op *op = op_make(off, size);

	if (!op) {
		done(r->w, arg, -ENOMEM);
		return;
	}
	worker_count(r->w, r->inode, punched_pages, size / GVM_PAGE_BYTES);
	op->done = done;
	op->arg = arg;
	if (op_continue(r, op))
		op_wait(r, op);
	resident_balance(r);
}

void resident_ops_continue(struct resident *r)
{
	struct resident_op *op = r->ops, *next;

	/* Taken off first: what an op does may call us again. */
	r->ops = NULL;
	for (; op; op = next) {
		next = op->next;
		if (op_continue(r, op))
			op_wait(r, op);
	}
}

void resident_ops_hand_over(struct resident *r)
{
	struct worker *w = r->w;
	struct resident_op *op = r->ops, *next;

	r->ops = NULL;
	for (; op; op = next) {
		uint8_t *request = w->request;

		next = op->next;
		interrupt_disarm(&op->interrupt);
		if (op->data) { /* which may keep the buffer that they stand in */
			w->request = op->kept;
			writeback_write(w, op->req, r->inode, op->data, op->begin, op->end - op->begin);
			op->kept = w->request;
			w->request = request;
		} else {
			writeback_zero(w, r->inode, op->off, op->end - op->off, op->done, op->arg);
		}
		free(op->kept);
		free(op);
	}
}

void resident_ops_fail(struct resident *r, uint64_t chunk, int error)
{
	struct resident_op *op = r->ops, *next;

	r->ops = NULL;
	for (; op; op = next) {
		next = op->next;
		if (chunk == ALL_CHUNKS || op->off / GVM_CHUNK_BYTES == chunk) {
			op_finish(r, op, error);
			continue;
		}
		op->next = r->ops;
		r->ops = op;
	}
}

/* fsync. */

static void sync_begin(struct resident *r)
{
	r->syncs = r->syncs_next;
	r->syncs_next = NULL;
	if (r->syncs && !++r->sync_pass)
		r->sync_pass = 1; /* 0 is none */
	r->sync_next = 0;
	r->sync_error = r->aborted ? -EIO : 0;
	r->sync_deadline_ns = r->syncs ? pool_deadline(r->w->opts) : 0;
	for (uint64_t c = 0; r->syncs && !r->sync_error && c < r->chunks; c++)
		if (resident_has(r, c)) {
			r->chunk[c].sync_pass = r->sync_pass;
			r->sync_left++;
		}
}

void resident_syncs_check(struct resident *r)
{
	while (!r->sync_left && (r->syncs || r->syncs_next)) {
		struct resident_op *op = r->syncs, *next;
		int error = r->sync_error;

		r->syncs = NULL;
		for (; op; op = next) {
			next = op->next;
			op_finish(r, op, error);
		}
		sync_begin(r);
	}
}

void resident_syncs_fail(struct resident *r, int error)
{
	r->sync_left = 0;
	r->sync_error = error;
	resident_syncs_check(r);
}

void resident_sync(struct resident *r, void (*done)(struct worker *w, void *arg, int error), void *arg)
{
	struct resident_op *op = op_make(0, 0);

	if (!op) {
		done(r->w, arg, -ENOMEM);
		return;
	}
	op->done = done;
	op->arg = arg;
	op->next = r->syncs_next;
	r->syncs_next = op;
	resident_syncs_check(r);
	resident_balance(r);
}
