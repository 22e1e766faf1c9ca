/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * giantvm.h - the kernel mode's device, /dev/giantvm, as the tools use it: see kmod/uapi/giantvm.h for
 * its calls. Functions return a negative errno; what only a person can put right has then been said.
 */
#ifndef TOOLS_GIANTVM_H
#define TOOLS_GIANTVM_H

#include "kmod/uapi/giantvm.h"

#include <limits.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#define GIANTVM_VERSION_TEXT 32

/* The device, of a module that this program was made for. A descriptor, or an errno (said). */
int giantvm_open(void);
/* The module's version; "" where that cannot be read. */
void giantvm_version(char text[static GIANTVM_VERSION_TEXT]);

struct giantvm_state {
	struct giantvm_info info;
	struct giantvm_node_info *nodes; /* [info.nr_nodes] */
	char (*regions)[GIANTVM_NAME_BYTES]; /* [info.nr_regions] */
};
int giantvm_state_get(int device, struct giantvm_state *state);
void giantvm_state_free(struct giantvm_state *state);
/* What this host counts of a region that it has joined. */
int giantvm_stats_get(int device, const char *name, struct giantvm_stats *stats);

/* Its address and port. Returns text. */
#define GIANTVM_ADDR_TEXT (INET6_ADDRSTRLEN + 8)
const char *giantvm_node_addr(const struct giantvm_node *node, char text[GIANTVM_ADDR_TEXT]);

/* -EINVAL: not a valid name. */
int giantvm_name_set(const char *name, char out[GIANTVM_NAME_BYTES]);
/* The region's size in bytes, from this node or others. */
int giantvm_lookup(int device, const char *name, unsigned wait_ms, uint64_t *bytes);
/* The nodes that keep a region's pages; none: the module chooses. */
struct giantvm_homes {
	unsigned nr;
	uint16_t ids[GIANTVM_HOMES_MAX];
};
/* A descriptor of a new region. */
int giantvm_create(int device, const char *name, uint64_t bytes, unsigned wait_ms,
		   const struct giantvm_homes *homes);
/* The same of one that there is, with that size if it is not 0. */
int giantvm_join(int device, const char *name, uint64_t bytes, unsigned wait_ms);

/* What a negative errno of these means, as the end of a sentence. */
const char *giantvm_why(int err);

/* The path of a region that this host has joined. Whether there is one that can be opened. */
bool giantvm_path(const char *name, char path[static PATH_MAX]);
/* The same, opened: a descriptor, or -ENOENT. */
int giantvm_region_open(const char *name);
/* What a region's descriptor is; -ENOTTY: no region of /dev/giantvm. */
int giantvm_region_get(int fd, struct giantvm_region_info *info);
/* Whether a region's descriptor can be mapped on this host now: 0, or why not. */
int giantvm_region_mappable(int fd);

#endif
