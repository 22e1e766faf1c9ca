// SPDX-License-Identifier: GPL-2.0-or-later
/* heir.c - see heir.h. */
#include "heir.h"

#include "base/descriptors.h"
#include "base/log.h"
#include "state/lookout.h"
#include "uffd/listener.h"
#include "upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#define END_MS	  5000
#ifndef NOTICE_MS
#define NOTICE_MS 60000 /* how long a worker may take to see that its supervisor was killed */
#endif
#define LOOK_MS	  10
#define LOOKS_ASK 100 /* and after so many looks, whether it is there itself */

enum heir_what {
	HEIR_ASK = 1, /* the heir */
	HEIR_FREE,    /* the worker: the place is free */
	HEIR_MOUNT,   /* [the journal, /dev/fuse] */
	HEIR_SESSION, /* [its descriptors] */
	HEIR_ALL,     /* there are no more */
	HEIR_TAKEN,   /* the heir: it has them */
};

struct heir_msg {
	uint32_t what; /* enum heir_what */
	uint32_t session;
};

static int address(dev_t dev, struct sockaddr_un *addr)
{
	char folder[sizeof(addr->sun_path)];
	int r = listener_folder(folder, sizeof(folder));

	*addr = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if (r)
		return r;
	r = snprintf(addr->sun_path, sizeof(addr->sun_path), "%s/heir-of-%u-%u", folder, major(dev), minor(dev));
	return r < (int)sizeof(addr->sun_path) ? 0 : -ENAMETOOLONG;
}

static int message_send(int to, enum heir_what what, unsigned session, const int *fds, unsigned count)
{
	struct pollfd p = { .fd = to, .events = POLLOUT };
	struct heir_msg msg = { what, session };
	int r;

	/* With many sessions the socket fills up before the other side has read the first of them. */
	while ((r = descriptors_send(to, &msg, sizeof(msg), fds, count)) == -EAGAIN)
		if (poll(&p, 1, HEIR_ANSWER_MS) == 0)
			break;
	return r;
}

/* Waits for a message: 0 or a negative errno. */
static int message_receive(int from, int ms, struct heir_msg *msg, int fds[DESCRIPTORS_MAX], unsigned *count)
{
	struct pollfd p = { .fd = from, .events = POLLIN };
	int r;

	do
		r = poll(&p, 1, ms);
	while (r < 0 && errno == EINTR);
	if (r <= 0)
		return r ? -errno : -ETIMEDOUT;
	return descriptors_receive(from, msg, sizeof(*msg), fds, count);
}

/* Whether the peer is root, or the user of this process. */
static bool peer_is_trusted(int fd, pid_t *pid)
{
	struct ucred who;
	socklen_t size = sizeof(who);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0)
		return false;
	*pid = who.pid;
	return who.uid == 0 || who.uid == geteuid();
}

/* ---- the heir ---- */

