/* SPDX-License-Identifier: GPL-2.0-or-later */
/* front_tree.h - what requests about names and attributes share. Front thread. */
#ifndef GVMFS_FRONT_TREE_H
#define GVMFS_FRONT_TREE_H

#include "op.h"

/* The inode of a name in a folder, as this host knows it; NULL: there is none. */
struct inode *front_child(struct worker *w, struct inode *folder, const char *name);
/* Whether a request should wait for the nodes' name table. While a majority of them does not answer,
 * they are asked in the background, and what was last known is shown. */
bool front_refresh_is_due(struct worker *w);
/* Whether this host, which writes the region, has the newest record of it. */
bool front_record_is_ours(const struct inode *inode);
/* A name in the folder has come, or gone. */
void front_folder_changed(struct worker *w, fuse_ino_t ino);

#endif
