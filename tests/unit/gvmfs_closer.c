// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gvmfs_closer.c - a worker's end is the last close of none of its descriptors: the closer's is, which may wait in one for
 * ever (before Linux 6.9). Here it is stopped instead. A worker is a process that has one end of a connection: the other hangs
 * up with its last close.
 */
#include "check.h"
#include "state/closer.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define SOON 30000 /* what has to come, comes by then */
#define MANY 200

struct worker {
	pid_t pid, closer;
	int peer; /* of its socket */
};

static struct journal j;

static bool hangs_up(int fd, int ms)
{
	struct pollfd p = { .fd = fd };

	return poll(&p, 1, ms) == 1 && p.revents & POLLHUP;
}

/* The closer is the only child of a worker's. */
static pid_t child_of(pid_t pid)
{
	char path[64];
	int child = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
	f = fopen(path, "re");
	CHECK(f);
	CHECK_EQ(fscanf(f, "%d", &child), 1);
	fclose(f);
	return child;
}

static void file_line(pid_t pid, const char *name, char *line, size_t bytes)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	f = fopen(path, "re");
	*line = 0;
	if (!f)
		return;
	CHECK(fgets(line, (int)bytes, f) || !*line);
	fclose(f);
}

static char state_of(pid_t pid)
{
	char line[512], *at;

	file_line(pid, "stat", line, sizeof(line));
	at = strrchr(line, ')');
	return at ? at[2] : 0;
}

static bool is_closer(pid_t pid)
{
	char line[64];

	file_line(pid, "comm", line, sizeof(line));
	return !strcmp(line, "gvmfs-closer\n");
}

static void *stay(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

/* Answers each byte; on an E its main thread ends, and another stays. */
static _Noreturn void worker_run(int listener, const struct sockaddr_un *to, socklen_t bytes)
{
	pthread_t thread;
	char byte = 0;
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL); /* where a check fails */
	closer_start(&j);
	close(listener);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); /* after the closer, as all that is a worker's own */
	CHECK(fd >= 0 && !connect(fd, (const struct sockaddr *)to, bytes));
	CHECK(!pthread_create(&thread, NULL, stay, NULL));
	CHECK(write(fd, "", 1) == 1);
	while (read(fd, &byte, 1) == 1 && byte != 'E')
		CHECK(write(fd, &byte, 1) == 1);
	syscall(SYS_exit, 0);
	_exit(1);
}

static struct worker begin(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	socklen_t bytes = sizeof(at);
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct worker w;
	char byte;

	CHECK(!prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)); /* so that closers can be waited for */
	/* A name of the kernel's choice. */
	CHECK(!bind(listener, (struct sockaddr *)&at, sizeof(at.sun_family)) && !listen(listener, 1));
	CHECK(!getsockname(listener, (struct sockaddr *)&at, &bytes));
	w.pid = fork();
	if (!w.pid)
		worker_run(listener, &at, bytes);
	w.peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	close(listener);
	CHECK(read(w.peer, &byte, 1) == 1);
	w.closer = child_of(w.pid);
	while (!is_closer(w.closer) || state_of(w.closer) != 'S')
		usleep(1000);
	return w;
}

static void signal_until(pid_t pid, int sig, char state)
{
	CHECK(!kill(pid, sig));
	while (state_of(pid) != state)
		usleep(1000);
}

static void end(struct worker *w)
{
	int how;

	CHECK(hangs_up(w->peer, SOON));
	close(w->peer);
	CHECK_EQ(waitpid(w->closer, &how, 0), w->closer);
	CHECK(WIFEXITED(how) && !WEXITSTATUS(how));
}

static void worker_that_is_killed_waits_for_no_close(void)
{
	struct worker w = begin();

	signal_until(w.closer, SIGSTOP, 'T');
	CHECK(!kill(w.pid, SIGKILL));
	CHECK_EQ(waitpid(w.pid, NULL, 0), w.pid);
	CHECK(!hangs_up(w.peer, 0));
	CHECK(!kill(w.closer, SIGCONT));
	end(&w);
}

/* Whether the only descriptor that a closer still has is one that tells the worker's end: it has the table until then. */
static bool waits_for(pid_t closer, pid_t worker)
{
	char path[64], line[64];
	int pid = 0;
	FILE *f;

	CHECK(state_of(closer) != 'Z');
	snprintf(path, sizeof(path), "/proc/%d/fdinfo/0", (int)closer);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f) && sscanf(line, "Pid: %d", &pid) != 1)
		;
	fclose(f);
	return pid == worker;
}

/* As one that waits in the kernel where a kill does not end it. */
static void thread_that_stays_holds_nothing_open(void)
{
	struct worker w = begin();

	CHECK(write(w.peer, "E", 1) == 1);
	CHECK(hangs_up(w.peer, SOON));
	CHECK_EQ(waitpid(w.pid, NULL, WNOHANG), 0);
	while (!waits_for(w.closer, w.pid))
		usleep(1000);
	CHECK(!kill(w.pid, SIGKILL));
	CHECK_EQ(waitpid(w.pid, NULL, 0), w.pid);
	end(&w);
}

static bool is_pending(pid_t pid)
{
	char path[64], line[256];
	unsigned long long set = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	CHECK(f);
	while (fgets(line, sizeof(line), f) && sscanf(line, "ShdPnd: %llx", &set) != 1)
		;
	fclose(f);
	return set;
}

static void no_signal_closes_what_a_worker_uses(void)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1 };
	struct worker w = begin();
	char byte = 'A';

	for (unsigned i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		CHECK(!kill(w.closer, signals[i]));
	CHECK(!kill(w.closer, SIGRTMIN));
	while (is_pending(w.closer) || state_of(w.closer) != 'S')
		usleep(1000);
	CHECK(write(w.peer, &byte, 1) == 1 && read(w.peer, &byte, 1) == 1 && byte == 'A');
	CHECK(!kill(w.pid, SIGKILL));
	CHECK_EQ(waitpid(w.pid, NULL, 0), w.pid);
	end(&w);
}

static void nothing_is_left_of_many(void)
{
	int first = dup(0);

	for (unsigned i = 0; i < MANY; i++) {
		struct worker w = begin();

		CHECK(!kill(w.pid, SIGKILL));
		CHECK_EQ(waitpid(w.pid, NULL, 0), w.pid);
		end(&w);
	}
	CHECK_EQ(waitpid(-1, NULL, 0), -1);
	close(first);
	CHECK_EQ(dup(0), first); /* the lowest that is free */
	close(first);
}

static const struct check_test tests[] = {
	{ "worker-that-is-killed-waits-for-no-close", worker_that_is_killed_waits_for_no_close },
	{ "thread-that-stays-holds-nothing-open", thread_that_stays_holds_nothing_open },
	{ "no-signal-closes-what-a-worker-uses", no_signal_closes_what_a_worker_uses },
	{ "nothing-is-left-of-many", nothing_is_left_of_many },
};

int main(int argc, char **argv)
{
	CHECK(!journal_create(&j));
	return check_run(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
