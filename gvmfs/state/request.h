/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * request.h - a request of the kernel, as it is read from /dev/fuse: its buffer, and how large it, and its
 * answer, may be.
 *
 * The worker has one at a time, and reads into the same buffer again and again. What has to wait for the data
 * that stand in it takes a reference: the buffer is its own then, and the next request gets another.
 * Front thread only.
 */
#ifndef GVMFS_REQUEST_H
#define GVMFS_REQUEST_H

#include "gvm_wire.h"

#include <stdbool.h>

#define REQUEST_DATA_MAX  (256u << 10) /* max_write */
#define REQUEST_BYTES_MAX (REQUEST_DATA_MAX + 4096u)
#define READ_BYTES_MAX	  GVM_CHUNK_BYTES /* max_read: touches two chunks at the most */

struct request {
	unsigned refs;
	size_t bytes; /* as many were read */
	uint64_t unique;
	bool resent; /* a predecessor may have carried it out already */
	uint8_t data[]; /* REQUEST_BYTES_MAX */
};

/* Reads the next one into *request, or into another buffer where something has that one: 1; 0: there is none now,
 * or no memory; -ENODEV: the mount is gone. */
int request_read(int fuse_fd, struct request **request);
/* A reference more; a reference less (NULL accepted). */
struct request *request_get(struct request *request);
void request_put(struct request *request);

#endif
