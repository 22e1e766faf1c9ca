// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * front_seek.c - finds data and holes of a file (SEEK_DATA, SEEK_HOLE), in units of chunks.
 *
 * A zero range may be called data, but data must never be called a hole. The index and the wbufs tell
 * what was written to gvmfs. Beside a writer that maps the file, the kernel alone may know that a
 * page is dirty: what looks like a hole is then written back first (pagecache.h), and looked at
 * again. Where that is impossible or takes too long, the file counts as data from there to its end.
 */
#include "front.h"
#include "node/region.h"
#include "store/pagecache.h"
#include "store/store.h"
#include "uffd/resident.h"
#include "view.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define LOOKS_MAX	8      /* how many holes in a row may turn out to be data */
#ifndef LOOKS_AT_A_TIME
#define LOOKS_AT_A_TIME 65536u /* at chunks: a fault waits for as long */
#endif

struct seek {
	struct pagecache_ask ask; /* first */
	fuse_req_t req;
	struct inode *inode;
	uint64_t at;
	bool data; /* SEEK_DATA */
	struct core_part part; /* of the region, that is looked through: of a file all of it */
	unsigned looks;
	uint64_t clean, clean_end; /* the kernel had no dirty pages in these chunks when the last look began */
};

/* `wbuf`: the first chunk from this one on that has a wbuf. */
static bool may_be_data(struct inode *inode, uint64_t chunk, uint64_t wbuf)
{
	uint64_t entry = inode->index[chunk];

	return chunk == wbuf || (entry && !(entry & GVM_VERSION_ZERO)) ||
	       (inode->resident && resident_may_have(inode->resident, chunk));
}

/* The first chunk from this one on of which the fast path may have something. */
static uint64_t next_resident(struct resident *r, uint64_t chunk)
{
	uint64_t next = chunk_touched(r, chunk);

	return r->putting > chunk && r->putting - 1 < next ? r->putting - 1 : next;
}

/* The next chunk from `chunk` on that may hold data; the region's end if there is none. After many that hold none the
 * next one is said to. */
static uint64_t next_data(struct worker *w, struct inode *inode, uint64_t chunk, uint64_t chunks)
{
	uint64_t wbuf = wbufs_next_chunk(&w->store->wbufs, inode, chunk), looked;

	for (looked = 0; chunk < chunks && looked < LOOKS_AT_A_TIME; chunk++, looked++) {
		/* What was never written is passed over as a whole. */
		uint64_t here = inode->resident ? next_resident(inode->resident, chunk) : wbuf;
		uint64_t sent = journal_index_next(w->journal, inode->nr, chunk);

		here = here < wbuf ? here : wbuf;
		chunk = sent < here ? sent : here;
		if (chunk >= chunks || may_be_data(inode, chunk, wbuf))
			break;
	}
	return chunk < chunks ? chunk : chunks;
}

/* The next chunk from `chunk` on that is a hole; the region's end if there is none, or none for long. */
static uint64_t next_hole(struct worker *w, struct inode *inode, uint64_t chunk, uint64_t chunks)
{
	uint64_t wbuf = wbufs_next_chunk(&w->store->wbufs, inode, chunk), looked;

	for (looked = 0; chunk < chunks && looked < LOOKS_AT_A_TIME; chunk++, looked++) {
		if (wbuf < chunk) {
			wbuf = wbufs_next_chunk(&w->store->wbufs, inode, chunk);
			looked += JOURNAL_WBUFS; /* that many it has looked at */
		}
		if (!may_be_data(inode, chunk, wbuf))
			return chunk;
	}
	return chunks;
}

static void seek_reply(const struct seek *s, uint64_t chunk)
{
	uint64_t end = s->part.off + s->part.bytes, at = chunk * GVM_CHUNK_BYTES;

	if (at < s->at)
		at = s->at;
	if (at >= end && s->data)
		fuse_reply_err(s->req, ENXIO);
	else
		fuse_reply_lseek(s->req, (off_t)(s->part.head + (at < end ? at : end) - s->part.off));
}

/* Answers that everything from here on may be data. */
static void seek_reply_data(const struct seek *s)
{
	seek_reply(s, s->data ? s->at / GVM_CHUNK_BYTES : record_chunks(s->part.off + s->part.bytes));
}

static void seek_synced(struct worker *w, struct pagecache_ask *ask, int error);

/* Has the kernel write back dirty pages of what looks like a hole. False: that is impossible. */
static bool hole_sync(struct worker *w, const struct seek *s, uint64_t hole, uint64_t end)
{
	struct seek *later = malloc(sizeof(*later));

	if (!later)
		return false;
	*later = *s;
	later->looks++;
	later->clean = hole;
	later->clean_end = end;
	later->ask = (struct pagecache_ask){ .done = seek_synced };
	if (pagecache_sync(w, s->inode, hole * GVM_CHUNK_BYTES, (end - hole) * GVM_CHUNK_BYTES,
			   &later->ask) < 0) {
		free(later);
		return false;
	}
	return true;
}

static void seek_look(struct worker *w, const struct seek *s)
{
	uint64_t chunks = record_chunks(s->part.off + s->part.bytes);
	uint64_t first = s->at / GVM_CHUNK_BYTES, hole, end, answer;

	/* The answer relies on the chunks hole..end-1 being holes. */
	if (s->data) {
		hole = first;
		answer = end = next_data(w, s->inode, first, chunks);
	} else {
		answer = hole = next_hole(w, s->inode, first, chunks);
		end = hole < chunks ? hole + 1 : hole;
	}
	if (hole == end || !s->inode->opens_dirtying || s->inode->resident ||
	    (s->clean <= hole && end <= s->clean_end))
		seek_reply(s, answer);
	else if (s->looks == LOOKS_MAX || !hole_sync(w, s, hole, end))
		seek_reply_data(s);
}

static void seek_synced(struct worker *w, struct pagecache_ask *ask, int error)
{
	struct seek *s = (struct seek *)ask;

	if (error || !region_is_attached(s->inode))
		seek_reply_data(s);
	else
		seek_look(w, s);
	free(s);
}

static void seek_begin(struct worker *w, struct seek *s)
{
	s->at = s->part.off + (s->at > s->part.head ? s->at - s->part.head : 0);
	if (!region_is_attached(s->inode)) /* only the writer has the index */
		seek_reply_data(s);
	else
		seek_look(w, s);
}

void front_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi)
{
	struct worker *w = front_worker(req);
	struct inode *inode = front_content(req, view_region(ino));
	struct seek s = { .req = req, .inode = inode, .at = (uint64_t)off, .data = whence == SEEK_DATA };

	(void)fi;
	if (!inode)
		return;
	s.part = view_of(ino) ? view_part(inode, view_of(ino)) :
				(struct core_part){ .bytes = inode->disk->rec.size_bytes };
	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		fuse_reply_err(req, EINVAL);
	else if (off < 0 || s.at >= s.part.head + s.part.bytes)
		fuse_reply_err(req, ENXIO);
	else if (s.data && s.at < s.part.head)
		fuse_reply_lseek(req, off);
	else
		seek_begin(w, &s);
}
