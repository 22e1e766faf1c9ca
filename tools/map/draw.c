// SPDX-License-Identifier: GPL-2.0-or-later
/* draw.c - see draw.h. Cells are in the order of the guest's memory, from left to right and from top to bottom. */
#include "draw.h"

#include "gvmfs/state/record.h"
#include "memnode/size.h"
#include "tools/xml.h"

#include <inttypes.h>

#define UPPER_HALF "\xe2\x96\x80"
#define BAR	   20u /* columns, of a node's part */

/* ---- cells */

struct grid {
	unsigned columns, rows;
	uint64_t each; /* chunks in a cell */
};

/* The grid for so many columns, and no more rows than are needed. */
static struct grid grid_of(const struct map_state *s, unsigned columns, unsigned rows)
{
	struct grid g = {columns, rows, 1};
	uint64_t cells = (uint64_t)columns * rows;

	if (s->chunks > cells)
		g.each = (s->chunks + cells - 1) / cells;
	g.rows = (unsigned)((s->chunks + g.each * columns - 1) / (g.each * columns));
	return g;
}

/* What a cell shows; MAP_KINDS: it is behind the region's end. */
static enum map_kind cell_at(const struct map_state *s, const struct grid *g, unsigned row, unsigned column)
{
	uint64_t first = ((uint64_t)row * g->columns + column) * g->each, end = first + g->each;

	return row >= g->rows || first >= s->chunks ? MAP_KINDS : map_cell(s, first, end < s->chunks ? end : s->chunks);
}

/* ---- a terminal */

static void letters_print(FILE *f, const struct map_state *s, const struct grid *g)
{
	for (unsigned row = 0; row < g->rows; row++) {
		for (unsigned column = 0; column < g->columns; column++) {
			enum map_kind k = cell_at(s, g, row, column);

			if (k < MAP_KINDS)
				fputc(map_looks[k].letter, f);
		}
		fputc('\n', f);
	}
}

static void halves_print(FILE *f, const struct map_state *s, const struct grid *g)
{
	for (unsigned row = 0; row < g->rows; row += 2) {
		enum map_kind was_up = MAP_KINDS, was_down = MAP_KINDS;

		for (unsigned column = 0; column < g->columns; column++) {
			enum map_kind up = cell_at(s, g, row, column), down = cell_at(s, g, row + 1, column);

			if (up == MAP_KINDS)
				break;
			if (!column || up != was_up)
				fprintf(f, "\x1b[38;5;%um", map_looks[up].ansi);
			if (down == MAP_KINDS ? (!column || was_down != down) : (!column || down != was_down)) {
				if (down == MAP_KINDS)
					fputs("\x1b[49m", f);
				else
					fprintf(f, "\x1b[48;5;%um", map_looks[down].ansi);
			}
			fputs(UPPER_HALF, f);
			was_up = up;
			was_down = down;
		}
		fputs("\x1b[0m\n", f);
	}
}

static void legend_print(FILE *f, const struct map_state *s, bool colours)
{
	uint64_t counts[MAP_KINDS];
	char size[SIZE_TEXT];

	map_count(s, counts);
	for (unsigned k = 0; k < MAP_KINDS; k++) {
		if (!counts[k])
			continue;
		if (colours)
			fprintf(f, "  \x1b[38;5;%um" UPPER_HALF UPPER_HALF "\x1b[0m", map_looks[k].ansi);
		else
			fprintf(f, "  %c ", map_looks[k].letter);
		fprintf(f, " %10s  %s\n", size_text(counts[k] * GVM_CHUNK_BYTES, size), map_looks[k].about);
	}
	if (s->cache_unknown)
		fputs("  (Before Linux 6.5 the kernel does not tell what is in the page cache.)\n", f);
}

static void nodes_print(FILE *f, const struct map_state *s)
{
	uint64_t all = 0, counts[MAP_KINDS];
	char size[SIZE_TEXT];

	map_count(s, counts);
	for (unsigned i = 0; i < s->node_count; i++)
		all += map_node_chunks(s, i);
	for (unsigned i = 0; i < s->node_count; i++) {
		uint64_t chunks = map_node_chunks(s, i);
		unsigned bar = all ? (unsigned)((chunks * BAR + all - 1) / all) : 0;

		fprintf(f, "  %-*.*s %10s  %s%s\n", (int)BAR, (int)bar, "####################",
			size_text(chunks * GVM_CHUNK_BYTES, size), s->nodes[i], counts[MAP_UNKNOWN] ? ", at most" : "");
	}
}

