/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * place.h - a folder to mount on, and what is mounted there; never waits for a filesystem that does
 * not answer.
 *
 * A mount is told from others by its number, never by its path: another may be there by now. gvmfs
 * holds the place's lock from its look at the place until it has mounted or unmounted there, so
 * that two of them do not do it at once. (A program that does not know the lock can still mount on
 * top between the look and the unmount; the kernel offers no way to exclude that.)
 */
#ifndef GVMFS_PLACE_H
#define GVMFS_PLACE_H

#include "stop.h"

#include <limits.h>

#define PLACE_TYPE "fuse.gvmfs"

struct place_mount {
	dev_t dev;
	uint64_t id;
	bool unique; /* the kernel never uses this id again (Linux 6.8); otherwise not while the mount exists */
};

/* Opens the folder, or the root of what is mounted there, with O_PATH, and fills in its absolute
 * path. A descriptor or a negative errno. */
int place_open(const char *dir, char path[PATH_MAX]);

/* Finds which mount contains the descriptor's file: 0 or a negative errno. */
int place_identify(int fd, struct place_mount *m);

/* Locks the place: a descriptor to close, or -1 if the parent folder cannot be locked. */
int place_lock(const char *path);

/* Detaches the mount whose root the descriptor is. Its users keep what they have open. */
int place_detach(int fd, const char *path);

/* Whether a gvmfs is mounted there whose process is not gone. (It may not answer.) */
bool place_lives(const char *path, struct stop *stop);

/*
 * Detaches mounts of gvmfs at the place whose process is gone, also several on top of each other.
 * 0; -EBUSY: a gvmfs there lives, or does not answer; -ECANCELED: asked to end; or another negative
 * errno. Logs what it did and why it failed; `quiet`: except that a mount lives.
 */
int place_clear(const char *path, struct stop *stop, bool quiet);

#endif
