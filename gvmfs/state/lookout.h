/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lookout.h - calls into clients' memory that do not return, and the end of a worker meanwhile.
 *
 * Such a call waits for locks of the client, which it can hold for as long as it likes (it unmaps a file of a
 * filesystem that does not answer), and may be what releases its mappings when it ends at that moment.
 * Nothing ends such a wait, not even SIGKILL; and the process that waits has ended only when all of its
 * threads have. The front thread is relieved of it (relief.h), so that it holds nobody else up.
 *
 * A worker that is killed meanwhile has a thread that makes no call at all: it is gone at once with any
 * kill, by which the supervisor knows that a successor may begin, even if a
 * thread of the worker still is in the kernel. (The main thread's end is reported only after all others'.) The successor serves all regions but
 * those where a predecessor still waits: nothing is known of such a call but that it changes no more than
 * the pages that it was about, of that region. The region goes on when the call has returned.
 *
 * Where the front thread could not be relieved (no spare could be made), the main thread kills the worker,
 * so that a successor serves the others.
 *
 * Each session of the journal counts these calls: an odd number means that one is under way, by the thread
 * `caller`.
 */
#ifndef GVMFS_LOOKOUT_H
#define GVMFS_LOOKOUT_H

#include "journal.h"
#include "relief.h"

#include <stdatomic.h>
#include <stdbool.h>

/* Of one worker. */
struct lookout {
	const struct journal *j;
	int kick_fd; /* an eventfd: the front thread makes calls again, or has ended */
	atomic_bool asleep;
	struct relief relief; /* of the front thread: its functions are filled in by the worker */
	int result;
	atomic_bool over;
	int supervisor; /* its pid */
	bool said;
};

/* Before a call into a client's memory, and after it. Front thread. */
void lookout_wake(struct lookout *l);
static inline void lookout_begin(struct lookout *l, unsigned session, int tid)
{
	l->j->sessions[session].caller = tid;
	atomic_fetch_add((_Atomic uint32_t *)&l->j->sessions[session].calls, 1);
	if (atomic_load(&l->asleep))
		lookout_wake(l);
}

static inline void lookout_end(struct lookout *l, unsigned session)
{
	atomic_fetch_add_explicit((_Atomic uint32_t *)&l->j->sessions[session].calls, 1,
				  memory_order_release);
}

/* Runs the front thread and looks on until the last that has the role returns: its result. -errno if there
 * can be none. */
int lookout_run(struct lookout *l, const struct journal *j);

/*
 * Supervisor: a worker was killed. Whether nothing of it acts any more: each of its threads has let go of the memory,
 * on its way out of the kernel, and of children the helper of the page cache was ended. What is left, to free the
 * memory and to close what was open, takes tens of milliseconds, and concerns no successor. False also where that cannot
 * be seen.
 */
bool lookout_is_spent(int pid);
/*
 * Supervisor: a worker was ended, but is still there. Whether a successor may begin: each of the
 * threads that serve there is gone, or waits in a client's memory.
 */
bool lookout_may_leave(const struct journal *j, int pid);
/* Supervisor, or a worker that gives the mount away: a successor begins. Calls that are under way are marked as
 * those of `pid`. */
void lookout_leave(const struct journal *j, int pid);
/* Supervisor: nothing of it is left; `was_left`: a successor has begun long ago. */
void lookout_gone(const struct journal *j, int pid, bool was_left);
/* Successor: whether a predecessor's call in a session's memory has ended; looks at its thread. */
bool lookout_call_ended(const struct journal *j, unsigned session);
/* Successor: whether a predecessor's thread may still change a session's memory. */
static inline bool lookout_is_held(const struct journal *j, unsigned session)
{
	return atomic_load((_Atomic int32_t *)&j->sessions[session].held_by) != 0;
}

#endif
