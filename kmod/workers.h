/* SPDX-License-Identifier: GPL-2.0 */
/* Workqueues for all work that sleeps or waits for the network, shared by all peers and regions. */
#ifndef GVM_WORKERS_H
#define GVM_WORKERS_H

#include <linux/workqueue.h>

/*
 * Connections and what arrives on them. High priority, since a program may be waiting for each of
 * its works. None takes the device's mutex, whose holder may wait for any of them.
 */
extern struct workqueue_struct *gvm_workqueue;
/*
 * Ticks, the ends of holds, and the sweeps at a lease's end: what has to be done in time, whatever
 * else waits. None waits for a peer, or for a mutex that is held while somebody waits.
 */
extern struct workqueue_struct *gvm_urgent;
/* Offers of regions, which wait for the device's mutex: one work. */
extern struct workqueue_struct *gvm_agreements;
/*
 * Evictions wait for homes, in each region, for long. They have a workqueue of their own, so that
 * other works do not wait for a worker behind them.
 */
extern struct workqueue_struct *gvm_evictions;

int gvm_workers_init(void);
void gvm_workers_exit(void);

#endif
