// SPDX-License-Identifier: GPL-2.0-or-later
/* request.c - see request.h. */
#include "request.h"

#include <assert.h>
#include <errno.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <unistd.h>

/* Unused buffers are kept (up to 8 MiB): for a burst of WRITEs that have to wait, the kernel would otherwise zero new
 * pages for each. */
#define SPARE_MAX 32

static struct request *spare[SPARE_MAX];
static unsigned spares;

/* Newer than the kernel headers that Debian 12 has; the value is the kernel's ABI. */
#define UNIQUE_RESEND (1ull << 63)

/* Touches every page of the buffer. If the worker were killed while the kernel copies a request to a page that is not
 * present, the copy would fail, and the kernel would end the request with EIO instead of resending it. */
static struct request *request_new(void)
{
	struct request *request;

	if (spares) {
		request = spare[--spares];
		request->refs = 1;
		return request;
	}
	request = malloc(sizeof(*request) + REQUEST_BYTES_MAX);
	if (!request)
		return NULL;
	*request = (struct request){ .refs = 1 };
	for (size_t at = 0; at < REQUEST_BYTES_MAX; at += GVM_PAGE_BYTES)
		((volatile uint8_t *)request->data)[at] = 0;
	((volatile uint8_t *)request->data)[REQUEST_BYTES_MAX - 1] = 0;
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
	if (spares < SPARE_MAX)
		spare[spares++] = request;
	else
		free(request);
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
