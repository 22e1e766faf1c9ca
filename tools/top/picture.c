// SPDX-License-Identifier: GPL-2.0-or-later
/* picture.c - see picture.h. Each line says how long it is, so that columns stand below each other in whatever font there is. */
#include "picture.h"

#include "tools/utf8.h"
#include "tools/xml.h"

#include <string.h>

#define COLUMN_TENTHS 84u /* of a pixel */
#define LINE_PIXELS   20u
#define EDGE	      12u

static const struct {
	const char *colour, *weight;
} looks[] = {
	[TOP_PLAIN] = {"#d8dee4", "normal"}, [TOP_HEAD] = {"#8b949e", "bold"}, [TOP_TITLE] = {"#ffffff", "bold"},
	[TOP_WARN] = {"#e3b341", "normal"},  [TOP_BAD] = {"#ff7b72", "bold"},
};

static unsigned characters(const char *text)
{
	unsigned count = 0;

	for (unsigned n; *text; text += n ? n : 1, count++)
		n = utf8_bytes(text);
	return count;
}

static void line_print(FILE *f, const struct top_line *line, unsigned row)
{
	char text[sizeof(line->text)];
	size_t n = strlen(line->text);
	unsigned tenths;

	memcpy(text, line->text, n + 1);
	while (n && text[n - 1] == ' ')
		text[--n] = '\0';
	if (!n)
		return;
	tenths = characters(text) * COLUMN_TENTHS;
	fprintf(f, "<text x=\"%u\" y=\"%u\" fill=\"%s\" font-weight=\"%s\" textLength=\"%u.%u\" xml:space=\"preserve\">", EDGE,
		EDGE + row * LINE_PIXELS + 14, looks[line->look].colour, looks[line->look].weight, tenths / 10, tenths % 10);
	xml_text(f, text);
	fputs("</text>\n", f);
}

void top_picture_print(FILE *f, const struct top_lines *lines, unsigned columns)
{
	fprintf(f,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" font-family=\"monospace\" font-size=\"14\">\n"
		"<rect width=\"100%%\" height=\"100%%\" rx=\"6\" fill=\"#161b22\"/>\n",
		columns * COLUMN_TENTHS / 10 + 2 * EDGE, lines->count * LINE_PIXELS + 2 * EDGE);
	for (unsigned i = 0; i < lines->count; i++)
		line_print(f, &lines->list[i], i);
	fputs("</svg>\n", f);
}
