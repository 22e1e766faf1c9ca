// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * keep_writer.c - the two threads of a log: one writes, one brings to the disk what was written.
 *
 * The order that makes an answer true: the block's records, then (with `sync`) fdatasync(), then the
 * horizon, then `written`. So the horizon never claims what is not there. With `sync` it reaches the disk
 * with the next block only: it then says less than there is, which the start allows for.
 *
 * An end of the process in the middle leaves a prefix of one write behind: of records that nobody was
 * told of.
 */
#include "../clock.h"
#include "../file.h"
#include "keep_block.h"
#include "keep_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RETRY_NS 1000000000ull
#define SYNC_NS	 1000000000ull
#define SYNC_TRIES 3

static void wait_for(pthread_cond_t *cond, struct keep_log *l, uint64_t ns)
{
	uint64_t until = gvm_now_ns() + ns;
	struct timespec at = {.tv_sec = (time_t)(until / 1000000000u), .tv_nsec = (long)(until % 1000000000u)};

	pthread_cond_timedwait(cond, &l->lock, &at);
}

static void loop_wake(const struct keep_log *l)
{
	const uint64_t one = 1;

	if (l->event_fd >= 0 && write(l->event_fd, &one, sizeof(one)) < 0) {
		/* The counter is at its limit: the loop is awake. */
	}
}

static int disk_sync(const struct keep_log *l)
{
	int err = 0;

	for (unsigned i = 0; i < SYNC_TRIES; i++) {
		err = fdatasync(l->fd) ? -errno : 0;
		if (err != -EINTR)
			break;
	}
	/* A file on a filesystem without a disk. */
	return err == -EINVAL ? 0 : err;
}

static int horizon_write(const struct keep_log *l, const struct keep_horizon *h)
{
	uint8_t unit[KEEP_UNIT];

	keep_horizon_pack(h, &l->file, unit);
	return file_pwrite(l->fd, unit, sizeof(unit), KEEP_HORIZON_AT);
}

/*
 * What fdatasync() reports is lost: the kernel does not try again, and a later call would succeed. The writer
 * says so in the horizon, which is its own.
 */
static void log_suspect(struct keep_log *l, int err)
{
	pthread_mutex_lock(&l->lock);
	l->suspect = true;
	l->error = err;
	pthread_cond_signal(&l->work);
	pthread_mutex_unlock(&l->lock);
}

/* 0: the block is where its requests may be answered. */
static int block_write(struct keep_log *l, const struct log_block *b)
{
	int err = 0;

	for (unsigned i = 0; i < b->extents && !err; i++)
		err = file_pwrite(l->fd, b->data + b->extent[i].from, b->extent[i].bytes, b->extent[i].at);
	if (!err && l->sync) {
		err = disk_sync(l);
		if (err)
			log_suspect(l, err);
	}
	return err ? err : horizon_write(l, &b->horizon);
}

/* With the lock held; `b` is the first of the queue. */
static void block_done(struct keep_log *l, struct log_block *b)
{
	STAILQ_REMOVE_HEAD(&l->queue, link);
	if (STAILQ_EMPTY(&l->queue))
		l->last = NULL;
	l->queued_bytes -= b->used;
	l->written = b->end;
	if (l->sync)
		l->synced = b->end;
	log_block_free(l, b);
}

/* With the lock held. */
static void thread_runs(struct keep_log *l)
{
	l->running++;
	pthread_cond_broadcast(&l->idle);
}

static void *writer_run(void *arg)
{
	struct keep_log *l = arg;
	bool told = false;

	pthread_mutex_lock(&l->lock);
	thread_runs(l);
	for (;;) {
		struct log_block *b = STAILQ_FIRST(&l->queue);
		int err;

		if (l->suspect && !told) {
			const struct keep_horizon h = {.suspect = true};

			pthread_mutex_unlock(&l->lock);
			horizon_write(l, &h);
			told = true;
			pthread_mutex_lock(&l->lock);
			continue;
		}
		if (!b) {
			pthread_cond_broadcast(&l->idle);
			if (l->stop)
				break;
			l->waiting = true;
			pthread_cond_wait(&l->work, &l->lock);
			l->waiting = false;
			continue;
		}
		if (l->suspect) {
			if (l->stop)
				break;
			wait_for(&l->work, l, RETRY_NS);
			continue;
		}
		b->taken = true;
		pthread_mutex_unlock(&l->lock);
		err = block_write(l, b);
		pthread_mutex_lock(&l->lock);
		if (!err)
			block_done(l, b);
		if (!l->suspect)
			l->error = err;
		loop_wake(l);
		if (err && l->stop)
			break;
		if (err && !l->suspect)
			wait_for(&l->work, l, RETRY_NS);
	}
	l->waiting = false;
	pthread_cond_broadcast(&l->idle);
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

/* Without `sync`. */
static void *syncer_run(void *arg)
{
	struct keep_log *l = arg;

	pthread_mutex_lock(&l->lock);
	thread_runs(l);
	while (!l->stop) {
		uint64_t upto;
		int err;

		if (!l->hurry || l->synced == l->written)
			wait_for(&l->sync_work, l, SYNC_NS);
		l->hurry = false;
		upto = l->written;
		if (l->stop || l->suspect || upto == l->synced)
			continue;
		pthread_mutex_unlock(&l->lock);
		err = disk_sync(l);
		if (err)
			log_suspect(l, err);
		else
			posix_fadvise(l->fd, 0, 0, POSIX_FADV_DONTNEED);
		pthread_mutex_lock(&l->lock);
		if (!err)
			l->synced = upto;
		loop_wake(l);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

int keep_log_start(struct keep_log *l, int event_fd)
{
	int err;

	l->event_fd = event_fd;
	err = pthread_create(&l->writer, NULL, writer_run, l);
	if (err)
		return -err;
	if (!l->sync) {
		err = pthread_create(&l->syncer, NULL, syncer_run, l);
		if (err) {
			pthread_mutex_lock(&l->lock);
			l->stop = true;
			pthread_cond_signal(&l->work);
			pthread_mutex_unlock(&l->lock);
			pthread_join(l->writer, NULL);
			return -err;
		}
	}
	pthread_mutex_lock(&l->lock);
	while (l->running < (l->sync ? 1u : 2u))
		pthread_cond_wait(&l->idle, &l->lock);
	pthread_mutex_unlock(&l->lock);
	l->threads = true;
	return 0;
}

int keep_log_stop(struct keep_log *l, unsigned seconds)
{
	uint64_t until = gvm_now_ns() + seconds * 1000000000ull;
	bool stuck;

	if (!l->threads)
		return 0;
	pthread_mutex_lock(&l->lock);
	l->stop = true;
	pthread_cond_broadcast(&l->work);
	pthread_cond_broadcast(&l->sync_work);
	while (!STAILQ_EMPTY(&l->queue) && !l->error && gvm_now_ns() < until)
		wait_for(&l->idle, l, 100000000);
	stuck = !STAILQ_EMPTY(&l->queue) && !l->error;
	pthread_mutex_unlock(&l->lock);
	if (stuck)
		return -ETIMEDOUT;
	pthread_join(l->writer, NULL);
	if (!l->sync)
		pthread_join(l->syncer, NULL);
	l->threads = false;
	return l->error;
}

int keep_log_flush(struct keep_log *l)
{
	struct log_block *b;
	int err = 0;

	while (!err && (b = STAILQ_FIRST(&l->queue))) {
		err = block_write(l, b);
		if (!err)
			block_done(l, b);
	}
	if (!err)
		err = disk_sync(l);
	if (!err)
		l->synced = l->written;
	return err;
}
