// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_tail.c - a file grows from the middle of a page to the middle of one, with what a mapping stored behind its end:
 * every size, growth and write() in pages of 8 bytes, every moment at which the mapping stores, and a worker's death
 * at each step. */
#include "check.h"
#include "fuse/resize.h"
#include "fuse/tail.h"

#include "base/log.h"
#include "state/request.h"
#include "state/worker_state.h"

#include <errno.h>
#include <stdlib.h>

#define BYTES	 (2 * GVM_PAGE_BYTES)
#define OLD	 0x11u /* in the file before */
#define WRITTEN	 0x22u
#define STRAY	 0x33u /* stored behind the end through a mapping */
#define MOMENTS	 4u
#define UNIQUE	 6u

static struct journal_inode disk;
static struct inode inode = { .disk = &disk };
static uint8_t tail[GVM_PAGE_BYTES];
static struct journal journal = { .tails = tail };
static struct inodes inodes = { .j = &journal };
static struct request request;
static struct worker worker = { .inodes = &inodes, .request = &request };
static uint8_t kernel[BYTES], written[BYTES];
static unsigned stores_at; /* the mapping stores at this moment, and at those after it */

/* What tail.c has asked for, until the kernel does it. */
static struct {
	struct pagecache_ask *ask;
	uint64_t off, size;
	uint8_t content[GVM_PAGE_BYTES];
} asked;
static unsigned failed, waited, ended;
static int result;

int pagecache_store(struct worker *w, struct inode *in, uint64_t off, uint64_t size, const uint8_t *content,
		    struct pagecache_ask *ask)
{
	(void)w;
	(void)in;
	CHECK(!asked.ask && size && off / GVM_PAGE_BYTES == (off + size - 1) / GVM_PAGE_BYTES);
	asked.ask = ask;
	asked.off = off;
	asked.size = size;
	memcpy(asked.content, content, size);
	return 0;
}

void pagecache_wait_on(struct worker *w, struct pagecache_ask *ask)
{
	(void)w;
	asked.ask = ask;
	waited++;
}

void op_fail(struct op *op, int error)
{
	(void)op;
	CHECK_EQ(error, EINTR);
	failed++;
}

void op_end(struct op *op, bool held, int error)
{
	CHECK(held);
	result = error;
	ended++;
	free(op);
}

void *op_new_sized(struct worker *w, fuse_req_t req, struct inode *in, size_t bytes)
{
	struct op *op = calloc(1, bytes);

	CHECK(op && !req);
	op->w = w;
	op->inode = in;
	return op;
}

void inode_acquire(struct inode *in, struct task *task)
{
	(void)in;
	task->run(task);
}

void log_put(struct gvm_log_site *site, int level, const char *object, const char *fmt, ...)
{
	(void)site;
	(void)level;
	(void)object;
	(void)fmt;
}

