/* SPDX-License-Identifier: GPL-2.0-or-later */
/* view.h - what gvm top shows, as lines: of two samples the later one, and what happened in between. Pure. */
#ifndef TOOLS_TOP_VIEW_H
#define TOOLS_TOP_VIEW_H

#include "nodes.h"
#include "sample.h"

#define TOP_COLUMNS_MIN 80u
#define TOP_COLUMNS_MAX 250u
/* Of a line, what is beside the name: */
#define TOP_REGION_COLUMNS 65u
#define TOP_NODE_COLUMNS   60u

enum top_sort { TOP_BY_NAME, TOP_BY_FAULTS, TOP_BY_WAIT, TOP_BY_HERE, TOP_BY_WRITTEN, TOP_SORTS };
extern const char *const top_sort_names[TOP_SORTS];

/* How a line is to stand out. */
enum top_look { TOP_PLAIN, TOP_HEAD, TOP_TITLE, TOP_WARN, TOP_BAD };

struct top_line {
	char text[4 * TOP_COLUMNS_MAX + 1];
	enum top_look look;
	/* of a region's line, NULL in others: valid as long as the sample */
	const struct top_mount *mount;
	const struct top_region *region;
};

struct top_lines {
	struct top_line *list;
	unsigned count, room;
};

/* What is shown, and how wide. */
struct top_moment {
	const struct top_sample *now, *before; /* before NULL: no rates are known yet */
	const struct top_nodes *nodes;
	unsigned columns;
};

/* Everything, regions in that order. Replaces what was in `lines`. */
void top_view_all(struct top_lines *lines, const struct top_moment *at, enum top_sort sort);
/* One region. */
void top_view_region(struct top_lines *lines, const struct top_moment *at, const struct top_mount *mount,
		     const struct top_region *region);
void top_lines_free(struct top_lines *lines);

#endif
