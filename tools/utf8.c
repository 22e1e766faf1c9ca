// SPDX-License-Identifier: GPL-2.0-or-later
/* utf8.c - see utf8.h. */
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

unsigned utf8_bytes(const char *text)
{
	const unsigned char *c = (const unsigned char *)text;
	unsigned n = *c < 0x80 ? 1 : *c >= 0xc2 && *c < 0xe0 ? 2 : (*c & 0xf0) == 0xe0 ? 3 : *c >= 0xf0 && *c < 0xf5 ? 4 : 0;

	for (unsigned i = 1; i < n; i++)
		if ((c[i] & 0xc0) != 0x80)
			return 0;
	if ((*c == 0xe0 && c[1] < 0xa0) || (*c == 0xed && c[1] > 0x9f) || (*c == 0xf0 && c[1] < 0x90) ||
	    (*c == 0xf4 && c[1] > 0x8f))
		return 0;
	return n;
}

char *utf8_clean(const char *text)
{
	size_t used = 0;
	char *clean = malloc(strlen(text) * strlen(UTF8_REPLACEMENT) + 1);

	while (clean && *text) {
		unsigned n = utf8_bytes(text);

		memcpy(clean + used, n ? text : UTF8_REPLACEMENT, n ? n : strlen(UTF8_REPLACEMENT));
		used += n ? n : strlen(UTF8_REPLACEMENT);
		text += n ? n : 1;
	}
	if (clean)
		clean[used] = '\0';
	return clean;
}
