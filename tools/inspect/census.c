// SPDX-License-Identifier: GPL-2.0-or-later
#include "census.h"

#include "memnode/size.h"
#include "say.h"

#include <errno.h>
#include <inttypes.h>
#include <lz4.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#define PAGE	     4096u
#define COMPRESSIBLE (PAGE * 3 / 4) /* to so much, or less */

struct census {
	uint64_t pages[CENSUS_RANDOM + 1];
	uint64_t *hash; /* of pages that are not zero, each: to tell how many there are twice */
	size_t hashes, room;
};

static bool is_zero(const uint8_t *page)
{
	return !page[0] && !memcmp(page, page + 1, PAGE - 1);
}

enum census_kind census_kind(const uint8_t *page)
{
	char to[COMPRESSIBLE];

	if (is_zero(page))
		return CENSUS_ZERO;
	return LZ4_compress_default((const char *)page, to, PAGE, sizeof(to)) > 0 ? CENSUS_COMPRESSIBLE : CENSUS_RANDOM;
}

static int hash_add(struct census *c, uint64_t hash)
{
	if (c->hashes == c->room) {
		size_t room = c->room ? c->room * 2 : 4096;
		uint64_t *grown = realloc(c->hash, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		c->hash = grown;
		c->room = room;
	}
	c->hash[c->hashes++] = hash;
	return 0;
}

static int census_visit(void *arg, uint64_t gpa, const uint8_t *data, size_t bytes)
{
	struct census *c = arg;
	int rc = 0;

	(void)gpa;
	for (size_t at = 0; at + PAGE <= bytes && !rc; at += PAGE) {
		enum census_kind kind = census_kind(data + at);

		c->pages[kind]++;
		if (kind != CENSUS_ZERO)
			rc = hash_add(c, XXH3_64bits(data + at, PAGE));
	}
	return rc;
}

static int hash_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static uint64_t copies(struct census *c)
{
	uint64_t n = 0;

	if (c->hashes)
		qsort(c->hash, c->hashes, sizeof(*c->hash), hash_compare);
	for (size_t i = 1; i < c->hashes; i++)
		n += c->hash[i] == c->hash[i - 1];
	return n;
}

static void row_print(const char *name, uint64_t pages, uint64_t all, const char *about)
{
	char text[SIZE_TEXT];

	printf("  %-13s %10" PRIu64 "  %10s  %5.1f %%  %s\n", name, pages, size_text(pages * PAGE, text),
	       all ? 100.0 * (double)pages / (double)all : 0, about);
}

int census_run(const struct memory *m)
{
	struct census c = { .hash = NULL };
	uint64_t unreadable, all = 0, seen;
	char text[SIZE_TEXT];
	int rc;

	for (unsigned i = 0; i < m->range_count; i++)
		all += m->ranges[i].bytes / PAGE;
	rc = memory_each(m, "census", census_visit, &c, &unreadable);
	if (rc) {
		free(c.hash);
		say("the census failed: %s%s", strerror(-rc),
		    rc == -ENOMEM ? ": it takes 8 bytes for each page that is not zero" : "");
		return 1;
	}
	seen = c.pages[CENSUS_ZERO] + c.pages[CENSUS_COMPRESSIBLE] + c.pages[CENSUS_RANDOM] + unreadable / PAGE;
	c.pages[CENSUS_ZERO] += all - (seen < all ? seen : all); /* holes were passed over */
	printf("  %-13s %10s  %10s  %7s\n", "pages", "number", "size", "share");
	row_print("zero", c.pages[CENSUS_ZERO], all, "");
	row_print("compressible", c.pages[CENSUS_COMPRESSIBLE], all, "to three quarters or less, by LZ4");
	row_print("random", c.pages[CENSUS_RANDOM], all, "hardly compressible, if at all");
	row_print("duplicate", copies(&c), all, "of the last two: as an earlier page is");
	if (unreadable)
		say("%s could not be read: gvm stat tells of errors", size_text(unreadable, text));
	free(c.hash);
	return 0;
}
