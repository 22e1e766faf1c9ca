/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * request.h - the buffer of a request from /dev/fuse, and the largest sizes of requests and answers.
 *
 * The worker processes one request at a time and reads each into the same buffer. An op that needs the request's data
 * for longer takes a reference: it then keeps the buffer, and the next request is read into another.
 * Front thread only.
 */
#ifndef GVMFS_REQUEST_H
#define GVMFS_REQUEST_H

#include "gvm_wire.h"

#include <stdbool.h>
#include <sys/queue.h>

#define REQUEST_DATA_MAX  (256u << 10) /* max_write */
#define REQUEST_BYTES_MAX (REQUEST_DATA_MAX + 4096u)
#define READ_BYTES_MAX	  GVM_CHUNK_BYTES /* max_read: a READ touches at most two chunks */

struct request {
	unsigned refs;
	size_t bytes; /* length of the request */
	uint64_t unique; /* without the resend bit */
	bool resent; /* the kernel resent it: a predecessor may have carried it out already */
	uint8_t *data; /* REQUEST_BYTES_MAX */
	SLIST_ENTRY(request) entry; /* unused: among those that are kept */
};

/* Reads the next request into *request, or into a new buffer if *request is NULL or has other references. 1; 0: there
 * is no request now, or no memory; -ENODEV: the mount is gone. */
int request_read(int fuse_fd, struct request **request);
/* Take and drop a reference (request_put() accepts NULL). */
struct request *request_get(struct request *request);
void request_put(struct request *request);
/* Frees some of the buffers that a burst has left. Returns when it wants to be called again (CLOCK_MONOTONIC), or
 * LOOP_NEVER. */
uint64_t request_tick(uint64_t now_ns);

#endif
