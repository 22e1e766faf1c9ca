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
	pthread_cond_init(&u->less, NULL);
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
	job->state = UNPACK_RUNNING;
	atomic_fetch_sub(&u->queued, 1);
	return job;
}

/* Called with the lock, by the other thread. */
static void job_over(struct unpack *u, struct unpack_job *job)
{
	uint64_t one = 1;

	job->state = UNPACK_DONE;
	STAILQ_INSERT_TAIL(&u->over, job, entry);
	atomic_fetch_add(&u->ended, 1);
	pthread_cond_signal(&u->less);
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
	job->state = UNPACK_QUEUED;
	STAILQ_INSERT_TAIL(&u->todo, job, entry);
	atomic_fetch_add(&u->queued, 1);
	wake = u->idle;
	pthread_mutex_unlock(&u->lock);
	if (wake)
		pthread_cond_signal(&u->more);
	return true;
}

/* done() may end other jobs (unpack_finish()): for those calls this one is none any more, though it gets its
 * next piece only after done() has returned. */
static void job_end(struct unpack *u, struct unpack_job *job)
{
	job->state = UNPACK_FREE;
	job->piece.done(job->piece.owner, &job->head, job->got, job->error);
	STAILQ_INSERT_HEAD(&u->free, job, entry);
	assert(u->under_way);
	u->under_way--;
}

/* Called with the lock. */
static void job_take_over(struct unpack *u, struct unpack_job *job)
{
	STAILQ_REMOVE(&u->over, job, unpack_job, entry);
	atomic_fetch_sub(&u->ended, 1);
}

unsigned unpack_collect(struct unpack *u)
{
	unsigned n = 0;

	while (atomic_load_explicit(&u->ended, memory_order_relaxed)) {
		struct unpack_job *job;

		pthread_mutex_lock(&u->lock);
		job = STAILQ_FIRST(&u->over);
		job_take_over(u, job);
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

/* Takes a job, if it is the owner's, out of its list, and waits until no thread decodes it. UNPACK_FREE: it is not the
 * owner's; UNPACK_QUEUED: nobody has begun it; UNPACK_DONE or UNPACK_RUNNING: it is decoded. */
static enum unpack_state job_take(struct unpack *u, struct unpack_job *job, const void *owner)
{
	enum unpack_state state;

	pthread_mutex_lock(&u->lock);
	state = job->piece.owner == owner ? job->state : UNPACK_FREE;
	if (state == UNPACK_QUEUED) {
		STAILQ_REMOVE(&u->todo, job, unpack_job, entry);
		atomic_fetch_sub(&u->queued, 1);
	} else if (state != UNPACK_FREE) {
		while (job->state == UNPACK_RUNNING)
			pthread_cond_wait(&u->less, &u->lock);
		job_take_over(u, job);
	}
	pthread_mutex_unlock(&u->lock);
	return state;
}

void unpack_finish(struct unpack *u, const void *owner)
{
	for (struct unpack_job *job = u->job; u->under_way && job != u->job + UNPACK_JOBS; job++) {
		enum unpack_state state = job_take(u, job, owner);

		if (state == UNPACK_FREE)
			continue;
		if (state == UNPACK_QUEUED)
			job_run(u->own, job);
		job_end(u, job);
	}
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
