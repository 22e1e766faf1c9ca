/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stream.h - the bytes of a link: the socket's own, or through TLS.
 *
 * Nothing blocks. The calls are those of a socket: bytes or -errno, -EAGAIN where it takes or has none now,
 * 0 at the end. Over TLS, bytes that were taken may wait in a buffer of one or two records: the link's
 * user goes on calling stream_flush() when the socket has room.
 */
#ifndef GVM_CLIENT_STREAM_H
#define GVM_CLIENT_STREAM_H

#include "../tls.h"

#define STREAM_BUF_BYTES (4 * TLS_SEALED_BYTES(TLS_RECORD_BYTES) + TLS_OUT_RESERVE)

struct stream {
	int fd;
	struct tls_key *key; /* NULL: no TLS */
	struct tls tls;	     /* while there is a socket */
	uint8_t *bufs;	     /* of STREAM_BUF_BYTES, in and out */
	bool emptied;	     /* the last receive took all that the socket had */
};

/* `key` NULL: no TLS. 0, -ENOMEM or -EIO. */
int stream_init(struct stream *s, const void *key, size_t key_bytes);
void stream_deinit(struct stream *s);

/* A new socket; a TLS handshake begins with the first stream_handshake(). 0 or -ENOMEM. */
int stream_open(struct stream *s, int fd);
/* Before the socket is closed. `polite`: tells the node that this is no accident, as far as the socket takes it. */
void stream_close(struct stream *s, bool polite);

/* TLS only: 0: done; -EAGAIN; or another errno, and why: -EBADMSG as of tls_handshake(), -EPIPE at the end. */
int stream_handshake(struct stream *s, const char **why);

/* -EBADMSG: tls.why. At most `at_once` bytes are received from the socket before it returns; over TLS with one record's. */
ssize_t stream_recv(struct stream *s, void *p, size_t bytes, size_t at_once);
ssize_t stream_sendv(struct stream *s, const struct iovec *iov, unsigned iovs);
/* 0: the socket took all; -EAGAIN: some waits. */
int stream_flush(struct stream *s);
/* Bytes taken, but not by the socket yet. */
static inline bool stream_has_unsent(const struct stream *s)
{
	return s->tls.ssl && tls_out_bytes(&s->tls);
}
/* Whether stream_recv() may have bytes that the socket does not show. */
static inline bool stream_has_more(const struct stream *s)
{
	return s->tls.ssl && tls_has_more(&s->tls);
}

#endif
