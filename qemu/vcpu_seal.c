// SPDX-License-Identifier: GPL-2.0-or-later
/* vcpu_seal.c - see vcpu_seal.h. */
#include "vcpu_seal.h"

#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#include "hkdf.h"

#define NONCE_BYTES 12 /* RFC 8439 */

static const char salt[] = "GVM-VCPU";

int vcpu_key_extract(const void *key, size_t bytes, uint8_t prk[VCPU_KEY_BYTES])
{
	return hkdf_extract(salt, sizeof(salt) - 1, key, bytes, prk);
}

int vcpu_key_derive(const uint8_t prk[VCPU_KEY_BYTES],
		    const uint8_t hello_connecting[VCPU_HELLO_BYTES],
		    const uint8_t hello_accepting[VCPU_HELLO_BYTES], enum vcpu_use use,
		    uint8_t out[VCPU_KEY_BYTES])
{
	uint8_t both[2 * VCPU_HELLO_BYTES], connection[VCPU_KEY_BYTES], label = (uint8_t)use;
	int err;

	memcpy(both, hello_connecting, VCPU_HELLO_BYTES);
	memcpy(both + VCPU_HELLO_BYTES, hello_accepting, VCPU_HELLO_BYTES);
	err = hkdf_extract(both, sizeof(both), prk, VCPU_KEY_BYTES, connection);
	if (!err)
		err = hkdf_expand(connection, &label, 1, out, VCPU_KEY_BYTES);
	OPENSSL_cleanse(connection, sizeof(connection));
	return err;
}

int vcpu_key_differs(const uint8_t *a, const uint8_t *b, size_t bytes)
{
	return CRYPTO_memcmp(a, b, bytes);
}

int vcpu_random(uint8_t *bytes, size_t count)
{
	return RAND_bytes(bytes, (int)count) == 1 ? 0 : -EIO;
}

void vcpu_key_wipe(void *bytes, size_t count)
{
	OPENSSL_cleanse(bytes, count);
}

int vcpu_seal_init(struct vcpu_seal *seal, const uint8_t key[VCPU_KEY_BYTES])
{
	EVP_CIPHER_CTX *cipher = EVP_CIPHER_CTX_new();

	seal->frames = 0;
	seal->cipher = cipher;
	/* The direction of a context is given with each nonce, and makes no difference to the key.
	 */
	if (cipher && EVP_CipherInit_ex(cipher, EVP_chacha20_poly1305(), NULL, key, NULL, 1) == 1)
		return 0;
	vcpu_seal_deinit(seal);
	return -EIO;
}

void vcpu_seal_deinit(struct vcpu_seal *seal)
{
	EVP_CIPHER_CTX_free(seal->cipher);
	seal->cipher = NULL;
}

/* Begins the next frame: its nonce, and what of it is clear. */
static int begin(struct vcpu_seal *seal, const uint8_t *frame, int closing)
{
	uint8_t nonce[NONCE_BYTES] = {0};
	int n;

	assert(seal->cipher);
	if (seal->frames == UINT64_MAX)
		return -EIO;
	vcpu_store_le(nonce + 4, seal->frames, 8);
	if (EVP_CipherInit_ex(seal->cipher, NULL, NULL, NULL, nonce, closing) != 1 ||
	    EVP_CipherUpdate(seal->cipher, NULL, &n, frame, VCPU_CLEAR_BYTES) != 1)
		return -EIO;
	return 0;
}

int vcpu_seal_close(struct vcpu_seal *seal, uint8_t *frame, size_t bytes)
{
	uint8_t *sealed = frame + VCPU_CLEAR_BYTES;
	int n, err = begin(seal, frame, 1);

	assert(bytes >= VCPU_HEAD_BYTES && bytes <= VCPU_FRAME_MAX - VCPU_SEAL_BYTES);
	if (err)
		return err;
	if (EVP_CipherUpdate(seal->cipher, sealed, &n, sealed, (int)(bytes - VCPU_CLEAR_BYTES)) !=
		    1 ||
	    EVP_CipherFinal_ex(seal->cipher, sealed + n, &n) != 1 ||
	    EVP_CIPHER_CTX_ctrl(seal->cipher, EVP_CTRL_AEAD_GET_TAG, VCPU_SEAL_BYTES,
				frame + bytes) != 1)
		return -EIO;
	seal->frames++;
	return 0;
}

int vcpu_seal_open(struct vcpu_seal *seal, uint8_t *frame, size_t bytes)
{
	uint8_t *sealed = frame + VCPU_CLEAR_BYTES;
	int n, err = begin(seal, frame, 0);

	assert(bytes >= VCPU_HEAD_BYTES && bytes <= VCPU_FRAME_MAX - VCPU_SEAL_BYTES);
	if (err)
		return err;
	if (EVP_CIPHER_CTX_ctrl(seal->cipher, EVP_CTRL_AEAD_SET_TAG, VCPU_SEAL_BYTES,
				frame + bytes) != 1 ||
	    EVP_CipherUpdate(seal->cipher, sealed, &n, sealed, (int)(bytes - VCPU_CLEAR_BYTES)) !=
		    1)
		return -EIO;
	if (EVP_CipherFinal_ex(seal->cipher, sealed + n, &n) != 1)
		return -EILSEQ;
	seal->frames++;
	return 0;
}
