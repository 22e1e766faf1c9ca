// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * supervisor.c - see supervisor.h.
 *
 * The supervisor does as little as possible, so that it does not die itself: it never talks to a
 * node and never reads a request. A worker that is killed leaves three things that matter: requests
 * for which the kernel still waits (the kernel sends them again when asked, Linux 6.9 and later),
 * writes that no node has yet, and the index (both in the journal). Older kernels cannot send
 * requests again: the mount ends with an error for its users, and a last worker without a mount
 * sends the writes to the nodes.
 *
 * A signal asks the supervisor to end. The first one unmounts: a mount in use goes on for its users,
 * and what they wrote is sent. Another, a second later or more, ends everything at once and logs what
 * is lost. Before the mount answers, the first one ends everything.
 */
#include "supervisor.h"

#include "succession.h"
#include "supervisor_state.h"
#include "uffd/door.h"
#include "state/closer.h"
#include "state/journal.h"
#include "state/keeper.h"
#include "heir.h"
#include "rlimits.h"
#include "uffd/listener.h"
#include "state/lookout.h"
#include "state/sealing.h"
#include "base/bdi.h"
#include "base/log.h"
#include "base/mutant.h"
#include "mount.h"
#include "node/owner.h"
#include "store/pagecache.h"
#include "clock.h"
#include "notify.h"
#include "orphan.h"
#include "upgrade.h"
#include "will.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* After so many workers in a row that lived only a short time, what kills them will not go away. A
 * worker that is killed from outside is replaced however often. */
#define YOUNG_DEATHS_MAX 5
#define YOUNG_NS	 300000000ull
#define KILL_NS		 5000000000ull
/* A worker of which one thread is gone has so long to end as a whole. */
#define LEAVE_NS	 200000000ull
#define LEAVE_SOON_MS	 1 /* the time between looks until then, and after it */
#define LEAVE_LOOK_MS	 10
#define OLD_LOOK_MS	 1000 /* where no descriptor tells of a thread's end */
#define RENEW_NS	 20000000000ull /* for a new program's first worker to serve */

#ifndef PIDFD_THREAD /* Linux 6.9 */
#define PIDFD_THREAD O_EXCL
#endif

/*
 * By default a FUSE mount may have so little dirty memory that a guest which dirties pages faster is throttled to a
 * crawl, though its budget bounds it anyway; and the kernel reads 128 KiB around each fault, most of which a guest
 * never touches: pagecache_around() widens that for readers in order.
 */
static void mount_tune(struct supervisor *s)
{
	static const struct {
		const char *name, *value;
	} settings[] = { { "strict_limit", "0" }, { "max_ratio", "100" }, { "read_ahead_kb", PAGECACHE_AROUND_KB } };
	dev_t dev = s->mount.own.dev;

	s->journal.super->mount_dev = dev;
	for (unsigned i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
		int r = bdi_set(dev, settings[i].name, settings[i].value);

		if (r < 0) /* slower, not wrong */
			log_debug(NULL, "%s of the mount stays as it is: %s", settings[i].name, strerror(-r));
	}
}

/* The kernel should kill other processes first when memory is short: a guest depends on this
 * one. */
static void avoid_oom_kill(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "-1000", 5) < 0)
		log_debug(NULL, "oom_score_adj: %s", strerror(errno));
	close(fd);
}

static void worker_main(struct supervisor *s, struct worker_fds *fds, pid_t supervisor)
{
	int r;

	closer_start(&s->journal);
	close(s->keeper.supervisor);
	door_leave(&s->door);
	upgrade_leave(&s->upgrade);
	stop_deinit(&s->stop);
	fds->supervisor = (int)syscall(SYS_pidfd_open, supervisor, 0);
	r = fds->supervisor < 0 || getppid() != supervisor ? -ESRCH : 0;
	if (!r)
		r = orphan_watch(fds->supervisor, &s->mount, &s->listener, &s->journal);
	fds->heirs = orphan_heirs();
	if (s->renew != RENEW_NONE && mutant("renewed-in-vain"))
		abort();
	if (!r)
		r = worker_run(s->opts, fds);
	if (r < 0)
		log_error(NULL, "%s: %s", s->opts->mountpoint, strerror(-r));
	if (!r)
		orphan_finish();
	log_flush();
	_exit(r ? EXIT_FAILURE : EXIT_SUCCESS);
}

