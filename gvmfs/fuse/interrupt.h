/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * interrupt.h - requests that wait although their caller has got a signal.
 *
 * A caller of gvmfs waits in the kernel until gvmfs answers: not even SIGKILL ends that. The kernel
 * tells of a signal (FUSE_INTERRUPT) once per request, and not of which signal. So a waiting request
 * is looked at from then on, and ends with EINTR
 * - as soon as its caller is being killed: no program sees the error then;
 * - after any other signal, if the request allows that, once it has waited for INTERRUPT_NS: so a
 *   program with a ticking timer is not disturbed while a node is just answering.
 * READs and WRITEs do not allow it. They come from page faults, where an error is SIGBUS, and from
 * read() and write() of programs that expect no EINTR from a file.
 *
 * Whether a caller is being killed stands in /proc, and to read that may take for ever, so the page cache's helper
 * does it (pagecache_look()). Front thread.
 */
#ifndef GVMFS_INTERRUPT_H
#define GVMFS_INTERRUPT_H

#include <fuse3/fuse_lowlevel.h>
#include <stdbool.h>
#include <stdint.h>

#define INTERRUPT_NS 1000000000ull

struct worker;

/* Embedded in a request that waits. */
struct interrupt {
	struct interrupt *next, **link; /* link: NULL until there is a signal */
	struct worker *w;
	fuse_req_t req;
	int tid;
	uint64_t since_ns; /* when the request began to wait */
	bool by_any; /* ends by any signal, not only by one that kills */
	bool killed;
	bool looked_at; /* in this round */
	/* Ends the request with EINTR, and may free it and the interrupt, which is disarmed. */
	void (*end)(struct interrupt *i);
};

struct interrupts {
	struct interrupt *first; /* waiting requests whose callers have a signal */
	uint64_t look_at_ns;	 /* when to look which callers are being killed */
	bool looking;
};

/* From now on the loop may call i->end(), until interrupt_disarm(). */
void interrupt_arm(struct interrupt *i, struct worker *w, fuse_req_t req, bool by_any,
		   void (*end)(struct interrupt *i));
/* Call it before the request is answered or handed on. Does nothing if the interrupt is disarmed,
 * or was never armed (all zero). */
void interrupt_disarm(struct interrupt *i);

/* Does what is due; returns when it wants to be called again (CLOCK_MONOTONIC), or ~0. */
uint64_t interrupts_tick(struct worker *w, uint64_t now_ns);

#endif
