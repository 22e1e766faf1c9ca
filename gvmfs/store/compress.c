// SPDX-License-Identifier: GPL-2.0-or-later
/* compress.c - see compress.h. */
#include "compress.h"

#define PS_PER_S  1000000000000ull
#define SMOOTH	  4u
/* Threads that compress at a time: a link that is slower than they are together is better fed by them. */
#define WRITERS	  2u
#define TRY_AFTER 64u /* chunks that went one way: the next one goes the other way, since the figures may have changed */

static bool link_bears(uint64_t link, uint64_t ps)
{
	return link > PS_PER_S / ps;
}

bool compress_goes_raw(struct compress *c, enum options_compress when, uint64_t link)
{
	bool raw;

	if (when == COMPRESS_ALWAYS || !link)
		return false;
	if (when == COMPRESS_NEVER)
		return true;
	/* Where the link is slower than lz4, nothing is gained by more bytes, nor learnt. */
	if (!c->packed_ps || !link_bears(link, c->packed_ps))
		return false;
	raw = c->raw_ps && c->raw_ps < c->packed_ps && link_bears(link, c->packed_ps / WRITERS);
	if (c->raw_ps && c->same < TRY_AFTER)
		return raw;
	return !raw;
}

static void smooth(uint64_t *ps, uint64_t now_ps)
{
	*ps = *ps ? (*ps * (SMOOTH - 1) + now_ps) / SMOOTH : now_ps;
	*ps += !*ps;
}

void compress_took(struct compress *c, bool raw, uint32_t bytes, uint64_t ns)
{
	bool other = raw != (c->raw_ps && c->raw_ps < c->packed_ps);

	c->same = other ? 0 : c->same + 1;
	smooth(raw ? &c->raw_ps : &c->packed_ps, ns * 1000 / bytes);
}
