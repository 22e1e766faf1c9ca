// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * journal_load.c - the start: regions and names from their stream, then chunks from theirs.
 *
 * Regions and names: in order, from the last whole checkpoint on. Their records stand twice and are numbered, so
 * that one that is missing is noticed. Chunks: from the newest segment to the oldest, and in each from its last
 * record to its first. The first record of a chunk that comes is its state; older ones are passed over, so that
 * memory is needed for what there is and nothing else.
 *
 * Nothing in the file is changed before all is read, but for a record END behind what a cut write has left: the
 * next start then takes it for the end as well.
 */
#include "journal_impl.h"
#include "keep_scan.h"
#include "log.h"
#include "../file.h"

#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct load {
	struct journal *j;
	const struct keep_wish *wish;
	struct scan scan;
	uint8_t *bytes; /* of a segment */
	struct loaded {
		uint32_t index;
		uint64_t seq;
		uint8_t kind;
	} *order; /* by seq */
	unsigned count;
	uint64_t checkpoint; /* sequence of the segment in which the last whole one began */
	uint64_t latest[KEEP_KINDS]; /* the highest sequence */
	struct region **by_birth;
	unsigned births;
	bool lost;
	const char *why; /* NULL, or what stands against it */
};

static int loaded_compare(const void *a, const void *b)
{
	uint64_t x = ((const struct loaded *)a)->seq, y = ((const struct loaded *)b)->seq;

	return x < y ? -1 : x > y;
}

static int segments_find(struct load *o)
{
	struct keep_log *l = &o->j->log;
	uint8_t unit[KEEP_UNIT];
	int err;

	o->order = calloc(l->segments, sizeof(*o->order));
	if (!o->order)
		return -ENOMEM;
	for (uint32_t i = 0; i < l->segments; i++) {
		struct keep_segment s;

		err = file_pread(l->fd, unit, sizeof(unit), keep_log_offset(l, i));
		if (err)
			return err;
		if (!keep_segment_unpack(&s, &l->file, unit))
			continue;
		o->order[o->count++] = (struct loaded){.index = i, .seq = s.seq, .kind = s.kind};
		if (s.births > o->j->regions->births)
			o->j->regions->births = s.births;
		if (s.seq > o->latest[s.kind])
			o->latest[s.kind] = s.seq;
		if (s.seq >= l->next_seq)
			l->next_seq = s.seq + 1;
	}
	qsort(o->order, o->count, sizeof(*o->order), loaded_compare);
	return 0;
}

/* Up to which byte of a segment all was written before anyone was answered. */
static uint32_t vouched_of(const struct load *o, const struct loaded *s)
{
	const struct keep_file *f = &o->j->file;

	if (!f->horizon_holds)
		return s->seq < o->latest[s->kind] ? UINT32_MAX : 0;
	if (s->seq == f->horizon.end[s->kind].seq)
		return f->horizon.end[s->kind].off;
	return s->seq < f->horizon.end[s->kind].seq ? UINT32_MAX : 0;
}

static int segment_scan(struct load *o, const struct loaded *s)
{
	struct keep_log *l = &o->j->log;
	int err = file_pread(l->fd, o->bytes, l->segment_bytes, keep_log_offset(l, s->index));

	if (err)
		return err;
	o->scan.file = &l->file;
	o->scan.bytes = o->bytes;
	o->scan.size = l->segment_bytes;
	o->scan.seq = s->seq;
	o->scan.vouched = vouched_of(o, s);
	return keep_scan(&o->scan);
}

/* What the process wrote last may be a part of a record: nothing behind the end may count later. */
static int segment_close(struct load *o, const struct loaded *s)
{
	struct keep_log *l = &o->j->log;
	const struct keep_record end = {.type = KEEP_END};
	const struct keep_place place = {.file = &l->file, .seq = s->seq, .off = o->scan.end};
	uint8_t unit[KEEP_UNIT];

	if (o->scan.ended || o->scan.hole_at_end || o->scan.end + KEEP_UNIT > l->segment_bytes)
		return 0;
	keep_record_pack(&end, &place, false, unit);
	return file_pwrite(l->fd, unit, sizeof(unit), keep_log_offset(l, s->index) + o->scan.end);
}

