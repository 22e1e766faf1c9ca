// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_orphan.c - a worker without a supervisor whose front thread does not answer: it is ended by signals as ever, and an
 * heir that waits in vain keeps nothing from the next. */
#include "check.h"
#include "heir.h"
#include "orphan.h"
#include "upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#define LATE 7 /* stand for descriptors of a session */
#define GOOD 8

static struct journal_super super = { .can_resend = true };
static struct journal journal = { .super = &super };
static struct mount mount = { .at = "/nowhere", .fuse_fd = -1 };
static struct listener listener = { .fd = -1, .file = -1 };
static int heirs; /* an eventfd: as many have come */
#define HEIRS 100u

static int connections[HEIRS][2];
static _Atomic unsigned accepted, ends, given, closed;

int heir_listen(dev_t dev)
{
	(void)dev;
	return heirs;
}

void heir_forget(dev_t dev)
{
	(void)dev;
}

int heir_accept(int fd)
{
	eventfd_t one;

	CHECK(eventfd_read(fd, &one) == 0);
	return connections[accepted++][0];
}

void heir_refuse(int connection)
{
	(void)connection;
	CHECK(false);
}

void heir_copies_begin(struct heir_copies *c)
{
	memset(c->fd, -1, sizeof(c->fd));
	c->error = 0;
}

void heir_copies_close(const struct heir_copies *c)
{
	CHECK(c->fd[0][0] == LATE || closed);
	closed++;
}

int heir_give(int connection, const struct journal *j, int fuse_fd, struct heir_copies *c)
{
	(void)j;
	(void)fuse_fd;
	CHECK_EQ(connection, connections[accepted - 1][0]);
	CHECK_EQ(c->fd[0][0], GOOD);
	given++;
	return -EPROTO;
}

bool mount_end(struct mount *m, struct stop *stop)
{
	(void)m;
	(void)stop;
	ends++;
	return true;
}

bool mount_is_alive(const struct mount *m)
{
	(void)m;
	return true;
}

int mount_detach(struct mount *m, struct stop *stop)
{
	(void)m;
	(void)stop;
	return 0;
}

void upgrade_close(dev_t dev)
{
	(void)dev;
}

void listener_close(const struct listener *l, const char *path)
{
	(void)l;
	(void)path;
}

/* The supervisor is dead from the beginning. */
static void begin(void)
{
	int supervisor[2];

	heirs = eventfd(0, EFD_SEMAPHORE | EFD_NONBLOCK);
	for (unsigned i = 0; i < HEIRS; i++)
		CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, connections[i]) == 0);
	CHECK(heirs >= 0 && pipe(supervisor) == 0);
	close(supervisor[1]);
	CHECK_EQ(orphan_watch(supervisor[0], &mount, &listener, &journal), 0);
}

static void heir_comes(void)
{
	CHECK(eventfd_write(heirs, 1) == 0);
}

/* What the front thread is asked for; it has not looked before. */
static struct heir_copies *asked(void)
{
	struct pollfd p = { .fd = orphan_heirs(), .events = POLLIN };
	struct heir_copies *c;

	CHECK_EQ(poll(&p, 1, -1), 1);
	CHECK_EQ(read(p.fd, &c, sizeof(c)), sizeof(c));
	return c;
}

static void answer(struct heir_copies *c, int fd)
{
	c->fd[0][0] = fd;
	CHECK(eventfd_write(c->made, 1) == 0);
}

static void heir_is_left(unsigned i)
{
	struct pollfd p = { .fd = connections[i][1] };

	CHECK_EQ(poll(&p, 1, -1), 1);
	CHECK(p.revents & POLLHUP);
}

static void until(_Atomic unsigned *count, unsigned enough)
{
	while (*count < enough)
		usleep(1000);
}

/* (There is no deadline here: HEIR_ANSWER_MS.) */
static void request_to_end_comes_first(void)
{
	begin();
	heir_comes();
	asked();
	CHECK_EQ(ends, 0);
	CHECK(kill(getpid(), SIGTERM) == 0);
	until(&ends, 1);
	heir_is_left(0);
}

static void heir_waits_in_vain_and_the_next_has_the_mount(void)
{
	struct heir_copies *late;

	begin();
	heir_comes();
	late = asked();
	heir_is_left(0);
	CHECK_EQ(given, 0);
	heir_comes(); /* it waits until the copies for the first one are made, and gone */
	CHECK(kill(getpid(), SIGHUP) == 0);
	until(&ends, 1);
	CHECK_EQ(accepted, 1);
	answer(late, LATE);
	/* It, too, may wait in vain where this thread comes late, and then it is the one after it. */
	for (unsigned heir = 1;; heir++, heir_comes()) {
		answer(asked(), GOOD);
		heir_is_left(heir);
		until(&closed, 1);
		if (given)
			break;
		until(&closed, heir + 1);
	}
}

static const struct check_test tests[] = {
	{ "request-to-end-comes-first", request_to_end_comes_first },
	{ "heir-waits-in-vain-and-the-next-has-the-mount", heir_waits_in_vain_and_the_next_has_the_mount },
};
CHECK_MAIN(tests)
