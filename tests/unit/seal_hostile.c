// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * seal_hostile.c - a million answers of a node that flips, swaps, moves, cuts, forges, zeroes and rolls back what
 * it was given: each is refused.
 */
#include "seal_data.h"

#include <errno.h>

#define REGIONS	 2u
#define CHUNKS	 4u
#define VERSIONS 3u
#define PAGES	 5u /* of a chunk, that are not zero */
#ifdef __SANITIZE_ADDRESS__
#define TRIALS 100000u
#else
#define TRIALS 1000000u
#endif

struct sealed {
	struct chunk_head head;
	uint8_t body[PAGES * GVM_PAGE_BYTES];
};

static struct sealed sealed[REGIONS][CHUNKS][VERSIONS], foreign;
static struct seal_known known[REGIONS][CHUNKS];
static struct chunk_codec *codec;
static struct sealer *sealer;
static uint8_t out[GVM_CHUNK_BYTES];

static struct gvm_id region_id(unsigned r)
{
	return (struct gvm_id){{1, (uint8_t)r}};
}

static uint64_t version_of(unsigned v)
{
	return gvm_version(1, 1 + v);
}

/* Text, of which two pages compress to the same length; one that does not compress. */
static void seal_one(struct sealer *s, unsigned r, unsigned c, unsigned v, struct sealed *to)
{
	static uint8_t data[GVM_CHUNK_BYTES];
	static uint8_t body[GVM_CHUNK_BYTES];
	struct gvm_id id = region_id(r);

	memset(data, 0, sizeof(data));
	for (unsigned p = 0; p < PAGES; p++) {
		uint8_t *page = data + (p * 7 % 32) * GVM_PAGE_BYTES;

		page_fill(page, p == 2 ? PAGE_RANDOM : PAGE_LAST_BYTE);
		page[5] = (uint8_t)(1 + p);
	}
	CHECK_EQ(seal_encode(s, codec, data, ~0u, 0, 0, &id, c, version_of(v), &to->head, body), 0);
	CHECK(to->head.body_bytes <= sizeof(to->body));
	memcpy(to->body, body, to->head.body_bytes);
}

static void begin(void)
{
	static const uint8_t other[32] = "another master key, of a forger.";
	struct sealer *forger;

	codec = chunk_codec_create();
	CHECK(codec && !sealer_create(other, sizeof(other), &forger));
	sealer = sealer_make();
	for (unsigned r = 0; r < REGIONS; r++)
		for (unsigned c = 0; c < CHUNKS; c++)
			for (unsigned v = 0; v < VERSIONS; v++) {
				seal_one(sealer, r, c, v, &sealed[r][c][v]);
				seal_learn(&known[r][c], &sealed[r][c][v].head, ~0u);
			}
	seal_one(forger, 0, 0, VERSIONS - 1, &foreign);
	sealer_destroy(forger);
}

static int open_it(unsigned r, unsigned c, const struct sealed *s, const struct seal_known *as)
{
	struct gvm_id id = region_id(r);
	uint32_t valid;
	int err = seal_decode(sealer, codec, &s->head, s->body, &id, c, version_of(VERSIONS - 1), as, ~0u, out,
			      &valid);

	/* Nor does the client library take an answer that lacks a page. */
	return !err && valid != ~0u ? -EBADMSG : err;
}

static unsigned block_any(const struct chunk_head *h)
{
	unsigned b;

	do
		b = check_random_below(CHUNK_BLOCKS_MAX);
	while (!(h->block_mask >> b & 1));
	return b;
}

/* Puts block b of `from` in the place of `to`'s. */
static void block_replace(struct sealed *to, unsigned b, const struct sealed *from, unsigned from_b)
{
	static struct sealed made;
	uint8_t *p = made.body;
	uint32_t at = 0, from_at = 0;

	for (unsigned i = 0; i < from_b; i++)
		from_at += from->head.block_mask >> i & 1 ? from->head.block[i].bytes : 0;
	made.head = to->head;
	made.head.block_mask |= 1u << b;
	made.head.zero_map &= ~(1u << b);
	for (unsigned i = 0; i < CHUNK_BLOCKS_MAX; i++) {
		uint32_t bytes = to->head.block_mask >> i & 1 ? to->head.block[i].bytes : 0;

		if (i == b) {
			made.head.block[b] = from->head.block[from_b];
			made.head.block[b].salt = 1;
			made.head.salt[1] = from->head.salt[from->head.block[from_b].salt];
			if ((size_t)(p - made.body) + made.head.block[b].bytes > sizeof(made.body))
				return; /* no room: `to` is as it was, see the caller */
			p = (uint8_t *)mempcpy(p, from->body + from_at, made.head.block[b].bytes);
		} else {
			if ((size_t)(p - made.body) + bytes > sizeof(made.body))
				return;
			p = (uint8_t *)mempcpy(p, to->body + at, bytes);
		}
		at += bytes;
	}
	made.head.body_bytes = (uint32_t)(p - made.body);
	*to = made;
}

/* A bit of the packed head; false: nobody would unpack it. */
static bool head_flip(struct chunk_head *h)
{
	uint8_t packed[CHUNK_HEAD_MAX];
	size_t len = chunk_head_pack(h, packed), bit = check_random_below((unsigned)len * 8);
	uint32_t body_bytes = h->body_bytes;

	packed[bit / 8] ^= (uint8_t)(1u << bit % 8);
	/* A frame's data_len is compared with the head. */
	return !chunk_head_unpack(h, packed, len) && h->body_bytes == body_bytes;
}