/* `serve`: on the mount; otherwise only to send unacknowledged writes. */
static int worker_start(struct supervisor *s, bool serve)
{
	struct worker_fds fds = {
		.self = &s->self,
		.journal = s->journal.fd,
		.fuse = serve ? s->mount.fuse_fd : -1,
		.bell = s->door.bell_worker,
		.keeper = s->keeper.worker,
		.ready = s->ready_fd,
	};
	pid_t pid, own = getpid();

	/* What the last worker asked for before it died belongs to its successor. */
	keeper_serve(s->keeper.supervisor, &s->journal);
	s->journal.super->sign_tid = s->journal.super->front_tid = 0;
	for (unsigned i = 0; i < JOURNAL_SESSIONS; i++)
		s->journal.sessions[i].server = 0;
	sealing_pass_on(s->opts->sealing, true);
	pid = fork();
	sealing_pass_on(s->opts->sealing, false);
	if (pid < 0)
		return -errno;
	if (pid == 0)
		worker_main(s, &fds, own);
	if (s->renew == RENEW_OLD)
		s->renew = RENEW_NEW;
	s->worker = pid;
	s->worker_fd = -1; /* until it says which thread */
	s->leave_ns = 0;
	s->started_ns = gvm_now_ns();
	return 0;
}

static void worker_forget(struct supervisor *s)
{
	if (s->worker_fd >= 0)
		close(s->worker_fd);
	s->worker_fd = -1;
	s->leave_ns = 0;
	s->worker = 0;
}

/* Does not wait for ever: a worker that waits in the kernel for its own mount is reaped later. */
static void worker_kill(struct supervisor *s)
{
	uint64_t until = gvm_now_ns() + KILL_NS;

	if (s->worker <= 0)
		return;
	kill(s->worker, SIGKILL);
	while (waitpid(s->worker, NULL, WNOHANG) == 0 && gvm_now_ns() < until)
		usleep(1000);
	worker_forget(s);
}

/* Requests of whoever still uses the mount get errors from now on. */
static void connection_close(struct supervisor *s)
{
	if (s->mount.fuse_fd >= 0)
		close(s->mount.fuse_fd);
	s->mount.fuse_fd = -1;
}

static bool dies_too_often(struct supervisor *s)
{
	s->young_deaths = gvm_now_ns() - s->started_ns < YOUNG_NS ? s->young_deaths + 1 : 0;
	return s->young_deaths == YOUNG_DEATHS_MAX;
}

/* Ends the mount for its users at once; a last worker sends what they had written. Returns whether
 * that worker runs. */
static bool give_up(struct supervisor *s, const char *why)
{
	int r;

	log_loss(NULL, "%s: %s; the mount ends, its regions stay on the nodes", s->opts->mountpoint, why);
	mount_detach(&s->mount, &s->stop);
	connection_close(s);
	s->giving_up = true;
	r = worker_start(s, false);
	if (r < 0)
		log_error(NULL, "no worker can be started to send what was written: %s", strerror(-r));
	return r == 0;
}

/* It ended in favour of a successor, as it was asked to. */
static bool is_renewed(int how)
{
	return WIFEXITED(how) && WEXITSTATUS(how) == JOURNAL_RENEWED;
}

static void end_say(const struct supervisor *s, int how)
{
	const struct journal_super *super = s->journal.super;

	if (s->renew != RENEW_NONE)
		return; /* we have ended it */
	if (is_renewed(how)) {
		log_info(NULL, "%s: one node more from here on: %s", s->opts->mountpoint,
			 super->nodes[super->node_count - 1].addr);
		return;
	}
	if (WIFSIGNALED(how))
		log_error(NULL, "%s: the worker was killed by signal %d", s->opts->mountpoint,
			  WTERMSIG(how));
	else if (s->ready)
		log_error(NULL, "%s: the worker failed", s->opts->mountpoint);
}

static void successor_say(const struct supervisor *s)
{
	if (s->renew != RENEW_NONE)
		return;
	log_info(NULL, "%s: a new worker has taken over", s->opts->mountpoint);
}

