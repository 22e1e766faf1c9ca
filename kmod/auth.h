/* SPDX-License-Identifier: GPL-2.0 */
/* Keys, and what is derived from them for each connection (frame.h). */
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

/* 0 or a negative errno. */
int gvm_auth_create(struct auth **out);
void gvm_auth_destroy(struct auth *auth);

/*
 * The calls below sleep, and return 0 or the errno of the cipher. `prk`: AUTH_BYTES, the
 * pseudorandom key that HKDF makes of any key, and all other bytes of that.
 */
int gvm_auth_extract(struct auth *auth, const u8 *key, unsigned int key_bytes, u8 *prk);
/* AUTH_BYTES for one use in one connection, which its two HELLOs identify. */
int gvm_auth_derive(struct auth *auth, const u8 *prk, enum auth_use use,
		    const u8 *hello_connecting, const u8 *hello_accepting, u8 *out);

#endif
