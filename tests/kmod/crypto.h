/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * crypto.h - the kernel's ciphers that kmod/ uses, by those of OpenSSL. The names in include/ of the
 * kernel's headers for them are links to this file.
 */
#ifndef TEST_KMOD_CRYPTO_H
#define TEST_KMOD_CRYPTO_H

#include "kernel.h"

#define XXH_INLINE_ALL
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <xxhash.h>

#define U64_MAX			    UINT64_MAX
#define xxh64(from, bytes, seed)    XXH64(from, bytes, seed)
#define kzalloc(bytes, gfp)	    test_alloc((bytes) + !sizeof(gfp))
#define IS_ERR(p)		    (!(p))
#define PTR_ERR(p)		    ((int)!(p))

static inline void need(bool right)
{
	if (!right)
		abort();
}

/* ---- crypto/hash.h: hmac(sha256) alone ---- */

struct crypto_shash {
	u8 key[64];
	unsigned int key_bytes;
};

struct shash_desc {
	struct crypto_shash *tfm;
	u8 message[4096];
	unsigned int bytes;
};

#define SHASH_DESC_ON_STACK(name, of) struct shash_desc own_##name = {.tfm = (of)}, *name = &own_##name
#define shash_desc_zero(desc)	      explicit_bzero(desc, sizeof(*(desc)))

static inline struct crypto_shash *crypto_alloc_shash(const char *name, u32 type, u32 mask)
{
	need(!strcmp(name, "hmac(sha256)") && !type && !mask);
	return test_alloc(sizeof(struct crypto_shash));
}

static inline void crypto_free_shash(struct crypto_shash *tfm)
{
	test_free(tfm);
}

static inline int crypto_shash_setkey(struct crypto_shash *tfm, const u8 *key, unsigned int bytes)
{
	need(bytes <= sizeof(tfm->key));
	memcpy(tfm->key, key, bytes);
	tfm->key_bytes = bytes;
	return 0;
}

static inline int crypto_shash_tfm_digest(struct crypto_shash *tfm, const u8 *from,
					  unsigned int bytes, u8 *out)
{
	return HMAC(EVP_sha256(), tfm->key, (int)tfm->key_bytes, from, bytes, out, NULL) ? 0 : -EINVAL;
}

static inline int crypto_shash_init(struct shash_desc *desc)
{
	desc->bytes = 0;
	return 0;
}

static inline int crypto_shash_update(struct shash_desc *desc, const u8 *from, unsigned int bytes)
{
	need(bytes <= sizeof(desc->message) - desc->bytes);
	memcpy(desc->message + desc->bytes, from, bytes);
	desc->bytes += bytes;
	return 0;
}

static inline int crypto_shash_final(struct shash_desc *desc, u8 *out)
{
	return crypto_shash_tfm_digest(desc->tfm, desc->message, desc->bytes, out);
}

/* ---- crypto/chacha20poly1305.h ---- */

#define CHACHA_TAG_BYTES 16

static inline EVP_CIPHER_CTX *chacha_begin(int encrypt, const u8 *ad, size_t ad_bytes, u64 nonce, const u8 *key)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	u8 iv[12] = {0};
	int n;

	put_unaligned_le64(nonce, iv + 4);
	need(EVP_CipherInit_ex(ctx, EVP_chacha20_poly1305(), NULL, key, iv, encrypt));
	need(EVP_CipherUpdate(ctx, NULL, &n, ad, (int)ad_bytes));
	return ctx;
}

static inline void chacha20poly1305_encrypt(u8 *to, const u8 *from, size_t bytes, const u8 *ad,
					    size_t ad_bytes, u64 nonce, const u8 *key)
{
	EVP_CIPHER_CTX *ctx = chacha_begin(1, ad, ad_bytes, nonce, key);
	int n;

	need(EVP_EncryptUpdate(ctx, to, &n, from, (int)bytes) && n == (int)bytes);
	need(EVP_EncryptFinal_ex(ctx, to + n, &n));
	need(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, CHACHA_TAG_BYTES, to + bytes) > 0);
	EVP_CIPHER_CTX_free(ctx);
}

/* As the kernel's: nothing is written where the tag is wrong. */
static inline bool chacha20poly1305_decrypt(u8 *to, const u8 *from, size_t bytes, const u8 *ad,
					    size_t ad_bytes, u64 nonce, const u8 *key)
{
	EVP_CIPHER_CTX *ctx = chacha_begin(0, ad, ad_bytes, nonce, key);
	u8 *plain = test_alloc(bytes);
	int n;
	bool right;

	bytes -= CHACHA_TAG_BYTES;
	need(EVP_DecryptUpdate(ctx, plain, &n, from, (int)bytes));
	need(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, CHACHA_TAG_BYTES, (void *)(from + bytes)) > 0);
	right = EVP_DecryptFinal_ex(ctx, plain + n, &n) > 0;
	if (right)
		memcpy(to, plain, bytes);
	test_free(plain);
	EVP_CIPHER_CTX_free(ctx);
	return right;
}

#endif
