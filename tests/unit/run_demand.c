// SPDX-License-Identifier: GPL-2.0-or-later
/* run_demand.c - a budget between two limits goes where the guest needs it to be, and the host allows. */
#include "check.h"
#include "tools/run/demand.h"

#define M      (1ull << 20)
#define SECOND 1000000000ull

/* A guest that uses some memory again and again, on a host: what does not fit into its budget it misses. */
static struct world {
	struct run_demand d;
	struct run_demand_reading r;
	uint64_t uses_bytes, now_ns;
} w;

static void begin(uint64_t min_bytes, uint64_t max_bytes)
{
	w = (struct world){.r = {.free_bytes = 60000 * M, .host_bytes = 64000 * M}};
	run_demand_init(&w.d, min_bytes, max_bytes, &w.r, 0);
}

static uint64_t seconds_pass(unsigned seconds)
{
	while (seconds--) {
		if (w.uses_bytes > w.d.bytes)
			w.r.misses += (w.uses_bytes - w.d.bytes) / 65536;
		run_demand_step(&w.d, &w.r, w.now_ns += SECOND);
		CHECK(w.d.bytes >= w.d.min_bytes && w.d.bytes <= w.d.max_bytes);
	}
	return w.d.bytes;
}

static void guest_that_idles_shrinks_within_a_minute(void)
{
	begin(16 * M, 8192 * M);
	CHECK_EQ(w.d.bytes, 8192 * M);
	CHECK(seconds_pass(60) < 8192 * M / 4);
	CHECK_EQ(seconds_pass(600), 16 * M);
}

static void guest_keeps_what_it_uses(void)
{
	begin(16 * M, 8192 * M);
	w.uses_bytes = 1000 * M;
	seconds_pass(200);
	for (unsigned i = 0; i < 200; i++) {
		uint64_t bytes = seconds_pass(1);

		CHECK(bytes > 900 * M && bytes < 1400 * M);
	}
}

static void guest_that_wakes_up_gets_it_back_within_seconds(void)
{
	begin(16 * M, 8192 * M);
	w.uses_bytes = 20 * M;
	CHECK(seconds_pass(600) < 64 * M);
	w.uses_bytes = 4096 * M;
	CHECK(seconds_pass(30) >= 4096 * M);
}

static void host_without_memory_takes_and_gives_none(void)
{
	begin(16 * M, 8192 * M);
	w.uses_bytes = 8192 * M;
	w.r.free_bytes = 1000 * M;
	CHECK(seconds_pass(10) < 8192 * M / 3);
	w.r.free_bytes = 4200 * M; /* 200 more than the host keeps for itself */
	w.uses_bytes = w.d.bytes + 4000 * M;
	CHECK_EQ(seconds_pass(1) + 3800 * M, w.uses_bytes);
}

static void start_takes_no_more_than_the_host_has(void)
{
	w = (struct world){.r = {.free_bytes = 5000 * M, .host_bytes = 64000 * M}};
	run_demand_init(&w.d, 16 * M, 8192 * M, &w.r, 0);
	CHECK_EQ(w.d.bytes, 1000 * M);
	w.r.free_bytes = 0;
	run_demand_init(&w.d, 16 * M, 8192 * M, &w.r, 0);
	CHECK_EQ(w.d.bytes, 16 * M);
}

static void counters_that_begin_anew_are_no_misses(void)
{
	begin(16 * M, 8192 * M);
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
	{"host-without-memory-takes-and-gives-none", host_without_memory_takes_and_gives_none},
	{"start-takes-no-more-than-the-host-has", start_takes_no_more_than_the_host_has},
	{"counters-that-begin-anew-are-no-misses", counters_that_begin_anew_are_no_misses},
};
CHECK_MAIN(tests)
