/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Dispatches received frames: to the handshake, to the agreement on regions, and to the protocol
 * core of a message's region.
 */
#ifndef GVM_RECEIVE_H
#define GVM_RECEIVE_H

struct link_ops;

extern const struct link_ops gvm_receive_ops;

#endif
