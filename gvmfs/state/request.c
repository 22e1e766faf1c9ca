// SPDX-License-Identifier: GPL-2.0-or-later
/* request.c - see request.h. */
#include "request.h"

#include "base/loop.h"

#include <assert.h>
#include <errno.h>
#include <linux/fuse.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <unistd.h>

/* For a burst of WRITEs that have to wait the kernel has to zero the pages of each new buffer, which takes as long as to
 * copy a WRITE. So unused buffers are kept: a few (8 MiB), and those above them for some ten seconds. */
#define SPARE_FEW  32u
#define TIDY_NS	   100000000ull
#define TIDY_SHARE 256u /* of those above the few one in so many is freed each time, and at most: */
#define TIDY_MAX   16u

/* A WRITE's data begin at a page: the kernel copies page by page. */
#define WRITE_HEAD_BYTES (sizeof(struct fuse_in_header) + sizeof(struct fuse_write_in))
#define DATA_AT		 (GVM_PAGE_BYTES - WRITE_HEAD_BYTES)
#define BUFFER_BYTES	 (DATA_AT + REQUEST_BYTES_MAX)
_Static_assert(sizeof(struct request) <= DATA_AT, "they share a page");

static SLIST_HEAD(, request) spare = SLIST_HEAD_INITIALIZER(spare);
static unsigned spares;
static uint64_t tidy_ns = LOOP_NEVER; /* when some of them are freed */

/* Newer than the kernel headers that Debian 12 has; the value is the kernel's ABI. */
#define UNIQUE_RESEND (1ull << 63)

/* Touches every page of the buffer. If the worker were killed while the kernel copies a request to a page that is not
 * present, the copy would fail, and the kernel would end the request with EIO instead of resending it. */
static struct request *request_new(void)
{
	struct request *request = SLIST_FIRST(&spare);

	if (request) {
		SLIST_REMOVE_HEAD(&spare, entry);
		spares--;
		request->refs = 1;
		return request;
	}
	request = mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (request == MAP_FAILED)
		return NULL;
	*request = (struct request){ .refs = 1, .data = (uint8_t *)request + DATA_AT };
	for (size_t at = DATA_AT; at < BUFFER_BYTES; at += GVM_PAGE_BYTES)
		((volatile uint8_t *)request)[at] = 0;
	return request;
}

struct request *request_get(struct request *request)
{
	assert(request->refs);
	request->refs++;
	return request;
}

void request_put(struct request *request)
{
	if (!request)
		return;
	assert(request->refs);
	if (--request->refs)
		return;
	SLIST_INSERT_HEAD(&spare, request, entry);
	spares++;
}

uint64_t request_tick(uint64_t now_ns)
{
	unsigned many = spares > SPARE_FEW ? spares - SPARE_FEW : 0, n = many / TIDY_SHARE + 1;

	if (!many) {
		tidy_ns = LOOP_NEVER;
		return tidy_ns;
	}
	if (tidy_ns == LOOP_NEVER)
		tidy_ns = now_ns + TIDY_NS;
	if (now_ns < tidy_ns)
		return tidy_ns;
	for (n = n < TIDY_MAX ? n : TIDY_MAX; n; n--, spares--) {
		struct request *request = SLIST_FIRST(&spare);

		SLIST_REMOVE_HEAD(&spare, entry);
		munmap(request, BUFFER_BYTES);
	}
	tidy_ns = now_ns + TIDY_NS;
	return tidy_ns;
}

int request_read(int fuse_fd, struct request **request)
{
	const struct fuse_in_header *h;
	struct request *now = *request;
	ssize_t n;

	if (now && now->refs > 1) {
		request_put(now);
		now = NULL;
	}
	if (!now)
		now = request_new();
	*request = now;
	if (!now)
		return 0;
	n = read(fuse_fd, now->data, REQUEST_BYTES_MAX);
	if (n < 0)
		return errno == ENODEV ? -ENODEV : 0; /* EAGAIN: none; ENOENT, EINTR: the request was interrupted */
	if ((size_t)n < sizeof(*h))
		return 0;
	h = (const struct fuse_in_header *)now->data;
	now->bytes = (size_t)n;
	now->unique = h->unique & ~UNIQUE_RESEND;
	now->resent = (h->unique & UNIQUE_RESEND) != 0;
	return 1;
}
