/* SPDX-License-Identifier: GPL-2.0-or-later */
/* region_list.h - the regions below a folder of a mount, and what is known of each. */
#ifndef TOOLS_REGION_LIST_H
#define TOOLS_REGION_LIST_H

#include "waits.h"

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

struct region_row {
	char *name;			 /* below the folder */
	uint64_t size_bytes, held_bytes; /* what guests see; what the nodes hold of it */
	bool fast, failed, settled;
	uint64_t here_bytes, local_bytes; /* on the fast path; its budget, 0: none is set */
	uint64_t nodes_away, degraded;	  /* of its nodes; slots with too few copies */
	char *stats;			  /* all of its counters, as lines */
};

/* By name. The caller frees them by region_rows_free(). A negative errno: it is no folder of a
 * mount, or no memory. */
int region_rows_get(const char *folder, struct region_row **rows, unsigned *count);
/* How long users of one of these regions waited. 0 or a negative errno, -ENODATA where nobody on this host has
 * it open: a mount may have thousands of such regions. Then there are none. */
int region_row_waits(const char *folder, const struct region_row *row, struct waits *waits);
/* "FAILED", "fast path", ...; "": nothing to be said. */
const char *region_row_state(const struct region_row *row);
void region_rows_free(struct region_row *rows, unsigned count);

void region_rows_print(const struct region_row *rows, unsigned count);
struct json_object *region_rows_json(const struct region_row *rows, unsigned count);

#endif
