/* SPDX-License-Identifier: GPL-2.0-or-later */
/* auth.h - the proofs of AUTH: HMAC-SHA256 over both sides' HELLO (gvm_wire.h), and the TLS connection's binding. */
#ifndef GVM_AUTH_H
#define GVM_AUTH_H

#include "gvm_wire.h"

/* The proof of one side; `from_node` picks its label. `binding`: tls_binding() of a connection over TLS, so that
 * the proof holds for no other; NULL: there is no TLS. 0 or -EIO (the library failed). */
int auth_mac(const void *key, size_t key_bytes, bool from_node,
	     const struct gvm_hello_req *hello, const struct gvm_hello_rsp *answer,
	     const struct gvm_bytes32 *binding, struct gvm_bytes32 *mac);
/* Compares in constant time. */
bool auth_mac_equal(const struct gvm_bytes32 *a, const struct gvm_bytes32 *b);

#endif
