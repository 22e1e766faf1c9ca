/* SPDX-License-Identifier: GPL-2.0-or-later */
/* families.h - what Prometheus is told of each figure of gvmfs, of nodes and of the kernel module: its name there, its type
 * and a line of help. Pure. */
#ifndef TOOLS_METRICS_FAMILIES_H
#define TOOLS_METRICS_FAMILIES_H

enum metrics_kind {
	METRICS_MOUNT,
	METRICS_REGION,
	METRICS_NODE,
	/* of the kernel mode, as this host sees them: */
	METRICS_DSM_REGION,
	METRICS_DSM_NODE,
	METRICS_KINDS
};

/* METRICS_NS, METRICS_NS_COUNTER: in seconds, of a figure in ns. */
enum metrics_type { METRICS_COUNTER, METRICS_GAUGE, METRICS_NS, METRICS_NS_COUNTER };

struct metrics_family {
	unsigned kinds;	  /* bits: 1 << enum metrics_kind, of what it is a figure */
	const char *stat; /* its name in the lines of user.gvm.stats, of gvm node, or of giantvm/REGION/stats in debugfs */
	const char *name; /* for Prometheus, behind gvm_mount_, gvm_region_ ... */
	enum metrics_type type;
	const char *help; /* without the full stop at its end */
};

extern const struct metrics_family metrics_families[];
extern const unsigned metrics_family_count;
extern const char *const metrics_kind_names[METRICS_KINDS];

#endif
