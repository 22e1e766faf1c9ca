/* SPDX-License-Identifier: GPL-2.0-or-later */
/* hkdf.h - HKDF-SHA256 (RFC 5869): keys from a key. */
#ifndef GVM_HKDF_H
#define GVM_HKDF_H

#include <stddef.h>
#include <stdint.h>

#define HKDF_BYTES    32u /* of a pseudorandom key */
#define HKDF_INFO_MAX 320u
#define HKDF_OUT_MAX  (255u * HKDF_BYTES)

/* 0 or -EIO (the library failed); -EINVAL: more than the maxima above. */
int hkdf_extract(const void *salt, size_t salt_bytes, const void *key, size_t key_bytes,
		 uint8_t prk[HKDF_BYTES]);
int hkdf_expand(const uint8_t prk[HKDF_BYTES], const void *info, size_t info_bytes, uint8_t *out,
		size_t out_bytes);

#endif
