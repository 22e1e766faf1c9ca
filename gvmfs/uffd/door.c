// SPDX-License-Identifier: GPL-2.0-or-later
/* door.c - see door.h. */
#include "door.h"

#include "base/descriptors.h"
#include "base/log.h"
#include "gvm_client.h"
#include "state/release.h"
#include "visitor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAITING_MAX   512u /* connections that nobody looks after yet */
#define VISITORS_MAX  128u /* processes, those that only hold a client's descriptors not counted */
#define OF_USER_MAX   16u  /* of these, one user's */
#define SILENT_NS     5000000000ull /* the first word has to come within */
#define TALK_NS	      90000000000ull
#define PAUSE_NS      1000000000ull
#define FORK_NS	      2000000ull /* a process each, after FORK_BURST at once */
#define FORK_BURST    64u
#define RESTART_NS    200000000ull
#define LOOK_MS	      20
/* Above all others where that is allowed: with a process the highest number ends first, and what strangers
 * have sent may keep the others from ending. */
#define CONTROL_FD    1024
#define CONTROL_FD_MIN 64

/* A connection that was accepted: not yet looked after. */
struct waiting {
	int fd;
	uid_t uid;
	pid_t pid;
	bool speaks; /* something was said */
	bool left;   /* its other end is closed */
	uint64_t since_ns;
};

/* A process that looks after one, or lets go of many. */
struct looked_after {
	int pidfd; /* -1: free */
	pid_t pid;
	uid_t uid;
	bool sink; /* lets go, and does nothing else */
	bool killed;
	uint64_t since_ns;
};

/* The door's own state: static, since it is all that this process does. */
static struct {
	int listener, bell, control;
	dev_t dev;
	struct waiting waiting[WAITING_MAX];
	unsigned count; /* of these, oldest first */
	struct looked_after visitors[VISITORS_MAX];
	_Atomic uint32_t *stages; /* of the visitors, shared with them */
	uint64_t pause_ns; /* accepts nobody before */
	uint64_t forked_ns; /* when the processes so far would have been due */
} door;

/* ---- processes ---- */

static unsigned visitors_of(uid_t uid)
{
	unsigned n = 0;

	for (unsigned i = 0; i < VISITORS_MAX; i++)
		n += door.visitors[i].pidfd >= 0 && door.visitors[i].uid == uid;
	return n;
}

static struct looked_after *visitor_free(void)
{
	for (unsigned i = 0; i < VISITORS_MAX; i++)
		if (door.visitors[i].pidfd < 0)
			return &door.visitors[i];
	return NULL;
}

/* What the new process does: with these connections alone, once the door has closed its own copies. */
static void child_run(const struct waiting *first, const unsigned *keep, unsigned count, int gate,
		      _Atomic uint32_t *stage)
{
	struct visitor v = { .dev = door.dev, .uid = first->uid, .pid = first->pid, .stage = stage };
	int fds[WAITING_MAX + 2];
	char byte;

	for (unsigned i = 0; i < count; i++)
		fds[i] = door.waiting[keep[i]].fd;
	fds[count] = gate;
	fds[count + 1] = door.bell;
	prctl(PR_SET_NAME, "gvmfs-release");
	descriptors_keep_only(fds, count + 2);
	if (read(fds[count], &byte, 1) < 0 || !stage)
		_exit(0); /* which lets go of all of them */
	close(fds[count]);
	v.client = fds[0];
	v.bell = fds[count + 1];
	visitor_run(&v);
}

static void waiting_remove(unsigned i)
{
	memmove(&door.waiting[i], &door.waiting[i + 1], (--door.count - i) * sizeof(*door.waiting));
}

/*
 * Hands connections (their places, ascending) of one user to a new process; `sink`: only to be let go
 * of. False: there can be none now.
 */
static bool hand_over(const unsigned *places, unsigned count, bool sink)
{
	struct looked_after *child = visitor_free();
	struct waiting first = door.waiting[places[0]];
	_Atomic uint32_t *stage = child ? &door.stages[child - door.visitors] : NULL;
	int gate[2];

	if (!child || pipe2(gate, O_CLOEXEC) < 0)
		return false;
	atomic_store(stage, VISITOR_TALKS);
	child->pid = fork();
	if (child->pid == 0) {
		close(gate[1]);
		child_run(&first, places, count, gate[0], sink ? NULL : stage);
	}
	close(gate[0]);
	child->pidfd = child->pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, child->pid, 0);
	if (child->pidfd < 0) {
		if (child->pid > 0)
			kill(child->pid, SIGKILL); /* it has not begun */
		close(gate[1]);
		return false;
	}
	child->uid = first.uid;
	child->sink = sink;
	child->killed = false;
	child->since_ns = gvm_now_ns();
	/* Not the last copies: the child waits until these are closed. */
	while (count--) {
		close(door.waiting[places[count]].fd);
		waiting_remove(places[count]);
	}
	close(gate[1]);
	return true;
}

