/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * interrupt.h - requests that wait while their caller has a signal.
 *
 * The kernel lets a caller of ours go when we answer, not before: not even SIGKILL ends its wait. It
 * tells us of a signal (FUSE_INTERRUPT), once for each request, and not of which. So what waits is
 * looked at from then on, and ended with EINTR
 *   - as soon as its caller is being killed: nobody sees the error then;
 *   - for any other signal, if the request allows that, once it has waited for INTERRUPT_NS: a
 *     program whose timer ticks while a node is just answering is not disturbed.
 * READs and WRITEs do not allow it. They come from page faults, where an error is SIGBUS, and from
 * read() and write() of programs that expect no EINTR from a file.
 *
 * Whether a caller is being killed stands in /proc, where a read may take long: a job looks.
 * Front thread.
 */
#ifndef GVMFS_INTERRUPT_H
#define GVMFS_INTERRUPT_H

#include <fuse3/fuse_lowlevel.h>
#include <stdbool.h>
#include <stdint.h>

#define INTERRUPT_NS 1000000000ull

struct worker;

/* Embedded in what waits. */
struct interrupt {
	struct interrupt *next, **link; /* link: NULL while there was no signal */
	struct worker *w;
	fuse_req_t req;
	int tid;
	uint64_t since_ns; /* it waits */
	bool by_any; /* signal, not only by one that kills */
	bool killed;
	/* Ends the wait: answers the request with EINTR, and may free all. The interrupt is disarmed. */
	void (*end)(struct interrupt *i);
};

struct interrupts {
	struct interrupt *first; /* whose callers have a signal */
	uint64_t look_at_ns;	 /* for those that are being killed */
	bool looking;
};

/* From here on `i->end` may be called, from the loop, until interrupt_disarm(). */
void interrupt_arm(struct interrupt *i, struct worker *w, fuse_req_t req, bool by_any,
		   void (*end)(struct interrupt *i));
/* Before the request is answered or given to another. Also of one that was never armed (all zero),
 * or is disarmed. */
void interrupt_disarm(struct interrupt *i);

/* Does what is due; returns when it wants to be called again (CLOCK_MONOTONIC), ~0: not. */
uint64_t interrupts_tick(struct worker *w, uint64_t now_ns);

#endif
