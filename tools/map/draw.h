/* SPDX-License-Identifier: GPL-2.0-or-later */
/* draw.h - a region's map as text for a terminal, and as SVG. */
#ifndef TOOLS_MAP_DRAW_H
#define TOOLS_MAP_DRAW_H

#include "state.h"

#include <stdio.h>

#define MAP_COLUMNS_MAX 1024u

/* So many columns and at most so many rows of characters; `colours`: two cells in each, as half blocks;
 * otherwise each cell is a letter. */
void map_print(FILE *f, const char *name, const struct map_state *state, unsigned columns, unsigned rows, bool colours);
void map_svg(FILE *f, const char *name, const struct map_state *state);

#endif
