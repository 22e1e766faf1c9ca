/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clock.h - the one clock for durations and deadlines. */
#ifndef GVM_CLOCK_H
#define GVM_CLOCK_H

#include <stdint.h>

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t gvm_now_ns(void);

#endif