/* A worker has ended. Returns true to go on, or false at the end, with *status. */
static bool worker_ended(struct supervisor *s, int how, int *status)
{
	const struct journal_super *super = s->journal.super;
	bool well = WIFEXITED(how) && WEXITSTATUS(how) == EXIT_SUCCESS;

	if (s->renew == RENEW_NEW)
		succession_failed(s, how);
	worker_forget(s);
	*status = well && !s->giving_up ? EXIT_SUCCESS : EXIT_FAILURE;
	if (well)
		return false;
	end_say(s, how);
	if (s->giving_up) {
		stop_say_loss(s->opts->mountpoint, &s->journal, false);
		return false;
	}
	if (!super->init_bytes)
		return false;
	if (!super->can_resend)
		return give_up(s, "this kernel (before 6.9) cannot repeat the requests that it had taken");
	if (!is_renewed(how) && s->renew == RENEW_NONE && dies_too_often(s)) {
		if (gvm_now_ns() < s->renew_until_ns)
			succession_return(s, "workers of the new program die too often");
		return give_up(s, "workers die too often");
	}
	if (worker_start(s, true) < 0)
		return give_up(s, "no worker can be started");
	successor_say(s);
	return true;
}

/* A place for a worker that is not waited for; NULL: there is none. */
static struct left *left_free(struct supervisor *s)
{
	for (unsigned i = 0; i < LEFT_MAX; i++)
		if (!s->left[i].pid)
			return &s->left[i];
	return NULL;
}

static void stays_say(const struct supervisor *s, pid_t worker)
{
	log_warning(NULL, "%s: worker %d was ended, but a thread of it waits in the kernel and stays",
		    s->opts->mountpoint, (int)worker);
}

/* A worker was killed, but a thread of it waits in the kernel, perhaps for ever: leaves it
 * behind. */
static int worker_leave(struct supervisor *s)
{
	struct left *left = left_free(s);

	if (left)
		*left = (struct left){ .pid = s->worker };
	lookout_leave(&s->journal, s->worker);
	stays_say(s, s->worker);
	/* A worker that ended by itself has noted its status in the journal. */
	return s->journal.super->ended ? (int)(s->journal.super->ended - 1) << 8 : SIGKILL;
}

/* Looks after those that were not waited for. Returns whether there is still something to be said of one. */
static bool left_look(struct supervisor *s)
{
	bool more = false;
	int how;

	for (struct left *left = s->left; left < s->left + LEFT_MAX; left++) {
		pid_t pid = left->pid ? waitpid(left->pid, &how, WNOHANG) : 0;

		if (pid) {
			lookout_gone(&s->journal, left->pid, true);
			if (pid > 0 && left->say_ns) {
				end_say(s, how);
				successor_say(s);
			}
			left->pid = 0;
		} else if (left->pid && left->say_ns && gvm_now_ns() >= left->say_ns) {
			stays_say(s, left->pid);
			successor_say(s);
			left->say_ns = 0;
		}
		more |= left->pid && left->say_ns;
	}
	return more;
}

/*
 * If a worker was killed and nothing of it acts any more, has its successor begin: faults wait for that, while the
 * kernel frees the dead one's memory. How it died is said when it is reaped. One that ends by itself, may be the last, or
 * is young, is waited for. Returns false at the end.
 */
static bool worker_succeed(struct supervisor *s)
{
	const struct journal_super *super = s->journal.super;
	struct left *left = left_free(s);

	if (!s->leave_ns || !left || s->giving_up || s->renew == RENEW_NEW || super->ended || !super->can_resend ||
	    gvm_now_ns() - s->started_ns < YOUNG_NS || !lookout_is_spent(s->worker))
		return true;
	*left = (struct left){ .pid = s->worker, .say_ns = s->leave_ns };
	lookout_gone(&s->journal, s->worker, false);
	worker_forget(s);
	s->young_deaths = 0;
	return worker_start(s, true) == 0 || give_up(s, "no worker can be started");
}

/* Whether the thread is over whose end tells of the worker's. Before Linux 6.9 it is asked for. */
static bool sign_is_over(struct supervisor *s)
{
	int tid = (int)s->journal.super->sign_tid;
	struct pollfd gone = { .events = POLLIN };

	if (s->worker_fd < 0 && tid)
		s->worker_fd = (int)syscall(SYS_pidfd_open, tid, PIDFD_THREAD);
	gone.fd = s->worker_fd;
	if (gone.fd >= 0)
		return poll(&gone, 1, 0) == 1;
	return tid && syscall(SYS_tgkill, s->worker, tid, 0) < 0 && errno == ESRCH;
}

