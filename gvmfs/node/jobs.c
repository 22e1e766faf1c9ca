// SPDX-License-Identifier: GPL-2.0-or-later
/* jobs.c - see jobs.h. */
#include "jobs.h"

#include "options.h"
#include "state/sealing.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void queue_init(struct job_queue *q)
{
	q->head = NULL;
	q->tail = &q->head;
}

static void queue_add(struct job_queue *q, struct job *job)
{
	job->next = NULL;
	*q->tail = job;
	q->tail = &job->next;
}

static struct job *queue_take(struct job_queue *q)
{
	struct job *job = q->head;

	if (job) {
		q->head = job->next;
		if (!q->head)
			q->tail = &q->head;
	}
	return job;
}

static void wake(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it is readable all the same */
}

static void job_finish(struct job *job)
{
	struct jobs *jobs = job->jobs;

	pthread_mutex_lock(&jobs->lock);
	queue_add(&jobs->finished, job);
	pthread_mutex_unlock(&jobs->lock);
	wake(jobs->event_fd);
}

/* Conversations */

static void talk(void *arg)
{
	struct job *job = arg;

	job->work(job, &job->jobs->pool);
	job_finish(job);
}

static void talks_begin(struct jobs *jobs)
{
	struct job *job, *next;

	pthread_mutex_lock(&jobs->lock);
	job = jobs->todo.head;
	queue_init(&jobs->todo);
	pthread_mutex_unlock(&jobs->lock);
	for (; job; job = next) {
		next = job->next;
		if (jobs->pool_error) {
			job->result = jobs->pool_error;
			job_finish(job);
		} else if (fiber_start(&jobs->fibers, talk, job) < 0) {
			job->result = -ENOMEM; /* only this one: the next may find memory */
			job_finish(job);
		}
	}
}

static void talk_woken(void *arg)
{
	const struct jobs *jobs = arg;
	uint64_t count;

	if (read(jobs->wake_fd, &count, sizeof(count)) < 0)
		return; /* it was read already */
}

static void *talk_thread(void *arg)
{
	struct jobs *jobs = arg;

	pthread_setname_np(pthread_self(), "gvmfs-talk");
	/* Here and not in jobs_init(): with many nodes it takes a while, and after a worker's death faults wait. */
	jobs->pool_error = pool_init(&jobs->pool, jobs->opts, jobs->client, &jobs->loop, POOL_TALKS);
	for (;;) {
		struct loop_events events;

		talks_begin(jobs);
		loop_sleep(&jobs->loop, fibers_run(&jobs->fibers), &events);
		loop_handle(&jobs->loop, &events);
	}
	return NULL;
}

static int talk_init(struct jobs *jobs, const struct options *opts, uint64_t client)
{
	int r;

	fibers_init(&jobs->fibers);
	jobs->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (jobs->wake_fd < 0)
		return -errno;
	jobs->codec = chunk_codec_create();
	if (!jobs->codec)
		return -ENOMEM;
	if (opts->sealing && (r = sealer_create(opts->sealing->key, opts->sealing->bytes, &jobs->sealer)) < 0)
		return r;
	if ((r = loop_init(&jobs->loop)) < 0 ||
	    (r = loop_add(&jobs->loop, &jobs->woken, jobs->wake_fd, talk_woken, jobs)) < 0)
		return r;
	jobs->opts = opts;
	jobs->client = client;
	return -pthread_create(&jobs->thread, NULL, talk_thread, jobs);
}

void jobs_submit(struct jobs *jobs, struct job *job)
{
	jobs->under_way++;
	job->jobs = jobs;
	pthread_mutex_lock(&jobs->lock);
	queue_add(&jobs->todo, job);
	pthread_mutex_unlock(&jobs->lock);
	wake(jobs->wake_fd);
}

/* Work that blocks */

static void *blocking_thread(void *arg)
{
	struct jobs *jobs = arg;

	pthread_setname_np(pthread_self(), "gvmfs-block");
	pthread_mutex_lock(&jobs->lock);
	for (;;) {
		struct job *job = queue_take(&jobs->blocking);

		if (!job) {
			jobs->idle++;
			pthread_cond_wait(&jobs->more, &jobs->lock);
			jobs->idle--;
			continue;
		}
		pthread_mutex_unlock(&jobs->lock);
		job->work(job, NULL);
		job_finish(job);
		pthread_mutex_lock(&jobs->lock);
		assert(jobs->blocking_count && jobs->idle < jobs->threads);
		jobs->blocking_count--;
	}
	return NULL;
}

/* Starts one more thread if all are busy. With the lock. */
static void blocking_thread_add(struct jobs *jobs)
{
	pthread_t thread;

	if (jobs->blocking_count <= jobs->threads || jobs->threads >= JOBS_THREADS_MAX ||
	    pthread_create(&thread, NULL, blocking_thread, jobs))
		return;
	pthread_detach(thread);
	jobs->threads++;
}

void jobs_submit_blocking(struct jobs *jobs, struct job *job)
{
	jobs->under_way++;
	job->jobs = jobs;
	pthread_mutex_lock(&jobs->lock);
	queue_add(&jobs->blocking, job);
	jobs->blocking_count++;
	if (jobs->idle)
		pthread_cond_signal(&jobs->more);
	blocking_thread_add(jobs);
	pthread_mutex_unlock(&jobs->lock);
}

int jobs_init(struct jobs *jobs, const struct options *opts, uint64_t client)
{
	*jobs = (struct jobs){ 0 };
	queue_init(&jobs->todo);
	queue_init(&jobs->blocking);
	queue_init(&jobs->finished);
	pthread_mutex_init(&jobs->lock, NULL);
	pthread_cond_init(&jobs->more, NULL);
	jobs->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (jobs->event_fd < 0)
		return -errno;
	/* The first thread is started now: later there may be no memory for one for a while. */
	jobs->blocking_count = 1;
	blocking_thread_add(jobs);
	jobs->blocking_count = 0;
	if (!jobs->threads)
		return -EAGAIN;
	return talk_init(jobs, opts, client);
}

void jobs_collect(struct jobs *jobs)
{
	uint64_t count;
	struct job *job;
	bool more;

	if (read(jobs->event_fd, &count, sizeof(count)) < 0)
		return;
	pthread_mutex_lock(&jobs->lock);
	job = queue_take(&jobs->finished);
	more = jobs->finished.head;
	pthread_mutex_unlock(&jobs->lock);
	if (more)
		wake(jobs->event_fd);
	if (!job)
		return;
	assert(jobs->under_way);
	jobs->under_way--;
	job->done(job);
}
