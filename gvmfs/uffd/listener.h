/* SPDX-License-Identifier: GPL-2.0-or-later */
/* listener.h - the UNIX socket where clients of the fast path find gvmfs (gvm_attach.h). */
#ifndef GVMFS_LISTENER_H
#define GVMFS_LISTENER_H

#include "state/journal.h"

/* A socket that has a name. */
struct listener {
	int fd; /* -1: there is none */
	/* Its file (O_PATH): as long as this is open, no other file can get its inode number. -1: there is none. */
	int file;
};

/*
 * Listens in /run/gvmfs (root), or in gvmfs under XDG_RUNTIME_DIR: anybody may connect, since what
 * counts is the open file that a client shows (door.h). Fills in the path; fd -1, and "", where that
 * cannot be: then there is no fast path, and a message says so.
 */
void listener_open(struct listener *l, char path[JOURNAL_PATH_MAX]);
/* The folder of such sockets, made if need be: 0 or a negative errno. */
int listener_folder(char *folder, size_t size);
/* Removes the socket's name, if it is still this socket's. */
void listener_close(const struct listener *l, const char *path);

#endif
