// SPDX-License-Identifier: GPL-2.0-or-later
/* log.c - see log.h. */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

static void log_write(struct gvm_log_site *site, int level, const char *format, va_list args)
{
	static const char prefix[] = LOG_PROGRAM ": ";
	char line[512];
	size_t len = sizeof(prefix) - 1;

	memcpy(line, prefix, len);
	vsnprintf(line + len, sizeof(line) - len, format, args);
	gvm_log_put(site, "", level, line); /* peers have many names: a kind of line has one budget */
}

void log_line(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_write(NULL, LOG_INFO, format, args);
	va_end(args);
}

void log_limited(struct gvm_log_site *site, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_write(site, LOG_WARNING, format, args);
	va_end(args);
}
