// SPDX-License-Identifier: GPL-2.0-or-later
/* store_cells.c - the store against a model that knows what every object holds. */
#include "check.h"
#include "memnode/daemon/store.h"

#include <stdbool.h>

#define OBJECTS 4096
#define IOVS	((256u << 10) / STORE_CELL_BYTES + 2)

struct object {
	uint32_t first, bytes, pins;
	uint64_t seed;
	bool freed; /* only pins hold it */
};

static uint32_t byte_at(uint64_t seed, uint32_t i)
{
	return (uint32_t)((seed ^ (i / 8 * 0x9e3779b97f4a7c15ull)) >> (i % 8 * 8)) & 255;
}

static uint8_t buf[256 << 10], back[256 << 10];

static void object_fill(struct store *s, struct object *o)
{
	for (uint32_t i = 0; i < o->bytes; i++)
		buf[i] = (uint8_t)byte_at(o->seed, i);
	store_fill(s, o->first, 0, buf, o->bytes);
}

/* Reads any part of it, copied and in place. */
static void object_check(struct store *s, const struct object *o)
{
	uint32_t off = check_random_below(o->bytes), len = 1 + check_random_below(o->bytes - off);
	struct iovec iov[IOVS];
	unsigned iovs;

	for (uint32_t i = 0; i < len; i++)
		buf[i] = (uint8_t)byte_at(o->seed, off + i);
	store_copy(s, o->first, off, back, len);
	CHECK_MEM(back, buf, len);
	iovs = store_iov(s, o->first, off, len, iov);
	CHECK(iovs <= len / STORE_CELL_BYTES + 2);
	for (unsigned i = 0, at = 0; i < iovs; at += (unsigned)iov[i++].iov_len) {
		CHECK(at + iov[i].iov_len <= len);
		CHECK_MEM((uint8_t *)iov[i].iov_base, buf + at, iov[i].iov_len);
	}
}

static bool object_take(struct store *s, struct object *o, uint32_t bytes)
{
	uint32_t cells = store_cells_of(bytes), before = store_cells_free(s);

	*o = (struct object){.bytes = bytes, .seed = check_random()};
	o->first = store_alloc(s, cells);
	/* The promise: it fails only if there are not enough cells, whatever happened before. */
	CHECK_EQ(o->first != STORE_NONE, cells <= before);
	if (o->first == STORE_NONE)
		return false;
	CHECK_EQ(store_cells_free(s), before - cells);
	object_fill(s, o);
	return true;
}

static void free_cells_can_always_be_taken(void)
{
	static struct object objects[OBJECTS];
	struct store *s;
	unsigned count = 0;
	uint32_t all;

	CHECK(!store_create(24 << 20, &s));
	all = store_cells_free(s);
	CHECK_EQ(all, store_cells(s));
	CHECK((uint64_t)all * STORE_CELL_BYTES > (24ull << 20) * 99 / 100);
	for (unsigned round = 0; round < 30000; round++) {
		/* Full most of the time, with spells of emptying. */
		bool fill = round % 6000 < 5000 ? check_random_below(16) > 1 : check_random_below(4) == 0;
		uint32_t bytes = 1 + check_random_below(check_random() & 1 ? 140000 : 3000);

		if (fill && count < OBJECTS && object_take(s, &objects[count], bytes)) {
			count++;
		} else if (count) {
			unsigned i = check_random_below(count);

			object_check(s, &objects[i]);
			store_free(s, objects[i].first);
			objects[i] = objects[--count];
		}
		if (round % 1000 == 999) { /* the very last cell too */
			uint32_t left = store_cells_free(s), first;

			if (!left)
				continue;
			first = store_alloc(s, left);
			CHECK(first != STORE_NONE && !store_cells_free(s));
			CHECK(store_alloc(s, 1) == STORE_NONE);
			store_free(s, first);
		}
	}
	while (count) {
		object_check(s, &objects[--count]);
		store_free(s, objects[count].first);
	}
	CHECK_EQ(store_cells_free(s), all);
	store_destroy(s);
}

static void first_allocations_are_one_run(void)
{
	struct iovec iov[IOVS];
	struct store *s;
	uint32_t first;

	CHECK(!store_create(8 << 20, &s));
	for (unsigned i = 0; i < 40; i++) {
		first = store_alloc(s, 100);
		CHECK_EQ(first, i * 100);
		CHECK_EQ(store_iov(s, first, 10, 90000, iov), 1);
	}
	for (uint32_t f = 0; f < 4000; f += 100)
		store_free(s, f);
	store_destroy(s);
}

