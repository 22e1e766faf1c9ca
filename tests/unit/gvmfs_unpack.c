// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_unpack.c - what is decoded beside the front comes back, once, as chunk_decode() gives it. */
#include "check.h"
#include "node/unpack.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define CHUNKS 64u

static struct unpack unpack;
static struct chunk_codec *codec;
static struct sealer *sealer, *own, *other; /* the first one seals */
static const uint8_t key[SEAL_KEY_BYTES_MIN] = {7};
static struct gvm_id region = {{1}};
static struct owner {
	uint8_t data[GVM_CHUNK_BYTES], body[GVM_CHUNK_BYTES], first[GVM_CHUNK_BYTES], *to, *before;
	struct chunk_head head;
	unsigned ends;
	uint32_t pages, zero_pages, got;
	int error;
	bool given;
} owner[CHUNKS];

/* What unpack.c calls: the other thread stands still in it where it is held. */
static atomic_bool held, stands;
static atomic_uint passes; /* so many chunks it decodes nevertheless */
static pthread_t front;
int __real_chunk_decode(struct chunk_codec *c, const struct chunk_head *head, const uint8_t *body, const struct gvm_id *id,
			uint64_t chunk, uint32_t zero_pages, uint8_t *to, uint32_t *got);
int __wrap_chunk_decode(struct chunk_codec *c, const struct chunk_head *head, const uint8_t *body, const struct gvm_id *id,
			uint64_t chunk, uint32_t zero_pages, uint8_t *to, uint32_t *got);

int __wrap_chunk_decode(struct chunk_codec *c, const struct chunk_head *head, const uint8_t *body, const struct gvm_id *id,
			uint64_t chunk, uint32_t zero_pages, uint8_t *to, uint32_t *got)
{
	if (!pthread_equal(pthread_self(), front)) {
		while (atomic_load(&held) && !atomic_load(&passes)) {
			atomic_store(&stands, true);
			sched_yield();
		}
		atomic_store(&stands, false);
		if (atomic_load(&passes))
			atomic_fetch_sub(&passes, 1);
	}
	return __real_chunk_decode(c, head, body, id, chunk, zero_pages, to, got);
}

static void ended(void *arg, const struct chunk_head *head, uint32_t got, int error)
{
	struct owner *o = arg;

	CHECK(o->given && !o->ends && head->zero_map == o->head.zero_map && head->body_bytes == o->head.body_bytes);
	o->ends++;
	o->got = got;
	o->error = error;
}

static bool is_sealed(unsigned c)
{
	return c / 4 % 2;
}

/* Pages of text, noise and zeros. */
static void begin(void)
{
	front = pthread_self();
	if (!codec) {
		codec = chunk_codec_create();
		CHECK(codec && !sealer_create(key, sizeof(key), &sealer) && !sealer_create(key, sizeof(key), &own) &&
		      !sealer_create(key, sizeof(key), &other));
		CHECK(!unpack_init(&unpack, &(struct unpack_means){codec, own}, other));
	}
	for (unsigned c = 0; c < CHUNKS; c++) {
		struct owner *o = &owner[c];

		uint8_t *to = o->to ? o->to : o->first; /* (the first is another's after an exchange) */

		memset(o->data, 0, sizeof(o->data));
		o->ends = 0;
		o->given = false;
		for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
			for (unsigned i = 0; i < GVM_PAGE_BYTES && (p + c) % 5; i++)
				o->data[p * GVM_PAGE_BYTES + i] = (p + c) % 5 == 1 ? (uint8_t)check_random_below(256) : (uint8_t)(i / 16);
		if (is_sealed(c))
			CHECK(!seal_encode(sealer, codec, o->data, ~0u, 0, CHUNK_BLOCK_SHIFT, &region, c, 1, &o->head, o->body));
		else
			chunk_encode(codec, o->data, ~0u, 0, CHUNK_BLOCK_SHIFT, &region, c, &o->head, o->body);
		o->pages = o->zero_pages = ~0u;
		o->to = o->before = to;
		memset(o->to, 0x5a, GVM_CHUNK_BYTES);
	}
}

static bool give(unsigned c)
{
	struct owner *o = &owner[c];
	const struct unpack_piece piece = {
		.region = region, .chunk = c, .sealed = is_sealed(c), .zero_pages = o->zero_pages, .pages = o->pages, .to = &o->to,
		.done = ended, .owner = o};

	o->given = unpack_give(&unpack, &piece, &o->head, o->body);
	if (o->given)
		memset(o->body, 0xee, sizeof(o->body)); /* what was given is a copy */
	return o->given;
}

static void is_right(unsigned c)
{
	CHECK_EQ(owner[c].ends, 1);
	CHECK_EQ(owner[c].error, 0);
	CHECK(owner[c].got == ~0u && !memcmp(owner[c].to, owner[c].data, GVM_CHUNK_BYTES));
}

