// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gvmfs_relief.c - the front's role: one thread has it at a time, the one that a call holds up loses it, and what
 * belongs to it is never touched by two.
 *
 * A call that waits is a vfork() whose child sleeps: its parent waits as one does for a client's lock. One that works
 * uses up the CPU.
 */
#include "check.h"
#include "state/relief.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define CALLS	 2000u
#define HELD_UP	 8u  /* calls that last until the front is relieved: in turns they wait, and work */
#define TURNS	 50u /* of a thread that was the front */
#define ALONE_NS 20000000
#define HANGS_MS 60000

static struct relief relief = { .kick_fd = -1 };
static int over_fd, released[HELD_UP][2];
static unsigned calls, fronts = 1, turns, left; /* of the role */
static int inside; /* threads that have it */
static atomic_uint reliefs, held; /* `held`: that wait */

static void role_check(void)
{
	CHECK(inside++ == 0);
	CHECK(inside-- == 1);
}

/* Does not return before the pipe is written to. */
static void wait_for_good(int fd)
{
	char byte;
	pid_t pid = vfork();

	if (pid == 0) {
		if (read(fd, &byte, 1) < 0)
			_exit(1);
		_exit(0);
	}
}

/* Does not return before the front is relieved. */
static void work_for_good(void)
{
	unsigned before = atomic_load(&reliefs);

	while (atomic_load(&reliefs) == before)
		continue;
}

static _Noreturn void look_after(void)
{
	CHECK(relief.shared > 0);
	for (unsigned i = 0; i < TURNS; i++) {
		role_check();
		turns++;
		relief_begin(&relief);
		if (i % 10 == 0)
			usleep(100);
		relief_end(&relief);
		role_check();
	}
	left++;
	relief_poke(&relief);
	relief_leave(&relief);
}

static void one_call(void)
{
	unsigned number = calls++, which = number / (CALLS / HELD_UP);
	bool waits = number % (CALLS / HELD_UP) == CALLS / HELD_UP / 2;

	relief_allow(&relief, &calls);
	relief_begin(&relief);
	if (waits) {
		atomic_fetch_add(&held, 1);
		if (which % 2)
			work_for_good();
		else
			wait_for_good(released[which][0]);
	}
	relief_end(&relief);
	role_check();
	if (!relief_deny(&relief))
		look_after();
	CHECK(!waits);
}

/* Has other things to do for long, before its first call, and is the only front all the while. */
static void work_alone(void)
{
	uint64_t end_ns = relief_cpu_ns(&relief) + ALONE_NS;

	CHECK(inside++ == 0);
	while (relief_cpu_ns(&relief) < end_ns)
		continue;
	CHECK(inside-- == 1);
}

static int front(void *arg)
{
	(void)arg;
	work_alone();
	while (calls < CALLS) {
		one_call();
		relief_yield(&relief);
		relief_keep(&relief);
		if (relief_is_shared(&relief) && calls % 7 == 0) { /* sleeps */
			relief_unlock(&relief);
			usleep(50);
			relief_lock(&relief);
		}
	}
	while (left < atomic_load(&reliefs)) {
		struct pollfd p = { .fd = relief.poke_fd, .events = POLLIN };

		for (unsigned i = 0; i < HELD_UP; i++)
			CHECK(write(released[i][1], "x", 1) == 1);
		relief_unlock(&relief);
		CHECK(poll(&p, 1, HANGS_MS) == 1);
		relief_lock(&relief);
		relief_poked(&relief);
	}
	return 7;
}

static void relieved(void *arg, void *what)
{
	(void)arg;
	role_check();
	CHECK(what == &calls);
	fronts++;
	atomic_fetch_add(&reliefs, 1);
	/* Some go on at once, beside the new front, others stay. */
	if (atomic_load(&held) % 4 == 1)
		CHECK(write(released[atomic_load(&held) - 1][1], "x", 1) == 1);
}

static void ended(struct relief *rl, int result)
{
	uint64_t one = 1;

	CHECK(rl == &relief && result == 7);
	CHECK(write(over_fd, &one, sizeof(one)) == sizeof(one));
}

static void a_front_that_is_held_up_is_relieved(void)
{
	struct pollfd p = { .events = POLLIN };
	unsigned found;

	p.fd = over_fd = eventfd(0, EFD_CLOEXEC);
	for (unsigned i = 0; i < HELD_UP; i++)
		CHECK(pipe(released[i]) == 0);
	relief.run = relief.go_on = front;
	relief.relieved = relieved;
	relief.over = ended;
	CHECK(relief_start(&relief) == 0);
	CHECK(poll(&p, 1, HANGS_MS) == 1);
	found = atomic_load(&reliefs);
	/* The CPU time of a virtual machine's thread may grow while another machine has the CPU: any call may seem long. */
	CHECK(found >= HELD_UP && found < 2 * HELD_UP && fronts == found + 1 && turns == found * TURNS);
	CHECK(calls == CALLS && atomic_load(&held) == HELD_UP);
}

static void a_front_that_is_slow_is_not(void)
{
	uint64_t now_ns;
	clockid_t clock;

	CHECK(pthread_getcpuclockid(pthread_self(), &clock) == 0);
	relief.clock = clock;
	relief.tid = gettid();
	now_ns = relief_cpu_ns(&relief);
	/* Without a CPU, or asleep where a signal wakes it, is not held up. */
	CHECK(!relief_is_held_up(&relief, now_ns + HANGS_MS * 1000000ull));
	while (!relief_is_held_up(&relief, now_ns))
		continue;
	CHECK(relief_cpu_ns(&relief) >= now_ns + 1000000);
}

static const struct check_test tests[] = {
	{ "front-that-is-held-up-in-a-call-is-relieved", a_front_that_is_held_up_is_relieved },
	{ "front-that-waits-for-nobody-is-not", a_front_that_is_slow_is_not },
};

/* Each in a process of its own: a spare never ends. */
int main(int argc, char **argv)
{
	return check_run_apart(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
