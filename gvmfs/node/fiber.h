/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fiber.h - many conversations in one thread, each on a stack of its own.
 *
 * A conversation that waits for a node costs a stack, but no thread and no connection. So any number of
 * them may wait for a node that is away while others go on. All fibers of a set run in the
 * thread that calls fibers_run(), one at a time, and switch in fiber_wait() only: what they
 * share needs no lock.
 */
#ifndef GVMFS_FIBER_H
#define GVMFS_FIBER_H

#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

#define FIBER_STACK_BYTES (256u << 10) /* of address space: unused pages take no memory */
#define FIBER_SPARE_MAX	  16u

struct fiber;

struct fibers {
	struct fiber *all, **all_tail;
	struct fiber *spare; /* ended fibers, whose stacks are used again */
	unsigned spares;
	ucontext_t home; /* of fibers_run() */
	/* the thread's own stack, for the address sanitizer */
	void *home_fake;
	const void *home_stack;
	unsigned long home_bytes;
};

void fibers_init(struct fibers *set);

/* Makes a fiber in which the next fibers_run() calls `run(arg)`. 0 or -ENOMEM. */
int fiber_start(struct fibers *set, void (*run)(void *arg), void *arg);

/* Runs every fiber whose flag is set or whose time has come, until there is none. Returns the earliest time for which
 * a fiber waits (CLOCK_MONOTONIC); ~0: none. */
uint64_t fibers_run(struct fibers *set);

/* In a fiber: waits until *flag is set (by code of the same thread; flag may be NULL) or until_ns has come (0: no
 * limit). Other fibers run meanwhile. */
void fiber_wait(const bool *flag, uint64_t until_ns);

#endif
