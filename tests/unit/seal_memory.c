// SPDX-License-Identifier: GPL-2.0-or-later
/* seal_memory.c - a host without memory seals later, and a salt is drawn before a guest can wait for it. */
#include "seal_data.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool no_memory;	   /* for OpenSSL */
static bool no_randomness; /* from the kernel, before its generator is ready */
static unsigned draws;

static void *library_malloc(size_t bytes, const char *file, int line)
{
	(void)file;
	(void)line;
	return no_memory ? NULL : malloc(bytes);
}

static void *library_realloc(void *p, size_t bytes, const char *file, int line)
{
	(void)file;
	(void)line;
	return no_memory ? NULL : realloc(p, bytes);
}

static void library_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	free(p);
}

/* In place of the C library's. */
ssize_t getrandom(void *to, size_t bytes, unsigned flags)
{
	draws++;
	if (no_randomness) {
		errno = EAGAIN;
		return -1;
	}
	return syscall(SYS_getrandom, to, bytes, flags);
}

static uint8_t data[GVM_CHUNK_BYTES], body[GVM_CHUNK_BYTES], back[GVM_CHUNK_BYTES];
static struct chunk_head head;
static const struct seal_known nothing;

static int encode(struct sealer *s, struct chunk_codec *c, const struct gvm_id *region)
{
	return seal_encode(s, c, data, ~0u, 0, 0, region, 9, SEAL_VERSION, &head, body);
}

static int decode(struct sealer *s, struct chunk_codec *c, const struct gvm_id *region)
{
	uint32_t valid;

	return seal_decode(s, c, &head, body, region, 9, SEAL_VERSION, &nothing, ~0u, back, &valid);
}

/* A writer sends such a chunk later; what a region's own error would be is lost for good. */
static void chunk_that_lacks_memory_is_sealed_later(void)
{
	struct chunk_codec *c = chunk_codec_create();
	struct sealer *s = sealer_make();
	struct gvm_id region = {{ 1 }};

	sealed_data_fill(data);
	for (unsigned i = 0; i < 40; i++) {
		region.b[1] = (uint8_t)i; /* each has a key to be derived */
		no_memory = true;
		CHECK_EQ(encode(s, c, &region), -ENOMEM);
		no_memory = false;
		CHECK_EQ(encode(s, c, &region), 0);
		CHECK_EQ(decode(s, c, &region), 0);
		CHECK_MEM(back, data, sizeof(data));
		no_memory = true;
		CHECK_EQ(encode(s, c, &region), 0); /* nothing is allocated any more */
		CHECK_EQ(decode(s, c, &region), 0);
		no_memory = false;
	}
	sealer_destroy(s);
	chunk_codec_destroy(c);
}

static void salt_is_drawn_when_a_sealer_is_made(void)
{
	struct chunk_codec *c = chunk_codec_create();
	struct sealer *s;
	unsigned before = draws;

	no_randomness = true;
	CHECK_EQ(sealer_create(seal_master, sizeof(seal_master), &s), -EIO);
	no_randomness = false;
	CHECK_EQ(draws, before + 1);
	s = sealer_make();
	no_randomness = true;
	sealed_data_fill(data);
	CHECK_EQ(encode(s, c, &data_region), 0);
	no_randomness = false;
	CHECK_EQ(draws, before + 2);
	sealer_destroy(s);
	chunk_codec_destroy(c);
}

/* Before anything else is allocated by the library. */
static void __attribute__((constructor)) take_memory_over(void)
{
	CRYPTO_set_mem_functions(library_malloc, library_realloc, library_free);
}

static const struct check_test tests[] = {
	{"chunk-that-lacks-memory-is-sealed-later", chunk_that_lacks_memory_is_sealed_later},
	{"salt-is-drawn-when-a-sealer-is-made", salt_is_drawn_when_a_sealer_is_made},
};
CHECK_MAIN(tests)
