/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sample.h - what gvm top shows, at one moment: mounts, their regions and their nodes, as gvmfs tells of them. */
#ifndef TOOLS_TOP_SAMPLE_H
#define TOOLS_TOP_SAMPLE_H

#include "tools/fsstats.h"
#include "tools/region_list.h"
#include "tools/waits.h"

struct top_region {
	const struct region_row *row;
	struct waits waits;
};

struct top_node {
	char *address;
	bool connected;
};

struct top_mount {
	char *path;
	int error; /* a negative errno: it does not answer, and nothing below is known */
	char *stats;
	struct waits waits;
	uint64_t lent_bytes, free_bytes; /* by the mount's nodes; what they can still promise */
	struct region_row *rows;    /* by name */
	struct top_region *regions; /* one for each row */
	unsigned region_count;
	struct top_node *nodes;
	unsigned node_count;
};

struct top_sample {
	uint64_t at_ns;
	int error; /* the list of mounts could not be read */
	struct top_mount *mounts;
	unsigned count;
};

/* A sample of these mounts, or, if there are none, of all of this host. A mount whose gvmfs hangs holds the
 * caller up. NULL: no memory. */
struct top_sample *top_sample_take(char *const *paths, unsigned count);
void top_sample_free(struct top_sample *sample);

const struct top_mount *top_mount_find(const struct top_sample *sample, const char *path);
const struct top_region *top_region_find(const struct top_mount *mount, const char *name);

#endif
