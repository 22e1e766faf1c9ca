/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What keeps the frames of one direction of a connection whole once the handshake is complete
 * (frame.h): ChaCha20-Poly1305 where there is a key, a checksum where there is none. Frames are
 * numbered, so that one that is repeated, left out or out of order does not open. May be called in
 * softirqs; the caller serialises the calls for one direction.
 */
#ifndef GVM_SEAL_H
#define GVM_SEAL_H

#include <linux/types.h>

#define SEAL_BYTES 16 /* behind a frame */
#define SEAL_CLEAR_BYTES 2 /* of a frame, its length: authenticated, and not encrypted */
#define SEAL_KEY_BYTES 32

struct seal {
	bool keyed;
	u64 frames; /* so far: the next one's number */
	u8 key[SEAL_KEY_BYTES];
};

/* A direction's first frame is next. `key`: NULL if there is none. */
void gvm_seal_init(struct seal *seal, const u8 *key);
/*
 * Seals a frame of `bytes` in place; behind it is room for the seal. 0, or -EOVERFLOW: there is no
 * number left, and the connection has to end.
 */
int gvm_seal_close(struct seal *seal, u8 *frame, unsigned int bytes);
/*
 * Opens a frame of `bytes` in place; behind it is its seal. 0; or -EILSEQ: it is not the next frame
 * that the peer sealed, and nothing has changed; or -EOVERFLOW.
 */
int gvm_seal_open(struct seal *seal, u8 *frame, unsigned int bytes);

#endif
