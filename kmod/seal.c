// SPDX-License-Identifier: GPL-2.0
/* Sealed frames: see seal.h. */
#include <crypto/chacha20poly1305.h>
#include <linux/errno.h>
#include <linux/string.h>
#include <linux/xxhash.h>

#include "compat.h"
#include "seal.h"

void gvm_seal_init(struct seal *seal, const u8 *key)
{
	memset(seal, 0, sizeof(*seal));
	seal->keyed = key;
	if (key)
		memcpy(seal->key, key, sizeof(seal->key));
}

/* Where there is no key: against damage, not against anybody. */
static void checksum(const struct seal *seal, const u8 *frame, unsigned int bytes, u8 *sum)
{
	memset(sum, 0, SEAL_BYTES);
	put_unaligned_le64(xxh64(frame, bytes, seal->frames), sum);
}

int gvm_seal_close(struct seal *seal, u8 *frame, unsigned int bytes)
{
	u8 *sealed = frame + SEAL_CLEAR_BYTES;

	if (seal->frames == U64_MAX)
		return -EOVERFLOW;
	if (seal->keyed)
		chacha20poly1305_encrypt(sealed, sealed, bytes - SEAL_CLEAR_BYTES, frame,
					 SEAL_CLEAR_BYTES, seal->frames, seal->key);
	else
		checksum(seal, frame, bytes, frame + bytes);
	seal->frames++;
	return 0;
}

int gvm_seal_open(struct seal *seal, u8 *frame, unsigned int bytes)
{
	u8 *sealed = frame + SEAL_CLEAR_BYTES;
	u8 sum[SEAL_BYTES];

	if (seal->frames == U64_MAX)
		return -EOVERFLOW;
	if (seal->keyed) {
		if (!chacha20poly1305_decrypt(sealed, sealed,
					      bytes - SEAL_CLEAR_BYTES + SEAL_BYTES, frame,
					      SEAL_CLEAR_BYTES, seal->frames, seal->key))
			return -EILSEQ;
	} else {
		checksum(seal, frame, bytes, sum);
		if (memcmp(sum, frame + bytes, SEAL_BYTES))
			return -EILSEQ;
	}
	seal->frames++;
	return 0;
}
