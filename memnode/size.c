// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Fractions are kept as an integer over a power of ten, so that 1.5G is exact and nothing depends
 * on floating point or on the locale.
 */
#include "size.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static int suffix_shift(char c)
{
	static const char order[] = "bkmgtpe";

	for (unsigned i = 0; i < sizeof(order) - 1; i++)
		if (c == order[i] || c == order[i] - 'a' + 'A')
			return (int)i * 10;
	return -1;
}

static int digit(char c, unsigned base)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (base == 16 && (c | 32) >= 'a' && (c | 32) <= 'f')
		return (c | 32) - 'a' + 10;
	return -1;
}

/* The whole number at *p, which is moved behind it. */
static int whole_parse(const char **p, unsigned base, unsigned __int128 *whole)
{
	if (digit(**p, base) < 0)
		return -EINVAL;
	for (*whole = 0; digit(**p, base) >= 0; ++*p) {
		*whole = *whole * base + (unsigned)digit(**p, base);
		if (*whole > INT64_MAX)
			return -ERANGE;
	}
	return 0;
}

static int parse(const char *text, uint64_t unit, bool long_suffix, uint64_t *bytes)
{
	bool hex = text[0] == '0' && (text[1] | 32) == 'x', fractional;
	unsigned __int128 whole, fraction = 0, scale = 1, total;
	const char *p = hex ? text + 2 : text;
	int rc = whole_parse(&p, hex ? 16 : 10, &whole), shift;

	if (rc)
		return rc;
	fractional = *p == '.';
	if (fractional && hex)
		return -EINVAL;
	if (fractional) {
		for (p++; *p >= '0' && *p <= '9'; p++) {
			if (scale >= 1000000000000ull)
				continue; /* digits beyond the precision of a byte */
			fraction = fraction * 10 + (unsigned)(*p - '0');
			scale *= 10;
		}
	}
	if (*p) {
		shift = suffix_shift(*p++);
		if (long_suffix && shift > 0 && !strcmp(p, "iB"))
			p += 2;
		if (shift < 0 || *p)
			return -EINVAL;
		unit = 1ull << shift;
	} else if (fractional) {
		return -EINVAL;
	} else if (digit(p[-1], 10) < 0) {
		unit = 1;
	}
	total = whole * unit + fraction * unit / scale;
	if (total > INT64_MAX)
		return -ERANGE;
	*bytes = (uint64_t)total;
	return 0;
}

int size_parse(const char *text, uint64_t unit, uint64_t *bytes)
{
	return parse(text, unit, false, bytes);
}

int size_parse_option(const char *text, uint64_t *bytes)
{
	return parse(text, 1, true, bytes);
}

int size_parse_limits(const char *text, uint64_t *min_bytes, uint64_t *max_bytes)
{
	const char *dots = strstr(text, "..");
	char min[SIZE_TEXT];
	int rc;

	if (dots && (size_t)(dots - text) >= sizeof(min))
		return -EINVAL;
	snprintf(min, sizeof(min), "%.*s", dots ? (int)(dots - text) : 0, text);
	rc = size_parse_option(dots ? min : text, min_bytes);
	if (!rc)
		rc = size_parse_option(dots ? dots + 2 : text, max_bytes);
	return !rc && *max_bytes < *min_bytes ? -EINVAL : rc;
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
