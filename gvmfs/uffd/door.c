// SPDX-License-Identifier: GPL-2.0-or-later
/* door.c - see door.h. */
#include "door.h"

#include "base/descriptors.h"
#include "base/log.h"
#include "gvm_attach.h"
#include "gvm_client.h"
#include "handshake.h"
#include "state/release.h"
#include "users.h"
#include "visitor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAITING_MAX   512u /* connections that have no process yet */
#define TALKS_MAX     128u /* conversations at a time, without those whose client is on the fast path */
#define STUCK_MAX     384u /* processes that close connections, or were killed, and still exist */
#define PROCESSES_MAX (TALKS_MAX + STUCK_MAX)
#define HOLDERS_MAX   (USERS_HOLDERS_MAX + TALKS_MAX) /* processes whose client is or was on the fast path */
#define SINKS_MAX     16u  /* of these, the processes of one user that close connections */
#define SILENT_NS     5000000000ull /* the first message has to come within */
#define TALK_NS	      90000000000ull
#define YIELD_NS      5000000000ull /* after which a conversation may have to make room for another */
#define PAUSE_NS      1000000000ull
#define NICE	      10 /* guests come before clients that are not on the fast path yet */
#define RESTART_NS    200000000ull
#define LOOK_MS	      20
/* The door's end of `control` gets the highest number, where the limit allows: a process that ends
 * closes its highest descriptor first, and the connections may block when they are closed. */
#define CONTROL_FD    4096
#define CONTROL_FD_MIN 64

_Static_assert(2 * (WAITING_MAX + PROCESSES_MAX) + HOLDERS_MAX <= USERS_ACCOUNTS_MAX, "each may be of another user");
_Static_assert(2 * JOURNAL_SESSIONS <= USERS_HOLDERS_MAX, "one user may have all sessions");
_Static_assert(PROCESSES_MAX + JOURNAL_SESSIONS <= HANDSHAKES_MAX, "the worker has room for all, those that hold included");

/* A connection that was accepted, and has no process yet. */
struct waiting {
	int fd;
	struct payer payer;
	bool asks; /* its first message is a valid HELLO */
	bool done; /* its other end is closed, or its first message is invalid: it has to be closed */
	bool dirty; /* there are descriptors in its queue */
	uint64_t since_ns;
};

/* A process that serves one client, or closes many connections. */
struct looked_after {
	int pidfd; /* -1: free */
	pid_t pid;
	struct payer payer;
	bool sink; /* only closes connections */
	bool killed;
	uint64_t since_ns;
};

/* A process whose client got on the fast path. */
struct holder {
	int pidfd;
	struct account *user;
};

/* The door's own state: static, since it is all that this process does. */
static struct {
	int listener, bell, control;
	dev_t dev;
	struct waiting waiting[WAITING_MAX];
	unsigned count; /* of these, oldest first */
	struct looked_after visitors[PROCESSES_MAX];
	_Atomic uint32_t *stages; /* of the visitors, shared with them */
	struct holder holders[HOLDERS_MAX];
	unsigned holding; /* of these */
	struct users users;
	uint64_t pause_ns; /* no connection is accepted before this time */
} door;

/* ---- processes ---- */

/* Conversations and other processes have places of their own, so that processes which clients keep
 * from ending leave room for conversations. */
static bool is_talking(const struct looked_after *v)
{
	return !v->sink && !v->killed;
}

static struct looked_after *visitor_free(bool talks)
{
	struct looked_after *found = NULL;
	unsigned count = 0;

	for (unsigned i = 0; i < PROCESSES_MAX; i++)
		if (door.visitors[i].pidfd < 0)
			found = &door.visitors[i];
		else
			count += is_talking(&door.visitors[i]) == talks;
	return count < (talks ? TALKS_MAX : STUCK_MAX) ? found : NULL;
}

/*
 * Ends the process, and so closes its connections. Each is emptied before: a client whose message was never read would not
 * find the reason why it is refused, but that its connection was reset. May wait at any of them, and then keeps those
 * after it open, with their reasons.
 */
static void connections_end(const int *fds, unsigned count)
{
	char byte;

	for (unsigned i = 0; i < count; i++)
		while (recv(fds[i], &byte, 1, MSG_DONTWAIT) > 0)
			;
	_exit(0);
}

