// SPDX-License-Identifier: GPL-2.0-or-later
/* relief.c - see relief.h. */
#include "relief.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS	   1 /* between two looks, where a call is in flight; else it becomes longer, to: */
#define LOOK_MS_MAX 4 /* each look takes a CPU that a fault may be waiting for */
#define RUN_NS	   2000000ull /* of CPU time in one call: only a client can make one that long */
#define LOOKS_IDLE 75 /* looks that find no new call, before the spare sleeps */

/* rl->call: a number in steps of CALL_STEP, and flags. */
#define CALL_WAITS 1u /* the call is in flight */
#define CALL_TAKEN 2u /* the role was taken during the call */
#define CALL_STEP  4u

static _Thread_local bool apart; /* this thread was the front, and is not any more */
static _Thread_local uint64_t made; /* the value of rl->call when this front began its call; 0: in none */

static int state_open(int tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* State D: in an uninterruptible wait, not just waiting for a CPU. */
static bool state_is_waiting(int fd)
{
	char text[512];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	const char *at;

	text[n > 0 ? n : 0] = 0;
	at = strrchr(text, ')');
	return at && at[1] == ' ' && at[2] == 'D';
}

uint64_t relief_cpu_ns(const struct relief *rl)
{
	struct timespec t = { 0 };

	clock_gettime(atomic_load(&rl->clock), &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static bool is_at_work(const struct relief *rl, uint64_t since_ns)
{
	return relief_cpu_ns(rl) >= since_ns + RUN_NS;
}

bool relief_is_held_up(const struct relief *rl, uint64_t since_ns)
{
	int fd = state_open(atomic_load(&rl->tid));
	bool waits = fd >= 0 && state_is_waiting(fd);

	if (fd >= 0)
		close(fd);
	return waits || is_at_work(rl, since_ns);
}

void relief_lock(struct relief *rl)
{
	unsigned mine;

	pthread_mutex_lock(&rl->mutex);
	mine = rl->next++;
	atomic_fetch_add(&rl->waiting, 1);
	while (rl->serving != mine)
		pthread_cond_wait(&rl->turn, &rl->mutex);
	atomic_fetch_sub(&rl->waiting, 1);
	pthread_mutex_unlock(&rl->mutex);
}

void relief_unlock(struct relief *rl)
{
	pthread_mutex_lock(&rl->mutex);
	rl->serving++;
	pthread_cond_broadcast(&rl->turn);
	pthread_mutex_unlock(&rl->mutex);
}

static void spare_wake(struct relief *rl)
{
	uint64_t one = 1;

	atomic_store(&rl->asleep, false);
	if (write(rl->kick_fd, &one, sizeof(one)) < 0)
		return; /* it is readable already */
}

bool relief_may_wait(const struct relief *rl)
{
	return apart || rl->allowed;
}

void relief_begin(struct relief *rl)
{
	if (apart) {
		relief_unlock(rl);
		return;
	}
	if (!rl->allowed)
		return;
	made = atomic_load_explicit(&rl->call, memory_order_relaxed);
	made = made / CALL_STEP * CALL_STEP + CALL_STEP + CALL_WAITS;
	atomic_store(&rl->call, made);
	if (atomic_load(&rl->asleep))
		spare_wake(rl);
}

void relief_end(struct relief *rl)
{
	uint64_t call = made;

	if (!apart) {
		if (!made)
			return;
		made = 0;
		if (atomic_compare_exchange_strong(&rl->call, &call, call - CALL_WAITS))
			return;
		apart = true; /* the role was taken: rl->call is now the new front's */
	}
	relief_lock(rl);
}

void relief_allow(struct relief *rl, void *what)
{
	rl->what = what;
	rl->allowed = true;
}

bool relief_deny(struct relief *rl)
{
	if (apart)
		return false;
	rl->allowed = false;
	return true;
}

void relief_poke(struct relief *rl)
{
	uint64_t one = 1;

	if (write(rl->poke_fd, &one, sizeof(one)) < 0)
		return; /* it is readable already */
}

void relief_poked(struct relief *rl)
{
	uint64_t count;

	if (read(rl->poke_fd, &count, sizeof(count)) < 0)
		return; /* it was seen already */
}

void relief_leave(struct relief *rl)
{
	assert(apart && rl->shared);
	rl->shared--;
	relief_poke(rl);
	relief_unlock(rl);
	pthread_exit(NULL);
}

static void front_begin(struct relief *rl)
{
	clockid_t clock;

	pthread_setname_np(pthread_self(), "gvmfs-front");
	pthread_getcpuclockid(pthread_self(), &clock);
	atomic_store(&rl->clock, clock);
	atomic_store(&rl->tid, gettid());
	if (rl->tid_told)
		atomic_store_explicit(rl->tid_told, gettid(), memory_order_release);
}

/* A call that is in flight and was not taken: after a relief it stays in rl->call until the new front makes its first. */
static bool call_is_fronts(uint64_t call)
{
	return (call & (CALL_WAITS | CALL_TAKEN)) == CALL_WAITS;
}

/* Takes the role if the front, which is in the same call as at the last look, is held up in it (and does not only wait
 * for a CPU). `since_ns`: its CPU time when it was first seen in this call. */
static bool role_take(struct relief *rl, uint64_t call, int state_fd, uint64_t since_ns)
{
	if (!state_is_waiting(state_fd) && !is_at_work(rl, since_ns))
		return false;
	/* The role's lock comes with the role: the old front does not release it. */
	return atomic_compare_exchange_strong(&rl->call, &call, call | CALL_TAKEN);
}

/* Returns when this thread has taken the role. */
static void spare_wait(struct relief *rl)
{
	struct pollfd p = { .fd = rl->kick_fd, .events = POLLIN };
	int state_fd = -1; /* of the front; opened early, since later there may be no free descriptor */
	uint64_t before = 0, since_ns = 0, count;
	unsigned idle = 0;
	int look_ms = LOOK_MS;

	for (;;) {
		bool asleep = idle >= LOOKS_IDLE;
		uint64_t call;

		if (state_fd < 0)
			state_fd = state_open(atomic_load(&rl->tid));

		if (asleep)
			atomic_store(&rl->asleep, true); /* before the last look, so that no call is missed */
		call = atomic_load(&rl->call);
		if (call == before && call_is_fronts(call) && role_take(rl, call, state_fd, since_ns))
			break;
		if (call != before)
			since_ns = relief_cpu_ns(rl);
		idle = call == before && !call_is_fronts(call) ? idle + 1 : 0;
		look_ms = call_is_fronts(call) ? LOOK_MS : look_ms < LOOK_MS_MAX ? 2 * look_ms : LOOK_MS_MAX;
		before = call;
		poll(&p, 1, asleep && idle ? -1 : look_ms);
		if (p.revents && read(rl->kick_fd, &count, sizeof(count)) > 0)
			idle = 0;
	}
	close(state_fd);
}

static void *spare_thread(void *arg)
{
	struct relief *rl = arg;

	pthread_setname_np(pthread_self(), "gvmfs-spare");
	spare_wait(rl);
	front_begin(rl);
	rl->allowed = rl->spare = false;
	rl->shared++;
	relief_keep(rl);
	rl->relieved(rl->arg, rl->what);
	rl->over(rl, rl->go_on(rl->arg));
	return NULL;
}

static int thread_start(struct relief *rl, void *(*run)(void *arg))
{
	pthread_t thread;
	int r = -pthread_create(&thread, NULL, run, rl);

	if (!r)
		pthread_detach(thread);
	return r;
}

void relief_keep(struct relief *rl)
{
	if (rl->spare)
		return;
	atomic_store(&rl->asleep, false);
	rl->spare = thread_start(rl, spare_thread) == 0;
}

static void *first_thread(void *arg)
{
	struct relief *rl = arg;

	front_begin(rl);
	relief_lock(rl);
	relief_keep(rl);
	rl->over(rl, rl->run(rl->arg));
	return NULL;
}

int relief_start(struct relief *rl)
{
	pthread_mutex_init(&rl->mutex, NULL);
	pthread_cond_init(&rl->turn, NULL);
	rl->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	rl->poke_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (rl->kick_fd < 0 || rl->poke_fd < 0)
		return -errno;
	return thread_start(rl, first_thread);
}
