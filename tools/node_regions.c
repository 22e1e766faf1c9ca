// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * node_regions.c - see node_regions.h.
 *
 * A region is known by its id, a name by its record, which bears the same id. A host that lost power
 * in the middle of a create, or a node that was away at a delete, leaves one without the other.
 */
#include "node_regions.h"

#include "json_out.h"
#include "memnode/size.h"
#include "say.h"
#include "state/record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEADLINE_NS (5ull * 1000 * 1000 * 1000)
#define ID_TEXT	    33

struct held {
	struct gvm_id id;
	uint64_t chunks, held_bytes;
	/* its record */
	bool named, gone;
	uint64_t table, born, version;
	struct record rec;
};

struct helds {
	struct held *list;
	size_t count;
};

struct ask {
	struct gvm_call call; /* first */
	struct helds *all;
	struct gvm_id after;
	bool more;
	int error;
	struct gvm_region_open_rsp open;
};

static int ask_wait(struct gvm_conn *conn, struct ask *ask)
{
	int r = gvm_conn_wait(conn, &ask->call.req);

	return r ? r : ask->error;
}

static struct gvm_call *ask_begin(struct ask *ask, gvm_done_fn *done)
{
	ask->call.req = (struct gvm_req){.done = done, .deadline_ns = gvm_now_ns() + DEADLINE_NS};
	return &ask->call;
}

static void regions_listed(struct gvm_req *req)
{
	struct ask *ask = (struct ask *)req;
	const struct gvm_region_list_rsp *rsp = &ask->call.rsp.region_list;
	struct held *bigger;

	if (req->result)
		return;
	ask->more = rsp->more && rsp->count;
	bigger = realloc(ask->all->list, (ask->all->count + rsp->count + 1) * sizeof(*bigger));
	if (!bigger) {
		ask->error = -ENOMEM;
		return;
	}
	ask->all->list = bigger;
	for (uint32_t i = 0; i < rsp->count; i++) {
		const uint8_t *p = ask->call.data + 32 * i;
		struct held *h = &bigger[ask->all->count++];

		memset(h, 0, sizeof(*h));
		memcpy(h->id.b, p, 16);
		h->chunks = gvm_load_le(p + 16, 8);
		h->held_bytes = gvm_load_le(p + 24, 8);
		ask->after = h->id;
	}
}

static struct held *held_find(struct helds *all, const uint8_t *id)
{
	for (size_t i = 0; i < all->count; i++)
		if (!memcmp(all->list[i].id.b, id, 16))
			return &all->list[i];
	return NULL;
}

static void names_listed(struct gvm_req *req)
{
	struct ask *ask = (struct ask *)req;
	const struct gvm_name_list_rsp *rsp = &ask->call.rsp.name_list;
	const uint8_t *p = ask->call.data;

	if (req->result)
		return;
	ask->more = rsp->more && rsp->count;
	/* The library has checked that the entries add up. */
	for (uint32_t i = 0; i < rsp->count; i++) {
		uint32_t bytes = (uint32_t)gvm_load_le(p + 40, 4);
		struct held *h = held_find(ask->all, p);

		memcpy(ask->after.b, p, 16);
		if (h) {
			h->table = gvm_load_le(p + 16, 8);
			h->born = gvm_load_le(p + 24, 8);
			h->version = gvm_load_le(p + 32, 8);
			h->gone = !bytes;
			h->named = bytes && !record_unpack(&h->rec, p + GVM_NAME_ENTRY_BYTES, bytes);
		}
		p += GVM_NAME_ENTRY_BYTES + bytes;
	}
}

static int helds_read(struct gvm_conn *conn, struct helds *all)
{
	struct ask ask = {.all = all, .more = true};
	int r = 0;

	while (!r && ask.more) {
		struct gvm_region_list_req what = {.after = ask.after};

		gvm_region_list(conn, ask_begin(&ask, regions_listed), &what);
		r = ask_wait(conn, &ask);
	}
	ask = (struct ask){.all = all, .more = true};
	while (!r && ask.more) {
		struct gvm_name_list_req what = {.after = ask.after};

		gvm_name_list(conn, ask_begin(&ask, names_listed), &what);
		r = ask_wait(conn, &ask);
	}
	return r;
}

static void region_looked(struct gvm_req *req)
{
	struct ask *ask = (struct ask *)req;

	if (!req->result)
		ask->open = ask->call.rsp.region_open;
}

static int region_look(struct gvm_conn *conn, const struct gvm_id *id, struct ask *ask)
{
	struct gvm_region_open_req what = {.region = *id};

	gvm_region_open(conn, ask_begin(ask, region_looked), &what);
	return ask_wait(conn, ask);
}

static const char *id_text(const struct gvm_id *id, char text[ID_TEXT])
{
	for (unsigned i = 0; i < sizeof(id->b); i++)
		snprintf(text + 2 * i, 3, "%02x", id->b[i]);
	return text;
}

enum held_kind { HELD_FILE, HELD_TEMPORARY, HELD_UNLINKED, HELD_REMOVED, HELD_UNNAMED };

