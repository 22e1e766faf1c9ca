/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.h - one line a report, to stderr or, once the daemon is in the background, to syslog.
 *
 * The text begins with the object that it speaks of: `gvmfs[win10]: node 10.0.0.2:9999 lost`. Each
 * call has a budget for each object (without one: for each text), so that what a client, a peer or a
 * full node causes at will does not fill a disk; what was left out is counted and said. Nobody waits
 * for the log's reader (memnode/logger.h). Still, nothing on the fault path logs; it counts (stats.h).
 */
#ifndef GVMFS_LOG_H
#define GVMFS_LOG_H

#include "logger.h"

#include <syslog.h>

#define LOG_BURST    10
#define LOG_EVERY_MS 2000

/* Lines of a level above this are dropped (syslog's levels; LOG_INFO unless told otherwise). */
extern int log_level;

/* From here on a thread writes: by a daemon, and again by its children after a fork. */
void log_start(void);
/* From here on to syslog; standard error is given up. */
void log_to_syslog(void);
/* Before _exit(): waits for the last lines, for a bounded time. */
void log_flush(void);

/* site: NULL for what is always said. */
void log_line(struct gvm_log_site *site, int level, const char *object, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#define log_limited(level, object, ...)                                                            \
	do {                                                                                       \
		static struct gvm_log_site site_ = { .burst = LOG_BURST, .every_ms = LOG_EVERY_MS }; \
		log_line(&site_, level, object, __VA_ARGS__);                                      \
	} while (0)

#define log_error(object, ...)	 log_limited(LOG_ERR, object, __VA_ARGS__)
#define log_warning(object, ...) log_limited(LOG_WARNING, object, __VA_ARGS__)
#define log_info(object, ...)	 log_limited(LOG_INFO, object, __VA_ARGS__)
#define log_debug(object, ...)	 log_limited(LOG_DEBUG, object, __VA_ARGS__)

/* The end of a region or of the mount: once in its life, and never left out. */
#define log_loss(object, ...) log_line(NULL, LOG_ERR, object, __VA_ARGS__)

#endif
