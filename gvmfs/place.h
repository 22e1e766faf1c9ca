/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * place.h - a folder to mount on, and what is mounted there, without waiting for a filesystem that
 * does not answer.
 *
 * A mount is told from others by its number, never by its path: another one may be there by now.
 * What looks at a place and then mounts or unmounts there holds the place's lock, so that two gvmfs
 * do not do it at the same time. (A program that knows nothing of the lock can still mount on top
 * in the moment between the look and the unmount; the kernel offers nothing to exclude that.)
 */
#ifndef GVMFS_PLACE_H
#define GVMFS_PLACE_H

#include "stop.h"

#include <limits.h>

#define PLACE_TYPE "fuse.gvmfs"

struct place_mount {
	dev_t dev;
	uint64_t id;
	bool unique; /* the kernel never uses this id again (Linux 6.8); else not while it is mounted */
};

/* Opens the folder, or the root of what is mounted there, by O_PATH, and gives its absolute path.
 * A descriptor or a negative errno. */
int place_open(const char *dir, char path[PATH_MAX]);

/* Which mount the descriptor's file is in: 0 or a negative errno. */
int place_identify(int fd, struct place_mount *m);

/* A descriptor to close, or -1 where the parent folder cannot be locked. */
int place_lock(const char *path);

/* Takes off the mount whose root the descriptor is. Its users keep what they have open. */
int place_detach(int fd, const char *path);

/*
 * Takes off the mounts of gvmfs at the place whose process is gone, also several on top of each
 * other. 0; -EBUSY: a gvmfs that lives, or does not answer, is there; -ECANCELED: asked to end; or
 * another negative errno. Says what it did and why it failed; `quiet`: not that a mount lives.
 */
int place_clear(const char *path, struct stop *stop, bool quiet);

#endif
