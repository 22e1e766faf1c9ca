/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keys.h - a key for each pair of nodes: a host with those of one node can be no other. The functions
 * return 0 or an errno that they have said.
 */
#ifndef TOOLS_DSM_KEYS_H
#define TOOLS_DSM_KEYS_H

#include "kmod/uapi/giantvm.h"

#include <stdint.h>

struct gvm_cluster_node;

/* Prints the keys that node `own` shares with the others of the list, made of the master key in a file. */
int pair_keys_print(const char *master, const struct gvm_cluster_node *nodes, unsigned count, unsigned own);
/*
 * What that has printed, from a file: *keys has GIANTVM_PAIR_KEY_BYTES for each node, in the order into
 * which it sorts the nodes, by id. To be freed by pair_keys_free().
 */
int pair_keys_load(const char *path, struct giantvm_node *nodes, unsigned count, unsigned own, uint8_t **keys);
void pair_keys_free(uint8_t *keys);

#endif