enum kind {
	FLIP_BODY, FLIP_HEAD, SWAP_BODIES, SWAP_BLOCKS, OTHER_CHUNK, OTHER_REGION, OTHER_BLOCK, OLD_CHUNK, OLD_BLOCK,
	NEW_VERSION, MADE_ZERO, ALL_ZERO, NOT_ZERO, CUT, FORGED, PLAIN, KINDS
};

static bool tamper(enum kind kind, unsigned r, unsigned c, struct sealed *s)
{
	unsigned b = block_any(&s->head), other = block_any(&s->head), v = check_random_below(VERSIONS - 1);
	struct chunk_block k;

	switch (kind) {
	case FLIP_BODY:
		s->body[check_random_below(s->head.body_bytes)] ^= (uint8_t)(1u << check_random_below(8));
		return true;
	case FLIP_HEAD:
		return head_flip(&s->head);
	case SWAP_BODIES: /* the tags stay where they are */
	case SWAP_BLOCKS: /* they go along */
		if (b == other)
			other = other ? 0 : 7;
		if (kind == SWAP_BLOCKS) {
			const struct sealed was = *s;

			block_replace(s, b, &was, other);
			return true;
		}
		k = s->head.block[b];
		memcpy(s->head.block[b].tag, s->head.block[other].tag, CHUNK_TAG_BYTES);
		memcpy(s->head.block[other].tag, k.tag, CHUNK_TAG_BYTES);
		return true;
	case OTHER_CHUNK:
		*s = sealed[r][(c + 1 + check_random_below(CHUNKS - 1)) % CHUNKS][VERSIONS - 1];
		return true;
	case OTHER_REGION:
		*s = sealed[1 - r][c][VERSIONS - 1];
		return true;
	case OTHER_BLOCK:
		block_replace(s, b, &sealed[r][(c + 1) % CHUNKS][VERSIONS - 1], b);
		return true;
	case OLD_CHUNK:
		*s = sealed[r][c][v];
		return true;
	case OLD_BLOCK:
		block_replace(s, b, &sealed[r][c][v], b);
		return true;
	case NEW_VERSION: /* an old one, with a newer version's number */
		*s = sealed[r][c][v];
		for (uint32_t m = s->head.block_mask; m; m &= m - 1)
			s->head.block[__builtin_ctz(m)].version = version_of(VERSIONS - 1);
		return true;
	case MADE_ZERO: {
		uint32_t from, bytes;
		struct chunk_head h = s->head;

		b = (unsigned)__builtin_ctz(h.block_mask);
		chunk_head_narrow(&h, h.block_mask & ~(1u << b), &from, &bytes);
		memmove(s->body, s->body + from, bytes);
		h.zero_map |= 1u << b;
		s->head = h;
		return true;
	}
	case ALL_ZERO:
		s->head = (struct chunk_head){.zero_map = ~0u, .sealed = true};
		return true;
	case NOT_ZERO: {
		const struct sealed was = *s;

		block_replace(s, 1, &was, 0);
		return true;
	}
	case CUT:
		k = s->head.block[b];
		if (k.raw)
			return false;
		s->head.block[b].bytes -= 1 + check_random_below(k.bytes - 1);
		s->head.body_bytes -= k.bytes - s->head.block[b].bytes;
		return true;
	case FORGED:
		block_replace(s, b, &foreign, b);
		return true;
	case PLAIN:
		s->head.sealed = false;
		return true;
	default:
		return false;
	}
}

static void million_answers_are_refused(void)
{
	static const struct seal_known nothing;
	uint64_t refused[KINDS] = {0};

	begin();
	for (unsigned n = 0; n < TRIALS; n++) {
		unsigned r = check_random_below(REGIONS), c = check_random_below(CHUNKS);
		enum kind kind = n % KINDS;
		struct sealed s = sealed[r][c][VERSIONS - 1];

		if (n % 1000 < KINDS)
			CHECK_EQ(open_it(r, c, &s, &known[r][c]), 0);
		if (tamper(kind, r, c, &s) && memcmp(&s, &sealed[r][c][VERSIONS - 1], sizeof(s)))
			CHECK_EQ(open_it(r, c, &s, &known[r][c]), -EBADMSG);
		/* Of what is not from here, and from no time, nothing passes even where nothing is known. */
		if (kind == FLIP_BODY || kind == OTHER_CHUNK || kind == OTHER_REGION || kind == SWAP_BODIES ||
		    kind == SWAP_BLOCKS || kind == NEW_VERSION || kind == CUT || kind == PLAIN ||
		    kind == OTHER_BLOCK || kind == FORGED)
			if (memcmp(&s, &sealed[r][c][VERSIONS - 1], sizeof(s)))
				CHECK_EQ(open_it(r, c, &s, &nothing), -EBADMSG);
		refused[kind]++;
	}
	for (unsigned i = 0; i < KINDS; i++)
		CHECK(refused[i] >= TRIALS / KINDS - 1);
}

static const struct check_test tests[] = {
	{"million-answers-are-refused", million_answers_are_refused},
};
CHECK_MAIN(tests)
