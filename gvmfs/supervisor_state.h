/* SPDX-License-Identifier: GPL-2.0-or-later */
/* supervisor_state.h - struct supervisor: for supervisor.c, which has the life of workers, and succession.c, which has that
 * of an upgrade. */
#ifndef GVMFS_SUPERVISOR_STATE_H
#define GVMFS_SUPERVISOR_STATE_H

#include "mount.h"
#include "node/owner.h"
#include "options.h"
#include "state/journal.h"
#include "state/keeper.h"
#include "stop.h"
#include "uffd/door.h"
#include "uffd/listener.h"
#include "upgrade.h"
#include "will.h"

#define LEFT_MAX WILL_LEFT

/* A worker that is not reaped yet, and has a successor. */
struct left {
	pid_t pid; /* 0: free */
	uint64_t say_ns; /* when to say that it stays; 0: that was said */
};

/* An upgrade, in the new program. */
enum renew {
	RENEW_NONE,
	RENEW_OLD, /* the old program's worker is ending */
	RENEW_NEW, /* this one's has been started, and does not serve yet */
};

struct supervisor {
	const struct options *opts;
	struct journal journal;
	struct keeper keeper;
	struct mount mount;
	struct listener listener;
	struct door door;
	struct stop stop;
	struct record_owner self; /* read once: a successor must wait for no filesystem of the host */
	int told_fd; /* to the service manager; -1: there is none */
	int ready_fd; /* an eventfd: the worker raises it once the mount answers */
	bool ready;
	bool giving_up; /* the present worker has no mount any more, and is the last */
	pid_t worker;
	int worker_fd; /* a pidfd of the thread whose end tells the worker's; -1: not yet, or impossible */
	uint64_t leave_ns; /* until when to wait for its end; 0: it lives */
	struct left left[LEFT_MAX];
	uint64_t started_ns; /* the worker */
	unsigned young_deaths;
	struct upgrade upgrade;
	enum renew renew;
	uint64_t renew_until_ns; /* the first worker is to serve by then; later: `program` is gone back to until then */
	int program; /* the one of before, to go back to; -1: none */
};

#endif