/* ---- regions and names ---- */

static int region_apply(struct load *o, const struct keep_record *r, const uint8_t *p)
{
	struct regions *t = o->j->regions;
	struct slot_views *views = NULL;
	uint64_t views_cells = 0;
	struct gvm_id id;
	struct region *region;
	int err;

	if (r->bytes != REGION_IMAGE_BYTES)
		return -EBADMSG;
	memcpy(id.b, p, 16);
	region = region_find_any(t, &id);
	if (region && region->birth == r->birth) {
		/* Views have records of their own. */
		views = region->views;
		views_cells = region->views_cells;
		region->views = NULL;
		region->views_cells = 0;
	}
	if (region)
		regions_erase(t, &id);
	err = region_image_restore(t, p, r->birth, false, &region);
	if (err) {
		free(views);
		regions_uncharge(t, views_cells);
		return err;
	}
	region->views = views;
	region->views_cells = views_cells;
	return !region_image_views(p) || region_views_make(t, region) ? 0 : -ENOSPC;
}

static int view_apply(struct load *o, const struct keep_record *r, const uint8_t *p)
{
	struct regions *t = o->j->regions;

	if (r->bytes != VIEWS_IMAGE_BYTES && r->bytes != VIEWS_IMAGE_BYTES_OLD)
		return -EBADMSG;
	for (unsigned i = 0; i < t->count; i++)
		if (t->sorted[i]->birth == r->birth)
			return region_views_restore(t, t->sorted[i], p, r->bytes == VIEWS_IMAGE_BYTES_OLD) ? 0 : -ENOSPC;
	return 0; /* the region was deleted later */
}

static int gone_apply(struct load *o, const struct keep_record *r, const uint8_t *p)
{
	struct gvm_id id;

	if (r->bytes != sizeof(id.b))
		return -EBADMSG;
	memcpy(id.b, p, 16);
	if (region_find_any(o->j->regions, &id))
		regions_erase(o->j->regions, &id);
	return 0;
}

static int name_apply(struct load *o, const struct keep_record *r, const uint8_t *p)
{
	struct name_image n;

	if (r->bytes < NAME_IMAGE_BYTES)
		return -EBADMSG;
	n.table = gvm_load_le(p + 16, 8);
	n.born = gvm_load_le(p + 24, 8);
	n.version = gvm_load_le(p + 32, 8);
	n.bytes = (uint32_t)gvm_load_le(p + 40, 4);
	n.record = p + NAME_IMAGE_BYTES;
	memcpy(n.key.b, p, 16);
	if (n.bytes != r->bytes - NAME_IMAGE_BYTES || n.bytes > GVM_RECORD_MAX)
		return -EBADMSG;
	return name_restore(o->j->names, &n) ? 0 : -ENOMEM;
}

static int meta_apply(struct load *o, const struct keep_record *r, const uint8_t *p)
{
	switch (r->type) {
	case KEEP_REGION:
		return region_apply(o, r, p);
	case KEEP_GONE:
		return gone_apply(o, r, p);
	case KEEP_VIEWS:
		return view_apply(o, r, p);
	case KEEP_NAME:
		return name_apply(o, r, p);
	case KEEP_FENCE:
		if (r->bytes != FENCE_IMAGE_BYTES)
			return -EBADMSG;
		names_restore_fence(o->j->names, gvm_load_le(p, 8), gvm_load_le(p + 8, 8), gvm_load_le(p + 16, 8));
		return 0;
	case KEEP_FORGET:
		if (r->bytes != 16)
			return -EBADMSG;
		return names_restore_forget(o->j->names, gvm_load_le(p, 8), gvm_load_le(p + 8, 8)) ? 0 : -ENOMEM;
	case KEEP_DRAIN:
		o->j->regions->drains = r->version;
		return 0;
	}
	return 0;
}

