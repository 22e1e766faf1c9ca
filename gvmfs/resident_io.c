// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * resident_io.c - what FUSE asks for of a region that the fast path serves (resident.h): reads see
 * the client's memory and change nothing; writes and holes go into it, chunk by chunk, each of which
 * is brought in first; an fsync has everything sent and kept.
 */
#include "region.h"
#include "resident.h"
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
		worker_count(r->w, r->inode, io_errors, 1);
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
	const struct chunk *k = &r->chunk[chunk];
	uint8_t *to;

	if (k->state == CHUNK_ABSENT ||
	    (k->state == CHUNK_FILLING && !(r->mark[chunk].filled >> page & 1)))
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

/* Makes whole pages holes, and writes zeros to the parts of pages at both ends. */
static int memory_zero(struct resident *r, uint64_t off, uint64_t end)
{
	uint64_t first = (off + GVM_PAGE_BYTES - 1) / GVM_PAGE_BYTES * GVM_PAGE_BYTES;
	uint64_t last = end / GVM_PAGE_BYTES * GVM_PAGE_BYTES;
	int error;

	if (first >= last) {
		uint64_t middle = first < end ? first : end;

		error = memory_write(r, NULL, off, middle - off);
		return error ? error : memory_write(r, NULL, middle, end - middle);
	}
	error = memory_write(r, NULL, off, first - off);
	if (!error)
		error = memory_write(r, NULL, last, end - last);
	if (error)
		return error;
	if (fallocate(r->fd[SESSION_MEMORY], FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)first,
		      (off_t)(last - first)) < 0)
		return -errno;
	resident_punched(r, off / GVM_CHUNK_BYTES, pages_between(first, last));
	return 0;
}

/* One chunk's part. 1: it waits. */
static int op_step(struct resident *r, struct resident_op *op)
{
	uint64_t c = op->off / GVM_CHUNK_BYTES, end = (c + 1) * GVM_CHUNK_BYTES;
	uint64_t entry = journal_index(&r->w->journal, r->inode->nr)[c];
	int error;

	if (end > op->end)
		end = op->end;
	if (!op->data && !resident_has(r, c) && r->chunk[c].list == LIST_NONE) {
		if (!entry || entry & GVM_VERSION_ZERO) {
			op->off = end;
			return 0;
		}
		if (end - op->off == GVM_CHUNK_BYTES) {
			resident_make_zero(r, c);
			op->off = end;
			return 0;
		}
	}
	resident_call_off(r, c);
	if (!chunk_is_here(&r->chunk[c])) {
		resident_bring(r, c, op->off / GVM_PAGE_BYTES % GVM_CHUNK_PAGES);
		if (!chunk_is_here(&r->chunk[c]))
			return 1;
	}
	if (op->data) {
		error = memory_write(r, op->data + (op->off - op->begin), op->off, end - op->off);
		r->chunk[c].holes &= ~pages_between(op->off, end);
	} else {
		error = memory_zero(r, op->off, end);
	}
	op->off = end;
	return error;
}

/* 1: it waits; otherwise it is finished. */
static int op_continue(struct resident *r, struct resident_op *op)
{
	int error = 0;

	while (!error && op->off < op->end) {
		if (r->aborted || r->client_gone || worker_disk(r->w, r->inode)->failed)
			error = -EIO;
		else
			error = op_step(r, op);
	}
	if (error > 0)
		return 1;
	op_finish(r, op, error);
	return 0;
}

static void op_wait(struct resident *r, struct resident_op *op)
{
	struct worker *w = r->w;

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

void resident_ops_fail(struct resident *r, uint64_t chunk, int error)
{
	struct resident_op *op = r->ops, *next;

	r->ops = NULL;
	for (; op; op = next) {
		next = op->next;
		if (chunk == RESIDENT_ALL_CHUNKS || op->off / GVM_CHUNK_BYTES == chunk) {
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
	r->sync_next = 0;
	r->sync_error = r->aborted ? -EIO : 0;
	for (uint64_t c = 0; r->syncs && !r->sync_error && c < r->chunks; c++)
		if (resident_has(r, c)) {
			r->chunk[c].sync = true;
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
