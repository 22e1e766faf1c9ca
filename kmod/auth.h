/* SPDX-License-Identifier: GPL-2.0 */
/* The shared key: proofs that a node knows it, without telling it. */
#ifndef GVM_AUTH_H
#define GVM_AUTH_H

#include <linux/types.h>

struct auth;

/* 0 or a negative errno; the key is copied into the cipher and not kept elsewhere. */
int gvm_auth_create(const u8 *key, unsigned int key_bytes, struct auth **out);
void gvm_auth_destroy(struct auth *auth);

/* The proof of one side of a connection (see frame.h); sleeps. */
int gvm_auth_proof(struct auth *auth, bool accepting, const u8 *hello_connecting,
		   const u8 *hello_accepting, u8 *proof);

/* *same: whether both have the same key. 0, or the errno of the cipher. */
int gvm_auth_compare(struct auth *a, struct auth *b, bool *same);

#endif
