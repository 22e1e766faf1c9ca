/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * compress.h - whether a writer compresses a chunk, or leaves that to its nodes.
 *
 * On a slow link what counts is how few bytes there are. A fast one is kept waiting by lz4, and so is memory that is to be
 * freed: there a chunk may travel raw, and the node compresses it when nobody asks it for anything
 * (memnode/daemon/pack.h). But more bytes cost this host's kernel more, too: how much more depends on the network card.
 * So both ways are measured, from a page to the socket, on some chunks each, and the link's rate is the kernel's figure. Raw,
 * a chunk takes the longer of what this host takes and what the link does: that has to be less than it takes the writers
 * to compress it.
 */
#ifndef GVMFS_COMPRESS_H
#define GVMFS_COMPRESS_H

#include "options.h"

/* Of one writer; all zero before the first chunk. */
struct compress {
	uint64_t packed_ps, raw_ps; /* picoseconds for a byte of the chunk's, smoothed; 0: not measured yet */
	unsigned same;		    /* chunks, since the last one that went the other way */
};

/* Whether the next chunk goes raw. `link`: bytes a second that the slowest of its nodes takes; 0: not known, or one of them is
 * to get nothing raw. */
bool compress_goes_raw(struct compress *c, enum options_compress when, uint64_t link);
/* So long it took to encode and send `bytes` of a chunk. */
void compress_took(struct compress *c, bool raw, uint32_t bytes, uint64_t ns);

#endif