/* The new process: keeps only these connections, and begins when the door has closed its own
 * copies. */
static void child_run(const struct waiting *first, const unsigned *keep, unsigned count, int gate,
		      _Atomic uint32_t *stage)
{
	struct visitor v = { .dev = door.dev, .uid = first->payer.process->uid,
			     .pid = first->payer.process->pid, .stage = stage };
	int fds[WAITING_MAX + 2];
	char byte;

	for (unsigned i = 0; i < count; i++)
		fds[i] = door.waiting[keep[i]].fd;
	fds[count] = gate;
	fds[count + 1] = door.bell;
	prctl(PR_SET_NAME, "gvmfs-release");
	descriptors_keep_only(fds, count + 2);
	if (read(fds[count], &byte, 1) < 0)
		_exit(0);
	if (!stage)
		connections_end(fds, count);
	close(fds[count]);
	v.client = fds[0];
	v.bell = fds[count + 1];
	visitor_run(&v);
}

static void waiting_remove(unsigned i)
{
	door.waiting[i].payer.user->waiting--;
	door.waiting[i].payer.process->waiting--;
	memmove(&door.waiting[i], &door.waiting[i + 1], (--door.count - i) * sizeof(*door.waiting));
}

/*
 * Hands connections (their places, ascending) of one user to a new process; `sink`: to be closed
 * only. False: no process can be started now.
 */
static bool hand_over(const unsigned *places, unsigned count, bool sink)
{
	struct looked_after *child = visitor_free(!sink);
	struct waiting first = door.waiting[places[0]];
	_Atomic uint32_t *stage = child ? &door.stages[child - door.visitors] : NULL;
	int gate[2];

	if (!child || pipe2(gate, O_CLOEXEC) < 0)
		return false;
	atomic_store(stage, 0);
	child->pid = fork();
	if (child->pid == 0) {
		close(gate[1]);
		child_run(&first, places, count, gate[0], sink ? NULL : stage);
	}
	close(gate[0]);
	child->pidfd = child->pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, child->pid, 0);
	if (child->pidfd < 0) {
		if (child->pid > 0)
			kill(child->pid, SIGKILL); /* it still waits at the gate */
		close(gate[1]);
		return false;
	}
	child->payer = first.payer;
	child->sink = sink;
	child->killed = false;
	child->since_ns = gvm_now_ns();
	if (sink)
		users_release(child->payer, child->since_ns);
	else
		users_begin(&door.users, child->payer, child->since_ns);
	/* These are not the last copies: the child waits until they are closed. */
	while (count--) {
		close(door.waiting[places[count]].fd);
		waiting_remove(places[count]);
	}
	close(gate[1]);
	return true;
}

static enum visit_worth worth(uint32_t stage)
{
	return stage & VISITOR_HOLDS ? VISIT_WORTH_ALL
	       : stage & VISITOR_PROVED ? VISIT_WORTH_A_REGION
					: VISIT_WORTH_NOTHING;
}

/* The visitor's process goes on for as long as its client, or longer: it counts until it ends. */
static void visitor_holds(struct looked_after *v)
{
	users_hold(&door.users, v->payer);
	door.holders[door.holding++] = (struct holder){ .pidfd = v->pidfd, .user = v->payer.user };
	v->pidfd = -1;
}

static void holder_ended(struct holder *h)
{
	users_unhold(&door.users, h->user);
	close(h->pidfd);
	*h = door.holders[--door.holding];
}

static void babbles(const struct account *user)
{
	log_warning(NULL, "process of user %u: not the fast path's protocol", user->uid);
}

