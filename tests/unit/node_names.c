// SPDX-License-Identifier: GPL-2.0-or-later
/* node_names.c - the name table keeps the newest, lists everything, has bounds, and forgets what was
 * removed without letting it come back. */
#include "check.h"
#include "memnode/daemon/names.h"

static struct names names;
static uint64_t detail;
static uint8_t record[GVM_RECORD_MAX + 1];

static uint16_t put_of(unsigned key, uint64_t born, uint64_t version, uint64_t round, uint8_t fill,
		       uint32_t bytes)
{
	struct gvm_name_put_req what = {.table = 77, .born = born, .version = version, .round = round};

	gvm_store_le(what.key.b, key, 4);
	memset(record, fill, sizeof(record));
	return name_put(&names, &what, record, bytes, &detail);
}

static uint16_t put(unsigned key, uint64_t version, uint8_t fill, uint32_t bytes)
{
	return put_of(key, 1, version, 0, fill, bytes);
}

static void table_begin(unsigned count_max)
{
	names_init(&names, count_max, 1000);
}

static void newest_record_wins(void)
{
	table_begin(NAMES_COUNT_DEFAULT);
	CHECK_EQ(put(0, 1, 1, 10), GVM_ERR_INVALID);
	CHECK_EQ(put(1, 0, 1, 10), GVM_ERR_INVALID);
	CHECK_EQ(put_of(1, 0, 1, 0, 1, 10), GVM_ERR_INVALID);
	CHECK_EQ(put_of(1, 3, 2, 0, 1, 10), GVM_ERR_INVALID); /* older than its birth */
	CHECK_EQ(put(1, GVM_NAME_VERSION_MAX + 1, 1, 1), GVM_ERR_INVALID);
	CHECK_EQ(put(1, 1, 1, GVM_RECORD_MAX + 1), GVM_ERR_INVALID);
	CHECK_EQ(put(1, 5, 1, 10), GVM_OK);
	CHECK_EQ(put(1, 5, 1, 10), GVM_OK); /* a repeat */
	CHECK_EQ(put(1, 5, 2, 10), GVM_ERR_STALE);
	CHECK_EQ(put(1, 5, 1, 9), GVM_ERR_STALE);
	CHECK_EQ(put(1, 4, 1, 10), GVM_ERR_STALE);
	CHECK_EQ(detail, 5);
	CHECK_EQ(put(1, 6, 3, GVM_RECORD_MAX), GVM_OK);
	CHECK_EQ(names.count, 1);
	names_deinit(&names);
}

static void listing_holds_every_record_once(void)
{
	static uint8_t buf[GVM_DATA_MAX];
	struct gvm_name_list_req after = {.round = 0};
	struct gvm_name_list_rsp rsp;
	unsigned seen = 0;
	uint32_t bytes;

	table_begin(NAMES_COUNT_DEFAULT);
	for (unsigned i = 0; i < 3000; i++)
		CHECK_EQ(put(0x10000u + ((i * 7) % 3000) * 256, i + 1, (uint8_t)i,
			     i % 3 == 1 ? 0 : i % 500 ? 100 : GVM_RECORD_MAX),
			 GVM_OK);
	do {
		const uint8_t *p = buf;

		CHECK_EQ(name_list(&names, &after, &rsp, buf, &bytes, &detail), GVM_OK);
		for (unsigned i = 0; i < rsp.count; i++, seen++) {
			uint32_t len = (uint32_t)gvm_load_le(p + 40, 4);

			CHECK(!i || memcmp(p, after.after.b, 16) > 0);
			memcpy(after.after.b, p, 16);
			CHECK(!len || p[44] == p[44 + len - 1]);
			p += 44 + len;
		}
		CHECK_EQ(p - buf, bytes);
		CHECK(rsp.count || !rsp.more);
	} while (rsp.more);
	CHECK_EQ(seen, 3000);
	names_deinit(&names);
}

static uint16_t fence(uint64_t round, uint64_t upto)
{
	return name_fence(&names, &(struct gvm_name_fence_req){.round = round, .upto = upto});
}

static uint16_t forget(uint64_t round)
{
	return name_forget(&names, &(struct gvm_name_forget_req){.round = round, .table = 77}, &detail);
}

/* How many entries a listing since then has; the first one's numbers. */
static unsigned changes(uint64_t since, struct gvm_name_list_rsp *rsp, uint8_t *first)
{
	static uint8_t buf[GVM_DATA_MAX];
	struct gvm_name_list_req what = {.since = since};
	uint32_t bytes;

	CHECK_EQ(name_list(&names, &what, rsp, buf, &bytes, &detail), GVM_OK);
	if (rsp->count)
		memcpy(first, buf, GVM_NAME_ENTRY_BYTES);
	return rsp->count;
}

