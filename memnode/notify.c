// SPDX-License-Identifier: GPL-2.0-or-later
/* notify.c - see notify.h. */
#include "notify.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int gvm_notify_open(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t length = path ? strlen(path) : 0;
	int fd = -1;

	/* "@" stands for the zero with which an abstract name begins. */
	if (length > 1 && length < sizeof(to.sun_path) && (*path == '/' || *path == '@')) {
		memcpy(to.sun_path, path, length);
		if (*path == '@')
			to.sun_path[0] = 0;
		fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	}
	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, offsetof(struct sockaddr_un, sun_path) +
			       (socklen_t)length) < 0) {
		close(fd);
		fd = -1;
	}
	unsetenv("NOTIFY_SOCKET");
	return fd;
}

void gvm_notify_wait(int fd, unsigned seconds)
{
	char text[64];
	int bytes = snprintf(text, sizeof(text), "EXTEND_TIMEOUT_USEC=%u000000", seconds);

	if (fd >= 0 && write(fd, text, (size_t)bytes) < 0) {
		/* the manager may give the start up, and says so */
	}
}

void gvm_notify_ready(int fd)
{
	static const char ready[] = "READY=1";

	if (fd < 0)
		return;
	if (write(fd, ready, sizeof(ready) - 1) < 0) {
		/* the manager gives the start up, and says so */
	}
	close(fd);
}
