// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * seal.c - see seal.h.
 *
 * A sealer's secrets and its count stand in pages of their own, which are not dumped with a core and are
 * wiped in a child of fork(). The keyed contexts of the last few regions and salts are kept: deriving a key
 * costs about as much as sealing ten pages.
 */
#include "seal.h"

#include "gvm_client.h"
#include "hkdf.h"
#include "seal_mutant.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>

#define KEY_BYTES   32u
#define NONCE_BYTES 12u
#define ABOUT_BYTES 20u
#define KEPT	    32u /* contexts: a few regions, each with the salts of a few sealers */
#ifndef SEAL_NUMBERS
#define SEAL_NUMBERS UINT32_MAX /* blocks that are sealed with one salt */
#endif
#define EXPECT_BYTES	512 /* the loops for many bytes, too */
#define BLOCK_BYTES_MAX (GVM_PAGE_BYTES << CHUNK_BLOCK_SHIFT_MAX)

static const char label_master[] = "gvm seal 1", label_region[] = "gvm seal 1 region",
		  label_block[] = "gvm seal 1 block", label_id[] = "gvm seal 1 id",
		  label_plain[] = "gvm seal 1 plain", label_folder[] = "gvm seal 1 folder";

/* Wiped in a child of fork(): not even `alive` is left there. */
struct secret {
	bool alive;
	bool salted; /* numbers of the salt are left */
	uint32_t number;
	struct chunk_salt salt;
	uint8_t prk[HKDF_BYTES];
};

struct keyed {
	EVP_CIPHER_CTX *ctx; /* NULL: unused */
	uint64_t used;
	struct gvm_id region;
	struct chunk_salt salt;
};

struct sealer {
	struct secret *secret;
	size_t secret_bytes;
	uint64_t uses;
	struct keyed *last; /* used last */
	struct keyed kept[KEPT];
	uint8_t plain[BLOCK_BYTES_MAX];
};

/* ---- keys ---- */

static int region_key(const uint8_t prk[HKDF_BYTES], const struct gvm_id *region, uint8_t key[KEY_BYTES])
{
	uint8_t info[sizeof(label_region) - 1 + sizeof(region->b)];
	uint8_t *p = (uint8_t *)mempcpy(info, label_region, sizeof(label_region) - 1);

	memcpy(p, region->b, sizeof(region->b));
	if (seal_mutant("key-of-no-region"))
		memset(p, 0, sizeof(region->b));
	return hkdf_expand(prk, info, sizeof(info), key, KEY_BYTES);
}

int seal_region_key(const void *master, size_t bytes, const struct gvm_id *region, uint8_t key[32])
{
	uint8_t prk[HKDF_BYTES];
	int err = hkdf_extract(label_master, sizeof(label_master) - 1, master, bytes, prk);

	if (!err)
		err = region_key(prk, region, key);
	OPENSSL_cleanse(prk, sizeof(prk));
	return err;
}

int seal_block_key(const uint8_t of_region[32], const struct chunk_salt *salt, uint8_t key[32])
{
	uint8_t info[sizeof(label_block) - 1 + sizeof(salt->b)];
	uint8_t *p = (uint8_t *)mempcpy(info, label_block, sizeof(label_block) - 1);

	memcpy(p, salt->b, sizeof(salt->b));
	return hkdf_expand(of_region, info, sizeof(info), key, KEY_BYTES);
}

int seal_key_id(const void *master, size_t bytes, uint64_t *id)
{
	uint8_t prk[HKDF_BYTES], name[8];
	int err = hkdf_extract(label_master, sizeof(label_master) - 1, master, bytes, prk);

	if (!err)
		err = hkdf_expand(prk, label_id, sizeof(label_id) - 1, name, sizeof(name));
	OPENSSL_cleanse(prk, sizeof(prk));
	if (!err)
		*id = gvm_load_le(name, sizeof(name)) | 1;
	return err;
}

