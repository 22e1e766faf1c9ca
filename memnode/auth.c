// SPDX-License-Identifier: GPL-2.0-or-later
/* auth.c - proof that both ends of a connection hold the same key. */
#include "auth.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

int auth_mac(const void *key, size_t key_bytes, bool from_node,
	     const struct gvm_hello_req *hello, const struct gvm_hello_rsp *answer,
	     const struct gvm_bytes32 *binding, struct gvm_bytes32 *mac)
{
	const char *label = from_node ? "gvm node" : "gvm client";
	uint8_t text[16 + 2 * GVM_NONCE_BYTES + sizeof(struct gvm_id) + 8 + GVM_MAC_BYTES];
	uint8_t *p = text;
	unsigned bytes = 0;

	p = (uint8_t *)mempcpy(p, label, strlen(label));
	p = (uint8_t *)mempcpy(p, hello->nonce.b, sizeof(hello->nonce.b));
	p = (uint8_t *)mempcpy(p, answer->nonce.b, sizeof(answer->nonce.b));
	p = (uint8_t *)mempcpy(p, answer->incarnation.b, sizeof(answer->incarnation.b));
	gvm_store_le(p, hello->client, 8);
	p += 8;
	if (binding)
		p = (uint8_t *)mempcpy(p, binding->b, sizeof(binding->b));
	if (!HMAC(EVP_sha256(), key, (int)key_bytes, text, (size_t)(p - text), mac->b, &bytes) ||
	    bytes != GVM_MAC_BYTES)
		return -EIO;
	return 0;
}

bool auth_mac_equal(const struct gvm_bytes32 *a, const struct gvm_bytes32 *b)
{
	return CRYPTO_memcmp(a->b, b->b, sizeof(a->b)) == 0;
}