static int connection_make(dev_t dev)
{
	struct sockaddr_un addr;
	int fd, r = address(dev, &addr);

	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

/*
 * The same; while the supervisor has ended and its worker, which may get no CPU, has not seen it, waits for that. -ENOENT: the
 * place has no such worker; -ETIMEDOUT: it has, but that has not seen it.
 */
static int connection_await(const char *path, dev_t dev, struct stop *stop)
{
	bool told = false;

	for (unsigned looks = 0; looks < NOTICE_MS / LOOK_MS; looks++) {
		bool left = upgrade_is_left(dev);
		int fd = connection_make(dev); /* after that look: the worker listens before it takes the other name away */

		if (fd >= 0 || !left)
			return fd;
		/* Both may have been killed. */
		if (looks % LOOKS_ASK == 0 && !place_lives(path, stop))
			return -ENOENT;
		if (!told)
			log_warning(NULL, "%s: waits until the worker there has seen that its supervisor was killed", path);
		told = true;
		if (stop_wait(stop, -1, LOOK_MS) == -ECANCELED)
			return -ECANCELED;
	}
	return -ETIMEDOUT;
}

/* One session's descriptors, by their numbers in this process. */
struct estate {
	int fd[JOURNAL_SESSIONS][SESSION_FDS];
};

/* Receives everything that the worker gives; returns 1, 0 or a negative errno as heir_ask()
 * does. */
static int estate_take(int from, struct mount *m, struct journal *j, struct estate *e)
{
	bool has_mount = false;
	struct heir_msg msg;
	int fds[DESCRIPTORS_MAX], r;
	unsigned count;

	memset(e, -1, sizeof(*e));
	for (;;) {
		r = message_receive(from, HEIR_ANSWER_MS, &msg, fds, &count);
		if (r < 0)
			return r;
		if (msg.what == HEIR_FREE && !has_mount)
			return 0;
		if (msg.what == HEIR_MOUNT && count == 2 && !has_mount) {
			r = journal_attach(j, fds[0]);
			if (r < 0)
				return r;
			m->fuse_fd = fds[1];
			has_mount = true;
		} else if (msg.what == HEIR_SESSION && count == SESSION_FDS && has_mount &&
			   msg.session < JOURNAL_SESSIONS) {
			memcpy(e->fd[msg.session], fds, sizeof(e->fd[0]));
		} else if (msg.what == HEIR_ALL && has_mount) {
			return 1;
		} else {
			return -EPROTO;
		}
	}
}

/* Replaces the old supervisor's descriptor numbers in the journal by this process's. */
static void estate_enter(const struct estate *e, const struct journal *j)
{
	for (unsigned s = 0; s < JOURNAL_SESSIONS; s++)
		for (unsigned i = 0; i < SESSION_FDS; i++)
			j->sessions[s].fd[i] = e->fd[s][i] + 1;
}

/* The old worker has to be gone before another begins. (Not only its end of the connection: state/closer.h.) */
static void end_wait(pid_t worker)
{
	struct pollfd p = { .fd = (int)syscall(SYS_pidfd_open, worker, 0), .events = POLLIN };

	kill(worker, SIGKILL);
	if (p.fd < 0)
		return;
	if (poll(&p, 1, END_MS) == 0)
		log_warning(NULL, "process %d, whose mount was taken over, still waits in the kernel",
			    (int)worker);
	close(p.fd);
}

/* Whether a process has ended, or does now: one that is just being killed still takes connections for a moment. */
static bool process_ends(pid_t pid)
{
	struct pollfd p = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
	bool ended;

	if (p.fd < 0)
		return errno == ESRCH;
	ended = poll(&p, 1, END_MS) == 1;
	close(p.fd);
	return ended;
}

int heir_ask(const char *path, struct mount *m, struct journal *j, struct stop *stop)
{
	struct journal taken;
	struct estate estate;
	char at[PATH_MAX];
	int place = place_open(path, at), from, r;
	pid_t worker = 0;

	if (place < 0)
		return 0;
	*m = (struct mount){ .at = path, .fuse_fd = -1 };
	r = place_identify(place, &m->own);
	close(place);
	from = r < 0 ? r : connection_await(at, m->own.dev, stop);
	if (from == -ETIMEDOUT)
		log_error(NULL, "%s: gvmfs is mounted there, its supervisor was killed, and its worker has not seen that in %u s: it "
			  "may be stopped, or wait in the kernel; once it goes on or is killed, start again", path, NOTICE_MS / 1000);
	if (from < 0)
		return from == -ECANCELED || from == -ETIMEDOUT ? from : 0;
	r = peer_is_trusted(from, &worker) ? message_send(from, HEIR_ASK, 0, NULL, 0) : -EPERM;
	if (!r)
		r = estate_take(from, m, &taken, &estate);
	if (r > 0 && taken.super->seal_id != j->super->seal_id) {
		log_error(NULL, "%s: it is to be taken over with the same key file to seal with, or without any", path);
		r = -EKEYREJECTED;
	}
	/* Killed as a whole: nothing is left to be given. */
	if ((r == -EPIPE || r == -ECONNRESET) && m->fuse_fd < 0 && process_ends(worker))
		r = 0;
	if (r > 0)
		r = message_send(from, HEIR_TAKEN, 0, NULL, 0) < 0 ? -EPIPE : 1;
	if (r > 0) {
		end_wait(worker);
		lookout_leave(&taken, worker);
		heir_forget(m->own.dev);
		estate_enter(&estate, &taken);
		journal_detach(j);
		close(j->fd);
		*j = taken;
		log_warning(NULL, "%s: taken over from process %d, whose supervisor was killed", path,
			    (int)worker);
	} else if (r < 0) {
		log_error(NULL, "%s: process %d serves a mount there whose supervisor was killed, and does not "
			  "give it away (%s): end it by a signal first", path, (int)worker, strerror(-r));
	}
	close(from);
	return r;
}

/* ---- the worker ---- */

int heir_listen(dev_t dev)
{
	struct sockaddr_un addr;
	int r = address(dev, &addr), fd;

	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	unlink(addr.sun_path); /* left by an earlier mount with the same device number */
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 && chmod(addr.sun_path, 0600) == 0 &&
	    listen(fd, 1) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

void heir_forget(dev_t dev)
{
	struct sockaddr_un addr;

	if (address(dev, &addr) == 0)
		unlink(addr.sun_path);
}

int heir_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), fds[DESCRIPTORS_MAX];
	struct heir_msg msg;
	unsigned count = 0;
	pid_t pid;

	if (fd < 0)
		return -1;
	if (peer_is_trusted(fd, &pid) && message_receive(fd, HEIR_ANSWER_MS, &msg, fds, &count) == 0 &&
	    msg.what == HEIR_ASK && !count)
		return fd;
	close(fd);
	return -1;
}

