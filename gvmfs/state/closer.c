// SPDX-License-Identifier: GPL-2.0-or-later
/* closer.c - see closer.h. */
#include "closer.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Returns when the worker's main thread has ended, and for no signal that anybody else sends: as long as the worker lives,
 * all descriptors here are its own. */
static void end_wait(pid_t worker)
{
	siginfo_t si = { 0 };
	sigset_t all;

	sigfillset(&all);
	while (getppid() == worker)
		if (sigwaitinfo(&all, &si) == SIGRTMIN && si.si_code == SI_USER && si.si_pid == worker)
			return;
}

/* A thread that was in a system call may have got one more descriptor. It closes none as the last either, since this
 * process still has the table. */
static void threads_wait(pid_t worker)
{
	struct pollfd p = { .fd = (int)syscall(SYS_pidfd_open, worker, 0), .events = POLLIN };

	/* (If it is the parent now, then it had its number when that was opened.) */
	if (p.fd >= 0 && getppid() == worker)
		poll(&p, 1, -1);
}

static _Noreturn void closer_run(pid_t worker, const struct journal *j)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	prctl(PR_SET_NAME, "gvmfs-closer");
	prctl(PR_SET_PDEATHSIG, SIGRTMIN); /* of the main thread, the one that made this process */
	journal_detach(j);
	if (chdir("/") < 0)
		_exit(1); /* it would keep a folder busy */
	end_wait(worker);
	close_range(0, ~0u, 0);
	threads_wait(worker);
	_exit(0);
}

void closer_start(const struct journal *j)
{
	pid_t worker = getpid();

	if (syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0) == 0)
		closer_run(worker, j);
}
