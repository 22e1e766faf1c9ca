// SPDX-License-Identifier: GPL-2.0-or-later
/* journal.c - see journal.h. */
#include "journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

/* "gjourn18": the digits are the version of the layout, of the entries' too. */
#define JOURNAL_MAGIC 0x38316e72756f6a67ull

#define STEP_BYTES (4ull << 20) /* punched in one call, during which no other thread can punch the memfd */

/* Parts begin on page boundaries, in the order of the table in journal.h. */
enum {
	PART_SUPER, PART_INODES, PART_HANDLES, PART_WBUFS, PART_SESSIONS, PART_VIEWS, PART_TAILS, PART_NOTES, PART_DATA,
	PART_SPILL, PART_SPILL_COUNTS, PART_SPILL_BUCKETS, PART_SPILL_DATA, PART_INDEX, PART_KNOWN, PARTS
};

static const uint64_t part_bytes[PARTS] = {
	[PART_SUPER] = sizeof(struct journal_super),
	[PART_INODES] = JOURNAL_INODES * sizeof(struct journal_inode),
	[PART_HANDLES] = JOURNAL_HANDLES * sizeof(struct journal_handle),
	[PART_WBUFS] = JOURNAL_WBUFS * sizeof(struct journal_wbuf),
	[PART_SESSIONS] = JOURNAL_SESSIONS * sizeof(struct journal_session),
	[PART_VIEWS] = JOURNAL_INODES * RECORD_SLOTS * sizeof(uint64_t),
	[PART_TAILS] = JOURNAL_INODES * GVM_PAGE_BYTES,
	[PART_NOTES] = JOURNAL_INODES * CORE_NOTE_MAX,
	[PART_DATA] = (uint64_t)JOURNAL_WBUFS * GVM_CHUNK_BYTES,
	[PART_SPILL] = JOURNAL_SPILL * sizeof(struct journal_spill),
	[PART_SPILL_COUNTS] = JOURNAL_INODES * sizeof(uint32_t),
	[PART_SPILL_BUCKETS] = JOURNAL_SPILL * sizeof(uint32_t),
	[PART_SPILL_DATA] = (uint64_t)JOURNAL_SPILL * GVM_CHUNK_BYTES,
	[PART_INDEX] = JOURNAL_INODES * JOURNAL_INDEX_BYTES,
	[PART_KNOWN] = JOURNAL_INODES * JOURNAL_KNOWN_BYTES, /* mapped separately: journal_known_map() */
};

static uint64_t part_offset(unsigned part)
{
	uint64_t off = 0;

	for (unsigned i = 0; i < part; i++)
		off += (part_bytes[i] + GVM_PAGE_BYTES - 1) / GVM_PAGE_BYTES * GVM_PAGE_BYTES;
	return off;
}

static int map(struct journal *j, int fd)
{
	uint8_t *base = mmap(NULL, part_offset(PART_KNOWN), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_NORESERVE, fd, 0);

	if (base == MAP_FAILED)
		return -errno;
	/* Not in core dumps: it is large, and has guests' memory in it. */
	madvise(base, part_offset(PART_KNOWN), MADV_DONTDUMP);
	madvise(base, part_offset(PART_KNOWN), MADV_NOHUGEPAGE); /* it is sparse */
	j->fd = fd;
	j->super = (void *)(base + part_offset(PART_SUPER));
	j->inodes = (void *)(base + part_offset(PART_INODES));
	j->handles = (void *)(base + part_offset(PART_HANDLES));
	j->wbufs = (void *)(base + part_offset(PART_WBUFS));
	j->sessions = (void *)(base + part_offset(PART_SESSIONS));
	j->views = (void *)(base + part_offset(PART_VIEWS));
	j->tails = base + part_offset(PART_TAILS);
	j->notes = base + part_offset(PART_NOTES);
	j->wbuf_data = base + part_offset(PART_DATA);
	j->spill = (void *)(base + part_offset(PART_SPILL));
	j->spill_counts = (void *)(base + part_offset(PART_SPILL_COUNTS));
	j->spill_buckets = (void *)(base + part_offset(PART_SPILL_BUCKETS));
	j->spill_data = base + part_offset(PART_SPILL_DATA);
	j->index = base + part_offset(PART_INDEX);
	return 0;
}

