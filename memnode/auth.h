/* SPDX-License-Identifier: GPL-2.0-or-later */
/* auth.h - the proofs of AUTH: HMAC-SHA256 over both sides' HELLO (gvm_wire.h). */
#ifndef GVM_AUTH_H
#define GVM_AUTH_H

#include "gvm_wire.h"

/* The proof of one side; `from_node` picks its label. 0 or -EIO (the library failed). */
int auth_mac(const void *key, size_t key_bytes, bool from_node,
	     const struct gvm_hello_req *hello, const struct gvm_hello_rsp *answer,
	     struct gvm_bytes32 *mac);
/* Compares in constant time. */
bool auth_mac_equal(const struct gvm_bytes32 *a, const struct gvm_bytes32 *b);

#endif
