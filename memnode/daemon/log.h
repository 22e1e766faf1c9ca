/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.h - lines on stderr, each beginning with the program's name; no thread of the node waits for
 * their reader.
 *
 * Lines that peers can cause are rate-limited by kind: a burst, then one a second; the next line
 * that passes says how many were left out.
 */
#ifndef GVM_LOG_H
#define GVM_LOG_H

#include "../logger.h"

#define LOG_PROGRAM	  "gvm-memnode"
#define LOG_PEER_BURST	  40
#define LOG_PEER_EVERY_MS 1000

__attribute__((format(printf, 1, 2))) void log_line(const char *format, ...);
__attribute__((format(printf, 2, 3))) void log_limited(struct gvm_log_site *site, const char *format,
						       ...);

/* For lines that a peer can provoke. */
#define log_peer(...)                                                                              \
	do {                                                                                       \
		static struct gvm_log_site site_ = {.burst = LOG_PEER_BURST,                       \
						    .every_ms = LOG_PEER_EVERY_MS};                \
		log_limited(&site_, __VA_ARGS__);                                                  \
	} while (0)

#endif
