// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * keyfile.c - reads the secret that clients and nodes share.
 *
 * The checks are made on the opened file, not on its name, and a file that others could have read
 * or written is refused: a key that is no secret would only look like protection.
 */
#include "gvm_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_BYTES_MIN 16
#define KEY_BYTES_MAX 4096

static int key_read(int fd, uint8_t *buf, size_t *bytes)
{
	size_t n = 0, room = KEY_BYTES_MAX + 2; /* a newline, and one to see that it is too long */
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_mode & (S_IRWXG | S_IRWXO) || (st.st_uid && st.st_uid != geteuid()))
		return -EPERM;
	while (n < room) {
		ssize_t got = read(fd, buf + n, room - n);

		if (got < 0 && errno != EINTR)
			return -errno;
		if (!got)
			break;
		n += got > 0 ? (size_t)got : 0;
	}
	if (n && buf[n - 1] == '\n')
		n--;
	*bytes = n;
	return n < KEY_BYTES_MIN || n > KEY_BYTES_MAX ? -EINVAL : 0;
}

int gvm_key_load(const char *path, uint8_t **key, size_t *bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	uint8_t *buf;
	int err;

	if (fd < 0)
		return -errno;
	buf = malloc(KEY_BYTES_MAX + 2);
	err = buf ? key_read(fd, buf, bytes) : -ENOMEM;
	close(fd);
	if (!err) {
		*key = buf;
		return 0;
	}
	if (buf)
		explicit_bzero(buf, KEY_BYTES_MAX + 2);
	free(buf);
	return err;
}

const char *gvm_key_error(int err)
{
	switch (err) {
	case -EPERM:
		return "others than its owner may read it, or its owner is neither you nor root (chmod 600)";
	case -EINVAL:
		return "a key is a file of 16 to 4096 bytes";
	default:
		return strerrordesc_np(-err);
	}
}
