// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fractions are kept as an integer over a power of ten, so that 1.5G is exact and nothing depends
 * on floating point or on the locale.
 */
#include "size.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

static int suffix_shift(char c)
{
	static const char order[] = "bkmgtp";

	for (unsigned i = 0; i < sizeof(order) - 1; i++)
		if (c == order[i] || c == order[i] - 'a' + 'A')
			return (int)i * 10;
	return -1;
}

int size_parse(const char *text, uint64_t unit, uint64_t *bytes)
{
	unsigned __int128 whole = 0, fraction = 0, scale = 1, total;
	const char *p = text;
	bool digits = false;
	int shift;

	for (; *p >= '0' && *p <= '9'; p++, digits = true) {
		whole = whole * 10 + (unsigned)(*p - '0');
		if (whole > INT64_MAX)
			return -ERANGE;
	}
	if (!digits)
		return -EINVAL;
	if (*p == '.') {
		for (p++; *p >= '0' && *p <= '9'; p++) {
			if (scale >= 1000000000000ull)
				continue; /* more digits than any size has bytes */
			fraction = fraction * 10 + (unsigned)(*p - '0');
			scale *= 10;
		}
	}
	if (*p) {
		shift = suffix_shift(*p++);
		if (shift < 0 || *p)
			return -EINVAL;
		unit = 1ull << shift;
	}
	total = whole * unit + fraction * unit / scale;
	if (total > INT64_MAX)
		return -ERANGE;
	*bytes = (uint64_t)total;
	return 0;
}

char *size_text(uint64_t bytes, char buf[SIZE_TEXT])
{
	static const char *const unit[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB"};
	double v = (double)bytes;
	unsigned i = 0;

	for (; v >= 1024 && i < 5; i++)
		v /= 1024;
	snprintf(buf, SIZE_TEXT, v == (double)(uint64_t)v || v >= 100 ? "%.0f %s" : "%.1f %s", v,
		 unit[i]);
	return buf;
}
