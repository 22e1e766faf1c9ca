// SPDX-License-Identifier: GPL-2.0-or-later
/* seal_chunks.c - sealed chunks come back as they were, also in parts and merged, and tell nothing else. */
#include "seal_data.h"

#include <errno.h>
#include <openssl/evp.h>

static struct chunk_codec *codec;
static struct sealer *sealer;
static uint8_t data[GVM_CHUNK_BYTES], body[GVM_CHUNK_BYTES], out[GVM_CHUNK_BYTES];
static const struct seal_known nothing;

static void begin(void)
{
	if (!codec)
		codec = chunk_codec_create();
	CHECK(codec);
	sealer_destroy(sealer);
	sealer = sealer_make();
}

static void pages_are(const uint8_t *want, uint32_t pages)
{
	for (; pages; pages &= pages - 1) {
		size_t at = (size_t)__builtin_ctz(pages) * GVM_PAGE_BYTES;

		CHECK_MEM(out + at, want + at, GVM_PAGE_BYTES);
	}
}

/* Through its packed form, as it travels. */
static void head_travel(struct chunk_head *h)
{
	uint8_t packed[CHUNK_HEAD_MAX], again[CHUNK_HEAD_MAX];
	size_t len = chunk_head_pack(h, packed);

	CHECK(len <= GVM_META_MAX - sizeof(struct gvm_put_req));
	CHECK_EQ(chunk_head_unpack(h, packed, len), 0);
	CHECK_EQ(chunk_head_pack(h, again), len);
	CHECK_MEM(again, packed, len);
}

static void sealed_chunk_comes_back_as_it_was(void)
{
	struct chunk_head h;
	uint32_t valid;

	begin();
	for (unsigned i = 0; i < 2000; i++) {
		unsigned shift = i % (CHUNK_BLOCK_SHIFT_MAX + 1);
		uint64_t version = gvm_version(1 + i % 3, 1 + i);
		uint32_t blocks = random_mask(32u >> shift), pages = chunk_pages_of_blocks(shift, blocks);
		struct seal_known known = nothing;

		chunk_fill_random(data);
		CHECK_EQ(seal_encode(sealer, codec, data, blocks, 0, shift, &data_region, i, version, &h, body), 0);
		head_travel(&h);
		CHECK(h.sealed);
		CHECK_EQ(seal_decode(sealer, codec, &h, body, &data_region, i, version, &known, pages, out, &valid), 0);
		CHECK_EQ(valid, pages);
		pages_are(data, pages);
		seal_learn(&known, &h, pages);
		for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
			CHECK_EQ(known.page[p], !(pages >> p & 1)     ? SEAL_UNKNOWN :
						h.zero_map >> p & 1 ? SEAL_ZERO :
								      gvm_load_le(h.block[p >> shift].tag, 8));
		CHECK_EQ(seal_decode(sealer, codec, &h, body, &data_region, i, version, &known, pages, out, &valid), 0);
		/* Nobody without the key takes it for a plain one. */
		CHECK_EQ(chunk_decode(codec, &h, body, &data_region, i, pages, out, &valid), -EBADMSG);
		CHECK_EQ(chunk_verify(&h, body, &data_region, i), -EBADMSG);
	}
}

/* The format, written down apart from seal.c. */
static void block_is_what_seal_md_says(void)
{
	struct chunk_head h;
	uint8_t of_region[32], key[32], nonce[12] = {0}, about[20], plain[GVM_PAGE_BYTES], packed[CHUNK_HEAD_MAX];
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int n;

	begin();
	sealed_data_fill(data);
	CHECK_EQ(seal_encode(sealer, codec, data, 1u << 8, 0, 0, &data_region, 5, SEAL_VERSION, &h, body), 0);
	CHECK_EQ(chunk_head_pack(&h, packed), 16 + 32 + 16);
	CHECK_EQ(packed[5], 1);
	CHECK_EQ(gvm_load_le(packed + 16, 4), 1u << 31 | 4096);
	CHECK_EQ(gvm_load_le(packed + 20, 8), SEAL_VERSION);
	CHECK_EQ(gvm_load_le(packed + 28, 4), 0); /* the sealer's first */
	CHECK_MEM(packed + 32, h.block[8].tag, 16);
	CHECK_MEM(packed + 48, h.salt[0].b, 16);
	CHECK_EQ(seal_region_key(seal_master, sizeof(seal_master), &data_region, of_region), 0);
	CHECK_EQ(seal_block_key(of_region, &h.salt[0], key), 0);
	gvm_store_le(nonce, h.block[8].number, 4);
	gvm_store_le(about, 5, 8);
	gvm_store_le(about + 8, SEAL_VERSION, 8);
	gvm_store_le(about + 16, 8 | 0 << 8 | 1 << 16 | 1 << 24, 4);
	CHECK(EVP_DecryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce));
	CHECK(EVP_DecryptUpdate(ctx, NULL, &n, about, 20));
	CHECK(EVP_DecryptUpdate(ctx, plain, &n, body, 4096));
	CHECK(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, 16, h.block[8].tag));
	CHECK(EVP_DecryptFinal_ex(ctx, plain, &n) > 0);
	CHECK_MEM(plain, data + 8 * GVM_PAGE_BYTES, GVM_PAGE_BYTES);
	EVP_CIPHER_CTX_free(ctx);
}

