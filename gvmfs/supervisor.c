// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * supervisor.c - see supervisor.h.
 *
 * It does as little as can be, so that it does not die itself: it never talks to a node and never
 * reads a request. A worker that is killed leaves three things that matter: requests that the
 * kernel still waits for (the kernel sends them again when asked, Linux 6.9 and later), writes that
 * no node has yet, and the index (both in the journal). On older kernels the requests cannot be
 * had again: the mount ends with an error for its users, and a last worker without a mount sends
 * the writes to the nodes.
 */
#include "supervisor.h"

#include "journal.h"
#include "keeper.h"
#include "log.h"
#include "listener.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <fuse3/fuse_lowlevel.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

/* So many workers in a row that lived no longer than that: what kills them will not go away. One
 * that is killed from outside, however often, is replaced. */
#define YOUNG_DEATHS_MAX 5
#define YOUNG_NS	 300000000ull
#define MOUNTINFO_LINE	4096

struct supervisor {
	const struct options *opts;
	struct journal journal;
	struct keeper keeper;
	int fuse_fd;
	int listen_fd;
	int ready_fd;
	int signal_fd;
	pid_t worker;
	sigset_t signals;
	uint64_t started_ns; /* the worker */
	unsigned young_deaths;
};

static int mount_gvmfs(struct supervisor *s)
{
	static const struct fuse_lowlevel_ops none;
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	char text[200];
	struct fuse_session *session = NULL;

	snprintf(text, sizeof(text),
		 "-ofsname=gvmfs,subtype=gvmfs,default_permissions,max_read=%u%s", READ_BYTES_MAX,
		 s->opts->allow_other ? ",allow_other" : "");
	if (fuse_opt_add_arg(&args, "gvmfs") == 0 && fuse_opt_add_arg(&args, text) == 0)
		session = fuse_session_new(&args, &none, sizeof(none), NULL);
	fuse_opt_free_args(&args);
	if (!session)
		return -ENOMEM;
	if (fuse_session_mount(session, s->opts->mountpoint) < 0)
		return -EIO; /* libfuse has said why */
	/* The session is kept only for its descriptor, which stays open. */
	s->fuse_fd = fuse_session_fd(session);
	return 0;
}

static void unmount(struct supervisor *s)
{
	char tool[] = "fusermount3", off[] = "-u", lazy[] = "-z";
	char *argv[] = { tool, off, lazy, (char *)s->opts->mountpoint, NULL };
	pid_t pid;

	if (umount2(s->opts->mountpoint, UMOUNT_NOFOLLOW) == 0)
		return;
	if (errno == EBUSY)
		log_warning(NULL, "%s is in use: it ends when the last user closes it",
			    s->opts->mountpoint);
	if (umount2(s->opts->mountpoint, UMOUNT_NOFOLLOW | MNT_DETACH) == 0 || errno != EPERM)
		return;
	if (posix_spawnp(&pid, tool, NULL, NULL, argv, environ) == 0)
		waitpid(pid, NULL, 0);
}

/* The device number that the kernel gave the mount, as in /sys/class/bdi; without asking the mount. */
static bool mount_device(const char *mountpoint, char *dev, size_t size)
{
	char line[MOUNTINFO_LINE], at[1024], number[32];
	FILE *f = fopen("/proc/self/mountinfo", "re");
	bool found = false;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%*d %*d %31s %*s %1023s", number, at) == 2 &&
		    strcmp(at, mountpoint) == 0) {
			snprintf(dev, size, "%s", number);
			found = true; /* the last one is on top */
		}
	if (f)
		fclose(f);
	return found;
}

/* FUSE mounts may by default have so little dirty memory that a guest which dirties pages faster
 * than that is throttled to a crawl, though its budget bounds it anyway. */
static void mount_tune(struct supervisor *s)
{
	static const struct {
		const char *name, *value;
	} settings[] = { { "strict_limit", "0" }, { "max_ratio", "100" } };
	unsigned major, minor;
	char dev[32], path[128];

	if (!mount_device(s->opts->mountpoint, dev, sizeof(dev)))
		return;
	if (sscanf(dev, "%u:%u", &major, &minor) == 2)
		s->journal.super->mount_dev = makedev(major, minor);
	for (unsigned i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
		int fd;

		snprintf(path, sizeof(path), "/sys/class/bdi/%s/%s", dev, settings[i].name);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			continue; /* an older kernel, or no privilege: slower, not wrong */
		if (write(fd, settings[i].value, strlen(settings[i].value)) < 0)
			log_debug(NULL, "%s: %s", path, strerror(errno));
		close(fd);
	}
}

/* The kernel should look elsewhere first when memory is short: a guest depends on this. */
static void avoid_oom_kill(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "-1000", 5) < 0)
		log_debug(NULL, "oom_score_adj: %s", strerror(errno));
	close(fd);
}

