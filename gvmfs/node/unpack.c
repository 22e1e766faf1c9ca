// SPDX-License-Identifier: GPL-2.0-or-later
/* unpack.c - see unpack.h. */
#include "unpack.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

int unpack_init(struct unpack *u, const struct unpack_means *own, struct sealer *sealer)
{
	u->own = *own;
	u->other.sealer = sealer;
	if (sem_init(&u->more, 0, 0) < 0)
		return -errno;
	u->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return u->event_fd < 0 ? -errno : 0;
}

static int job_decode(const struct unpack_means *m, const struct unpack_job *job, uint8_t *to, uint32_t *got)
{
	const struct unpack_piece *p = &job->piece;

	*got = 0;
	return p->sealed ? seal_open(m->sealer, m->codec, &job->head, job->body, &p->region, p->chunk, p->zero_pages, to, got) :
			   chunk_decode(m->codec, &job->head, job->body, &p->region, p->chunk, p->zero_pages, to, got);
}

static struct unpack_job *job_find(struct unpack *u, enum unpack_state state)
{
	struct unpack_job *first = NULL;

	for (struct unpack_job *job = u->job; job < u->job + UNPACK_JOBS; job++)
		if (atomic_load(&job->state) == state && (!first || (int32_t)(job->number - first->number) < 0))
			first = job;
	return first;
}

/* Whether the caller has it now, to decode it. */
static bool job_claim(struct unpack_job *job)
{
	enum unpack_state todo = UNPACK_TODO;

	return atomic_compare_exchange_strong(&job->state, &todo, UNPACK_BEGUN);
}

/* The next job to be decoded, which is the caller's; NULL: there is none. */
static struct unpack_job *job_begin(struct unpack *u)
{
	struct unpack_job *job;

	while ((job = job_find(u, UNPACK_TODO)))
		if (job_claim(job))
			return job;
	return NULL;
}

/* By the other thread. */
static void job_over(struct unpack *u, struct unpack_job *job)
{
	uint64_t one = 1;

	atomic_fetch_add(&u->over, 1); /* first: the front, which may be looking at this one, counts down */
	atomic_store(&job->state, UNPACK_OVER);
	if (atomic_exchange(&u->wakes, false) && write(u->event_fd, &one, sizeof(one)) < 0)
		return; /* it is readable already */
}

static void *unpack_thread(void *arg)
{
	struct unpack *u = arg;

	pthread_setname_np(pthread_self(), "gvmfs-unpack");
	for (;;) {
		struct unpack_job *job;

		while (sem_wait(&u->more) < 0)
			;
		job = job_begin(u);
		if (!job)
			continue; /* the front was first */
		job->error = job_decode(&u->other, job, job->to, &job->got);
		job_over(u, job);
	}
	return NULL;
}

/* Makes room for pieces, and the other thread. Without either the front decodes everything. */
static bool unpack_start(struct unpack *u)
{
	uint8_t *bodies = malloc((size_t)UNPACK_JOBS * GVM_DATA_MAX);
	pthread_t thread;

	u->spare = aligned_alloc(GVM_PAGE_BYTES, GVM_CHUNK_BYTES);
	u->other.codec = chunk_codec_create();
	u->started = bodies && u->spare && u->other.codec && !pthread_create(&thread, NULL, unpack_thread, u);
	if (!u->started) {
		u->refused = true;
		free(bodies);
		free(u->spare);
		chunk_codec_destroy(u->other.codec);
		return false;
	}
	pthread_detach(thread);
	for (unsigned i = 0; i < UNPACK_JOBS; i++)
		u->job[i].body = bodies + (size_t)i * GVM_DATA_MAX;
	return true;
}