/* Whether a worker has ended, and how. */
static bool worker_end_find(struct supervisor *s, int *how)
{
	if (!s->worker)
		return false;
	if (waitpid(s->worker, how, WNOHANG) == s->worker) {
		lookout_gone(&s->journal, s->worker, false);
		return true;
	}
	if (!s->leave_ns && sign_is_over(s))
		s->leave_ns = gvm_now_ns() + LEAVE_NS;
	if (!s->leave_ns || gvm_now_ns() < s->leave_ns || !lookout_may_leave(&s->journal, s->worker))
		return false;
	*how = worker_leave(s);
	return true;
}

static void say_sealing(const struct options *opts)
{
	if (opts->sealing && opts->seal == OPTIONS_NO_SEAL)
		log_info(NULL, "what leaves this host is NOT sealed (--no-seal), but of regions that were made to be, with "
			 "key %016llx", (unsigned long long)opts->sealing->id);
	else if (opts->sealing)
		log_info(NULL, "what leaves this host is sealed, with key %016llx", (unsigned long long)opts->sealing->id);
	else if (opts->seal == OPTIONS_NO_SEAL)
		log_info(NULL, "what leaves this host is NOT sealed (--no-seal)");
	else
		log_info(NULL, "NOT sealed: all nodes are on this host's loopback (if one is a tunnel's end, give --seal)");
}

/* The process that waits for the start may go on, and messages go to syslog. */
static void to_background(struct supervisor *s)
{
	log_to_syslog();
	if (s->stop.parent_fd < 0)
		return;
	if (write(s->stop.parent_fd, "", 1) < 0)
		log_warning(NULL, "%s: the process that started this has ended", s->opts->mountpoint);
	close(s->stop.parent_fd);
	s->stop.parent_fd = -1;
}

/* The mount answers. */
static void ready_now(struct supervisor *s)
{
	uint64_t count;

	if (read(s->ready_fd, &count, sizeof(count)) != sizeof(count))
		return;
	succession_done(s);
	if (s->ready)
		return;
	s->ready = true;
	gvm_notify_ready(s->told_fd);
	s->told_fd = -1;
	if (!s->opts->foreground)
		to_background(s);
	say_sealing(s->opts);
}

/* Handles a signal. Returns true to go on, false at the end. */
static bool stop_requested(struct supervisor *s, int sig)
{
	bool urgent, in_use;

	if (!s->ready) {
		log_error(NULL, "%s: ended before the mount answered (signal %d)", s->opts->mountpoint, sig);
		worker_kill(s);
		return false;
	}
	urgent = stop_is_urgent(&s->stop, sig);
	if ((!s->giving_up && mount_end(&s->mount, &s->stop)) || !urgent)
		return true;
	in_use = mount_is_alive(&s->mount);
	worker_kill(s);
	stop_say_loss(s->opts->mountpoint, &s->journal, in_use);
	connection_close(s);
	return false;
}

/* When to look again though nothing tells that something has changed: a worker is ending, or (`saying`) a dead one is
 * still to be told of. */
static int look_ms(const struct supervisor *s, bool saying)
{
	int ms = upgrade_look_ms(&s->upgrade);

	if (s->renew != RENEW_NONE)
		ms = OLD_LOOK_MS;
	if (s->leave_ns && gvm_now_ns() < s->leave_ns)
		return LEAVE_SOON_MS;
	if (s->leave_ns || saying)
		return LEAVE_LOOK_MS;
	return s->worker && s->worker_fd < 0 && (ms < 0 || ms > OLD_LOOK_MS) ? OLD_LOOK_MS : ms;
}

static int supervise(struct supervisor *s)
{
	struct pollfd p[] = { { .fd = s->stop.signal_fd, .events = POLLIN },
			      { .fd = s->keeper.supervisor, .events = POLLIN },
			      { .fd = s->ready_fd, .events = POLLIN },
			      { .fd = -1 },
			      { .fd = -1 },
			      { .fd = -1 },
			      { .fd = -1 },
			      { .fd = -1 } };
	int status = EXIT_FAILURE, how, sig;
	bool saying = false;

	for (;;) {
		p[3].fd = s->stop.parent_fd;
		p[4].fd = s->door.control;
		p[5].fd = s->leave_ns ? -1 : s->worker_fd;
		upgrade_poll(&s->upgrade, p + 6);
		if (s->renew != RENEW_NONE)
			p[6].fd = -1;
		poll(p, sizeof(p) / sizeof(*p), look_ms(s, saying));
		ready_now(s);
		succession_look(s);
		while ((sig = stop_take(&s->stop)))
			if (!stop_requested(s, sig))
				return EXIT_FAILURE;
		door_check(&s->door, &s->journal, s->opts->foreground);
		keeper_serve(s->keeper.supervisor, &s->journal);
		while (worker_end_find(s, &how))
			if (!worker_ended(s, how, &status))
				return status;
		if (!worker_succeed(s))
			return EXIT_FAILURE;
		saying = left_look(s);
	}
}

