// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * sandbox.c - chroot, identity, files and connections, system calls.
 *
 * A call that is not on the list fails with EPERM instead of killing the process: the node's chunks
 * exist nowhere else, and a refused call does no harm.
 */
#include "sandbox.h"
#include "log.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534 /* unless the table of users has another id */

/* linux/landlock.h may be older than the kernel. */
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_restrict_self  446
#endif
#define LANDLOCK_VERSION 1u /* LANDLOCK_CREATE_RULESET_VERSION */

struct ruleset {
	uint64_t fs, net, scoped;
};

struct identity {
	uid_t uid;
	gid_t gid;
};

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
/* The leak check traces the process, which the sandbox forbids. */
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
	SCMP_SYS(close),	  SCMP_SYS(shutdown),
	SCMP_SYS(write),	  SCMP_SYS(munmap),	  SCMP_SYS(mremap),
	SCMP_SYS(madvise),	  SCMP_SYS(brk),	  SCMP_SYS(getrandom),
	SCMP_SYS(clock_gettime),  SCMP_SYS(futex),	  SCMP_SYS(exit_group),
	SCMP_SYS(exit),		  SCMP_SYS(rt_sigreturn), SCMP_SYS(restart_syscall),
	/* The log's thread may only just begin when the filter comes: without rseq() the C library ends the
	 * process. */
	SCMP_SYS(rseq),		  SCMP_SYS(set_robust_list),
	/* the log's thread, and the wait for its last lines */
	SCMP_SYS(poll),		  SCMP_SYS(ppoll),	  SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep),
	/* abort() */
	SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction), SCMP_SYS(getpid), SCMP_SYS(gettid),
	SCMP_SYS(tgkill),
};

/* System calls of a sanitizer's report; in no program that is shipped. */
static const int calls_of_sanitizers[] = {
	SCMP_SYS(sigaltstack), SCMP_SYS(openat),     SCMP_SYS(read),	   SCMP_SYS(readlink),
	SCMP_SYS(fstat),       SCMP_SYS(newfstatat), SCMP_SYS(stat),	   SCMP_SYS(sched_yield),
	SCMP_SYS(getrlimit),   SCMP_SYS(prlimit64),  SCMP_SYS(mprotect),   SCMP_SYS(mmap),
	SCMP_SYS(ioctl),       SCMP_SYS(lseek),
};

static int calls_restrict(const void *arg)
{
	const int *more = arg;
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	/* Memory that is never executable. */
	const struct scmp_arg_cmp data_only = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	int err = 0;

	if (!ctx)
		return -ENOMEM;
	for (unsigned i = 0; i < sizeof(calls) / sizeof(*calls) && !err; i++)
		err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
	for (; *more >= 0 && !err; more++)
		err = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, *more, 0);
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

void sandbox_lacks(char *without, size_t bytes, const char *what, int err)
{
	size_t len = strlen(without);

	snprintf(without + len, bytes - len, "%s%s (%s)", len ? ", " : "", what, strerror(-err));
}

int sandbox_try(int (*call)(const void *arg), const void *arg)
{
	int status, err;
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* no core for a call that is not allowed */
		err = -call(arg);
		_exit(err > 0 && err < 255 ? err : err ? 255 : 0);
	}
	if (pid < 0)
		return 0; /* no child: the process makes the call untried */
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return 0;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -ENOSYS;
}

static int chroot_try(const void *arg)
{
	(void)arg;
	return chroot("/") ? -errno : 0;
}

/* A removed directory as root: no file can ever be created in it. */
static int root_leave(void)
{
	static const char *const places[] = {"/tmp", "/run", "/dev/shm", "/var/tmp"};
	int err = sandbox_try(chroot_try, NULL);

	for (unsigned i = 0; !err && i < sizeof(places) / sizeof(*places); i++) {
		char dir[64];

		snprintf(dir, sizeof(dir), "%s/gvm-memnode.XXXXXX", places[i]);
		if (!mkdtemp(dir))
			continue;
		err = chdir(dir) ? -errno : 0;
		rmdir(dir);
		return !err && (chroot(".") || chdir("/")) ? -errno : err;
	}
	return err ? err : -EROFS;
}

