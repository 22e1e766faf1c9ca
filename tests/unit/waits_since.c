// SPDX-License-Identifier: GPL-2.0-or-later
/* waits_since.c - what gvm top shows of the time between two samples: what has come in it, and nothing where counts began
 * anew or are not known any more. */
#include "check.h"
#include "tools/waits.h"

#include <string.h>

static const struct waits few = {.count[LATENCY_FAULT] = {[3] = 98, [9] = 2}, .sum_ns = {[LATENCY_FAULT] = 5000}},
			  none = {.sum_ns = {0}};

static void what_has_come_is_told(void)
{
	struct waits more = few, since;

	more.count[LATENCY_FAULT][5] += 7;
	more.sum_ns[LATENCY_FAULT] += 900;
	waits_since(&more, &few, &since);
	CHECK_EQ(waits_count(&since, LATENCY_FAULT), 7);
	CHECK_EQ(waits_quantile_ns(&since, LATENCY_FAULT, 50), latency_bound_ns(5));
	CHECK_EQ(since.sum_ns[LATENCY_FAULT], 900);
	CHECK_EQ(waits_count(&since, LATENCY_READ), 0);
}

static void a_region_that_was_closed_waits_for_nothing(void)
{
	struct waits since;

	waits_since(&none, &few, &since);
	CHECK_EQ(waits_count(&since, LATENCY_FAULT), 0);
	CHECK_EQ(waits_quantile_ns(&since, LATENCY_FAULT, 99), 0);
	CHECK_EQ(since.sum_ns[LATENCY_FAULT], 0);
}

static const struct check_test tests[] = {
	{ "what-has-come-is-told", what_has_come_is_told },
	{ "a-region-that-was-closed-waits-for-nothing", a_region_that_was_closed_waits_for_nothing },
};
CHECK_MAIN(tests)
