// SPDX-License-Identifier: GPL-2.0-or-later
/* names.c - the name table: a sorted array, since it is listed far more often than it grows. */
#include "names.h"

#include <stdlib.h>
#include <string.h>

struct name {
	struct gvm_id key;
	uint64_t version;
	uint32_t bytes;
	uint8_t record[];
};

/* As it stands in an answer: key, version, length, record. */
#define LISTED_BYTES(n) (16 + 8 + 4 + (n)->bytes)

void names_deinit(struct names *t)
{
	for (unsigned i = 0; i < t->count; i++)
		free(t->sorted[i]);
	free(t->sorted);
	*t = (struct names){0};
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

uint16_t name_put(struct names *t, const struct gvm_name_put_req *what, const uint8_t *record,
		  uint32_t bytes, uint64_t *detail)
{
	unsigned at = name_place(t, &what->key);
	struct name *old = name_at(t, at, &what->key) ? t->sorted[at] : NULL;
	uint64_t others = t->bytes - (old ? LISTED_BYTES(old) : 0);
	struct name *new;

	if (gvm_id_is_none(&what->key) || !bytes || bytes > GVM_RECORD_MAX)
		return GVM_ERR_INVALID;
	if (old && old->version >= what->version) {
		*detail = old->version;
		return old->version == what->version && old->bytes == bytes &&
				       !memcmp(old->record, record, bytes) ?
			       GVM_OK :
			       GVM_ERR_STALE;
	}
	new = malloc(sizeof(*new) + bytes);
	if (!new)
		return GVM_ERR_NOSPACE;
	*new = (struct name){.key = what->key, .version = what->version, .bytes = bytes};
	memcpy(new->record, record, bytes);
	if (others + LISTED_BYTES(new) > NAMES_BYTES_MAX ||
	    (!old && (t->count == NAMES_COUNT_MAX || !names_make_room(t)))) {
		free(new);
		return GVM_ERR_NOSPACE;
	}
	if (!old) {
		memmove(&t->sorted[at + 1], &t->sorted[at], (t->count - at) * sizeof(*t->sorted));
		t->count++;
	}
	free(old);
	t->sorted[at] = new;
	t->bytes = others + LISTED_BYTES(new);
	return GVM_OK;
}

uint32_t name_list(const struct names *t, const struct gvm_name_list_req *what,
		   struct gvm_name_list_rsp *rsp, uint8_t *buf)
{
	unsigned at = name_place(t, &what->after);
	uint8_t *p = buf;

	if (name_at(t, at, &what->after))
		at++;
	rsp->count = 0;
	for (; at < t->count; at++, rsp->count++) {
		const struct name *n = t->sorted[at];

		if (LISTED_BYTES(n) > (size_t)(buf + GVM_DATA_MAX - p))
			break;
		memcpy(p, n->key.b, 16);
		gvm_store_le(p + 16, n->version, 8);
		gvm_store_le(p + 24, n->bytes, 4);
		memcpy(p + 28, n->record, n->bytes);
		p += LISTED_BYTES(n);
	}
	rsp->more = at < t->count;
	return (uint32_t)(p - buf);
}
