/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * jobs.h - slow work beside the front thread.
 *
 * Conversations with nodes (creating, attaching, resizing and deleting regions, the name table) all
 * run in one thread, each on a stack of its own (fiber.h), over one pool of connections: any number of
 * them may wait for a node that is away, while those that do not need it go on. They wait in
 * fiber_wait() and pool_wait() only.
 *
 * Work that blocks in the kernel (reading /proc, waiting for a child) has threads of its own, which are made
 * as needed and kept.
 *
 * A job's work() touches only the job and what the job was given. Its done() then runs in the
 * front thread, and applies the results.
 *
 * Jobs change hands by lists of which all that there is is taken at once, by one exchange: the front takes no lock that another
 * thread, which may lose the CPU with it, can hold.
 */
#ifndef GVMFS_JOBS_H
#define GVMFS_JOBS_H

#include "fiber.h"
#include "pace.h"
#include "pool.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#define JOBS_THREADS_MAX 32

struct job {
	void (*work)(struct job *job, struct pool *pool); /* pool: NULL if the work blocks */
	void (*done)(struct job *job);
	struct job *next;
	struct jobs *jobs;
	int result; /* set by work(). If work() was not run: -ENOMEM, or pool_error */
};

/* In the order in which they came. One thread's, or under its users' lock. */
struct job_queue {
	struct job *head, **tail;
};

struct jobs {
	int event_fd; /* readable when jobs wait for jobs_collect() */
	struct job *_Atomic finished; /* the last one first */
	struct job_queue collected;   /* of these, what the front has taken, and not ended yet */
	unsigned under_way;	      /* jobs submitted and not collected; front thread */

	/* conversations: */
	struct job *_Atomic todo; /* the last one first */
	int wake_fd;		  /* readable when todo has a job */
	struct loop_source woken;
	struct loop loop;
	const struct options *opts;
	uint64_t client;
	struct pool pool; /* that thread's, as are the next ones */
	int pool_error;	  /* negative errno: there is no pool, and every job ends with this; 0: there is */
	struct fibers fibers;
	pthread_t thread;
	struct chunk_codec *codec;
	struct sealer *sealer;	/* NULL: the mount does not seal */
	struct pace pace;	/* of copies that are made (repair_job.h) */

	/* work that blocks: */
	struct job *_Atomic blocking;	 /* the last one first */
	sem_t more;			 /* so many of them were submitted, and begun by no thread yet */
	atomic_uint blocking_count;	 /* jobs queued or running */
	unsigned threads;		 /* front thread */
	pthread_mutex_t lock;		 /* these threads', among themselves: */
	struct job_queue blocking_taken; /* what they have taken, and not begun yet */
};

/* 0 or a negative errno. `opts` must outlive it. */
int jobs_init(struct jobs *jobs, const struct options *opts, uint64_t client);
/* Starts a conversation: job->work() in the thread of conversations, then job->done(). Front thread. The job is the
 * caller's again when done() runs. */
void jobs_submit(struct jobs *jobs, struct job *job);
/* The same for work that may block for long, and talks to no node. */
void jobs_submit_blocking(struct jobs *jobs, struct job *job);
/* Runs done() of some of the finished jobs; event_fd stays readable while there are more. Front thread. */
void jobs_collect(struct jobs *jobs);

#endif
