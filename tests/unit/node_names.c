// SPDX-License-Identifier: GPL-2.0-or-later
/* node_names.c - the name table keeps the newest, lists everything, and has bounds. */
#include "check.h"
#include "memnode/daemon/names.h"

static struct names names;
static uint64_t detail;
static uint8_t record[GVM_RECORD_MAX + 1];

static uint16_t put(unsigned key, uint64_t version, uint8_t fill, uint32_t bytes)
{
	struct gvm_name_put_req what = {.version = version};

	gvm_store_le(what.key.b + 8, key, 4);
	memset(record, fill, sizeof(record));
	return name_put(&names, &what, record, bytes, &detail);
}

static void newest_record_wins(void)
{
	CHECK_EQ(put(0, 1, 1, 10), GVM_ERR_INVALID);
	CHECK_EQ(put(1, 1, 1, 0), GVM_ERR_INVALID);
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
	struct gvm_name_list_req after = {{{0}}};
	struct gvm_name_list_rsp rsp;
	unsigned seen = 0;
	uint32_t bytes;

	for (unsigned i = 0; i < 3000; i++)
		CHECK_EQ(put(0x10000u + ((i * 7) % 3000) * 256, i + 1, (uint8_t)i,
			     i % 500 ? 100 : GVM_RECORD_MAX),
			 GVM_OK);
	do {
		const uint8_t *p = buf;

		bytes = name_list(&names, &after, &rsp, buf);
		for (unsigned i = 0; i < rsp.count; i++, seen++) {
			uint32_t len = (uint32_t)gvm_load_le(p + 24, 4);

			CHECK(!i || memcmp(p, after.after.b, 16) > 0);
			memcpy(after.after.b, p, 16);
			CHECK_EQ(p[28], p[28 + len - 1]);
			p += 28 + len;
		}
		CHECK_EQ(p - buf, bytes);
		CHECK(rsp.count || !rsp.more);
	} while (rsp.more);
	CHECK_EQ(seen, 3000);
	names_deinit(&names);
}

static void table_has_bounds(void)
{
	unsigned n = 0;

	while (!put(1 + n, 1, 1, GVM_RECORD_MAX))
		CHECK(++n < 2000);
	CHECK_EQ(n, NAMES_BYTES_MAX / (GVM_RECORD_MAX + 28));
	CHECK_EQ(put(1, 2, 2, GVM_RECORD_MAX), GVM_OK); /* in place of another of its size */
	CHECK_EQ(put(1, 3, 2, 1), GVM_OK);
	CHECK_EQ(put(100000, 1, 1, GVM_RECORD_MAX - 100), GVM_OK);
	names_deinit(&names);
	for (n = 0; n < NAMES_COUNT_MAX; n++)
		CHECK_EQ(put(1 + n * 256, 1, 1, 1), GVM_OK);
	CHECK_EQ(put(1 + n * 256, 1, 1, 1), GVM_ERR_NOSPACE);
	names_deinit(&names);
}

static const struct check_test tests[] = {
	{"newest-record-wins", newest_record_wins},
	{"listing-holds-every-record-once", listing_holds_every_record_once},
	{"table-has-bounds", table_has_bounds},
};
CHECK_MAIN(tests)
