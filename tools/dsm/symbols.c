// SPDX-License-Identifier: GPL-2.0-or-later
#include "symbols.h"

#include <errno.h>
#include <stdio.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define KERNEL_MAP 0xffffffff80000000ull /* __START_KERNEL_map of x86-64 */
#define PAGE	   4096u
#define NAMED	   3 /* of one page */

struct symbol {
	uint64_t at; /* in the guest's RAM */
	const char *name;
};

static int by_address(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	return (x->at > y->at) - (x->at < y->at);
}

/* "ffffffff81000000 T _text". False: another line. */
static bool line_parse(char *line, struct symbol *symbol)
{
	char *end, *save, *at = strtok_r(line, " \t", &save), *type = strtok_r(NULL, " \t", &save), *name = strtok_r(NULL, " \t\r", &save);
	uint64_t address = at ? strtoull(at, &end, 16) : 0;

	if (!name || *end || strlen(type) != 1)
		return false;
	*symbol = (struct symbol){address - KERNEL_MAP, name};
	return address >= KERNEL_MAP;
}

int symbols_parse(struct symbols *s, char *text)
{
	size_t room = 0;

	*s = (struct symbols){.text = text};
	for (char *next = text, *line; (line = strsep(&next, "\n"));) {
		if (s->count == room) {
			struct symbol *grown = reallocarray(s->of, room ? room * 2 : 1024, sizeof(*grown));

			if (!grown)
				return -ENOMEM;
			s->of = grown;
			room = room ? room * 2 : 1024;
		}
		s->count += line_parse(line, &s->of[s->count]);
	}
	if (s->count < 2)
		return -EINVAL;
	qsort(s->of, s->count, sizeof(*s->of), by_address);
	return 0;
}

/* The first one that is not before `at`. */
static size_t first_from(const struct symbols *s, uint64_t at)
{
	size_t low = 0, high = s->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->of[middle].at < at)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void symbols_of_page(const struct symbols *s, uint64_t offset, char text[SYMBOLS_TEXT])
{
	uint64_t page = offset / PAGE * PAGE;
	size_t first = first_from(s, page), end = first_from(s, page + PAGE), named;
	int n = 0;

	*text = 0;
	/* Before the first and behind the last symbol nothing is the kernel's. */
	if (!end || first == s->count)
		return;
	/* What begins before the page reaches into it, unless something begins with it. */
	if (first == end || s->of[first].at > page)
		first--;
	if (first > end)
		return;
	for (named = first; named < end && named < first + NAMED && n < SYMBOLS_TEXT; named++)
		n += snprintf(text + n, (size_t)(SYMBOLS_TEXT - n), "%s%s", named > first ? ", " : "", s->of[named].name);
	if (named < end && n < SYMBOLS_TEXT)
		snprintf(text + n, (size_t)(SYMBOLS_TEXT - n), " and %zu others", end - named);
}

void symbols_deinit(struct symbols *s)
{
	free(s->of);
	free(s->text);
	*s = (struct symbols){0};
}