static void changes_are_told_or_everything(void)
{
	uint8_t e[GVM_NAME_ENTRY_BYTES];
	struct gvm_name_list_rsp rsp;
	struct gvm_id key;
	uint64_t stamp;

	table_begin(NAMES_COUNT_DEFAULT);
	for (unsigned i = 0; i < 100; i++)
		CHECK_EQ(put_of(0x100 + i * 256, 1 + i, 1 + i, 0, 1, 90), GVM_OK);
	CHECK_EQ(changes(0, &rsp, e), 100);
	CHECK_EQ(rsp.since, 0);
	stamp = rsp.stamp;
	CHECK_EQ(changes(stamp, &rsp, e), 0); /* nothing has changed */
	CHECK_EQ(rsp.since, stamp);
	CHECK_EQ(rsp.stamp, stamp);
	CHECK_EQ(put_of(0x100, 1, 1, 0, 1, 90), GVM_OK); /* a repeat changes nothing */
	CHECK_EQ(changes(stamp, &rsp, e), 0);
	CHECK_EQ(put_of(0x100 + 5 * 256, 6, 200, 0, 2, 90), GVM_OK);
	CHECK_EQ(put_of(0x100 + 5 * 256, 6, 201, 0, 3, 90), GVM_OK); /* once, as it is now */
	CHECK_EQ(changes(stamp, &rsp, e), 1);
	CHECK_EQ(gvm_load_le(e + 32, 8), 201);
	CHECK_EQ(put_of(0x100 + 7 * 256, 8, 202, 0, 1, 0), GVM_OK); /* removed: a change as well */
	CHECK_EQ(changes(stamp, &rsp, e), 2);
	CHECK_EQ(changes(stamp + 1000000, &rsp, e), 100); /* of another life */
	CHECK_EQ(rsp.since, 0);
	CHECK_EQ(changes(1, &rsp, e), 100);
	stamp = rsp.stamp;
	CHECK_EQ(fence(7, 300), GVM_OK);
	CHECK_EQ(changes(stamp, &rsp, e), 0);
	CHECK_EQ(rsp.fence, 300);
	CHECK_EQ(forget(7), GVM_OK); /* of what was dropped nothing can be told */
	CHECK_EQ(changes(stamp, &rsp, e), 100);
	CHECK_EQ(rsp.since, 0);
	stamp = rsp.stamp;
	CHECK_EQ(fence(8, 400), GVM_OK);
	CHECK_EQ(forget(8), GVM_OK); /* nothing dropped: the horizon is what changed */
	CHECK_EQ(changes(stamp, &rsp, e), 1);
	memcpy(key.b, e, 16);
	CHECK(gvm_name_is_horizon(&key));
	names_deinit(&names);
}

static void many_changes_are_a_new_listing(void)
{
	uint8_t e[GVM_NAME_ENTRY_BYTES];
	struct gvm_name_list_rsp rsp;
	uint64_t stamp;

	table_begin(NAMES_COUNT_DEFAULT);
	CHECK_EQ(changes(0, &rsp, e), 0);
	stamp = rsp.stamp;
	for (unsigned i = 0; i < 100; i++)
		CHECK_EQ(put(0x100 + i * 256, 1 + i, 1, GVM_RECORD_MAX), GVM_OK);
	CHECK(changes(stamp, &rsp, e) < 100);
	CHECK_EQ(rsp.since, 0);
	CHECK(rsp.more);
	names_deinit(&names);
}

static void table_has_bounds(void)
{
	unsigned n = 0;

	table_begin(NAMES_COUNT_DEFAULT);
	while (!put(1 + n, 1, 1, GVM_RECORD_MAX))
		CHECK(++n < 2000);
	CHECK_EQ(n, NAMES_BYTES_MAX / (GVM_RECORD_MAX + 44));
	CHECK_EQ(put(1, 2, 2, GVM_RECORD_MAX), GVM_OK); /* in place of another of its size */
	CHECK_EQ(put(1, 3, 2, 1), GVM_OK);
	CHECK_EQ(put(100000, 1, 1, GVM_RECORD_MAX - 100), GVM_OK);
	names_deinit(&names);
	table_begin(1000);
	for (n = 0; n < 1000; n++)
		CHECK_EQ(put(1 + n * 256, 1, 1, 1), GVM_OK);
	CHECK_EQ(put(1 + n * 256, 1, 1, 1), GVM_ERR_NOSPACE);
	CHECK_EQ(put(2 + n * 256, 1, 1, 0), GVM_OK); /* the removal of one that others have */
	/* What is there can be changed and removed, also in a full table. */
	CHECK_EQ(put(1 + 5 * 256, 2, 1, 1), GVM_OK);
	CHECK_EQ(put(1 + 5 * 256, 3, 1, 0), GVM_OK);
	names_deinit(&names);
}

static void removed_name_is_final(void)
{
	table_begin(NAMES_COUNT_DEFAULT);
	CHECK_EQ(put(1, 5, 1, 10), GVM_OK);
	CHECK_EQ(put(1, 3, 1, 0), GVM_OK); /* whatever version it has */
	CHECK_EQ(names.gone, 1);
	CHECK_EQ(put(1, 9, 1, 10), GVM_ERR_GONE);
	CHECK_EQ(put(1, 9, 1, 0), GVM_OK);
	CHECK_EQ(names.count, 1);
	CHECK_EQ(names.bytes, 44);
	names_deinit(&names);
}

