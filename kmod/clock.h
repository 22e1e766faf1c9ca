/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A region's time: the core's ticks, and the ends of minimum holds. Hardware timers of
 * CLOCK_BOOTTIME, which counts suspend, queue works; so a host that stood still notices early that
 * its leases have ended.
 */
#ifndef GVM_CLOCK_H
#define GVM_CLOCK_H

#include <linux/types.h>

struct gvm_region;
struct ivy_params;

/* From the module's parameters. */
void gvm_clock_params(struct ivy_params *params);

void gvm_clock_init(struct gvm_region *region);
/* Waits for the works. */
void gvm_clock_stop(struct gvm_region *region);

/* The core's callbacks. */
void gvm_clock_arm_hold(void *region, u64 page, u64 ns);
u64 gvm_clock_now(void *region);

#endif
