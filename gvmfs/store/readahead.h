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
 *
 * It also decides how much the kernel should read around a fault of a mapping: little
 * (READAHEAD_AROUND) while faults are scattered, since each page that a guest does not touch costs
 * it budget; far ahead for a reader that goes on in order. Pages read in order earn credit; a READ
 * from elsewhere costs more credit than a wide window earns, so a window without a sequential
 * reader is narrowed after a few faults. A reader in order that still reads little has another window.
 */
#ifndef GVMFS_READAHEAD_H
#define GVMFS_READAHEAD_H

#include <stdbool.h>
#include <stdint.h>

#define READAHEAD_STREAMS 4
#define READAHEAD_SURE	  2
#ifndef READAHEAD_PAGES /* simulators have less */
#define READAHEAD_PAGES	  64u
#define READAHEAD_WINDOW  8u /* chunks */
#endif

#define READAHEAD_AROUND   4u	 /* pages: the kernel's window while nothing is read in order */
#define READAHEAD_EARNED   1024u /* credit, in pages, at which it is widened */
#define READAHEAD_EARNS	   2048u /* the most credit, in pages */
#define READAHEAD_ELSEWHERE 512u /* pages of credit that a READ which continues no stream costs */
#define READAHEAD_STRAYS   8u
/* After so many small READs in order a window that should be wide is widened again. */
#define READAHEAD_NARROW   64u

struct readahead_stream {
	uint64_t begin; /* page at which the first READ began */
	uint64_t last;	/* page at which the last READ began */
	uint64_t end;	/* page after the last READ */
	int64_t stride; /* pages from the beginning of a READ to that of the next */
	unsigned sure;	/* how many READs in a row fitted the stride */
	unsigned narrow; /* how many in a row, each in order, were no larger than a narrow window */
	unsigned window;
	uint64_t used_at;
};

struct readahead {
	struct readahead_stream streams[READAHEAD_STREAMS];
	uint64_t clock;
	bool elsewhere;	/* the last READ continued no stream */
	unsigned credit; /* pages: see above */
	int widened;	 /* a thread of the process whose window is wide; 0: none is known */
	/* READs larger than READAHEAD_AROUND that continued no stream while no window should be
	 * wide. Many of them mean that some process's window is wide, perhaps since a predecessor's
	 * time. */
	unsigned strays;
	unsigned narrowed; /* how often such a window was narrowed */
	/* A window is an open file's, and the next reader in order may be another process, or the same with the file opened
	 * once more: it still reads little, so its window has to be widened, too. */
	unsigned narrow; /* of the stream that the last READ went on with */
	unsigned rewidened; /* how often that was done, and no larger READ has come since */
};

enum readahead_around { READAHEAD_STAYS, READAHEAD_WIDENS, READAHEAD_NARROWS };

/*
 * Notes a READ of pages first..first+count-1 (count > 0) and fills chunks[] with those to prefetch,
 * nearest first; returns how many (0..READAHEAD_WINDOW). Chunks may repeat those of earlier calls:
 * the caller knows which it has. `limit_chunks` is the region's size.
 */
unsigned readahead_note(struct readahead *ra, uint64_t first, uint64_t count, uint64_t limit_chunks,
			uint64_t chunks[READAHEAD_WINDOW]);

/* What should become of the kernel's window after the READ that was noted last, which came from
 * thread `tid`. *whose: a thread of the process whose window is to be changed; the caller then
 * calls readahead_set_around(). */
enum readahead_around readahead_around(const struct readahead *ra, int tid, int *whose);
void readahead_set_around(struct readahead *ra, enum readahead_around around, int whose);

#endif
