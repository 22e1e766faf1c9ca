// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_latency.c - each duration is counted in the bucket whose bound is the first that is not below it, of a region and of
 * the mount, and what is printed has all of them. */
#include "check.h"
#include "state/latency.h"

#include <stdio.h>
#include <string.h>

static void bounds_grow_by_less_than_half(void)
{
	CHECK_EQ(latency_bound_ns(0), 8000);
	for (unsigned b = 1; b < LATENCY_BOUNDS; b++) {
		CHECK(latency_bound_ns(b) > latency_bound_ns(b - 1));
		CHECK(latency_bound_ns(b) * 10 < latency_bound_ns(b - 1) * 15);
	}
	CHECK(latency_bound_ns(LATENCY_BOUNDS - 1) > 8000000000ull);
}

static void a_duration_is_in_its_bucket(void)
{
	CHECK_EQ(latency_bucket(0), 0);
	for (unsigned b = 0; b < LATENCY_BOUNDS; b++) {
		CHECK_EQ(latency_bucket(latency_bound_ns(b) - 1), b);
		CHECK_EQ(latency_bucket(latency_bound_ns(b)), b);
		CHECK_EQ(latency_bucket(latency_bound_ns(b) + 1), b + 1);
	}
	CHECK_EQ(latency_bucket(UINT64_MAX), LATENCY_BOUNDS);
}

static void all_is_printed(void)
{
	static struct latency region[LATENCY_STAGES], mount[LATENCY_STAGES];
	static char text[LATENCY_TEXT];
	char line[64];
	size_t n;

	CHECK_EQ(latency_print(region, text, sizeof(text)), 0);
	for (unsigned s = 0; s < LATENCY_STAGES; s++) {
		for (unsigned b = 0; b < LATENCY_BOUNDS; b++)
			latency_add(&region[s], &mount[s], latency_bound_ns(b));
		latency_add(&region[s], &mount[s], 9000000000000000ull);
		latency_add(&region[s], &mount[s], 9000000000000000ull);
	}
	n = latency_print(mount, text, sizeof(text));
	CHECK(n < sizeof(text) && !text[n]);
	CHECK(strncmp(text, "fault 8000 1\nfault 11314 1\nfault 16000 1\n", 41) == 0);
	CHECK(strstr(text, "\nread inf 2\nread sum 1800") && strstr(text, "\nput inf 2\nput sum 1800"));
	for (unsigned b = 0; b < LATENCY_BOUNDS; b++) {
		snprintf(line, sizeof(line), "put %llu 1\n", (unsigned long long)latency_bound_ns(b));
		CHECK(strstr(text, line) != NULL);
	}
	/* Cut off rather than beyond. */
	memset(text, 'x', sizeof(text));
	n = latency_print(mount, text, 100);
	CHECK(n <= 100 && text[100] == 'x');
}

static const struct check_test tests[] = {
	{ "bounds-grow-by-less-than-half", bounds_grow_by_less_than_half },
	{ "a-duration-is-in-its-bucket", a_duration_is_in_its_bucket },
	{ "all-is-printed", all_is_printed },
};
CHECK_MAIN(tests)
