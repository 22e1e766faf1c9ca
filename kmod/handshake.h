/* SPDX-License-Identifier: GPL-2.0 */
/*
 * How a connection begins: each side says who it is, and with a key proves it (frame.h). Nothing
 * else is accepted before; what differs from what this node was told ends the connection, with a
 * warning.
 */
#ifndef GVM_HANDSHAKE_H
#define GVM_HANDSHAKE_H

#include <linux/types.h>

struct link;

/* This side's HELLO: the connecting one's first word, the accepting one's answer. */
int gvm_handshake_begin(struct link *link);
/*
 * What came from the other side; takes the link up when all is said. 0, or why it is to be closed.
 */
int gvm_handshake_hello(struct link *link, const u8 *body);
int gvm_handshake_proof(struct link *link, const u8 *body);

#endif