static void pinned_object_outlives_its_free(void)
{
	struct object kept = {0}, other;
	struct store *s;
	uint32_t all;

	CHECK(!store_create(4 << 20, &s));
	store_set_pin_limit(s, 400);
	all = store_cells_free(s);
	CHECK(object_take(s, &kept, 100000));
	CHECK(store_pin(s, kept.first, store_cells_of(kept.bytes)));
	CHECK(store_pin(s, kept.first, store_cells_of(kept.bytes)));
	CHECK(store_is_pinned(s, kept.first));
	CHECK_EQ(store_cells_pinned(s), store_cells_of(kept.bytes));
	store_free(s, kept.first);
	CHECK_EQ(store_cells_free(s), all - store_cells_of(kept.bytes));
	while (object_take(s, &other, 50000)) /* whatever can be overwritten is */
		;
	object_check(s, &kept);
	store_unpin(s, kept.first);
	object_check(s, &kept);
	CHECK(!object_take(s, &other, 50000));
	store_unpin(s, kept.first);
	CHECK_EQ(store_cells_pinned(s), 0);
	CHECK(object_take(s, &other, 50000));
	store_destroy(s);
}

static void pins_keep_to_their_limit(void)
{
	struct store *s;
	uint32_t a, b;

	CHECK(!store_create(4 << 20, &s));
	store_set_pin_limit(s, 100);
	a = store_alloc(s, 60);
	b = store_alloc(s, 60);
	CHECK(store_pin(s, a, 60));
	CHECK(!store_pin(s, b, 60));
	CHECK(store_pin(s, a, 60)); /* costs nothing more */
	store_unpin(s, a);
	CHECK(!store_pin(s, b, 60));
	store_unpin(s, a);
	CHECK(store_pin(s, b, 60));
	store_unpin(s, b);
	store_free(s, a);
	store_free(s, b);
	CHECK_EQ(store_cells_free(s), store_cells(s));
	store_destroy(s);
}

static void free_stretches_go_back_to_the_kernel(void)
{
	struct object objects[20];
	struct store *s;

	CHECK(!store_create(32 << 20, &s));
	for (unsigned i = 0; i < 20; i++)
		CHECK(object_take(s, &objects[i], 256 << 10));
	for (unsigned i = 1; i < 20; i++)
		store_free(s, objects[i].first);
	CHECK_EQ(store_trim(s, 100, 1), 1); /* 5 MiB were used: two stretches are free, one is kept */
	CHECK_EQ(store_trim(s, 100, 1), 0);
	CHECK_EQ(store_trim(s, 100, 0), 1);
	CHECK_EQ(store_trim(s, 100, 0), 0);
	object_check(s, &objects[0]);
	for (uint32_t i = 0; i < 4 << 20; i += 4096) /* gone: reads as zeros */
		CHECK_EQ(store_head(s, 0)[(2 << 20) + i], 0);
	CHECK(object_take(s, &objects[1], 256 << 10));
	object_check(s, &objects[1]);
	store_free(s, objects[0].first);
	store_free(s, objects[1].first);
	store_destroy(s);
}

static void impossible_sizes_are_refused(void)
{
	struct store *s;

	CHECK(store_create(0, &s) < 0);
	CHECK(store_create(1000, &s) < 0);
	CHECK(store_create(1ull << 50, &s) < 0);
	CHECK(store_create(UINT64_MAX, &s) < 0);
	CHECK(!store_create(1ull << 40, &s)); /* mapped lazily: costs nothing */
	CHECK_EQ(store_alloc(s, 1), 0);
	store_free(s, 0);
	store_destroy(s);
}

static const struct check_test tests[] = {
	{"free-cells-can-always-be-taken", free_cells_can_always_be_taken},
	{"first-allocations-are-one-run", first_allocations_are_one_run},
	{"pinned-object-outlives-its-free", pinned_object_outlives_its_free},
	{"pins-keep-to-their-limit", pins_keep_to_their_limit},
	{"free-stretches-go-back-to-the-kernel", free_stretches_go_back_to_the_kernel},
	{"impossible-sizes-are-refused", impossible_sizes_are_refused},
};
CHECK_MAIN(tests)
