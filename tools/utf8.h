/* SPDX-License-Identifier: GPL-2.0-or-later */
/* utf8.h - which bytes of a name, which may be any bytes, are characters of UTF-8. Pure. */
#ifndef TOOLS_UTF8_H
#define TOOLS_UTF8_H

#define UTF8_REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* How many bytes the UTF-8 character has with which the text begins (RFC 3629: no longer than need be, no
 * surrogate); 0: it begins with none. */
unsigned utf8_bytes(const char *text);
/* The same text, with U+FFFD for each byte that belongs to no character. The caller frees it; NULL: no memory. */
char *utf8_clean(const char *text);

#endif
