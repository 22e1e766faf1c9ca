/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * door.h - the process that receives clients of the fast path: it accepts connections, and starts a
 * process of its own (visitor.h) for each client whose first message is valid.
 *
 * Any user may connect, so each gets a share (users.h): a limited number of visitors at a time and
 * a second. Further connections wait; when there are too many, the user with the most loses the
 * oldest connection of its process with the most. A client whose first message is invalid gets no
 * process. A visitor's process that does not end (release.h) counts against its user for as long as
 * it exists, also after its client got on the fast path; only another door begins to count anew. The
 * door never closes a connection that may have descriptors in its queue: a process is started for
 * that, too.
 *
 * The supervisor starts the door, holds the listening socket as well, and starts another door if it
 * ends. The door ends with the supervisor: then there are no new clients. It is a detached process,
 * since its end may block.
 */
#ifndef GVMFS_DOOR_H
#define GVMFS_DOOR_H

#include "state/journal.h"

#include <stdbool.h>
#include <stdint.h>

struct door {
	int listener; /* -1: there is no fast path */
	int bell_worker, bell; /* a pair of sockets: the worker's end, and the end of all visitors */
	int control; /* the supervisor's end of another pair, which shows when the door has ended */
	uint64_t started_ns;
};

/* Supervisor: starts the door. `listener` -1: there is none, and no door. 0 or a negative errno. */
int door_create(struct door *d, int listener, const struct journal *j, bool foreground);
/* Supervisor, when `control` is readable: starts another door if this one has ended. */
void door_check(struct door *d, const struct journal *j, bool foreground);
/* Supervisor, of another program than the one that started the door: has it replaced. */
void door_renew(struct door *d, const struct journal *j, bool foreground);
/* In a new worker: closes the descriptors that only the supervisor needs. */
void door_leave(struct door *d);
/* Supervisor, at its own end: closes everything. */
void door_end(struct door *d, const struct journal *j);

#endif
