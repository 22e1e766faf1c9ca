// SPDX-License-Identifier: GPL-2.0-or-later
/* will.c - see will.h. */
#include "will.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static char **line; /* the command line, without a will */
static char folder[PATH_MAX];

/* (A copy: the options are cut into pieces as they are read.) */
void will_begin(int argc, char **argv)
{
	int n = 1;

	line = calloc((size_t)argc + 2, sizeof(*line));
	if (!line || !getcwd(folder, sizeof(folder)))
		folder[0] = 0;
	for (int i = 0; line && i < argc; i++)
		if (i != 1 || strncmp(argv[i], "--will=", 7) != 0)
			line[i ? ++n : 0] = strdup(argv[i]);
}

bool will_folder_is_in(const char *path)
{
	size_t n = strlen(path);

	return strncmp(folder, path, n) == 0 && (folder[n] == '/' || !folder[n]);
}

int will_make(struct will *w)
{
	int fd = memfd_create("gvmfs-will", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	w->magic = WILL_MAGIC;
	snprintf(w->folder, sizeof(w->folder), "%s", folder);
	if (pwrite(fd, w, sizeof(*w), 0) == sizeof(*w))
		return fd;
	close(fd);
	return -EIO;
}

int will_read(int fd, struct will *w)
{
	if (pread(fd, w, sizeof(*w), 0) != sizeof(*w) || w->magic != WILL_MAGIC)
		return -EPROTO;
	snprintf(folder, sizeof(folder), "%s", w->folder);
	return 0;
}

static void keep_open(const struct will *w, int will, bool keep)
{
	const int fds[] = { will, w->journal, w->fuse, w->keeper[0], w->keeper[1], w->ready, w->listener.fd, w->listener.file,
			    w->door.bell_worker, w->door.bell, w->door.control, w->asker, w->upgrades, w->program };

	for (unsigned i = 0; i < (w->probe ? 2 : sizeof(fds) / sizeof(*fds)); i++)
		if (fds[i] >= 0)
			fcntl(fds[i], F_SETFD, keep ? 0 : FD_CLOEXEC);
}

void will_close_on_exec(const struct will *w, int fd)
{
	keep_open(w, fd, false);
}

int will_execute(int program, int fd, const struct will *w)
{
	char option[32];
	int error;

	if (!line || !line[0] || !*folder)
		return -ENOMEM;
	snprintf(option, sizeof(option), "--will=%d", fd);
	line[1] = option;
	keep_open(w, fd, true);
	syscall(SYS_execveat, program, "", line, environ, AT_EMPTY_PATH);
	error = -errno;
	keep_open(w, fd, false);
	return error;
}

void will_return(int fd, const char *why)
{
	struct will w;
	int program, again;

	if (will_read(fd, &w) || w.program < 0 || w.probe)
		return;
	program = w.program;
	w.program = -1;
	snprintf(w.why, sizeof(w.why), "%s", why);
	again = will_make(&w);
	if (again >= 0)
		will_execute(program, again, &w);
}
