/* SPDX-License-Identifier: GPL-2.0-or-later */
/* exposition.h - the text in which Prometheus takes metrics (text format 0.0.4). */
#ifndef TOOLS_METRICS_EXPOSITION_H
#define TOOLS_METRICS_EXPOSITION_H

#include "families.h"
#include "tools/waits.h"

#include <stdbool.h>
#include <stdio.h>
#include <sys/queue.h>

/* A mount, a region or a node that was asked. */
struct metrics_source {
	STAILQ_ENTRY(metrics_source) entry;
	enum metrics_kind kind;
	char *labels;	 /* what stands in braces behind each of its metrics */
	bool up;	 /* it has answered; a region always has */
	char *stats;	 /* lines of "name value"; NULL: it has not answered */
	bool has_waits;	 /* `waits` is known */
	struct waits waits;
	uint64_t round_ns;   /* of a node: how long its answer took */
	uint64_t held_bytes; /* of a region: what the nodes hold of it */
	uint64_t lent_bytes, free_bytes; /* of a mount: what its nodes lend, and can still promise */
};

STAILQ_HEAD(metrics_sources, metrics_source);

/* Adds a source with one or two labels (`second` may be NULL), whose values may be any bytes. NULL: no memory. */
struct metrics_source *metrics_source_add(struct metrics_sources *all, enum metrics_kind kind, const char *label,
					  const char *value, const char *second, const char *second_value);
void metrics_sources_free(struct metrics_sources *all);

/* Writes the whole text. */
void metrics_print(FILE *f, const struct metrics_sources *all);

#endif
