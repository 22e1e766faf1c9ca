// SPDX-License-Identifier: GPL-2.0-or-later
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_HUGEPAGE
#define MADV_HUGEPAGE 14
#endif

enum child_step { STEP_GROUP, STEP_FILTER, STEP_EXEC };

static const char *const step_names[] = {
	[STEP_GROUP] = "the memory cgroup cannot be entered",
	[STEP_FILTER] = "the system call filter cannot be installed",
	[STEP_EXEC] = "it cannot be started",
};

struct child_failure {
	enum child_step step;
	int error;
};

bool run_child_loses_privileges(void)
{
	struct __user_cap_header_struct hdr = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {{0}};

	if (syscall(SYS_capget, &hdr, data))
		return true;
	return !(data[CAP_SYS_ADMIN / 32].effective & 1u << CAP_SYS_ADMIN % 32);
}

/* Answers the advice with success and does nothing. Other architectures' calls pass as they are. */
static int filter_install(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int rc;

	if (!ctx)
		return -ENOMEM;
	rc = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW);
	if (!rc)
		rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_NNP, run_child_loses_privileges());
	if (!rc)
		rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(0), SCMP_SYS(madvise), 1,
				      SCMP_A2(SCMP_CMP_MASKED_EQ, 0xffffffffu, MADV_HUGEPAGE));
	if (!rc)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	return rc;
}

__attribute__((noreturn)) static void child_fail(int to, enum child_step step, int error)
{
	struct child_failure f = {step, error};
	ssize_t n = write(to, &f, sizeof(f));

	(void)n;
	_exit(127);
}

__attribute__((noreturn)) static void child_main(char *const argv[], const struct memcg *cg,
						 const sigset_t *mask, pid_t parent, int to)
{
	int rc = memcg_enter(cg, 0);

	if (rc)
		child_fail(to, STEP_GROUP, -rc);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(127);
	rc = filter_install();
	if (rc)
		child_fail(to, STEP_FILTER, -rc);
	sigprocmask(SIG_SETMASK, mask, NULL);
	execvp(argv[0], argv);
	child_fail(to, STEP_EXEC, errno);
}

pid_t run_child_start(char *const argv[], const struct memcg *cg, const sigset_t *mask,
		      const char **step)
{
	struct child_failure f;
	pid_t parent = getpid(), pid;
	int p[2];
	ssize_t n;

	*step = step_names[STEP_EXEC];
	if (pipe2(p, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (pid == 0)
		child_main(argv, cg, mask, parent, p[1]);
	f.error = errno;
	close(p[1]);
	if (pid < 0) {
		close(p[0]);
		return -f.error;
	}
	/* ends without a byte when the program runs: the pipe closes on exec */
	do
		n = read(p[0], &f, sizeof(f));
	while (n < 0 && errno == EINTR);
	close(p[0]);
	if (n != sizeof(f))
		return pid;
	waitpid(pid, NULL, 0);
	*step = step_names[f.step];
	return -f.error;
}
