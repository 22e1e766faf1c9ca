// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_part.c - what comes of a chunk while another thread decodes a part of it. That thread stands still here. */
#include "check.h"
#include "codec.h"
#include "node/part.h"
#include "node/unpack.h"
#include "seal.h"
#include "state/sealing.h"
#include "state/worker_state.h"

#include <errno.h>
#include <stdatomic.h>

#define MIDDLE 0x03ffffc0u /* pages that are decoded beside */

static struct gvm_id region;
static struct journal_super super;
static struct journal journal = {.super = &super};
static struct stats stats;
static struct journal_inode disk;
static struct seal_known known[8];
static struct inode inode = {.disk = &disk, .stats = &stats, .known = known};
static struct worker worker = {.journal = &journal};
static struct fetch fetch;
static uint8_t data[GVM_CHUNK_BYTES], *buffer = data, want[GVM_CHUNK_BYTES], body[GVM_CHUNK_BYTES];
static struct chunk_head head;
static struct unpack_piece given;
static unsigned jobs, looks, hurried;
static uint32_t came;
static int looked;
static uint32_t flux;

bool unpack_give(struct unpack *u, const struct unpack_piece *piece, const struct chunk_head *h, const uint8_t *b)
{
	(void)u;
	(void)h;
	(void)b;
	given = *piece;
	jobs++;
	return true;
}

void unpack_hurry(struct unpack *u, const void *owner)
{
	(void)u;
	CHECK(owner == &fetch);
	hurried++;
	given.done(given.owner, &head, MIDDLE, 0);
}

void fetch_looked(struct fetch *f, int error)
{
	CHECK(f == &fetch && !f->beside);
	looked = error;
	looks++;
}

static void pages_came(struct fetch *f, const struct chunk_head *h, uint32_t got)
{
	CHECK(f == &fetch && h == &head && !f->beside);
	came = got;
}

static uint32_t pages_flux(const struct fetch *f)
{
	CHECK(f == &fetch);
	return flux;
}

/* What a node sends of these pages. Of each eight pages one is zeros. */
static void encode(uint32_t pages)
{
	memset(want, 0, sizeof(want));
	for (unsigned i = 0; i < sizeof(want); i++)
		want[i] = i / GVM_PAGE_BYTES % 8 == 3 ? 0 : (uint8_t)(1 + i / GVM_PAGE_BYTES + i % 7);
	chunk_encode(worker.codec, want, chunk_blocks_of_pages(CHUNK_BLOCK_SHIFT, pages), 0, CHUNK_BLOCK_SHIFT, &region, 7, &head,
		     body);
}

static struct part part(void)
{
	return (struct part){
		.fetch = &fetch, .inode = &inode, .chunk = 7, .asked = ~0u, .data = &buffer, .fetching = 2, .waited = true};
}

/* MIDDLE is given away, and the other thread does not go on with it. */
static void begin(void)
{
	struct part p = part();
	uint32_t got;

	if (!worker.codec)
		worker.codec = chunk_codec_create();
	CHECK(worker.codec);
	memset(&fetch, 0, sizeof(fetch));
	fetch.came = pages_came;
	fetch.flux = pages_flux;
	fetch.what.chunk = 7;
	flux = 0;
	memset(data, 0x5a, sizeof(data));
	jobs = looks = hurried = 0;
	came = 0;
	looked = 1;
	p.waited = false;
	encode(MIDDLE);
	CHECK_EQ(part_take(&worker, &p, 1, &head, body, &got), FETCH_LATER);
	CHECK(jobs == 1 && given.to == &buffer && given.pages == fetch.beside && fetch.beside == (MIDDLE | (head.zero_map & given.zero_pages)));
}

static void pages_are(uint32_t pages, bool right)
{
	for (unsigned i = 0; i < sizeof(data); i++)
		if (pages >> i / GVM_PAGE_BYTES & 1)
			CHECK_EQ(data[i], right ? want[i] : 0x5a);
}

static void what_is_decoded_beside_is_left_out(void)
{
	struct part p = part();
	uint32_t got = 1;

	begin();
	CHECK_EQ(part_take(&worker, &p, 1, &head, body, &got), 0);
	CHECK_EQ(got, 0);
	pages_are(~0u, false);
	CHECK_EQ(looks, 0);
	CHECK_EQ(jobs, 1);
}