static int user_find(const char *user, struct identity *id)
{
	struct passwd *pw;

	errno = 0;
	pw = getpwnam(user ? user : "nobody");
	if (!pw && user)
		return errno && errno != ENOENT ? -errno : -ENOENT;
	*id = (struct identity){pw ? pw->pw_uid : NOBODY, pw ? pw->pw_gid : NOBODY};
	return 0;
}

static int identity_take(const void *arg)
{
	const struct identity *id = arg;

	/* A user namespace may forbid setgroups(). */
	if (setgroups(0, NULL) && errno != EPERM)
		return -errno;
	if (setresgid(id->gid, id->gid, id->gid) || setresuid(id->uid, id->uid, id->uid))
		return -errno;
	return 0;
}

static int landlock_enter(const void *arg)
{
	/* The rights that each version of the kernel's interface knows: files; renames across folders;
	 * truncation; (4) TCP; ioctl on devices; (6) abstract sockets and signals. */
	static const uint64_t fs[] = {0x1fff, 0x3fff, 0x7fff, 0x7fff, 0xffff, 0xffff};
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_VERSION);
	struct ruleset all = {0};
	size_t bytes = sizeof(all.fs);
	int fd, err;

	(void)arg;
	if (version < 1)
		return version ? -errno : -ENOSYS;
	all.fs = fs[(version > 6 ? 6 : version) - 1];
	if (version >= 4) {
		all.net = 3;
		bytes += sizeof(all.net);
	}
	if (version >= 6) {
		all.scoped = 3;
		bytes += sizeof(all.scoped);
	}
	fd = (int)syscall(SYS_landlock_create_ruleset, &all, bytes, 0);
	if (fd < 0)
		return -errno;
	err = syscall(SYS_landlock_restrict_self, fd, 0) ? -errno : 0;
	close(fd);
	return err;
}

static int privileges_end(const void *arg)
{
	(void)arg;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) ? -errno : 0;
}

/* As root. It is an error if the user given by --user is not allowed. */
static int root_end(struct sandbox *s, int *chroot_err, const char **why)
{
	struct identity id;
	int err;

	*why = "user";
	err = user_find(s->user, &id);
	if (err)
		return err;
	*chroot_err = root_leave();
	*why = "setuid";
	err = sandbox_try(identity_take, &id);
	if (!err)
		err = identity_take(&id);
	if (!err || s->user)
		return err;
	sandbox_lacks(s->without, sizeof(s->without), "a user of its own", err);
	return 0;
}

int sandbox_enter(struct sandbox *s, const char **why)
{
	bool root = geteuid() == 0;
	int chroot_err = 0, err;

	if (root) {
		err = root_end(s, &chroot_err, why);
		if (err)
			return err;
	}
	*why = "prctl";
	err = privileges_end(NULL);
	if (err)
		return err;
	/* Landlock applies to the calling thread only: the log's thread is stopped, and started anew by
	 * this one. */
	gvm_log_stop();
	err = sandbox_try(landlock_enter, NULL);
	if (!err)
		err = landlock_enter(NULL);
	gvm_log_start(LOG_PROGRAM);
	*why = "threads";
	if (s->threads) {
		int failed = s->threads(s->arg);

		if (failed)
			return failed;
	}
	if (chroot_err)
		sandbox_lacks(s->without, sizeof(s->without), "an empty root directory", chroot_err);
	if (err && (chroot_err || !root))
		sandbox_lacks(s->without, sizeof(s->without), "Landlock", err);
	err = sandbox_try(calls_restrict, s->calls);
	if (!err)
		err = calls_restrict(s->calls);
	if (err)
		sandbox_lacks(s->without, sizeof(s->without), "a filter of system calls", err);
	return 0;
}