static void visitors_look(uint64_t now_ns)
{
	for (unsigned i = 0; i < PROCESSES_MAX; i++) {
		struct looked_after *v = &door.visitors[i];
		struct pollfd ended = { .fd = v->pidfd, .events = POLLIN };
		uint32_t stage;
		bool over;

		if (v->pidfd < 0)
			continue;
		over = poll(&ended, 1, 0) == 1;
		stage = atomic_load(&door.stages[i]); /* final, if it is over */
		if (over && stage & VISITOR_BABBLES && !v->sink)
			babbles(v->payer.user);
		if (!over && !(stage & VISITOR_HOLDS)) {
			if (!v->killed && now_ns - v->since_ns > TALK_NS) {
				v->killed = true;
				kill(v->pid, SIGKILL);
				log_warning(NULL, "killed the process for a client of user %u: no end in time; "
					    "what the client sent may keep it there", v->payer.user->uid);
			}
			continue;
		}
		if (!over) {
			visitor_holds(v); /* and sets nothing in its stage any more */
			continue;
		}
		users_end(&door.users, v->payer, worth(stage));
		close(v->pidfd);
		v->pidfd = -1;
	}
}

/* ---- connections ---- */

/* Starts a process that closes those of a user's waiting connections that have to be closed, however long that takes. */
static bool sink(const struct account *user)
{
	unsigned places[WAITING_MAX], count = 0, sinks = 0;

	for (unsigned i = 0; i < PROCESSES_MAX; i++)
		sinks += door.visitors[i].pidfd >= 0 && door.visitors[i].payer.user == user &&
			 door.visitors[i].sink;
	for (unsigned i = 0; i < door.count; i++)
		if (door.waiting[i].payer.user == user && door.waiting[i].done)
			places[count++] = i;
	return sinks < SINKS_MAX && hand_over(places, count, true);
}

/* Whether the door itself may close the connection: it has no descriptors in its queue. */
static bool is_clean(struct waiting *c)
{
	c->dirty = c->dirty || !connection_is_clean(c->fd);
	return !c->dirty;
}

/* Closes a connection, in a process if need be. False: none can be started now. */
static bool drop(unsigned i)
{
	struct waiting *c = &door.waiting[i];

	if (!is_clean(c))
		return sink(c->payer.user);
	close(c->fd);
	waiting_remove(i);
	return true;
}

/* The connection has waited in vain: its client is told for what, and it has to be closed. */
static void refuse(struct waiting *c, uint64_t now_ns)
{
	static const struct {
		int error;
		const char *why;
	} reasons[] = {
		[USERS_BAR_NONE] = { -EBUSY, "too many programs ask for the fast path at once" },
		[USERS_BAR_SOON] = { -EBUSY, "too many programs of this user ask for the fast path at once" },
		[USERS_BAR_PROCESS] = { -EDQUOT, "this process has all the conversations about the fast path that it may "
						 "have at a time, and none of them ends" },
		[USERS_BAR_USER] = { -EDQUOT, "this user has all the conversations about the fast path that may be had at a "
					      "time, and none of them ends" },
		[USERS_BAR_HOLDERS] = { -EDQUOT, "too many processes are there for programs of this user that are or were on "
						 "the fast path" },
	};
	struct gvm_attach_msg msg = gvm_attach_message(GVM_ATTACH_REFUSE);
	enum users_bar bar = users_bar(&door.users, c->payer, now_ns);

	msg.error = reasons[bar].error;
	gvm_attach_explain(&msg, reasons[bar].why);
	if (c->asks && !c->done)
		descriptors_send(c->fd, &msg, sizeof(msg), NULL, 0);
	c->done = true;
}

/* Refuses a client, and closes its connection; where that takes a process, all of the user's that wait. */
static bool turn_away(unsigned i, uint64_t now_ns)
{
	const struct account *user = door.waiting[i].payer.user;

	refuse(&door.waiting[i], now_ns);
	for (unsigned k = is_clean(&door.waiting[i]) ? door.count : 0; k < door.count; k++)
		if (door.waiting[k].payer.user == user)
			refuse(&door.waiting[k], now_ns);
	return drop(i);
}

static void make_room(uint64_t now_ns)
{
	const struct account *process = users_greediest(&door.users);
	unsigned i = 0;

	while (door.waiting[i].payer.process != process)
		i++;
	if (turn_away(i, now_ns))
		return;
	log_warning(NULL, "user %u has too many connections to the fast path's socket that cannot be "
		    "closed; new clients have to wait", process->uid);
	door.pause_ns = now_ns + PAUSE_NS;
}

