// SPDX-License-Identifier: GPL-2.0-or-later
/* hkdf.c - see hkdf.h. */
#include "hkdf.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

static int hmac(const void *key, size_t key_bytes, const void *text, size_t text_bytes,
		uint8_t mac[HKDF_BYTES])
{
	unsigned bytes = 0;

	if (!HMAC(EVP_sha256(), key, (int)key_bytes, text, text_bytes, mac, &bytes) ||
	    bytes != HKDF_BYTES)
		return -EIO;
	return 0;
}

int hkdf_extract(const void *salt, size_t salt_bytes, const void *key, size_t key_bytes,
		 uint8_t prk[HKDF_BYTES])
{
	static const uint8_t none[HKDF_BYTES];

	return salt_bytes ? hmac(salt, salt_bytes, key, key_bytes, prk) :
			    hmac(none, sizeof(none), key, key_bytes, prk);
}

int hkdf_expand(const uint8_t prk[HKDF_BYTES], const void *info, size_t info_bytes, uint8_t *out,
		size_t out_bytes)
{
	uint8_t text[HKDF_BYTES + HKDF_INFO_MAX + 1], part[HKDF_BYTES];
	size_t before = 0, n;
	int err = 0;

	if (info_bytes > HKDF_INFO_MAX || out_bytes > HKDF_OUT_MAX)
		return -EINVAL;
	for (uint8_t i = 1; out_bytes && !err; i++, out += n, out_bytes -= n) {
		memcpy(text, part, before);
		if (info_bytes)
			memcpy(text + before, info, info_bytes);
		text[before + info_bytes] = i;
		err = hmac(prk, HKDF_BYTES, text, before + info_bytes + 1, part);
		before = HKDF_BYTES;
		n = out_bytes < HKDF_BYTES ? out_bytes : HKDF_BYTES;
		if (!err)
			memcpy(out, part, n);
	}
	OPENSSL_cleanse(part, sizeof(part));
	OPENSSL_cleanse(text, sizeof(text));
	return err;
}
