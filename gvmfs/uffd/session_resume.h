/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * session_resume.h - resumes the sessions of a predecessor: at once, or, where a thread of the
 * predecessor may still put pages into the client's memory, when that call has ended. Front thread.
 */
#ifndef GVMFS_SESSION_RESUME_H
#define GVMFS_SESSION_RESUME_H

#include <stdint.h>

struct worker;

/* Resumes all sessions that need not wait: 0 or a negative errno. */
int sessions_resume(struct worker *w);
/* Resumes those that had to wait; returns when to call again (CLOCK_MONOTONIC), ~0: never. */
uint64_t sessions_tick(struct worker *w, uint64_t now_ns);

#endif
