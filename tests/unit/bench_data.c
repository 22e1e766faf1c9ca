// SPDX-License-Identifier: GPL-2.0-or-later
/* bench_data.c - what gvm bench writes compresses as it says. */
#include "tools/bench/data.h"
#include "memnode/codec.h"
#include "check.h"

static void data_compresses_about_five_to_two(void)
{
	static uint8_t data[GVM_CHUNK_BYTES], body[GVM_CHUNK_BYTES];
	struct chunk_codec *codec = chunk_codec_create();
	const struct gvm_id region = {{1}};
	uint32_t blocks = UINT32_MAX >> (32 - (GVM_CHUNK_PAGES >> CHUNK_BLOCK_SHIFT));
	uint64_t raw = 0, encoded = 0;
	struct chunk_head head;

	CHECK(codec);
	for (unsigned i = 0; i < 32; i++) {
		bench_data_fill(data, sizeof(data), i);
		chunk_encode(codec, data, blocks, 0, CHUNK_BLOCK_SHIFT, &region, i, &head, body);
		CHECK_EQ(head.zero_map, 0);
		raw += sizeof(data);
		encoded += head.body_bytes;
	}
	chunk_codec_destroy(codec);
	CHECK(raw * 10 >= encoded * 23);
	CHECK(raw * 10 <= encoded * 27);
}

static void seeds_make_different_data(void)
{
	static uint8_t a[GVM_PAGE_BYTES], b[GVM_PAGE_BYTES];

	bench_data_fill(a, sizeof(a), 1);
	bench_data_fill(b, sizeof(b), 1);
	CHECK_MEM(a, b, sizeof(a));
	bench_data_fill(b, sizeof(b), 2);
	CHECK(memcmp(a, b, sizeof(a)));
}

static const struct check_test tests[] = {
	{"data-compresses-about-five-to-two", data_compresses_about_five_to_two},
	{"seeds-make-different-data", seeds_make_different_data},
};
CHECK_MAIN(tests)
