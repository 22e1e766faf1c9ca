// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vcpu_clock.c - hosts whose counters run at other rates, and a network that delays: no vCPU of one guest reads a counter
 * that goes back, or one that is behind what a message says that another one has read.
 */
#include "qemu/vcpu_clock.h"
#include "check.h"

#define HZ	  2600000000ull
#define US(n)	  ((uint64_t)(n) * HZ / 1000000)
#define NODES	  3
#define WIRE_US	  15 /* what a message takes at least */
#define SECONDS	  600
#define SETTLES	  8   /* seconds in which drifts are learned; the guest waits for the first answers alone */
#define BEGINS	  0.5 /* seconds for which it waits, at most */

/* A simulated host: its counter is of real time, in which all else is. */
struct host {
	double ppm;
	uint64_t booted; /* its counter, at real time 0 */
	struct vcpu_clock clock;
	uint64_t read; /* by its guest, last */
};

static uint64_t own(const struct host *h, double us)
{
	return h->booted + (uint64_t)(us * (double)HZ / 1e6 * (1 + h->ppm / 1e6));
}

static uint64_t guest(const struct host *h, double us)
{
	return own(h, us) + h->clock.shift;
}

/* Mostly as quick as it can be; now and then a queue is before it, or a host stood still. */
static double delay_us(void)
{
	double us = WIRE_US + check_random_below(300) / 100.0;

	if (check_random_below(4) == 0)
		us += check_random_below(200);
	if (check_random_below(500) == 0)
		us += check_random_below(20000);
	return us;
}

static void exchange(struct host *h, struct host *zero, double us)
{
	double there = us + delay_us(), left = there + check_random_below(30), back = left + delay_us();
	struct vcpu_clock_exchange x = {.sent = own(h, us), .came = own(zero, there), .left = own(zero, left), .back = own(h, back)};

	vcpu_clock_wanted(&zero->clock, vcpu_clock_wants(&h->clock, own(h, us)));
	x.shift = zero->clock.shift;
	vcpu_clock_answered(&h->clock, &x);
}

/* How far two hosts are apart, in microseconds. */
static double apart(const struct host *a, const struct host *b, double us)
{
	return (double)(int64_t)(guest(a, us) - guest(b, us)) / ((double)HZ / 1e6);
}

/* The farthest that any two were apart once they had settled. */
static double run(const double ppm[NODES], unsigned seconds)
{
	static struct host h[NODES];
	double worst = 0, us = 0, asked;

	memset(h, 0, sizeof(h));
	for (unsigned i = 0; i < NODES; i++) {
		h[i] = (struct host){.ppm = ppm[i], .booted = check_random()};
		vcpu_clock_init(&h[i].clock, HZ);
	}
	for (unsigned set = 0; set < NODES - 1; us += vcpu_clock_ask_us(&h[1].clock)) {
		set = 0;
		for (unsigned i = 1; i < NODES; i++) {
			exchange(&h[i], &h[0], us);
			set += vcpu_clock_set(&h[i].clock, own(&h[i], us));
		}
		CHECK(us < BEGINS * 1e6);
	}
	for (unsigned i = 0; i < NODES; i++)
		h[i].read = guest(&h[i], us);
	asked = us;
	for (unsigned tick = 0; tick < seconds * 1000 / VCPU_CLOCK_LOOK_MS; tick++, us += VCPU_CLOCK_LOOK_MS * 1000) {
		for (unsigned i = 0; i < NODES; i++) {
			uint64_t before = h[i].clock.shift, step = vcpu_clock_step(&h[i].clock, own(&h[i], us));

			CHECK_EQ(h[i].clock.shift, before + step);
			CHECK(step <= US(2));
			CHECK((int64_t)(guest(&h[i], us) - h[i].read) > 0 || !tick);
			h[i].read = guest(&h[i], us);
		}
		for (; asked < us + VCPU_CLOCK_LOOK_MS * 1000; asked += vcpu_clock_ask_us(&h[1].clock))
			for (unsigned i = 1; i < NODES; i++)
				exchange(&h[i], &h[0], asked + check_random_below(vcpu_clock_ask_us(&h[i].clock) / 4));
		for (unsigned i = 1; i < NODES; i++) {
			double is = apart(&h[i], &h[i - 1], us + 9999), first = apart(&h[i], &h[0], us + 9999);

			is = is < 0 ? -is : is;
			first = first < 0 ? -first : first;
			is = is > first ? is : first;
			CHECK(is < WIRE_US);
			if (tick > SETTLES * 1000 / VCPU_CLOCK_LOOK_MS && is > worst)
				worst = is;
		}
	}
	for (unsigned i = 1; i < NODES; i++)
		CHECK(h[i].clock.skew_max < US(WIRE_US));
	return worst;
}

static void expect_half(const double ppm[NODES], unsigned seconds)
{
	double worst = run(ppm, seconds);

	printf("  %+.0f, %+.0f and %+.0f ppm: at most %.2f us apart, of %d that a message takes\n", ppm[0], ppm[1], ppm[2], worst,
	       WIRE_US);
	CHECK(worst < WIRE_US / 2.0);
}

static void counters_that_drift_stay_together(void)
{
	static const double ppm[][NODES] = {
		{0, 0, 0}, {0, -50, 20}, {0, 50, -50}, {-50, 50, 0}, {50, -50, 0}, {0, 50, 50}, {100, -20, 0},
	};

	for (unsigned i = 0; i < sizeof(ppm) / sizeof(ppm[0]); i++)
		expect_half(ppm[i], 60);
	expect_half(ppm[2], SECONDS);
}