static void others_are_taken(void)
{
	struct part p = part();
	uint32_t got, beside;

	begin();
	beside = fetch.beside;
	encode(~0u);
	CHECK_EQ(part_take(&worker, &p, 1, &head, body, &got), 0);
	CHECK_EQ(got, ~beside);
	pages_are(~beside, true);
	pages_are(beside, false);
	CHECK_EQ(jobs, 1);
}

static void what_does_not_verify_is_told(void)
{
	struct part p = part();
	uint32_t got;

	begin();
	encode(~0u);
	body[head.body_bytes / 2] ^= 1;
	CHECK_EQ(part_take(&worker, &p, 1, &head, body, &got), -EBADMSG);
	pages_are(~0u, false);
}

/* Pages that a client's memory is just being filled from. */
static void what_may_be_in_use_is_not_written(void)
{
	struct part p = part();
	uint32_t got;

	begin();
	given.done(given.owner, &head, 0, -EBADMSG);
	p.here = p.fixed = 0xf;
	encode(~0u);
	CHECK_EQ(part_take(&worker, &p, 1, &head, body, &got), 0);
	CHECK_EQ(got | 0xf, ~0u);
	pages_are(~0xfu, true);
	pages_are(0xf, false);
}

static void what_was_decoded_beside_is_told_once(void)
{
	begin();
	given.done(given.owner, &head, MIDDLE, 0);
	CHECK(looks == 1 && !looked && came == MIDDLE);
	begin();
	given.done(given.owner, &head, 0, -EBADMSG);
	CHECK(looks == 1 && looked == -EBADMSG && !came);
}

static void what_is_waited_for_is_taken_back_once(void)
{
	begin();
	part_hurry(&worker, &fetch);
	CHECK(hurried == 1 && looks == 1 && came == MIDDLE);
	part_hurry(&worker, &fetch);
	CHECK(hurried == 1 && looks == 1);
}

/* What a node sends of them in version 5, sealed; everything of the chunk is known. */
static struct part sealed(uint32_t pages)
{
	static const uint8_t master[SEAL_KEY_BYTES_MIN] = {3};
	struct part p = part();

	begin();
	if (!worker.sealer)
		CHECK_EQ(sealer_create(master, sizeof(master), &worker.sealer), 0);
	encode(~0u); /* fills `want` */
	CHECK(!seal_encode(worker.sealer, worker.codec, want, ~0u, 0, CHUNK_BLOCK_SHIFT, &region, 7, 5, &head, body));
	for (unsigned i = 0; i < GVM_CHUNK_PAGES; i++)
		known[7].page[i] = seal_page_of(&head, i);
	CHECK(!seal_encode(worker.sealer, worker.codec, want, chunk_blocks_of_pages(CHUNK_BLOCK_SHIFT, pages),
			   head.zero_map, CHUNK_BLOCK_SHIFT, &region, 7, 5, &head, body));
	for (unsigned i = 0; i < GVM_CHUNK_PAGES; i++)
		if (pages >> i & 1)
			known[7].page[i] = seal_page_of(&head, i);
	disk.epoch = 1;
	fetch.beside = 0;
	jobs = 0;
	memset(&given, 0, sizeof(given));
	p.sealed = true;
	p.waited = false;
	return p;
}

static void what_is_known_is_opened_beside(void)
{
	struct part p = sealed(MIDDLE);
	uint32_t got, valid;

	CHECK_EQ(part_take(&worker, &p, 5, &head, body, &got), FETCH_LATER);
	CHECK(jobs == 1 && given.sealed && *given.to == data && !(MIDDLE & ~fetch.beside));
	/* No more and no less than what opening it writes: another part brings the rest. */
	CHECK(!seal_open(worker.sealer, worker.codec, &head, body, &region, 7, given.zero_pages, data, &valid));
	CHECK_EQ(valid, fetch.beside);
	pages_are(valid, true);
	pages_are(~valid, false);
}

static void what_is_not_known_is_learned_when_it_comes_back(void)
{
	struct part p = sealed(MIDDLE);
	struct seal_known all = known[7];
	uint32_t got;

	known[7].page[11] = known[7].page[12] = SEAL_UNKNOWN; /* one of them is zeros */
	CHECK_EQ(part_take(&worker, &p, 5, &head, body, &got), FETCH_LATER);
	CHECK(known[7].page[12] == SEAL_UNKNOWN);
	given.done(given.owner, &head, MIDDLE, 0);
	CHECK(looks == 1 && !looked && came == MIDDLE && !memcmp(&known[7], &all, sizeof(all)));
}

