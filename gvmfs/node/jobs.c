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

static void list_push(struct job *_Atomic *list, struct job *job)
{
	struct job *first = atomic_load(list);

	do
		job->next = first;
	while (!atomic_compare_exchange_weak(list, &first, job));
}

/* Moves what the list has to the end of the queue, in the order in which it came. */
static void list_take(struct job *_Atomic *list, struct job_queue *q)
{
	struct job *last = atomic_exchange(list, NULL), *first = NULL, *next;

	for (struct job *job = last; job; job = next) {
		next = job->next;
		job->next = first;
		first = job;
	}
	*q->tail = first;
	q->tail = last ? &last->next : q->tail;
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

	list_push(&jobs->finished, job); /* the front may free it from here on */
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
	struct job_queue todo;
	struct job *job;

	queue_init(&todo);
	list_take(&jobs->todo, &todo);
	while ((job = queue_take(&todo))) {
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
	list_push(&jobs->todo, job);
	wake(jobs->wake_fd);
}

/* Work that blocks */

/* One that was submitted: there is one for each count of `more`. */
static struct job *blocking_take(struct jobs *jobs)
{
	struct job *job;

	pthread_mutex_lock(&jobs->lock);
	list_take(&jobs->blocking, &jobs->blocking_taken);
	job = queue_take(&jobs->blocking_taken);
	pthread_mutex_unlock(&jobs->lock);
	assert(job);
	return job;
}

static void *blocking_thread(void *arg)
{
	struct jobs *jobs = arg;

	pthread_setname_np(pthread_self(), "gvmfs-block");
	for (;;) {
		struct job *job;

		while (sem_wait(&jobs->more) < 0)
			;
		job = blocking_take(jobs);
		job->work(job, NULL);
		job_finish(job);
		atomic_fetch_sub(&jobs->blocking_count, 1);
	}
	return NULL;
}

/* Starts one more thread if all are busy. */
static void blocking_thread_add(struct jobs *jobs)
{
	pthread_t thread;

	if (atomic_load(&jobs->blocking_count) <= jobs->threads || jobs->threads >= JOBS_THREADS_MAX ||
	    pthread_create(&thread, NULL, blocking_thread, jobs))
		return;
	pthread_detach(thread);
	jobs->threads++;
}

void jobs_submit_blocking(struct jobs *jobs, struct job *job)
{
	jobs->under_way++;
	job->jobs = jobs;
	atomic_fetch_add(&jobs->blocking_count, 1);
	list_push(&jobs->blocking, job);
	sem_post(&jobs->more);
	blocking_thread_add(jobs);
}

int jobs_init(struct jobs *jobs, const struct options *opts, uint64_t client)
{
	*jobs = (struct jobs){ 0 };
	queue_init(&jobs->collected);
	queue_init(&jobs->blocking_taken);
	pthread_mutex_init(&jobs->lock, NULL);
	if (sem_init(&jobs->more, 0, 0) < 0)
		return -errno;
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

	if (read(jobs->event_fd, &count, sizeof(count)) < 0)
		return;
	list_take(&jobs->finished, &jobs->collected);
	job = queue_take(&jobs->collected);
	if (jobs->collected.head)
		wake(jobs->event_fd);
	if (!job)
		return;
	assert(jobs->under_way);
	jobs->under_way--;
	job->done(job);
}
