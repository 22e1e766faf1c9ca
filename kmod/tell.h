/* SPDX-License-Identifier: GPL-2.0 */
/* REGION frames that this node sends: agree.h has their meaning. */
#ifndef GVM_TELL_H
#define GVM_TELL_H

#include <linux/types.h>

#include "frame.h"

struct gvm_peer;
struct gvm_region;

/* A frame of that kind about the region. */
struct region_frame gvm_tell_frame(const struct gvm_region *region, enum region_word word);
void gvm_tell_send(struct gvm_peer *peer, const struct region_frame *frame);

/* Tells the homes that this node's offer of that number is withdrawn; 0: none was made. */
void gvm_tell_withdraw(struct gvm_region *region, u32 number);
/* Tells a home how to open its share of a region. */
void gvm_tell_open(struct gvm_region *region, u16 home, enum region_share how, u64 token);
/* Offers it to one peer, if that is a home, without waiting for the answer. */
void gvm_tell_offer(struct gvm_region *region, struct gvm_peer *peer);

#endif
