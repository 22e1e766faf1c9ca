// SPDX-License-Identifier: GPL-2.0-or-later
#include "find.h"

#include "dump.h"
#include "memnode/size.h"
#include "say.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN 48u /* bytes of what is there */

struct find {
	const uint8_t *bytes;
	size_t count;
	uint64_t found;
	/* The end of what was looked at last: a match may go on where the next part begins. */
	uint8_t *joined;
	size_t kept;
	uint64_t next_gpa;
};

static int digit(char c)
{
	static const char digits[] = "0123456789abcdef";
	const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;

	return at ? (int)(at - digits) : -1;
}

int find_hex(const char *text, uint8_t bytes[FIND_BYTES_MAX], size_t *count)
{
	*count = 0;
	while (*text) {
		int high, low;

		if (*text == ' ') {
			text++;
			continue;
		}
		high = digit(text[0]);
		low = high < 0 ? -1 : digit(text[1]);
		if (low < 0 || *count == FIND_BYTES_MAX)
			return -EINVAL;
		bytes[(*count)++] = (uint8_t)(high << 4 | low);
		text += 2;
	}
	return *count ? 0 : -EINVAL;
}

static void found_print(struct find *f, uint64_t gpa, const uint8_t *at, size_t left)
{
	char text[SHOWN + 1];

	dump_text(text, at, left < SHOWN ? left : SHOWN);
	printf("0x%012" PRIx64 "  %s\n", gpa, text);
	f->found++;
}

static int find_visit(void *arg, uint64_t gpa, const uint8_t *data, size_t bytes)
{
	struct find *f = arg;
	const uint8_t *at = f->joined, *end, *hit;

	if (gpa != f->next_gpa)
		f->kept = 0;
	memcpy(f->joined + f->kept, data, bytes);
	end = f->joined + f->kept + bytes;
	while ((hit = memmem(at, (size_t)(end - at), f->bytes, f->count))) {
		found_print(f, gpa - f->kept + (uint64_t)(hit - f->joined), hit, (size_t)(end - hit));
		at = hit + 1;
	}
	f->kept = (size_t)(end - f->joined) < f->count - 1 ? (size_t)(end - f->joined) : f->count - 1;
	memmove(f->joined, end - f->kept, f->kept);
	f->next_gpa = gpa + bytes;
	return 0;
}

int find_run(const struct memory *m, const uint8_t *bytes, size_t count)
{
	struct find f = { .bytes = bytes, .count = count };
	char text[SIZE_TEXT];
	uint64_t unreadable;
	int rc = -ENOMEM;

	f.joined = malloc(FIND_BYTES_MAX + MEMORY_VISIT_BYTES);
	if (f.joined)
		rc = memory_each(m, "search", find_visit, &f, &unreadable);
	free(f.joined);
	if (rc) {
		say("the search failed: %s", strerror(-rc));
		return 1;
	}
	if (unreadable)
		say("%s could not be read, and were not looked at: gvm stat tells of errors", size_text(unreadable, text));
	return f.found ? 0 : 1;
}
