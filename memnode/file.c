// SPDX-License-Identifier: GPL-2.0-or-later
/* file.c - see file.h. */
#include "file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int file_pread(int fd, void *to, size_t bytes, uint64_t at)
{
	for (size_t done = 0; done < bytes;) {
		ssize_t n = pread(fd, (char *)to + done, bytes - done, (off_t)(at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

int file_pwrite(int fd, const void *from, size_t bytes, uint64_t at)
{
	for (size_t done = 0; done < bytes;) {
		ssize_t n = pwrite(fd, (const char *)from + done, bytes - done, (off_t)(at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

ssize_t file_read(int fd, void *to, size_t room)
{
	size_t done = 0;

	while (done < room) {
		ssize_t n = read(fd, (char *)to + done, room - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int file_text(const char *path, char *text, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -errno : 0;

	assert(room > 1);
	if (fd >= 0) {
		n = file_read(fd, text, room - 1);
		close(fd);
	}
	text[n > 0 ? n : 0] = 0;
	return n < 0 ? (int)n : 0;
}

const char *text_field(const char *text, const char *name)
{
	size_t len = strlen(name);

	assert(len);
	while (*text) {
		const char *behind = text + len;

		if (!strncmp(text, name, len) &&
		    (name[len - 1] == ':' || *behind == ' ' || *behind == '\t'))
			return behind + strspn(behind, " \t");
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
	return NULL;
}

uint64_t text_number(const char *text, const char *name)
{
	const char *at = text_field(text, name);

	return at ? strtoull(at, NULL, 10) : 0;
}
