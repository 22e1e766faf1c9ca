// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gvmfs_jobs.c - the front gives jobs away and collects them, and no thread of theirs keeps it waiting, wherever that thread
 * loses the CPU.
 */
#include "check.h"
#include "node/jobs.h"
#include "options.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#define JOBS 200u
#define FEW  8u

static struct jobs jobs;
static struct options opts;
static pthread_t front;
static struct try {
	struct job job; /* first */
	unsigned number, done;
	atomic_uint worked;
} tries[JOBS];
static unsigned ended[JOBS], ends; /* their numbers */
static atomic_uint worked; /* jobs so far */

int pool_init(struct pool *pool, const struct options *o, uint64_t client, struct loop *loop, enum pool_kind kind)
{
	(void)o;
	(void)client;
	(void)loop;
	(void)kind;
	pool->count = 0;
	return 0;
}

/* ---- what jobs.c calls: a thread of the jobs stands still there, as if it had lost the CPU */

static atomic_bool lock_held, told_held; /* with the lock of those that block; where a conversation is about to tell the front */
static atomic_uint standing;
static _Thread_local bool talks; /* this is the thread of conversations */

int __real_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_mutex_lock(pthread_mutex_t *m);
int __real_pthread_mutex_unlock(pthread_mutex_t *m);
int __wrap_pthread_mutex_unlock(pthread_mutex_t *m);
ssize_t __real_write(int fd, const void *data, size_t bytes);
ssize_t __wrap_write(int fd, const void *data, size_t bytes);

static void stand(const atomic_bool *held)
{
	if (!atomic_load(held))
		return;
	atomic_fetch_add(&standing, 1);
	while (atomic_load(held))
		usleep(500);
	atomic_fetch_sub(&standing, 1);
}

static void wait_standing(unsigned n)
{
	while (atomic_load(&standing) < n)
		usleep(500);
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *m)
{
	CHECK(!pthread_equal(pthread_self(), front)); /* another thread may have it, and not the CPU */
	return __real_pthread_mutex_lock(m);
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t *m)
{
	if (!pthread_equal(pthread_self(), front))
		stand(&lock_held);
	return __real_pthread_mutex_unlock(m);
}

ssize_t __wrap_write(int fd, const void *data, size_t bytes)
{
	if (talks)
		stand(&told_held);
	return __real_write(fd, data, bytes);
}

/* ---- jobs */

static void try_work(struct job *job, struct pool *pool)
{
	struct try *t = (struct try *)job;

	talks |= pool != NULL;
	atomic_fetch_add(&t->worked, 1);
	atomic_fetch_add(&worked, 1);
	job->result = (int)t->number;
}

static void try_done(struct job *job)
{
	struct try *t = (struct try *)job;

	CHECK(pthread_equal(pthread_self(), front) && t->worked == 1 && !t->done);
	CHECK_EQ(job->result, t->number);
	t->done++;
	ended[ends++] = t->number;
}

static void begin(void)
{
	front = pthread_self();
	ends = 0;
	atomic_store(&worked, 0);
	for (unsigned i = 0; i < JOBS; i++)
		tries[i] = (struct try){.job = {.work = try_work, .done = try_done}, .number = i};
	if (!jobs.thread)
		CHECK_EQ(jobs_init(&jobs, &opts, 1), 0);
}

static void give(unsigned i, bool blocks)
{
	if (blocks)
		jobs_submit_blocking(&jobs, &tries[i].job);
	else
		jobs_submit(&jobs, &tries[i].job);
}

static void wait_ends(unsigned n)
{
	while (ends < n) {
		struct pollfd p = {.fd = jobs.event_fd, .events = POLLIN};

		CHECK_EQ(poll(&p, 1, -1), 1);
		jobs_collect(&jobs);
	}
	CHECK_EQ(ends, n);
}

/* ---- */

static void each_comes_back_once(void)
{
	begin();
	for (unsigned i = 0; i < JOBS; i++) {
		give(i, i % 3 == 0);
		if (i % 7 == 0)
			jobs_collect(&jobs);
	}
	wait_ends(JOBS);
	CHECK_EQ(jobs.under_way, 0);
	jobs_collect(&jobs);
	CHECK_EQ(ends, JOBS);
}

static void conversations_begin_in_their_order(void)
{
	begin();
	for (unsigned i = 0; i < JOBS; i++)
		give(i, false);
	wait_ends(JOBS);
	for (unsigned i = 0; i < JOBS; i++)
		CHECK_EQ(ended[i], i);
}

/* A thread of those that block stands still with their lock: jobs go out and come back, but for its own. */
static void a_thread_that_stands_still_keeps_no_front(void)
{
	begin();
	atomic_store(&lock_held, true);
	give(0, true);
	wait_standing(1);
	for (unsigned i = 1; i <= FEW; i++)
		give(i, false);
	for (unsigned i = FEW + 1; i <= 2 * FEW; i++)
		give(i, true);
	wait_ends(FEW);
	for (unsigned i = 0; i < FEW; i++)
		CHECK_EQ(ended[i], i + 1);
	atomic_store(&lock_held, false);
	wait_ends(2 * FEW + 1);
}

/* One that has ended a job, and not told so yet: what it has ended comes with what another tells. */
static void what_is_not_told_comes_with_the_next(void)
{
	begin();
	give(JOBS - 1, false); /* the thread is known from here on */
	wait_ends(1);
	atomic_store(&told_held, true);
	give(0, false);
	wait_standing(1);
	give(1, true);
	wait_ends(3);
	CHECK(ended[1] == 0 && ended[2] == 1);
	atomic_store(&told_held, false);
	give(2, false);
	wait_ends(4);
}

static const struct check_test tests[] = {
	{"each-comes-back-once", each_comes_back_once},
	{"conversations-begin-in-their-order", conversations_begin_in_their_order},
	{"a-thread-that-stands-still-keeps-no-front", a_thread_that_stands_still_keeps_no_front},
	{"what-is-not-told-comes-with-the-next", what_is_not_told_comes_with_the_next},
};
CHECK_MAIN(tests)
