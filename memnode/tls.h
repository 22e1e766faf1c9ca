/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * tls.h - TLS 1.3 by the shared key, between two buffers.
 *
 * One end of a connection as a pure object: ciphertext goes in and comes out through two buffers of
 * the caller's, plaintext through calls; there is no socket, and nothing waits. The pre-shared key is
 * derived from the key that clients and nodes share, so that the same key file says which client may come in.
 * There are no certificates, tickets, early data, nor an earlier version to fall back to.
 *
 * Not thread-safe: one end belongs to one thread. A struct tls_key may serve many ends and threads.
 */
#ifndef GVM_TLS_H
#define GVM_TLS_H

#include "gvm_wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#define TLS_RECORD_BYTES 16384u /* the most plaintext of a record */
/* A record around `bytes`: its header, its inner type, its tag. */
#define TLS_SEALED_BYTES(bytes) ((bytes) + 5u + 1u + 16u)
/* Of `out`, kept for what the library itself says: alerts, answers to key updates. */
#define TLS_OUT_RESERVE 512u
#define TLS_BUF_MIN	4096u /* of either buffer */

struct tls_key;

/* Ciphertext between the library and the caller's socket: bytes [start, end) of buf. */
struct tls_bytes {
	uint8_t *buf;
	size_t room, start, end;
};

struct tls {
	struct ssl_st *ssl;
	struct tls_bytes in, out; /* the caller owns buf, and may replace it when it is empty */
	bool hello_checked;	  /* of a node: the client's hello has a sane size */
	bool hello_taken;	  /* of a node: a holder of the key made the hello; who says it may be another */
	bool up;		  /* the handshake is done: the peer holds the key */
	bool ended;		  /* the peer's stream has ended; after what is in `in` */
	bool key_refused;	  /* of a failure: this end or the other found the keys to differ */
	bool no_tls;		  /* of a failure: the other end said that it uses no TLS */
	bool closed;		  /* close_notify was said */
	bool failed;		  /* for good; why says why */
	uint64_t records, rekey_records;
	unsigned idle_records; /* without plaintext, since the last one with some */
	char why[96];		  /* of a failure */
};

/* 0, -ENOMEM, or -EIO: the library lacks something. */
int tls_key_create(const void *key, size_t key_bytes, bool node, struct tls_key **out);
/* NULL is accepted. After all ends that were made with it. */
void tls_key_destroy(struct tls_key *key);

/* 0 or -ENOMEM. The buffers are the caller's, of TLS_BUF_MIN or more bytes. */
int tls_init(struct tls *t, const struct tls_key *key, void *in, size_t in_bytes, void *out,
	     size_t out_bytes);
/* A struct of zeros is accepted. */
void tls_deinit(struct tls *t);

/* Where received bytes go, and how many there may be (0: read first). */
uint8_t *tls_in_room(struct tls *t, size_t *bytes);
void tls_in_add(struct tls *t, size_t bytes);
/* The bytes to be sent. */
static inline size_t tls_out_bytes(const struct tls *t)
{
	return t->out.end - t->out.start;
}
/* So many of them were sent. */
void tls_out_sent(struct tls *t, size_t bytes);
/* Whether there is input that tls_read() has not handed out: part of a record, or more. */
bool tls_has_input(const struct tls *t);
/* Whether tls_read() may return something though nothing more comes in. */
bool tls_has_more(const struct tls *t);

/*
 * Goes on with the handshake: 0: done (t->up); -EAGAIN: more bytes are needed; -EBADMSG: it failed, t->why
 * says why. In each case there may be bytes to be sent.
 */
int tls_handshake(struct tls *t);
/*
 * Plaintext: its bytes; 0: the peer ended its stream, and said so; -EAGAIN: more bytes are needed;
 * -EBADMSG and t->why: a record is not what the peer sent, or the stream ended without the peer's word.
 */
ssize_t tls_read(struct tls *t, void *p, size_t bytes);
/* Takes plaintext for as long as the records fit `out`: the bytes taken, 0 or more; or -EIO and t->why. */
ssize_t tls_writev(struct tls *t, const struct iovec *iov, unsigned iovs);
/* Says that nothing more will be sent. */
void tls_close(struct tls *t);

/* What both ends of this connection know, and the ends of no other: tls-exporter of RFC 9266. 0 or -EIO. */
int tls_binding(struct tls *t, struct gvm_bytes32 *binding);

/* Carries out a handshake with itself in each suite: whatever the library loads late is loaded after it.
 * For a node, before its sandbox. 0 or a negative errno. */
int tls_warm_up(const void *key, size_t key_bytes);

/* The bytes that begin a TLS client's first record. */
static inline bool tls_is_hello(const uint8_t *p, size_t bytes)
{
	return bytes && p[0] == 22 && (bytes < 2 || p[1] == 3);
}

/* What tells a TLS client, in its own terms, that this end uses no TLS: an alert, protocol_version. */
#define TLS_ALERT_NO_TLS "\x15\x03\x03\x00\x02\x02\x46"
#define TLS_ALERT_BYTES	 7u

#endif
