/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mount.h - this gvmfs's own mount: makes it, watches it and detaches it, and never touches
 * another's.
 *
 * Root mounts with fsopen(2) and its kin, and so has a descriptor of the mount before any process
 * can see it; other users mount with fusermount3(1). No descriptor of the mount stays open, since
 * umount(8) would then find it busy. A mount is known to be ours by its number or, where the kernel
 * uses numbers again, by its device while our connection of that device still lives.
 */
#ifndef GVMFS_MOUNT_H
#define GVMFS_MOUNT_H

#include "options.h"
#include "place.h"

struct mount {
	const char *at;
	int fuse_fd; /* -1: closed */
	struct place_mount own;
};

/* Detaches a dead gvmfs from the place and mounts. 0 or a negative errno (-ECANCELED: asked to
 * end), with a message. */
int mount_make(struct mount *m, const struct options *opts, struct stop *stop);

/* Whether the kernel still sends requests: until the last user of an unmounted mount closes it. */
bool mount_is_alive(const struct mount *m);

/* Unmounts if the mount there is ours; its users keep what they have open. 0; -ENOENT: it is not
 * there; or another negative errno. */
int mount_detach(struct mount *m, struct stop *stop);
/* The same on request: returns whether it unmounted, and logs what else it found. */
bool mount_end(struct mount *m, struct stop *stop);

#endif
