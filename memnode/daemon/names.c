// SPDX-License-Identifier: GPL-2.0-or-later
/* names.c - the name table: a sorted array, since it is listed far more often than it grows. */
#include "names.h"

#include "../names_mutant.h"

#include <stdlib.h>
#include <string.h>

struct name {
	struct gvm_id key;
	uint64_t table, born, version;
	uint64_t changed; /* the table's stamp then */
	TAILQ_ENTRY(name) changes;
	uint32_t bytes; /* 0: a tombstone */
	uint8_t record[];
};

/* As it stands in an answer: key, table, born, version, length, record. */
#define LISTED_BYTES(n) (GVM_NAME_ENTRY_BYTES + (n)->bytes)

void names_init(struct names *t, unsigned count_max, uint64_t life)
{
	*t = (struct names){.count_max = count_max, .stamp = life, .told_from = life};
	TAILQ_INIT(&t->changes);
}

void names_deinit(struct names *t)
{
	for (unsigned i = 0; i < t->count; i++)
		free(t->sorted[i]);
	free(t->sorted);
	names_init(t, t->count_max, t->stamp + 1);
}

/* Where `key` stands, or would. */
static unsigned name_place(const struct names *t, const struct gvm_id *key)
{
	unsigned from = 0, to = t->count;

	while (from < to) {
		unsigned at = (from + to) / 2;

		if (memcmp(&t->sorted[at]->key, key, sizeof(*key)) < 0)
			from = at + 1;
		else
			to = at;
	}
	return from;
}

static bool name_at(const struct names *t, unsigned at, const struct gvm_id *key)
{
	return at < t->count && gvm_id_equal(&t->sorted[at]->key, key);
}

static bool names_make_room(struct names *t)
{
	unsigned room = t->room ? 2 * t->room : 64;
	struct name **sorted;

	if (t->count < t->room)
		return true;
	sorted = realloc(t->sorted, room * sizeof(*sorted));
	if (!sorted)
		return false;
	t->sorted = sorted;
	t->room = room;
	return true;
}

/* A table that was large once need not stay so. */
static void names_give_room_back(struct names *t)
{
	unsigned room = t->count < 32 ? 64 : 2 * t->count;
	struct name **sorted;

	if (t->room <= 2 * room)
		return;
	sorted = realloc(t->sorted, room * sizeof(*sorted));
	if (!sorted)
		return;
	t->sorted = sorted;
	t->room = room;
}

static struct gvm_id horizon_key(uint64_t table)
{
	struct gvm_id key = {{0}};

	gvm_store_le(key.b + 8, table, 8);
	return key;
}

uint64_t names_horizon(const struct names *t, uint64_t table)
{
	struct gvm_id key = horizon_key(table);
	unsigned at = name_place(t, &key);

	return name_at(t, at, &key) ? t->sorted[at]->born : 0;
}

/* Whether a key that is not here may be created: a tombstone always may (below the horizon it has no
 * effect). */
static uint16_t name_may_begin(const struct names *t, const struct gvm_name_put_req *what,
			       uint32_t bytes, uint64_t *detail)
{
	if (!bytes)
		return GVM_OK;
	*detail = names_horizon(t, what->table);
	if (what->born <= *detail && !NAMES_MUTANT(HORIZON_NOT_SAID))
		return GVM_ERR_GONE;
	if (NAMES_MUTANT(FENCE_NOT_KEPT))
		return GVM_OK;
	if (what->born <= t->fence &&
	    (!what->round || (what->round != t->round && !NAMES_MUTANT(FENCE_OPEN_TO_ANY_ROUND)))) {
		*detail = t->fence;
		return GVM_ERR_FENCED;
	}
	return GVM_OK;
}

/*
 * Whether `old` may be replaced: by a tombstone, or by a newer version. *done: nothing is to
 * change.
 */
static uint16_t name_may_change(const struct name *old, const struct gvm_name_put_req *what,
				const uint8_t *record, uint32_t bytes, bool *done, uint64_t *detail)
{
	*done = true;
	*detail = old->version;
	if (!old->bytes && !(NAMES_MUTANT(TOMBSTONE_NOT_FINAL) && what->version > old->version))
		return bytes ? GVM_ERR_GONE : GVM_OK;
	if (bytes && old->version == what->version && old->bytes == bytes &&
	    !memcmp(old->record, record, bytes))
		return GVM_OK;
	if (bytes && old->version >= what->version && !NAMES_MUTANT(PUT_OF_OLD))
		return GVM_ERR_STALE;
	*done = false;
	return GVM_OK;
}

/* A full table still takes tombstones, also of names that only other nodes have: they are dropped
 * later. */
