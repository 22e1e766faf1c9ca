// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_trail.c - what a start touched comes back as it was, in its coarse order, and what is no such record is refused. */
#include "check.h"
#include "memnode/xxh.h"
#include "state/trail.h"

#include <errno.h>

#define GROUP 256u

static struct trail_step steps[TRAIL_STEPS], back[TRAIL_STEPS];
static uint8_t buf[TRAIL_BYTES_MAX + 64];

/* Chunks in a scattered order, all different; of one in three only some windows. */
static void steps_fill(unsigned count, uint32_t spread)
{
	for (uint32_t i = 0; i < count; i++) {
		steps[i].chunk = (uint32_t)((uint64_t)i * 40503 % TRAIL_STEPS * spread);
		steps[i].windows = i % 3 ? 0xff : 1 + i % 254;
	}
}

static const struct trail_step *step_find(const struct trail_step *from, uint32_t chunk)
{
	for (unsigned i = 0; i < GROUP; i++)
		if (from[i].chunk == chunk)
			return &from[i];
	return NULL;
}

static void what_was_touched_comes_back_in_groups(void)
{
	static struct trail_step as[TRAIL_STEPS];

	for (unsigned count = 0; count <= 1300; count += 13) {
		size_t bytes;

		steps_fill(count, 3);
		memcpy(as, steps, sizeof(as));
		memset(back, 0, sizeof(back));
		bytes = trail_pack(steps, count, buf, TRAIL_BYTES_MAX);
		CHECK_EQ(trail_unpack(back, buf, bytes), (int)count);
		for (unsigned i = 0; i < count; i++) {
			const struct trail_step *s = step_find(back + i / GROUP * GROUP, as[i].chunk);

			CHECK(s && s->windows == as[i].windows);
			CHECK(i % GROUP == 0 || back[i].chunk > back[i - 1].chunk);
		}
	}
}

static void record_keeps_to_its_bounds(void)
{
	size_t bytes;
	int count;

	/* Of what is near to each other, all of it. */
	steps_fill(TRAIL_STEPS, 1);
	for (uint32_t i = 0; i < TRAIL_STEPS; i++)
		steps[i].chunk = i ^ 0x3ff;
	bytes = trail_pack(steps, TRAIL_STEPS, buf, TRAIL_BYTES_MAX);
	CHECK_EQ(trail_unpack(back, buf, bytes), TRAIL_STEPS);
	/* Spread over 16 TiB: the first ones stay. */
	steps_fill(TRAIL_STEPS, 4095);
	memset(buf + TRAIL_BYTES_MAX, 0x5a, 64);
	bytes = trail_pack(steps, TRAIL_STEPS, buf, TRAIL_BYTES_MAX);
	CHECK(bytes <= TRAIL_BYTES_MAX);
	for (unsigned i = 0; i < 64; i++)
		CHECK_EQ(buf[TRAIL_BYTES_MAX + i], 0x5a);
	count = trail_unpack(back, buf, bytes);
	CHECK(count > 10000 && count < (int)TRAIL_STEPS);
	CHECK_MEM(back, steps, sizeof(*back) * (unsigned)count);
	for (size_t room = 20; room < 100; room++)
		CHECK(trail_pack(steps, 50, buf, room) <= room && trail_unpack(back, buf, trail_pack(steps, 50, buf, room)) >= 0);
}

static void what_is_damaged_is_refused(void)
{
	size_t bytes;

	steps_fill(600, 5);
	bytes = trail_pack(steps, 600, buf, TRAIL_BYTES_MAX);
	for (size_t cut = 0; cut < bytes; cut++)
		CHECK_EQ(trail_unpack(back, buf, cut), -EBADMSG);
	CHECK_EQ(trail_unpack(back, buf, bytes + 1), -EBADMSG);
	for (size_t bit = 0; bit < 8 * bytes; bit++) {
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK_EQ(trail_unpack(back, buf, bytes), -EBADMSG);
		buf[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	CHECK_EQ(trail_unpack(back, buf, bytes), 600);
}

/* Makes the head of what follows it. */
static void forge(size_t bytes, uint32_t count)
{
	gvm_store_le(buf, 0x6c697274, 4);
	gvm_store_le(buf + 4, 1, 4);
	gvm_store_le(buf + 8, count, 4);
	gvm_store_le(buf + 12, XXH3_64bits_withSeed(buf + 20, bytes - 20, count), 8);
}

/* With a right checksum: a node may write what it likes. Whatever is taken is in bounds. */
static void what_is_forged_is_refused_or_in_bounds(void)
{
	uint64_t chance = 1;

	for (unsigned n = 0; n < 200000; n++) {
		size_t bytes = 20 + n % 50;
		int count;

		for (size_t i = 20; i < bytes; i++) {
			chance = chance * 6364136223846793005ull + 1442695040888963407ull;
			buf[i] = (uint8_t)(chance >> 33) | (chance >> 60 < 3 ? 0x80 : 0);
		}
		forge(bytes, (uint32_t)(chance >> 40) % 40);
		count = trail_unpack(back, buf, bytes);
		CHECK(count == -EBADMSG || (count >= 0 && count < 40));
		for (int i = 0; i < count; i++)
			CHECK(back[i].chunk < 1u << 27 && back[i].windows && back[i].windows <= 0xff &&
			      (i % GROUP == 0 || back[i].chunk > back[i - 1].chunk));
	}
}

static void pages_and_windows_go_together(void)
{
	CHECK_EQ(trail_windows(0), 0);
	CHECK_EQ(trail_windows(~0u), 0xff);
	CHECK_EQ(trail_windows(1u << 31 | 1u << 4), 0x82);
	CHECK_EQ(trail_pages(0x82), 0xf00000f0);
	for (unsigned w = 0; w < 256; w++)
		CHECK_EQ(trail_windows(trail_pages(w)), w);
}

static const struct check_test tests[] = {
	{ "what-was-touched-comes-back-in-groups", what_was_touched_comes_back_in_groups },
	{ "record-keeps-to-its-bounds", record_keeps_to_its_bounds },
	{ "what-is-damaged-is-refused", what_is_damaged_is_refused },
	{ "what-is-forged-is-refused-or-in-bounds", what_is_forged_is_refused_or_in_bounds },
	{ "pages-and-windows-go-together", pages_and_windows_go_together },
};
CHECK_MAIN(tests)
