// SPDX-License-Identifier: GPL-2.0-or-later
/* stop.c - see stop.h. */
#include "stop.h"

#include "base/log.h"
#include "gvm_client.h"

#include <errno.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define URGENT_NS 1000000000ull

int stop_init(struct stop *s, int parent_fd)
{
	*s = (struct stop){ .parent_fd = parent_fd };
	sigemptyset(&s->signals);
	sigaddset(&s->signals, SIGCHLD);
	sigaddset(&s->signals, SIGTERM);
	sigaddset(&s->signals, SIGINT);
	sigaddset(&s->signals, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &s->signals, NULL) < 0)
		return -errno;
	s->signal_fd = signalfd(-1, &s->signals, SFD_NONBLOCK | SFD_CLOEXEC);
	return s->signal_fd < 0 ? -errno : 0;
}

void stop_deinit(struct stop *s)
{
	close(s->signal_fd);
	if (s->parent_fd >= 0)
		close(s->parent_fd);
	s->signal_fd = s->parent_fd = -1;
}

/* Reads signals until one asks to end. */
static void signals_read(struct stop *s)
{
	struct signalfd_siginfo si;

	while (!s->pending && read(s->signal_fd, &si, sizeof(si)) == sizeof(si))
		if (si.ssi_signo != SIGCHLD)
			s->pending = (int)si.ssi_signo;
}

int stop_wait(struct stop *s, int fd, int ms)
{
	struct pollfd p[3] = { { .fd = s->signal_fd, .events = POLLIN },
			       { .fd = s->parent_fd }, /* its end is an error, without asking */
			       { .fd = fd, .events = POLLIN } };
	uint64_t now = gvm_now_ns(), until = now + (uint64_t)(ms < 0 ? 0 : ms) * 1000000;

	for (;;) {
		int left = ms < 0 ? -1 : now >= until ? 0 : (int)((until - now + 999999) / 1000000);
		int n = s->pending ? 0 : poll(p, 3, left);

		if (n > 0 && p[0].revents)
			signals_read(s);
		if (n > 0 && p[1].revents && !s->pending)
			s->pending = SIGHUP;
		if (s->pending)
			return -ECANCELED;
		if (n > 0 && p[2].revents)
			return 1;
		now = gvm_now_ns();
		if (ms >= 0 && now >= until)
			return 0;
	}
}

int stop_take(struct stop *s)
{
	int sig;

	if (!s->pending)
		stop_wait(s, -1, 0);
	sig = s->pending;
	s->pending = 0;
	return sig;
}

bool stop_is_urgent(struct stop *s, int sig)
{
	if (!s->first_ns)
		s->first_ns = gvm_now_ns();
	return sig != SIGHUP && gvm_now_ns() - s->first_ns >= URGENT_NS;
}

void stop_say_loss(const char *mountpoint, const struct journal *j, bool in_use)
{
	unsigned chunks = 0, sessions = 0;

	for (unsigned i = 0; i < JOURNAL_WBUFS; i++)
		chunks += j->wbufs[i].state != WBUF_FREE && j->wbufs[i].pages;
	for (unsigned i = 0; i < JOURNAL_SPILL && j->spill[i].used; i++)
		chunks += j->spill[i].state != SPILL_FREE && j->spill[i].pages;
	for (unsigned i = 0; i < JOURNAL_SESSIONS; i++)
		sessions += j->sessions[i].kept != 0;
	if (chunks || sessions || in_use)
		log_loss(NULL,
			 "%s: ends now; LOST is what no node has: %u written chunks, the memory of %u guests "
			 "on the fast path%s",
			 mountpoint, chunks, sessions,
			 in_use ? ", and what users of the mount had not synced" : "");
	else
		log_warning(NULL, "%s: ends now; all that was written is on the nodes", mountpoint);
}
