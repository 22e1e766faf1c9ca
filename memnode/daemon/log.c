// SPDX-License-Identifier: GPL-2.0-or-later
/* log.c - one write a line, so that lines of several processes do not mix. */
#include "log.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PEER_BURST	40
#define PEER_PER_SECOND 5

static void log_write(const char *format, va_list args)
{
	static const char prefix[] = "gvm-memnode: ";
	char line[512];
	size_t len = sizeof(prefix) - 1;
	int n;

	memcpy(line, prefix, len);
	n = vsnprintf(line + len, sizeof(line) - len - 1, format, args);
	if (n < 0)
		return;
	len += (size_t)n;
	if (len > sizeof(line) - 2)
		len = sizeof(line) - 2;
	line[len++] = '\n';
	/* There is nobody to tell when stderr is gone. */
	if (write(STDERR_FILENO, line, len) < 0)
		return;
}

void log_line(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_write(format, args);
	va_end(args);
}

void log_peer(const char *format, ...)
{
	static unsigned allowed = PEER_BURST, left_out;
	static time_t last;
	struct timespec now;
	va_list args;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec > last) {
		uint64_t more = (uint64_t)(now.tv_sec - last) * PEER_PER_SECOND;

		allowed = more > PEER_BURST - allowed ? PEER_BURST : allowed + (unsigned)more;
		last = now.tv_sec;
	}
	if (!allowed) {
		left_out++;
		return;
	}
	allowed--;
	if (left_out)
		log_line("%u more lines like the following were left out", left_out);
	left_out = 0;
	va_start(args, format);
	log_write(format, args);
	va_end(args);
}
