/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * door.h - the process that receives clients of the fast path: it accepts connections, and has each
 * looked after by a process of its own (visitor.h) as soon as something is said.
 *
 * Any user may connect, so each gets a share (users.h): a user has so many visitors at a time, and begins so many
 * a second; further connections wait, and the oldest of the process that has most of them is turned away to make
 * room. A client whose first word is not the protocol's gets no process at all. A visitor's process that
 * cannot end (release.h) counts against its user for as long as it exists.
 * The door itself never closes a connection that may have descriptors in its queue: a process does that,
 * too.
 *
 * The supervisor starts it, holds the listening socket as well, and starts another one when it has ended.
 * It ends with the supervisor: then there are no new clients. It is a detached process, since its end may
 * block.
 */
#ifndef GVMFS_DOOR_H
#define GVMFS_DOOR_H

#include "state/journal.h"

#include <stdbool.h>
#include <stdint.h>

struct door {
	int listener; /* -1: there is no fast path */
	int bell_worker, bell; /* a pair of sockets: the worker's end, and that of all visitors */
	int control; /* the supervisor's end of another pair: the door's end is seen by it */
	uint64_t started_ns;
};

/* 0 or a negative errno. `listener`: may be -1, and then there is no door. */
int door_create(struct door *d, int listener, const struct journal *j, bool foreground);
/* The supervisor's end of the door was heard of: starts another one if that is so. */
void door_check(struct door *d, const struct journal *j, bool foreground);
/* In a worker: closes what is not its affair. */
void door_leave(struct door *d);
/* At the supervisor's end. */
void door_end(struct door *d, const struct journal *j);

#endif
