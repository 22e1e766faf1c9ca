/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu_link.h - one connection between two QEMUs: the handshake, and then sealed frames.
 *
 * Pure: bytes come in and go out as the caller has them; nothing waits. The node with the higher
 * number connects, and begins:
 *
 *	connecting	accepting
 *	HELLO ------------->
 *	     <------------- HELLO
 *	PROOF ------------->
 *	     <------------- PROOF
 *
 * Either may answer by REFUSE instead, and close. Nothing that a peer sends is used before its
 *proof was right, but to tell the user why a handshake failed.
 */
#ifndef VCPU_LINK_H
#define VCPU_LINK_H

#include "vcpu_map.h"
#include "vcpu_seal.h"
#include "vcpu_wire.h"

/* The same for all connections of a node; outlives them. */
struct vcpu_self {
	uint16_t node;
	const struct vcpu_map *map;
	uint64_t digest[VCPU_DIGESTS];
	uint8_t prk[VCPU_KEY_BYTES]; /* vcpu_key_extract() */
};

enum vcpu_link_state { VCPU_GREETING, VCPU_PROVING, VCPU_UP };

#define VCPU_WHY_BYTES 320 /* a sentence without its full stop */

struct vcpu_link {
	const struct vcpu_self *self;
	bool connecting;
	enum vcpu_link_state state;
	unsigned peer; /* accepting: not before its HELLO; proven only once the link is up */
	uint8_t hello_sent[VCPU_HELLO_BYTES], hello_received[VCPU_HELLO_BYTES];
	struct vcpu_seal to_peer, from_peer; /* up: each may have a thread of its own */
};

/* `peer` is of interest only where this side connects. 0, or -EIO: no random numbers. */
int vcpu_link_init(struct vcpu_link *link, const struct vcpu_self *self, bool connecting,
		   unsigned peer);
void vcpu_link_deinit(struct vcpu_link *link);
/* The connecting side's first frame; returns its bytes. */
size_t vcpu_link_hello(struct vcpu_link *link, uint8_t out[VCPU_FRAME_MAX]);
/*
 * A whole frame of the handshake, of vcpu_frame_bytes(), has come in. 0: `out` is to be sent, if
 * *out_bytes is not 0. Otherwise an errno, `why`, and out has a REFUSE for the peer, or nothing;
 * the connection is to be closed.
 */
int vcpu_link_greet(struct vcpu_link *link, const uint8_t *bytes, uint8_t out[VCPU_FRAME_MAX],
		    size_t *out_bytes, char why[VCPU_WHY_BYTES]);
/* How many bytes the frame has that begins so, in the link's state, with its seal; -EBADMSG. */
int vcpu_link_bytes(const struct vcpu_link *link, const uint8_t *clear);

/* The link is up for those below. */

/* Writes a frame that is valid, sealed; returns its bytes, or -EIO: the connection has to end. */
int vcpu_link_close(struct vcpu_link *link, const uint8_t *encoded, size_t bytes,
		    uint8_t out[VCPU_FRAME_MAX]);
/*
 * Opens, in place, a frame of vcpu_link_bytes(). 0: the frame is the peer's and valid, and whatever
 * vCPU it names is where it has to be. -EILSEQ: not what the peer sealed next. -EBADMSG: the peer
 * sent what no node may. -EIO.
 */
int vcpu_link_open(struct vcpu_link *link, uint8_t *bytes, size_t count, struct vcpu_frame *frame);

#endif