int seal_key_load(const char *path, uint8_t **key, size_t *bytes)
{
	int err = gvm_key_load(path, key, bytes);

	if (err || *bytes >= SEAL_KEY_BYTES_MIN)
		return err;
	OPENSSL_cleanse(*key, *bytes);
	free(*key);
	*key = NULL;
	return -EINVAL;
}

const char *seal_key_error(int err)
{
	return err == -EINVAL ? "a sealing key is a file of 32 to 4096 bytes (openssl rand -hex 32 makes one)" :
				gvm_key_error(err);
}

/* ---- contexts ---- */

static int keyed_fill(struct sealer *s, struct keyed *k, const struct gvm_id *region,
		      const struct chunk_salt *salt)
{
	uint8_t of_region[KEY_BYTES], key[KEY_BYTES];
	int err;

	if (!k->ctx)
		k->ctx = EVP_CIPHER_CTX_new();
	if (!k->ctx)
		return -EIO;
	memset(&k->region, 0, sizeof(k->region)); /* of no region, in case that this fails */
	err = region_key(s->secret->prk, region, of_region);
	if (!err)
		err = seal_block_key(of_region, salt, key);
	if (!err && !EVP_CipherInit_ex(k->ctx, EVP_aes_256_gcm(), NULL, key, NULL, 1))
		err = -EIO;
	if (!err) {
		k->region = *region;
		k->salt = *salt;
	}
	OPENSSL_cleanse(of_region, sizeof(of_region));
	OPENSSL_cleanse(key, sizeof(key));
	return err;
}

static bool keyed_is(const struct keyed *k, const struct gvm_id *region, const struct chunk_salt *salt)
{
	return k->ctx && !memcmp(k->salt.b, salt->b, sizeof(salt->b)) && gvm_id_equal(&k->region, region);
}

/* The context for a region's blocks with this salt; NULL: the library lacks memory. */
static struct keyed *keyed_get(struct sealer *s, const struct gvm_id *region,
			       const struct chunk_salt *salt)
{
	struct keyed *k = s->last, *oldest = &s->kept[0];

	if (k && keyed_is(k, region, salt))
		return k;
	for (k = s->kept; k < s->kept + KEPT; k++) {
		if (keyed_is(k, region, salt))
			break;
		if (k->used < oldest->used)
			oldest = k;
	}
	if (k == s->kept + KEPT) {
		k = oldest;
		s->last = NULL;
		if (keyed_fill(s, k, region, salt))
			return NULL;
	}
	k->used = ++s->uses;
	s->last = k;
	return k;
}

/* ---- a sealer ---- */

static int salt_draw(struct secret *secret)
{
	if (getrandom(secret->salt.b, sizeof(secret->salt.b), 0) != sizeof(secret->salt.b))
		return -EIO;
	secret->number = 0;
	secret->salted = true;
	return 0;
}

int sealer_create(const void *master, size_t bytes, struct sealer **created)
{
	struct sealer *s;
	int err;

	if (bytes < SEAL_KEY_BYTES_MIN)
		return -EINVAL;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->secret_bytes = sizeof(*s->secret);
	s->secret = mmap(NULL, s->secret_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->secret == MAP_FAILED) {
		free(s);
		return -ENOMEM;
	}
	err = madvise(s->secret, s->secret_bytes, MADV_WIPEONFORK) ||
	      madvise(s->secret, s->secret_bytes, MADV_DONTDUMP) ? -EOPNOTSUPP : 0;
	if (!err)
		err = hkdf_extract(label_master, sizeof(label_master) - 1, master, bytes, s->secret->prk);
	if (err)
		goto destroy;
	/* Refused where little may be locked: then it may come to lie in swap space, as the guest may. */
	(void)!mlock(s->secret, s->secret_bytes);
	s->secret->alive = true;
	err = salt_draw(s->secret); /* the kernel's generator is waited for here, not where a guest's pages are sent */
	if (err)
		goto destroy;
	*created = s;
	return 0;
destroy:
	sealer_destroy(s);
	return err;
}

