/* SPDX-License-Identifier: GPL-2.0 */
/* From a connection to the protocol core: what a peer sent, to the region that it is for. */
#ifndef GVM_RECEIVE_H
#define GVM_RECEIVE_H

#include <linux/types.h>

struct gvm_cluster;
struct gvm_peer;

/*
 * 0, or -EBADMSG: no sound peer sends that. A message for a region that is not joined is dropped.
 */
int receive_message(struct gvm_peer *peer, u32 tag, const u8 *body, unsigned int bytes);
/*
 * The same in a softirq, for a message that ends a wait; false: it is for receive_message(), which
 * also says what is wrong with it.
 */
bool receive_at_once(struct gvm_peer *peer, u32 tag, const u8 *body, unsigned int bytes);
/* What had arrived has been received, for now. */
void receive_end(struct gvm_cluster *cluster);
/* A connection to the node stands. */
void receive_joined(struct gvm_peer *peer);

#endif