/* For programs, and in words that come before its name. */
static const struct {
	const char *word, *says;
} held_kinds[] = {
	[HELD_FILE] = {"file", "file:"},
	[HELD_TEMPORARY] = {"temporary", "temporary, for one run of a guest:"},
	[HELD_UNLINKED] = {"unlinked", "unlinked, was:"},
	[HELD_REMOVED] = {"removed", "removed: its name is, this node kept its part"},
	[HELD_UNNAMED] = {"unnamed", "no record names it"},
};

static enum held_kind held_kind(const struct held *h)
{
	if (!h->named)
		return h->gone ? HELD_REMOVED : HELD_UNNAMED;
	return h->rec.orphan ? HELD_UNLINKED : h->rec.temporary ? HELD_TEMPORARY : HELD_FILE;
}

static struct json_object *held_json(const struct held *h, bool writer)
{
	struct json_object *o = json_object_new_object();
	char id[ID_TEXT];

	json_text(o, "id", id_text(&h->id, id));
	json_number(o, "size_bytes", h->chunks * GVM_CHUNK_BYTES);
	json_number(o, "held_bytes", h->held_bytes);
	json_flag(o, "in_use", writer);
	json_text(o, "kind", held_kinds[held_kind(h)].word);
	json_text(o, "name", h->named ? h->rec.name : NULL);
	return o;
}

static void held_print(const struct held *h, bool writer)
{
	char id[ID_TEXT], size[SIZE_TEXT], held[SIZE_TEXT];

	/* The name may be anything but a slash: on a terminal it must not be more than a name. */
	printf("region %s %s, %s held, %s, %s ", id_text(&h->id, id),
	       size_text(h->chunks * GVM_CHUNK_BYTES, size), size_text(h->held_bytes, held),
	       writer ? "in use" : "no writer", held_kinds[held_kind(h)].says);
	for (const char *c = h->named ? h->rec.name : ""; *c; c++)
		putchar((unsigned char)*c < ' ' || *c == 0x7f ? '?' : *c);
	putchar('\n');
}

/* `list` NULL: prints. */
static int regions_show(struct gvm_conn *conn, struct json_object *list)
{
	struct helds all = {0};
	struct ask ask = {0};
	int r = helds_read(conn, &all);

	for (size_t i = 0; !r && i < all.count; i++) {
		bool writer;

		r = region_look(conn, &all.list[i].id, &ask);
		writer = ask.open.writer >= GVM_WRITER_AWAY;
		if (!r && list)
			json_object_array_add(list, held_json(&all.list[i], writer));
		else if (!r)
			held_print(&all.list[i], writer);
		else if (r == -ENOMEDIUM)
			r = 0; /* gone meanwhile */
	}
	free(all.list);
	return r;
}

int node_regions_print(struct gvm_conn *conn)
{
	return regions_show(conn, NULL);
}

int node_regions_json(struct gvm_conn *conn, struct json_object *list)
{
	return regions_show(conn, list);
}

static void plain_done(struct gvm_req *req)
{
	(void)req;
}

static int held_remove(struct gvm_conn *conn, const struct held *h)
{
	struct gvm_region_delete_req what = {.region = h->id};
	struct gvm_name_put_req tombstone = {
		.key = h->id, .table = h->table, .born = h->born, .version = h->version + 1};
	char id[ID_TEXT];
	struct ask ask = {0};
	int r = region_look(conn, &h->id, &ask);

	id_text(&h->id, id);
	if (!r && ask.open.writer >= GVM_WRITER_AWAY) {
		say("%s is in use: a writer has it", id);
		return -EBUSY;
	}
	if (h->named && !h->rec.orphan && !h->rec.temporary) {
		say("%s is the file %s: remove that, where it is mounted", id, h->rec.name);
		return -EBUSY;
	}
	what.epoch = ask.open.epoch;
	what.order = ~0ull;
	if (!r) {
		gvm_region_delete(conn, ask_begin(&ask, plain_done), &what);
		r = ask_wait(conn, &ask);
	}
	if (!r && h->named) {
		gvm_name_put(conn, ask_begin(&ask, plain_done), &tombstone, NULL, 0);
		r = ask_wait(conn, &ask);
	}
	if (r)
		say("%s cannot be removed: %s", id, strerror(-r));
	else
		printf("removed %s\n", id);
	return r;
}

int node_region_remove(struct gvm_conn *conn, const char *id)
{
	const struct held *found = NULL;
	struct helds all = {0};
	char text[ID_TEXT];
	int r = helds_read(conn, &all);

	for (size_t i = 0; !r && i < all.count; i++) {
		if (strncmp(id_text(&all.list[i].id, text), id, strlen(id)) != 0)
			continue;
		if (found) {
			say("%s: more than one region's id begins so", id);
			r = -EINVAL;
		}
		found = &all.list[i];
	}
	if (!r && found)
		r = held_remove(conn, found);
	else if (!r)
		r = NODE_REGION_NONE;
	free(all.list);
	return r;
}