static bool bytes_occur(const uint8_t *what, size_t bytes, const uint8_t *in, size_t n)
{
	return memmem(in, n, what, bytes);
}

static void nothing_of_a_page_shows(void)
{
	struct chunk_head h;
	uint8_t packed[CHUNK_HEAD_MAX];
	size_t len;

	begin();
	sealed_data_fill(data);
	CHECK_EQ(seal_encode(sealer, codec, data, ~0u, 0, 0, &data_region, 5, SEAL_VERSION, &h, body), 0);
	len = chunk_head_pack(&h, packed);
	for (unsigned at = 0; at + 8 < GVM_PAGE_BYTES; at += 8) {
		CHECK(!bytes_occur(data + 8 * GVM_PAGE_BYTES + at, 8, body, h.body_bytes));
		CHECK(!bytes_occur(data + 8 * GVM_PAGE_BYTES + at, 8, packed, len));
	}
	CHECK(!bytes_occur((const uint8_t *)"row ", 4, body, h.body_bytes));
	/* Pages 17 and 18 are alike, which their blocks do not tell. */
	CHECK_EQ(h.block[17].bytes, h.block[18].bytes);
	CHECK(memcmp(h.block[17].tag, h.block[18].tag, CHUNK_TAG_BYTES));
}

static void blocks_sealed_again_are_others(void)
{
	static uint8_t again[GVM_CHUNK_BYTES];
	struct chunk_head a, b;

	begin();
	sealed_data_fill(data);
	CHECK_EQ(seal_encode(sealer, codec, data, ~0u, 0, 0, &data_region, 5, SEAL_VERSION, &a, body), 0);
	CHECK_EQ(seal_encode(sealer, codec, data, ~0u, 0, 0, &data_region, 5, SEAL_VERSION, &b, again), 0);
	CHECK_EQ(a.body_bytes, b.body_bytes);
	CHECK(memcmp(body, again, a.body_bytes));
	for (uint32_t m = a.block_mask; m; m &= m - 1) {
		unsigned i = (unsigned)__builtin_ctz(m);

		CHECK(a.block[i].number != b.block[i].number);
		CHECK(memcmp(a.block[i].tag, b.block[i].tag, CHUNK_TAG_BYTES));
	}
}

/* Sealers of one key open each other's; each has a salt of its own. */
static void expecting_an_answer_changes_nothing(void)
{
	struct chunk_head a, b;
	uint32_t valid;

	begin();
	seal_expect(sealer); /* one that has not sealed or opened yet */
	sealed_data_fill(data);
	CHECK_EQ(seal_encode(sealer, codec, data, 1u << 8, 0, 0, &data_region, 5, SEAL_VERSION, &a, body), 0);
	seal_expect(sealer);
	CHECK_EQ(seal_decode(sealer, codec, &a, body, &data_region, 5, SEAL_VERSION, &nothing, 0, out, &valid), 0);
	pages_are(data, 1u << 8);
	seal_expect(sealer);
	CHECK_EQ(seal_encode(sealer, codec, data, 1u << 8, 0, 0, &data_region, 5, SEAL_VERSION, &b, body), 0);
	CHECK_EQ(b.block[8].number, a.block[8].number + 1);
	CHECK_EQ(seal_decode(sealer, codec, &b, body, &data_region, 5, SEAL_VERSION, &nothing, 0, out, &valid), 0);
	pages_are(data, 1u << 8);
}

