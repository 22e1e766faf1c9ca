/* SPDX-License-Identifier: GPL-2.0 */
/* Workqueues for all work that sleeps or waits for the network, shared by all peers and regions. */
#ifndef GVM_WORKERS_H
#define GVM_WORKERS_H

#include <linux/workqueue.h>

/* High priority, since a program may be waiting for each of its works. */
extern struct workqueue_struct *gvm_workqueue;
/*
 * Evictions wait for homes, in each region, for long. They have a workqueue of their own, so that
 * other works do not wait for a worker behind them.
 */
extern struct workqueue_struct *gvm_evictions;

int gvm_workers_init(void);
void gvm_workers_exit(void);

#endif
