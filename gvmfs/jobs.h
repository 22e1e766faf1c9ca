/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * jobs.h - slow work beside the front thread: whatever waits for several answers in turn (creating,
 * attaching, resizing and deleting regions, the name table).
 *
 * A job's work() runs in a thread of its own with that thread's pool and may block; it touches
 * nothing but the job and what the job was given. Its done() then runs in the front thread, where
 * the results are applied. Threads are made as needed (up to JOBS_THREADS_MAX, since one region's
 * dead node must not hold up another region) and kept.
 */
#ifndef GVMFS_JOBS_H
#define GVMFS_JOBS_H

#include "pool.h"

#include <pthread.h>

#define JOBS_THREADS_MAX 32

struct job {
	void (*work)(struct job *job, struct pool *pool);
	void (*done)(struct job *job);
	struct job *next;
	int result; /* set by work() */
};

struct jobs {
	const struct options *opts;
	uint64_t client;
	int event_fd; /* readable when jobs wait for jobs_collect() */
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct job *todo, **todo_tail;	   /* lock */
	struct job *finished, **finished_tail; /* lock */
	unsigned threads, idle;		   /* lock */
	unsigned under_way;		   /* front thread: submitted and not collected */
};

int jobs_init(struct jobs *jobs, const struct options *opts, uint64_t client);
void jobs_submit(struct jobs *jobs, struct job *job);
/* Closes descriptors that somebody sent us, in a job: closing a file of our own mount may ask the front
 * thread for something. */
void jobs_close(struct jobs *jobs, const int *fds, unsigned count);
/* Runs done() of the jobs that finished. Front thread. */
void jobs_collect(struct jobs *jobs);

#endif
