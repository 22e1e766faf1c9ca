// SPDX-License-Identifier: GPL-2.0-or-later
/* stats.c - see stats.h. */
#include "stats.h"

#include <inttypes.h>
#include <stdio.h>

size_t stats_print(const struct stats *s, char *buf, size_t size)
{
	size_t n = 0;

#define STATS_LINE(name)                                                                           \
	if (n < size)                                                                              \
		n += (size_t)snprintf(buf + n, size - n, #name " %" PRIu64 "\n",                   \
				      atomic_load_explicit(&s->name, memory_order_relaxed));
	STATS(STATS_LINE)
#undef STATS_LINE
	return n < size ? n : size;
}
