// SPDX-License-Identifier: GPL-2.0-or-later
/* seal_keys.c - keys are derived as RFC 5869 and SEAL.md say, and the key's file is the owner's alone. */
#include "memnode/hkdf.h"
#include "seal_data.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

static size_t hex(const char *text, uint8_t *to)
{
	size_t n = 0;

	for (; *text; text += 2, n++) {
		unsigned v;

		CHECK_EQ(sscanf(text, "%2x", &v), 1);
		to[n] = (uint8_t)v;
	}
	return n;
}

/* The RFC's test cases 1 to 3 (appendix A). */
static void hkdf_answers_as_the_rfc_does(void)
{
	static const struct {
		const char *key, *salt, *info, *prk, *okm;
	} cases[] = {
		{"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c",
		 "f0f1f2f3f4f5f6f7f8f9",
		 "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
		 "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
		{"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
		 "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
		 "404142434445464748494a4b4c4d4e4f",
		 "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f"
		 "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"
		 "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
		 "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecf"
		 "d0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9eaebecedeeef"
		 "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
		 "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
		 "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
		 "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
		 "cc30c58179ec3e87c14c01d5c1f3434f1d87"},
		{"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
		 "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
		 "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
	};
	uint8_t key[128], salt[128], info[128], prk[32], want[128], out[128];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		size_t info_bytes = hex(cases[i].info, info), bytes;

		CHECK_EQ(hkdf_extract(salt, hex(cases[i].salt, salt), key, hex(cases[i].key, key), prk), 0);
		CHECK_EQ(hex(cases[i].prk, want), sizeof(prk));
		CHECK_MEM(prk, want, sizeof(prk));
		bytes = hex(cases[i].okm, want);
		CHECK_EQ(hkdf_expand(prk, info, info_bytes, out, bytes), 0);
		CHECK_MEM(out, want, bytes);
	}
	CHECK_EQ(hkdf_expand(prk, info, HKDF_INFO_MAX + 1, out, 32), -EINVAL);
	CHECK_EQ(hkdf_expand(prk, info, 1, out, HKDF_OUT_MAX + 1), -EINVAL);
}

/* Written down apart from seal.c, and once more by OpenSSL's command:
 * openssl kdf -keylen 32 -kdfopt digest:SHA256 -kdfopt key:... -kdfopt salt:... -kdfopt info:... HKDF */
static void keys_are_of_region_and_salt(void)
{
	static const char region_label[] = "gvm seal 1 region", block_label[] = "gvm seal 1 block";
	struct chunk_salt salt = {{7}};
	uint8_t prk[32], info[64], want[32], of_region[32], key[32];
	struct gvm_id other = data_region;

	CHECK_EQ(hkdf_extract("gvm seal 1", 10, seal_master, sizeof(seal_master), prk), 0);
	memcpy(mempcpy(info, region_label, 17), data_region.b, 16);
	CHECK_EQ(hkdf_expand(prk, info, 33, want, 32), 0);
	CHECK_EQ(seal_region_key(seal_master, sizeof(seal_master), &data_region, of_region), 0);
	CHECK_MEM(of_region, want, 32);
	memcpy(mempcpy(info, block_label, 16), salt.b, 16);
	CHECK_EQ(hkdf_expand(of_region, info, 32, want, 32), 0);
	CHECK_EQ(seal_block_key(of_region, &salt, key), 0);
	CHECK_MEM(key, want, 32);
	other.b[15] ^= 1;
	CHECK_EQ(seal_region_key(seal_master, sizeof(seal_master), &other, want), 0);
	CHECK(memcmp(want, of_region, 32));
	salt.b[15] ^= 1;
	CHECK_EQ(seal_block_key(of_region, &salt, want), 0);
	CHECK(memcmp(want, key, 32));
	CHECK_EQ(seal_region_key(seal_master, sizeof(seal_master) - 1, &data_region, want), 0);
	CHECK(memcmp(want, of_region, 32));
}

static int load(const char *text, size_t bytes, mode_t mode)
{
	char path[] = "/tmp/seal-key-XXXXXX";
	int fd = mkstemp(path), err;
	uint8_t *key = NULL;
	size_t got = 0;

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, text, bytes), (ssize_t)bytes);
	CHECK_EQ(fchmod(fd, mode), 0);
	close(fd);
	err = seal_key_load(path, &key, &got);
	unlink(path);
	CHECK(!err == !!key);
	free(key);
	return err ? err : (int)got;
}

