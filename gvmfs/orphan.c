// SPDX-License-Identifier: GPL-2.0-or-later
/* orphan.c - see orphan.h. */
#include "orphan.h"

#include "base/log.h"
#include "heir.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
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

static void mount_give(int connection)
{
	static struct heir_copies copies, *asked = &copies;
	int r = 0;

	memset(&copies, -1, sizeof(copies));
	copies.error = 0;
	sem_init(&copies.made, 0, 0);
	if (write(orphan.heirs[1], &asked, sizeof(asked)) != sizeof(asked))
		r = -errno;
	while (!r && sem_wait(&copies.made) < 0)
		;
	if (!r)
		r = heir_give(connection, orphan.journal, orphan.mount->fuse_fd, &copies);
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
	log_loss(NULL, "%s: the supervisor was killed; worker %d serves on, takes no new programs on the "
		 "fast path and will not be replaced; start gvmfs there again, which takes the mount over",
		 orphan.mount->at, (int)getpid());
	/* No new clients: the socket's file goes, and the door has ended. */
	listener_close(orphan.listener, orphan.journal->super->attach_path);
	orphan.listener_fd = heir_listen((dev_t)orphan.journal->super->mount_dev);
	for (;;) {
		if (stop_wait(&orphan.stop, orphan.listener_fd, -1) == -ECANCELED)
			request(stop_take(&orphan.stop));
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
