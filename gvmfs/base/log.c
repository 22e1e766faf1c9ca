// SPDX-License-Identifier: GPL-2.0-or-later
/* log.c - see log.h. */
#include "log.h"

#include <fcntl.h>
#include <fuse3/fuse_log.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int log_level = LOG_INFO;
static bool use_syslog;

/* Passes libfuse's messages on: libfuse would write them to standard error in the serving
 * thread. */
static void fuse_line(enum fuse_log_level level, const char *fmt, va_list ap)
{
	char text[GVM_LOG_LINE_MAX];

	vsnprintf(text, sizeof(text), fmt, ap);
	text[strcspn(text, "\n")] = 0;
	log_limited((int)level, NULL, "%s", text);
}

void log_start(void)
{
	fuse_set_log_func(fuse_line);
	gvm_log_start("gvmfs");
}

void log_flush(void)
{
	gvm_log_flush(GVM_LOG_FLUSH_MS);
}

void log_to_syslog(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	gvm_log_flush(GVM_LOG_FLUSH_MS);
	use_syslog = true;
	gvm_log_to_syslog();
	/* Gives standard error up: a process that reads it must see its end. */
	if (null >= 0) {
		dup2(null, STDERR_FILENO);
		close(null);
	}
}

void log_put(struct gvm_log_site *site, int level, const char *object, const char *fmt, ...)
{
	char line[GVM_LOG_LINE_MAX];
	va_list ap;
	int n = 0;

	if (level > log_level)
		return;
	if (!use_syslog)
		n = snprintf(line, sizeof(line), object ? "gvmfs[%.200s]: " : "gvmfs: ", object);
	else if (object)
		n = snprintf(line, sizeof(line), "[%.200s] ", object);
	va_start(ap, fmt);
	vsnprintf(line + n, sizeof(line) - (size_t)n, fmt, ap);
	va_end(ap);
	gvm_log_put(site, object, level, line);
}
