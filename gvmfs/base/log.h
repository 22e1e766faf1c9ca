/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.h - one line per report, to stderr or, once the daemon is in the background, to syslog.
 *
 * The text begins with its object: `gvmfs[win10]: node 10.0.0.2:9999 lost`. Each call has a budget for
 * each object (without an object: for each text), so that messages which a client, a peer or a full
 * node can cause at will do not fill a disk; lines that are left out are counted, and the count is
 * logged. No thread waits for the log's reader (memnode/logger.h). Still, the fault path logs nothing;
 * it counts (stats.h).
 */
#ifndef GVMFS_LOG_H
#define GVMFS_LOG_H

#include "logger.h"

#include <syslog.h>

#define LOG_BURST    10
#define LOG_EVERY_MS 2000

/* Lines of a level above this are dropped (syslog's levels; the default is LOG_INFO). */
extern int log_level;

/* From now on a thread writes the log. A daemon calls this, and its children after a fork do
 * again. */
void log_start(void);
/* From now on the log goes to syslog; standard error is given up. */
void log_to_syslog(void);
/* Before _exit(): waits for the last lines, for a bounded time. */
void log_flush(void);

/* site: NULL for a line that must not be left out. */
void log_put(struct gvm_log_site *site, int level, const char *object, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#define log_limited(level, object, ...)                                                            \
	do {                                                                                       \
		static struct gvm_log_site site_ = { .burst = LOG_BURST, .every_ms = LOG_EVERY_MS }; \
		log_put(&site_, level, object, __VA_ARGS__);                                       \
	} while (0)

#define log_error(object, ...)	 log_limited(LOG_ERR, object, __VA_ARGS__)
#define log_warning(object, ...) log_limited(LOG_WARNING, object, __VA_ARGS__)
#define log_info(object, ...)	 log_limited(LOG_INFO, object, __VA_ARGS__)
#define log_debug(object, ...)	 log_limited(LOG_DEBUG, object, __VA_ARGS__)

/* The end of a region or of the mount: logged once in its life, and never left out. */
#define log_loss(object, ...) log_put(NULL, LOG_ERR, object, __VA_ARGS__)

#endif