static void tombstones_end_and_nothing_comes_back(void)
{
	table_begin(NAMES_COUNT_DEFAULT);
	for (unsigned i = 0; i < 5000; i++)
		CHECK_EQ(put_of(1 + i * 256, 1 + i, 1 + i, 0, 1, 90), GVM_OK);
	for (unsigned i = 0; i < 4999; i++)
		CHECK_EQ(put_of(1 + i * 256, 1 + i, 2 + i, 0, 1, 0), GVM_OK);
	CHECK_EQ(forget(7), GVM_ERR_FENCED); /* no such round */
	CHECK_EQ(fence(0, 100), GVM_ERR_INVALID);
	CHECK_EQ(fence(7, 4000), GVM_OK);
	CHECK_EQ(names.count, 5000);
	CHECK_EQ(forget(7), GVM_OK);
	CHECK_EQ(names_horizon(&names, 77), 4000);
	CHECK_EQ(names.count, 1001); /* the horizon is one */
	CHECK_EQ(names.gone, 999);
	CHECK(names.room <= 4096);
	CHECK_EQ(forget(7), GVM_OK); /* a repeat */
	CHECK_EQ(put_of(1, 1, 9000, 0, 1, 90), GVM_ERR_GONE);
	CHECK_EQ(put_of(1, 1, 9000, 7, 1, 90), GVM_ERR_GONE);
	CHECK_EQ(put_of(1, 1, 9000, 0, 1, 0), GVM_OK);
	CHECK_EQ(names.count, 1001);
	names_deinit(&names);
}

static void fence_is_passed_by_its_round_only(void)
{
	static uint8_t buf[GVM_DATA_MAX];
	struct gvm_name_list_req list = {.round = 7};
	struct gvm_name_list_rsp rsp;
	uint32_t bytes;

	table_begin(NAMES_COUNT_DEFAULT);
	CHECK_EQ(put_of(1, 5, 5, 0, 1, 10), GVM_OK);
	CHECK_EQ(name_list(&names, &list, &rsp, buf, &bytes, &detail), GVM_ERR_FENCED);
	CHECK_EQ(fence(7, 20), GVM_OK);
	CHECK_EQ(name_list(&names, &list, &rsp, buf, &bytes, &detail), GVM_OK);
	CHECK_EQ(rsp.fence, 20);
	CHECK_EQ(put_of(2, 20, 20, 0, 1, 10), GVM_ERR_FENCED);
	CHECK_EQ(detail, 20);
	CHECK_EQ(put_of(2, 20, 20, 8, 1, 10), GVM_ERR_FENCED);
	CHECK_EQ(put_of(2, 20, 20, 7, 1, 10), GVM_OK);
	CHECK_EQ(put_of(1, 5, 6, 0, 1, 10), GVM_OK); /* what is there may change */
	CHECK_EQ(put_of(3, 21, 21, 0, 1, 10), GVM_OK);
	CHECK_EQ(put_of(4, 9, 9, 0, 1, 0), GVM_OK); /* a tombstone passes */
	CHECK_EQ(fence(8, 10), GVM_OK);
	CHECK_EQ(forget(7), GVM_ERR_FENCED); /* overtaken */
	CHECK_EQ(forget(8), GVM_OK);
	CHECK_EQ(names_horizon(&names, 77), 10);
	CHECK_EQ(names.fence, 20);
	CHECK_EQ(names.count, 4);
	names_deinit(&names);
}

/* Names of a cluster that was another before may be older than what was removed here. */
static void table_of_others_is_not_judged(void)
{
	struct gvm_name_put_req theirs = {.key = {{9}}, .table = 5, .born = 10, .version = 10};

	table_begin(NAMES_COUNT_DEFAULT);
	CHECK_EQ(put_of(1, 20, 20, 0, 1, 0), GVM_OK);
	CHECK_EQ(name_put(&names, &theirs, record, 0, &detail), GVM_OK);
	CHECK_EQ(fence(7, 20), GVM_OK);
	CHECK_EQ(forget(7), GVM_OK);
	CHECK_EQ(names.gone, 1);
	theirs.key.b[0]++;
	theirs.round = 7;
	CHECK_EQ(name_put(&names, &theirs, record, 1, &detail), GVM_OK);
	CHECK_EQ(put_of(0, 20, 20, 0, 1, 1), GVM_ERR_INVALID); /* a horizon's key */
	names_deinit(&names);
}

static const struct check_test tests[] = {
	{"newest-record-wins", newest_record_wins},
	{"listing-holds-every-record-once", listing_holds_every_record_once},
	{"changes-are-told-or-everything", changes_are_told_or_everything},
	{"many-changes-are-a-new-listing", many_changes_are_a_new_listing},
	{"table-has-bounds", table_has_bounds},
	{"removed-name-is-final", removed_name_is_final},
	{"tombstones-end-and-nothing-comes-back", tombstones_end_and_nothing_comes_back},
	{"table-of-others-is-not-judged", table_of_others_is_not_judged},
	{"fence-is-passed-by-its-round-only", fence_is_passed_by_its_round_only},
};
CHECK_MAIN(tests)
