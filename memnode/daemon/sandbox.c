// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * sandbox.c - chroot, identity, system calls.
 *
 * A call that is not on the list fails with EPERM instead of killing the process: what the node
 * holds cannot be fetched from anywhere else, and a refused call does no harm.
 */
#include "sandbox.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
/* The leak check traces the process, which the sandbox does not let it. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0";
}

const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void)
{
	return "halt_on_error=1:print_stacktrace=1";
}
#else
#define SANITIZED 0
#endif

static const int calls[] = {
	SCMP_SYS(io_uring_enter), SCMP_SYS(close),	  SCMP_SYS(shutdown),
	SCMP_SYS(write),	  SCMP_SYS(munmap),	  SCMP_SYS(mremap),
	SCMP_SYS(madvise),	  SCMP_SYS(brk),	  SCMP_SYS(getrandom),
	SCMP_SYS(clock_gettime),  SCMP_SYS(futex),	  SCMP_SYS(exit_group),
	SCMP_SYS(exit),		  SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall),
	/* the log's thread, and who waits for its last lines */
	SCMP_SYS(poll),		  SCMP_SYS(ppoll),	  SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep),
	/* abort() */
	SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction), SCMP_SYS(getpid), SCMP_SYS(gettid),
	SCMP_SYS(tgkill),
};

/* What a sanitizer needs in order to report; never part of a program that is shipped. */
static const int calls_of_sanitizers[] = {
	SCMP_SYS(sigaltstack), SCMP_SYS(openat),     SCMP_SYS(read),	   SCMP_SYS(readlink),
	SCMP_SYS(fstat),       SCMP_SYS(newfstatat), SCMP_SYS(stat),	   SCMP_SYS(sched_yield),
	SCMP_SYS(getrlimit),   SCMP_SYS(prlimit64),  SCMP_SYS(mprotect),   SCMP_SYS(mmap),
	SCMP_SYS(ioctl),       SCMP_SYS(lseek),
};

static int calls_restrict(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	/* Memory that is never executable. */
	const struct scmp_arg_cmp data_only = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	int err = 0;

	if (!ctx)
		return -ENOMEM;
	for (unsigned i = 0; i < sizeof(calls) / sizeof(*calls) && !err; i++)
		err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
	if (!err && !SANITIZED)
		err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, data_only);
	if (!err && !SANITIZED)
		err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, data_only);
	for (unsigned i = 0; SANITIZED && !err &&
			     i < sizeof(calls_of_sanitizers) / sizeof(*calls_of_sanitizers);
	     i++)
		err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls_of_sanitizers[i], 0);
	if (!err) /* for the log's thread too */
		err = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (!err)
		err = seccomp_load(ctx);
	seccomp_release(ctx);
	return err;
}

/* A directory that is removed while we stand in it: nothing can ever be put there. */
static int root_leave(void)
{
	char dir[] = "/tmp/gvm-memnode.XXXXXX";

	if (!mkdtemp(dir) || chdir(dir) || rmdir(dir) || chroot(".") || chdir("/"))
		return -errno;
	return 0;
}

int sandbox_enter(const char *user, const char **why)
{
	if (geteuid() == 0) {
		struct passwd *pw;
		int err;

		*why = "user";
		errno = 0;
		pw = getpwnam(user);
		if (!pw)
			return errno ? -errno : -ENOENT;
		*why = "chroot";
		err = root_leave();
		if (err)
			return err;
		*why = "setuid";
		if (setgroups(0, NULL) || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) ||
		    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid))
			return -errno;
	}
	*why = "prctl";
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return -errno;
	*why = "seccomp";
	return calls_restrict();
}
