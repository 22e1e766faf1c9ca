// SPDX-License-Identifier: GPL-2.0
/* HMAC-SHA256 through the crypto API: see auth.h. */
#include <crypto/algapi.h>
#include <crypto/hash.h>
#include <linux/err.h>
#include <linux/slab.h>

#include "auth.h"
#include "frame.h"

struct auth {
	struct crypto_shash *hmac;
};

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
	err = crypto_shash_setkey(auth->hmac, key, key_bytes);
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

int gvm_auth_proof(struct auth *auth, bool accepting, const u8 *hello_connecting,
		   const u8 *hello_accepting, u8 *proof)
{
	SHASH_DESC_ON_STACK(desc, auth->hmac);
	u8 side = accepting;
	int err;

	desc->tfm = auth->hmac;
	err = crypto_shash_init(desc) ?:
	      crypto_shash_update(desc, &side, 1) ?:
	      crypto_shash_update(desc, hello_connecting, HELLO_BYTES) ?:
	      crypto_shash_update(desc, hello_accepting, HELLO_BYTES) ?:
	      crypto_shash_final(desc, proof);
	shash_desc_zero(desc);
	return err;
}

int gvm_auth_compare(struct auth *a, struct auth *b, bool *same)
{
	static const u8 hello[HELLO_BYTES]; /* zeros, which no connection begins with */
	u8 proofs[2][PROOF_BYTES];
	int err = gvm_auth_proof(a, false, hello, hello, proofs[0]) ?:
		  gvm_auth_proof(b, false, hello, hello, proofs[1]);

	*same = !err && !crypto_memneq(proofs[0], proofs[1], PROOF_BYTES);
	memzero_explicit(proofs, sizeof(proofs));
	return err;
}