static void visitors_look(uint64_t now_ns)
{
	for (unsigned i = 0; i < VISITORS_MAX; i++) {
		struct looked_after *v = &door.visitors[i];
		struct pollfd ended = { .fd = v->pidfd, .events = POLLIN };
		uint32_t stage = atomic_load(&door.stages[i]);

		if (v->pidfd < 0)
			continue;
		if (poll(&ended, 1, 0) == 1) {
			if (stage == VISITOR_BABBLES && !v->sink)
				log_warning(NULL, "process of user %u: not the fast path's protocol", v->uid);
		} else if (stage != VISITOR_HOLDS) {
			if (!v->killed && now_ns - v->since_ns > TALK_NS) {
				v->killed = true;
				kill(v->pid, SIGKILL);
				log_warning(NULL, "a process that looks after a client of user %u does not end; "
					    "what that client sent holds it up", v->uid);
			}
			continue;
		}
		close(v->pidfd);
		v->pidfd = -1;
		/* The process that holds goes on writing there, but nothing that would be read. */
	}
}

/* ---- connections ---- */

/* The user that has most of those that wait. */
static uid_t greediest(void)
{
	unsigned most = 0;
	uid_t uid = 0;

	for (unsigned i = 0; i < door.count; i++) {
		unsigned n = 0;

		for (unsigned k = i; k < door.count; k++)
			n += door.waiting[k].uid == door.waiting[i].uid;
		if (n > most) {
			most = n;
			uid = door.waiting[i].uid;
		}
	}
	return uid;
}

/* Closes a user's waiting connections in one process, however long that takes; `left`: only those whose
 * client has left. */
static bool sink(uid_t uid, bool left)
{
	unsigned places[WAITING_MAX], count = 0, sinks = 0;

	for (unsigned i = 0; i < VISITORS_MAX; i++)
		sinks += door.visitors[i].pidfd >= 0 && door.visitors[i].uid == uid && door.visitors[i].sink;
	for (unsigned i = 0; i < door.count; i++)
		if (door.waiting[i].uid == uid && (door.waiting[i].left || !left))
			places[count++] = i;
	return sinks < OF_USER_MAX && hand_over(places, count, true);
}

/* Lets go of a connection. False: that cannot be, now. */
static bool drop(unsigned i)
{
	struct waiting *c = &door.waiting[i];

	if (!connection_is_clean(c->fd))
		return sink(c->uid, c->left);
	close(c->fd);
	waiting_remove(i);
	return true;
}

static void make_room(uint64_t now_ns)
{
	uid_t uid = greediest();
	unsigned i = 0;

	while (door.waiting[i].uid != uid)
		i++;
	if (drop(i))
		return;
	log_warning(NULL, "user %u has too many connections to the fast path's socket that cannot be "
		    "closed; no new client is received meanwhile", uid);
	door.pause_ns = now_ns + PAUSE_NS;
}

static void accept_one(uint64_t now_ns)
{
	struct ucred who;
	socklen_t size = sizeof(who);
	int fd = accept4(door.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			door.pause_ns = now_ns + PAUSE_NS; /* no descriptors, or no memory */
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0)
		who = (struct ucred){ .uid = (uid_t)-1 };
	door.waiting[door.count++] = (struct waiting){
		.fd = fd, .uid = who.uid, .pid = who.pid, .since_ns = now_ns
	};
}

/* Not more than the machine can bear beside its guests. */
static bool may_fork(uint64_t now_ns)
{
	uint64_t earliest = now_ns - FORK_BURST * FORK_NS;

	if (door.forked_ns < earliest)
		door.forked_ns = earliest;
	if (door.forked_ns + FORK_NS > now_ns)
		return false;
	door.forked_ns += FORK_NS;
	return true;
}

/* Returns in how many milliseconds to look again. */
static int connections_look(uint64_t now_ns)
{
	int ms = LOOK_MS;

	for (unsigned i = 0; i < door.count; i++) {
		struct waiting *c = &door.waiting[i];

		if (c->left && !may_fork(now_ns))
			ms = FORK_NS / 1000000;
		else if (c->left && drop(i))
			return 0;
		if (c->speaks && !c->left && visitors_of(c->uid) < OF_USER_MAX && visitor_free()) {
			/* The others at the next look: their places have changed. */
			if (!may_fork(now_ns))
				ms = FORK_NS / 1000000;
			else if (hand_over(&i, 1, false))
				return 0;
		}
		if (now_ns - c->since_ns > (c->speaks ? TALK_NS : SILENT_NS) && drop(i))
			return 0;
	}
	return ms;
}

/* ---- */

