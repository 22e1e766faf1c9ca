// SPDX-License-Identifier: GPL-2.0-or-later
/* clock.c - see clock.h. */
#include "clock.h"

#include <time.h>

static uint64_t clock_read(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t gvm_now_ns(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

uint64_t gvm_boottime_ns(void)
{
	return clock_read(CLOCK_BOOTTIME);
}

uint64_t gvm_realtime_ns(void)
{
	return clock_read(CLOCK_REALTIME);
}
