/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Parts of a region that have a file of their own: evict.c, opening.c, revoke.c, sleep.c, sweep.c.
 * These files' headers say what they are.
 */
#ifndef GVM_REGION_PARTS_H
#define GVM_REGION_PARTS_H

#include <linux/list.h>
#include <linux/types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

/* ---- evict.c */

/*
 * Pages in flight to their homes. With more than a slow home takes within retry_ms, repetitions
 * would fill the connection, and lease renewals would wait behind them.
 */
#define EVICT_GOING_MAX 64

/* Under region->lock. */
struct evictions {
	unsigned int nr_going;
	u64 going[EVICT_GOING_MAX];
	unsigned long moved; /* when a page was last evicted, in jiffies */
	unsigned long patient; /* the same, or when an eviction was last begun or given up */
};

/* ---- opening.c */

/* A home's share as this node knows it, its own included. */
struct home_share {
	u64 token; /* of the region at the home: another each time that the home joins it */
	u8 share; /* enum region_share, as last answered; unknown after a new connection */
	u8 told; /* how this node has told it to open, under that token; or SHARE_UNKNOWN */
	bool zeros; /* this node has told it zeros, under this token or an earlier one */
	bool refused; /* since gvm_opening_doubt() it answered without this region */
};

/* Under region->lock. */
struct opening {
	struct home_share *homes; /* by index in the list of homes; NULL: no user has joined here */
	unsigned int nr_open; /* shares known to be open */
	bool creates; /* this node is the region's creator */
	bool complete; /* each share has been open once */
	bool spoilt; /* before that, the creator had to tell a home that it has lost its share */
	bool announced; /* the creator has told the homes that the region is complete */
	struct delayed_work work; /* offers it again to homes that are not known to be open */
	unsigned int again_ms; /* delay of the work; doubles */
};

/* ---- revoke.c */

/* A pinned page that other nodes wait for; `page` and `told` are revoke_work's only. */
struct pinned {
	u64 since_ns; /* of the boot clock; 0: there is none */
	unsigned long page;
	bool told; /* logged */
};

/* ---- sleep.c */

#define SLEEP_BITS 6

/* A hash bucket of sleepers, by page; under region->lock, except the queue. */
struct gvm_waiters {
	wait_queue_head_t queue;
	struct list_head sleepers;
	u64 woke_page, woke_ns; /* the page of the last sleeper that ran again, and when */
};

/* ---- sweep.c */

/* Under region->lock. */
struct sweeps {
	u64 due_ns; /* the deadline of one that has not begun; 0: none is due */
	u64 nr, ns_max; /* sweeps done, and the duration of the longest */
};

#endif
