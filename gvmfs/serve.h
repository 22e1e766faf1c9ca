/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * serve.h - the front thread's loop.
 *
 * The loop (base/loop.h) waits for /dev/fuse, the fast path's faults, the nodes' connections, outcomes of
 * jobs and writers. A wake-up across CPUs costs more than a node's answer takes to come, so while a
 * fetch is under way, and for a moment after each request, it looks again instead of sleeping. That
 * moment adapts: it grows to what looking would have had to wait for the next event, where that is
 * short, and shrinks to nothing where events are rare; it is left out when others compete for the
 * CPU.
 */
#ifndef GVMFS_SERVE_H
#define GVMFS_SERVE_H

struct worker;

/* Has the loop wait for jobs, writers and threads that look after a region, 0 or a negative errno. */
int serve_init(struct worker *w);
/* From here on for the kernel's requests, too. */
int serve_requests(struct worker *w);
/* Serves until the mount is gone. */
void serve_mount(struct worker *w);
/* Serves everything but the kernel's requests for a moment. */
void serve_briefly(struct worker *w);

#endif
