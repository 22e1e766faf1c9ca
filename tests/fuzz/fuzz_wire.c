// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fuzz_wire.c - a frame's header and fields from a hostile peer.
 *
 * Input: flags u8, a header, meta bytes. With flag 1 the header's check is made right, with flag 2
 * the magic, version and the zero byte as well.
 *
 * fuzz-sources: memnode/gvm_wire.c
 * fuzz-libs: -lxxhash
 */
#include "fuzz.h"
#include "memnode/gvm_wire.h"

#include <errno.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* Every message is tried on the bytes, whatever the op: the tables do not depend on it. */
#define UNPACK(msg, TABLE)                                                                         \
	{                                                                                          \
		struct gvm_##msg m;                                                                \
		int took = gvm_##msg##_unpack(&m, meta, len);                                      \
                                                                                                   \
		FUZZ_CHECK(took == -EBADMSG || (took > 0 && (size_t)took <= len));                 \
		if (took > 0) {                                                                    \
			FUZZ_CHECK(gvm_##msg##_pack(&m, again) == (size_t)took);                   \
			FUZZ_CHECK(!memcmp(again, meta, (size_t)took));                            \
		}                                                                                  \
	}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	unsigned flags = (unsigned)fuzz_take(&in, 1);
	uint8_t hdr[GVM_HDR_BYTES], again[GVM_META_MAX], whole[GVM_HDR_BYTES + GVM_META_MAX];
	uint8_t *meta;
	struct gvm_hdr h;
	size_t len;
	int ret;

	for (unsigned i = 0; i < sizeof(hdr); i++)
		hdr[i] = (uint8_t)fuzz_take(&in, 1);
	if (flags & 2) {
		gvm_store_le(hdr, GVM_MAGIC, 4);
		hdr[4] = GVM_VERSION;
		hdr[7] = 0;
	}
	ret = gvm_hdr_unpack(&h, hdr);
	FUZZ_CHECK(ret == 0 || ret == -EBADMSG || ret == -EPROTONOSUPPORT);
	if (ret)
		return 0;
	FUZZ_CHECK(h.meta_len <= GVM_META_MAX && h.data_len <= GVM_DATA_MAX);
	FUZZ_CHECK(gvm_op_name(h.op) && gvm_status_name(h.status));
	FUZZ_CHECK(gvm_status_errno(h.status) <= 0);
	len = h.meta_len;
	meta = fuzz_take_copy(&in, &len);
	h.meta_len = (uint16_t)len;
	gvm_store_le(hdr + 10, len, 2);
	if (flags & 1) {
		memcpy(whole, hdr, GVM_HDR_BYTES - 8);
		memcpy(whole + GVM_HDR_BYTES - 8, meta, len);
		h.check = XXH3_64bits(whole, GVM_HDR_BYTES - 8 + len);
		gvm_store_le(hdr + 32, h.check, 8);
		FUZZ_CHECK(gvm_meta_check(&h, hdr, meta));
	}
	if (gvm_meta_check(&h, hdr, meta)) {
		uint8_t packed[GVM_HDR_BYTES];

		/* There is one way to write a header. */
		gvm_hdr_pack(&h, meta, packed);
		FUZZ_CHECK(!memcmp(packed, hdr, sizeof(hdr)));
	}
	GVM_MESSAGES(UNPACK)
	free(meta);
	return 0;
}