void sealer_destroy(struct sealer *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < KEPT; i++)
		EVP_CIPHER_CTX_free(s->kept[i].ctx);
	OPENSSL_cleanse(s->secret, sizeof(*s->secret));
	munmap(s->secret, s->secret_bytes);
	OPENSSL_cleanse(s, sizeof(*s));
	free(s);
}

/* A salt and a number that no block was sealed with: spent here, whatever becomes of the block. */
static int number_take(struct secret *secret, uint64_t version, uint32_t *number)
{
	if (!secret->alive)
		return -EIO;
	if (!secret->salted) {
		int err = salt_draw(secret);

		if (err)
			return err;
	}
	if (!secret->number)
		seal_mutant_salt(&secret->salt, version);
	*number = secret->number;
	if (++secret->number == SEAL_NUMBERS && !seal_mutant("numbers-wrap"))
		secret->salted = false;
	if (seal_mutant("numbers-wrap"))
		secret->number %= SEAL_NUMBERS;
	if (seal_mutant("number-of-version"))
		*number = (uint32_t)version;
	return 0;
}

/* ---- blocks ---- */

/* nonce: number u32, zeros. about: chunk u64, version u64, block u8, block_shift u8, shape u8, raw u8. */
static void block_about(const struct chunk_head *h, unsigned b, uint64_t chunk, uint8_t *nonce,
			uint8_t *about)
{
	const struct chunk_block *k = &h->block[b];

	memset(nonce, 0, NONCE_BYTES);
	gvm_store_le(nonce, k->number, 4);
	gvm_store_le(about, seal_mutant("tag-without-chunk") ? 0 : chunk, 8);
	gvm_store_le(about + 8, seal_mutant("tag-without-version") ? 0 : k->version, 8);
	about[16] = seal_mutant("tag-without-block") ? 0 : (uint8_t)b;
	about[17] = h->block_shift;
	about[18] = seal_mutant("tag-without-shape") ? 0 : chunk_block_shape(h, b);
	about[19] = k->raw;
}

/* Of one PUT, or of one answer. */
struct under_way {
	struct sealer *s;
	const struct gvm_id *region;
	uint64_t chunk, version;
	unsigned salts; /* that the head has */
};

/* Puts the sealer's salt into the head: mostly it stands there already. */
static void salt_put(struct under_way *u, struct chunk_head *h, struct chunk_block *k)
{
	const struct chunk_salt *salt = &u->s->secret->salt;

	if (!u->salts || memcmp(h->salt[u->salts - 1].b, salt->b, sizeof(salt->b)))
		h->salt[u->salts++] = *salt;
	k->salt = (uint8_t)(u->salts - 1);
}

static int block_seal(void *arg, struct chunk_head *h, unsigned b, uint8_t *bytes)
{
	struct under_way *u = arg;
	struct chunk_block *k = &h->block[b];
	uint8_t nonce[NONCE_BYTES], about[ABOUT_BYTES], rest[16];
	const struct keyed *keyed;
	int n, err = number_take(u->s->secret, u->version, &k->number);

	if (err)
		return err;
	k->version = u->version;
	salt_put(u, h, k);
	keyed = keyed_get(u->s, u->region, &h->salt[k->salt]);
	if (!keyed)
		return -ENOMEM;
	block_about(h, b, u->chunk, nonce, about);
	seal_seen(&h->salt[k->salt], nonce, about, sizeof(about), bytes, k->bytes);
	if (!EVP_CipherInit_ex(keyed->ctx, NULL, NULL, NULL, nonce, 1) ||
	    !EVP_CipherUpdate(keyed->ctx, NULL, &n, about, sizeof(about)) ||
	    !EVP_CipherUpdate(keyed->ctx, bytes, &n, bytes, (int)k->bytes) || n != (int)k->bytes ||
	    !EVP_CipherFinal_ex(keyed->ctx, rest, &n) || n ||
	    !EVP_CIPHER_CTX_ctrl(keyed->ctx, EVP_CTRL_AEAD_GET_TAG, CHUNK_TAG_BYTES, k->tag))
		return -ENOMEM;
	return 0;
}

