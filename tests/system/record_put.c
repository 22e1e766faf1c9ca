// SPDX-License-Identifier: GPL-2.0-or-later
/* record_put - stores a record on a node that no mount would: record_put NODE NAME ADDRESS makes a
 * region of 1 MiB that lies on a node of that address. */
#include "gvm_client.h"
#include "record.h"

#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
	static const uint64_t weight[RECORD_NODES_MAX] = {1};
	static struct record rec = {
		.kind = RECORD_REGION, .mode = 0644, .size_bytes = 1 << 20, .view = 1, .node_count = 1};
	static uint8_t packed[RECORD_BYTES_MAX];
	struct gvm_name_put_req what = {.key = {{1}}, .version = 1};
	struct gvm_conn_opts opts = {0};
	struct gvm_call call = {0};
	struct gvm_conn *conn;
	int r;

	if (argc != 4 || gvm_conn_create(argv[1], &opts, &conn) < 0) {
		fprintf(stderr, "usage: record_put NODE NAME ADDRESS\n");
		return 2;
	}
	rec.nodes[0].incarnation.b[0] = 1;
	snprintf(rec.name, sizeof(rec.name), "%s", argv[2]);
	snprintf(rec.nodes[0].addr, sizeof(rec.nodes[0].addr), "%s", argv[3]);
	record_place(&rec, weight);
	gvm_name_put(conn, &call, &what, packed, record_pack(&rec, packed));
	r = gvm_conn_wait(conn, &call.req);
	gvm_conn_destroy(conn);
	if (r < 0)
		fprintf(stderr, "record_put: %s\n", strerror(-r));
	return r < 0;
}
