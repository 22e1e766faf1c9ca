// SPDX-License-Identifier: GPL-2.0-or-later
/* xml.c - see xml.h. */
#include "xml.h"

#include "utf8.h"

#include <stdbool.h>
#include <string.h>

/* Of n bytes, 0: it is no character. */
static bool is_allowed(const char *text, unsigned n)
{
	const unsigned char *c = (const unsigned char *)text;

	return n == 1 ? *c >= ' ' && *c != 0x7f : n != 3 || c[0] != 0xef || c[1] != 0xbf || c[2] < 0xbe; /* U+FFFE, U+FFFF */
}

void xml_text(FILE *f, const char *text)
{
	for (unsigned n; *text; text += n ? n : 1) {
		n = utf8_bytes(text);
		if (*text == '<')
			fputs("&lt;", f);
		else if (*text == '&')
			fputs("&amp;", f);
		else if (!is_allowed(text, n))
			fputc('?', f);
		else
			fwrite(n ? text : UTF8_REPLACEMENT, 1, n ? n : strlen(UTF8_REPLACEMENT), f);
	}
}
