// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_seek.c - SEEK_DATA and SEEK_HOLE look at a bounded number of chunks at a time: at four of them here. What lies
 * behind counts as data, so data is never called a hole; what was never written is passed over as a whole, and does not
 * count. */
#include "check.h"
#include "fuse/op.h"
#include "node/region.h"
#include "store/pagecache.h"
#include "store/store.h"
#include "uffd/resident.h"

#include <errno.h>
#include <unistd.h>

void front_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi);

#define CHUNKS	64u
#define DATA	1ull
#define ZEROS	(GVM_VERSION_ZERO | 1)
#define NOTHING (-ENXIO)

static _Atomic uint64_t chunk_index[CHUNKS];
static struct journal_inode disk = { .rec.size_bytes = CHUNKS * GVM_CHUNK_BYTES };
static struct inode inode = { .disk = &disk, .index = chunk_index };
static struct resident resident;
static struct chunk chunk[CHUNKS];
static struct resident_mark mark[CHUNKS];
static struct store store;
static struct worker worker = { .store = &store };
static uint64_t in_wbuf = ~0ull, touched_from = CHUNKS;
static unsigned calls;
static int64_t answer;

/* ---- what front_seek.c calls */

struct inode *front_content(fuse_req_t req, fuse_ino_t ino)
{
	(void)req;
	(void)ino;
	return &inode;
}

void *fuse_req_userdata(fuse_req_t req)
{
	(void)req;
	return &worker;
}

int fuse_reply_err(fuse_req_t req, int err)
{
	(void)req;
	answer = -err;
	return 0;
}

int fuse_reply_lseek(fuse_req_t req, off_t off)
{
	(void)req;
	CHECK_EQ((uint64_t)off % GVM_CHUNK_BYTES, 0);
	answer = off / (off_t)GVM_CHUNK_BYTES;
	return 0;
}

bool region_is_attached(const struct inode *in)
{
	(void)in;
	return true;
}

int pagecache_sync(struct worker *w, struct inode *in, uint64_t off, uint64_t size, struct pagecache_ask *ask)
{
	(void)w;
	(void)in;
	(void)off;
	(void)size;
	(void)ask;
	return -ENOSYS;
}

uint64_t wbufs_next_chunk(const struct wbufs *s, const struct inode *in, uint64_t from)
{
	(void)s;
	(void)in;
	return in_wbuf >= from ? in_wbuf : ~0ull;
}

/* As of an index of which each entry has a page of its own. */
uint64_t journal_index_next(const struct journal *j, unsigned nr, uint64_t from)
{
	(void)j;
	(void)nr;
	calls++;
	while (from < CHUNKS && !chunk_index[from])
		from++;
	return from < CHUNKS ? from : JOURNAL_CHUNKS_MAX;
}

uint64_t chunk_touched(struct resident *r, uint64_t from)
{
	CHECK(r == &resident);
	return from > touched_from ? from : touched_from;
}

/* ---- */

static void begin_anew(bool fast)
{
	memset((void *)chunk_index, 0, sizeof(chunk_index));
	memset(chunk, 0, sizeof(chunk));
	memset(mark, 0, sizeof(mark));
	resident = (struct resident){ .chunk = chunk, .mark = mark, .chunks = CHUNKS };
	inode.resident = fast ? &resident : NULL;
	in_wbuf = ~0ull;
	touched_from = CHUNKS;
	calls = 0;
}

static void fill(uint64_t first, uint64_t count, uint64_t what)
{
	while (count--)
		chunk_index[first++] = what;
}

static int64_t seek(uint64_t from, int whence)
{
	answer = -1;
	front_lseek(NULL, 1, (off_t)(from * GVM_CHUNK_BYTES), whence, NULL);
	return answer;
}

static void test_never_written(void)
{
	for (unsigned fast = 0; fast < 2; fast++) {
		begin_anew(fast);
		CHECK_EQ(seek(0, SEEK_DATA), NOTHING);
		CHECK_EQ(seek(0, SEEK_HOLE), 0);
		fill(50, 1, DATA);
		CHECK_EQ(seek(0, SEEK_DATA), 50);
		CHECK_EQ(seek(51, SEEK_DATA), NOTHING);
		CHECK_EQ(seek(50, SEEK_HOLE), 51);
		CHECK(calls <= 3);
	}
	in_wbuf = 20;
	inode.resident = NULL;
	CHECK_EQ(seek(3, SEEK_DATA), 20);
}

static void test_zeros(void)
{
	for (unsigned fast = 0; fast < 2; fast++) {
		begin_anew(fast);
		fill(0, 3, ZEROS);
		fill(3, 1, DATA);
		CHECK_EQ(seek(0, SEEK_DATA), 3);
		fill(3, 10, ZEROS);
		fill(13, 1, DATA);
		CHECK_EQ(seek(0, SEEK_DATA), 4); /* not known to be a hole */
		CHECK_EQ(seek(10, SEEK_DATA), 13);
		CHECK_EQ(seek(4, SEEK_HOLE), 4);
	}
}

static void test_data(void)
{
	begin_anew(false);
	fill(0, 3, DATA);
	CHECK_EQ(seek(0, SEEK_HOLE), 3);
	fill(3, 7, DATA);
	CHECK_EQ(seek(0, SEEK_HOLE), CHUNKS); /* all of it may be data */
	CHECK_EQ(seek(7, SEEK_HOLE), 10);
}

static void test_fast_path(void)
{
	begin_anew(true);
	touched_from = 30;
	chunk[30].state = CHUNK_FILLING;
	CHECK_EQ(seek(0, SEEK_DATA), 30);
	CHECK_EQ(seek(30, SEEK_HOLE), 31);
	resident.putting = 20 + 1; /* it has no mark yet */
	CHECK_EQ(seek(0, SEEK_DATA), 20);
	CHECK_EQ(seek(21, SEEK_DATA), 30);
	CHECK_EQ(seek(20, SEEK_HOLE), 21);
	resident.recovering = true; /* what is marked may be here */
	mark[21].filled = 1;
	mark[22].coming = 1;
	touched_from = 21;
	CHECK_EQ(seek(0, SEEK_DATA), 20);
	CHECK_EQ(seek(20, SEEK_HOLE), 23);
	CHECK_EQ(seek(21, SEEK_DATA), 21);
	CHECK_EQ(seek(22, SEEK_DATA), 22);
}

static const struct check_test tests[] = {
	{ "what-was-never-written-is-passed-over", test_never_written },
	{ "zeros-without-end-count-as-data-at-last", test_zeros },
	{ "data-without-end-has-no-hole", test_data },
	{ "what-the-fast-path-has-is-data", test_fast_path },
};

CHECK_MAIN(tests)
