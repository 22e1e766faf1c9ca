/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu_seal.h - the keys of a connection between two QEMUs, and what keeps its frames whole.
 *
 * As the kernel module's (kmod/frame.h): HKDF makes keys of the key that the nodes share and of
 * both HELLOs; each frame is sealed by ChaCha20-Poly1305 with its number in its direction as the
 * nonce, so that one that is repeated, left out, out of order or of another connection does not
 * open. This is the only file that knows the cipher's library. No locks: the caller serialises the
 * calls for one seal.
 */
#ifndef VCPU_SEAL_H
#define VCPU_SEAL_H

#include <stddef.h>
#include <stdint.h>

#include "vcpu_wire.h"

#define VCPU_KEY_BYTES 32 /* of each derived one */

struct vcpu_seal {
	uint64_t frames; /* so far: the next one's number */
	void *cipher;	 /* the library's */
};

enum vcpu_use {
	VCPU_PROOF_CONNECTING = 0,
	VCPU_PROOF_ACCEPTING = 1,
	VCPU_SEAL_CONNECTING = 2, /* of what the connecting side sends */
	VCPU_SEAL_ACCEPTING = 3,
};

/* The calls below that return int: 0, or -EIO: the library failed. */

/* Of any key the one that vcpu_key_derive() takes. */
int vcpu_key_extract(const void *key, size_t bytes, uint8_t prk[VCPU_KEY_BYTES]);
/* For one use in the connection that these HELLOs (their bodies) began. */
int vcpu_key_derive(const uint8_t prk[VCPU_KEY_BYTES],
		    const uint8_t hello_connecting[VCPU_HELLO_BYTES],
		    const uint8_t hello_accepting[VCPU_HELLO_BYTES], enum vcpu_use use,
		    uint8_t out[VCPU_KEY_BYTES]);
/* In a time that does not tell where they differ. */
int vcpu_key_differs(const uint8_t *a, const uint8_t *b, size_t bytes);
int vcpu_random(uint8_t *bytes, size_t count);
/* Overwrites what is secret. */
void vcpu_key_wipe(void *bytes, size_t count);

/* One direction; its first frame is next. */
int vcpu_seal_init(struct vcpu_seal *seal, const uint8_t key[VCPU_KEY_BYTES]);
void vcpu_seal_deinit(struct vcpu_seal *seal);
/* Seals head and body in place, `bytes` in all; VCPU_SEAL_BYTES more are written behind. */
int vcpu_seal_close(struct vcpu_seal *seal, uint8_t *frame, size_t bytes);
/* Opens in place; -EILSEQ: it is not the next frame that the peer sealed. */
int vcpu_seal_open(struct vcpu_seal *seal, uint8_t *frame, size_t bytes);

#endif
