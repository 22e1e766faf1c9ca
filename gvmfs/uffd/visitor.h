/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * visitor.h - a process for one client of the fast path: it receives whatever the client hands over,
 * looks at it, and gives the worker only what has been found in order (visit.h).
 *
 * Anybody may connect, and send any descriptor: of a filesystem of his own, of a socket full of
 * descriptors, of a userfaultfd that is none yet. To look at one, and above all to let go of it, may
 * take for ever (release.h). Nothing waits for this process; it may be killed, and one that cannot even
 * be killed is left behind (door.h counts those).
 *
 * Once the client is on the fast path the process reads nothing any more. It keeps the client's socket
 * and userfaultfd open until the worker and the supervisor have closed theirs, so that the last close is
 * here; and it looks at the client's memory for the worker, which waits for locks of the client.
 */
#ifndef GVMFS_VISITOR_H
#define GVMFS_VISITOR_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

/* What the door sees of a visitor, in memory that they share; 0: it talks to a stranger. */
enum visitor_stage {
	VISITOR_PROVED = 1 << 0,  /* the client has a region open for writing */
	VISITOR_BABBLES = 1 << 1, /* it does not keep to the protocol, and its process ends */
	VISITOR_HOLDS = 1 << 2,	  /* the client was handed to the worker; the last that is said */
};

struct visitor {
	int client; /* its socket */
	int bell;   /* to the worker */
	dev_t dev;  /* of the mount */
	uid_t uid;  /* of the client */
	pid_t pid;
	_Atomic uint32_t *stage; /* of enum visitor_stage */
};

/* Does all of it, in a process that has no other descriptors, and ends the process. */
void visitor_run(const struct visitor *v) __attribute__((noreturn));

#endif
