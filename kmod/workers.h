/* SPDX-License-Identifier: GPL-2.0 */
/* Where everything runs that sleeps or waits for the network: shared by all peers and regions. */
#ifndef GVM_WORKERS_H
#define GVM_WORKERS_H

#include <linux/workqueue.h>

/* Ahead of ordinary programs, since a program may be waiting for each of them. */
extern struct workqueue_struct *gvm_workqueue;
/*
 * Evictions wait for homes, in each region, for long; the others may not wait for a worker behind
 * these: so they have workers of another kind.
 */
extern struct workqueue_struct *gvm_evictions;

int gvm_workers_init(void);
void gvm_workers_exit(void);

#endif