static void key_file_is_long_enough_and_its_owners(void)
{
	static const char text[] = "0123456789abcdef0123456789abcdef\n";

	CHECK_EQ(load(text, 33, 0600), 32);
	CHECK_EQ(load(text, 32, 0400), 32);
	CHECK_EQ(load(text, 31, 0600), -EINVAL);
	CHECK_EQ(load(text, 8, 0600), -EINVAL);
	CHECK_EQ(load(text, 33, 0640), -EPERM);
	CHECK_EQ(load(text, 33, 0604), -EPERM);
	CHECK(strstr(seal_key_error(-EINVAL), "32 to 4096 bytes"));
	CHECK(strstr(seal_key_error(-EPERM), "chmod 600"));
}

static void key_is_known_again_by_its_id(void)
{
	uint8_t other[sizeof(seal_master)];
	uint64_t id, again, of_other;

	memcpy(other, seal_master, sizeof(other));
	other[31] ^= 1;
	CHECK_EQ(seal_key_id(seal_master, sizeof(seal_master), &id), 0);
	CHECK_EQ(seal_key_id(seal_master, sizeof(seal_master), &again), 0);
	CHECK_EQ(seal_key_id(other, sizeof(other), &of_other), 0);
	CHECK(id && id == again && id != of_other);
}

/* The marks of all places that differ from each other in one thing. */
static void mark_is_of_one_key_and_place(void)
{
	static const char longest[] = {[0 ... 254] = 'n', 0}, longer[] = {[0 ... 255] = 'n', 0};
	struct gvm_id one = {{1}}, another = {{2}}, none = {{0}};
	uint8_t other[sizeof(seal_master)];
	uint64_t marks[9], again;
	struct sealer *a, *b;

	memcpy(other, seal_master, sizeof(other));
	other[0] ^= 1;
	CHECK_EQ(sealer_create(seal_master, sizeof(seal_master), &a), 0);
	CHECK_EQ(sealer_create(other, sizeof(other), &b), 0);
	CHECK_EQ(seal_mark(a, SEAL_MARKS_REGION, &one, &none, "ram", &marks[0]), 0);
	CHECK_EQ(seal_mark(a, SEAL_MARKS_REGION, &one, &none, "ram", &again), 0);
	CHECK_EQ(again, marks[0]);
	CHECK_EQ(seal_mark(a, SEAL_MARKS_FOLDER, &one, &none, "ram", &marks[1]), 0);
	CHECK_EQ(seal_mark(a, SEAL_MARKS_REGION, &another, &none, "ram", &marks[2]), 0);
	CHECK_EQ(seal_mark(a, SEAL_MARKS_REGION, &one, &another, "ram", &marks[3]), 0);
	CHECK_EQ(seal_mark(a, SEAL_MARKS_REGION, &one, &none, "rAm", &marks[4]), 0);
	CHECK_EQ(seal_mark(a, SEAL_MARKS_REGION, &one, &none, "ra", &marks[5]), 0);
	CHECK_EQ(seal_mark(a, SEAL_MARKS_REGION, &one, &none, longest, &marks[6]), 0);
	CHECK_EQ(seal_mark(a, SEAL_MARKS_REGION, &one, &none, longest + 1, &marks[7]), 0);
	CHECK_EQ(seal_mark(b, SEAL_MARKS_REGION, &one, &none, "ram", &marks[8]), 0);
	CHECK_EQ(seal_mark(a, SEAL_MARKS_REGION, &one, &none, longer, &again), -EINVAL);
	for (unsigned i = 0; i < 9; i++) {
		CHECK(marks[i] && !(marks[i] & 1));
		for (unsigned k = 0; k < i; k++)
			CHECK(marks[i] != marks[k]);
	}
	sealer_destroy(a);
	sealer_destroy(b);
}

static void short_master_key_makes_no_sealer(void)
{
	struct sealer *s;

	CHECK_EQ(sealer_create(seal_master, SEAL_KEY_BYTES_MIN - 1, &s), -EINVAL);
	sealer_destroy(NULL);
}

static const struct check_test tests[] = {
	{"hkdf-answers-as-the-rfc-does", hkdf_answers_as_the_rfc_does},
	{"keys-are-of-region-and-salt", keys_are_of_region_and_salt},
	{"key-file-is-long-enough-and-its-owners", key_file_is_long_enough_and_its_owners},
	{"key-is-known-again-by-its-id", key_is_known_again_by_its_id},
	{"mark-is-of-one-key-and-place", mark_is_of_one_key_and_place},
	{"short-master-key-makes-no-sealer", short_master_key_makes_no_sealer},
};
CHECK_MAIN(tests)