static int meta_segment_apply(struct load *o, bool *first)
{
	struct journal *j = o->j;

	for (unsigned i = 0; i < o->scan.count; i++) {
		const struct scan_record *s = &o->scan.record[i];
		int err;

		if (!s->whole || s->r.count == j->serial)
			continue; /* damaged, or the second copy */
		if (!*first && s->r.count != j->serial + 1)
			o->lost = true; /* both copies of one are damaged */
		*first = false;
		j->serial = s->r.count;
		err = meta_apply(o, &s->r, scan_payload(&o->scan, s));
		if (err == -EBADMSG)
			o->lost = true;
		else if (err)
			return err;
	}
	o->lost |= o->scan.hole_at_end;
	return 0;
}

static int meta_load(struct load *o)
{
	bool first = true;
	int err = 0;

	for (unsigned i = 0; i < o->count && !err; i++) {
		if (o->order[i].kind != KEEP_META)
			continue;
		err = segment_scan(o, &o->order[i]);
		for (unsigned k = 0; k < o->scan.count && !err; k++)
			if (o->scan.record[k].r.type == KEEP_END_OF && o->scan.record[k].whole)
				o->checkpoint = o->scan.record[k].r.version;
	}
	for (unsigned i = 0; i < o->count && !err; i++) {
		if (o->order[i].kind != KEEP_META || o->order[i].seq < o->checkpoint)
			continue;
		err = segment_scan(o, &o->order[i]);
		if (!err)
			err = meta_segment_apply(o, &first);
		if (!err)
			err = segment_close(o, &o->order[i]);
		o->j->log.segment[o->order[i].index].state = SEGMENT_FULL;
	}
	return err;
}

/* ---- chunks ---- */

static int birth_compare(const void *a, const void *b)
{
	uint64_t x = (*(struct region *const *)a)->birth, y = (*(struct region *const *)b)->birth;

	return x < y ? -1 : x > y;
}

static int births_sort(struct load *o)
{
	const struct regions *t = o->j->regions;

	o->births = t->count;
	o->by_birth = malloc((t->count + 1) * sizeof(*o->by_birth));
	if (!o->by_birth)
		return -ENOMEM;
	if (t->count)
		memcpy(o->by_birth, t->sorted, t->count * sizeof(*o->by_birth));
	qsort(o->by_birth, o->births, sizeof(*o->by_birth), birth_compare);
	return 0;
}

static struct region *region_born(const struct load *o, uint64_t birth)
{
	unsigned from = 0, to = o->births;

	while (from < to) {
		unsigned at = (from + to) / 2;

		if (o->by_birth[at]->birth < birth)
			from = at + 1;
		else
			to = at;
	}
	return from < o->births && o->by_birth[from]->birth == birth ? o->by_birth[from] : NULL;
}

static void zero_apply(struct load *o, struct region *r, const struct keep_record *k, uint32_t segment)
{
	uint64_t left = k->at < r->entries_chunks ? r->entries_chunks - k->at : 0;
	uint64_t count = k->count < left ? k->count : left;

	for (uint64_t c = k->at; c < k->at + count; c++) {
		if (r->places[c].segment)
			continue;
		chunk_restore_zero(r, c, k->version);
		chunk_place_set(o->j->regions, r, c, segment + 1, k->count == 1 ? KEEP_UNIT : 0);
	}
}

/* False: no room. */
static bool data_apply(struct load *o, const struct scan_record *s, uint32_t segment)
{
	struct regions *t = o->j->regions;
	const struct keep_record *k = &s->r;
	struct region *r = region_born(o, k->birth);
	bool damaged = k->type == KEEP_DAMAGED || !s->whole, room;

	if (k->birth >= t->births)
		t->births = k->birth + 1;
	/* (Zeros of no version: they were forgotten.) */
	if (!r || (!k->version && k->type != KEEP_ZERO) || k->version > GVM_VERSION_MASK)
		return true;
	if (k->type == KEEP_ZERO) {
		zero_apply(o, r, k, segment);
		return true;
	}
	if ((k->type != KEEP_CHUNK && k->type != KEEP_DAMAGED) || k->at >= r->entries_chunks ||
	    r->places[k->at].segment)
		return true;
	o->j->found.damaged += damaged;
	if (damaged)
		room = chunk_restore_damaged(t, r, k->at, k->version);
	else
		room = chunk_restore(t, r, k->at, k->version, scan_payload(&o->scan, s),
				     (uint32_t)(k->count & KEEP_HEAD_BYTES), k->bytes, k->count >> KEEP_CHECK_SHIFT);
	if (room)
		chunk_place_set(t, r, k->at, segment + 1, keep_record_bytes(k->bytes));
	return room;
}