static const uint8_t *block_open(void *arg, const struct chunk_head *h, unsigned b, const uint8_t *bytes)
{
	struct under_way *u = arg;
	const struct chunk_block *k = &h->block[b];
	const struct keyed *keyed = keyed_get(u->s, u->region, &h->salt[k->salt]);
	uint8_t nonce[NONCE_BYTES], about[ABOUT_BYTES], rest[16];
	int n;

	if (!keyed)
		return NULL;
	block_about(h, b, u->chunk, nonce, about);
	if (!EVP_CipherInit_ex(keyed->ctx, NULL, NULL, NULL, nonce, 0) ||
	    !EVP_CipherUpdate(keyed->ctx, NULL, &n, about, sizeof(about)) ||
	    !EVP_CipherUpdate(keyed->ctx, u->s->plain, &n, bytes, (int)k->bytes) || n != (int)k->bytes ||
	    !EVP_CIPHER_CTX_ctrl(keyed->ctx, EVP_CTRL_AEAD_SET_TAG, CHUNK_TAG_BYTES, (void *)k->tag) ||
	    EVP_CipherFinal_ex(keyed->ctx, rest, &n) <= 0)
		return NULL;
	return u->s->plain;
}

/* Opens a block that is none, by a nonce that no block has, and forgets it. */
void seal_expect(struct sealer *s)
{
	uint8_t nonce[NONCE_BYTES], about[ABOUT_BYTES] = {0}, tag[CHUNK_TAG_BYTES] = {0}, rest[16];
	EVP_CIPHER_CTX *ctx = s->secret->alive && s->last ? s->last->ctx : NULL;
	int n;

	memset(nonce, 0xff, sizeof(nonce));
	(void)(ctx && EVP_CipherInit_ex(ctx, NULL, NULL, NULL, nonce, 0) &&
	       EVP_CipherUpdate(ctx, NULL, &n, about, sizeof(about)) &&
	       EVP_CipherUpdate(ctx, s->plain, &n, s->plain, EXPECT_BYTES) &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, sizeof(tag), tag) &&
	       EVP_CipherFinal_ex(ctx, rest, &n) > 0);
}

/* ---- chunks ---- */

int seal_mark(struct sealer *s, enum seal_marks what, const struct gvm_id *id, const struct gvm_id *parent, const char *name,
	      uint64_t *mark)
{
	const char *label = what == SEAL_MARKS_FOLDER ? label_folder : label_plain;
	uint8_t info[sizeof(label_folder) + 2 * sizeof(id->b) + SEAL_NAME_MAX], bytes[8], *p = info;
	size_t n = strlen(name);
	int err = !s->secret->alive ? -EIO : n > SEAL_NAME_MAX ? -EINVAL : 0;

	_Static_assert(sizeof(info) <= HKDF_INFO_MAX, "the longest name fits");
	p = (uint8_t *)mempcpy(p, label, strlen(label));
	p = (uint8_t *)mempcpy(p, id->b, sizeof(id->b));
	p = (uint8_t *)mempcpy(p, parent->b, sizeof(parent->b));
	if (!err) {
		p = (uint8_t *)mempcpy(p, name, n);
		err = hkdf_expand(s->secret->prk, info, (size_t)(p - info), bytes, sizeof(bytes));
	}
	if (!err)
		*mark = (gvm_load_le(bytes, sizeof(bytes)) & ~1ull) | 2;
	return err;
}

int seal_encode(struct sealer *s, struct chunk_codec *c, const uint8_t *chunk_data, uint32_t blocks,
		uint32_t zero_map, unsigned shift, const struct gvm_id *region, uint64_t chunk,
		uint64_t version, struct chunk_head *head, uint8_t *body)
{
	struct under_way u = {.s = s, .region = region, .chunk = chunk, .version = version};
	int err = chunk_encode_with(c, chunk_data, blocks, zero_map, shift, block_seal, &u, head, body);

	head->sealed = true;
	return err;
}

