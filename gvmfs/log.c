// SPDX-License-Identifier: GPL-2.0-or-later
/* log.c - see log.h. */
#include "log.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int log_level = LOG_INFO;
static bool use_syslog;

void log_to_syslog(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	openlog("gvmfs", LOG_PID, LOG_DAEMON);
	use_syslog = true;
	/* Whoever reads our standard error is not kept waiting for its end. */
	if (null >= 0) {
		dup2(null, STDERR_FILENO);
		close(null);
	}
}

void log_line(int level, const char *object, const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n = 0;

	if (level > log_level)
		return;
	if (!use_syslog)
		n = snprintf(line, sizeof(line), object ? "gvmfs[%.200s]: " : "gvmfs: ", object);
	else if (object)
		n = snprintf(line, sizeof(line), "[%.200s] ", object);
	va_start(ap, fmt);
	n += vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
	va_end(ap);
	/* Names and a client's text are whatever somebody chose. */
	for (char *c = line; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	if (use_syslog) {
		syslog(level, "%s", line);
		return;
	}
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	/* One write, so that lines of several threads do not mix. */
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}
