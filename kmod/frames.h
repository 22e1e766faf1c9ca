/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Frames: the memory of the pages that are resident here, each with the core's slot.
 *
 * A frame is a folio of one page in the region's xarray, which holds one reference to it. `mapping`
 * and `index` are those of the region's inode, so that the kernel finds its mappings. The folio is
 * on none of the kernel's lists, so only this module reclaims or moves it, and the slot lies where
 * the list links would be: beyond its frame a resident page takes no memory but its entry in the
 * xarray.
 *
 * For a kernel whose folios have no such place, or need it, the slots can be had in an xarray of
 * their own (make GVM_SLOTS_APART=1), at some 25 bytes a page. Nothing outside of frames.c knows.
 *
 * Marks in the xarray record pending work on a page, since setting one needs no memory.
 */
#ifndef GVM_FRAMES_H
#define GVM_FRAMES_H

#include <linux/mm_types.h>
#include <linux/xarray.h>

#include "ivy/ivy.h"

struct gvm_region;

#define FRAME_REVOKE XA_MARK_0 /* mappings exceed the slot's right: ivy_revoked() is due */
#define FRAME_HOLD XA_MARK_1 /* no memory for its minimum hold, which ends with the next tick */
#define FRAME_UPGRADE XA_MARK_2 /* unmapped because a write waits for it: see fault.c */

/* These need region->lock. */
struct ivy_slot *gvm_frame_slot(struct gvm_region *region, u64 page);
struct ivy_slot *gvm_frame_create(struct gvm_region *region, u64 page);
void gvm_frame_destroy(struct gvm_region *region, u64 page);
/* The frame itself, without a reference. */
struct folio *gvm_frame_page(struct gvm_region *region, u64 page);

/* These take region->lock. */
enum ivy_right gvm_frame_right(struct gvm_region *region, u64 page, const struct folio *frame);

/* The frame with a reference, or NULL. Needs no lock; on return it may already be stale. */
struct folio *gvm_frame_get(struct gvm_region *region, u64 page);
/*
 * The frame, locked and with a reference, if the page is resident with that right. A mapping made
 * before it is unlocked is undone by any revocation that comes meanwhile. Sleeps.
 */
struct folio *gvm_frame_lock(struct gvm_region *region, u64 page, enum ivy_right right);

/*
 * References beyond those of the xarray and of mappings: the caller's own, pins, or short-lived
 * ones of the kernel. If the page is being unmapped the result may be too high, never too low.
 */
int gvm_frame_references(const struct folio *frame);

/* Frees all frames that are left; none is mapped, and the core has been destroyed. */
void gvm_frames_destroy(struct gvm_region *region);

#endif
