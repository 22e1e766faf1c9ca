/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fiber.h - many conversations in one thread: each waits on a stack of its own.
 *
 * What waits for a node costs a stack and nothing else: no thread, no connection. So any number of
 * conversations may wait for a node that is away while others go on. All fibers of a set run in the
 * thread that calls fibers_run(), one at a time, and change over in fiber_wait() only: what they
 * share needs no lock.
 */
#ifndef GVMFS_FIBER_H
#define GVMFS_FIBER_H

#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

#define FIBER_STACK_BYTES (256u << 10) /* of address space: what is not used takes no memory */
#define FIBER_SPARE_MAX	  16u

struct fiber;

struct fibers {
	struct fiber *all, **all_tail;
	struct fiber *spare; /* ended: their stacks serve again */
	unsigned spares;
	ucontext_t home;
	/* of the thread's own stack, for the address sanitizer */
	void *home_fake;
	const void *home_stack;
	unsigned long home_bytes;
};

void fibers_init(struct fibers *set);

/* Has `run(arg)` called on a stack of its own by the next fibers_run(). 0 or -ENOMEM. */
int fiber_start(struct fibers *set, void (*run)(void *arg), void *arg);

/* Runs each fiber that has something to do, until none has. Returns when the next one wants to go
 * on whatever happens (CLOCK_MONOTONIC), ~0: none. */
uint64_t fibers_run(struct fibers *set);

/* In a fiber: lets the others go on until *flag (which another of this thread sets; may be NULL) or
 * until_ns (0: no limit). */
void fiber_wait(const bool *flag, uint64_t until_ns);

#endif
