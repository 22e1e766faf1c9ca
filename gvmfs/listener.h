/* SPDX-License-Identifier: GPL-2.0-or-later */
/* listener.h - the UNIX socket where clients of the fast path find gvmfs (gvm_attach.h). */
#ifndef GVMFS_LISTENER_H
#define GVMFS_LISTENER_H

#include "journal.h"

/*
 * Listens in /run/gvmfs (root), or in gvmfs under XDG_RUNTIME_DIR: who may connect is anybody, since
 * what counts is the open file that a client shows. Fills in the path; -1, and "", where that cannot
 * be: then there is no fast path, and a message says so.
 */
int listener_open(char path[JOURNAL_PATH_MAX]);
/* Removes the socket's name, if there is one. */
void listener_close(const char *path);

#endif
