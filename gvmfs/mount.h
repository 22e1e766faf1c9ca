/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mount.h - the mount of this gvmfs: made, watched, taken off, and never another one's.
 *
 * Root makes it by fsopen(2) and its kin, where the mount is known by its descriptor before anybody
 * can see it; other users by fusermount3(1). Nothing keeps it open, since umount(8) would then find
 * it busy. That a mount is ours is known by its number, or, where numbers are used again, by its
 * device while the connection of ours that has that device still lives.
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

/* Takes a dead gvmfs off the place and mounts. 0 or a negative errno (-ECANCELED: asked to end);
 * says why it failed. */
int mount_make(struct mount *m, const struct options *opts, struct stop *stop);

/* Whether the kernel still sends requests: until the last user of an unmounted mount closes it. */
bool mount_is_alive(const struct mount *m);

/* Unmounts, if what is mounted there is ours; users keep what they have open. 0; -ENOENT: it is not
 * there; or another negative errno. */
int mount_detach(struct mount *m, struct stop *stop);
/* The same on request: returns whether it did, and says what else it found. */
bool mount_end(struct mount *m, struct stop *stop);

#endif
