// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gvmfs_lookout.c - when a killed worker's successor may begin: not before each of its threads has let go of the memory,
 * and not as late as the kernel has freed it.
 */
#include "check.h"
#include "state/lookout.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#define TRIES	20u
#define THREADS 20u
#define BYTES	(256ull << 20)
#define HANGS_S 60

static void *thread_run(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

/* With memory that takes long to free. Each of its threads comes to its end in its own time. */
static _Noreturn void worker_run(int ready)
{
	uint8_t *memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_t thread;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	madvise(memory, BYTES, MADV_NOHUGEPAGE);
	for (uint64_t at = 0; at < BYTES; at += 4096)
		memory[at] = 1;
	for (unsigned i = 0; i < THREADS; i++)
		if (pthread_create(&thread, NULL, thread_run, NULL))
			_exit(1);
	if (write(ready, "", 1) != 1)
		_exit(1);
	thread_run(NULL);
	_exit(1);
}

static pid_t worker_start(void)
{
	int ready[2];
	char byte;
	pid_t pid;

	CHECK(pipe(ready) == 0);
	pid = fork();
	if (pid == 0)
		worker_run(ready[1]);
	close(ready[1]);
	CHECK(pid > 0 && read(ready[0], &byte, 1) == 1);
	close(ready[0]);
	return pid;
}

/* Whether nothing of it acted any more before it could be reaped. */
static bool worker_is_spent_early(pid_t pid)
{
	bool spent = false;

	for (;;) {
		/* In this order: what is reaped was spent before. */
		spent |= lookout_is_spent(pid);
		if (waitpid(pid, NULL, WNOHANG) == pid)
			return spent;
		if (!spent)
			usleep(100);
	}
}

static void killed(void)
{
	unsigned early = 0;

	for (unsigned i = 0; i < TRIES && early < 3; i++) {
		pid_t pid = worker_start();

		CHECK(!lookout_is_spent(pid));
		CHECK(kill(pid, SIGKILL) == 0);
		early += worker_is_spent_early(pid);
	}
	CHECK(early);
}

static void lives(void)
{
	pid_t pid = worker_start();

	for (unsigned i = 0; i < 1000; i++)
		CHECK(!lookout_is_spent(pid));
	CHECK(kill(pid, SIGSTOP) == 0);
	for (unsigned i = 0; i < 1000; i++)
		CHECK(!lookout_is_spent(pid));
	kill(pid, SIGKILL);
	CHECK(waitpid(pid, NULL, 0) == pid);
	CHECK(!lookout_is_spent(pid));
}

static const struct check_test tests[] = {
	{ "killed-worker-is-spent-before-it-is-reaped", killed },
	{ "worker-that-lives-is-not-spent", lives },
};

int main(int argc, char **argv)
{
	alarm(HANGS_S);
	return check_run(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
