/* SPDX-License-Identifier: GPL-2.0-or-later */
/* xml.h - text within XML, for pictures in SVG. */
#ifndef TOOLS_XML_H
#define TOOLS_XML_H

#include <stdio.h>

/* Any bytes: what would be markup is escaped, a character that XML does not allow is a question mark, and U+FFFD stands for what
 * is no UTF-8. */
void xml_text(FILE *f, const char *text);

#endif