static void then(struct resize *rs, int error)
{
	(void)rs;
	result = error;
	ended++;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The size that the file shows; to the end of the page behind it a mapping can store. */
static uint64_t shown(void)
{
	return disk.tail_from ? disk.tail_from : disk.rec.size_bytes;
}

static void moment(unsigned now)
{
	uint64_t end = shown(), page_end = (end + GVM_PAGE_BYTES - 1) / GVM_PAGE_BYTES * GVM_PAGE_BYTES;

	for (uint64_t i = end; now >= stores_at && i < page_end && i < BYTES; i++)
		kernel[i] = STRAY;
}

/* The kernel writes a page back: of what lies between the old end and the new, nothing stored may be in it. */
static void written_back(uint64_t from, uint64_t zero_to)
{
	uint8_t page[GVM_PAGE_BYTES];
	uint64_t first = from / GVM_PAGE_BYTES * GVM_PAGE_BYTES;

	memcpy(page, kernel + first, GVM_PAGE_BYTES);
	tail_mask(&disk, page, first, GVM_PAGE_BYTES);
	for (uint64_t i = first; i < first + GVM_PAGE_BYTES; i++)
		if (i < from || i >= zero_to)
			CHECK_EQ(page[i - first], kernel[i]);
		else
			CHECK_EQ(page[i - first], 0);
}

static void kernel_stores(int error)
{
	struct pagecache_ask *ask = asked.ask;

	CHECK(ask);
	asked.ask = NULL;
	if (!error)
		memcpy(kernel + asked.off, asked.content, asked.size);
	ask->done(&worker, ask, error);
}

static void begin(uint64_t from)
{
	disk = (struct journal_inode){ .rec.size_bytes = from, .end_cached = 1 };
	memset(kernel, 0, sizeof(kernel));
	memset(kernel, OLD, from);
	memset(written, WRITTEN, sizeof(written));
	asked.ask = NULL;
	failed = waited = ended = 0;
	moment(0);
}

static struct resize growth(uint64_t size, uint64_t off, bool write)
{
	return (struct resize){ .op = { .w = &worker, .inode = &inode, .unique = UNIQUE }, .size = size, .off = write ? off : 0,
				.data = write ? written : NULL, .bytes = write ? size - off : 0 };
}

/* Whether the page of the old end has what it should from there on. */
static void page_is_right(uint64_t from, uint64_t size, uint64_t off, bool write)
{
	uint64_t page_end = (from / GVM_PAGE_BYTES + 1) * GVM_PAGE_BYTES;

	CHECK_EQ(disk.tail_from, 0);
	for (uint64_t i = from; from % GVM_PAGE_BYTES && i < least(size, page_end); i++)
		CHECK_EQ(kernel[i], write && i >= off ? WRITTEN : 0);
}

static void grow(uint64_t from, uint64_t size, uint64_t off, bool write)
{
	uint64_t zero_to = least(write ? off : size, (from / GVM_PAGE_BYTES + 1) * GVM_PAGE_BYTES);
	struct resize rs = growth(size, off, write);

	begin(from);
	tail_begin(&rs);
	moment(1);
	disk.rec.size_bytes = size;
	if (from % GVM_PAGE_BYTES) {
		CHECK_EQ(shown(), from);
		CHECK(tail_is_before(&disk, from + 1) && !tail_is_before(&disk, from));
		moment(2);
		written_back(from, zero_to);
	}
	tail_clear(&rs, 0, then);
	if (asked.ask) {
		CHECK(!ended);
		kernel_stores(-EAGAIN); /* asks again */
		kernel_stores(-ETIMEDOUT);
		CHECK_EQ(failed, !write);
		CHECK_EQ(waited, 1);
		if (disk.tail_from)
			moment(3);
		kernel_stores(0);
	}
	CHECK_EQ(ended, 1);
	CHECK_EQ(result, 0);
	page_is_right(from, size, off, write);
}

static void what_was_stored_behind_the_end_is_not_the_files(void)
{
	for (uint64_t from = 1; from < BYTES; from++)
		for (uint64_t size = from + 1; size <= BYTES; size++)
			for (stores_at = 0; stores_at <= MOMENTS; stores_at++) {
				grow(from, size, 0, false);
				for (uint64_t off = 0; off < size; off++)
					grow(from, size, off, true);
			}
}

/* The kernel writes the page of the file's end back, and zeroes it behind the end: what a write() has put there, too. */
static void zeroed_behind_the_end(uint64_t from)
{
	for (uint64_t i = from; i % GVM_PAGE_BYTES; i++)
		kernel[i] = 0;
}

/* The kernel sends a WRITE, whose data are what its pages have now. */
static void come_again(uint64_t from, uint64_t size, uint64_t off, bool resent, uint64_t unique)
{
	uint64_t page_end = (from / GVM_PAGE_BYTES + 1) * GVM_PAGE_BYTES;
	uint8_t data[BYTES];
	bool same = resent && unique == UNIQUE;

	memcpy(data, kernel, sizeof(data));
	request.unique = unique;
	request.resent = resent;
	tail_recall(&worker, &inode, data + off, off, size - off);
	for (uint64_t i = off; i < size; i++)
		CHECK_EQ(data[i], same && i >= from && i < page_end ? WRITTEN : kernel[i]);
}

/* The worker dies before, or after, the record has the new size, and before or after the page is right; its successor
 * finds what it left. */
static void die(uint64_t from, uint64_t size, uint64_t off, bool write, bool sized, bool right)
{
	struct resize rs = growth(size, off, write);

	begin(from);
	if (write)
		memset(kernel + off, WRITTEN, size - off);
	tail_begin(&rs);
	CHECK_EQ(disk.tail_from, from % GVM_PAGE_BYTES ? from : 0);
	moment(1);
	if (sized)
		disk.rec.size_bytes = size;
	moment(2);
	if (!disk.tail_from)
		return;
	zeroed_behind_the_end(from);
	if (right) {
		tail_clear(&rs, 0, then);
		memcpy(kernel + asked.off, asked.content, asked.size);
		asked.ask = NULL;
	}
	tail_adopt(&worker, &inode);
	CHECK_EQ(asked.ask != NULL, sized);
	if (sized)
		kernel_stores(0);
	CHECK_EQ(ended, 1);
	CHECK_EQ(shown(), sized ? size : from);
	if (sized)
		page_is_right(from, size, off, write);
	if (!write)
		return;
	come_again(from, size, off, false, UNIQUE);
	come_again(from, size, off, true, UNIQUE + 2);
	come_again(from, size, off, true, UNIQUE);
}

static void die_at_each_step(uint64_t from, uint64_t size, uint64_t off, bool write)
{
	die(from, size, off, write, false, false);
	die(from, size, off, write, true, false);
	die(from, size, off, write, true, true);
}

static void successor_clears_what_its_predecessor_left(void)
{
	for (uint64_t from = 1; from < BYTES; from++)
		for (uint64_t size = from + 1; size <= BYTES; size++)
			for (stores_at = 0; stores_at <= MOMENTS; stores_at++) {
				die_at_each_step(from, size, 0, false);
				for (uint64_t off = 0; off < size; off++)
					die_at_each_step(from, size, off, true);
			}
}

static void page_that_cannot_be_cleared_is_an_error(void)
{
	struct resize rs = growth(7, 0, false);

	stores_at = MOMENTS;
	begin(3);
	tail_begin(&rs);
	disk.rec.size_bytes = 7;
	tail_clear(&rs, 0, then);
	kernel_stores(-ENOMEM);
	CHECK_EQ(result, -EIO);
	CHECK_EQ(disk.tail_from, 0);
}

/* The kernel knows nothing of the file: there is nothing to clear. */
static void page_that_the_kernel_has_not_is_left_alone(void)
{
	struct resize rs = growth(7, 0, false);

	stores_at = MOMENTS;
	begin(3);
	disk.end_cached = 0;
	tail_begin(&rs);
	disk.rec.size_bytes = 7;
	tail_clear(&rs, 0, then);
	CHECK(!asked.ask && ended == 1 && !result);
	tail_read(&disk, GVM_PAGE_BYTES);
	CHECK_EQ(disk.end_cached, 1);
}

static const struct check_test tests[] = {
	{ "what-was-stored-behind-the-end-is-not-the-files", what_was_stored_behind_the_end_is_not_the_files },
	{ "successor-clears-what-its-predecessor-left", successor_clears_what_its_predecessor_left },
	{ "page-that-cannot-be-cleared-is-an-error", page_that_cannot_be_cleared_is_an_error },
	{ "page-that-the-kernel-has-not-is-left-alone", page_that_the_kernel_has_not_is_left_alone },
};
CHECK_MAIN(tests)