/* As the front does it: looks, helps, and sleeps where nothing is left to be done. */
static void wait_for_all(void)
{
	while (unpack.under_way) {
		struct pollfd p = {unpack.event_fd, POLLIN, 0};
		uint64_t count;

		if (unpack_collect(&unpack) || (check_random_below(2) && unpack_help(&unpack)))
			continue;
		if (!unpack_may_sleep(&unpack))
			continue;
		CHECK(poll(&p, 1, -1) == 1 && read(unpack.event_fd, &count, sizeof(count)) > 0);
	}
}

static void what_is_given_comes_back_decoded(void)
{
	for (unsigned round = 0; round < 8; round++) {
		begin();
		for (unsigned c = 0; c < CHUNKS; c++)
			while (!give(c)) {
				CHECK_EQ(unpack.under_way, UNPACK_JOBS);
				if (!unpack_collect(&unpack))
					unpack_help(&unpack);
			}
		wait_for_all();
		for (unsigned c = 0; c < CHUNKS; c++)
			is_right(c);
	}
}

static void damaged(unsigned c)
{
	begin();
	owner[c].body[owner[c].head.body_bytes / 2] ^= 1;
	CHECK(give(c - 1) && give(c) && give(c + 1));
	wait_for_all();
	is_right(c - 1);
	is_right(c + 1);
	CHECK_EQ(owner[c].ends, 1);
	CHECK_EQ(owner[c].error, -EBADMSG);
}

static void what_is_damaged_is_told(void)
{
	damaged(3);
	damaged(6);
}

/* The other thread stands still in the middle of a chunk. */
static void what_is_waited_for_comes_at_once(void)
{
	for (unsigned round = 0; round < 32; round++) {
		unsigned exchanged = 0;

		begin();
		atomic_store(&held, true);
		for (unsigned c = 0; c < 8; c++)
			CHECK(give(c));
		while (!atomic_load(&stands))
			sched_yield();
		for (unsigned c = 0; c < 8; c++) {
			unpack_hurry(&unpack, &owner[(c + round) % 8]);
			is_right((c + round) % 8);
			unpack_hurry(&unpack, &owner[(c + round) % 8]); /* nothing is left of it */
		}
		for (unsigned c = 0; c < 8; c++)
			exchanged += owner[c].to != owner[c].before;
		CHECK_EQ(exchanged, 1);
		CHECK_EQ(unpack.under_way, 1);
		CHECK(give(8)); /* for when that thread has the CPU again */
		atomic_store(&held, false);
		wait_for_all();
		for (unsigned c = 0; c < 9; c++)
			is_right(c);
	}
}

/* It has gone on from the chunk that was taken back to another, which is waited for before the front has looked. */
static void the_next_comes_at_once_too(void)
{
	begin();
	atomic_store(&held, true);
	CHECK(give(0));
	while (!atomic_load(&stands))
		sched_yield();
	unpack_hurry(&unpack, &owner[0]);
	CHECK(give(1) && give(2));
	atomic_store(&passes, 1);
	while (!atomic_load(&unpack.over) || !atomic_load(&stands))
		sched_yield();
	unpack_hurry(&unpack, &owner[1]);
	unpack_hurry(&unpack, &owner[2]);
	for (unsigned c = 0; c < 3; c++)
		is_right(c);
	CHECK_EQ(unpack.under_way, 1);
	atomic_store(&held, false);
	wait_for_all();
	for (unsigned c = 0; c < 3; c++)
		is_right(c);
}

/* Of a buffer that is exchanged the other pages stay. */
static void what_was_here_stays(void)
{
	struct owner *o = &owner[0];

	begin();
	chunk_encode(codec, o->data, 0xf0, 0, CHUNK_BLOCK_SHIFT, &region, 0, &o->head, o->body);
	o->pages = chunk_pages_of_blocks(o->head.block_shift, o->head.block_mask);
	o->zero_pages = 0;
	atomic_store(&held, true);
	CHECK(give(0));
	while (!atomic_load(&stands))
		sched_yield();
	unpack_hurry(&unpack, o);
	CHECK(o->ends == 1 && !o->error && o->to != o->before && o->got == o->pages);
	for (unsigned i = 0; i < GVM_CHUNK_BYTES; i++)
		CHECK_EQ(o->to[i], o->pages >> i / GVM_PAGE_BYTES & 1 ? o->data[i] : 0x5a);
	atomic_store(&held, false);
	wait_for_all();
	CHECK_EQ(o->ends, 1);
}

static const struct check_test tests[] = {
	{"what-is-given-comes-back-decoded", what_is_given_comes_back_decoded},
	{"what-is-damaged-is-told", what_is_damaged_is_told},
	{"what-is-waited-for-comes-at-once", what_is_waited_for_comes_at_once},
	{"the-next-comes-at-once-too", the_next_comes_at_once_too},
	{"what-was-here-stays", what_was_here_stays},
};
CHECK_MAIN(tests)