/* Of hosts that do not drift, with node 0's counter 5,000 ticks ahead. */
static struct vcpu_clock_exchange told(uint64_t at, unsigned there_us, unsigned back_us)
{
	return (struct vcpu_clock_exchange){.sent = at, .came = at + US(there_us) + 5000, .left = at + US(there_us) + 5000,
					    .back = at + US(there_us + back_us)};
}

static void answers_that_took_long_count_little(void)
{
	struct vcpu_clock_exchange x;
	struct vcpu_clock c;
	uint64_t now = 0;

	vcpu_clock_init(&c, HZ);
	CHECK(!vcpu_clock_set(&c, 0));
	for (unsigned i = 0; i < 120; i++, now += US(50000)) {
		x = i % 7 == 3 ? told(now, 10, 10) : told(now, 4000, 11);
		vcpu_clock_answered(&c, &x);
	}
	CHECK(vcpu_clock_set(&c, now));
	CHECK_EQ(c.shift, 5000);
	for (unsigned i = 0; i < 8; i++, now += US(50000)) {
		x = told(now, 11, 3000);
		vcpu_clock_answered(&c, &x);
		CHECK_EQ(vcpu_clock_step(&c, now), 0);
	}
	CHECK_EQ(c.skew_max, 0);
}

static void answers_that_cannot_be_are_left_out(void)
{
	static const struct vcpu_clock_exchange wrong[] = {
		{.sent = 100, .back = 90, .came = 50, .left = 50},
		{.sent = 100, .back = 200, .came = 50, .left = 150},
		{.sent = 100, .back = 200, .came = 150, .left = 50},
	};
	struct vcpu_clock c;

	vcpu_clock_init(&c, HZ);
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		vcpu_clock_answered(&c, &wrong[i]);
	CHECK_EQ(c.exchanges, 0);
	CHECK(!vcpu_clock_set(&c, 1000));
	CHECK_EQ(vcpu_clock_step(&c, 1000), 0);
}

/* However wrong what comes is, the guest's counter never goes back, and forward by small steps alone. */
static void any_answers_are_survived(void)
{
	for (unsigned round = 0; round < 2000; round++) {
		uint64_t now = check_random();
		struct vcpu_clock c;

		vcpu_clock_init(&c, HZ);
		for (unsigned i = 0; i < 50; i++) {
			uint64_t wide = check_random_below(2) ? US(1000) : ~0ull;
			struct vcpu_clock_exchange x = {.sent = now, .back = now + check_random() % wide, .came = check_random(), .shift = check_random()};

			x.left = x.came + check_random() % wide;
			vcpu_clock_answered(&c, &x);
			vcpu_clock_wanted(&c, check_random());
			if (!c.set)
				vcpu_clock_set(&c, now);
			CHECK(vcpu_clock_step(&c, now) <= US(2));
			vcpu_clock_wants(&c, now);
			now += check_random() % (check_random_below(8) ? US(100000) : ~0ull);
		}
	}
}

static void hosts_of_another_rate_are_found_out(void)
{
	static const double ppm[] = {-5000, -400, 400, 5000};

	for (unsigned i = 0; i < 4; i++) {
		struct host zero = {.ppm = 0, .booted = 7}, h = {.ppm = ppm[i], .booted = 1ull << 60};
		enum vcpu_clock_state state = VCPU_CLOCK_LEARNS;
		double us = 0, is = 0;

		vcpu_clock_init(&zero.clock, HZ);
		vcpu_clock_init(&h.clock, HZ);
		for (; state == VCPU_CLOCK_LEARNS; us += vcpu_clock_ask_us(&h.clock)) {
			exchange(&h, &zero, us);
			state = vcpu_clock_state(&h.clock, own(&h, us), &is);
		}
		CHECK_EQ(state, ppm[i] < 500 && ppm[i] > -500 ? VCPU_CLOCK_KNOWS : VCPU_CLOCK_RATES_DIFFER);
		CHECK_EQ(vcpu_clock_set(&h.clock, own(&h, us)), state == VCPU_CLOCK_KNOWS);
		CHECK(is + ppm[i] < 100 && is + ppm[i] > -100);
	}
}

/* A guest that was stopped for an hour: what was learned before is not what is. */
static void after_a_pause_all_is_learned_anew(void)
{
	struct host zero = {.ppm = 0, .booted = 7}, h = {.ppm = 50, .booted = 1ull << 60};
	double us = 0;

	vcpu_clock_init(&zero.clock, HZ);
	vcpu_clock_init(&h.clock, HZ);
	for (unsigned k = 0; k < 100; k++, us += 50000)
		exchange(&h, &zero, us);
	us += 3600e6;
	CHECK_EQ(vcpu_clock_step(&h.clock, own(&h, us)), 0);
	for (unsigned k = 0; k < 5; k++, us += 50000)
		exchange(&h, &zero, us);
	CHECK(!vcpu_clock_set(&h.clock, own(&h, us)));
	for (unsigned k = 0; k < 40; k++, us += 50000)
		exchange(&h, &zero, us);
	CHECK(vcpu_clock_set(&h.clock, own(&h, us)));
	CHECK(apart(&h, &zero, us) < WIRE_US && apart(&h, &zero, us) > -WIRE_US);
}

static const struct check_test tests[] = {
	{"counters-that-drift-stay-together", counters_that_drift_stay_together},
	{"answers-that-took-long-count-little", answers_that_took_long_count_little},
	{"answers-that-cannot-be-are-left-out", answers_that_cannot_be_are_left_out},
	{"any-answers-are-survived", any_answers_are_survived},
	{"hosts-of-another-rate-are-found-out", hosts_of_another_rate_are_found_out},
	{"after-a-pause-all-is-learned-anew", after_a_pause_all_is_learned_anew},
};

CHECK_MAIN(tests)