static bool names_are_full(const struct names *t, const struct name *old, const struct name *new)
{
	uint64_t bytes = t->bytes - (old ? LISTED_BYTES(old) : 0) + LISTED_BYTES(new);
	unsigned most = t->count_max + (new->bytes ? 0 : t->count_max / 16 + NAMES_COUNT_MIN);

	return (new->bytes && bytes > NAMES_BYTES_MAX && bytes > t->bytes) ||
	       (!old && t->count >= most);
}

/* Puts it in the place of `old`, or at `at` if there is none. */
static bool name_set(struct names *t, unsigned at, struct name *old, const struct name *what,
		     const uint8_t *record)
{
	struct name *new = malloc(sizeof(*new) + what->bytes);

	if (!new || (!old && !names_make_room(t))) {
		free(new);
		return false;
	}
	*new = *what;
	if (what->bytes)
		memcpy(new->record, record, what->bytes);
	if (old) {
		t->bytes -= LISTED_BYTES(old);
		TAILQ_REMOVE(&t->changes, old, changes);
		free(old);
	} else {
		memmove(&t->sorted[at + 1], &t->sorted[at], (t->count - at) * sizeof(*t->sorted));
		t->count++;
	}
	t->sorted[at] = new;
	t->bytes += LISTED_BYTES(new);
	new->changed = ++t->stamp;
	TAILQ_INSERT_TAIL(&t->changes, new, changes);
	return true;
}

uint16_t name_put(struct names *t, const struct gvm_name_put_req *what, const uint8_t *record,
		  uint32_t bytes, uint64_t *detail)
{
	struct name new = {.key = what->key, .table = what->table, .born = what->born,
			   .version = what->version, .bytes = bytes};
	unsigned at = name_place(t, &what->key);
	struct name *old = name_at(t, at, &what->key) ? t->sorted[at] : NULL;
	bool done = false;
	uint16_t status;

	if (gvm_name_is_horizon(&what->key) || !what->born || what->born > what->version ||
	    what->version > GVM_NAME_VERSION_MAX || bytes > GVM_RECORD_MAX)
		return GVM_ERR_INVALID;
	status = old ? name_may_change(old, what, record, bytes, &done, detail)
		     : name_may_begin(t, what, bytes, detail);
	if (status || done)
		return status;
	if (!old && what->born <= names_horizon(t, what->table) &&
	    !NAMES_MUTANT(TOMBSTONE_OF_FORGOTTEN) && !NAMES_MUTANT(HORIZON_NOT_SAID))
		return GVM_OK; /* a tombstone below the horizon has no effect */
	if (names_are_full(t, old, &new) ||
	    !name_set(t, at, old, &new, record))
		return GVM_ERR_NOSPACE;
	t->gone += !bytes; /* `old` was no tombstone: name_may_change() */
	return GVM_OK;
}

static uint16_t round_check(const struct names *t, uint64_t round, uint64_t *detail)
{
	*detail = t->fence;
	return round == t->round ? GVM_OK : GVM_ERR_FENCED;
}

static uint8_t *name_pack(const struct name *n, uint8_t *p)
{
	memcpy(p, n->key.b, 16);
	gvm_store_le(p + 16, n->table, 8);
	gvm_store_le(p + 24, n->born, 8);
	gvm_store_le(p + 32, n->version, 8);
	gvm_store_le(p + 40, n->bytes, 4);
	memcpy(p + GVM_NAME_ENTRY_BYTES, n->record, n->bytes);
	return p + LISTED_BYTES(n);
}

/* What has changed since: true if all of that is known, and there was room for it. It takes as long as it is
 * much, however many names there are. */
static bool changes_list(const struct names *t, uint64_t since, struct gvm_name_list_rsp *rsp, uint8_t *buf,
			 uint32_t *bytes)
{
	const struct name *n;
	uint8_t *p = buf;

	if (since < t->told_from || since > t->stamp)
		return false;
	TAILQ_FOREACH_REVERSE (n, &t->changes, name_changes, changes) {
		if (n->changed <= since)
			break;
		if (LISTED_BYTES(n) > (size_t)(buf + GVM_DATA_MAX - p))
			return false;
		p = name_pack(n, p);
		rsp->count++;
	}
	rsp->since = since;
	*bytes = (uint32_t)(p - buf);
	return true;
}

uint16_t name_list(const struct names *t, const struct gvm_name_list_req *what,
		   struct gvm_name_list_rsp *rsp, uint8_t *buf, uint32_t *bytes, uint64_t *detail)
{
	unsigned at;
	uint8_t *p = buf;

