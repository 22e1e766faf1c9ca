/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * reply.h - answers on their way out: bytes of their own, or pinned cells of the store.
 *
 * Both kinds are rationed, as a slow reader keeps pins and copies for long: a session may hold at
 * most as much as is still free for all, so that one slow reader takes half, two take three
 * quarters, and there is always some left for the next.
 */
#ifndef GVM_REPLY_H
#define GVM_REPLY_H

#include "node.h"

/* Pins and copies held by a session's answers. */
struct reply_share {
	uint64_t pin_bytes, copy_bytes;
};

struct reply {
	STAILQ_ENTRY(reply) link;
	struct reply_share holds;
	uint32_t cell;	/* pinned object, or STORE_NONE */
	uint32_t bytes; /* of all iovs */
	uint32_t awaited_bytes; /* of these, the first: a frame that is not to wait for those behind it; 0: none is */
	bool bulk;	/* no faulter waits for it: other answers may overtake it */
	bool keeps;	/* it says that a change has been made */
	uint8_t op;
	uint64_t tag;
	uint64_t number; /* of the journal's record that has to be written before it goes; 0: none has */
	uint16_t iovs;
	struct iovec iov[];
};
STAILQ_HEAD(reply_queue, reply);

/* An answer of one frame, with a copy of meta and data; h needs op, tag and status. -EAGAIN: the
 * session's share does not allow it now. -ENOMEM. */
int reply_create(struct node *n, struct reply_share *share, struct gvm_hdr *h, const uint8_t *meta,
		 const void *data, struct reply **reply);
/* The answer to a GET, in one frame or two: see GVM_MSG_GET_REQ. */
int reply_create_get(struct node *n, struct reply_share *share, uint64_t tag,
		     const struct gvm_get_req *what, const struct region_found *found,
		     struct reply **reply);
/* Bytes that are no frame. 0 or -ENOMEM. */
int reply_create_bytes(const void *p, size_t bytes, struct reply **reply);
void reply_destroy(struct node *n, struct reply_share *share, struct reply *r);

#endif
