// SPDX-License-Identifier: GPL-2.0
/* HKDF (RFC 5869) with HMAC-SHA256 through the crypto API: see auth.h. */
#include <crypto/algapi.h>
#include <crypto/hash.h>
#include <linux/err.h>
#include <linux/slab.h>

#include "auth.h"
#include "frame.h"

/* The salt of all keys, so that one that is used elsewhere, too, gives other bytes here. */
static const u8 salt[] = { 'G', 'V', 'M', '-', 'I', 'V', 'Y' };

struct auth {
	struct crypto_shash *hmac; /* its key is the pseudorandom key of HKDF */
};

/* HKDF-Extract: makes the pseudorandom key of any key, and the HMAC's key of that. */
static int auth_extract(struct auth *auth, const u8 *key, unsigned int key_bytes)
{
	u8 prk[AUTH_BYTES];
	int err;

	err = crypto_shash_setkey(auth->hmac, salt, sizeof(salt)) ?:
	      crypto_shash_tfm_digest(auth->hmac, key, key_bytes, prk) ?:
	      crypto_shash_setkey(auth->hmac, prk, sizeof(prk));
	memzero_explicit(prk, sizeof(prk));
	return err;
}

int gvm_auth_create(const u8 *key, unsigned int key_bytes, struct auth **out)
{
	struct auth *auth = kzalloc(sizeof(*auth), GFP_KERNEL);
	int err;

	if (!auth)
		return -ENOMEM;
	auth->hmac = crypto_alloc_shash("hmac(sha256)", 0, 0);
	if (IS_ERR(auth->hmac)) {
		err = PTR_ERR(auth->hmac);
		goto free_auth;
	}
	err = auth_extract(auth, key, key_bytes);
	if (err)
		goto free_hmac;
	*out = auth;
	return 0;

free_hmac:
	crypto_free_shash(auth->hmac);
free_auth:
	kfree(auth);
	return err;
}

void gvm_auth_destroy(struct auth *auth)
{
	if (!auth)
		return;
	crypto_free_shash(auth->hmac);
	kfree(auth);
}

/* HKDF-Expand: no more bytes are needed than one HMAC gives. */
int gvm_auth_derive(struct auth *auth, enum auth_use use, const u8 *hello_connecting,
		    const u8 *hello_accepting, u8 *out)
{
	static const u8 block = 1; /* the number of the HMAC */
	SHASH_DESC_ON_STACK(desc, auth->hmac);
	u8 label = use;
	int err;

	desc->tfm = auth->hmac;
	err = crypto_shash_init(desc) ?:
	      crypto_shash_update(desc, &label, 1) ?:
	      crypto_shash_update(desc, hello_connecting, HELLO_BYTES) ?:
	      crypto_shash_update(desc, hello_accepting, HELLO_BYTES) ?:
	      crypto_shash_update(desc, &block, 1) ?:
	      crypto_shash_final(desc, out);
	shash_desc_zero(desc);
	return err;
}

int gvm_auth_compare(struct auth *a, struct auth *b, bool *same)
{
	static const u8 hello[HELLO_BYTES]; /* zeros, which no connection begins with */
	u8 derived[2][AUTH_BYTES];
	int err = gvm_auth_derive(a, AUTH_PROOF_CONNECTING, hello, hello, derived[0]) ?:
		  gvm_auth_derive(b, AUTH_PROOF_CONNECTING, hello, hello, derived[1]);

	*same = !err && !crypto_memneq(derived[0], derived[1], AUTH_BYTES);
	memzero_explicit(derived, sizeof(derived));
	return err;
}