void heir_refuse(int connection)
{
	message_send(connection, HEIR_FREE, 0, NULL, 0);
	close(connection);
}

void heir_copies_begin(struct heir_copies *c)
{
	c->error = 0;
	memset(c->fd, -1, sizeof(c->fd));
}

void heir_copy(struct heir_copies *c, const struct journal *j,
	       void (*fd_of)(void *arg, unsigned session, int fd[SESSION_FDS]), void *arg)
{
	int own[SESSION_FDS];

	for (unsigned s = 0; s < JOURNAL_SESSIONS; s++) {
		if (!j->sessions[s].kept)
			continue;
		fd_of(arg, s, own);
		for (unsigned i = 0; i < SESSION_FDS; i++) {
			c->fd[s][i] = fcntl(own[i], F_DUPFD_CLOEXEC, 0);
			if (c->fd[s][i] < 0)
				c->error = -errno;
		}
	}
	eventfd_write(c->made, 1);
}

void heir_copy_nothing(struct heir_copies *c, int error)
{
	c->error = error;
	eventfd_write(c->made, 1);
}

static int copies_send(int connection, const struct heir_copies *c)
{
	int r = c->error;

	for (unsigned s = 0; !r && s < JOURNAL_SESSIONS; s++)
		if (c->fd[s][0] >= 0)
			r = message_send(connection, HEIR_SESSION, s, c->fd[s], SESSION_FDS);
	return r;
}

/* The channel last, as everywhere (state/keeper.c). */
void heir_copies_close(const struct heir_copies *c)
{
	for (unsigned s = 0; s < JOURNAL_SESSIONS; s++)
		for (unsigned i = 0; i < SESSION_FDS; i++)
			if (c->fd[s][i] >= 0)
				close(c->fd[s][i]);
}

int heir_give(int connection, const struct journal *j, int fuse_fd, struct heir_copies *c)
{
	int mount[] = { j->fd, fuse_fd }, fds[DESCRIPTORS_MAX];
	struct heir_msg msg;
	unsigned count;
	int r = c->error;

	if (!r)
		r = message_send(connection, HEIR_MOUNT, 0, mount, 2);
	if (!r)
		r = copies_send(connection, c);
	if (!r)
		r = message_send(connection, HEIR_ALL, 0, NULL, 0);
	if (!r)
		r = message_receive(connection, HEIR_ANSWER_MS, &msg, fds, &count);
	heir_copies_close(c);
	return r < 0 ? r : msg.what == HEIR_TAKEN ? 0 : -EPROTO;
}
