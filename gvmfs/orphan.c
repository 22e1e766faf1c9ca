// SPDX-License-Identifier: GPL-2.0-or-later
/* orphan.c - see orphan.h. */
#include "orphan.h"

#include "base/log.h"
#include "heir.h"
#include "upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct orphan {
	int supervisor_fd;
	struct mount *mount;
	const struct listener *listener;
	const struct journal *journal;
	struct stop stop;
	_Atomic bool is_orphan;
	int heirs[2];  /* a pipe */
	int listener_fd; /* for heirs; -1: none */
	struct heir_copies copies;
	bool asked; /* for them; the front thread has not answered yet */
} orphan = { .heirs = { -1, -1 }, .listener_fd = -1 };

static void end_at_once(void)
{
	stop_say_loss(orphan.mount->at, orphan.journal, mount_is_alive(orphan.mount));
	orphan_finish();
	log_flush();
	_exit(EXIT_FAILURE);
}

static void request(int sig)
{
	bool urgent = stop_is_urgent(&orphan.stop, sig);

	if (!mount_end(orphan.mount, &orphan.stop) && urgent)
		end_at_once();
}

static void copies_answered(void)
{
	eventfd_t times;

	eventfd_read(orphan.copies.made, &times);
	orphan.asked = false;
}

/* Has the front thread make copies. Waits for them no longer than an heir does, and not where the process is asked to end:
 * a request to end comes first. 0 or a negative errno. */
static int copies_get(void)
{
	struct heir_copies *c = &orphan.copies;
	int r;

	heir_copies_begin(c);
	if (write(orphan.heirs[1], &c, sizeof(c)) != sizeof(c))
		return -errno;
	orphan.asked = true;
	r = stop_wait(&orphan.stop, c->made, HEIR_ANSWER_MS);
	if (r <= 0)
		return r ? r : -ETIMEDOUT;
	copies_answered();
	return 0;
}

/* The front thread has made copies that no heir waits for any more. */
static void copies_late(void)
{
	copies_answered();
	heir_copies_close(&orphan.copies);
}

static void mount_give(int connection)
{
	int r = copies_get();

	if (!r)
		r = heir_give(connection, orphan.journal, orphan.mount->fuse_fd, &orphan.copies);
	if (!r)
		_exit(EXIT_SUCCESS); /* as if it were killed: the heir's worker goes on */
	log_error(NULL, "the mount cannot be given away: %s", strerror(-r));
	close(connection);
}

/* Serves the next start of gvmfs, which asks for the mount or for its place. */
static void heir_serve(void)
{
	int connection = heir_accept(orphan.listener_fd);

	if (connection < 0)
		return;
	if (orphan.journal->super->can_resend) {
		mount_give(connection);
		return;
	}
	mount_end(orphan.mount, &orphan.stop);
	heir_refuse(connection);
}

static void *orphan_thread(void *arg)
{
	(void)arg;
	/* While the supervisor lives it handles signals, and they are dropped here. */
	while (stop_wait(&orphan.stop, orphan.supervisor_fd, -1) == -ECANCELED)
		stop_take(&orphan.stop);
	orphan.is_orphan = true;
	/* First, since the next start may be here already. */
	orphan.listener_fd = heir_listen((dev_t)orphan.journal->super->mount_dev);
	upgrade_close((dev_t)orphan.journal->super->mount_dev);
	log_loss(NULL, "%s: the supervisor was killed; worker %d serves on, takes no new programs on the "
		 "fast path and will not be replaced; start gvmfs there again, which takes the mount over",
		 orphan.mount->at, (int)getpid());
	/* No new clients: the socket's file goes, and the door has ended. */
	listener_close(orphan.listener, orphan.journal->super->attach_path);
	/* The next heir has to wait, as long as it likes, while the front thread owes copies to one before. */
	for (;;) {
		if (stop_wait(&orphan.stop, orphan.asked ? orphan.copies.made : orphan.listener_fd, -1) == -ECANCELED)
			request(stop_take(&orphan.stop));
		else if (orphan.asked)
			copies_late();
		else
			heir_serve();
	}
	return NULL;
}

int orphan_watch(int supervisor_fd, struct mount *mount, const struct listener *listener,
		 const struct journal *journal)
{
	pthread_t thread;
	int r = stop_init(&orphan.stop, -1);

	if (r < 0)
		return r;
	if (pipe2(orphan.heirs, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	orphan.copies.made = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (orphan.copies.made < 0)
		return -errno;
	orphan.supervisor_fd = supervisor_fd;
	orphan.mount = mount;
	orphan.listener = listener;
	orphan.journal = journal;
	r = -pthread_create(&thread, NULL, orphan_thread, NULL);
	if (!r)
		pthread_detach(thread);
	return r;
}

int orphan_heirs(void)
{
	return orphan.heirs[0];
}

void orphan_finish(void)
{
	if (!orphan.is_orphan)
		return;
	if (orphan.listener_fd >= 0)
		heir_forget((dev_t)orphan.journal->super->mount_dev);
	if (!mount_is_alive(orphan.mount))
		mount_detach(orphan.mount, &orphan.stop);
}
