/* SPDX-License-Identifier: GPL-2.0-or-later */
/* listener.h - the UNIX socket to which clients of the fast path connect (gvm_attach.h). */
#ifndef GVMFS_LISTENER_H
#define GVMFS_LISTENER_H

#include "state/journal.h"

/* A listening socket and its name. */
struct listener {
	int fd; /* -1: there is none */
	/* The socket's file (O_PATH): while it is open, no other file can get its inode number. -1:
	 * none. */
	int file;
};

/*
 * Listens in /run/gvmfs (root), or in gvmfs under XDG_RUNTIME_DIR, and fills in the socket's path.
 * Any user may connect: a client proves its right by the open file that it sends (door.h). On
 * failure logs it, and leaves l->fd -1 and the path empty: there is no fast path.
 */
void listener_open(struct listener *l, char path[JOURNAL_PATH_MAX]);
/* Finds the folder of such sockets, and makes it if it is missing: 0 or a negative errno. */
int listener_folder(char *folder, size_t size);
/* Removes the socket's name, unless the name is another file's by now. */
void listener_close(const struct listener *l, const char *path);

#endif
