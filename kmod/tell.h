/* SPDX-License-Identifier: GPL-2.0 */
/* What this node tells others about a region: agree.h says what for. */
#ifndef GVM_TELL_H
#define GVM_TELL_H

#include <linux/types.h>

#include "frame.h"

struct gvm_peer;
struct gvm_region;

/* What a frame says of a region, whatever it is for. */
struct region_frame gvm_tell_frame(const struct gvm_region *region, enum region_word word);
void gvm_tell_send(struct gvm_peer *peer, const struct region_frame *frame);

/* Tells the homes that this node's offer of that number is none: it has left the region. */
void gvm_tell_withdraw(struct gvm_region *region, u32 number);
/* Tells a home how to open its share of a region. */
void gvm_tell_open(struct gvm_region *region, u16 home, enum region_share how, u64 token);
/* Offers it to one peer, if that is a home; nobody waits for the answer. */
void gvm_tell_offer(struct gvm_region *region, struct gvm_peer *peer);

#endif