bool unpack_give(struct unpack *u, const struct unpack_piece *piece, const struct chunk_head *head, const uint8_t *body)
{
	struct unpack_job *job;

	if (u->under_way == UNPACK_JOBS || u->refused || (!u->started && !unpack_start(u)))
		return false;
	job = job_find(u, UNPACK_FREE);
	assert(job && piece->pages);
	u->under_way++;
	job->left = false;
	job->number = u->given++;
	job->piece = *piece;
	job->to = *piece->to;
	job->head = *head;
	memcpy(job->body, body, head->body_bytes);
	atomic_store(&job->state, UNPACK_TODO);
	sem_post(&u->more);
	return true;
}

/* done() may give the next one. */
static void job_end(struct unpack *u, struct unpack_job *job, uint32_t got, int error)
{
	job->piece.done(job->piece.owner, &job->head, got, error);
	job->piece.owner = NULL;
	atomic_store(&job->state, UNPACK_FREE);
	assert(u->under_way);
	u->under_way--;
}

static void job_help(struct unpack *u, struct unpack_job *job)
{
	uint32_t got;
	int error = job_decode(&u->own, job, job->to, &got);

	job_end(u, job, got, error);
}

static void job_collect(struct unpack *u, struct unpack_job *job)
{
	atomic_fetch_sub(&u->over, 1);
	if (!job->left) {
		job_end(u, job, job->got, job->error);
		return;
	}
	assert(!u->spare && u->under_way);
	u->spare = job->to;
	atomic_store(&job->state, UNPACK_FREE);
	u->under_way--;
}

unsigned unpack_collect(struct unpack *u)
{
	struct unpack_job *job;
	unsigned n = 0;

	for (; atomic_load_explicit(&u->over, memory_order_relaxed) && (job = job_find(u, UNPACK_OVER)); n++)
		job_collect(u, job);
	return n;
}

bool unpack_help(struct unpack *u)
{
	struct unpack_job *job = u->under_way ? job_begin(u) : NULL;

	if (job)
		job_help(u, job);
	return job;
}

static void pages_copy(uint8_t *to, const uint8_t *from, uint32_t pages)
{
	for (unsigned i = 0; i < GVM_CHUNK_PAGES; i++)
		if (pages >> i & 1)
			memcpy(to + i * GVM_PAGE_BYTES, from + i * GVM_PAGE_BYTES, GVM_PAGE_BYTES);
}

/* The other thread has gone on to another job, perhaps: then the buffer that it wrote to is the spare one again. */
static void left_collect(struct unpack *u)
{
	for (struct unpack_job *job = u->job; job < u->job + UNPACK_JOBS; job++)
		if (job->left && atomic_load(&job->state) == UNPACK_OVER)
			job_collect(u, job);
}

/* The other thread is at it, and may not have the CPU: it goes on in the buffer that it has, which the owner gets no more. (It
 * begins one job at a time, so that one spare buffer is enough.) */
static void job_take_back(struct unpack *u, struct unpack_job *job)
{
	uint32_t got;
	int error;

	left_collect(u);
	assert(u->spare && *job->piece.to == job->to);
	job->left = true;
	pages_copy(u->spare, job->to, ~job->piece.pages);
	error = job_decode(&u->own, job, u->spare, &got);
	*job->piece.to = u->spare;
	u->spare = NULL;
	job->piece.done(job->piece.owner, &job->head, got, error);
	job->piece.owner = NULL;
}

void unpack_hurry(struct unpack *u, const void *owner)
{
	struct unpack_job *job = u->job;

	while (job < u->job + UNPACK_JOBS && job->piece.owner != owner)
		job++;
	if (job == u->job + UNPACK_JOBS)
		return;
	if (job_claim(job))
		job_help(u, job);
	else if (atomic_load(&job->state) == UNPACK_OVER)
		job_collect(u, job);
	else
		job_take_back(u, job);
}

bool unpack_may_sleep(struct unpack *u)
{
	if (!u->under_way)
		return true;
	atomic_store(&u->wakes, true);
	if (!job_find(u, UNPACK_TODO) && !job_find(u, UNPACK_OVER))
		return true;
	atomic_store(&u->wakes, false);
	return false;
}
