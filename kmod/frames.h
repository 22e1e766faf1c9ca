/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Frames: the memory of the pages that are resident here, each with the core's slot.
 *
 * A frame is a struct page in the region's xarray, which holds one reference to it. `mapping` and
 * `index` are those of the region's inode, so that the kernel finds its mappings; it is on no list
 * of the kernel's, so nothing but this module reclaims or moves it, and the slot has the place of
 * the links: a resident page takes no more memory than its place in the xarray.
 *
 * Marks in the xarray say what is to be done with a page, since setting one needs no memory.
 */
#ifndef GVM_FRAMES_H
#define GVM_FRAMES_H

#include <linux/mm_types.h>
#include <linux/xarray.h>

#include "ivy/ivy.h"

struct gvm_region;

#define FRAME_REVOKE XA_MARK_0 /* mappings exceed the slot's right: ivy_revoked() is due */
#define FRAME_HOLD XA_MARK_1 /* its minimum hold could not be noted: ends with the next tick */
#define FRAME_UPGRADE XA_MARK_2 /* was unmapped because it is to be written: see fault.c */

/* These need region->lock. */
struct ivy_slot *gvm_frame_slot(struct gvm_region *region, u64 page);
struct ivy_slot *gvm_frame_create(struct gvm_region *region, u64 page);
void gvm_frame_destroy(struct gvm_region *region, u64 page);
/* The frame itself, without a reference. */
struct page *gvm_frame_page(struct gvm_region *region, u64 page);

/* These take region->lock. */
enum ivy_right gvm_frame_right(struct gvm_region *region, u64 page, const struct page *frame);

/* The frame with a reference, or NULL. Needs no lock; it may be the page's no longer. */
struct page *gvm_frame_get(struct gvm_region *region, u64 page);
/*
 * The frame, locked and with a reference, if it is here with that right: the right stays until it
 * is unlocked, in the sense that the revocation of what is mapped meanwhile comes after. Sleeps.
 */
struct page *gvm_frame_lock(struct gvm_region *region, u64 page, enum ivy_right right);

/*
 * References beyond those of the xarray and of mappings: the caller's own, a pin's, or one that the
 * kernel has for a moment. Where mappings go meanwhile they are too many, never too few.
 */
int gvm_frame_references(const struct page *frame);

/* Frees all that are left; nobody maps them, and the core is gone. */
void gvm_frames_destroy(struct gvm_region *region);

#endif