int seal_encode_lost(struct sealer *s, uint32_t blocks, unsigned shift, const struct gvm_id *region, uint64_t chunk,
		     uint64_t version, struct chunk_head *head, uint8_t *body)
{
	struct under_way u = {.s = s, .region = region, .chunk = chunk, .version = version};
	int err = chunk_encode_lost_with(blocks, shift, block_seal, &u, head, body);

	head->sealed = true;
	return err;
}

/* By which a host knows a sealed block again: no node can make another valid one, and of those that were sealed for
 * the same place, a million say, none has the same 64 bits with a probability of 1 - 2^-44. */
static uint64_t block_id(const struct chunk_block *k)
{
	uint64_t id = gvm_load_le(k->tag, 8);

	return id > SEAL_ZERO ? id : SEAL_ZERO + 1;
}

uint64_t seal_page_of(const struct chunk_head *head, unsigned page)
{
	unsigned b = page >> head->block_shift;

	if (!(head->block_mask >> b & 1))
		return chunk_block_held(head, b) ? SEAL_UNKNOWN : SEAL_ZERO;
	return head->zero_map >> page & 1 ? SEAL_ZERO : block_id(&head->block[b]);
}

/* Whether what the head says of these pages is what is known of them. */
static bool pages_are_known(const struct chunk_head *head, const struct seal_known *known, uint32_t pages)
{
	for (; pages && !seal_mutant("known-not-asked"); pages &= pages - 1) {
		unsigned p = (unsigned)__builtin_ctz(pages);
		uint64_t said = seal_page_of(head, p);
		/* Once: another thread may just be learning it. */
		uint64_t is = __atomic_load_n(&known->page[p], __ATOMIC_RELAXED);

		if (said != is && is != SEAL_UNKNOWN &&
		    !(seal_mutant("zeros-not-asked") && said == SEAL_ZERO))
			return false;
	}
	return true;
}

/* No block is newer than the chunk. */
static bool versions_fit(const struct chunk_head *head, uint64_t version)
{
	for (uint32_t m = head->block_mask; m; m &= m - 1)
		if (head->block[__builtin_ctz(m)].version > version)
			return false;
	return true;
}

uint32_t seal_zero_pages(const struct chunk_head *head, uint32_t zero_pages)
{
	return zero_pages & ~chunk_pages_of_blocks(head->block_shift,
						   chunk_blocks_complete(head->block_shift, head->zero_map) &
							   ~head->block_mask);
}

int seal_judge(const struct chunk_head *head, uint64_t version, const struct seal_known *known, uint32_t zero_pages)
{
	uint32_t listed = chunk_pages_of_blocks(head->block_shift, head->block_mask);

	zero_pages = seal_zero_pages(head, zero_pages);
	if ((!head->sealed && head->block_mask) ||
	    !versions_fit(head, version) || !pages_are_known(head, known, listed | (head->zero_map & zero_pages)))
		return -EBADMSG;
	return 0;
}

int seal_open(struct sealer *s, struct chunk_codec *c, const struct chunk_head *head, const uint8_t *body,
	      const struct gvm_id *region, uint64_t chunk, uint32_t zero_pages, uint8_t *chunk_data, uint32_t *valid)
{
	struct under_way u = {.s = s, .region = region, .chunk = chunk};

	if (!s->secret->alive)
		return -EIO;
	if (!head->sealed && head->block_mask)
		return -EBADMSG;
	return chunk_decode_with(c, head, body, block_open, &u, seal_zero_pages(head, zero_pages), chunk_data, valid);
}

int seal_decode(struct sealer *s, struct chunk_codec *c, const struct chunk_head *head,
		const uint8_t *body, const struct gvm_id *region, uint64_t chunk, uint64_t version,
		const struct seal_known *known, uint32_t zero_pages, uint8_t *chunk_data,
		uint32_t *valid)
{
	int error = s->secret->alive ? seal_judge(head, version, known, zero_pages) : -EIO;

	return error ? error : seal_open(s, c, head, body, region, chunk, zero_pages, chunk_data, valid);
}
