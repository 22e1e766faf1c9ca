/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What arrives on connections, to those that it is for: the handshake, the agreement on regions,
 * and the protocol core of the region that a message is for.
 */
#ifndef GVM_RECEIVE_H
#define GVM_RECEIVE_H

struct link_ops;

extern const struct link_ops gvm_receive_ops;

#endif
