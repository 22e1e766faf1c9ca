/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * secure.h - TLS of a connection, and the buffers that its ciphertext passes through.
 *
 * A connection owns two small buffers, which always suffice to go on. One that has much to receive or to
 * send borrows large ones, of which there is a bounded number for all connections together; where none is
 * left it goes on in small steps. So there is nothing to wait for.
 */
#ifndef GVM_SECURE_H
#define GVM_SECURE_H

#include "../tls.h"

#include <sys/queue.h>

#define SECURE_LARGE	      (4 * TLS_SEALED_BYTES(TLS_RECORD_BYTES) + TLS_OUT_RESERVE)
#define SECURE_LARGE_MAX      512u
#define SECURE_LARGE_FREE_MAX 16u
/* Strangers beyond which the oldest goes: each may cost what a handshake of the library does. */
#define SECURE_STRANGERS_MAX  1024u

struct secure_buf {
	SLIST_ENTRY(secure_buf) link;
};

/* The large buffers of all connections. */
struct secure_bufs {
	SLIST_HEAD(, secure_buf) free_list;
	unsigned count, free;
};

struct secure {
	struct tls tls;
	uint8_t in_small[TLS_BUF_MIN], out_small[TLS_BUF_MIN];
};

void secure_bufs_deinit(struct secure_bufs *b);

/* `first`: what was received already, at most TLS_BUF_MIN bytes. NULL: no memory. */
struct secure *secure_create(const struct tls_key *key, const uint8_t *first, size_t bytes);
/* NULL is accepted. */
void secure_destroy(struct secure_bufs *b, struct secure *s);

/* Gives the side that is empty a large buffer, or takes it back. */
void secure_in_size(struct secure_bufs *b, struct secure *s, bool large);
void secure_out_size(struct secure_bufs *b, struct secure *s, bool large);

#endif
