// SPDX-License-Identifier: GPL-2.0-or-later
/* busy.c - see busy.h. */
#include "busy.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void compute(pid_t parent)
{
	volatile uint64_t sum = 0;

	signal(SIGINT, SIG_IGN); /* the parent stops us, in its order */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
		_exit(1);
	for (;;)
		sum = sum * 6364136223846793005u + 1;
}

int bench_busy_start(pid_t pid[BENCH_BUSY_MAX], unsigned count)
{
	pid_t parent = getpid();

	for (unsigned i = 0; i < count; i++) {
		pid[i] = fork();
		if (pid[i] == 0)
			compute(parent);
		if (pid[i] < 0) {
			int error = errno;

			bench_busy_stop(pid, i);
			return -error;
		}
	}
	return 0;
}

void bench_busy_stop(pid_t pid[BENCH_BUSY_MAX], unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		kill(pid[i], SIGKILL);
		waitpid(pid[i], NULL, 0);
	}
}
