/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The handshake of a connection: each side gives its node id, and with a key proves that it has the
 * key (frame.h), of which both then derive how the frames are sealed. No other frame is accepted
 * before. A peer whose list, lease_ms or key differs from
 * this node's is logged, and its connection closed.
 */
#ifndef GVM_HANDSHAKE_H
#define GVM_HANDSHAKE_H

#include <linux/types.h>

struct link;

/*
 * Sends this side's HELLO: the connecting side begins, the accepting one answers. An errno: the
 * caller closes the link.
 */
int gvm_handshake_begin(struct link *link);
/*
 * Handle the peer's HELLO and PROOF, and take the link up when the handshake is complete. 0, or an
 * errno with which the caller closes the link:
 * -EBADMSG: not well formed, or out of order. -EPROTONOSUPPORT: another version. -EACCES: another
 * list, lease_ms or key. -EBUSY: an attempt of this node's has precedence.
 */
int gvm_handshake_hello(struct link *link, const u8 *body);
int gvm_handshake_proof(struct link *link, const u8 *body);

#endif
