// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One loop: signals by signalfd, readings of the group in between.
 *
 * QEMU stays in our process group, so that the terminal is its own as it would be without us: what
 * the terminal sends (^C, ^\, ^Z, hang-up) reaches both, and is not passed on a second time. What a
 * process sends to us alone is passed on. When QEMU is told to stop we stop as well, so that a shell
 * sees it, and go on with it.
 */
#include "watch.h"

#include "balance.h"
#include "limit.h"
#include "memnode/clock.h"
#include "say.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STOP_NS (30ull * 1000 * 1000 * 1000)
/* A second signal that ends means "at once", but not one that came twice: to us and to our group. */
#define URGENT_NS (1000ull * 1000 * 1000)
#define KILL_NS	  (5ull * 1000 * 1000 * 1000) /* to be gone after SIGKILL, or something is said */

static const int taken[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP,  SIGQUIT,
			    SIGUSR1, SIGUSR2, SIGALRM, SIGTSTP, SIGCONT};

static void taken_set(sigset_t *set)
{
	sigemptyset(set);
	for (unsigned i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		sigaddset(set, taken[i]);
}

int run_watch_begin(sigset_t *before)
{
	sigset_t set;

	taken_set(&set);
	return sigprocmask(SIG_BLOCK, &set, before) ? -errno : 0;
}

void run_watch_end(const sigset_t *before)
{
	sigprocmask(SIG_SETMASK, before, NULL);
}

struct watch {
	pid_t child;
	struct memcg *cg;
	struct run_budget *budget;
	struct run_figures *figures;
	uint64_t stop_ns; /* the guest was told to end then; 0: it was not */
	bool limit_said;
	bool urgent;
	uint64_t killed_ns; /* 0: it was not */
	bool stuck_said;
};

/* As the terminal's driver does it to QEMU: not at all, where no shell is there to let us go on. The
 * guest's time to end stands still meanwhile. */
static void stop_too(struct watch *w)
{
	uint64_t before = gvm_now_ns();
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTSTP);
	raise(SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (w->stop_ns)
		w->stop_ns += gvm_now_ns() - before;
}

static void signals_take(struct watch *w, int fd)
{
	struct signalfd_siginfo si;

	while (read(fd, &si, sizeof(si)) == sizeof(si)) {
		int sig = (int)si.ssi_signo;
		bool ends = sig == SIGTERM || sig == SIGINT || sig == SIGHUP || sig == SIGQUIT;

		if (sig == SIGCHLD)
			continue;
		if (ends && w->stop_ns && gvm_now_ns() - w->stop_ns > URGENT_NS)
			w->urgent = true;
		if (ends && !w->stop_ns)
			w->stop_ns = gvm_now_ns();
		/* a code above zero: the kernel sent it, to the whole process group */
		if (si.ssi_code <= 0)
			kill(w->child, sig);
		if (sig == SIGTSTP)
			stop_too(w);
	}
}

/* The kernel has the limit now, or does not take it. */
static void limit_settle(struct watch *w, uint64_t limit, int rc)
{
	if (!rc)
		run_budget_set(w->budget, limit);
	else if (rc != -EBUSY && rc != -EINTR && !w->limit_said) {
		say("the budget cannot be set: %s: %s", w->cg->path, strerror(-rc));
		w->limit_said = true;
	}
}

static void budget_keep(struct watch *w, uint64_t *oom_kills)
{
	struct memcg_stat st;
	uint64_t limit;
	int rc;

	if (run_limit_ended(&limit, &rc))
		limit_settle(w, limit, rc);
	if (memcg_stat_read(w->cg, &st))
		return;
	*oom_kills = st.oom_kills;
	run_figures_take(w->figures, &st, gvm_now_ns());
	run_balance_mapped(st.file);
	w->budget->local_bytes = run_balance_local();
	w->budget->fast = run_balance_fast();
	limit = run_budget_step(w->budget, &st, gvm_now_ns());
	if (!limit)
		return;
	run_figures_limit(w->figures, limit); /* one that cannot be kept reclaims all the same */
	if (run_limit_set(w->cg, limit, w->budget->local_bytes / 2 + RUN_BUDGET_START, w->budget->limit_bytes, &rc))
		limit_settle(w, limit, rc);
}

/* The guest was told to end: sees to it that it does. */
static void guest_press(struct watch *w)
{
	uint64_t now = gvm_now_ns();

	if (!w->killed_ns && (w->urgent || now - w->stop_ns > STOP_NS)) {
		if (w->urgent)
			say("a second signal: the guest is killed");
		else
			say("the guest did not end within %llu s: it is killed", STOP_NS / 1000000000ull);
		memcg_limit(w->cg, INT64_MAX / 2, 0);
		memcg_signal(w->cg, SIGKILL);
		w->killed_ns = now;
	}
	if (w->killed_ns && now - w->killed_ns > KILL_NS && !w->stuck_said) {
		say("the kernel cannot end the guest while a memory node does not answer: what it wrote "
		    "waits to be written back. It ends, and so does this, when the node is back");
		w->stuck_said = true;
	}
}

int run_watch(pid_t child, struct memcg *cg, struct run_budget *budget, struct run_figures *figures,
	      uint64_t *oom_kills)
{
	struct watch w = {.child = child, .cg = cg, .budget = budget, .figures = figures};
	int status = 0, fd;
	sigset_t set;

	taken_set(&set);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	for (;;) {
		struct pollfd p = {fd, POLLIN, 0};
		pid_t got;

		poll(&p, 1, run_budget_pause_ms(budget, gvm_now_ns()));
		signals_take(&w, fd);
		got = waitpid(child, &status, WNOHANG);
		if (got == child || (got < 0 && errno == ECHILD))
			break;
		/* It is over: what would lower the limit now could wait for nodes. */
		if (!w.killed_ns)
			budget_keep(&w, oom_kills);
		if (w.stop_ns)
			guest_press(&w);
	}
	close(fd);
	return status;
}
