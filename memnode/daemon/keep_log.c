// SPDX-License-Identifier: GPL-2.0-or-later
/* keep_log.c - appending: blocks, segments, room. The threads are in keep_writer.c. */
#include "keep_log.h"
#include "keep_block.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUEUE_BYTES_MAX (32u << 20)
#define QUIET_BYTES	LOG_BLOCK_BYTES
#define SPARES_MAX	8u

int keep_log_init(struct keep_log *l, int fd, const struct gvm_id *file, uint32_t segment_bytes,
		  uint32_t segments, bool sync)
{
	pthread_condattr_t attr;

	memset(l, 0, sizeof(*l));
	l->fd = fd;
	l->event_fd = -1;
	l->file = *file;
	l->segment_bytes = segment_bytes;
	l->segments = l->free = segments;
	l->sync = sync;
	l->next_seq = 1;
	l->births = 1;
	l->segment = calloc(segments, sizeof(*l->segment));
	if (!l->segment)
		return -ENOMEM;
	STAILQ_INIT(&l->queue);
	pthread_mutex_init(&l->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&l->work, &attr);
	pthread_cond_init(&l->sync_work, &attr);
	pthread_cond_init(&l->idle, &attr);
	pthread_condattr_destroy(&attr);
	return 0;
}

static void blocks_free(struct log_block *b)
{
	while (b) {
		struct log_block *next = STAILQ_NEXT(b, link);

		free(b);
		b = next;
	}
}

void keep_log_deinit(struct keep_log *l)
{
	assert(!l->threads);
	blocks_free(STAILQ_FIRST(&l->queue));
	blocks_free(l->spare);
	free(l->segment);
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->work);
	pthread_cond_destroy(&l->sync_work);
	pthread_cond_destroy(&l->idle);
	memset(l, 0, sizeof(*l));
}

uint64_t keep_log_offset(const struct keep_log *l, uint32_t segment)
{
	return KEEP_BASE + (uint64_t)segment * l->segment_bytes;
}

void log_block_free(struct keep_log *l, struct log_block *b)
{
	if (l->spares == SPARES_MAX) {
		free(b);
		return;
	}
	STAILQ_NEXT(b, link) = l->spare;
	l->spare = b;
	l->spares++;
}

static struct log_block *block_begin(struct keep_log *l)
{
	struct log_block *b = l->spare;

	if (b) {
		l->spare = STAILQ_NEXT(b, link);
		l->spares--;
	} else {
		b = malloc(sizeof(*b));
		if (!b)
			return NULL;
	}
	b->used = 0;
	b->extents = 0;
	b->taken = false;
	STAILQ_INSERT_TAIL(&l->queue, b, link);
	l->last = b;
	return b;
}

/* Room for `bytes` that belong at `at` of the file, behind all that is queued. NULL: no memory. */
static uint8_t *block_room(struct keep_log *l, uint64_t at, uint32_t bytes)
{
	struct log_block *b = l->last;
	struct log_extent *e = b && b->extents ? &b->extent[b->extents - 1] : NULL;
	bool follows = e && e->at + e->bytes == at;
	uint8_t *p;

	if (!b || b->taken || b->used + bytes > LOG_BLOCK_BYTES ||
	    (!follows && b->extents == LOG_BLOCK_EXTENTS)) {
		b = block_begin(l);
		if (!b)
			return NULL;
		follows = false;
	}
	if (!follows)
		b->extent[b->extents++] = (struct log_extent){.at = at, .from = b->used};
	b->extent[b->extents - 1].bytes += bytes;
	p = b->data + b->used;
	b->used += bytes;
	l->queued_bytes += bytes;
	return p;
}

/* Heads and number as they are now, for the block that was appended to last. */
static void block_mark(struct keep_log *l)
{
	struct log_block *b = l->last;

	b->end = l->appended;
	memset(&b->horizon, 0, sizeof(b->horizon));
	for (unsigned k = 0; k < KEEP_KINDS; k++) {
		const struct log_head *h = &l->head[k];

		/* Without a head all there is of a kind is in segments before the next. */
		b->horizon.end[k].seq = h->open ? l->segment[h->segment].seq : l->next_seq;
		b->horizon.end[k].off = h->open ? h->off : 0;
	}
}

