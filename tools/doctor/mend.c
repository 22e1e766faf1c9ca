// SPDX-License-Identifier: GPL-2.0-or-later
/* mend.c - see mend.h. */
#include "mend.h"

#include "memnode/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static int module_load(const char *name)
{
	char *const argv[] = {(char *)"modprobe", (char *)(uintptr_t)name, NULL};
	pid_t pid;
	int status, rc = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);

	if (rc)
		return -rc;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return status ? -ENODEV : 0;
}

static int value_write(const char *root, const char *path, const char *value)
{
	char whole[PATH_MAX];
	int fd, rc;

	snprintf(whole, sizeof(whole), "%s%s", root, path);
	fd = open(whole, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = write(fd, value, strlen(value)) < 0 ? -errno : 0;
	close(fd);
	return rc;
}

int doctor_mend(const char *root, const struct doctor_finding *f)
{
	if (f->path)
		return value_write(root, f->path, f->value);
	if (f->module && !*root)
		return module_load(f->module);
	return 1;
}