int journal_create(struct journal *j)
{
	int fd = memfd_create("gvmfs-journal", MFD_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)part_offset(PARTS)) < 0) {
		r = -errno;
		goto close_fd;
	}
	r = map(j, fd);
	if (r < 0)
		goto close_fd;
	if (getrandom(&j->super->client, sizeof(j->super->client), 0) < 0) {
		r = -errno;
		goto close_fd;
	}
	j->super->client |= 1; /* to the client library, 0 means "choose one" */
	j->super->magic = JOURNAL_MAGIC;
	return 0;
close_fd:
	close(fd);
	return r;
}

int journal_attach(struct journal *j, int fd)
{
	int r = map(j, fd);

	if (r < 0)
		return r;
	return j->super->magic == JOURNAL_MAGIC ? 0 : -EINVAL;
}

void journal_detach(const struct journal *j)
{
	munmap(j->super, part_offset(PART_KNOWN)); /* `super` is where the mapping begins */
}

void journal_spill_release(uint8_t *data)
{
	madvise(data, GVM_CHUNK_BYTES, MADV_REMOVE);
}

struct seal_known *journal_known_map(const struct journal *j, unsigned inode)
{
	void *known = mmap(NULL, JOURNAL_KNOWN_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, j->fd,
			   (off_t)(part_offset(PART_KNOWN) + inode * JOURNAL_KNOWN_BYTES));

	if (known == MAP_FAILED)
		return NULL;
	madvise(known, JOURNAL_KNOWN_BYTES, MADV_DONTDUMP);
	madvise(known, JOURNAL_KNOWN_BYTES, MADV_NOHUGEPAGE);
	return known;
}

void journal_known_unmap(struct seal_known *known)
{
	if (known)
		munmap(known, JOURNAL_KNOWN_BYTES);
}

/* Punches the entries (`bytes` each) of an inode's chunks >= `first` out of a part. */
static void entries_clear(const struct journal *j, unsigned part, unsigned inode, uint64_t first, uint64_t bytes)
{
	uint64_t from = inode * JOURNAL_CHUNKS_MAX + first, to = (inode + 1ull) * JOURNAL_CHUNKS_MAX;

	fallocate(j->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(part_offset(part) + from * bytes),
		  (off_t)((to - from) * bytes));
}

void journal_index_clear(const struct journal *j, unsigned inode, uint64_t first)
{
	entries_clear(j, PART_INDEX, inode, first, 8);
	if (j->super->seal_id)
		entries_clear(j, PART_KNOWN, inode, first, sizeof(struct seal_known));
}

/* entries_clear() in steps. */
static void entries_give_back(const struct journal *j, unsigned part, unsigned inode, uint64_t first, uint64_t bytes)
{
	uint64_t from = part_offset(part) + (inode * JOURNAL_CHUNKS_MAX + first) * bytes;
	uint64_t to = part_offset(part) + (inode + 1ull) * JOURNAL_CHUNKS_MAX * bytes;
	off_t at = (off_t)from;

	while ((at = lseek(j->fd, at, SEEK_DATA)) >= 0 && (uint64_t)at < to) {
		uint64_t step = to - (uint64_t)at < STEP_BYTES ? to - (uint64_t)at : STEP_BYTES;

		if (fallocate(j->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, (off_t)step) < 0)
			return; /* journal_index_clear() does the rest */
		at += (off_t)step;
	}
}

void journal_index_give_back(const struct journal *j, unsigned inode, uint64_t first)
{
	entries_give_back(j, PART_INDEX, inode, first, 8);
	if (j->super->seal_id)
		entries_give_back(j, PART_KNOWN, inode, first, sizeof(struct seal_known));
}

int journal_inode_head(const struct journal *j, unsigned nr, struct journal_inode *head)
{
	size_t bytes = offsetof(struct journal_inode, rec.nodes);
	ssize_t n = pread(j->fd, head, bytes, (off_t)(part_offset(PART_INODES) + nr * sizeof(*head)));

	return n == (ssize_t)bytes ? 0 : n < 0 ? -errno : -EIO;
}

uint64_t journal_index_next(const struct journal *j, unsigned inode, uint64_t chunk)
{
	uint64_t from = part_offset(PART_INDEX) + (uint64_t)inode * JOURNAL_INDEX_BYTES;
	off_t at;

	if (chunk * 8 % GVM_PAGE_BYTES)
		return chunk; /* in the same page as the entry before, so there is memory for it */
	at = lseek(j->fd, (off_t)(from + chunk * 8), SEEK_DATA);
	if (at < 0 || (uint64_t)at >= from + JOURNAL_INDEX_BYTES)
		return errno == ENXIO || at >= 0 ? JOURNAL_CHUNKS_MAX : chunk;
	return ((uint64_t)at - from) / 8;
}