static void segment_drain(struct keep_log *l, struct segment *s)
{
	s->state = SEGMENT_DRAINED;
	s->drained_at = l->appended;
	l->drained++;
}

/* With the lock held. */
static bool head_end(struct keep_log *l, enum keep_kind kind)
{
	struct log_head *h = &l->head[kind];
	struct segment *s = &l->segment[h->segment];
	const struct keep_record end = {.type = KEEP_END};
	const struct keep_place place = {.file = &l->file, .seq = s->seq, .off = h->off};
	uint8_t *p;

	if (!h->open)
		return true;
	p = block_room(l, keep_log_offset(l, h->segment) + h->off, KEEP_UNIT);
	if (!p)
		return false;
	keep_record_pack(&end, &place, false, p);
	h->open = false;
	s->state = SEGMENT_FULL;
	if (kind == KEEP_DATA && !s->live)
		segment_drain(l, s);
	return true;
}

static bool head_begin(struct keep_log *l, enum keep_kind kind)
{
	struct keep_segment what = {.kind = (uint8_t)kind, .seq = l->next_seq, .births = l->births};
	uint32_t at = 0;
	uint8_t *p;

	while (at < l->segments && l->segment[at].state != SEGMENT_FREE)
		at++;
	if (at == l->segments)
		return false;
	p = block_room(l, keep_log_offset(l, at), KEEP_UNIT);
	if (!p)
		return false;
	keep_segment_pack(&what, &l->file, p);
	l->next_seq++;
	l->free--;
	l->segment[at] = (struct segment){.state = SEGMENT_HEAD, .kind = (uint8_t)kind, .seq = what.seq};
	l->head[kind] = (struct log_head){.segment = at, .off = KEEP_UNIT, .open = true};
	return true;
}

static void payload_copy(uint8_t *to, uint32_t padded, const struct iovec *payload, unsigned iovs)
{
	uint8_t *p = to;

	for (unsigned i = 0; i < iovs; i++)
		p = (uint8_t *)mempcpy(p, payload[i].iov_base, payload[i].iov_len);
	memset(p, 0, padded - (size_t)(p - to));
}

/* With the lock held. */
static bool record_put(struct keep_log *l, enum keep_kind kind, struct keep_record *r,
		       const struct iovec *payload, unsigned iovs, uint32_t *segment)
{
	uint32_t total = keep_record_bytes(r->bytes);
	struct log_head *h = &l->head[kind];
	struct keep_place place = {.file = &l->file};
	uint8_t *p;

	if (h->open && h->off + total + KEEP_UNIT > l->segment_bytes && !head_end(l, kind))
		return false;
	if (!h->open && !head_begin(l, kind))
		return false;
	p = block_room(l, keep_log_offset(l, h->segment) + h->off, total);
	if (!p)
		return false;
	place.seq = l->segment[h->segment].seq;
	if (r->bytes) {
		payload_copy(p + KEEP_UNIT, total - 2 * KEEP_UNIT, payload, iovs);
		r->payload_check = keep_payload_check(p + KEEP_UNIT, r->bytes);
		place.off = h->off + total - KEEP_UNIT;
		keep_record_pack(r, &place, true, p + total - KEEP_UNIT);
	}
	place.off = h->off;
	keep_record_pack(r, &place, false, p);
	h->off += total;
	l->appended++;
	*segment = h->segment;
	block_mark(l);
	return true;
}

bool keep_log_append(struct keep_log *l, enum keep_kind kind, struct keep_record *r,
		     const struct iovec *payload, unsigned iovs, uint32_t *segment)
{
	bool done;

	r->bytes = 0;
	for (unsigned i = 0; i < iovs; i++)
		r->bytes += (uint32_t)payload[i].iov_len;
	assert(r->bytes <= KEEP_PAYLOAD_MAX);
	pthread_mutex_lock(&l->lock);
	done = record_put(l, kind, r, payload, iovs, segment);
	if (l->waiting)
		pthread_cond_signal(&l->work);
	pthread_mutex_unlock(&l->lock);
	l->full |= !done;
	return done;
}

