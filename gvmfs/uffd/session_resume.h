/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * session_resume.h - the sessions that a predecessor had go on: at once, or, where a thread of the predecessor may still
 * put pages into a client's memory, when that is over. Front thread.
 */
#ifndef GVMFS_SESSION_RESUME_H
#define GVMFS_SESSION_RESUME_H

#include <stdint.h>

struct worker;

/* Goes on with all of them: 0 or a negative errno. */
int sessions_resume(struct worker *w);
/* Goes on with those that had to wait; returns when to call again (CLOCK_MONOTONIC), ~0: not. */
uint64_t sessions_tick(struct worker *w, uint64_t now_ns);

#endif
