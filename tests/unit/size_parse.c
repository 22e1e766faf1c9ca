// SPDX-License-Identifier: GPL-2.0-or-later
/* size_parse.c - a size means the same to each program of ours, and to QEMU what QEMU reads. */
#include "check.h"
#include "memnode/size.h"

static uint64_t option(const char *text)
{
	uint64_t bytes = 0;

	return size_parse_option(text, &bytes) ? UINT64_MAX : bytes;
}

static uint64_t qemus(const char *text)
{
	uint64_t bytes = 0;

	return size_parse(text, MIB, &bytes) ? UINT64_MAX : bytes;
}

static void an_option_takes_either_spelling(void)
{
	CHECK_EQ(option("4096"), 4096);
	CHECK_EQ(option("16G"), 16 * GIB);
	CHECK_EQ(option("16GiB"), 16 * GIB);
	CHECK_EQ(option("1.5G"), 3 * GIB / 2);
	CHECK_EQ(option("1.5GiB"), 3 * GIB / 2);
	CHECK_EQ(option("512k"), 512 * KIB);
}

static void what_is_no_size_is_refused(void)
{
	static const char *const wrong[] = {"",	    "G",     "-1",  "1.5",  "16GB", "16Gi",
					    "16iB", "1biB", "16GiBs", "1 G", "9E"};

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		CHECK_EQ(option(wrong[i]), UINT64_MAX);
}

static void qemu_reads_no_long_suffix(void)
{
	CHECK_EQ(qemus("512"), 512 * MIB);
	CHECK_EQ(qemus("1.5G"), 3 * GIB / 2);
	CHECK_EQ(qemus("16GiB"), UINT64_MAX);
}

static void limits_are_two_sizes_or_one(void)
{
	static const char *const wrong[] = {"", "..", "1G..", "..1G", "2G..1G", "1G...2G", "1G..2G..3G", "1G-2G"};
	uint64_t min, max;

	CHECK_EQ(size_parse_limits("1G..8GiB", &min, &max), 0);
	CHECK_EQ(min, GIB);
	CHECK_EQ(max, 8 * GIB);
	CHECK_EQ(size_parse_limits("0.5G..1.5G", &min, &max), 0);
	CHECK_EQ(max - min, GIB);
	CHECK_EQ(size_parse_limits("512M", &min, &max), 0);
	CHECK_EQ(min, 512 * MIB);
	CHECK_EQ(max, 512 * MIB);
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		CHECK(size_parse_limits(wrong[i], &min, &max) < 0);
}

static const struct check_test tests[] = {
	{"an-option-takes-either-spelling", an_option_takes_either_spelling},
	{"what-is-no-size-is-refused", what_is_no_size_is_refused},
	{"qemu-reads-no-long-suffix", qemu_reads_no_long_suffix},
	{"limits-are-two-sizes-or-one", limits_are_two_sizes_or_one},
};

CHECK_MAIN(tests)
