/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relief.h - serving the mount is a role, and a thread that a client holds up loses it to another.
 *
 * To put a page into a client's memory waits for its mmap_lock, to punch a page out of its memfd for the
 * file's inode lock. A client can hold both for as long as it likes, and nothing ends the wait. Nobody
 * can see beforehand that a call will wait, and a thread of the region's own that made all of them would
 * cost each fault two wake-ups. So the front thread makes the calls itself, and says so before (relief_begin())
 * and after (relief_end()): two atomic operations. A spare thread looks each millisecond, while there are
 * calls; where the same one still waits it takes the role: it is the front thread from then on, with a new
 * spare. The old one, when its call returns, finds that out. It goes on with the turn of that region alone,
 * and from there looks after that region (uffd/apart.h), so that no later call of that client's holds the
 * front up at all, and at last ends.
 *
 * Everything that the front thread owns belongs to who has the role's lock. The front has it always, until a
 * region is looked after by a thread of its own: then it gives it away while it sleeps, and between two
 * looks if another waits. The others have it but for their calls and their sleep. Whoever asks first
 * gets it first.
 *
 * The role changes hands only between relief_allow() and relief_deny(), where the front's stack holds nothing
 * that its successor would lack: it begins at `go_on` and never comes back to that stack. What the call was
 * about (a region in the middle of its turn) is touched by nobody until it returns.
 *
 * A worker that is killed ends when all calls have returned. Its successor need not wait for that: the
 * journal says which session each is in (lookout.h).
 */
#ifndef GVMFS_RELIEF_H
#define GVMFS_RELIEF_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct relief {
	/* The role's lock: in the order in which it is asked for. */
	pthread_mutex_t mutex;
	pthread_cond_t turn;
	unsigned next, serving; /* under `mutex` */
	atomic_uint waiting;
	unsigned shared; /* threads beside the front that take it; under the lock itself */

	/* Of the front's call: its number and what is with it. */
	_Atomic uint64_t call;
	void *what;	 /* that it is about */
	bool allowed;	 /* front only */
	atomic_int tid;	 /* of the front */
	_Atomic int32_t *tid_told; /* the same, for others; NULL: nobody is told */
	atomic_bool asleep; /* the spare: no call was made for a while */
	int kick_fd;
	int poke_fd;	 /* an eventfd for the front's epoll: relief_poke() */
	bool spare;	 /* there is one; front only */

	/* The front thread runs these: it begins by the first, one that relieves it by the second. */
	int (*run)(void *arg), (*go_on)(void *arg);
	/* The one before is still in a call about `what`: before go_on(). */
	void (*relieved)(void *arg, void *what);
	void *arg;
	/* The one that has the role at the end calls this. */
	void (*over)(struct relief *rl, int result);
};

/* Whether a thread of this process waits, and no signal ends that. A look at it waits for nobody. */
bool thread_waits(int tid);

/* Starts the front thread. 0 or a negative errno. */
int relief_start(struct relief *rl);

/* Front thread, and those that look after a region. A call that may wait for a client begins; it has ended. */
void relief_begin(struct relief *rl);
void relief_end(struct relief *rl);

/* Front thread: what it does until relief_deny() is about `what` alone, and may be relieved of the rest.
 * relief_deny() false: it was; this thread has the lock, and is not the front any more. */
void relief_allow(struct relief *rl, void *what);
bool relief_deny(struct relief *rl);
/* Front thread: makes a spare, if there is none. */
void relief_keep(struct relief *rl);

/* The role's lock. The front: only while others take it, too. */
void relief_lock(struct relief *rl);
void relief_unlock(struct relief *rl);
static inline bool relief_is_shared(const struct relief *rl)
{
	return rl->shared != 0;
}
/* The front gives it to those who wait, if any do, and takes it back. */
static inline void relief_yield(struct relief *rl)
{
	if (rl->shared && atomic_load_explicit(&rl->waiting, memory_order_relaxed)) {
		relief_unlock(rl);
		relief_lock(rl);
	}
}

/* Others than the front, with the lock: what they did may concern the front's clock, if it sleeps. */
void relief_poke(struct relief *rl);
void relief_poked(struct relief *rl);

/* The calling thread, which was the front, ends; it has the lock. */
_Noreturn void relief_leave(struct relief *rl);

#endif
