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
	char *labels;	 /* what stands in braces */
	bool up;	 /* it has answered; a region always has */
	char *stats;	 /* lines of "name value"; NULL: it has not */
	bool has_waits;
	struct waits waits;
	uint64_t round_ns; /* of a node: how long its answer took */
	uint64_t held_bytes; /* of a region: on the nodes; of a mount: */
	uint64_t lent_bytes, free_bytes;
};

STAILQ_HEAD(metrics_sources, metrics_source);

/* Adds one with these labels, of which `value` may be any bytes; a second label may be NULL. NULL: no memory. */
struct metrics_source *metrics_source_add(struct metrics_sources *all, enum metrics_kind kind, const char *label,
					  const char *value, const char *second, const char *second_value);
void metrics_sources_free(struct metrics_sources *all);

void metrics_print(FILE *f, const struct metrics_sources *all);

#endif
