/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pack.h - compresses what came raw, while the node has nothing else to do, or when little room is left.
 *
 * A client whose link is faster than its compressor sends blocks raw (GVM_FEATURE_PACK). The node takes them as they
 * are, and compresses them later, a block at a time, so that a request that arrives meanwhile waits for no more than
 * that. A chunk keeps its version and its content; only how it is stored changes. It is verified before: one that is
 * rotten stays as it is, and is found to be so by whoever reads it.
 *
 * What waits for that is bounded: pack_is_behind() is told to clients, which compress by themselves until it is not.
 */
#ifndef GVM_PACK_H
#define GVM_PACK_H

#include "journal.h"
#include "region.h"

struct packer {
	struct regions *t;
	struct journal *journal; /* NULL: the node keeps no chunks on a disk */
	struct chunk_codec *codec;
	/* the next chunk to be looked at: a place in t->sorted, which may have changed since, and a number */
	unsigned region;
	uint64_t next;
	bool fruitless; /* nothing was found since the last region was looked at last */
	bool wrapped;	/* nothing was found in all of them: not to be looked at until packer_again() */
	/* the chunk that is being compressed, if `busy` */
	bool busy;
	struct gvm_id id;
	uint64_t chunk, version;
	uint32_t cell, bytes, check; /* of its entry */
	struct chunk_head from, to;
	uint32_t blocks;	 /* of `from`, that are still to be looked at */
	uint32_t from_at, to_at; /* the bytes of those before */
	uint8_t *from_body, *to_body; /* GVM_CHUNK_BYTES each */
};

/* 0 or -ENOMEM. */
int packer_init(struct packer *p, struct regions *t, struct journal *journal);
void packer_deinit(struct packer *p);

/* Does a piece of the work. False: there is none now. */
bool packer_step(struct packer *p);
/* What could not be done before (it was being sent) is to be looked at again. */
void packer_again(struct packer *p);

/* Whether so little room is left that what waits is to be compressed though the node is not idle. */
bool pack_is_urgent(const struct regions *t);

/* Whether so much waits that clients are to compress by themselves. */
bool pack_is_behind(const struct regions *t);

#endif
