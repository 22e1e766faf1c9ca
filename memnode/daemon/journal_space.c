// SPDX-License-Identifier: GPL-2.0-or-later
/* journal_space.c - checkpoints, and the emptying of segments; each step is short. */
#include "journal_impl.h"

#include <string.h>

#define STEP_BYTES  (256u << 10) /* appended at a time */
#define STEP_CHUNKS 16384u	 /* looked at */

void checkpoint_begin(struct journal *j)
{
	struct checkpoint *c = &j->checkpoint;
	uint64_t seq = keep_log_turn(&j->log, KEEP_META);

	if (!seq)
		return;
	*c = (struct checkpoint){.step = CHECKPOINT_REGIONS, .first = true, .seq = seq};
	j->meta_bytes = 0;
	meta_append(j, KEEP_BEGIN, 0, seq, NULL, 0);
	fence_append(j);
	if (j->regions->drains)
		journal_drain(j);
}

static struct region *region_after(const struct regions *t, const struct gvm_id *after, bool first)
{
	/* A region that is made meanwhile is written by itself. */
	unsigned at = 0;

	if (!first) {
		unsigned to = t->count;

		while (at < to) {
			unsigned mid = (at + to) / 2;

			if (memcmp(t->sorted[mid]->id.b, after->b, sizeof(after->b)) <= 0)
				at = mid + 1;
			else
				to = mid;
		}
	}
	return at < t->count ? t->sorted[at] : NULL;
}

static void checkpoint_next(struct checkpoint *c, uint8_t step)
{
	c->step = step;
	c->first = true;
}

static void checkpoint_end(struct journal *j)
{
	struct checkpoint *c = &j->checkpoint;

	meta_append(j, KEEP_END_OF, 0, c->seq, NULL, 0);
	c->step = CHECKPOINT_NONE;
	c->bytes = j->meta_bytes;
	c->ended = j->log.appended;
}

static void checkpoint_step(struct journal *j)
{
	struct checkpoint *c = &j->checkpoint;
	uint64_t upto = j->meta_bytes + STEP_BYTES;

	while (c->step == CHECKPOINT_REGIONS && j->meta_bytes < upto) {
		struct region *r = region_after(j->regions, &c->after, c->first);

		if (!r) {
			checkpoint_next(c, CHECKPOINT_NAMES);
			break;
		}
		region_append(j, r);
		views_append(j, r);
		c->after = r->id;
		c->first = false;
	}
	while (c->step == CHECKPOINT_NAMES && j->meta_bytes < upto) {
		struct name_image n;

		if (!names_next(j->names, c->first ? NULL : &c->after, &n)) {
			checkpoint_end(j);
			break;
		}
		c->after = n.key;
		c->first = false;
		name_append(j, &n);
	}
}

static uint64_t log_synced(struct keep_log *l)
{
	uint64_t synced;

	pthread_mutex_lock(&l->lock);
	synced = l->synced;
	pthread_mutex_unlock(&l->lock);
	return synced;
}

bool checkpoint_work(struct journal *j)
{
	struct checkpoint *c = &j->checkpoint;

	if (c->step != CHECKPOINT_NONE) {
		if (keep_log_has_room_for_moves(&j->log))
			checkpoint_step(j);
		return c->step != CHECKPOINT_NONE && keep_log_has_room_for_moves(&j->log);
	}
	if (c->ended && log_synced(&j->log) >= c->ended) {
		keep_log_drop_meta(&j->log, c->seq);
		c->ended = 0;
	}
	/* Worth it when what was written since is more than what it will write, and a segment. */
	if (!c->ended && j->meta_bytes > 2 * c->bytes + j->log.segment_bytes) {
		checkpoint_begin(j);
		return c->step != CHECKPOINT_NONE;
	}
	return false;
}

static bool moves_next_region(struct journal *j, struct region *r)
{
	struct moves *m = &j->moves;

	m->chunk = 0;
	r = region_after(j->regions, &r->id, false);
	if (r)
		m->region = r->id;
	return r;
}

/* Appends what is in the segment, of some chunks. */
static void moves_step(struct journal *j)
{
	struct moves *m = &j->moves;
	uint64_t upto = j->log.appended + STEP_BYTES / (16u << 10);
	unsigned looks = STEP_CHUNKS;

	while (looks && j->log.appended < upto) {
		struct region *r = region_find_any(j->regions, &m->region);

		if (!r) {
			/* It was deleted meanwhile. */
			r = region_after(j->regions, &m->region, false);
			m->chunk = 0;
			if (!r) {
				m->whole = true;
				return;
			}
			m->region = r->id;
		}
		m->chunk = region_next_written(r, m->chunk);
		while (m->chunk < r->entries_chunks && looks && j->log.appended < upto) {
			looks--;
			if (r->places[m->chunk].segment != (uint64_t)m->segment + 1)
				m->chunk++;
			else if (entry_has_body(&r->entries[m->chunk]))
				chunk_append(j, r, m->chunk++);
			else
				m->chunk = zeros_append(j, r, m->chunk, r->entries_chunks, m->segment);
			if (m->chunk % ENTRY_GROUP == 0)
				m->chunk = region_next_written(r, m->chunk);
		}
		if (m->chunk >= r->entries_chunks && !moves_next_region(j, r)) {
			m->whole = true;
			return;
		}
		looks -= looks ? 1 : 0;
	}
}

static bool moves_begin(struct journal *j)
{
	struct moves *m = &j->moves;
	int64_t segment;

	if (!keep_log_is_short(&j->log))
		return false;
	segment = keep_log_victim(&j->log);
	if (segment < 0)
		return false;
	*m = (struct moves){.segment = segment};
	return true;
}

static bool moves_work(struct journal *j)
{
	struct moves *m = &j->moves;

	if (m->segment >= 0 && j->log.segment[m->segment].state != SEGMENT_FULL)
		m->segment = -1; /* it is drained */
	if (m->segment < 0 && !moves_begin(j))
		return false;
	/* A chunk that was cut off has no body to move, and its zero record is not due. */
	if (m->whole || j->cuts || !keep_log_has_room_for_moves(&j->log))
		return false;
	moves_step(j);
	return !m->whole;
}

static bool cuts_work(struct journal *j)
{
	uint64_t synced;
	unsigned left = 0;

	if (!j->cuts)
		return false;
	synced = log_synced(&j->log);
	for (unsigned i = 0; i < j->regions->count; i++) {
		struct region *r = j->regions->sorted[i];

		if (r->cut && r->cut <= synced) {
			cut_append(j, r);
			r->cut = 0;
		}
		left += r->cut != 0;
	}
	j->cuts = left;
	if (left)
		keep_log_hurry(&j->log);
	return false;
}

bool journal_work(struct journal *j)
{
	bool more;

	keep_log_tick(&j->log);
	if (j->progress.error)
		return false;
	more = cuts_work(j);
	more |= checkpoint_work(j);
	more |= moves_work(j);
	return more;
}
