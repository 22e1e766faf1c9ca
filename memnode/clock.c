// SPDX-License-Identifier: GPL-2.0-or-later
/* clock.c - the one clock for durations and deadlines. */
#include "clock.h"

#include <time.h>

uint64_t gvm_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}
