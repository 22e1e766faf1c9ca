// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_sealed.c - what a writer fetched of a sealed chunk goes back as it was sealed, beside what is sealed anew; and
 * what is known of a chunk's pages follows what was sent. */
#include "seal_data.h"

#include "store/sealed.h"
#include "state/sealing.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct gvm_id region = {{ 4 }};
static struct chunk_codec *codec;
static struct sealer *sealer;
static struct chunk_head base, part;
static uint8_t data[GVM_CHUNK_BYTES], newer[GVM_CHUNK_BYTES], back[GVM_CHUNK_BYTES];
static uint8_t base_body[GVM_CHUNK_BYTES], delta_body[GVM_CHUNK_BYTES], room_body[2][GVM_CHUNK_BYTES];
static struct chunk_parts room;
static struct flush f;
static struct seal_known known;

static void begin(void)
{
	if (!codec)
		codec = chunk_codec_create();
	sealer_destroy(sealer);
	sealer = sealer_make();
	sealed_data_fill(data);
	memset(&f, 0, sizeof(f));
	memset(&known, 0, sizeof(known));
	CHECK_EQ(seal_encode(sealer, codec, data, ~0u, 0, 0, &region, 9, 5, &base, base_body), 0);
	seal_learn(&known, &base, ~0u);
	room.body = room_body[0];
	room.other = room_body[1];
	chunk_parts_begin(&room, true);
}

/* The node's answer, in parts: the blocks of `pages`. */
static void comes(uint32_t pages)
{
	uint32_t from, bytes;

	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
		if (!(pages >> p & 1))
			continue;
		part = base;
		CHECK(chunk_head_narrow(&part, 1u << p, &from, &bytes));
		CHECK_EQ(chunk_parts_add(&room, &part, base_body + from), 0);
	}
}

static void changes(uint32_t pages)
{
	memcpy(newer, data, sizeof(newer));
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		if (pages >> p & 1)
			memset(newer + p * GVM_PAGE_BYTES, p % 3 ? (int)p + 1 : 0, GVM_PAGE_BYTES);
	f.encoded = pages;
	f.fetched = ~pages;
	f.body = delta_body;
	CHECK_EQ(seal_encode(sealer, codec, newer, pages, 0, 0, &region, 9, 6, &f.head, delta_body), 0);
}

static void whole_chunk_has_others_as_they_were_sealed(void)
{
	static const uint32_t changed[] = { 1, 1u << 31, 0x40102, 0xffff0000, 0x80000001 };

	for (unsigned i = 0; i < sizeof(changed) / sizeof(*changed); i++) {
		uint32_t valid;

		begin();
		changes(changed[i]);
		comes(~changed[i]);
		comes(~changed[i] & 0xff00); /* a request that was sent again brings them twice */
		CHECK_EQ(sealed_compose(&room, &f), 0);
		CHECK_EQ(f.head.block_mask, chunk_blocks_complete(0, f.head.zero_map));
		sealed_note(&f);
		for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
			CHECK(f.seals.page[p] != SEAL_UNKNOWN);
			if (!(changed[i] >> p & 1))
				CHECK_EQ(f.seals.page[p], known.page[p]);
			else if (p % 3)
				CHECK(f.seals.page[p] != known.page[p] && f.seals.page[p] != SEAL_ZERO);
			else
				CHECK_EQ(f.seals.page[p], SEAL_ZERO);
		}
		CHECK_EQ(seal_decode(sealer, codec, &f.head, f.body, &region, 9, 6, &f.seals, ~0u, back, &valid), 0);
		CHECK_EQ(valid, ~0u);
		CHECK_MEM(back, newer, sizeof(newer));
	}
}

static void change_tells_of_its_own_pages_only(void)
{
	begin();
	changes(0x40102);
	sealed_note(&f);
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		CHECK_EQ(f.seals.page[p] == SEAL_UNKNOWN, !(0x40102 >> p & 1));
}

static void other_block_size_is_refused(void)
{
	begin();
	CHECK_EQ(seal_encode(sealer, codec, data, 1, 0, 2, &region, 9, 5, &part, base_body), 0);
	CHECK(chunk_parts_add(&room, &part, base_body) < 0);
}

/* The front has learned another block of a page that the writer fetched. */
static void two_stories_of_a_page_fail_the_flush(void)
{
	begin();
	changes(2);
	comes(~2u);
	CHECK_EQ(sealed_compose(&room, &f), 0);
	sealed_note(&f);
	known.page[1] = 77; /* ours: of no interest */
	sealed_judge(&f, &known);
	CHECK_EQ(f.result, 0);
	sealed_judge(&f, NULL);
	CHECK_EQ(f.result, 0);
	known.page[0] = SEAL_UNKNOWN;
	sealed_judge(&f, &known);
	CHECK_EQ(f.result, 0);
	known.page[8] = 77;
	sealed_judge(&f, &known);
	CHECK_EQ(f.result, -EBADMSG);
}

static void what_was_sent_is_known(void)
{
	struct seal_known of = {{ 0 }};

	begin();
	of.page[0] = 55;
	sealing_learn(&of, &base, 5);
	CHECK_EQ(of.page[0], 55); /* the first answer counts, and no later one */
	CHECK_EQ(of.page[2], known.page[2]);
	CHECK_EQ(of.page[8], SEAL_UNKNOWN);
	f.seals.page[0] = 56;
	f.seals.page[3] = SEAL_ZERO;
	sealing_set(&of, &f.seals);
	CHECK_EQ(of.page[0], 56);
	CHECK_EQ(of.page[2], known.page[2]);
	CHECK_EQ(of.page[3], SEAL_ZERO);
}

static int in_child(const struct sealing *s)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		uint64_t id = 0;

		seal_key_id(s->key, s->bytes, &id);
		_exit(id == s->id);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void key_comes_to_the_children_that_are_to_have_it(void)
{
	char path[] = "/tmp/gvm-sealing-XXXXXX";
	int fd = mkstemp(path);
	struct sealing s;
	uint64_t id;

	CHECK(fd >= 0);
	CHECK_EQ(write(fd, seal_master, sizeof(seal_master)), (ssize_t)sizeof(seal_master));
	close(fd);
	CHECK_EQ(sealing_load(&s, path), 0);
	unlink(path);
	CHECK_EQ(seal_key_id(seal_master, sizeof(seal_master), &id), 0);
	CHECK_EQ(s.id, id);
	CHECK_EQ(in_child(&s), 0);
	sealing_pass_on(&s, true);
	CHECK_EQ(in_child(&s), 1);
	sealing_pass_on(&s, false);
	CHECK_EQ(in_child(&s), 0);
	sealing_forget(&s);
	CHECK_EQ(seal_key_id(s.key, s.bytes, &id), 0);
	CHECK(s.id != id);
}

static const struct check_test tests[] = {
	{"whole-chunk-has-others-as-they-were-sealed", whole_chunk_has_others_as_they_were_sealed},
	{"change-tells-of-its-own-pages-only", change_tells_of_its_own_pages_only},
	{"other-block-size-is-refused", other_block_size_is_refused},
	{"two-stories-of-a-page-fail-the-flush", two_stories_of_a_page_fail_the_flush},
	{"what-was-sent-is-known", what_was_sent_is_known},
	{"key-comes-to-the-children-that-are-to-have-it", key_comes_to_the_children_that_are_to_have_it},
};
CHECK_MAIN(tests)