	if (what->round && round_check(t, what->round, detail))
		return GVM_ERR_FENCED;
	*rsp = (struct gvm_name_list_rsp){.fence = t->fence, .stamp = t->stamp};
	if (what->since && gvm_id_is_none(&what->after) &&
	    changes_list(t, what->since, rsp, buf, bytes))
		return GVM_OK;
	rsp->count = 0;
	at = name_place(t, &what->after);
	if (name_at(t, at, &what->after))
		at++;
	for (; at < t->count; at++, rsp->count++) {
		const struct name *n = t->sorted[at];

		if (LISTED_BYTES(n) > (size_t)(buf + GVM_DATA_MAX - p))
			break;
		p = name_pack(n, p);
	}
	rsp->more = at < t->count;
	*bytes = (uint32_t)(p - buf);
	return GVM_OK;
}

uint16_t name_fence(struct names *t, const struct gvm_name_fence_req *what)
{
	if (!what->round || what->upto > GVM_NAME_VERSION_MAX)
		return GVM_ERR_INVALID;
	t->round = what->round;
	t->round_upto = what->upto;
	if (what->upto > t->fence)
		t->fence = what->upto;
	return GVM_OK;
}

static bool horizon_raise(struct names *t, uint64_t table, uint64_t upto)
{
	struct name new = {
		.key = horizon_key(table), .table = table, .born = upto, .version = upto};
	unsigned at = name_place(t, &new.key);
	struct name *old = name_at(t, at, &new.key) ? t->sorted[at] : NULL;

	if (old && old->born >= upto)
		return true;
	/* Also in a full table: raising the horizon makes room. */
	return name_set(t, at, old, &new, NULL);
}

static void tombstones_drop(struct names *t, uint64_t table, uint64_t horizon)
{
	unsigned kept = 0;

	for (unsigned at = 0; at < t->count; at++) {
		struct name *n = t->sorted[at];

		if (n->bytes || gvm_name_is_horizon(&n->key) || n->table != table || n->born > horizon) {
			t->sorted[kept++] = n;
			continue;
		}
		t->bytes -= LISTED_BYTES(n);
		t->gone--;
		TAILQ_REMOVE(&t->changes, n, changes);
		free(n);
	}
	if (kept < t->count && !NAMES_MUTANT(FORGOTTEN_NOT_TOLD))
		t->told_from = ++t->stamp;
	t->count = kept;
	names_give_room_back(t);
}

uint16_t name_forget(struct names *t, const struct gvm_name_forget_req *what, uint64_t *detail)
{
	if (!what->round)
		return GVM_ERR_INVALID;
	if (round_check(t, what->round, detail) && !NAMES_MUTANT(FORGET_OF_ANY_ROUND))
		return GVM_ERR_FENCED;
	if (t->round_upto && !horizon_raise(t, what->table, t->round_upto))
		return GVM_ERR_NOSPACE;
	tombstones_drop(t, what->table, names_horizon(t, what->table));
	return GVM_OK;
}

static void image_take(const struct name *n, struct name_image *image)
{
	*image = (struct name_image){n->key, n->table, n->born, n->version, n->bytes, n->record};
}

bool name_find(const struct names *t, const struct gvm_id *key, struct name_image *image)
{
	unsigned at = name_place(t, key);

	if (!name_at(t, at, key))
		return false;
	image_take(t->sorted[at], image);
	return true;
}

bool names_next(const struct names *t, const struct gvm_id *after, struct name_image *image)
{
	unsigned at = after ? name_place(t, after) : 0;

	if (after && name_at(t, at, after))
		at++;
	if (at >= t->count)
		return false;
	image_take(t->sorted[at], image);
	return true;
}

bool name_restore(struct names *t, const struct name_image *image)
{
	struct name new = {.key = image->key, .table = image->table, .born = image->born,
			   .version = image->version, .bytes = image->bytes};
	unsigned at = name_place(t, &image->key);
	struct name *old = name_at(t, at, &image->key) ? t->sorted[at] : NULL;
	bool horizon = gvm_name_is_horizon(&image->key);

	if (old && !old->bytes && !horizon)
		return true; /* a tombstone is final */
	if (!name_set(t, at, old, &new, image->record))
		return false;
	t->gone += !image->bytes && !horizon;
	return true;
}

void names_restore_fence(struct names *t, uint64_t fence, uint64_t round, uint64_t upto)
{
	t->fence = fence;
	t->round = round;
	t->round_upto = upto;
}

bool names_restore_forget(struct names *t, uint64_t table, uint64_t horizon)
{
	if (!horizon_raise(t, table, horizon))
		return false;
	tombstones_drop(t, table, horizon);
	return true;
}

void names_doubt(struct names *t)
{
	unsigned kept = 0;

	for (unsigned at = 0; at < t->count; at++) {
		struct name *n = t->sorted[at];

		if (!gvm_name_is_horizon(&n->key)) {
			t->sorted[kept++] = n;
			continue;
		}
		t->bytes -= LISTED_BYTES(n);
		TAILQ_REMOVE(&t->changes, n, changes);
		free(n);
	}
	t->count = kept;
	t->told_from = ++t->stamp;
	t->fence = t->round = t->round_upto = 0;
}
