// SPDX-License-Identifier: GPL-2.0-or-later
/* client_sealed.c - sealed chunks through the client library: over a way that damages them, to a node that
 * knows none, and a node that changes them. */
#include "client_rig.h"
#include "seal.h"

#include <errno.h>
#include <signal.h>

static const uint8_t master[32] = "a master key, known to all tests";

static struct rig_node node;
static struct way *way;
static struct gvm_conn *conn;
static struct chunk_codec *codec;
static struct sealer *sealer;
static struct gvm_id region;
static struct seal_known known;
static uint8_t data[GVM_CHUNK_BYTES], got[GVM_CHUNK_BYTES];
static uint32_t got_pages;
static unsigned pieces;

static void conn_open(const char *addr)
{
	struct gvm_conn_opts opts = {.client = 1};

	codec = chunk_codec_create();
	CHECK(codec && !sealer_create(master, sizeof(master), &sealer));
	CHECK_EQ(gvm_conn_create(addr, &opts, &conn), 0);
}

static void conn_close(void)
{
	gvm_conn_destroy(conn);
	sealer_destroy(sealer);
	chunk_codec_destroy(codec);
}

static void begin(unsigned n)
{
	struct gvm_region_create_req create = {.region = rig_region(n), .chunks = 16, .reserve_chunks = 16};
	struct gvm_region_open_req open = {.region = create.region, .mode = 1, .epoch = 1};
	struct gvm_call call = {0};

	region = create.region;
	memset(&known, 0, sizeof(known));
	rig_node_start(&node, NULL);
	way = way_open(node.addr);
	conn_open(way_addr(way));
	gvm_region_create(conn, &call, &create);
	CHECK_EQ(gvm_conn_wait(conn, &call.req), 0);
	gvm_region_open(conn, &call, &open);
	CHECK_EQ(gvm_conn_wait(conn, &call.req), 0);
}

static void end(void)
{
	conn_close();
	way_close(way);
	rig_node_end(&node, SIGTERM);
}

static int put(uint64_t version)
{
	static uint8_t body[GVM_CHUNK_BYTES];
	struct chunk_head head;
	struct gvm_put p = {.what = {region, 1, 3, version, 0}, .head = &head, .body = body};
	int err;

	for (unsigned i = 0; i < GVM_CHUNK_BYTES / 2; i += 8) /* half of it does not compress, half is zero */
		gvm_store_le(data + i, check_random() | 1, 8);
	CHECK_EQ(seal_encode(sealer, codec, data, ~0u, 0, 0, &region, 3, version, &head, body), 0);
	gvm_put(conn, &p);
	err = gvm_conn_wait(conn, &p.req);
	for (unsigned i = 0; !err && i < GVM_CHUNK_PAGES; i++)
		known.page[i] = seal_page_of(&head, i);
	return err;
}

static int take(struct gvm_get *get, uint64_t version, const struct chunk_head *head, const uint8_t *body)
{
	uint32_t valid;
	int err = seal_decode(sealer, codec, head, body, &region, get->what.chunk, version, &known,
			      get->what.page_mask, got, &valid);

	pieces++;
	if (!err)
		got_pages |= valid;
	return err;
}

static int get(uint64_t version)
{
	struct gvm_get g = {.what = {region, 1, 3, version, ~0u, 5}, .on_piece = take};

	memset(got, 0xee, sizeof(got));
	got_pages = pieces = 0;
	gvm_get(conn, &g);
	return gvm_conn_wait(conn, &g.req);
}

static void sealed_chunks_arrive_over_a_damaging_way(void)
{
	unsigned corrupted = 0;

	begin(1);
	for (unsigned n = 1; n < 40; n++) {
		enum way_direction to = n % 2 ? TO_NODE : TO_CLIENT;

		/* In the data mostly: there are 64 KiB of it a transfer. */
		way_fault(way, (struct way_fault){FAULT_FLIP, ~0u, to,
						  way_bytes(way, to) + 3000 + check_random_below(50000)});
		CHECK_EQ(put(gvm_version(1, n)), 0);
		CHECK_EQ(get(gvm_version(1, n)), 0);
		CHECK_EQ(got_pages, ~0u);
		CHECK_MEM(got, data, GVM_CHUNK_BYTES);
		corrupted += pieces > 2;
	}
	CHECK(corrupted > 0);
	end();
}

