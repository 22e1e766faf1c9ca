// SPDX-License-Identifier: GPL-2.0-or-later
/* unpack.c - see unpack.h. */
#include "unpack.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

int unpack_init(struct unpack *u, struct chunk_codec *codec)
{
	u->own = codec;
	STAILQ_INIT(&u->free);
	STAILQ_INIT(&u->todo);
	STAILQ_INIT(&u->over);
	for (unsigned i = 0; i < UNPACK_JOBS; i++)
		STAILQ_INSERT_TAIL(&u->free, &u->job[i], entry);
	pthread_mutex_init(&u->lock, NULL);
	pthread_cond_init(&u->more, NULL);
	u->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return u->event_fd < 0 ? -errno : 0;
}

static void job_run(struct chunk_codec *codec, struct unpack_job *job)
{
	const struct unpack_piece *p = &job->piece;

	job->got = 0;
	job->error = chunk_decode(codec, &job->head, job->body, &p->region, p->chunk, p->zero_pages, p->to, &job->got);
}

/* The next job to be decoded; NULL: there is none. Called with the lock. */
static struct unpack_job *job_begin(struct unpack *u)
{
	struct unpack_job *job = STAILQ_FIRST(&u->todo);

	if (!job)
		return NULL;
	STAILQ_REMOVE_HEAD(&u->todo, entry);
	atomic_fetch_sub(&u->queued, 1);
	return job;
}

/* Called with the lock, by the other thread. */
static void job_over(struct unpack *u, struct unpack_job *job)
{
	uint64_t one = 1;

	STAILQ_INSERT_TAIL(&u->over, job, entry);
	atomic_fetch_add(&u->ended, 1);
	if (!u->wakes)
		return;
	u->wakes = false;
	if (write(u->event_fd, &one, sizeof(one)) < 0)
		return; /* it is readable already */
}

static void *unpack_thread(void *arg)
{
	struct unpack *u = arg;

	pthread_setname_np(pthread_self(), "gvmfs-unpack");
	pthread_mutex_lock(&u->lock);
	for (;;) {
		struct unpack_job *job = job_begin(u);

		if (!job) {
			u->idle = true;
			pthread_cond_wait(&u->more, &u->lock);
			u->idle = false;
			continue;
		}
		pthread_mutex_unlock(&u->lock);
		job_run(u->other, job);
		pthread_mutex_lock(&u->lock);
		job_over(u, job);
	}
	return NULL;
}

/* Makes room for pieces, and the other thread. Without either the front decodes everything. */
static bool unpack_start(struct unpack *u)
{
	uint8_t *bodies = malloc((size_t)UNPACK_JOBS * GVM_DATA_MAX);
	pthread_t thread;

	u->other = chunk_codec_create();
	u->started = bodies && u->other && !pthread_create(&thread, NULL, unpack_thread, u);
	if (!u->started) {
		u->refused = true;
		free(bodies);
		chunk_codec_destroy(u->other);
		return false;
	}
	pthread_detach(thread);
	for (unsigned i = 0; i < UNPACK_JOBS; i++)
		u->job[i].body = bodies + (size_t)i * GVM_DATA_MAX;
	return true;
}

bool unpack_give(struct unpack *u, const struct unpack_piece *piece, const struct chunk_head *head, const uint8_t *body)
{
	struct unpack_job *job = STAILQ_FIRST(&u->free);
	bool wake;

	if (!job || u->refused || (!u->started && !unpack_start(u)))
		return false;
	STAILQ_REMOVE_HEAD(&u->free, entry);
	u->under_way++;
	job->piece = *piece;
	job->head = *head;
	memcpy(job->body, body, head->body_bytes);
	pthread_mutex_lock(&u->lock);
	STAILQ_INSERT_TAIL(&u->todo, job, entry);
	atomic_fetch_add(&u->queued, 1);
	wake = u->idle;
	pthread_mutex_unlock(&u->lock);
	if (wake)
		pthread_cond_signal(&u->more);
	return true;
}

static void job_end(struct unpack *u, struct unpack_job *job)
{
	job->piece.done(job->piece.owner, &job->head, job->got, job->error);
	STAILQ_INSERT_HEAD(&u->free, job, entry);
	assert(u->under_way);
	u->under_way--;
}

unsigned unpack_collect(struct unpack *u)
{
	unsigned n = 0;

	while (atomic_load_explicit(&u->ended, memory_order_relaxed)) {
		struct unpack_job *job;

		pthread_mutex_lock(&u->lock);
		job = STAILQ_FIRST(&u->over);
		STAILQ_REMOVE_HEAD(&u->over, entry);
		atomic_fetch_sub(&u->ended, 1);
		pthread_mutex_unlock(&u->lock);
		job_end(u, job);
		n++;
	}
	return n;
}

bool unpack_help(struct unpack *u)
{
	struct unpack_job *job;

	if (!atomic_load_explicit(&u->queued, memory_order_relaxed))
		return false;
	pthread_mutex_lock(&u->lock);
	job = job_begin(u);
	pthread_mutex_unlock(&u->lock);
	if (!job)
		return false;
	job_run(u->own, job);
	job_end(u, job);
	return true;
}

bool unpack_may_sleep(struct unpack *u)
{
	bool may;

	if (!u->under_way)
		return true;
	pthread_mutex_lock(&u->lock);
	may = u->wakes = STAILQ_EMPTY(&u->over) && STAILQ_EMPTY(&u->todo);
	pthread_mutex_unlock(&u->lock);
	return may;
}
