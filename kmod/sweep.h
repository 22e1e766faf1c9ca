/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The end of a lease: the whole region is unmapped at once, by the deadline, however many mappings
 * there are. The core's slots are freed after that, some pages at a time.
 */
#ifndef GVM_SWEEP_H
#define GVM_SWEEP_H

#include <linux/types.h>
#include <linux/workqueue.h>

struct gvm_region;

/* The core's callbacks: ivy_env.sweep and .ending. */
void gvm_sweep_begin(void *region, u64 deadline_ns);
void gvm_sweep_ending(void *region);
void gvm_sweep_work_run(struct work_struct *work);

#endif
