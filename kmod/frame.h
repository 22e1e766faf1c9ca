/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The format of a connection between two nodes: frames, each a head of 8 bytes and a body.
 *
 *	offset	bytes
 *	0	2	bytes of the body
 *	2	1	kind
 *	3	1	0
 *	4	4	MESSAGE: tag of the region, a digest of its id, name and size; 0: BEAT or
 *			BEATEN, of no region. Else 0
 *
 * Numbers are little-endian. A connection begins with a HELLO from either side, the accepting one
 * second; where there is a key, a PROOF from either side follows, the connecting one first. Then
 * MESSAGEs flow, each with one message of the protocol core (ivy/wire.h), and REGIONs, all of them
 * sealed. HELLO:
 *
 *	0	8	"GVM-IVY\11" (octal); the last byte is the version
 *	8	2	from: the sender's node id
 *	10	2	to
 *	12	4	flags: 1: a PROOF is needed; 2: each pair of nodes has a key of its own
 *	16	8	digest of the addresses of both nodes in the sender's list, and of lease_ms
 *	24	16	random
 *
 * REGION is a question about a region, an offer of one, its withdrawal, an answer (agree.h), or how
 * a home is to open its share (opening.h):
 *
 *	0	1	what: enum region_word
 *	1	1	ANSWER: enum region_share of the sender; OPEN: 2: as zeros, 3: as lost;
 *			else 0
 *	2	1	flags, but ASK: 1: the sender knows that the region is complete;
 *			2: the sender is its creator; 4: ANSWER: it has no room for the region
 *	3	1	0
 *	4	4	number of the question, repeated by the answer and by the withdrawal of an
 *			offer; 0: none
 *	8	8	OFFER, ANSWER: pages of the region at the sender; 0: the sender has none
 *	16	8	ANSWER: token of the region at the sender; OPEN: the same at the receiver
 *	24	8	id of that region, drawn by its creator. ASK: 0
 *	32	32	its name, padded with zeros; the last byte is zero
 *	64	2	how many homes it has; 0 where `pages` is
 *	66	32	their ids, 2 bytes each, ascending; then zeros
 *	98	2	how many nodes relay reads for it: those with lower ids; 0 where `pages` is
 *
 * From the key of all nodes, or of these two, HKDF (RFC 5869, with SHA-256) makes bytes for four
 * uses in this connection, 32 for each: the salt is "GVM-IVY", the info one byte, the use, and both
 * HELLOs, the connecting side's first. 0 and 1 are the PROOF of the connecting and of the accepting
 * side, 2 and 3 the keys of what they send after it.
 *
 * A sealed frame has 16 bytes more behind the body, which its head does not count: the tag of
 * ChaCha20-Poly1305 (RFC 8439). The first 2 bytes of the head are clear, and authenticated as
 * additional data; what follows them is encrypted. The nonce is the frame's number in this
 * direction, from 0, in 8 bytes behind 4 zero ones. An observer of the network sees the length of
 * each frame, thus whether it carries a page, and when it is sent; neither the page, nor its number
 * or region.
 *
 * Without a key a frame is not encrypted, and its seal is XXH64 of head and body, with the frame's
 * number for the seed, and 8 zero bytes: against damage alone. TCP's sum has 16 bits.
 */
#ifndef GVM_FRAME_H
#define GVM_FRAME_H

#include <linux/types.h>

#include "ivy/wire.h"
#include "seal.h"

#define FRAME_HEAD_BYTES 8
#define FRAME_BODY_BYTES_MAX IVY_MSG_MAX
#define FRAME_BYTES_MAX (FRAME_HEAD_BYTES + FRAME_BODY_BYTES_MAX + SEAL_BYTES)
#define HELLO_BYTES 40
#define HELLO_VERSION 9
#define HELLO_VERSION_AT 7
#define HELLO_NONCE_BYTES 16
#define PROOF_BYTES 32
#define REGION_FRAME_BYTES 100
#define REGION_HOMES_MAX 16
#define REGION_NAME_BYTES 32

enum frame_kind {
	FRAME_HELLO = 1,
	FRAME_PROOF = 2,
	FRAME_MESSAGE = 3,
	FRAME_REGION = 4,
};

struct frame_head {
	u16 body_bytes;
	u8 kind;
	u32 tag;
};

#define HELLO_PROOF_NEEDED 1u
#define HELLO_PAIR_KEYS 2u

struct hello {
	u16 from, to;
	u32 flags;
	u64 digest;
	u8 nonce[HELLO_NONCE_BYTES];
};

enum region_word {
	REGION_ASK = 1, /* have you this region? */
	REGION_OFFER = 2, /* I have it: be a home of it, if you are one */
	REGION_ANSWER = 3,
	REGION_WITHDRAW = 4, /* that offer is void */
	REGION_OPEN = 5, /* serve your share; answered like an offer */
};

enum region_share {
	SHARE_UNKNOWN = 0,
	SHARE_CLOSED = 1,
	SHARE_OPEN = 2,
	SHARE_LOST = 3, /* open, and its pages are lost until they are discarded */
	SHARES
};

#define REGION_COMPLETE 1u
#define REGION_CREATOR 2u
#define REGION_FULL 4u

struct home_list {
	u16 nr;
	u16 ids[REGION_HOMES_MAX]; /* ascending; zeros behind them */
	u16 relays; /* above the ids of its creator's list: see `relays` of struct ivy_params */
};

struct region_frame {
	u8 word; /* enum region_word */
	u8 share; /* enum region_share */
	u8 flags; /* REGION_COMPLETE, REGION_CREATOR, REGION_FULL */
	u32 number;
	u64 pages, token, id;
	struct home_list homes;
	char name[REGION_NAME_BYTES];
};

void gvm_frame_head_encode(const struct frame_head *head, u8 *bytes);
/* Of head and body of the frame that begins so, sealed or not; -EBADMSG: more than it may have. */
int gvm_frame_bytes(const u8 *bytes);
/* 0, or -EBADMSG: not well formed. */
int gvm_frame_head_decode(const u8 *bytes, struct frame_head *head);

void gvm_hello_encode(const struct hello *hello, u8 *bytes);
/* 0, -EBADMSG, or -EPROTONOSUPPORT for another version. */
int gvm_hello_decode(const u8 *bytes, struct hello *hello);

void gvm_region_frame_encode(const struct region_frame *frame, u8 *bytes);
/* 0, or -EBADMSG: not well formed. Does not check the name: see gvm_region_name_valid(). */
int gvm_region_frame_decode(const u8 *bytes, struct region_frame *frame);

#endif