static void door_wait(int ms)
{
	struct pollfd p[WAITING_MAX + 2] = { { .fd = door.control, .events = POLLIN },
					     { .fd = door.listener, .events = POLLIN } };
	uint64_t now_ns = gvm_now_ns();
	bool busy = door.count > 0;

	if (now_ns < door.pause_ns) {
		p[1].fd = -1;
		busy = true;
	}
	for (unsigned i = 0; i < VISITORS_MAX; i++)
		busy |= door.visitors[i].pidfd >= 0;
	for (unsigned i = 0; i < door.count; i++)
		p[i + 2] = (struct pollfd){ .fd = door.waiting[i].left ? -1 : door.waiting[i].fd,
					    .events = door.waiting[i].speaks ? 0 : POLLIN };
	/* Children and deadlines are looked after now and then, while there are any. */
	if (poll(p, door.count + 2, busy ? ms : -1) < 0)
		return;
	if (p[0].revents) { /* the supervisor has ended; what it had open goes first */
		usleep(LOOK_MS * 1000);
		_exit(0);
	}
	for (unsigned i = 0; i < door.count; i++) {
		door.waiting[i].speaks |= (p[i + 2].revents & POLLIN) != 0;
		door.waiting[i].left |= (p[i + 2].revents & (POLLHUP | POLLERR)) != 0;
	}
	if (p[1].revents) {
		now_ns = gvm_now_ns();
		if (door.count == WAITING_MAX)
			make_room(now_ns);
		if (door.count < WAITING_MAX)
			accept_one(now_ns);
	}
}

static void door_run(const struct door *d, int control, dev_t dev, bool foreground)
{
	int fds[] = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO, d->listener, d->bell, control };

	prctl(PR_SET_NAME, "gvmfs-door");
	signal(SIGCHLD, SIG_IGN); /* nobody waits for a child */
	descriptors_keep_only(fds, 6);
	door.listener = fds[3];
	door.bell = fds[4];
	door.control = -1;
	for (int at = CONTROL_FD; door.control < 0 && at >= CONTROL_FD_MIN; at /= 2)
		door.control = fcntl(fds[5], F_DUPFD_CLOEXEC, at);
	close(fds[5]);
	door.dev = dev;
	door.stages = mmap(NULL, VISITORS_MAX * sizeof(*door.stages), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (door.control < 0 || door.stages == MAP_FAILED || chdir("/") < 0)
		_exit(1);
	for (unsigned i = 0; i < VISITORS_MAX; i++)
		door.visitors[i].pidfd = -1;
	if (!foreground)
		log_to_syslog();
	for (int ms = LOOK_MS;;) {
		uint64_t now_ns;

		door_wait(ms);
		now_ns = gvm_now_ns();
		visitors_look(now_ns);
		ms = connections_look(now_ns);
	}
}

static int door_start(struct door *d, const struct journal *j, bool foreground)
{
	dev_t dev = j->super->mount_dev;
	pid_t child;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	child = fork();
	if (child == 0) {
		if (fork() == 0) {
			journal_close(j);
			door_run(d, pair[1], dev, foreground);
		}
		_exit(0);
	}
	close(pair[1]);
	if (child < 0) {
		close(pair[0]);
		return -EAGAIN;
	}
	waitpid(child, NULL, 0);
	d->control = pair[0];
	d->started_ns = gvm_now_ns();
	return 0;
}

int door_create(struct door *d, int listener, const struct journal *j, bool foreground)
{
	int bell[2];

	*d = (struct door){ .listener = listener, .bell_worker = -1, .bell = -1, .control = -1 };
	if (listener < 0)
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, bell) < 0)
		return -errno;
	d->bell_worker = bell[0];
	d->bell = bell[1];
	return door_start(d, j, foreground);
}

void door_check(struct door *d, const struct journal *j, bool foreground)
{
	if (d->control < 0 || holder_lives(d->control))
		return;
	/* One that ends at once would keep the supervisor busy. */
	if (gvm_now_ns() - d->started_ns < RESTART_NS)
		usleep(RESTART_NS / 1000);
	log_warning(NULL, "the process that receives clients of the fast path is gone: another one does now");
	close(d->control);
	d->control = -1;
	if (door_start(d, j, foreground) < 0)
		log_error(NULL, "it cannot be started; there are no new clients of the fast path");
}

static void fd_drop(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void door_leave(struct door *d)
{
	fd_drop(&d->listener);
	fd_drop(&d->bell);
	fd_drop(&d->control);
}

void door_end(struct door *d, const struct journal *j)
{
	/* There may be connections that nobody has accepted, and descriptors in them. */
	if (d->listener >= 0 && (d->control < 0 || !holder_lives(d->control)))
		release_apart(&d->listener, 1, j);
	else
		fd_drop(&d->listener);
	d->listener = -1;
	fd_drop(&d->control);
	fd_drop(&d->bell);
	fd_drop(&d->bell_worker);
}
