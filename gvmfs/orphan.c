// SPDX-License-Identifier: GPL-2.0-or-later
/* orphan.c - see orphan.h. */
#include "orphan.h"

#include "base/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

static struct orphan {
	int supervisor_fd;
	struct mount *mount;
	const struct listener *listener;
	const struct journal *journal;
	struct stop stop;
	_Atomic bool is_orphan;
} orphan;

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

static void *orphan_thread(void *arg)
{
	(void)arg;
	/* As long as there is a supervisor, requests are its affair, and are dropped here. */
	while (stop_wait(&orphan.stop, orphan.supervisor_fd, -1) == -ECANCELED)
		stop_take(&orphan.stop);
	orphan.is_orphan = true;
	log_loss(NULL, "%s: the supervisor was killed; this worker serves on, and will not be replaced",
		 orphan.mount->at);
	for (;;) {
		stop_wait(&orphan.stop, -1, -1);
		request(stop_take(&orphan.stop));
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
	orphan.supervisor_fd = supervisor_fd;
	orphan.mount = mount;
	orphan.listener = listener;
	orphan.journal = journal;
	r = -pthread_create(&thread, NULL, orphan_thread, NULL);
	if (!r)
		pthread_detach(thread);
	return r;
}

void orphan_finish(void)
{
	if (!orphan.is_orphan)
		return;
	listener_close(orphan.listener, orphan.journal->super->attach_path);
	if (!mount_is_alive(orphan.mount))
		mount_detach(orphan.mount, &orphan.stop);
}
