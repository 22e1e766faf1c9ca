/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * request.h - from a frame to its answer.
 *
 * A session is a connection's state in the protocol: new, after HELLO, or after HELLO and AUTH. It
 * knows no sockets. A frame that breaks the protocol ends the session; a request that is refused is
 * answered with a status, and the session goes on.
 */
#ifndef GVM_REQUEST_H
#define GVM_REQUEST_H

#include "reply.h"

enum session_state {
	SESSION_NEW,   /* HELLO is awaited */
	SESSION_HELLO, /* AUTH is awaited */
	SESSION_READY,
	SESSION_OVER, /* close it once the answers are sent */
};

struct session {
	enum session_state state;
	struct region_writer writer;
	struct reply_share share;
	struct gvm_hello_req hello;
	struct gvm_hello_rsp welcome;
	bool tls_missing; /* the node demands TLS, and the client does not use it */
	bool tls;	  /* `binding` is that of the connection */
	struct gvm_bytes32 binding;
	char why[96]; /* why the session ends: a frame that broke the protocol, or a refusal */
};

struct frame {
	struct gvm_hdr hdr;
	const uint8_t *meta;
	const uint8_t *data;
};

void session_init(struct session *s);
/* Ends the session's attachments. Its answers were destroyed before. */
void session_deinit(struct node *n, struct session *s);

/* Checks a header before the rest of its frame has arrived: 0, or -EBADMSG with s->why. */
int frame_head_check(struct session *s, const uint8_t *bytes, struct gvm_hdr *h);
/*
 * Answers a whole frame whose header passed frame_head_check(); verifies its checksums first.
 * 0: *reply.
 * -EBADMSG: the connection is to be closed; s->why says why.
 * -EAGAIN: nothing was done; call again when answers have been sent.
 * -ENOMEM.
 */
int frame_answer(struct node *n, struct session *s, const struct frame *f, const uint8_t *hdr_bytes,
		 struct reply **reply);
/* In place of an answer whose change was not written down: it could not be made. */
int frame_refuse(struct node *n, struct session *s, const struct reply *answer, struct reply **reply);

#endif