static void what_does_not_verify_is_not_learned(void)
{
	struct part p = sealed(MIDDLE);
	uint32_t got;

	known[7].page[12] = SEAL_UNKNOWN;
	CHECK_EQ(part_take(&worker, &p, 5, &head, body, &got), FETCH_LATER);
	given.done(given.owner, &head, 0, -EBADMSG);
	CHECK(looks == 1 && looked == -EBADMSG && known[7].page[12] == SEAL_UNKNOWN);
}

/* Another answer was opened meanwhile. */
static void what_became_known_as_another_is_refused(void)
{
	struct part p = sealed(MIDDLE);
	uint32_t got;

	known[7].page[12] = SEAL_UNKNOWN;
	CHECK_EQ(part_take(&worker, &p, 5, &head, body, &got), FETCH_LATER);
	known[7].page[12] = seal_page_of(&head, 12) + 1;
	given.done(given.owner, &head, MIDDLE, 0);
	CHECK(looks == 1 && looked == -EBADMSG && !came);
}

static void what_was_written_meanwhile_is_not_learned(void)
{
	struct part p = sealed(MIDDLE);
	uint32_t got;

	known[7].page[12] = SEAL_UNKNOWN;
	CHECK_EQ(part_take(&worker, &p, 5, &head, body, &got), FETCH_LATER);
	known[7].page[14]++;
	flux = 1u << 12 | 1u << 14;
	given.done(given.owner, &head, MIDDLE, 0);
	CHECK(looks == 1 && !looked && came == MIDDLE && known[7].page[12] == SEAL_UNKNOWN);
}

static void what_another_host_writes_is_opened_beside(void)
{
	struct part p = sealed(MIDDLE);
	uint32_t got;

	disk.epoch = 0; /* this host keeps no index */
	known[7].page[14]++;
	CHECK_EQ(part_take(&worker, &p, 5, &head, body, &got), FETCH_LATER);
	given.done(given.owner, &head, MIDDLE, 0);
	CHECK(looks == 1 && !looked && came == MIDDLE);
}

static void what_is_being_written_is_not_learned(void)
{
	struct part p = sealed(MIDDLE);
	uint32_t got;

	flux = 1u << 12 | 1u << 14;
	known[7].page[12] = SEAL_UNKNOWN;
	known[7].page[14]++;
	CHECK_EQ(part_take(&worker, &p, 5, &head, body, &got), 0);
	CHECK(!jobs && !(MIDDLE & ~got) && known[7].page[12] == SEAL_UNKNOWN);
}

static void what_is_old_is_not_opened(void)
{
	struct part p = sealed(MIDDLE);
	uint32_t got;

	known[7].page[14]++;
	CHECK_EQ(part_take(&worker, &p, 5, &head, body, &got), -EBADMSG);
	CHECK(!jobs);
	p = sealed(MIDDLE);
	CHECK_EQ(part_take(&worker, &p, 4, &head, body, &got), -EBADMSG); /* a block is newer than the chunk */
	CHECK(!jobs);
	pages_are(~0u, false);
}

static const struct check_test tests[] = {
	{"what-is-decoded-beside-is-left-out", what_is_decoded_beside_is_left_out},
	{"others-are-taken", others_are_taken},
	{"what-does-not-verify-is-told", what_does_not_verify_is_told},
	{"what-may-be-in-use-is-not-written", what_may_be_in_use_is_not_written},
	{"what-was-decoded-beside-is-told-once", what_was_decoded_beside_is_told_once},
	{"what-is-waited-for-is-taken-back-once", what_is_waited_for_is_taken_back_once},
	{"what-is-known-is-opened-beside", what_is_known_is_opened_beside},
	{"what-is-not-known-is-learned-when-it-comes-back", what_is_not_known_is_learned_when_it_comes_back},
	{"what-does-not-verify-is-not-learned", what_does_not_verify_is_not_learned},
	{"what-became-known-as-another-is-refused", what_became_known_as_another_is_refused},
	{"what-was-written-meanwhile-is-not-learned", what_was_written_meanwhile_is_not_learned},
	{"what-another-host-writes-is-opened-beside", what_another_host_writes_is_opened_beside},
	{"what-is-being-written-is-not-learned", what_is_being_written_is_not_learned},
	{"what-is-old-is-not-opened", what_is_old_is_not_opened},
};
CHECK_MAIN(tests)
