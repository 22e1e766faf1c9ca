// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_pace.c - how quickly copies are made: by what faults feel, and never above --repair-rate. */
#include "gvmfs/node/pace.h"

#include "check.h"

#define MOST 1000u /* MB/s */
#define CHUNK 131072u

static uint64_t now_ns = 1000000000, answers, took_ns;

/* A tenth of a second, in which so much was copied, and nodes answered so many GETs. */
static void goes_by(struct pace *p, uint32_t copied, uint64_t gets, uint64_t each_ns)
{
	if (copied)
		pace_took(p, copied, copied, MOST);
	answers += gets;
	took_ns += gets * each_ns;
	now_ns += PACE_LOOK_NS;
	pace_look(p, now_ns, answers, took_ns, MOST);
}

static void idles(struct pace *p, uint64_t gets, uint64_t each_ns)
{
	for (uint64_t ns = 0; ns < 2 * PACE_IDLE_NS; ns += PACE_LOOK_NS)
		goes_by(p, 0, gets, each_ns);
}

static void faults_are_spared(void)
{
	struct pace p = { 0 };
	uint32_t before;

	idles(&p, 100, 1000000);
	CHECK_EQ(pace_kbs(&p, MOST), PACE_FIRST);
	/* Little more is no reason. */
	goes_by(&p, CHUNK, 100, 1300000);
	CHECK(pace_kbs(&p, MOST) > PACE_FIRST);
	for (unsigned i = 0; i < 40; i++) {
		before = pace_kbs(&p, MOST);
		goes_by(&p, CHUNK, 100, 2000000);
		CHECK(pace_kbs(&p, MOST) < before || before == pace_least(MOST));
	}
	CHECK_EQ(pace_kbs(&p, MOST), pace_least(MOST));
	/* A moment in which no copy ends is no quiet time. */
	goes_by(&p, 0, 100, 5000000);
	CHECK_EQ(pace_kbs(&p, MOST), pace_least(MOST));
	goes_by(&p, CHUNK, 100, 2000000);
	CHECK_EQ(pace_kbs(&p, MOST), pace_least(MOST));
	/* The next repair begins anew; and what was felt during this one is not what is usual. */
	idles(&p, 0, 0);
	CHECK_EQ(pace_kbs(&p, MOST), PACE_FIRST);
	goes_by(&p, CHUNK, 100, 2000000);
	CHECK(pace_kbs(&p, MOST) < PACE_FIRST);
}

/* Where each GET takes long there are few of them: they are waited for. */
static void few_tell_together(void)
{
	struct pace p = { 0 };
	uint32_t before;

	idles(&p, 100, 1000000);
	for (unsigned i = 0; i < 40; i++) {
		before = pace_kbs(&p, MOST);
		goes_by(&p, CHUNK, 2, 40000000);
		CHECK(pace_kbs(&p, MOST) <= before);
	}
	CHECK_EQ(pace_kbs(&p, MOST), pace_least(MOST));
	/* Where next to none come for long, nobody is kept waiting. */
	before = pace_kbs(&p, MOST);
	goes_by(&p, CHUNK, 1, 40000000);
	for (unsigned i = 0; i < 20; i++)
		goes_by(&p, CHUNK, 0, 0);
	CHECK(pace_kbs(&p, MOST) > before);
}

static void rate_is_the_limit(void)
{
	struct pace p = { 0 };

	for (unsigned i = 0; i < 100; i++)
		goes_by(&p, CHUNK, 0, 0);
	CHECK_EQ(pace_kbs(&p, MOST), MOST * 1000);
	CHECK_EQ(pace_kbs(&p, 3), 3000);
	pace_look(&p, now_ns += PACE_LOOK_NS, answers, took_ns, 3);
	CHECK_EQ(pace_kbs(&p, 3), 3000);
	CHECK_EQ(pace_least(1), 1000);
	CHECK(pace_least(20) <= 20000 && pace_least(16) <= 16000);
}

/* Whoever waits to the time that is due copies at the rate, although each is late; but no burst makes up for an idle while. */
static void turns_are_at_the_rate(void)
{
	struct pace p = { 0 };
	uint64_t began_ns = now_ns, copies = 0;

	for (; now_ns < began_ns + 1000000000; now_ns = (now_ns < p.due_ns ? p.due_ns : now_ns) + 1000000) {
		for (; pace_allows(&p, now_ns); copies++) {
			pace_take(&p, now_ns, CHUNK, MOST);
			pace_took(&p, CHUNK, CHUNK / 2, MOST); /* it was compressed */
		}
	}
	CHECK(copies * CHUNK / 2 / 1000 >= PACE_FIRST * 9 / 10 && copies * CHUNK / 2 / 1000 <= PACE_FIRST * 11 / 10);
	now_ns += 5000000000;
	for (copies = 0; pace_allows(&p, now_ns); copies++)
		pace_take(&p, now_ns, CHUNK, MOST);
	CHECK(copies * CHUNK * 1000000ull / PACE_FIRST <= PACE_BURST_NS + 2 * CHUNK * 1000000ull / PACE_FIRST);
}

static const struct check_test tests[] = {
	{ "faults-are-spared", faults_are_spared },
	{ "few-tell-together", few_tell_together },
	{ "rate-is-the-limit", rate_is_the_limit },
	{ "turns-are-at-the-rate", turns_are_at_the_rate },
};
CHECK_MAIN(tests)
