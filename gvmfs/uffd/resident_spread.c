// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * resident_spread.c - whether the second fault in a chunk of resident.h brings the rest of it.
 *
 * While the budget has room, it does: more faults are likely, and the pages take nobody's place. Once it has none, the
 * rest costs as much as some faults, and pages that are perhaps used have to go for it. What pays then is learned from
 * the chunks that go: in how many of their windows a fault was. Those that were brought as a whole cannot tell, so one
 * chunk in eight never is by its second fault.
 */
#include "resident_priv.h"

#define WINDOWS	   (GVM_CHUNK_PAGES / RESIDENT_WINDOW)
#define SPREAD_ONE 64u
#define DENSE	   (WINDOWS / 2 * SPREAD_ONE) /* from here on the rest is brought */

void spread_begin(struct resident *r)
{
	r->spread = DENSE;
}

void spread_learn(struct resident *r, uint64_t c)
{
	const uint32_t window = (1u << RESIDENT_WINDOW) - 1;
	unsigned n = 0;

	if (r->chunk[c].whole)
		return;
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p += RESIDENT_WINDOW)
		n += (r->mark[c].filled >> p & window) != 0;
	/* With one window there was no second fault. */
	if (n > 1)
		r->spread += n * SPREAD_ONE / 16 - r->spread / 16;
}

/* In no pattern that a program has, too. */
static bool is_probe(uint64_t c)
{
	return (uint32_t)c * 2654435761u >> 29 == 0;
}

/* Whether what is brought in makes other pages go. */
static bool is_tight(const struct resident *r)
{
	return r->local < r->chunks * GVM_CHUNK_PAGES &&
	       r->here + r->coming + GVM_CHUNK_PAGES + 2 * resident_headroom(r) > r->local;
}

bool spread_is_dense(const struct resident *r, uint64_t c)
{
	return !is_tight(r) || (r->spread >= DENSE && !is_probe(c));
}
