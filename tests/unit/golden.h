/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * golden.h - reads frames written as text: golden/frames.hex and the examples of PROTOCOL.md.
 *
 * A frame begins with a line `= name`. Then follow bytes in hex, in any grouping; `5a*4096` is a
 * byte repeated; `#` begins a remark.
 */
#ifndef GVM_GOLDEN_H
#define GVM_GOLDEN_H

#include "check.h"

#include <ctype.h>

#define GOLDEN_FRAMES_MAX 64
#define GOLDEN_BYTES_MAX  16384

struct golden {
	char name[32];
	size_t bytes;
	uint8_t byte[GOLDEN_BYTES_MAX];
};

static inline int golden_digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static inline void golden_add(struct golden *g, uint8_t byte, size_t times)
{
	CHECK(times <= sizeof(g->byte) - g->bytes);
	memset(g->byte + g->bytes, byte, times);
	g->bytes += times;
}

/* Adds the bytes of one line. */
static inline void golden_line(struct golden *g, const char *s)
{
	while (*s && *s != '#') {
		int high, low;

		if (isspace((unsigned char)*s)) {
			s++;
			continue;
		}
		high = golden_digit(s[0]);
		low = high < 0 ? -1 : golden_digit(s[1]);
		CHECK(high >= 0 && low >= 0);
		s += 2;
		if (*s == '*')
			golden_add(g, (uint8_t)(high << 4 | low), strtoul(s + 1, (char **)&s, 10));
		else
			golden_add(g, (uint8_t)(high << 4 | low), 1);
	}
}

static inline FILE *golden_open(const char *path)
{
	const char *root = getenv("GVM_SOURCE_ROOT");
	char full[4096];
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", root ? root : ".", path);
	f = fopen(full, "r");
	if (!f)
		fprintf(stderr, "cannot open %s (is GVM_SOURCE_ROOT set?)\n", full);
	CHECK(f);
	return f;
}

/* Returns how many frames there are. They are allocated once, for the life of the test. */
static inline size_t golden_load(struct golden **frames)
{
	static struct golden *all;
	static size_t count;
	char line[1024];
	FILE *f;

	if (!all) {
		all = calloc(GOLDEN_FRAMES_MAX, sizeof(*all));
		CHECK(all);
		f = golden_open("tests/unit/golden/frames.hex");
		while (fgets(line, sizeof(line), f)) {
			if (line[0] == '=') {
				CHECK(count < GOLDEN_FRAMES_MAX);
				CHECK(sscanf(line, "= %31s", all[count++].name) == 1);
			} else if (count) {
				golden_line(&all[count - 1], line);
			}
		}
		fclose(f);
	}
	*frames = all;
	return count;
}

static inline const struct golden *golden_find(const char *name)
{
	struct golden *all;
	size_t count = golden_load(&all);

	for (size_t i = 0; i < count; i++)
		if (!strcmp(all[i].name, name))
			return &all[i];
	fprintf(stderr, "no golden frame named %s\n", name);
	exit(1);
}

#endif
