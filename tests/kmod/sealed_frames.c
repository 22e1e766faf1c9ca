// SPDX-License-Identifier: GPL-2.0-or-later
/* sealed_frames.c - what is derived from a key, and frames that are sealed with it, are as kmod/frame.h says. */
#include "tests/unit/check.h"
#include "crypto.h"

#include "kmod/auth.c"
#include "kmod/seal.c"

#include <openssl/kdf.h>

#define BODY_BYTES  48
#define PLAIN_BYTES (FRAME_HEAD_BYTES + BODY_BYTES)

static const u8 key[SEAL_KEY_BYTES] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
				       16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};

/* Number 258 of its direction, with that key: made by another implementation. */
static const u8 golden[] = {
	0x30, 0x00, 0x1e, 0xb5, 0xfc, 0x38, 0x17, 0x8d, 0xe3, 0x9a, 0x5b, 0x86,
	0x43, 0x71, 0x3b, 0xa2, 0x6a, 0x97, 0x65, 0xbe, 0x6f, 0x15, 0x15, 0xe6,
	0x5b, 0x33, 0x83, 0xa5, 0x70, 0xfd, 0x53, 0x28, 0x98, 0xd9, 0xf0, 0x8e,
	0x95, 0x3c, 0x29, 0x41, 0x35, 0x33, 0x6e, 0x9f, 0xe7, 0xa7, 0x5f, 0x8e,
	0xe6, 0x88, 0xbe, 0x35, 0xbe, 0xc8, 0x59, 0x20, 0x11, 0x4f, 0x50, 0x19,
	0xf3, 0x87, 0xcf, 0x73, 0x88, 0xcd, 0x76, 0xd4, 0x36, 0xbe, 0x92, 0x23,
};
/* The seal of the same without a key. */
static const u8 golden_sum[SEAL_BYTES] = {0x16, 0x28, 0x29, 0x46, 0x6c, 0x6b, 0x51, 0x99};

void *test_alloc(size_t bytes)
{
	return calloc(1, bytes);
}

void test_free(const void *p)
{
	free((void *)p);
}

/* A message of BODY_BYTES, each byte its place. */
static void frame_make(u8 *frame)
{
	for (unsigned int i = 0; i < PLAIN_BYTES; i++)
		frame[i] = (u8)i;
	put_unaligned_le16(BODY_BYTES, frame);
	frame[2] = FRAME_MESSAGE;
	frame[3] = 0;
}

static void sealed_make(struct seal *seal, u8 *frame)
{
	frame_make(frame);
	CHECK_EQ(gvm_seal_close(seal, frame, PLAIN_BYTES), 0);
}

static void derived_bytes_are_those_of_hkdf(void)
{
	u8 hellos[2][HELLO_BYTES], info[1 + sizeof(hellos)];
	u8 prk[AUTH_BYTES], out[AUTH_BYTES], expected[AUTH_BYTES];
	size_t bytes = sizeof(expected);
	struct auth *auth;

	memset(hellos[0], 0x11, HELLO_BYTES);
	memset(hellos[1], 0x22, HELLO_BYTES);
	memcpy(info + 1, hellos, sizeof(hellos));
	CHECK_EQ(gvm_auth_create(&auth), 0);
	CHECK_EQ(gvm_auth_extract(auth, key, sizeof(key), prk), 0);
	for (u8 use = AUTH_PROOF_CONNECTING; use <= AUTH_KEY_ACCEPTING; use++) {
		EVP_PKEY_CTX *hkdf = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, NULL);

		info[0] = use;
		CHECK(EVP_PKEY_derive_init(hkdf) > 0 &&
		      EVP_PKEY_CTX_set_hkdf_md(hkdf, EVP_sha256()) > 0 &&
		      EVP_PKEY_CTX_set1_hkdf_salt(hkdf, (const u8 *)"GVM-IVY", 7) > 0 &&
		      EVP_PKEY_CTX_set1_hkdf_key(hkdf, key, sizeof(key)) > 0 &&
		      EVP_PKEY_CTX_add1_hkdf_info(hkdf, info, sizeof(info)) > 0 &&
		      EVP_PKEY_derive(hkdf, expected, &bytes) > 0);
		EVP_PKEY_CTX_free(hkdf);
		CHECK_EQ(gvm_auth_derive(auth, prk, use, hellos[0], hellos[1], out), 0);
		CHECK_MEM(out, expected, sizeof(out));
	}
	gvm_auth_destroy(auth);
}