static void accept_one(uint64_t now_ns)
{
	struct waiting *c = &door.waiting[door.count];
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
	*c = (struct waiting){ .fd = fd, .payer = users_find(&door.users, who.uid, who.pid), .since_ns = now_ns };
	c->payer.user->waiting++;
	c->payer.process->waiting++;
	door.count++;
}

/*
 * Peeks at the first message, which stays in the queue. Without room for descriptors recvmsg()
 * installs none and closes none (the queue keeps them), but MSG_CTRUNC says that there are some. So
 * a client whose message is invalid needs no process.
 */
static void first_word_look(struct waiting *c)
{
	struct gvm_attach_msg said;
	struct iovec iov = { .iov_base = &said, .iov_len = sizeof(said) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n = recvmsg(c->fd, &msg, MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	c->asks = n == sizeof(said) && !(msg.msg_flags & MSG_TRUNC) && msg.msg_flags & MSG_CTRUNC &&
		  gvm_attach_accept(&said, 1, GVM_ATTACH_TO_GVMFS) && said.type == GVM_ATTACH_HELLO;
	c->done = !c->asks;
	if (c->done && n > 0)
		babbles(c->payer.user);
}

/* Of the connections that may have a conversation now, the oldest of the user that owes least: so a
 * user who asks for the first time does not wait behind others, however many they are. -1: there is
 * none. */
static int next_to_ask(uint64_t now_ns)
{
	int next = -1;

	for (unsigned i = 0; i < door.count; i++) {
		const struct waiting *c = &door.waiting[i];

		if (c->asks && !c->done && users_may_begin(&door.users, c->payer, now_ns) &&
		    (next < 0 || c->payer.user->due_ns < door.waiting[next].payer.user->due_ns))
			next = (int)i;
	}
	return next;
}

/*
 * Which conversation is ended to make room for one of `user`: the oldest whose client has not shown
 * a region that it may write, which takes an honest client no time. If there is none (a user may
 * pass such a region on to many others): the oldest of the user with the most visitors, if that
 * user has at least two more than `user`. NULL: none.
 */
static struct looked_after *talk_to_yield(const struct account *user, uint64_t now_ns)
{
	struct looked_after *unproven = NULL, *greedy = NULL;

	for (unsigned i = 0; i < PROCESSES_MAX; i++) {
		struct looked_after *v = &door.visitors[i];
		unsigned most = greedy ? greedy->payer.user->visitors : user->visitors + 2;

		if (v->pidfd < 0 || !is_talking(v) || now_ns - v->since_ns < YIELD_NS)
			continue;
		if (!(atomic_load(&door.stages[i]) & VISITOR_PROVED) && (!unproven || v->since_ns < unproven->since_ns))
			unproven = v;
		if (v->payer.user->visitors > most || (v->payer.user->visitors == most &&
						       (!greedy || v->since_ns < greedy->since_ns)))
			greedy = v;
	}
	return unproven ? unproven : greedy;
}

static void make_room_to_talk(const struct account *user, uint64_t now_ns)
{
	struct looked_after *v = visitor_free(false) ? talk_to_yield(user, now_ns) : NULL;

	if (!v)
		return;
	v->killed = true;
	kill(v->pid, SIGKILL);
	log_info(NULL, "ended the conversation with a client of user %u to make room for another user",
		 v->payer.user->uid);
}

static bool is_to_be_turned_away(const struct waiting *c, uint64_t now_ns)
{
	uint64_t waited_ns = now_ns - c->since_ns;

	return waited_ns > (c->asks ? TALK_NS : SILENT_NS) ||
	       (c->asks && waited_ns > USERS_VAIN_NS && users_wait_in_vain(&door.users, c->payer, now_ns));
}

/* Returns in how many milliseconds to look again. */
static int connections_look(uint64_t now_ns)
{
	int next = next_to_ask(now_ns);

	if (next >= 0 && !visitor_free(true))
		make_room_to_talk(door.waiting[next].payer.user, now_ns);
	else if (next >= 0 && hand_over(&(unsigned){ (unsigned)next }, 1, false))
		return 0;
	for (unsigned i = 0; i < door.count; i++)
		if (is_to_be_turned_away(&door.waiting[i], now_ns))
			refuse(&door.waiting[i], now_ns);
	for (unsigned i = 0; i < door.count; i++) {
		struct waiting *c = &door.waiting[i];

		/* The rest at the next look: the places have changed. */
		if (c->done && (is_clean(c) || users_may_release(c->payer, now_ns)) && drop(i))
			return 0;
	}
	return LOOK_MS;
}

/* ---- */

static void door_wait(int ms)
{
	struct pollfd p[WAITING_MAX + 2 + HOLDERS_MAX] = { { .fd = door.control, .events = POLLIN },
							   { .fd = door.listener, .events = POLLIN } };
	struct pollfd *held = p + 2 + door.count;
	uint64_t now_ns = gvm_now_ns();
	bool busy = door.count > 0;

	if (now_ns < door.pause_ns) {
		p[1].fd = -1;
		busy = true;
	}
	for (unsigned i = 0; i < PROCESSES_MAX; i++)
		busy |= door.visitors[i].pidfd >= 0;
	for (unsigned i = 0; i < door.count; i++)
		p[i + 2] = (struct pollfd){ .fd = door.waiting[i].done ? -1 : door.waiting[i].fd,
					    .events = door.waiting[i].asks ? 0 : POLLIN };
	for (unsigned i = 0; i < door.holding; i++)
		held[i] = (struct pollfd){ .fd = door.holders[i].pidfd, .events = POLLIN };
	/* While there are children or deadlines, they are checked every `ms`. */
	if (poll(p, 2 + door.count + door.holding, busy ? ms : -1) < 0)
		return;
	if (p[0].revents) { /* the supervisor has ended: let its descriptors be closed before ours */
		usleep(LOOK_MS * 1000);
		_exit(0);
	}
	for (unsigned i = door.holding; i-- > 0;)
		if (held[i].revents)
			holder_ended(&door.holders[i]);
	for (unsigned i = 0; i < door.count; i++) {
		if (p[i + 2].revents & POLLIN)
			first_word_look(&door.waiting[i]);
		door.waiting[i].done |= (p[i + 2].revents & (POLLHUP | POLLERR)) != 0;
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
	signal(SIGCHLD, SIG_IGN); /* no wait() for the children */
	setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + NICE);
	descriptors_keep_only(fds, 6);
	door.listener = fds[3];
	door.bell = fds[4];
	door.control = -1;
	for (int at = CONTROL_FD; door.control < 0 && at >= CONTROL_FD_MIN; at /= 2)
		door.control = fcntl(fds[5], F_DUPFD_CLOEXEC, at);
	close(fds[5]);
	door.dev = dev;
	door.stages = mmap(NULL, PROCESSES_MAX * sizeof(*door.stages), PROT_READ | PROT_WRITE,
			   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (door.control < 0 || door.stages == MAP_FAILED || chdir("/") < 0)
		_exit(1);
	for (unsigned i = 0; i < PROCESSES_MAX; i++)
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
			journal_detach(j);
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
	/* A door that ends at once, again and again, must not keep the supervisor busy. */
	if (gvm_now_ns() - d->started_ns < RESTART_NS)
		usleep(RESTART_NS / 1000);
	log_warning(NULL, "the process that receives clients of the fast path has ended: restarting it");
	release_apart(&d->control, 1, j);
	d->control = -1;
	if (door_start(d, j, foreground) < 0)
		log_error(NULL, "it cannot be started: no new client gets the fast path");
}

void door_renew(struct door *d, const struct journal *j, bool foreground)
{
	if (d->control < 0)
		return;
	release_apart(&d->control, 1, j); /* its end ends the door */
	d->control = -1;
	if (door_start(d, j, foreground) < 0)
		log_error(NULL, "the process that receives clients of the fast path cannot be started: no new client gets it");
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
	int *const all[] = { &d->listener, &d->control, &d->bell, &d->bell_worker };
	int fds[4];
	unsigned count = 0;

	/* Connections that were not accepted may have descriptors in their queues, and any of these may have the kernel
	 * release others' (release.h). */
	for (unsigned i = 0; i < 4; i++) {
		if (*all[i] >= 0)
			fds[count++] = *all[i];
		*all[i] = -1;
	}
	if (count)
		release_apart(fds, count, j);
}
