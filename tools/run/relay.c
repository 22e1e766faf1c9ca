// SPDX-License-Identifier: GPL-2.0-or-later
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int run_relay_open(struct run_relay *r, const char *name)
{
	int ends[2];

	*r = (struct run_relay){.fd = -1, .name = name};
	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	r->fd = ends[0];
	return ends[1];
}

static void line_show(struct run_relay *r, size_t bytes)
{
	fprintf(stderr, "%s: %.*s\n", r->name, (int)bytes, r->line);
}

static void lines_show(struct run_relay *r)
{
	char *end;

	while ((end = memchr(r->line, '\n', r->bytes))) {
		size_t whole = (size_t)(end - r->line);

		line_show(r, whole && end[-1] == '\r' ? whole - 1 : whole);
		r->bytes -= whole + 1;
		memmove(r->line, end + 1, r->bytes);
	}
	if (r->bytes == sizeof(r->line)) {
		line_show(r, r->bytes);
		r->bytes = 0;
	}
}

static void relay_end(struct run_relay *r)
{
	if (r->bytes)
		line_show(r, r->bytes);
	r->bytes = 0;
	close(r->fd);
	r->fd = -1;
}

void run_relay_take(struct run_relay *r)
{
	while (r->fd >= 0) {
		ssize_t n = read(r->fd, r->line + r->bytes, sizeof(r->line) - r->bytes);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			relay_end(r);
			return;
		}
		r->bytes += (size_t)n;
		lines_show(r);
	}
}

void run_relay_close(struct run_relay *r)
{
	run_relay_take(r);
	if (r->fd >= 0)
		relay_end(r);
}
