// SPDX-License-Identifier: GPL-2.0-or-later
/* listener.c - see listener.h. */
#include "listener.h"

#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 16

static int folder_make(char *folder, size_t size)
{
	const char *run = getenv("XDG_RUNTIME_DIR");

	if (geteuid() != 0 && !run)
		return -ENOENT;
	if (snprintf(folder, size, "%s/gvmfs", geteuid() ? run : "/run") >= (int)size)
		return -ENAMETOOLONG;
	return mkdir(folder, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

static int socket_make(struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)addr, sizeof(*addr)) == 0 && chmod(addr->sun_path, 0666) == 0 &&
	    listen(fd, BACKLOG) == 0)
		return fd;
	error = -errno;
	close(fd);
	return error;
}

int listener_open(char path[JOURNAL_PATH_MAX])
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char folder[JOURNAL_PATH_MAX - 32];
	unsigned long long name;
	int fd = folder_make(folder, sizeof(folder));

	_Static_assert(sizeof(addr.sun_path) == JOURNAL_PATH_MAX, "the journal holds any such path");
	if (!fd && getrandom(&name, sizeof(name), 0) < 0)
		fd = -errno;
	if (!fd) {
		snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%016llx", folder, name);
		fd = socket_make(&addr);
	}
	if (fd < 0) {
		log_warning(NULL, "no fast path: no socket for its clients can be made: %s",
			    strerror(-fd));
		path[0] = 0;
		return -1;
	}
	memcpy(path, addr.sun_path, JOURNAL_PATH_MAX);
	return fd;
}

void listener_close(const char *path)
{
	if (*path)
		unlink(path);
}
