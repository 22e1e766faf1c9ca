// SPDX-License-Identifier: GPL-2.0
/* The module's parameters: see params.h. */
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/time64.h>

#include "params.h"

static unsigned int hold_us = 50;
module_param(hold_us, uint, 0444);
MODULE_PARM_DESC(hold_us, "microseconds for which a page stays after it was granted, so that the faulting program can use it; up to 64 times that, and 20 ms, while it goes to and fro (default 50)");

static unsigned int lease_ms = 10000;
module_param(lease_ms, uint, 0444);
MODULE_PARM_DESC(lease_ms, "milliseconds without contact after which a node's pages count as lost; the same on all nodes (default 10000)");

static unsigned int retry_ms = 200;
module_param(retry_ms, uint, 0444);
MODULE_PARM_DESC(retry_ms, "milliseconds after which an unanswered message is sent again (default 200)");

static unsigned int ahead_pages = 64;
module_param(ahead_pages, uint, 0644);
MODULE_PARM_DESC(ahead_pages, "pages that are requested ahead where faults come on one page after the other; 0: none; for regions that are joined later (default 64)");

#define AHEAD_PAGES_MAX 1024u
#define HOLD_US_MAX 1000000u
#define HOLD_DOUBLED_US_MAX 20000u
#define HOLD_DOUBLINGS 6
#define LEASE_MS_MIN 400
#define LEASE_MS_MAX 3600000

static unsigned int cache_mb;
module_param(cache_mb, uint, 0644);
MODULE_PARM_DESC(cache_mb, "MiB of a region that may be resident on this node; 0 (the default): as much as there is memory");

#define LEND_DEFAULT_PARTS 3 /* quarters of the memory */

static unsigned int lend_mb;
module_param(lend_mb, uint, 0644);
MODULE_PARM_DESC(lend_mb, "MiB that this node lends, if it has the role mem: regions whose shares of pages, with their directory, would take more are refused; 0 (the default): three quarters of its memory");

unsigned int gvm_params_lease_ms(void)
{
	return clamp(lease_ms, LEASE_MS_MIN, LEASE_MS_MAX);
}

u64 gvm_params_lease_ns(void)
{
	return (u64)gvm_params_lease_ms() * NSEC_PER_MSEC;
}

u64 gvm_params_hold_ns(void)
{
	return (u64)min(hold_us, HOLD_US_MAX) * NSEC_PER_USEC;
}

u8 gvm_params_hold_doublings(void)
{
	u8 n = 0;

	while (n < HOLD_DOUBLINGS && min(hold_us, HOLD_US_MAX) << (n + 1) <= HOLD_DOUBLED_US_MAX)
		n++;
	return n;
}

u16 gvm_params_ahead_pages(void)
{
	return min(READ_ONCE(ahead_pages), AHEAD_PAGES_MAX);
}

u64 gvm_params_retry_ns(void)
{
	return (u64)clamp(retry_ms, 10u, 10000u) * NSEC_PER_MSEC;
}

u64 gvm_params_lend_bytes(void)
{
	unsigned int mb = READ_ONCE(lend_mb);

	return mb ? (u64)mb << 20 :
		    ((u64)totalram_pages() << PAGE_SHIFT) / 4 * LEND_DEFAULT_PARTS;
}

long gvm_params_cache_pages(void)
{
	unsigned int mb = READ_ONCE(cache_mb);

	return mb ? (long)mb << (20 - PAGE_SHIFT) : LONG_MAX;
}
