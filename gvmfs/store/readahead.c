// SPDX-License-Identifier: GPL-2.0-or-later
/* readahead.c - see readahead.h. */
#include "readahead.h"

#include "gvm_wire.h"

#include <stddef.h>

#define STRIDE_MAX (64 * GVM_CHUNK_PAGES) /* a longer jump is no stride */

/* READs of a sequential reader may be slightly out of order, or skip what the page cache has. */
static int continues(const struct readahead_stream *s, uint64_t first)
{
	if (!s->used_at)
		return 0;
	if (s->stride && first == s->last + (uint64_t)s->stride)
		return 1;
	return first >= s->end && first < s->end + GVM_CHUNK_PAGES;
}

/* The stream whose last READ covers this page: on the fast path a reader that overtakes the fetches
 * faults several times in one chunk. */
static struct readahead_stream *stream_around(struct readahead *ra, uint64_t first)
{
	for (unsigned i = 0; i < READAHEAD_STREAMS; i++)
		if (first > ra->streams[i].last && first < ra->streams[i].end)
			return &ra->streams[i];
	return NULL;
}

static struct readahead_stream *stream_find(struct readahead *ra, uint64_t first)
{
	struct readahead_stream *oldest = &ra->streams[0];

	for (unsigned i = 0; i < READAHEAD_STREAMS; i++)
		if (continues(&ra->streams[i], first))
			return &ra->streams[i];
	/* A second READ at a fixed distance turns a stream that has just begun into a strided one. */
	for (unsigned i = 0; i < READAHEAD_STREAMS; i++) {
		struct readahead_stream *s = &ra->streams[i];
		int64_t distance = (int64_t)(first - s->last);

		if (s->used_at == ra->clock - 1 && !s->sure && distance &&
		    distance > -(int64_t)STRIDE_MAX && distance < (int64_t)STRIDE_MAX) {
			s->stride = distance;
			s->begin = first;
			s->window = 0;
			return s;
		}
	}
	for (unsigned i = 1; i < READAHEAD_STREAMS; i++)
		if (ra->streams[i].used_at < oldest->used_at)
			oldest = &ra->streams[i];
	*oldest = (struct readahead_stream){ .begin = first };
	return oldest;
}

static void narrow_note(struct readahead *ra, struct readahead_stream *s, bool goes_on, uint64_t count)
{
	s->narrow = goes_on && count <= READAHEAD_AROUND ? s->narrow + 1 : 0;
	ra->narrow = s->narrow;
	if (goes_on && count > READAHEAD_AROUND)
		ra->rewidened = 0;
}

static void credit_note(struct readahead *ra, bool goes_on, uint64_t count)
{
	if (goes_on) {
		ra->credit += count < READAHEAD_EARNS ? (unsigned)count : READAHEAD_EARNS;
		if (ra->credit > READAHEAD_EARNS)
			ra->credit = READAHEAD_EARNS;
		return;
	}
	ra->credit -= ra->credit < READAHEAD_ELSEWHERE ? ra->credit : READAHEAD_ELSEWHERE;
	ra->strays += !ra->credit && !ra->widened && count > READAHEAD_AROUND;
}

enum readahead_around readahead_around(const struct readahead *ra, int tid, int *whose)
{
	unsigned doublings = ra->narrowed < 16 ? ra->narrowed : 16;

	*whose = ra->widened ? ra->widened : tid;
	if (ra->widened && !ra->credit)
		return READAHEAD_NARROWS;
	if (ra->widened) {
		doublings = ra->rewidened < 16 ? ra->rewidened : 16;
		*whose = tid;
		return ra->narrow >= READAHEAD_NARROW << doublings ? READAHEAD_WIDENS : READAHEAD_STAYS;
	}
	if (ra->credit >= READAHEAD_EARNED)
		return READAHEAD_WIDENS;
	/* A program whose own reads are large looks the same, so this is tried less and less often. */
	return ra->strays >= READAHEAD_STRAYS << doublings ? READAHEAD_NARROWS : READAHEAD_STAYS;
}

void readahead_set_around(struct readahead *ra, enum readahead_around around, int whose)
{
	ra->narrowed += around == READAHEAD_NARROWS && !ra->widened;
	ra->rewidened += around == READAHEAD_WIDENS;
	ra->narrow = 0;
	for (unsigned i = 0; i < READAHEAD_STREAMS; i++)
		ra->streams[i].narrow = 0;
	ra->widened = around == READAHEAD_WIDENS ? whose : 0;
	ra->strays = 0;
}

unsigned readahead_note(struct readahead *ra, uint64_t first, uint64_t count, uint64_t limit_chunks,
			uint64_t chunks[READAHEAD_WINDOW])
{
	struct readahead_stream *s;
	uint64_t begin, span, last_chunk;
	unsigned n = 0;
	bool goes_on;

	ra->clock++;
	s = stream_around(ra, first);
	if (s) {
		s->used_at = ra->clock;
		ra->narrow = 0;
		ra->elsewhere = false;
		return 0;
	}
	s = stream_find(ra, first);
	goes_on = s->used_at && first >= s->end && first < s->end + GVM_CHUNK_PAGES;
	credit_note(ra, goes_on, count);
	narrow_note(ra, s, goes_on, count);
	ra->elsewhere = true;
	if (s->used_at) {
		int64_t distance = (int64_t)(first - s->last);

		if (first >= s->end && first < s->end + GVM_CHUNK_PAGES) {
			s->sure++;
			s->stride = distance;
		} else if (distance == s->stride && s->window) {
			s->sure++;
		} else {
			s->sure = 0;
		}
		ra->elsewhere = !s->sure;
		s->window = s->window ? s->window * 2 : 1;
		if (s->window > READAHEAD_WINDOW)
			s->window = READAHEAD_WINDOW;
	}
	s->last = first;
	s->end = first + count;
	s->used_at = ra->clock;
	if (s->sure < READAHEAD_SURE ||
	    (first > s->begin ? first - s->begin : s->begin - first) < READAHEAD_PAGES)
		return 0;

	/* The chunks in which the next READs will fall, without the one in which this READ ends. */
	last_chunk = (s->end - 1) / GVM_CHUNK_PAGES;
	begin = first;
	span = count;
	for (unsigned step = 0; step < 4 * READAHEAD_WINDOW && n < s->window; step++) {
		begin += (uint64_t)s->stride;
		for (uint64_t c = begin / GVM_CHUNK_PAGES;
		     c <= (begin + span - 1) / GVM_CHUNK_PAGES && n < s->window; c++) {
			if (c >= limit_chunks)
				return n;
			if (c == last_chunk)
				continue;
			chunks[n++] = c;
			last_chunk = c;
		}
	}
	return n;
}
