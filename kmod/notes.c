// SPDX-License-Identifier: GPL-2.0
/* Notes on pages, for faults that are retried: see region.h. */
#include <linux/sched.h>

#include "region.h"

u64 gvm_region_now_ms(void)
{
	return div_u64(ktime_get_boottime_ns(), NSEC_PER_MSEC);
}

/* Without memory for the note the retried fault requests the page once more. */
static void note_store(struct xarray *notes, u64 page, u64 value)
{
	xa_store(notes, page, xa_mk_value(value), GFP_ATOMIC | __GFP_NOWARN);
}

/* 0: no note. */
static u64 note_load(struct xarray *notes, u64 page)
{
	void *entry = xa_empty(notes) ? NULL : xa_load(notes, page);

	return entry ? xa_to_value(entry) : 0;
}

void gvm_region_error_note(struct gvm_region *region, u64 page)
{
	note_store(&region->errors, page, gvm_region_now_ms());
}

#define PID_BITS 22 /* what PID_MAX_LIMIT needs; above them the time */

void gvm_region_given_up_note(struct gvm_region *region, u64 page)
{
	BUILD_BUG_ON(PID_MAX_LIMIT > 1 << PID_BITS);
	note_store(&region->given_up, page, gvm_region_now_ms() << PID_BITS | current->pid);
}

static void note_clear(struct xarray *notes, u64 page)
{
	if (!xa_empty(notes))
		xa_erase(notes, page);
}

void gvm_region_error_clear(struct gvm_region *region, u64 page)
{
	note_clear(&region->errors, page);
	note_clear(&region->given_up, page);
}

int gvm_region_error(struct gvm_region *region, u64 page, u64 since_ms)
{
	u64 lost_ms = note_load(&region->errors, page);
	u64 given_up = note_load(&region->given_up, page);

	if (lost_ms && lost_ms >= since_ms)
		return -EIO;
	if (given_up >> PID_BITS >= since_ms && given_up % (1 << PID_BITS) == current->pid)
		return -EDEADLK;
	return 0;
}
