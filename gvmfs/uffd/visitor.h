/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * visitor.h - a process for one client of the fast path: it receives the descriptors that the
 * client sends, checks them, and passes on to the worker only those that are in order (visit.h).
 *
 * Any user may connect, and send any descriptor: a file of a filesystem that the user serves, a
 * socket full of descriptors, a userfaultfd that is not set up yet. To examine one, and above all
 * to close it, may block for ever (release.h). Nothing waits for this process: it can be killed,
 * and one that does not even end when killed is left behind (door.h counts those).
 *
 * Once the client is on the fast path the process reads nothing from it. It keeps the client's
 * socket and userfaultfd open until the worker and the supervisor have closed theirs, so that the
 * last close is here; and it checks for the worker whether the client's memory still exists, which
 * may block on locks that the client holds.
 */
#ifndef GVMFS_VISITOR_H
#define GVMFS_VISITOR_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

/* What the door knows of a visitor, in memory that they share; 0: its client has shown nothing yet. */
enum visitor_stage {
	VISITOR_PROVED = 1 << 0,  /* the client has a file of the mount open for reading and writing */
	VISITOR_BABBLES = 1 << 1, /* the client breaks the protocol */
	VISITOR_HOLDS = 1 << 2,	  /* the client was handed to the worker; nothing is set after it */
};

struct visitor {
	int client; /* its socket */
	int bell;   /* socket to the worker */
	dev_t dev;  /* of the mount */
	uid_t uid;  /* of the client */
	pid_t pid;
	_Atomic uint32_t *stage; /* of enum visitor_stage */
};

/* Serves the client, in a process that has no other descriptors, and ends the process. */
void visitor_run(const struct visitor *v) __attribute__((noreturn));

#endif
