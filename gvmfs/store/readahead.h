/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * readahead.h - recognises a reader that goes through a region in order, or in strides, and says
 * which chunks it will want next. Pure code.
 *
 * A region has a few streams. A READ that continues one (it begins where the last one ended, or at
 * the same distance from it as that from the one before) makes that stream surer, and its window
 * twice as long, up to READAHEAD_WINDOW; a READ that fits none replaces the stream that was longest
 * unused. Nothing is fetched ahead until a stream has been continued READAHEAD_SURE times and has
 * come READAHEAD_PAGES far: the kernel reads around a random fault in several adjacent READs where
 * it has some of the pages, and those must not look like a sequential reader.
 */
#ifndef GVMFS_READAHEAD_H
#define GVMFS_READAHEAD_H

#include <stdint.h>

#define READAHEAD_STREAMS 4
#define READAHEAD_SURE	  2
#define READAHEAD_PAGES	  64u
#define READAHEAD_WINDOW  8u /* chunks */

struct readahead_stream {
	uint64_t begin; /* page where the first READ began */
	uint64_t last;	/* page where the last READ began */
	uint64_t end;	/* page after it */
	int64_t stride; /* pages from the beginning of a READ to that of the next */
	unsigned sure;	/* how often in a row that was right */
	unsigned window;
	uint64_t used_at;
};

struct readahead {
	struct readahead_stream streams[READAHEAD_STREAMS];
	uint64_t clock;
};

/*
 * Notes a READ of pages first..first+count-1 (count > 0) and fills chunks[] with those to fetch
 * ahead, nearest first; returns how many (0..READAHEAD_WINDOW). Chunks may repeat those of earlier
 * calls; the caller knows what it has. `limit_chunks` is the region's size.
 */
unsigned readahead_note(struct readahead *ra, uint64_t first, uint64_t count, uint64_t limit_chunks,
			uint64_t chunks[READAHEAD_WINDOW]);

#endif
