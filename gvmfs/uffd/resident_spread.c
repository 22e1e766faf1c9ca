// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * resident_spread.c - how many pages a fault in a chunk of resident.h brings: its own, those of a window around it, or all
 * that the chunk still lacks.
 *
 * While the budget has room, the first fault brings a window and the second one the rest: more faults are likely, and the
 * pages take nobody's place. Once it has none, pages that are perhaps used have to go for each page that comes along. What
 * pays then is learned from the chunks that go:
 *
 * Windows. If the pages of a window seldom fault alone, a fault brings the window. Chunks whose pages came along with others
 * cannot tell; so in one chunk of 16 each page comes alone.
 *
 * The rest. If faults in many windows of a chunk follow each other soon, the second one of these brings the rest: a program
 * works its way through such a chunk. Faults that come one by one over a long time are of pages of their own, and the
 * rest would take the place of better ones; but once half of the pages came that way, the others are likely to. Chunks
 * that were brought as a whole cannot tell; so one chunk in eight never is.
 */
#include "page_run.h"
#include "resident_priv.h"

#define WINDOWS	   (GVM_CHUNK_PAGES / RESIDENT_WINDOW)
#define ONE	   1024u	/* of the means */
#define LEARN	   16u		/* the weight of what is known already */
/* The rest is brought from so many windows on, in the mean, and from so many pages of this chunk on: */
#define DENSE	   (WINDOWS / 2 * ONE)
#define FULL	   (GVM_CHUNK_PAGES / 2)
/* A window is brought from so many of its pages on, in the mean; at first, about what a guest uses of one. */
#define RUN	   (7 * ONE / 4)
#define RUN_FIRST  (2 * ONE)
#define SOON	   4u		/* misses of the region between two of a chunk, at most */
#define SOON_MAX   (WINDOWS - 1)

void spread_begin(struct resident *r)
{
	r->spread = DENSE;
	r->run = RUN_FIRST;
}

static void mean_learn(unsigned *mean, unsigned value)
{
	*mean += value / LEARN - *mean / LEARN;
}

void spread_learn(struct resident *r, uint64_t c)
{
	const uint32_t window = (1u << RESIDENT_WINDOW) - 1, filled = r->mark[c].filled;
	const struct chunk *k = &r->chunk[c];
	unsigned n = 0;

	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p += RESIDENT_WINDOW)
		n += (filled >> p & window) != 0;
	if (!n || k->whole)
		return;
	if (!k->several)
		mean_learn(&r->run, (unsigned)__builtin_popcount(filled) * ONE / n);
	if (n > 1 && k->soon)
		mean_learn(&r->spread, (k->soon + 1u < n ? k->soon + 1u : n) * ONE);
}

/* What is done in some chunks only, in order to learn. Which they are has nothing to do with a program's own pattern. */
static unsigned sample_of(uint64_t c)
{
	return (uint32_t)c * 2654435761u >> 28;
}

static bool is_never_completed(uint64_t c)
{
	return sample_of(c) < 2;
}

static bool is_brought_by_page(uint64_t c)
{
	return sample_of(c) == 2;
}

/* Whether what is brought in makes other pages go. */
static bool is_tight(const struct resident *r)
{
	return r->local < r->chunks * GVM_CHUNK_PAGES &&
	       r->here + r->coming + GVM_CHUNK_PAGES + 2 * resident_headroom(r) > r->local;
}

uint32_t spread_want(struct resident *r, uint64_t c, unsigned page)
{
	struct chunk *k = &r->chunk[c];
	bool tight = is_tight(r), soon = r->mark[c].filled && (uint8_t)(r->misses - k->missed) <= SOON;
	bool full = (unsigned)__builtin_popcount(r->mark[c].filled) >= FULL;
	bool dense = !tight || (!is_never_completed(c) && (full || (soon && r->spread >= DENSE)));
	unsigned window = tight && (r->run < RUN || is_brought_by_page(c)) ? 1 : RESIDENT_WINDOW;

	k->soon += soon && k->soon < SOON_MAX;
	k->missed = (uint8_t)++r->misses;
	return r->mark[c].filled && dense ? ~0u : page_run_mask(page / window * window, window);
}