static void merged_blocks_of_many_sealers_open(void)
{
	static struct sealer *many[40];
	static uint8_t whole[GVM_CHUNK_BYTES], next[GVM_CHUNK_BYTES];
	struct chunk_head base, delta, merged;
	struct seal_known known = nothing;
	uint32_t valid;

	begin();
	for (unsigned i = 0; i < 40; i++)
		many[i] = sealer_make();
	chunk_fill_random(data);
	CHECK_EQ(seal_encode(many[0], codec, data, ~0u, 0, 0, &data_region, 5, gvm_version(1, 1), &base, whole), 0);
	seal_learn(&known, &base, ~0u);
	for (unsigned i = 1; i < 400; i++) {
		uint32_t pages = i < 80 ? 1u << i % 32 : random_mask(32);

		for (uint32_t m = pages; m; m &= m - 1)
			page_fill(data + (size_t)__builtin_ctz(m) * GVM_PAGE_BYTES,
				  (enum page_kind)check_random_below(PAGE_KINDS));
		CHECK_EQ(seal_encode(many[i % 40], codec, data, pages, 0, 0, &data_region, 5, gvm_version(1, 1 + i),
				     &delta, body), 0);
		head_travel(&delta);
		CHECK_EQ(chunk_compose(&base, whole, &delta, body, &merged, next), 0);
		head_travel(&merged);
		memcpy(whole, next, merged.body_bytes);
		base = merged;
		seal_learn(&known, &delta, pages);
		CHECK_EQ(seal_decode(sealer, codec, &base, whole, &data_region, 5, gvm_version(1, 1 + i), &known, ~0u,
				     out, &valid), 0);
		CHECK_EQ(valid, ~0u);
		CHECK_MEM(out, data, GVM_CHUNK_BYTES);
		/* In parts, as a GET brings them. */
		for (uint32_t m = base.block_mask; m; m &= m - 1) {
			struct chunk_head part = base;
			uint32_t from, bytes;

			if (chunk_head_narrow(&part, m & -m, &from, &bytes)) {
				head_travel(&part);
				CHECK_EQ(seal_decode(sealer, codec, &part, whole + from, &data_region, 5,
						     gvm_version(1, 1 + i), &known, 0, out, &valid), 0);
				CHECK_EQ(valid, m & -m);
			}
		}
	}
	for (unsigned i = 0; i < 40; i++)
		sealer_destroy(many[i]);
}

static void plain_and_sealed_blocks_do_not_mix(void)
{
	struct chunk_head plain, sealed, merged;
	uint32_t from_base, valid;
	static uint8_t other[GVM_CHUNK_BYTES];

	begin();
	sealed_data_fill(data);
	chunk_encode(codec, data, ~0u, 0, 0, &data_region, 5, &plain, other);
	CHECK_EQ(seal_encode(sealer, codec, data, 1, 0, 0, &data_region, 5, SEAL_VERSION, &sealed, body), 0);
	CHECK_EQ(chunk_head_merge(&plain, &sealed, &merged, &from_base), -EINVAL);
	CHECK_EQ(seal_decode(sealer, codec, &plain, other, &data_region, 5, SEAL_VERSION, &nothing, ~0u, out, &valid),
		 -EBADMSG);
	/* One with no block at all has no form to speak of. */
	chunk_encode(codec, data, 1u << 1, 0, 0, &data_region, 5, &plain, other);
	CHECK_EQ(plain.block_mask, 0);
	CHECK_EQ(seal_encode(sealer, codec, data, ~0u, 0, 0, &data_region, 5, SEAL_VERSION, &sealed, body), 0);
	CHECK_EQ(chunk_head_merge(&sealed, &plain, &merged, &from_base), 0);
	CHECK(merged.sealed);
	CHECK_EQ(merged.block_mask, sealed.block_mask);
}

