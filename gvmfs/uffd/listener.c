// SPDX-License-Identifier: GPL-2.0-or-later
/* listener.c - see listener.h. */
#include "listener.h"

#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG	    128
#define NAME_DIGITS 16

int listener_folder(char *folder, size_t size)
{
	const char *run = getenv("XDG_RUNTIME_DIR");

	if (geteuid() != 0 && !run)
		return -ENOENT;
	if (snprintf(folder, size, "%s/gvmfs", geteuid() ? run : "/run") >= (int)size)
		return -ENAMETOOLONG;
	return mkdir(folder, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

/* Removes the names of sockets that no process listens on: their gvmfs was killed. */
static void folder_tidy(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		struct sockaddr_un addr = { .sun_family = AF_UNIX };
		int fd;

		if (strlen(entry->d_name) != NAME_DIGITS ||
		    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%s", folder, entry->d_name) >=
			    (int)sizeof(addr.sun_path))
			continue;
		fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		if (fd < 0)
			continue;
		if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 && errno == ECONNREFUSED)
			unlink(addr.sun_path);
		close(fd);
	}
	if (dir)
		closedir(dir);
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

void listener_open(struct listener *l, char path[JOURNAL_PATH_MAX])
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char folder[JOURNAL_PATH_MAX - 32];
	unsigned long long name;
	int file = -1, fd = listener_folder(folder, sizeof(folder));

	_Static_assert(sizeof(addr.sun_path) == JOURNAL_PATH_MAX, "the journal holds any such path");
	if (!fd && getrandom(&name, sizeof(name), 0) < 0)
		fd = -errno;
	if (!fd) {
		folder_tidy(folder);
		/* Under another name until it listens, or another mount's folder_tidy() would
		 * remove it. */
		snprintf(path, JOURNAL_PATH_MAX, "%s/%0*llx", folder, NAME_DIGITS, name);
		snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/%0*llx.new", folder, NAME_DIGITS,
			 name);
		fd = socket_make(&addr);
	}
	if (fd >= 0) {
		file = open(addr.sun_path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		if (file < 0 || rename(addr.sun_path, path) < 0) {
			int error = -errno;

			unlink(addr.sun_path);
			if (file >= 0)
				close(file);
			close(fd);
			fd = error;
		}
	}
	if (fd < 0) {
		log_warning(NULL, "no fast path: cannot make the socket for its clients: %s",
			    strerror(-fd));
		path[0] = 0;
		*l = (struct listener){ .fd = -1, .file = -1 };
		return;
	}
	*l = (struct listener){ .fd = fd, .file = file };
}

void listener_close(const struct listener *l, const char *path)
{
	struct stat own, named;

	if (*path && fstat(l->file, &own) == 0 && lstat(path, &named) == 0 &&
	    named.st_dev == own.st_dev && named.st_ino == own.st_ino)
		unlink(path);
}