static void bytes_are_as_documented(void)
{
	u8 frame[sizeof(golden)], plain[PLAIN_BYTES];
	struct seal seal;

	frame_make(plain);
	gvm_seal_init(&seal, key);
	seal.frames = 258;
	sealed_make(&seal, frame);
	CHECK_MEM(frame, golden, sizeof(golden));
	seal.frames = 258;
	CHECK_EQ(gvm_seal_open(&seal, frame, PLAIN_BYTES), 0);
	CHECK_MEM(frame, plain, sizeof(plain));

	gvm_seal_init(&seal, NULL);
	seal.frames = 258;
	sealed_make(&seal, frame);
	CHECK_MEM(frame, plain, sizeof(plain));
	CHECK_MEM(frame + PLAIN_BYTES, golden_sum, sizeof(golden_sum));
}

static void no_bit_can_be_changed(const u8 *with)
{
	struct seal to = {0}, from;
	u8 frame[sizeof(golden)], before[sizeof(golden)];

	gvm_seal_init(&to, with);
	gvm_seal_init(&from, with);
	sealed_make(&to, frame);
	for (unsigned int bit = 0; bit < 8 * sizeof(frame); bit++) {
		frame[bit / 8] ^= (u8)(1 << bit % 8);
		memcpy(before, frame, sizeof(frame));
		CHECK_EQ(gvm_seal_open(&from, frame, PLAIN_BYTES), -EILSEQ);
		CHECK_MEM(frame, before, sizeof(frame));
		frame[bit / 8] ^= (u8)(1 << bit % 8);
	}
	CHECK_EQ(gvm_seal_open(&from, frame, PLAIN_BYTES), 0);
}

static void a_changed_bit_is_refused(void)
{
	no_bit_can_be_changed(key);
	no_bit_can_be_changed(NULL);
}

static void frames_open_once_and_in_order(const u8 *with)
{
	u8 frames[3][sizeof(golden)], frame[sizeof(golden)];
	struct seal to, from;

	gvm_seal_init(&to, with);
	gvm_seal_init(&from, with);
	for (unsigned int i = 0; i < 3; i++)
		sealed_make(&to, frames[i]);
	for (unsigned int next = 0; next < 3; next++) {
		for (unsigned int i = 0; i < 3; i++) {
			memcpy(frame, frames[i], sizeof(frame));
			if (i != next)
				CHECK_EQ(gvm_seal_open(&from, frame, PLAIN_BYTES), -EILSEQ);
		}
		CHECK_EQ(gvm_seal_open(&from, frames[next], PLAIN_BYTES), 0);
	}
}

static void what_is_not_the_next_frame_is_refused(void)
{
	frames_open_once_and_in_order(key);
	frames_open_once_and_in_order(NULL);
}

static void the_last_number_is_not_used(void)
{
	u8 frame[sizeof(golden)];
	struct seal seal;

	gvm_seal_init(&seal, key);
	seal.frames = U64_MAX - 1;
	sealed_make(&seal, frame);
	CHECK_EQ(gvm_seal_close(&seal, frame, PLAIN_BYTES), -EOVERFLOW);
	CHECK_EQ(gvm_seal_open(&seal, frame, PLAIN_BYTES), -EOVERFLOW);
}

static const struct check_test tests[] = {
	{"derived-bytes-are-those-of-hkdf", derived_bytes_are_those_of_hkdf},
	{"bytes-are-as-documented", bytes_are_as_documented},
	{"a-changed-bit-is-refused", a_changed_bit_is_refused},
	{"what-is-not-the-next-frame-is-refused", what_is_not_the_next_frame_is_refused},
	{"the-last-number-is-not-used", the_last_number_is_not_used},
};

CHECK_MAIN(tests)
