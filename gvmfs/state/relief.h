/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * relief.h - the front thread is a role: if a client holds up the thread that has it, a spare thread takes it over.
 *
 * Putting a page into a client's memory takes the client's mmap_lock; punching a page out of its memfd takes the
 * file's inode lock. A client can hold both for as long as it likes, and nothing ends the wait. A punch also looks
 * through all mappings of the page, and a client can have hundreds of thousands. Whether a call
 * will be held up cannot be known beforehand, and a thread for each region that made these calls would
 * cost each fault two wake-ups. So the front thread makes the calls itself, between relief_begin()
 * and relief_end(), which cost an atomic operation each. While there are calls, a spare thread looks every few
 * milliseconds, and again after one if a call is in flight. If the same call is still blocked, or has run for two milliseconds (of the thread's own CPU time: a
 * front that waits for a CPU is not held up), it takes the role: it is the front thread from then on, with a new
 * spare. The old front finds that out when its call returns. It finishes the turn of that one region
 * and from then on serves that region (uffd/apart.h), so that later calls into that client's memory do not block the
 * front. It ends when the front has the region back.
 *
 * The role's lock guards everything that the front thread owns. The front always holds it, until some
 * region has a thread of its own: then the front releases it while it sleeps, and between two rounds
 * of its loop if another thread waits for it. A region's thread releases it during its calls and its sleep. The
 * lock is granted in the order of asking.
 *
 * The role changes hands only between relief_allow() and relief_deny(). There the front's stack holds no state
 * that its successor needs: the successor starts at `go_on` and never returns to that stack. Until the call returns,
 * no other thread touches its object (a region in the middle of its turn).
 *
 * A killed worker's process ends only when all calls have returned. Its successor need not wait for that: the
 * journal names the session of each call (lookout.h).
 */
#ifndef GVMFS_RELIEF_H
#define GVMFS_RELIEF_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct relief {
	/* The role's lock: a ticket lock, granted in the order of asking. */
	pthread_mutex_t mutex;
	pthread_cond_t turn;
	unsigned next, serving; /* tickets; under `mutex` */
	atomic_uint waiting; /* threads that wait for the lock */
	unsigned shared; /* threads beside the front that use the lock; guarded by the lock itself */

	/* The front's call: its number, with flags (relief.c). */
	_Atomic uint64_t call;
	void *what;	 /* the object of the call */
	bool allowed;	 /* between relief_allow() and relief_deny(); front only */
	atomic_int tid;	 /* of the front */
	_Atomic clockid_t clock; /* its CPU time */
	_Atomic int32_t *tid_told; /* a copy of tid, in the journal; NULL: none */
	atomic_bool asleep; /* the spare sleeps, since no call was made for a while */
	int kick_fd;	 /* an eventfd that wakes the spare */
	int poke_fd;	 /* an eventfd for the front's epoll: relief_poke() */
	bool spare;	 /* there is a spare thread; front only */

	/* The front's loop: the first front thread starts with run(), one that takes the role over with go_on(). */
	int (*run)(void *arg), (*go_on)(void *arg);
	/* Called by the new front before go_on(): the old front is still in a call about `what`. */
	void (*relieved)(void *arg, void *what);
	void *arg;
	/* Called with the result of run() or go_on(), by the thread that has the role when it ends. */
	void (*over)(struct relief *rl, int result);
};

/* The front's CPU time. */
uint64_t relief_cpu_ns(const struct relief *rl);
/* Whether the front, in the same call since its CPU time was `since_ns`, is held up: it waits uninterruptibly, or the
 * call has run for long. Does not block itself. */
bool relief_is_held_up(const struct relief *rl, uint64_t since_ns);

/* Starts the front thread. 0 or a negative errno. */
int relief_start(struct relief *rl);

/* Around a call that may block on a client. Front thread, and the threads that serve a region: these release the
 * role's lock for the call. */
void relief_begin(struct relief *rl);
void relief_end(struct relief *rl);

/* Whether the calling thread may be held up between these two: it is in a region's turn. */
bool relief_may_wait(const struct relief *rl);

/* Front thread: between the two it works on `what` alone, and another thread may take the role.
 * relief_deny() returns false if one did: this thread has the lock, but is not the front any more. */
void relief_allow(struct relief *rl, void *what);
bool relief_deny(struct relief *rl);
/* Front thread: starts a spare thread, if there is none. */
void relief_keep(struct relief *rl);

/* The role's lock. The front releases it only while other threads use it (relief_is_shared()). */
void relief_lock(struct relief *rl);
void relief_unlock(struct relief *rl);
static inline bool relief_is_shared(const struct relief *rl)
{
	return rl->shared != 0;
}
/* The front: lets threads that wait have the lock, and takes it back. */
static inline void relief_yield(struct relief *rl)
{
	if (rl->shared && atomic_load_explicit(&rl->waiting, memory_order_relaxed)) {
		relief_unlock(rl);
		relief_lock(rl);
	}
}

/* Another thread, with the lock: wakes the front, since its timers may have to change. */
void relief_poke(struct relief *rl);
/* Front: takes the wake-up from poke_fd. */
void relief_poked(struct relief *rl);

/* Ends the calling thread, which was the front once; releases the lock, which it holds. */
_Noreturn void relief_leave(struct relief *rl);

#endif
