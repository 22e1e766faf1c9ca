// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * keyfile.c - reads the secret that clients and nodes share.
 *
 * The checks are made on the opened file, not on its name. A file that other users could have read
 * or written is refused: its key is no secret.
 *
 * A service manager's credential is root's, in a folder of its own, and the service reads it by an
 * access control list, whose mask shows as the group's rights (0440). So below
 * $CREDENTIALS_DIRECTORY the group's right to read does not mean that others can read it.
 */
#include "gvm_client.h"
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_BYTES_MIN 16
#define KEY_BYTES_MAX 4096

static char refused[160]; /* why the last key file was refused with -EPERM */

/* Whether the opened file lies below $CREDENTIALS_DIRECTORY, links resolved. */
static bool key_is_credential(const char *path, const struct stat *opened)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	char real[PATH_MAX], below[PATH_MAX];
	struct stat st;
	size_t len;

	if (!folder || *folder != '/' || !realpath(folder, below) || !realpath(path, real))
		return false;
	len = strlen(below);
	return len > 1 && !strncmp(real, below, len) && real[len] == '/' && !lstat(real, &st) &&
	       st.st_dev == opened->st_dev && st.st_ino == opened->st_ino;
}

static int key_check(const char *path, const struct stat *st)
{
	mode_t others = st->st_mode & (S_IRWXG | S_IRWXO);

	if (!S_ISREG(st->st_mode))
		return -EINVAL;
	if (!st->st_uid || st->st_uid == geteuid())
		if (!others || (others == S_IRGRP && key_is_credential(path, st)))
			return 0;
	snprintf(refused, sizeof(refused),
		 "its mode is %04o and its owner is user %u: others than its owner may read it, or its "
		 "owner is neither you nor root (chmod 600)",
		 st->st_mode & 07777, st->st_uid);
	return -EPERM;
}

static int key_read(const char *path, int fd, size_t most, uint8_t *buf, size_t *bytes)
{
	struct stat st;
	ssize_t n;
	int err;

	if (fstat(fd, &st))
		return -errno;
	err = key_check(path, &st);
	if (err)
		return err;
	n = file_read(fd, buf, most + 2); /* a newline, and one to see that it is too long */
	if (n < 0)
		return (int)n;
	if (n && buf[n - 1] == '\n')
		n--;
	*bytes = (size_t)n;
	return n < KEY_BYTES_MIN || (size_t)n > most ? -EINVAL : 0;
}

int gvm_secret_load(const char *path, size_t most, uint8_t **key, size_t *bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	uint8_t *buf;
	int err;

	if (fd < 0)
		return -errno;
	buf = malloc(most + 2);
	err = buf ? key_read(path, fd, most, buf, bytes) : -ENOMEM;
	close(fd);
	if (!err) {
		*key = buf;
		return 0;
	}
	if (buf)
		explicit_bzero(buf, most + 2);
	free(buf);
	return err;
}

int gvm_key_load(const char *path, uint8_t **key, size_t *bytes)
{
	return gvm_secret_load(path, KEY_BYTES_MAX, key, bytes);
}

const char *gvm_key_error(int err)
{
	switch (err) {
	case -EPERM:
		/* (A file that this process may not open at all has another error, EACCES.) */
		return *refused ? refused : strerrordesc_np(EPERM);
	case -EINVAL:
		return "a key is a file of 16 to 4096 bytes";
	default:
		return strerrordesc_np(-err);
	}
}
