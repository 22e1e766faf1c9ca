/* SPDX-License-Identifier: GPL-2.0-or-later */
/* families.h - what Prometheus is told of each of our counters: its name there, its type and a line of help. Pure. */
#ifndef TOOLS_METRICS_FAMILIES_H
#define TOOLS_METRICS_FAMILIES_H

enum metrics_kind { METRICS_MOUNT, METRICS_REGION, METRICS_NODE, METRICS_KINDS };

struct metrics_family {
	enum metrics_kind kind;
	const char *stat; /* of the lines that user.gvm.stats, or gvm node, has */
	const char *name; /* what is behind gvm_mount_, gvm_region_ or gvm_node_ */
	enum { METRICS_COUNTER, METRICS_GAUGE, METRICS_NS } type; /* METRICS_NS: a gauge, of seconds */
	const char *help;
};

extern const struct metrics_family metrics_families[];
extern const unsigned metrics_family_count;
extern const char *const metrics_kind_names[METRICS_KINDS];

#endif
