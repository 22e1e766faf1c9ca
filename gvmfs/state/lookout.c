// SPDX-License-Identifier: GPL-2.0-or-later
/* lookout.c - see lookout.h. */
#include "lookout.h"

#include "base/log.h"
#include "file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOOK_MS	   100
#define LOOKS_MAX  5 /* looks that find the front thread in the same call, before give_way() */
#define LOOKS_IDLE 50 /* looks that find no call, before the main thread sleeps */

void lookout_wake(struct lookout *l)
{
	uint64_t one = 1;

	atomic_store(&l->asleep, false);
	if (write(l->kick_fd, &one, sizeof(one)) < 0)
		return; /* it is readable already */
}

static void front_over(struct relief *rl, int result)
{
	struct lookout *l = (struct lookout *)((char *)rl - offsetof(struct lookout, relief));

	l->result = result;
	atomic_store(&l->over, true);
	lookout_wake(l);
}

static uint32_t calls_of(const struct lookout *l, unsigned session)
{
	return atomic_load((_Atomic uint32_t *)&l->j->sessions[session].calls);
}

/* The session in whose memory a call of the front is in flight; -1: none. *sum changes with each call. (In a session
 * that is held, the call is a predecessor's.) */
static int call_find(const struct lookout *l, uint64_t *sum)
{
	int found = -1, front = atomic_load(&l->relief.tid);

	*sum = 0;
	for (unsigned s = 0; s < JOURNAL_SESSIONS; s++) {
		uint32_t calls = calls_of(l, s);

		*sum += calls;
		if (calls & 1 && !lookout_is_held(l->j, s) && l->j->sessions[s].caller == front)
			found = (int)s;
	}
	return found;
}

/* Logs the wait; kills this worker if a supervisor will replace it and the kernel resends its requests. */
static void give_way(struct lookout *l, unsigned session)
{
	const struct journal_session *s = &l->j->sessions[session];
	bool replaced = l->j->super->can_resend && getppid() == l->supervisor;

	if (l->said)
		return;
	l->said = true;
	log_loss(l->j->inodes[s->inode].rec.name, "process %d does not let a page into its memory: all other "
		 "regions wait%s", s->pid, replaced ? " until a new worker takes over" : " for it");
	if (!replaced)
		return;
	log_flush();
	kill(getpid(), SIGKILL);
}

static void look_on(struct lookout *l)
{
	struct pollfd p = { .fd = l->kick_fd, .events = POLLIN };
	unsigned waits = 0, idle = 0;
	uint64_t before = 0, since_ns = 0, sum, count;

	while (!atomic_load(&l->over)) {
		bool asleep = idle >= LOOKS_IDLE;
		int session;

		if (asleep)
			atomic_store(&l->asleep, true); /* before the last look, so that no call is missed */
		session = call_find(l, &sum);
		idle = sum == before && session < 0 ? idle + 1 : 0;
		waits = session >= 0 && sum == before && relief_is_held_up(&l->relief, since_ns) ? waits + 1 : 0;
		since_ns = relief_cpu_ns(&l->relief);
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

int lookout_run(struct lookout *l, const struct journal *j)
{
	pthread_t sign;
	int r;

	l->j = j;
	l->supervisor = getppid();
	l->relief.over = front_over;
	l->relief.tid_told = (_Atomic int32_t *)&j->super->front_tid;
	l->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->kick_fd < 0)
		return -errno;
	r = -pthread_create(&sign, NULL, sign_thread, l);
	if (!r)
		r = relief_start(&l->relief);
	if (r < 0)
		return r;
	look_on(l);
	return l->result;
}

/* The thread has ended, or is in a call into a client's memory and ends when that returns. (A killed thread that only
 * waits for a CPU may still write to the journal.) */
static bool thread_is_over(const struct journal *j, int pid, int tid)
{
	for (unsigned s = 0; s < JOURNAL_SESSIONS; s++) {
		const struct journal_session *session = &j->sessions[s];

		if (atomic_load((_Atomic uint32_t *)&session->calls) & 1 && session->caller == tid &&
		    !lookout_is_held(j, s))
			return true;
	}
	return syscall(SYS_tgkill, pid, tid, 0) < 0 && errno == ESRCH;
}

/* /proc/TID/exe is gone once the thread has dropped its memory (its mm). Reading the link must not take a reference
 * to that memory: whoever drops the last one frees all of it, and that should not be the supervisor. */
static bool thread_is_spent(int threads, const char *tid)
{
	char path[32], to;

	snprintf(path, sizeof(path), "%.20s/exe", tid);
	return readlinkat(threads, path, &to, 1) < 0 && (errno == ENOENT || errno == ESRCH);
}

/* Compares the kernel's count of threads with the number of spent ones in a listing. The listing may miss some, since
 * threads end meanwhile; a killed process gets no new ones. */
static bool threads_are_spent(int threads)
{
	DIR *dir = fdopendir(threads);
	unsigned spent = 0;
	struct dirent *e;
	struct stat st;

	if (!dir) {
		close(threads);
		return false;
	}
	if (fstat(threads, &st) < 0)
		st.st_nlink = 0;
	while ((e = readdir(dir)))
		if (*e->d_name != '.') {
			if (!thread_is_spent(threads, e->d_name))
				break;
			spent++;
		}
	closedir(dir);
	return !e && spent && spent + 2 == st.st_nlink; /* a folder's links: two, and one for each thread */
}

/* Once the main thread is a zombie, its children have got their parent-death signal. */
static bool main_thread_is_over(int pid)
{
	char path[64], text[512];
	const char *at;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, pid);
	if (file_text(path, text, sizeof(text)) < 0)
		return false;
	at = strrchr(text, ')');
	return at && at[1] == ' ' && at[2] == 'Z';
}

bool lookout_is_spent(int pid)
{
	char path[32];
	int threads;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	threads = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return threads >= 0 && threads_are_spent(threads) && main_thread_is_over(pid);
}

bool lookout_may_leave(const struct journal *j, int pid)
{
	for (unsigned s = 0; s < JOURNAL_SESSIONS; s++)
		if (j->sessions[s].server && !thread_is_over(j, pid, j->sessions[s].server))
			return false;
	return thread_is_over(j, pid, j->super->front_tid);
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

bool lookout_call_ended(const struct journal *j, unsigned session)
{
	struct journal_session *s = &j->sessions[session];

	if (s->held_by && syscall(SYS_tgkill, s->held_by, s->caller, 0) < 0 && errno == ESRCH)
		call_over(s);
	return !lookout_is_held(j, session);
}

void lookout_gone(const struct journal *j, int pid, bool was_left)
{
	for (unsigned i = 0; i < JOURNAL_SESSIONS; i++) {
		struct journal_session *s = &j->sessions[i];

		if (s->held_by == pid || (!was_left && !s->held_by))
			call_over(s);
	}
}
