/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clock.h - the clocks, in nanoseconds. */
#ifndef GVM_CLOCK_H
#define GVM_CLOCK_H

#include <stdint.h>

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t gvm_now_ns(void);
/* The same with the time that the host was suspended (CLOCK_BOOTTIME): for what others count as well. */
uint64_t gvm_boottime_ns(void);
/* Of the calendar (CLOCK_REALTIME): for what is shown or kept. It may jump. */
uint64_t gvm_realtime_ns(void);

#endif
