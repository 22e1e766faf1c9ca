/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * jobs.h - slow work beside the front thread.
 *
 * Conversations with nodes (creating, attaching, resizing and deleting regions, the name table) all
 * run in one thread, each on a stack of its own (fiber.h), over one pool of connections: so many of
 * them as you like may wait for a node that is away, and those that need it not go on. They block in
 * fiber_wait() and pool_wait() only.
 *
 * Work that blocks in the kernel (a look into /proc, waiting for a child) has threads, made
 * as needed and kept.
 *
 * A job's work() touches nothing but the job and what the job was given. Its done() then runs in the
 * front thread, where the results are applied.
 */
#ifndef GVMFS_JOBS_H
#define GVMFS_JOBS_H

#include "fiber.h"
#include "pool.h"

#include <pthread.h>

#define JOBS_THREADS_MAX 32

struct job {
	void (*work)(struct job *job, struct pool *pool); /* pool: NULL if the work blocks */
	void (*done)(struct job *job);
	struct job *next;
	struct jobs *jobs;
	int result; /* set by work(); -ENOMEM if there was no memory to run it, or why nodes cannot be talked to */
};

struct job_queue {
	struct job *head, **tail;
};

struct jobs {
	int event_fd; /* readable when jobs wait for jobs_collect() */
	pthread_mutex_t lock;
	struct job_queue finished; /* lock */
	unsigned under_way;	   /* front thread: submitted and not collected */

	/* conversations */
	struct job_queue todo; /* lock */
	int wake_fd;	       /* readable when there is one */
	struct loop_source woken;
	struct loop loop;
	const struct options *opts;
	uint64_t client;
	struct pool pool; /* of that thread */
	int pool_error;	  /* why there is none: all that is begun ends so */
	struct fibers fibers;
	pthread_t thread;
	struct chunk_codec *codec; /* of that thread; and, if the mount seals: */
	struct sealer *sealer;
	uint64_t repair_due_ns; /* of that thread: before it, --repair-rate allows no copy (repair_job.h) */

	/* work that blocks */
	struct job_queue blocking; /* lock */
	pthread_cond_t more;
	unsigned blocking_count; /* lock: queued or at work */
	unsigned threads, idle;	 /* lock */
};

int jobs_init(struct jobs *jobs, const struct options *opts, uint64_t client);
/* Begins a conversation. */
void jobs_submit(struct jobs *jobs, struct job *job);
/* The same for work that may block for long, and talks to no node. */
void jobs_submit_blocking(struct jobs *jobs, struct job *job);
/* Runs done() of some of the jobs that finished; as long as there are more, event_fd is readable. Front thread. */
void jobs_collect(struct jobs *jobs);

#endif
