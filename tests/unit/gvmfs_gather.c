// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_gather.c - a chunk whose copies are damaged in different pages comes together from them, plain or sealed, and from nothing
 * that was not stored in this version. */
#include "gvmfs/node/gather.h"
#include "seal_data.h"

#include <errno.h>

#define CHUNK	9u
#define NODES	3u
#define VERSION gvm_version(5, 8)

static struct chunk_codec *codec;
static struct sealer *sealer;
static uint8_t data[GVM_CHUNK_BYTES], room[2 * GVM_CHUNK_BYTES], opened[GVM_CHUNK_BYTES], out[GVM_CHUNK_BYTES];
static struct seal_known known;
static struct gather g;

/* What a node has. */
static struct copy {
	struct chunk_head head;
	uint8_t body[GVM_CHUNK_BYTES];
	uint32_t bad; /* blocks */
} copy[NODES];

static void begin(bool sealed, bool knows)
{
	if (!codec) {
		codec = chunk_codec_create();
		sealer = sealer_make();
	}
	g = (struct gather){ .region = data_region, .chunk = CHUNK, .sealed = sealed, .codec = codec, .sealer = sealer,
			     .known = knows ? &known : NULL, .opened = opened };
	gather_begin(&g, room);
}

static void chunk_store(struct copy *c, bool sealed, uint64_t version)
{
	if (sealed)
		CHECK_EQ(seal_encode(sealer, codec, data, ~0u, 0, 0, &data_region, CHUNK, version, &c->head, c->body), 0);
	else
		chunk_encode(codec, data, ~0u, 0, 0, &data_region, CHUNK, &c->head, c->body);
	c->bad = 0;
}

/* The same on all nodes. */
static void copies_make(bool sealed)
{
	do
		chunk_fill_random(data);
	while (__builtin_popcount(chunk_zero_pages(data)) > 20);
	chunk_store(&copy[0], sealed, VERSION);
	copy[1] = copy[2] = copy[0];
	memset(&known, 0, sizeof(known));
	seal_learn(&known, &copy[0].head, ~0u);
}

static void block_damage(struct copy *c, unsigned b)
{
	uint32_t at = 0;

	for (uint32_t m = c->head.block_mask & ((1u << b) - 1); m; m &= m - 1)
		at += c->head.block[__builtin_ctz(m)].bytes;
	if (!(c->head.block_mask >> b & 1) || c->bad >> b & 1)
		return;
	c->body[at + check_random_below(c->head.block[b].bytes)] ^= (uint8_t)(1u << check_random_below(8));
	c->bad |= 1u << b;
}

static int copy_give(unsigned node, uint64_t version)
{
	g.node = node;
	return gather_piece(&g, version, &copy[node].head, copy[node].body);
}

static void gathered_is_what_was_stored(bool sealed, uint64_t version)
{
	uint32_t valid;

	CHECK(gather_is_whole(&g));
	CHECK_EQ(g.version, version);
	CHECK_EQ(g.zero_map, chunk_zero_pages(data));
	CHECK_EQ(g.parts.head.block_mask, ~g.zero_map);
	if (sealed)
		CHECK_EQ(seal_decode(sealer, codec, &g.parts.head, g.parts.body, &data_region, CHUNK, version, &known, ~0u, out,
				     &valid), 0);
	else
		CHECK_EQ(chunk_decode(codec, &g.parts.head, g.parts.body, &data_region, CHUNK, ~0u, out, &valid), 0);
	CHECK_EQ(valid, ~0u);
	CHECK_MEM(out, data, sizeof(data));
}

static void sound_pages_come_together(void)
{
	unsigned whole = 0, lacking = 0, pieced = 0;

	for (unsigned i = 0; i < 600; i++) {
		bool sealed = i & 1;

		begin(sealed, i & 2);
		copies_make(sealed);
		for (unsigned n = 0; n < NODES; n++)
			for (unsigned k = check_random_below(12); k; k--)
				block_damage(&copy[n], check_random_below(32));
		for (unsigned n = 0; n < NODES && !gather_is_whole(&g); n++)
			CHECK_EQ(copy_give(n, VERSION), copy[n].bad ? -EBADMSG : 0);
		if (copy[0].bad & copy[1].bad & copy[2].bad) {
			CHECK_EQ(g.got, ~(copy[0].bad & copy[1].bad & copy[2].bad));
			lacking++;
			continue;
		}
		gathered_is_what_was_stored(sealed, VERSION);
		CHECK_EQ(gather_is_pieced(&g), copy[0].bad != 0);
		whole++;
		pieced += gather_is_pieced(&g);
	}
	CHECK(whole > 100 && lacking > 20 && pieced > 100);
}

