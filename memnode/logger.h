/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logger.h - a daemon's lines, and a log that may stand still.
 *
 * Before gvm_log_start() a line is written at once, as a command-line tool wants it. After it a
 * line goes into a ring, and a thread writes it to standard error or to syslog: whoever logs waits for no
 * reader, and takes no lock that a thread without a CPU may have. A full ring drops what is new; the next
 * line that is written says how many were dropped. Each place in the code has a budget of lines, so
 * that what a peer or a client causes at will cannot fill a disk; what was left out is counted and
 * said.
 *
 * A fork() leaves the thread behind: the child begins with an empty ring, and has a thread of its
 * own from its first line on. exit() waits for the last lines, for a bounded time, and so does a
 * signal that ends the process because of a fault in it; before _exit() call gvm_log_flush().
 */
#ifndef GVM_LOGGER_H
#define GVM_LOGGER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GVM_LOG_LINE_MAX 1024u
#define GVM_LOG_FLUSH_MS 300u
#define GVM_LOG_BUCKETS	 16u

/* What one kind of line may still say. */
struct gvm_log_bucket {
	_Atomic uint64_t full_ns; /* when it has its whole burst again (CLOCK_MONOTONIC) */
	atomic_uint left_out;
};

/* A place that logs: static, one for each call. Lines with different keys (a region's name, say) have
 * buckets of their own as far as there are some. */
struct gvm_log_site {
	uint32_t burst;	   /* lines of a bucket that may come at once */
	uint32_t every_ms; /* then one in this time */
	atomic_uint listed; /* in the list of those where lines were left out and not told yet; 0: not (logger.c) */
	/* Of who has listed it, and then of the log's thread: */
	struct gvm_log_site *next_left_out;
	int level;
	char sample[160]; /* a line of this kind that was left out */
	struct gvm_log_bucket buckets[GVM_LOG_BUCKETS];
};

/* From here on lines go through the ring; `name` is the program's. Called again, it starts the thread
 * where there is none. 0 or a negative errno (then the next line tries again). */
int gvm_log_start(const char *name);

/* Ends the thread, for a caller who is about to restrict the calling thread alone; lines then stay in
 * the ring until gvm_log_start(). */
void gvm_log_stop(void);

/* From here on to syslog (a datagram socket at /dev/log). */
void gvm_log_to_syslog(void);

/* One line, without its newline; control characters are replaced. site: its budget (NULL: none is
 * needed); key: whose lines share one (NULL: those with the same text). */
void gvm_log_put(struct gvm_log_site *site, const char *key, int level, const char *text);

/* Waits until all lines are written, or for `ms`. */
bool gvm_log_flush(unsigned ms);

/* Puts something harmless at descriptors 0 to 2 where a careless parent had closed them: otherwise a
 * socket or a memory file would take that place, and be written to as if it were the log. */
void gvm_std_fds_hold(void);

#endif
