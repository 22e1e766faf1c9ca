// SPDX-License-Identifier: GPL-2.0
/* HKDF (RFC 5869) with HMAC-SHA256 through the crypto API: see auth.h. */
#include <crypto/hash.h>
#include <linux/err.h>
#include <linux/mutex.h>
#include <linux/slab.h>

#include "auth.h"
#include "frame.h"

/* The salt of all keys, so that one that is used elsewhere, too, gives other bytes here. */
static const u8 salt[64] = "GVM-IVY"; /* with the zeros that HMAC adds: FIPS allows no short key */

struct auth {
	struct mutex lock;
	struct crypto_shash *hmac; /* under lock, as its key changes */
};

int gvm_auth_create(struct auth **out)
{
	struct auth *auth = kzalloc(sizeof(*auth), GFP_KERNEL);
	int err;

	if (!auth)
		return -ENOMEM;
	auth->hmac = crypto_alloc_shash("hmac(sha256)", 0, 0);
	if (IS_ERR(auth->hmac)) {
		err = PTR_ERR(auth->hmac);
		kfree(auth);
		return err;
	}
	mutex_init(&auth->lock);
	*out = auth;
	return 0;
}

void gvm_auth_destroy(struct auth *auth)
{
	if (!auth)
		return;
	crypto_free_shash(auth->hmac);
	mutex_destroy(&auth->lock);
	kfree(auth);
}

int gvm_auth_extract(struct auth *auth, const u8 *key, unsigned int key_bytes, u8 *prk)
{
	int err;

	mutex_lock(&auth->lock);
	err = crypto_shash_setkey(auth->hmac, salt, sizeof(salt)) ?:
	      crypto_shash_tfm_digest(auth->hmac, key, key_bytes, prk);
	mutex_unlock(&auth->lock);
	return err;
}

/* HKDF-Expand: no more bytes are needed than one HMAC gives. */
int gvm_auth_derive(struct auth *auth, const u8 *prk, enum auth_use use,
		    const u8 *hello_connecting, const u8 *hello_accepting, u8 *out)
{
	static const u8 block = 1; /* the number of the HMAC */
	SHASH_DESC_ON_STACK(desc, auth->hmac);
	u8 label = use;
	int err;

	desc->tfm = auth->hmac;
	mutex_lock(&auth->lock);
	err = crypto_shash_setkey(auth->hmac, prk, AUTH_BYTES) ?:
	      crypto_shash_init(desc) ?:
	      crypto_shash_update(desc, &label, 1) ?:
	      crypto_shash_update(desc, hello_connecting, HELLO_BYTES) ?:
	      crypto_shash_update(desc, hello_accepting, HELLO_BYTES) ?:
	      crypto_shash_update(desc, &block, 1) ?:
	      crypto_shash_final(desc, out);
	mutex_unlock(&auth->lock);
	shash_desc_zero(desc);
	return err;
}