void map_print(FILE *f, const char *name, const struct map_state *s, unsigned columns, unsigned rows, bool colours)
{
	struct grid g = grid_of(s, columns, colours ? 2 * rows : rows);
	char size[SIZE_TEXT], each[SIZE_TEXT];

	fprintf(f, "%s: %s; each cell %s, from left to right\n", name, size_text(s->size_bytes, size),
		size_text(g.each * GVM_CHUNK_BYTES, each));
	if (colours)
		halves_print(f, s, &g);
	else
		letters_print(f, s, &g);
	legend_print(f, s, colours);
	nodes_print(f, s);
}

/* ---- SVG */

#define SVG_COLUMNS 128u
#define SVG_ROWS    96u
#define SVG_CELL    7u
#define SVG_TEXT    18u

/* Neighbours of one kind are one rectangle. */
static void row_svg(FILE *f, const struct map_state *s, const struct grid *g, unsigned row)
{
	for (unsigned column = 0, run; column < g->columns; column += run) {
		enum map_kind k = cell_at(s, g, row, column);
		uint64_t first = ((uint64_t)row * g->columns + column) * g->each, end;

		for (run = 1; column + run < g->columns && cell_at(s, g, row, column + run) == k; run++)
			;
		if (k == MAP_KINDS)
			continue;
		end = first + run * g->each < s->chunks ? first + run * g->each : s->chunks;
		fprintf(f, "<rect x=\"%u\" y=\"%u\" width=\"%u\" height=\"%u\" fill=\"#%06x\"><title>0x%" PRIx64 " - 0x%" PRIx64
			   ": %s</title></rect>\n",
			column * SVG_CELL, 2 * SVG_TEXT + row * SVG_CELL, run * SVG_CELL, SVG_CELL, map_looks[k].colour,
			first * (uint64_t)GVM_CHUNK_BYTES, end * (uint64_t)GVM_CHUNK_BYTES, map_looks[k].about);
	}
}

static unsigned legend_svg(FILE *f, const struct map_state *s, unsigned y)
{
	uint64_t counts[MAP_KINDS];
	char size[SIZE_TEXT];

	map_count(s, counts);
	for (unsigned k = 0; k < MAP_KINDS; k++) {
		if (!counts[k])
			continue;
		fprintf(f, "<rect x=\"0\" y=\"%u\" width=\"12\" height=\"12\" fill=\"#%06x\"/><text x=\"20\" y=\"%u\">%s: %s</text>\n",
			y - 11, map_looks[k].colour, y, map_looks[k].about, size_text(counts[k] * GVM_CHUNK_BYTES, size));
		y += SVG_TEXT;
	}
	return y;
}

static unsigned nodes_svg(FILE *f, const struct map_state *s, unsigned y)
{
	uint64_t most = 1, counts[MAP_KINDS];
	char size[SIZE_TEXT];

	map_count(s, counts);
	for (unsigned i = 0; i < s->node_count; i++) {
		uint64_t chunks = map_node_chunks(s, i);

		most = chunks > most ? chunks : most;
	}
	for (unsigned i = 0; i < s->node_count; i++) {
		uint64_t chunks = map_node_chunks(s, i);

		fprintf(f, "<rect x=\"0\" y=\"%u\" width=\"%" PRIu64 "\" height=\"12\" fill=\"#1f77b4\"/><text x=\"170\" y=\"%u\">%s%s on ",
			y - 11, chunks * 160 / most, y, counts[MAP_UNKNOWN] ? "at most " : "", size_text(chunks * GVM_CHUNK_BYTES, size));
		xml_text(f, s->nodes[i]);
		fputs("</text>\n", f);
		y += SVG_TEXT;
	}
	return y;
}

void map_svg(FILE *f, const char *name, const struct map_state *s)
{
	struct grid g = grid_of(s, SVG_COLUMNS, SVG_ROWS);
	char size[SIZE_TEXT], each[SIZE_TEXT];
	unsigned lines = 0, y;
	uint64_t counts[MAP_KINDS];

	map_count(s, counts);
	for (unsigned k = 0; k < MAP_KINDS; k++)
		lines += counts[k] != 0;
	y = 2 * SVG_TEXT + g.rows * SVG_CELL + SVG_TEXT + 8;
	fprintf(f, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" font-family=\"sans-serif\" font-size=\"13\">\n"
		   "<rect width=\"100%%\" height=\"100%%\" fill=\"#ffffff\"/>\n<text x=\"0\" y=\"%u\">",
		SVG_COLUMNS * SVG_CELL, y + (lines + s->node_count) * SVG_TEXT + 8, SVG_TEXT);
	xml_text(f, name);
	fprintf(f, ": %s; each cell %s, from left to right</text>\n", size_text(s->size_bytes, size),
		size_text(g.each * GVM_CHUNK_BYTES, each));
	for (unsigned row = 0; row < g.rows; row++)
		row_svg(f, s, &g, row);
	y = legend_svg(f, s, y);
	nodes_svg(f, s, y + 8);
	fputs("</svg>\n", f);
}
