/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.h - one line a report, to stderr or, once the daemon is in the background, to syslog.
 *
 * The text begins with the object that it speaks of: `gvmfs[win10]: node 10.0.0.2:9999 lost`.
 * Nothing on the fault path logs; it counts (stats.h).
 */
#ifndef GVMFS_LOG_H
#define GVMFS_LOG_H

#include <syslog.h>

/* Lines of a level above this are dropped (syslog's levels; LOG_INFO unless told otherwise). */
extern int log_level;

/* From here on to syslog; standard error is given up. */
void log_to_syslog(void);
void log_line(int level, const char *object, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(object, ...)	 log_line(LOG_ERR, object, __VA_ARGS__)
#define log_warning(object, ...) log_line(LOG_WARNING, object, __VA_ARGS__)
#define log_info(object, ...)	 log_line(LOG_INFO, object, __VA_ARGS__)
#define log_debug(object, ...)	 log_line(LOG_DEBUG, object, __VA_ARGS__)

#endif