/* Two processes that counted on from one number would seal two blocks alike. */
static void child_of_a_sealer_seals_nothing(void)
{
	struct chunk_head h;
	uint32_t valid;
	int status;
	pid_t pid;

	begin();
	sealed_data_fill(data);
	CHECK_EQ(seal_encode(sealer, codec, data, ~0u, 0, 0, &data_region, 5, SEAL_VERSION, &h, body), 0);
	pid = fork();
	if (!pid) {
		struct chunk_head other;
		static uint8_t room[GVM_CHUNK_BYTES];

		CHECK_EQ(seal_decode(sealer, codec, &h, body, &data_region, 5, SEAL_VERSION, &nothing, ~0u, out, &valid),
			 -EIO);
		CHECK_EQ(seal_encode(sealer, codec, data, ~0u, 0, 0, &data_region, 5, SEAL_VERSION, &other, room), -EIO);
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
	CHECK_EQ(seal_decode(sealer, codec, &h, body, &data_region, 5, SEAL_VERSION, &nothing, ~0u, out, &valid), 0);
}

static void regions_beyond_the_kept_contexts_work(void)
{
	static struct chunk_head heads[100];
	static uint8_t bodies[100][GVM_PAGE_BYTES];
	uint32_t valid;

	begin();
	sealed_data_fill(data);
	for (unsigned i = 0; i < 100; i++) {
		struct gvm_id region = {{1, (uint8_t)i}};

		CHECK_EQ(seal_encode(sealer, codec, data, 1u << 2, 0, 0, &region, i, SEAL_VERSION, &heads[i], body), 0);
		memcpy(bodies[i], body, heads[i].body_bytes);
	}
	for (unsigned n = 0; n < 1000; n++) {
		unsigned i = check_random_below(100), j = check_random_below(100);
		struct gvm_id region = {{1, (uint8_t)i}}, other = {{1, (uint8_t)j}};

		CHECK_EQ(seal_decode(sealer, codec, &heads[i], bodies[i], &region, i, SEAL_VERSION, &nothing, 0, out, &valid), 0);
		pages_are(data, 1u << 2);
		CHECK_EQ(seal_decode(sealer, codec, &heads[i], bodies[i], &other, i, SEAL_VERSION, &nothing, 0, out, &valid),
			 i == j ? 0 : -EBADMSG);
	}
}

/* As in a plain one; and no node can say so of a page. */
static void what_is_lost_is_said_by_the_sealer(void)
{
	static uint8_t lost_body[GVM_CHUNK_BYTES];
	struct chunk_head lost, h, whole, forged;
	struct seal_known known = nothing;
	uint32_t valid;

	begin();
	chunk_fill_random(data);
	CHECK_EQ(seal_encode_lost(sealer, 0xff00, 0, &data_region, 5, SEAL_VERSION, &lost, lost_body), 0);
	CHECK_EQ(seal_encode(sealer, codec, data, ~0xff00u, 0, 0, &data_region, 5, SEAL_VERSION, &h, body), 0);
	CHECK_EQ(chunk_compose(&lost, lost_body, &h, body, &whole, out), 0);
	memcpy(body, out, sizeof(body));
	head_travel(&whole);
	seal_learn(&known, &whole, ~0u);
	memset(out, 0x5a, sizeof(out));
	CHECK_EQ(seal_decode(sealer, codec, &whole, body, &data_region, 5, SEAL_VERSION, &known, ~0u, out, &valid), -ENODATA);
	CHECK_EQ(valid, ~0xff00u);
	pages_are(data, valid);
	forged = whole;
	forged.block[8].tag[3] ^= 1;
	CHECK_EQ(seal_decode(sealer, codec, &forged, body, &data_region, 5, SEAL_VERSION, &nothing, ~0u, out, &valid), -EBADMSG);
}

static const struct check_test tests[] = {
	{"sealed-chunk-comes-back-as-it-was", sealed_chunk_comes_back_as_it_was},
	{"block-is-what-seal-md-says", block_is_what_seal_md_says},
	{"nothing-of-a-page-shows", nothing_of_a_page_shows},
	{"blocks-sealed-again-are-others", blocks_sealed_again_are_others},
	{"expecting-an-answer-changes-nothing", expecting_an_answer_changes_nothing},
	{"merged-blocks-of-many-sealers-open", merged_blocks_of_many_sealers_open},
	{"plain-and-sealed-blocks-do-not-mix", plain_and_sealed_blocks_do_not_mix},
	{"child-of-a-sealer-seals-nothing", child_of_a_sealer_seals_nothing},
	{"regions-beyond-the-kept-contexts-work", regions_beyond_the_kept_contexts_work},
	{ "what-is-lost-is-said-by-the-sealer", what_is_lost_is_said_by_the_sealer },
};
CHECK_MAIN(tests)