uint64_t keep_log_turn(struct keep_log *l, enum keep_kind kind)
{
	bool done;

	pthread_mutex_lock(&l->lock);
	done = head_end(l, kind) && head_begin(l, kind);
	if (done)
		block_mark(l);
	pthread_mutex_unlock(&l->lock);
	return done ? l->segment[l->head[kind].segment].seq : 0;
}

void keep_log_count(struct keep_log *l, uint32_t segment, uint32_t bytes, int sign)
{
	struct segment *s = &l->segment[segment];

	s->live += (uint32_t)sign;
	s->live_bytes += (uint64_t)(int64_t)sign * bytes;
	if (!s->live && s->state == SEGMENT_FULL)
		segment_drain(l, s);
}

void keep_log_drop_meta(struct keep_log *l, uint64_t seq)
{
	for (uint32_t i = 0; i < l->segments; i++) {
		struct segment *s = &l->segment[i];

		if (s->state == SEGMENT_FULL && s->kind == KEEP_META && s->seq < seq)
			segment_drain(l, s);
	}
}

int64_t keep_log_victim(const struct keep_log *l)
{
	uint64_t least = l->segment_bytes - l->segment_bytes / 16;
	int64_t victim = -1;

	for (uint32_t i = 0; i < l->segments; i++) {
		const struct segment *s = &l->segment[i];

		if (s->state != SEGMENT_FULL || s->kind != KEEP_DATA || s->live_bytes >= least)
			continue;
		least = s->live_bytes;
		victim = i;
	}
	return victim;
}

/* Free segments: below the first number records are moved; below the second only those that make room are
 * appended. */
static uint32_t short_below(const struct keep_log *l)
{
	return l->segments / 8 + 4;
}

static uint32_t stop_below(const struct keep_log *l)
{
	return l->segments / 16 + 3;
}

bool keep_log_is_short(const struct keep_log *l)
{
	return l->free + l->drained < short_below(l);
}

static bool queue_has_room(struct keep_log *l, uint64_t bytes)
{
	bool room;

	pthread_mutex_lock(&l->lock);
	room = l->queued_bytes < bytes;
	pthread_mutex_unlock(&l->lock);
	return room;
}

bool keep_log_has_room(struct keep_log *l)
{
	return l->free >= stop_below(l) && queue_has_room(l, QUEUE_BYTES_MAX);
}

bool keep_log_is_quiet(struct keep_log *l)
{
	return l->free >= stop_below(l) && queue_has_room(l, QUIET_BYTES);
}

bool keep_log_has_room_for_moves(struct keep_log *l)
{
	return l->free > 1 && queue_has_room(l, QUEUE_BYTES_MAX / 2);
}

void keep_log_look(struct keep_log *l, struct keep_progress *p)
{
	pthread_mutex_lock(&l->lock);
	*p = (struct keep_progress){.written = l->written, .error = l->error, .suspect = l->suspect};
	pthread_mutex_unlock(&l->lock);
	if (l->full && !p->error)
		p->error = -ENOSPC;
}

void keep_log_tick(struct keep_log *l)
{
	uint64_t synced, waits = UINT64_MAX;

	if (!l->drained)
		return;
	pthread_mutex_lock(&l->lock);
	synced = l->synced;
	pthread_mutex_unlock(&l->lock);
	for (uint32_t i = 0; i < l->segments; i++) {
		struct segment *s = &l->segment[i];

		if (s->state != SEGMENT_DRAINED)
			continue;
		if (s->drained_at > synced) {
			waits = s->drained_at < waits ? s->drained_at : waits;
			continue;
		}
		s->state = SEGMENT_FREE;
		l->drained--;
		l->free++;
	}
	if (waits != UINT64_MAX && l->free < short_below(l) && !l->sync)
		keep_log_hurry(l);
}

void keep_log_hurry(struct keep_log *l)
{
	pthread_mutex_lock(&l->lock);
	l->hurry = true;
	pthread_cond_signal(&l->sync_work);
	pthread_mutex_unlock(&l->lock);
}
