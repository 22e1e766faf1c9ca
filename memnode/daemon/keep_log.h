/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keep_log.h - appends records to the file of a node with --persist, without ever waiting for a disk.
 *
 * The node's loop appends: a record is copied into a block of memory, and gets the next number. A
 * thread writes the blocks in their order; when a block has been written (with `sync`: when it is on the
 * disk) the loop is woken, and answers the requests up to that number. What was written survives the
 * node's end, however it ends; what is on the disk survives the machine's, too. So an answer waits for
 * a copy into the kernel's page cache, and nothing else. A second thread brings to the disk what was
 * written, a second later at the latest, and drops it from the page cache, which would otherwise hold a
 * second copy of the node's memory.
 *
 * A buffered write in a thread, rather than O_DIRECT or the loop's ring: it serves both engines of
 * io.h, it needs no operation in the ring that opens or names files, and an answer does not wait for the
 * disk.
 *
 * States of a segment: FREE; HEAD, where its kind is appended; FULL; DRAINED, when nothing in it counts
 * any more; and FREE again once everything that was appended before it was drained is on the disk. Not
 * earlier: what replaced its records could still be lost with the machine, and they with it.
 *
 * Errors of the disk: a write that fails is tried again every second (a full disk, a path that is back).
 * Meanwhile `error` is set, and nothing new should be appended. If the disk has lost what it took
 * (fdatasync failed) the error stays, and the horizon says so to the next start.
 *
 * All but the threads runs in the loop's thread.
 */
#ifndef GVM_KEEP_LOG_H
#define GVM_KEEP_LOG_H

#include "keep_format.h"

#include <pthread.h>
#include <sys/queue.h>
#include <sys/uio.h>

enum segment_state { SEGMENT_FREE, SEGMENT_HEAD, SEGMENT_FULL, SEGMENT_DRAINED };

struct segment {
	uint8_t state, kind;
	uint32_t live;	     /* chunks whose newest record is here */
	uint64_t live_bytes; /* of those records */
	uint64_t seq;
	uint64_t drained_at; /* record number */
};

struct log_block;
STAILQ_HEAD(log_queue, log_block);

struct log_head {
	uint32_t segment, off;
	bool open;
};

struct keep_log {
	int fd;
	int event_fd; /* readable when `written` or `error` has changed; -1: without threads */
	struct gvm_id file;
	uint32_t segment_bytes, segments;
	bool sync;
	struct segment *segment;
	struct log_head head[KEEP_KINDS];
	uint64_t next_seq;
	uint64_t births; /* for segment headers: regions are numbered below it */
	uint32_t free, drained;
	uint64_t appended; /* number of the last record */
	bool full;	   /* there was no segment for a record: for good */
	bool threads;
	pthread_t writer, syncer;

	pthread_mutex_t lock; /* guards what follows; held for no longer than it takes to copy a record */
	pthread_cond_t work, sync_work, idle;
	struct log_queue queue;
	struct log_block *last; /* of the queue; NULL: it is empty */
	struct log_block *spare;
	unsigned spares;
	uint64_t queued_bytes;
	uint64_t written, synced;
	unsigned running;  /* threads */
	bool waiting;	   /* the writer, for a block */
	bool hurry;	   /* the syncer is not to wait for its second */
	bool stop, suspect;
	int error; /* negative errno */
};

/* Counts of a log: what the caller may look at between two events. */
struct keep_progress {
	uint64_t written;
	int error;
	bool suspect;
};

/* fd: the file, of which `segments` segments may be used. -ENOMEM. */
int keep_log_init(struct keep_log *l, int fd, const struct gvm_id *file, uint32_t segment_bytes,
		  uint32_t segments, bool sync);
void keep_log_deinit(struct keep_log *l);

/* Starts the threads, which wake the loop by event_fd, and waits until they run: the calls that a thread
 * begins with are not among those that the node's sandbox leaves to it. 0 or a negative errno. */
int keep_log_start(struct keep_log *l, int event_fd);
/* Ends them when all is written; -ETIMEDOUT: the disk does not take it, and they are left alone. */
int keep_log_stop(struct keep_log *l, unsigned seconds);

/* Appends a record; r->bytes and r->payload_check are set from `payload`. *segment: where it is. False: no
 * segment is free. */
bool keep_log_append(struct keep_log *l, enum keep_kind kind, struct keep_record *r,
		     const struct iovec *payload, unsigned iovs, uint32_t *segment);
/* The next record of this kind goes into a new segment; returns its sequence number, 0: none is free. */
uint64_t keep_log_turn(struct keep_log *l, enum keep_kind kind);

/* A chunk's newest record is in the segment, or is there no more. */
void keep_log_count(struct keep_log *l, uint32_t segment, uint32_t bytes, int sign);
/* Drains meta segments below this sequence number. */
void keep_log_drop_meta(struct keep_log *l, uint64_t seq);
/* The full segment of data that has the fewest bytes that count, if it is worth the work; -1: none is. */
int64_t keep_log_victim(const struct keep_log *l);

/* Whether another record of the largest size should be appended now. */
bool keep_log_has_room(struct keep_log *l);
/* The same for records that make room: they may use what is kept for them. */
bool keep_log_has_room_for_moves(struct keep_log *l);
/* Whether next to nothing waits for the disk: then records that are in no hurry delay nobody's. */
bool keep_log_is_quiet(struct keep_log *l);
/* Whether free segments are few. */
bool keep_log_is_short(const struct keep_log *l);
/* Looks at what the threads have done. */
void keep_log_look(struct keep_log *l, struct keep_progress *p);
/* Brings to the disk at once what was written. */
void keep_log_hurry(struct keep_log *l);
/* Frees drained segments; before the caller waits for events. */
void keep_log_tick(struct keep_log *l);

/* Without threads: writes all that is appended, and brings it to the disk. 0 or a negative errno. */
int keep_log_flush(struct keep_log *l);

uint64_t keep_log_offset(const struct keep_log *l, uint32_t segment);

#endif
