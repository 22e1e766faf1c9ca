/* SPDX-License-Identifier: GPL-2.0-or-later */
/* node_regions.h - what a memory node's regions are, by the name table; and their removal by hand. */
#ifndef TOOLS_NODE_REGIONS_H
#define TOOLS_NODE_REGIONS_H

#include "memnode/gvm_client.h"

#include <json-c/json.h>

/* Prints a line for each region that the node holds. 0 or a negative errno. */
int node_regions_print(struct gvm_conn *conn);
/* Adds an object for each of them to an array. */
int node_regions_json(struct gvm_conn *conn, struct json_object *list);

/* Removes the region whose id begins with `id` (hexadecimal) from the node, and its name from the
 * node's table, where no file of a mount bears it and no writer has it. Says what it did, or why not.
 * 0 or a negative errno. */
int node_region_remove(struct gvm_conn *conn, const char *id);
#define NODE_REGION_NONE 1 /* it has none whose id begins so */

#endif
