// SPDX-License-Identifier: GPL-2.0-or-later
/* succession.c - see succession.h. */
#include "succession.h"

#include "base/log.h"
#include "clock.h"
#include "mount.h"
#include "state/sealing.h"
#include "supervisor_state.h"
#include "upgrade.h"
#include "will.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define BACK_NS		 60000000000ull /* so long after that workers that die too often are the new program's fault */

/* Over execve(). */
static void sessions_keep_open(const struct journal *j, bool keep)
{
	for (unsigned i = 0; i < JOURNAL_SESSIONS; i++)
		for (unsigned k = 0; k < SESSION_FDS; k++)
			if (j->sessions[i].fd[k] > 0)
				fcntl(j->sessions[i].fd[k] - 1, F_SETFD, keep ? 0 : FD_CLOEXEC);
}

static void left_fill(const struct supervisor *s, struct will *w)
{
	for (unsigned i = 0; i < LEFT_MAX; i++)
		w->left[i] = s->left[i].pid;
}

static void will_fill(const struct supervisor *s, struct will *w)
{
	*w = (struct will){
		.journal = s->journal.fd,
		.fuse = s->mount.fuse_fd,
		.keeper = { s->keeper.supervisor, s->keeper.worker },
		.ready = s->ready_fd,
		.listener = s->listener,
		.door = s->door,
		.own = s->mount.own,
		.worker = s->worker,
		.asker = s->upgrade.asker,
		.upgrades = s->upgrade.listener,
		.program = -1,
	};
	left_fill(s, w);
}

static const char *why_not_now(const struct supervisor *s)
{
	if (!s->ready || s->giving_up || !s->worker || s->renew != RENEW_NONE)
		return "the mount is just starting, or ending";
	if (!s->journal.super->can_resend)
		return "this kernel (before 6.9) cannot repeat the requests that the worker has taken";
	if (will_folder_is_in(s->opts->mountpoint)) /* to which no program may go while there is no worker */
		return "it was started in the folder on which it is mounted, whose name leads into the mount by now";
	return mount_is_alive(&s->mount) ? NULL : "it is unmounted";
}

/* The new program takes over this very process, with all its children; or nothing has happened. */
static void upgrade_execute(struct supervisor *s)
{
	struct will w;
	int fd, r = (int)open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	will_fill(s, &w);
	w.program = r;
	fd = r < 0 ? -errno : will_make(&w);
	upgrade_say(&s->upgrade, GVM_UPGRADE_SAYS, "the new program takes over");
	log_info(NULL, "%s: another gvmfs takes over: gvm upgrade", s->opts->mountpoint);
	log_flush();
	sessions_keep_open(&s->journal, true);
	r = fd < 0 ? fd : will_execute(s->upgrade.program, fd, &w);
	sessions_keep_open(&s->journal, false);
	if (fd >= 0)
		close(fd);
	if (w.program >= 0)
		close(w.program);
	upgrade_say(&s->upgrade, GVM_UPGRADE_FAILED, strerror(-r));
}

/* Back to the program of before, which starts a worker. Does not return, but where there is none, or it is gone. */
void succession_return(struct supervisor *s, const char *why)
{
	struct will w;
	int fd, program = s->program;

	if (program < 0)
		return;
	s->program = -1;
	will_fill(s, &w);
	w.worker = 0;
	snprintf(w.why, sizeof(w.why), "%s", why);
	fd = will_make(&w);
	log_flush();
	sessions_keep_open(&s->journal, true);
	if (fd >= 0)
		will_execute(program, fd, &w);
	sessions_keep_open(&s->journal, false);
	if (fd >= 0)
		close(fd);
	close(program);
}

/* The first worker of the new program has ended, or does not serve: back to the old one. Does not return, but where the old
 * one is gone. */
void succession_failed(struct supervisor *s, int how)
{
	char why[GVM_UPGRADE_TEXT];

	if (WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL)
		snprintf(why, sizeof(why), "the new program's worker does not serve, or was killed");
	else if (WIFSIGNALED(how))
		snprintf(why, sizeof(why), "the new program's worker was ended by signal %d", WTERMSIG(how));
	else
		snprintf(why, sizeof(why), "the new program's worker has failed; the log says more");
	s->renew = RENEW_NONE;
	succession_return(s, why);
	upgrade_say(&s->upgrade, GVM_UPGRADE_FAILED, why); /* and it tries on */
}

/* The new program's worker serves. Of the old one there still are the processes that hold the clients' descriptors. */
void succession_done(struct supervisor *s)
{
	if (s->renew != RENEW_NEW)
		return;
	s->renew = RENEW_NONE;
	s->renew_until_ns = gvm_now_ns() + BACK_NS;
	door_renew(&s->door, &s->journal, s->opts->foreground);
	log_info(NULL, "%s: upgraded to gvmfs " GVM_PROGRAM_VERSION, s->opts->mountpoint);
	upgrade_say(&s->upgrade, GVM_UPGRADE_DONE, GVM_PROGRAM_VERSION);
}

void succession_look(struct supervisor *s)
{
	struct will w;

	if (s->renew != RENEW_NONE) {
		if (gvm_now_ns() >= s->renew_until_ns && s->worker)
			kill(s->worker, SIGKILL);
		return;
	}
	will_fill(s, &w);
	if (upgrade_turn(&s->upgrade, why_not_now(s), &w))
		upgrade_execute(s);
}

static void left_take(struct supervisor *s, const struct will *w)
{
	for (unsigned i = 0; i < LEFT_MAX; i++)
		s->left[i].pid = w->left[i];
}

/* The descriptors of the will are this program's own, again. */
void succession_take(struct supervisor *s, const struct will *w, int will)
{
	s->mount = (struct mount){ .at = s->opts->mountpoint, .fuse_fd = w->fuse, .own = w->own };
	s->keeper = (struct keeper){ w->keeper[0], w->keeper[1] };
	s->listener = w->listener;
	s->door = w->door;
	s->ready_fd = w->ready;
	s->upgrade = (struct upgrade){ .listener = w->upgrades, .asker = w->asker, .program = -1, .output = -1 };
	s->program = w->program;
	will_close_on_exec(w, will);
	close(will);
	sessions_keep_open(&s->journal, false);
	left_take(s, w);
}

int succession_begin(struct supervisor *s, const struct will *w)
{
	uint64_t seal_id = s->opts->sealing ? s->opts->sealing->id : 0;
	int r = journal_attach(&s->journal, w->journal);

	if (!r && seal_id != s->journal.super->seal_id)
		r = -EKEYREJECTED;
	if (!r)
		r = stop_init(&s->stop, -1);
	return r;
}
