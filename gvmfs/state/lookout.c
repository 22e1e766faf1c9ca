// SPDX-License-Identifier: GPL-2.0-or-later
/* lookout.c - see lookout.h. */
#include "lookout.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOOK_MS	   100
#define LOOKS_MAX  5 /* that find the front thread waiting in the same call */
#define LOOKS_IDLE 50 /* without a call, until it is not looked at */

/* What the front thread is started with, and leaves behind. */
struct front {
	struct lookout *l;
	int (*run)(void *arg);
	void *arg;
	int result;
	atomic_bool over;
};

void lookout_wake(struct lookout *l)
{
	uint64_t one = 1;

	atomic_store(&l->asleep, false);
	if (write(l->kick_fd, &one, sizeof(one)) < 0)
		return; /* it is readable already */
}

static void *front_thread(void *arg)
{
	struct front *f = arg;

	pthread_setname_np(pthread_self(), "gvmfs-front");
	atomic_store(&f->l->front_tid, gettid());
	journal_publish32((uint32_t *)&f->l->j->super->front_tid, (uint32_t)gettid());
	f->result = f->run(f->arg);
	atomic_store(&f->over, true);
	lookout_wake(f->l);
	return NULL;
}

/* Whether the thread waits in the kernel, uninterruptibly (not just for a CPU). Reading the state of a
 * thread of this process never blocks. */
static bool waits_for_good(int tid)
{
	char path[64], text[512];
	const char *at;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	at = strrchr(text, ')');
	return at && at[1] == ' ' && at[2] == 'D';
}

static uint32_t calls_of(const struct lookout *l, unsigned session)
{
	return atomic_load((_Atomic uint32_t *)&l->j->sessions[session].calls);
}

/* The session in whose memory a call is under way; -1: none. *sum changes with each call. (Those of a
 * session that a predecessor's call holds are not ours.) */
static int call_find(const struct lookout *l, uint64_t *sum)
{
	int found = -1;

	*sum = 0;
	for (unsigned s = 0; s < JOURNAL_SESSIONS; s++) {
		uint32_t calls = calls_of(l, s);

		*sum += calls;
		if (calls & 1 && !lookout_is_held(l->j, s))
			found = (int)s;
	}
	return found;
}

/* Logs the wait; ends the worker if a supervisor replaces it and the kernel resends its requests. */
static void give_way(struct lookout *l, unsigned session)
{
	const struct journal_session *s = &l->j->sessions[session];
	bool replaced = l->j->super->can_resend && getppid() == l->supervisor;

	if (l->said)
		return;
	l->said = true;
	log_loss(l->j->inodes[s->inode].rec.name, "process %d does not let a page into its memory, which holds "
		 "all others up%s", s->pid, replaced ? ": a new worker serves those" : "");
	if (!replaced)
		return;
	log_flush();
	kill(getpid(), SIGKILL);
}

static void look_on(struct lookout *l, struct front *f)
{
	struct pollfd p = { .fd = l->kick_fd, .events = POLLIN };
	unsigned waits = 0, idle = 0;
	uint64_t before = 0, sum, count;

	while (!atomic_load(&f->over)) {
		bool asleep = idle >= LOOKS_IDLE;
		int session;

		if (asleep)
			atomic_store(&l->asleep, true); /* and then looks once more */
		session = call_find(l, &sum);
		idle = sum == before && session < 0 ? idle + 1 : 0;
		waits = session >= 0 && sum == before && waits_for_good(atomic_load(&l->front_tid)) ?
				waits + 1 : 0;
		before = sum;
		if (waits >= LOOKS_MAX)
			give_way(l, (unsigned)session);
		poll(&p, 1, asleep && idle ? -1 : LOOK_MS);
		if (p.revents && read(l->kick_fd, &count, sizeof(count)) > 0)
			idle = 0;
	}
}

static void *sign_thread(void *arg)
{
	const struct lookout *l = arg;

	pthread_setname_np(pthread_self(), "gvmfs-sign");
	journal_publish32((uint32_t *)&l->j->super->sign_tid, (uint32_t)gettid());
	for (;;)
		pause();
	return NULL;
}

int lookout_run(struct lookout *l, const struct journal *j, int (*front)(void *arg), void *arg)
{
	struct front f = { .l = l, .run = front, .arg = arg };
	pthread_t thread, sign;
	int r;

	l->j = j;
	l->supervisor = getppid();
	l->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->kick_fd < 0)
		return -errno;
	r = -pthread_create(&sign, NULL, sign_thread, l);
	if (!r)
		r = -pthread_create(&thread, NULL, front_thread, &f);
	if (r < 0)
		return r;
	look_on(l, &f);
	pthread_join(thread, NULL);
	return f.result;
}

bool lookout_may_leave(const struct journal *j, int pid)
{
	struct lookout l = { .j = j };
	uint64_t sum;

	return call_find(&l, &sum) >= 0 ||
	       (syscall(SYS_tgkill, pid, j->super->front_tid, 0) < 0 && errno == ESRCH);
}

void lookout_leave(const struct journal *j, int pid)
{
	for (unsigned i = 0; i < JOURNAL_SESSIONS; i++) {
		struct journal_session *s = &j->sessions[i];

		if (atomic_load((_Atomic uint32_t *)&s->calls) & 1 && !lookout_is_held(j, i)) {
			s->held_count++;
			atomic_store((_Atomic int32_t *)&s->held_by, pid);
		}
	}
}

static void call_over(struct journal_session *s)
{
	atomic_store((_Atomic uint32_t *)&s->calls, 0);
	atomic_store((_Atomic int32_t *)&s->held_by, 0);
}

void lookout_gone(const struct journal *j, int pid, bool was_left)
{
	for (unsigned i = 0; i < JOURNAL_SESSIONS; i++) {
		struct journal_session *s = &j->sessions[i];

		if (s->held_by == pid || (!was_left && !s->held_by))
			call_over(s);
	}
}
