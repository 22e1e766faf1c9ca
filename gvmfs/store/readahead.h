/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * readahead.h - recognises a reader that goes through a region in order, or in strides, and
 * predicts the chunks that it will read next. Pure code.
 *
 * A region has a few streams. A READ continues a stream if it begins where the stream's last READ
 * ended, or at the stream's stride from where that began. Each continuation makes the stream surer
 * and doubles its window, up to READAHEAD_WINDOW; a READ that fits no stream replaces the one that
 * was unused for longest. Nothing is prefetched until a stream has been continued READAHEAD_SURE
 * times and is READAHEAD_PAGES long: after a random fault the kernel reads around it, in several
 * adjacent READs if it has some of the pages, and those must not look like a sequential reader.
 */
#ifndef GVMFS_READAHEAD_H
#define GVMFS_READAHEAD_H

#include <stdint.h>

#define READAHEAD_STREAMS 4
#define READAHEAD_SURE	  2
#define READAHEAD_PAGES	  64u
#define READAHEAD_WINDOW  8u /* chunks */

struct readahead_stream {
	uint64_t begin; /* page at which the first READ began */
	uint64_t last;	/* page at which the last READ began */
	uint64_t end;	/* page after the last READ */
	int64_t stride; /* pages from the beginning of a READ to that of the next */
	unsigned sure;	/* how many READs in a row fitted the stride */
	unsigned window;
	uint64_t used_at;
};

struct readahead {
	struct readahead_stream streams[READAHEAD_STREAMS];
	uint64_t clock;
};

/*
 * Notes a READ of pages first..first+count-1 (count > 0) and fills chunks[] with those to prefetch,
 * nearest first; returns how many (0..READAHEAD_WINDOW). Chunks may repeat those of earlier calls:
 * the caller knows which it has. `limit_chunks` is the region's size.
 */
unsigned readahead_note(struct readahead *ra, uint64_t first, uint64_t count, uint64_t limit_chunks,
			uint64_t chunks[READAHEAD_WINDOW]);

#endif