/* What another client stores in our place, or what the node had before, is no answer. */
static void changed_chunks_are_refused(void)
{
	begin(2);
	CHECK_EQ(put(gvm_version(1, 1)), 0);
	CHECK_EQ(get(gvm_version(1, 1)), 0);
	known.page[3]++; /* as if a newer one had been acknowledged */
	CHECK_EQ(get(gvm_version(1, 1)), -EBADMSG);
	CHECK(pieces >= 2); /* asked for once more before that */
	known.page[3]--;
	known.page[20] = gvm_version(1, 1); /* the node says that it is zero */
	CHECK_EQ(get(gvm_version(1, 1)), -EBADMSG);
	known.page[20] = SEAL_ZERO;
	known.page[3] = SEAL_ZERO;
	CHECK_EQ(get(gvm_version(1, 1)), -EBADMSG);
	known.page[3] = SEAL_UNKNOWN;
	CHECK_EQ(get(gvm_version(1, 1)), 0);
	CHECK_MEM(got, data, GVM_CHUNK_BYTES);
	end();
}

/* Nor what later versions have brought: it would end the connection. */
static void node_is_sent_no_request_that_it_does_not_know(void)
{
	const struct gvm_node_drain_req drain = {.drain = GVM_DRAIN_ASK};
	const struct gvm_region_check_req check = {.region = {{2}}};
	struct gvm_call call = {0};

	gvm_node_drain(conn, &call, &drain);
	CHECK_EQ(gvm_conn_wait(conn, &call.req), -EOPNOTSUPP);
	gvm_node_rot(conn, &call);
	CHECK_EQ(gvm_conn_wait(conn, &call.req), -EOPNOTSUPP);
	gvm_region_check(conn, &call, &check);
	CHECK_EQ(gvm_conn_wait(conn, &call.req), -EOPNOTSUPP);
	gvm_region_held(conn, &call, &check.region, 1);
	CHECK_EQ(gvm_conn_wait(conn, &call.req), -EOPNOTSUPP);
}

/* A node that knows no sealed chunks is told none, whether the request was there before the connection or not. */
static void node_that_knows_no_seals_is_sent_none(void)
{
	struct gvm_hello_rsp hello = {.version = GVM_VERSION, .incarnation = {{1}}, .features = 0};
	uint8_t frame[GVM_HDR_BYTES + GVM_META_MAX], meta[GVM_META_MAX];
	struct gvm_hdr h = {.op = GVM_OP_HELLO, .flags = GVM_FLAG_RESPONSE};
	static uint8_t body[GVM_CHUNK_BYTES];
	struct gvm_put p = {.what = {{{2}}, 1, 3, gvm_version(1, 1), 0}, .body = body};
	struct chunk_head head;
	char addr[64];
	int fd = rig_liar_open(addr, sizeof(addr)), sock;

	h.meta_len = (uint16_t)gvm_hello_rsp_pack(&hello, meta);
	gvm_hdr_pack(&h, meta, frame);
	memcpy(frame + GVM_HDR_BYTES, meta, h.meta_len);
	conn_open(addr);
	memset(data, 3, GVM_CHUNK_BYTES);
	CHECK_EQ(seal_encode(sealer, codec, data, ~0u, 0, 0, &p.what.region, 3, p.what.version, &head, body), 0);
	p.head = &head;
	gvm_put(conn, &p);
	sock = rig_liar_answer(fd, conn, frame, GVM_HDR_BYTES + h.meta_len);
	CHECK(sock >= 0);
	CHECK_EQ(gvm_conn_wait(conn, &p.req), -EOPNOTSUPP);
	rig_run_to(conn, GVM_CONN_UP);
	gvm_put(conn, &p);
	CHECK_EQ(gvm_conn_wait(conn, &p.req), -EOPNOTSUPP);
	node_is_sent_no_request_that_it_does_not_know();
	CHECK_EQ(gvm_conn_state(conn), GVM_CONN_UP);
	close(sock);
	close(fd);
	conn_close();
}

static const struct check_test tests[] = {
	{"sealed-chunks-arrive-over-a-damaging-way", sealed_chunks_arrive_over_a_damaging_way},
	{"changed-chunks-are-refused", changed_chunks_are_refused},
	{"node-that-knows-no-seals-is-sent-none", node_that_knows_no_seals_is_sent_none},
};
CHECK_MAIN(tests)
