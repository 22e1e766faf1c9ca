/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * lookout.h - calls into a client's memory that do not return, and how a worker is replaced meanwhile.
 *
 * Such a call waits for locks that the client holds for as long as it likes (while it unmaps a file of a
 * FUSE server that does not answer, for example). If the client dies meanwhile, the call may be what releases its
 * mappings. Not even SIGKILL ends the wait, and a process has ended only when all of its threads have. The front
 * thread is relieved by another (relief.h), so that only the client's own region waits.
 *
 * A worker has one thread that makes no calls at all: a kill ends it at once, even while another thread of the
 * worker waits in the kernel. Its end tells the supervisor of the kill. (The main thread's does not: it is reported
 * only after all others'.) The successor serves every region except those in which a thread of a predecessor
 * still waits. Such a call changes only the pages that it was made for, of that one region; the region is served again
 * when the call has returned.
 *
 * If the front thread cannot be relieved (no spare thread could be started), the main thread kills the worker, so that
 * a successor serves the other regions.
 *
 * Each session of the journal counts these calls: while the count is odd, the thread `caller` is in one.
 */
#ifndef GVMFS_LOOKOUT_H
#define GVMFS_LOOKOUT_H

#include "journal.h"
#include "relief.h"

#include <stdatomic.h>
#include <stdbool.h>

/* The main thread's state; one for each worker. */
struct lookout {
	const struct journal *j;
	int kick_fd; /* an eventfd that wakes the main thread: the front makes calls again, or has ended */
	atomic_bool asleep; /* the main thread */
	struct relief relief; /* of the front thread; the worker fills in its functions */
	int result;	  /* of the front thread; valid once `over` */
	atomic_bool over; /* the front thread has ended */
	int supervisor; /* its pid */
	bool said; /* that a client holds the front up: logged once */
};

/* lookout_begin() before a call into a client's memory, lookout_end() after it; `tid`: the caller's. Front thread, and
 * those that serve a region (uffd/apart.h). */
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

/* Starts the front thread and watches it until the thread that then has the role returns. Its result, or a negative
 * errno if no thread can be started. Main thread. */
int lookout_run(struct lookout *l, const struct journal *j);

/*
 * Supervisor, after a worker was killed: whether it can change nothing any more. Each of its threads is on its way out
 * and has dropped its reference to the memory, and its child, the page cache's helper, has got its signal. What the
 * kernel still does (free the memory, close files) takes tens of milliseconds, and no successor need wait for it. Also
 * false if /proc does not tell.
 */
bool lookout_is_spent(int pid);
/*
 * Supervisor, after a worker was killed that has not ended: whether a successor may start. True if each thread that
 * serves the mount or a region has ended, or waits in a call into a client's memory.
 */
bool lookout_may_leave(const struct journal *j, int pid);
/* A successor is about to start: marks the calls in flight as held by `pid`, the old worker. Supervisor, also
 * after it took a mount over. */
void lookout_leave(const struct journal *j, int pid);
/* Supervisor: worker `pid` has ended, so its calls have, too. `was_left`: lookout_leave() was called for it. */
void lookout_gone(const struct journal *j, int pid, bool was_left);
/* Successor: whether no call of a predecessor is in flight in the session's memory; checks the calling thread. */
bool lookout_call_ended(const struct journal *j, unsigned session);
/* Successor: whether a predecessor's thread may still change a session's memory. */
static inline bool lookout_is_held(const struct journal *j, unsigned session)
{
	return atomic_load((_Atomic int32_t *)&j->sessions[session].held_by) != 0;
}

#endif