static void pieces_may_come_twice(void)
{
	for (unsigned i = 0; i < 40; i++) {
		bool sealed = i & 1;

		begin(sealed, true);
		copies_make(sealed);
		block_damage(&copy[0], check_random_below(32));
		copy_give(0, VERSION);
		copy_give(0, VERSION);
		CHECK_EQ(copy_give(1, VERSION), 0);
		CHECK_EQ(copy_give(1, VERSION), 0);
		gathered_is_what_was_stored(sealed, VERSION);
	}
}

/* The same pages, as they were before: of that version nothing stays. */
static void versions_do_not_mix(void)
{
	for (unsigned i = 0; i < 40; i++) {
		bool sealed = i & 1;

		begin(sealed, false);
		copies_make(sealed);
		block_damage(&copy[0], (unsigned)__builtin_ctz(copy[0].head.block_mask));
		CHECK_EQ(copy_give(0, VERSION), -EBADMSG);
		chunk_fill_random(data);
		chunk_store(&copy[1], sealed, VERSION + 1);
		memset(&known, 0, sizeof(known));
		seal_learn(&known, &copy[1].head, ~0u);
		CHECK_EQ(copy_give(1, VERSION + 1), 0);
		CHECK(!gather_is_pieced(&g));
		gathered_is_what_was_stored(sealed, VERSION + 1);
	}
}

/* A node that answers with what it had before, as if it were this version, gives nothing where it is known what there is. */
static void older_blocks_are_refused_where_that_is_known(void)
{
	begin(true, true);
	copies_make(true);
	copy[2] = copy[0];
	chunk_store(&copy[0], true, VERSION);
	CHECK_EQ(copy_give(0, VERSION), -EBADMSG);
	CHECK_EQ(g.got, 0);
	copy[1].head.zero_map ^= copy[1].head.block_mask & -copy[1].head.block_mask; /* a page that is said to be zero */
	chunk_head_narrow(&copy[1].head, ~copy[1].head.zero_map, &(uint32_t){ 0 }, &(uint32_t){ 0 });
	CHECK_EQ(copy_give(1, VERSION), -EBADMSG);
	CHECK_EQ(g.got, 0);
	CHECK_EQ(copy_give(2, VERSION), 0);
	gathered_is_what_was_stored(true, VERSION);
}

static void plain_is_no_part_of_sealed(void)
{
	for (unsigned sealed = 0; sealed < 2; sealed++) {
		begin(sealed, false);
		copies_make(!sealed);
		CHECK_EQ(copy_give(0, VERSION), -EBADMSG);
		CHECK_EQ(g.got, 0);
	}
}

/* Of two that differ in which pages are zero, one that has all of it counts; of parts, the first. */
static void zero_pages_are_those_of_one_answer(void)
{
	struct chunk_head part;
	uint32_t from, bytes;

	begin(false, false);
	copies_make(false);
	part = copy[0].head;
	chunk_head_narrow(&part, part.block_mask & -part.block_mask, &from, &bytes);
	CHECK_EQ(gather_piece(&g, VERSION, &part, copy[0].body), 0);
	do
		chunk_fill_random(data);
	while (chunk_zero_pages(data) == part.zero_map || chunk_zero_pages(data) == ~0u);
	chunk_store(&copy[1], false, VERSION);
	part = copy[1].head;
	chunk_head_narrow(&part, part.block_mask & -part.block_mask, &from, &bytes);
	if (part.block_mask != copy[1].head.block_mask)
		CHECK_EQ(gather_piece(&g, VERSION, &part, copy[1].body), -EBADMSG);
	CHECK_EQ(copy_give(1, VERSION), 0);
	gathered_is_what_was_stored(false, VERSION);
}

static const struct check_test tests[] = {
	{ "sound-pages-come-together", sound_pages_come_together },
	{ "pieces-may-come-twice", pieces_may_come_twice },
	{ "versions-do-not-mix", versions_do_not_mix },
	{ "older-blocks-are-refused-where-that-is-known", older_blocks_are_refused_where_that_is_known },
	{ "plain-is-no-part-of-sealed", plain_is_no_part_of_sealed },
	{ "zero-pages-are-those-of-one-answer", zero_pages_are_those_of_one_answer },
};
CHECK_MAIN(tests)
