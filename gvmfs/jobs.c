// SPDX-License-Identifier: GPL-2.0-or-later
/* jobs.c - see jobs.h. */
#include "jobs.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void queue_init(struct job **head, struct job ***tail)
{
	*head = NULL;
	*tail = head;
}

static void queue_add(struct job ***tail, struct job *job)
{
	job->next = NULL;
	**tail = job;
	*tail = &job->next;
}

static struct job *queue_take(struct job **head, struct job ***tail)
{
	struct job *job = *head;

	if (job) {
		*head = job->next;
		if (!*head)
			*tail = head;
	}
	return job;
}

static void *jobs_thread(void *arg)
{
	struct jobs *jobs = arg;
	struct pool *pool = malloc(sizeof(*pool));
	uint64_t one = 1;

	if (pool && pool_init(pool, jobs->opts, jobs->client, -1, false) < 0) {
		free(pool);
		pool = NULL;
	}
	pthread_mutex_lock(&jobs->lock);
	for (;;) {
		struct job *job = queue_take(&jobs->todo, &jobs->todo_tail);

		if (!job) {
			jobs->idle++;
			pthread_cond_wait(&jobs->more, &jobs->lock);
			jobs->idle--;
			continue;
		}
		pthread_mutex_unlock(&jobs->lock);
		if (pool)
			job->work(job, pool);
		else
			job->result = -ENOMEM;
		pthread_mutex_lock(&jobs->lock);
		queue_add(&jobs->finished_tail, job);
		if (write(jobs->event_fd, &one, sizeof(one)) < 0)
			continue; /* the counter is full: it is readable all the same */
	}
	return NULL;
}

int jobs_init(struct jobs *jobs, const struct options *opts, uint64_t client)
{
	*jobs = (struct jobs){ .opts = opts, .client = client };
	queue_init(&jobs->todo, &jobs->todo_tail);
	queue_init(&jobs->finished, &jobs->finished_tail);
	pthread_mutex_init(&jobs->lock, NULL);
	pthread_cond_init(&jobs->more, NULL);
	jobs->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return jobs->event_fd < 0 ? -errno : 0;
}

void jobs_submit(struct jobs *jobs, struct job *job)
{
	pthread_t thread;

	jobs->under_way++;
	pthread_mutex_lock(&jobs->lock);
	queue_add(&jobs->todo_tail, job);
	if (jobs->idle)
		pthread_cond_signal(&jobs->more);
	/* Every job waiting has a thread coming, unless all are taken. */
	if (jobs->under_way > jobs->threads && jobs->threads < JOBS_THREADS_MAX &&
	    pthread_create(&thread, NULL, jobs_thread, jobs) == 0) {
		pthread_detach(thread);
		jobs->threads++;
	}
	pthread_mutex_unlock(&jobs->lock);
}

void jobs_collect(struct jobs *jobs)
{
	uint64_t count;
	struct job *job;

	if (read(jobs->event_fd, &count, sizeof(count)) < 0)
		return;
	for (;;) {
		pthread_mutex_lock(&jobs->lock);
		job = queue_take(&jobs->finished, &jobs->finished_tail);
		pthread_mutex_unlock(&jobs->lock);
		if (!job)
			return;
		jobs->under_way--;
		job->done(job);
	}
}

struct close_job {
	struct job job;
	int fd;
};

static void close_work(struct job *job, struct pool *pool)
{
	(void)pool;
	close(((struct close_job *)job)->fd);
}

static void close_done(struct job *job)
{
	free(job);
}

void jobs_close(struct jobs *jobs, const int *fds, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct close_job *cj = calloc(1, sizeof(*cj));

		if (!cj)
			return; /* open for ever: better than waiting for ourselves */
		cj->fd = fds[i];
		cj->job.work = close_work;
		cj->job.done = close_done;
		jobs_submit(jobs, &cj->job);
	}
}
