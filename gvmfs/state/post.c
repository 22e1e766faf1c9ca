// SPDX-License-Identifier: GPL-2.0-or-later
/* post.c - see post.h. */
#include "post.h"

#include "base/descriptors.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define LOOK_MS 1000 /* for room in the receiver's queue, each time */

struct letter {
	int to, fds[DESCRIPTORS_MAX];
	unsigned count;
	size_t bytes;
	char message[];
};

static atomic_uint under_way;

bool post_is_slow(const char *release)
{
	unsigned major, minor;

	return sscanf(release, "%u.%u", &major, &minor) == 2 && (major < 6 || (major == 6 && minor < 9));
}

static bool is_slow(void)
{
	static _Atomic signed char known; /* 0: not yet */
	struct utsname name;

	if (!known)
		known = uname(&name) == 0 && post_is_slow(name.release) ? 1 : -1;
	return known > 0;
}

static void letter_free(struct letter *l)
{
	for (unsigned i = 0; i < l->count; i++)
		close(l->fds[i]);
	if (l->to >= 0)
		close(l->to);
	free(l);
	atomic_fetch_sub(&under_way, 1);
}

static void *letter_send(void *arg)
{
	struct letter *l = arg;
	struct pollfd room = { .fd = l->to, .events = POLLOUT };

	pthread_setname_np(pthread_self(), "gvmfs-post");
	while (descriptors_send(l->to, l->message, l->bytes, l->fds, l->count) == -EAGAIN)
		poll(&room, 1, LOOK_MS);
	letter_free(l);
	return NULL;
}

/* NULL: no memory, or no descriptors. */
static struct letter *letter_make(int to, const void *message, size_t bytes, const int *fds, unsigned count)
{
	struct letter *l = calloc(1, sizeof(*l) + bytes);

	atomic_fetch_add(&under_way, 1);
	if (!l) {
		atomic_fetch_sub(&under_way, 1);
		return NULL;
	}
	memcpy(l->message, message, bytes);
	l->bytes = bytes;
	l->to = fcntl(to, F_DUPFD_CLOEXEC, 0);
	while (l->to >= 0 && l->count < count && (l->fds[l->count] = fcntl(fds[l->count], F_DUPFD_CLOEXEC, 0)) >= 0)
		l->count++;
	if (l->to >= 0 && l->count == count)
		return l;
	letter_free(l);
	return NULL;
}

static int post_aside(int to, const void *message, size_t bytes, const int *fds, unsigned count)
{
	struct letter *l = atomic_load(&under_way) < POST_MAX ? letter_make(to, message, bytes, fds, count) : NULL;
	pthread_t thread;

	if (!l)
		return -EAGAIN;
	if (pthread_create(&thread, NULL, letter_send, l)) {
		letter_free(l);
		return -EAGAIN;
	}
	pthread_detach(thread);
	return 0;
}

int post_send(int to, const void *message, size_t bytes, const int *fds, unsigned count)
{
	return is_slow() ? post_aside(to, message, bytes, fds, count) : descriptors_send(to, message, bytes, fds, count);
}
