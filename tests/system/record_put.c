// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * record_put - stores on a node what no mount would, or not so fast:
 *	record_put NODE NAME ADDRESS       a region of 1 MiB that lies on a node of that address
 *	record_put NODE --tombstones N     N names that were removed
 *	record_put NODE --folders N        N empty folders
 *	record_put NODE --fence UPTO       a fence, and no more of its round
 *	record_put NODE --note TEXT        TEXT, beside each region that the node has
 *	record_put NODE --swap A/B         the names A and B exchanged, each a file or folder of the root
 */
#include "gvm_client.h"
#include "state/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLE 1
#define LATER 2000000

static struct record rec = {.mode = 0755};
static uint8_t packed[RECORD_BYTES_MAX];

static int put(struct gvm_conn *conn, struct gvm_id key, uint64_t born, size_t bytes)
{
	struct gvm_name_put_req what = {.key = key, .table = TABLE, .born = born, .version = born};
	struct gvm_call call = {0};

	gvm_name_put(conn, &call, &what, packed, bytes);
	return gvm_conn_wait(conn, &call.req);
}

static int put_many(struct gvm_conn *conn, unsigned long count, bool tombstones)
{
	struct gvm_id key = {{0}};
	int r = 0;

	rec.kind = RECORD_FOLDER;
	for (unsigned long i = 1; !r && i <= count; i++) {
		gvm_store_le(key.b, i, 8); /* the same on every node */
		snprintf(rec.name, sizeof(rec.name), "folder-%lu", i);
		/* Folders are born after whatever fence a test has put up. */
		r = put(conn, key, tombstones ? i : i + LATER, tombstones ? 0 : record_pack(&rec, packed));
	}
	return r;
}

static int put_region(struct gvm_conn *conn, const char *name, const char *address)
{
	static const uint64_t weight[RECORD_NODES_MAX] = {1};

	rec.kind = RECORD_REGION;
	rec.mode = 0644;
	rec.size_bytes = 1 << 20;
	rec.view = rec.node_count = rec.replicas = 1;
	rec.nodes[0].incarnation.b[0] = 1;
	snprintf(rec.name, sizeof(rec.name), "%s", name);
	snprintf(rec.nodes[0].addr, sizeof(rec.nodes[0].addr), "%s", address);
	if (record_place(&rec, weight, NULL))
		return -1;
	return put(conn, (struct gvm_id){{1}}, 1, record_pack(&rec, packed));
}

static int fence(struct gvm_conn *conn, uint64_t upto)
{
	struct gvm_call call = {0};

	gvm_name_fence(conn, &call, &(struct gvm_name_fence_req){.round = 1, .upto = upto});
	return gvm_conn_wait(conn, &call.req);
}

static int note(struct gvm_conn *conn, const struct gvm_id *region, const char *text)
{
	struct gvm_call stat = {0}, call = {0};
	int r;

	gvm_region_stat(conn, &stat, &(struct gvm_region_stat_req){*region});
	r = gvm_conn_wait(conn, &stat.req);
	if (r)
		return r;
	gvm_region_note(conn, &call, &(struct gvm_region_note_req){*region, stat.rsp.region_stat.epoch}, text, strlen(text));
	return gvm_conn_wait(conn, &call.req);
}

/* Its data are valid in here only. */
static void listed(struct gvm_req *req)
{
	struct gvm_call *call = (struct gvm_call *)req;
	struct gvm_id *ids = req->arg;

	for (unsigned i = 0; !req->result && i < call->rsp.region_list.count && i < 16; i++)
		memcpy(ids[i].b, call->data + 32 * i, 16);
}

static int note_all(struct gvm_conn *conn, const char *text)
{
	struct gvm_id ids[16];
	struct gvm_call call = {.req = {.done = listed, .arg = ids}};
	int r;

	gvm_region_list(conn, &call, &(struct gvm_region_list_req){.after = {{0}}});
	r = gvm_conn_wait(conn, &call.req);
	for (unsigned i = 0; !r && i < call.rsp.region_list.count && i < 16; i++)
		r = note(conn, &ids[i], text);
	return r;
}

/* A name of the table, as a list has it. */
struct listed_name {
	struct gvm_name_put_req what;
	struct record rec;
	bool found;
};

static void names_listed(struct gvm_req *req)
{
	struct gvm_call *call = (struct gvm_call *)req;
	struct listed_name *names = req->arg;
	const uint8_t *p = call->data;

	for (unsigned i = 0; !req->result && i < call->rsp.name_list.count; i++) {
		uint32_t bytes = (uint32_t)gvm_load_le(p + 40, 4);
		static struct record of;

		for (unsigned n = 0; bytes && !record_unpack(&of, p + GVM_NAME_ENTRY_BYTES, bytes) && n < 2; n++) {
			if (strcmp(of.name, names[n].rec.name) != 0 || names[n].found)
				continue;
			names[n].rec = of;
			memcpy(names[n].what.key.b, p, sizeof(names[n].what.key.b));
			names[n].what.table = gvm_load_le(p + 16, 8);
			names[n].what.born = gvm_load_le(p + 24, 8);
			names[n].what.version = gvm_load_le(p + 32, 8);
			names[n].found = true;
			break;
		}
		p += GVM_NAME_ENTRY_BYTES + bytes;
	}
}

static int name_swap(struct gvm_conn *conn, char *both)
{
	const char *a = strtok(both, "/"), *b = strtok(NULL, "/");
	static struct listed_name names[2];
	struct gvm_call list = {.req = {.done = names_listed, .arg = names}};
	int r;

	snprintf(names[0].rec.name, sizeof(names[0].rec.name), "%s", a);
	snprintf(names[1].rec.name, sizeof(names[1].rec.name), "%s", b);
	gvm_name_list(conn, &list, &(struct gvm_name_list_req){.round = 0});
	r = gvm_conn_wait(conn, &list.req);
	for (unsigned n = 0; !r && n < 2; n++) {
		struct gvm_call call = {0};

		if (!names[n].found)
			return -1;
		names[n].what.version += 1000;
		snprintf(names[n].rec.name, sizeof(names[n].rec.name), "%s", n ? a : b);
		gvm_name_put(conn, &call, &names[n].what, packed, record_pack(&names[n].rec, packed));
		r = gvm_conn_wait(conn, &call.req);
	}
	return r;
}

int main(int argc, char **argv)
{
	struct gvm_conn_opts opts = {0};
	struct gvm_conn *conn;
	int r;

	if (argc != 4 || gvm_conn_create(argv[1], &opts, &conn) < 0) {
		fprintf(stderr, "usage: record_put NODE NAME ADDRESS\n");
		return 2;
	}
	if (!strcmp(argv[2], "--tombstones"))
		r = put_many(conn, strtoul(argv[3], NULL, 10), true);
	else if (!strcmp(argv[2], "--folders"))
		r = put_many(conn, strtoul(argv[3], NULL, 10), false);
	else if (!strcmp(argv[2], "--fence"))
		r = fence(conn, strtoull(argv[3], NULL, 10));
	else if (!strcmp(argv[2], "--note"))
		r = note_all(conn, argv[3]);
	else if (!strcmp(argv[2], "--swap") && strchr(argv[3], '/'))
		r = name_swap(conn, argv[3]);
	else
		r = put_region(conn, argv[2], argv[3]);
	gvm_conn_destroy(conn);
	if (r < 0)
		fprintf(stderr, "record_put: %s\n", strerror(-r));
	return r < 0;
}
