/* SPDX-License-Identifier: GPL-2.0-or-later */
/* front_map.h - where a region's chunks are: the extended attributes user.gvm.map and user.gvm.map.N. */
#ifndef GVMFS_FRONT_MAP_H
#define GVMFS_FRONT_MAP_H

#include "gvm_mount.h"
#include "state/worker_state.h"

#define MAP_HEAD_BYTES (RECORD_NODES_MAX * (RECORD_ADDR_MAX + 8) + RECORD_SLOTS * RECORD_PLACES * 4 + 256)

/*
 * user.gvm.map: lines "chunks N", "node ADDRESS" for each node of the record, and "slots A B,C ...": for each slot the
 * numbers of the nodes that have it, from 0 in the order of the lines above. Chunk c is in slot c modulo their number.
 * MAP_HEAD_BYTES are enough. Returns the bytes written.
 */
size_t map_head(const struct inode *inode, char *text, size_t size);

/*
 * user.gvm.map.N, where `window` is N: a letter (GVM_MAP_*) for each of the GVM_MAP_CHUNKS chunks from chunk N times
 * GVM_MAP_CHUNKS on, as far as there are any; returns how many. Looks at no other chunks, and takes some microseconds.
 * -ENODATA: there is no such chunk, or `window` is no number.
 */
int map_window(struct worker *w, struct inode *inode, const char *window, char text[GVM_MAP_CHUNKS]);

#endif
