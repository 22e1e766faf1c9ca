// SPDX-License-Identifier: GPL-2.0-or-later
/* xml.c - see xml.h. */
#include "xml.h"

#include "utf8.h"

#include <string.h>

void xml_text(FILE *f, const char *text)
{
	for (unsigned n; *text; text += n ? n : 1) {
		n = utf8_bytes(text);
		if (*text == '<')
			fputs("&lt;", f);
		else if (*text == '&')
			fputs("&amp;", f);
		else if (n == 1 && ((unsigned char)*text < ' ' || *text == 0x7f))
			fputc('?', f);
		else
			fwrite(n ? text : UTF8_REPLACEMENT, 1, n ? n : strlen(UTF8_REPLACEMENT), f);
	}
}