/* `serve`: on the mount; else only to send what is unacknowledged. */
static int worker_start(struct supervisor *s, bool serve)
{
	const struct worker_fds fds = {
		.journal = s->journal.fd,
		.fuse = serve ? s->fuse_fd : -1,
		.listen = s->listen_fd,
		.keeper = s->keeper.worker,
	};
	pid_t pid;
	int r;

	/* What the last worker asked for before it died is its successor's. */
	keeper_serve(s->keeper.supervisor, &s->journal);
	keeper_tidy(&s->journal);
	pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		sigprocmask(SIG_UNBLOCK, &s->signals, NULL);
		signal(SIGINT, SIG_IGN); /* a terminal's: the supervisor unmounts */
		signal(SIGPIPE, SIG_IGN);
		close(s->keeper.supervisor);
		close(s->signal_fd);
		r = worker_run(s->opts, &fds);
		if (r < 0)
			log_error(NULL, "%s: %s", s->opts->mountpoint, strerror(-r));
		_exit(r < 0 ? EXIT_FAILURE : EXIT_SUCCESS);
	}
	s->worker = pid;
	s->started_ns = gvm_now_ns();
	return 0;
}

static bool dies_too_often(struct supervisor *s)
{
	s->young_deaths = gvm_now_ns() - s->started_ns < YOUNG_NS ? s->young_deaths + 1 : 0;
	return s->young_deaths == YOUNG_DEATHS_MAX;
}

/* Ends the mount for its users at once, and saves what they had written. */
static void give_up(struct supervisor *s, const char *why)
{
	log_error(NULL, "%s: %s; the mount ends, its regions stay on the nodes", s->opts->mountpoint, why);
	close(s->fuse_fd);
	umount2(s->opts->mountpoint, UMOUNT_NOFOLLOW | MNT_DETACH);
	if (worker_start(s, false) == 0)
		waitpid(s->worker, NULL, 0);
}

/* Returns true to go on, false when it is over, with *status. */
static bool worker_ended(struct supervisor *s, int how, int *status)
{
	const struct journal_super *super = s->journal.super;

	if (WIFEXITED(how) && (WEXITSTATUS(how) == EXIT_SUCCESS || !super->init_bytes)) {
		*status = WEXITSTATUS(how);
		return false;
	}
	*status = EXIT_FAILURE;
	if (WIFSIGNALED(how))
		log_error(NULL, "%s: the worker was killed by signal %d", s->opts->mountpoint,
			  WTERMSIG(how));
	else
		log_error(NULL, "%s: the worker failed", s->opts->mountpoint);
	if (!super->init_bytes)
		return false;
	if (!super->can_resend) {
		give_up(s, "this kernel (before 6.9) cannot repeat the requests that it had taken");
		return false;
	}
	if (dies_too_often(s)) {
		give_up(s, "workers die too often");
		return false;
	}
	if (worker_start(s, true) < 0) {
		give_up(s, "no worker can be started");
		return false;
	}
	log_info(NULL, "%s: a new worker has taken over", s->opts->mountpoint);
	return true;
}

/* The mount answers: whoever started us may go on, and messages go to syslog from here on. */
static void go_quiet(struct supervisor *s)
{
	log_to_syslog();
	if (s->ready_fd >= 0 && write(s->ready_fd, "", 1) == 1)
		close(s->ready_fd);
	s->ready_fd = -1;
}

static void signals_take(struct supervisor *s)
{
	struct signalfd_siginfo si;

	while (read(s->signal_fd, &si, sizeof(si)) == sizeof(si)) {
		int sig = (int)si.ssi_signo;

		if (sig == SIGTERM || sig == SIGINT || sig == SIGHUP)
			unmount(s);
		if (sig == WORKER_READY && !s->opts->foreground)
			go_quiet(s);
	}
}

static int supervise(struct supervisor *s)
{
	struct pollfd p[2] = { { .fd = s->signal_fd, .events = POLLIN },
			       { .fd = s->keeper.supervisor, .events = POLLIN } };
	int status = EXIT_FAILURE, how;

	for (;;) {
		poll(p, 2, -1);
		signals_take(s);
		keeper_serve(s->keeper.supervisor, &s->journal);
		while (waitpid(s->worker, &how, WNOHANG) == s->worker)
			if (!worker_ended(s, how, &status))
				return status;
	}
}

int supervisor_run(const struct options *opts, int ready_fd)
{
	struct supervisor s = { .opts = opts, .fuse_fd = -1, .ready_fd = ready_fd };
	int r = journal_create(&s.journal), status;

	if (!r)
		r = keeper_create(&s.keeper);
	if (r < 0) {
		log_error(NULL, "memory for the journal: %s", strerror(-r));
		return EXIT_FAILURE;
	}
	sigemptyset(&s.signals);
	sigaddset(&s.signals, SIGCHLD);
	sigaddset(&s.signals, SIGTERM);
	sigaddset(&s.signals, SIGINT);
	sigaddset(&s.signals, SIGHUP);
	sigaddset(&s.signals, WORKER_READY);
	sigprocmask(SIG_BLOCK, &s.signals, NULL);
	s.signal_fd = signalfd(-1, &s.signals, SFD_NONBLOCK | SFD_CLOEXEC);
	avoid_oom_kill();
	if (mount_gvmfs(&s) < 0)
		return EXIT_FAILURE;
	s.listen_fd = listener_open(s.journal.super->attach_path);
	mount_tune(&s);
	r = worker_start(&s, true);
	if (r < 0) {
		log_error(NULL, "cannot start a worker: %s", strerror(-r));
		umount2(opts->mountpoint, UMOUNT_NOFOLLOW | MNT_DETACH);
		listener_close(s.journal.super->attach_path);
		return EXIT_FAILURE;
	}
	status = supervise(&s);
	listener_close(s.journal.super->attach_path);
	umount2(opts->mountpoint, UMOUNT_NOFOLLOW | MNT_DETACH); /* if it is still there */
	return status;
}