/* To the end. `r`: a negative errno: there is no worker. */
static int serve_on(struct supervisor *s, int r)
{
	int status;

	if (r < 0)
		log_error(NULL, "cannot start a worker: %s", strerror(-r));
	status = r < 0 ? EXIT_FAILURE : supervise(s);
	if (s->upgrade.listener >= 0)
		upgrade_close(s->mount.own.dev);
	listener_close(&s->listener, s->journal.super->attach_path);
	door_end(&s->door, &s->journal);
	keeper_end(&s->keeper, &s->journal);
	if (s->mount.fuse_fd >= 0 && (!s->ready || !mount_is_alive(&s->mount)))
		mount_detach(&s->mount, &s->stop); /* if it is still there */
	return status;
}

static int serve(struct supervisor *s)
{
	int r = heir_ask(s->opts->mountpoint, &s->mount, &s->journal, &s->stop);

	if (!r)
		r = mount_make(&s->mount, s->opts, &s->stop);
	if (r == -ECANCELED)
		log_error(NULL, "%s: ended before it was mounted", s->opts->mountpoint);
	if (r < 0)
		return EXIT_FAILURE; /* mount_make() has logged why */
	listener_open(&s->listener, s->journal.super->attach_path);
	mount_tune(s);
	if (door_create(&s->door, s->listener.fd, &s->journal, s->opts->foreground) < 0)
		log_warning(NULL, "no fast path: no process that receives its clients can be started");
	upgrade_open(&s->upgrade, s->mount.own.dev);
	return serve_on(s, worker_start(s, true));
}

/* The program of before, since the other one could not. Its worker may never have noticed. */
static int go_back(struct supervisor *s, const struct will *w)
{
	int r = 0;

	if (!w->worker || waitpid(w->worker, NULL, WNOHANG)) {
		s->worker = 0;
		r = worker_start(s, true);
	}
	upgrade_say(&s->upgrade, GVM_UPGRADE_FAILED, w->why);
	return serve_on(s, r);
}

int supervisor_succeed(const struct options *opts, const struct will *w, int fd)
{
	struct supervisor s = { .opts = opts, .told_fd = -1, .worker_fd = -1, .ready = true, .worker = w->worker };
	int r;

	prctl(PR_SET_NAME, "gvmfs");
	log_start();
	if (!opts->foreground && chdir("/") == 0)
		log_to_syslog();
	owner_self(&s.self, getpid());
	sealing_dump_nothing(opts->sealing);
	r = succession_begin(&s, w);
	if (r < 0) {
		will_return(fd, strerror(-r));
		return EXIT_FAILURE;
	}
	signal(SIGPIPE, SIG_IGN);
	succession_take(&s, w, fd);
	if (w->program < 0)
		return go_back(&s, w);
	s.renew = RENEW_OLD;
	s.renew_until_ns = gvm_now_ns() + RENEW_NS;
	sign_is_over(&s); /* its end is noticed at once */
	kill(s.worker, SIGKILL);
	return serve_on(&s, 0);
}

int supervisor_run(const struct options *opts, int parent_fd)
{
	struct supervisor s = { .opts = opts, .told_fd = gvm_notify_open(), .worker_fd = -1, .program = -1 };
	int r = journal_create(&s.journal);

	log_start();
	owner_self(&s.self, getpid());
	sealing_dump_nothing(opts->sealing);
	if (!r && opts->sealing)
		s.journal.super->seal_id = opts->sealing->id;
	if (!r)
		r = keeper_create(&s.keeper);
	if (!r) {
		s.ready_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		r = s.ready_fd < 0 ? -errno : 0;
	}
	if (r < 0) {
		log_error(NULL, "memory for the journal: %s%s", strerror(-r), limits_hint(r));
		return EXIT_FAILURE;
	}
	r = stop_init(&s.stop, parent_fd);
	if (r < 0) {
		log_error(NULL, "signals cannot be blocked: %s", strerror(-r));
		return EXIT_FAILURE;
	}
	signal(SIGPIPE, SIG_IGN); /* of a log's reader, or of the process that waits for the start */
	avoid_oom_kill();
	return serve(&s);
}