static int data_load(struct load *o)
{
	for (unsigned i = o->count; i--;) {
		const struct loaded *s = &o->order[i];
		int err;

		if (s->kind != KEEP_DATA)
			continue;
		err = segment_scan(o, s);
		if (err)
			return err;
		if (s->seq >= o->j->file.super.forgiven)
			o->j->found.holes += o->scan.holes;
		for (unsigned k = o->scan.count; k--;)
			if (!data_apply(o, &o->scan.record[k], s->index))
				return -ENOSPC;
		err = segment_close(o, s);
		if (err)
			return err;
		if (o->wish->reading)
			o->wish->reading(o->wish->arg, (uint64_t)(o->count - i) * o->j->log.segment_bytes,
					 (uint64_t)o->count * o->j->log.segment_bytes);
	}
	return 0;
}

static void segments_settle(struct load *o)
{
	struct keep_log *l = &o->j->log;

	l->free = 0;
	for (unsigned i = 0; i < o->count; i++) {
		struct segment *s = &l->segment[o->order[i].index];

		s->kind = o->order[i].kind;
		s->seq = o->order[i].seq;
		if (s->live)
			s->state = SEGMENT_FULL;
	}
	for (uint32_t i = 0; i < l->segments; i++)
		l->free += l->segment[i].state == SEGMENT_FREE;
}

/* A cut whose zero records were not written yet. */
static void cuts_finish(struct load *o)
{
	struct regions *t = o->j->regions;

	for (unsigned i = 0; i < t->count; i++) {
		struct region *r = t->sorted[i];

		for (uint64_t c = region_next_written(r, r->chunks); c < r->entries_chunks;
		     c = region_next_written(r, c + 1))
			if (entry_has_body(&r->entries[c]))
				entry_drop_body(t, r, &r->entries[c]);
		if (r->chunks < r->entries_chunks)
			journal_region_cut(o->j, &r->id);
	}
}

/* What there is may be older than what was answered: from here on it is for those who ask for it. */
static void remains_make(struct regions *t)
{
	for (unsigned at = 0; at < t->count;) {
		struct region *r = t->sorted[at];
		struct gvm_id id = r->id;

		if (r->lease.removes && !r->remains) {
			regions_erase(t,
				      &id); /* of a file without a name: nobody would remove it */
			continue;
		}
		r->remains = true;
		at++;
	}
}

static void load_end(struct load *o, int err)
{
	struct journal *j = o->j;

	free(o->bytes);
	free(o->order);
	free(o->by_birth);
	free(o->scan.record);
	if (err)
		return;
	j->found.lost = o->lost || j->found.holes || !j->file.vouched;
	if (j->found.lost) {
		remains_make(j->regions);
		names_doubt(j->names);
		j->file.super.forgiven = j->log.next_seq;
	}
	regions_restored(j->regions);
	while (regions_reap(j->regions, UINT32_MAX))
		;
	j->found.regions = j->regions->count;
	j->found.chunks = j->regions->totals.chunks;
	j->log.births = j->regions->births;
}

int journal_load(struct journal *j, const struct keep_wish *wish, char *why, size_t why_bytes)
{
	struct load o = {.j = j, .wish = wish};
	int err;

	o.bytes = malloc(j->log.segment_bytes);
	err = o.bytes ? segments_find(&o) : -ENOMEM;
	if (!err)
		err = meta_load(&o);
	if (!err)
		err = births_sort(&o);
	if (!err)
		err = data_load(&o);
	if (!err) {
		segments_settle(&o);
		cuts_finish(&o);
	}
	load_end(&o, err);
	if (err == -ENOSPC)
		snprintf(why, why_bytes, "it holds more than --memory allows: start the node with as much as before");
	else if (err)
		snprintf(why, why_bytes, "it cannot be read: %s", strerror(-err));
	return err;
}
