/* SPDX-License-Identifier: GPL-2.0 */
/* The shared key, and what is derived from it for each connection (frame.h). */
#ifndef GVM_AUTH_H
#define GVM_AUTH_H

#include <linux/types.h>

#define AUTH_BYTES 32 /* of whatever is derived */

struct auth;

/* What a connection's derived bytes are for; a part of what they are derived from. */
enum auth_use {
	AUTH_PROOF_CONNECTING = 0, /* what the connecting side proves that it has the key with */
	AUTH_PROOF_ACCEPTING = 1,
	AUTH_KEY_CONNECTING = 2, /* the key of the frames that the connecting side sends */
	AUTH_KEY_ACCEPTING = 3,
};

/* 0 or a negative errno; the key is not kept. */
int gvm_auth_create(const u8 *key, unsigned int key_bytes, struct auth **out);
void gvm_auth_destroy(struct auth *auth);

/* AUTH_BYTES for one use in one connection, which its two HELLOs identify. Sleeps. */
int gvm_auth_derive(struct auth *auth, enum auth_use use, const u8 *hello_connecting,
		    const u8 *hello_accepting, u8 *out);

/* *same: whether both have the same key. 0, or the errno of the cipher. */
int gvm_auth_compare(struct auth *a, struct auth *b, bool *same);

#endif
