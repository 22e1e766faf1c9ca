// SPDX-License-Identifier: GPL-2.0-or-later
/* run_demand.c - a budget between two limits goes where the guest needs it to be, and the host allows. */
#include "check.h"
#include "tools/run/demand.h"

#define M      (1ull << 20)
#define SECOND 1000000000ull

/*
 * A guest that uses some memory again and again, on a host of 64,000 MiB: what does not fit into its budget it misses,
 * what it has here is not free there, and it fetches so much a second.
 */
static struct world {
	struct run_demand d;
	struct run_demand_reading r;
	uint64_t uses_bytes, others_bytes, fetches_bytes, now_ns;
} w;

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void begin(uint64_t min_bytes, uint64_t max_bytes, uint64_t others_bytes)
{
	w = (struct world){.others_bytes = others_bytes, .fetches_bytes = 64000 * M};
	w.r = (struct run_demand_reading){.size_bytes = 64000 * M, .host_bytes = 64000 * M};
	w.r.free_bytes = w.r.host_bytes - others_bytes;
	run_demand_init(&w.d, min_bytes, max_bytes, &w.r, 0);
}

static uint64_t seconds_pass(unsigned seconds)
{
	while (seconds--) {
		if (w.uses_bytes > w.r.resident_bytes)
			w.r.misses += least(w.uses_bytes - w.r.resident_bytes, w.fetches_bytes) / 65536;
		w.r.resident_bytes = least(w.r.resident_bytes + w.fetches_bytes, least(w.uses_bytes, w.d.bytes));
		w.r.free_bytes = w.r.host_bytes - least(w.r.host_bytes, w.others_bytes + w.r.resident_bytes);
		run_demand_step(&w.d, &w.r, w.now_ns += SECOND);
		CHECK(w.d.bytes >= w.d.min_bytes && w.d.bytes <= w.d.max_bytes);
	}
	return w.d.bytes;
}

static void guest_that_idles_shrinks_within_a_minute(void)
{
	begin(16 * M, 8192 * M, 4000 * M);
	CHECK_EQ(w.d.bytes, 8192 * M);
	CHECK(seconds_pass(60) < 8192 * M / 4);
	CHECK_EQ(seconds_pass(600), 16 * M);
}

static void guest_keeps_what_it_uses(void)
{
	begin(16 * M, 8192 * M, 4000 * M);
	w.uses_bytes = 1000 * M;
	seconds_pass(200);
	for (unsigned i = 0; i < 200; i++) {
		uint64_t bytes = seconds_pass(1);

		CHECK(bytes > 900 * M && bytes < 1600 * M);
	}
}

static void guest_that_wakes_up_gets_it_back_within_seconds(void)
{
	begin(16 * M, 8192 * M, 4000 * M);
	w.uses_bytes = 20 * M;
	CHECK(seconds_pass(600) < 64 * M);
	w.uses_bytes = 4096 * M;
	CHECK(seconds_pass(30) >= 4096 * M);
}

static void host_keeps_its_part_however_much_a_guest_wants(void)
{
	begin(16 * M, 60000 * M, 50000 * M);
	w.uses_bytes = 60000 * M;
	w.fetches_bytes = 500 * M;
	for (unsigned i = 0; i < 100; i++) {
		seconds_pass(1);
		CHECK(w.r.free_bytes >= 3900 * M);
	}
	CHECK(w.r.resident_bytes > 9500 * M);
}

static void host_without_memory_gets_some_at_once(void)
{
	begin(16 * M, 60000 * M, 4000 * M);
	w.uses_bytes = 8000 * M;
	CHECK(seconds_pass(5) > 50000 * M);
	w.others_bytes = 60000 * M;
	CHECK(seconds_pass(2) < 7500 * M);
	CHECK(seconds_pass(40) < 1000 * M);
}

static void start_takes_no_more_than_the_host_has(void)
{
	begin(16 * M, 8192 * M, 59000 * M);
	CHECK_EQ(w.d.bytes, 1000 * M);
	begin(16 * M, 8192 * M, 64000 * M);
	CHECK_EQ(w.d.bytes, 16 * M);
}

static void guest_that_waits_for_a_node_does_not_shrink(void)
{
	begin(16 * M, 8192 * M, 4000 * M);
	w.uses_bytes = 8192 * M;
	seconds_pass(100);
	w.r.node_away = true;
	w.fetches_bytes = 0;
	CHECK_EQ(seconds_pass(600), 8192 * M);
	w.r.node_away = false;
	CHECK_EQ(seconds_pass(5), 8192 * M);
}

static void budget_is_no_more_than_the_regions_are(void)
{
	begin(16 * M, 8192 * M, 4000 * M);
	w.r.size_bytes = 2048 * M;
	w.uses_bytes = 8192 * M;
	CHECK_EQ(seconds_pass(1), 2048 * M);
	w.r.size_bytes = 8192 * M; /* more was plugged in */
	CHECK_EQ(seconds_pass(30), 8192 * M);
}

static void counters_that_begin_anew_are_no_misses(void)
{
	begin(16 * M, 8192 * M, 4000 * M);
	seconds_pass(100);
	w.r.misses = 1000000;
	seconds_pass(1);
	uint64_t before = seconds_pass(20);
	w.r.misses = 5;
	CHECK(seconds_pass(1) < before);
}

static const struct check_test tests[] = {
	{"guest-that-idles-shrinks-within-a-minute", guest_that_idles_shrinks_within_a_minute},
	{"guest-keeps-what-it-uses", guest_keeps_what_it_uses},
	{"guest-that-wakes-up-gets-it-back-within-seconds", guest_that_wakes_up_gets_it_back_within_seconds},
	{"host-keeps-its-part-however-much-a-guest-wants", host_keeps_its_part_however_much_a_guest_wants},
	{"host-without-memory-gets-some-at-once", host_without_memory_gets_some_at_once},
	{"guest-that-waits-for-a-node-does-not-shrink", guest_that_waits_for_a_node_does_not_shrink},
	{"budget-is-no-more-than-the-regions-are", budget_is_no_more_than_the_regions_are},
	{"start-takes-no-more-than-the-host-has", start_takes_no_more_than_the_host_has},
	{"counters-that-begin-anew-are-no-misses", counters_that_begin_anew_are_no_misses},
};
CHECK_MAIN(tests)
