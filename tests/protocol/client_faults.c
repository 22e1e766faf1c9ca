// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * client_faults.c - one exchange of every sort of request, while its connection is cut, damaged,
 * frozen or made to repeat itself at every place there is: it always comes to the same end.
 */
#include "client_rig.h"

#include <errno.h>
#include <signal.h>

#define TOGETHER   96 /* exchanges at a time */
#define DEAD_MS	   300
#define CHUNK_A	   3
#define CHUNK_B	   5
#define LIMIT_SECS 120

static const char key[] = "a key of enough bytes";
static struct rig_node node;
static struct chunk_codec *codec;
static unsigned region_next = 1;

struct exchange {
	struct way *way;
	struct gvm_conn *conn;
	struct gvm_id region;
	unsigned step, done_calls, calls;
	unsigned *left;
	struct gvm_call call;
	struct gvm_put put;
	struct gvm_get get;
	struct chunk_head head;
	uint32_t got;
	uint64_t got_version;
	char record[40];
	struct exchange *next;
	uint8_t want[GVM_CHUNK_BYTES], read[GVM_CHUNK_BYTES], body[GVM_CHUNK_BYTES];
};

static struct exchange *spare;

static void page_write(uint8_t *chunk, unsigned page, const struct gvm_id *region, unsigned n)
{
	memset(chunk + page * GVM_PAGE_BYTES, 'a' + (int)(n % 20), GVM_PAGE_BYTES);
	memcpy(chunk + page * GVM_PAGE_BYTES + 100, region, sizeof(*region));
}

static void step_run(struct exchange *x);

static void stepped(struct gvm_req *req)
{
	struct exchange *x = req->arg;

	x->done_calls++;
	if (req->result)
		fprintf(stderr, "step %u ended with %s\n", x->step, strerror(-req->result));
	CHECK_EQ(req->result, 0);
	CHECK_EQ(x->done_calls, x->calls);
	step_run(x);
}

static int piece(struct gvm_get *get, uint64_t version, const struct chunk_head *head,
		 const uint8_t *body)
{
	struct exchange *x = get->req.arg;
	uint32_t valid;
	int err = chunk_decode(codec, head, body, &get->what.region, get->what.chunk, UINT32_MAX,
			       x->read, &valid);

	if (err)
		return err;
	x->got |= valid;
	x->got_version = version;
	return 0;
}

static void put(struct exchange *x, uint64_t chunk, uint64_t seq, uint64_t base, uint32_t blocks)
{
	chunk_encode(codec, x->want, blocks, UINT32_MAX & ~3u, 0, &x->region, chunk, &x->head,
		     x->body);
	x->put = (struct gvm_put){
		.req = {.done = stepped, .arg = x},
		.what = {x->region, 1, chunk, gvm_version(1, seq), base ? gvm_version(1, base) : 0},
		.head = &x->head,
		.body = x->body,
	};
	gvm_put(x->conn, &x->put);
}

static void get(struct exchange *x, uint64_t chunk, uint64_t seq)
{
	x->got = 0;
	memset(x->read, 0xee, sizeof(x->read));
	x->get = (struct gvm_get){
		.req = {.done = stepped, .arg = x},
		.what = {x->region, 1, chunk, gvm_version(1, seq), UINT32_MAX, 1},
		.on_piece = piece,
	};
	gvm_get(x->conn, &x->get);
}

static void read_is(struct exchange *x, uint64_t seq)
{
	CHECK_EQ(x->got, UINT32_MAX);
	CHECK_EQ(x->got_version, gvm_version(1, seq));
	CHECK(!memcmp(x->read, x->want, GVM_CHUNK_BYTES));
}

static void index_is(struct exchange *x)
{
	CHECK_EQ(x->call.data_bytes, 32);
	CHECK_EQ(gvm_load_le(x->call.data, 8), CHUNK_A);
	CHECK_EQ(gvm_load_le(x->call.data + 8, 8), gvm_version(1, 2));
	CHECK_EQ(gvm_load_le(x->call.data + 16, 8), CHUNK_B);
	CHECK_EQ(gvm_load_le(x->call.data + 24, 8), gvm_version(1, 4) | GVM_VERSION_ZERO);
}

static void step_run(struct exchange *x)
{
	struct gvm_region_create_req create = {x->region, 8, 8, 1, 0, 0, 0};
	struct gvm_region_open_req open = {.region = x->region, .mode = 1, .epoch = 1, .view = 1};
	struct gvm_region_close_req close = {x->region, 1};
	struct gvm_region_index_req index = {x->region, 0};
	struct gvm_region_stat_req stat = {x->region};
	struct gvm_region_resize_req resize = {x->region, 1, 6, 6, 1};
	struct gvm_region_delete_req delete = {x->region, 1, 2};
	struct gvm_discard_req discard = {x->region, 1, CHUNK_B, 1, gvm_version(1, 4), 1};
	struct gvm_name_put_req name = {x->region, 1, 7, 7, 0};
	struct gvm_name_list_req names = {.after = x->region};

	memset(&x->call.req, 0, sizeof(x->call.req));
	x->call.req.done = stepped;
	x->call.req.arg = x;
	x->calls++;
	switch (x->step++) {
	case 0:
		gvm_region_create(x->conn, &x->call, &create);
		return;
	case 1:
		gvm_region_open(x->conn, &x->call, &open);
		return;
	case 2:
		CHECK_EQ(x->call.rsp.region_open.epoch, 1);
		page_write(x->want, 0, &x->region, 1);
		page_write(x->want, 1, &x->region, 2);
		put(x, CHUNK_A, 1, 0, 3);
		return;
	case 3:
		page_write(x->want, 1, &x->region, 3);
		put(x, CHUNK_A, 2, 1, 2);
		return;
	case 4:
		get(x, CHUNK_A, 2);
		return;
	case 5:
		read_is(x, 2);
		put(x, CHUNK_B, 3, 0, 3);
		return;
	case 6:
		gvm_discard(x->conn, &x->call, &discard);
		return;
	case 7:
		memset(x->want, 0, sizeof(x->want));
		get(x, CHUNK_B, 4);
		return;
	case 8:
		read_is(x, 4);
		snprintf(x->record, sizeof(x->record), "record of %u", x->region.b[8]);
		gvm_name_put(x->conn, &x->call, &name, x->record, strlen(x->record));
		return;
	case 9:
		gvm_region_index(x->conn, &x->call, &index);
		return;
	case 10:
		index_is(x);
		gvm_region_resize(x->conn, &x->call, &resize);
		return;
	case 11:
		gvm_region_stat(x->conn, &x->call, &stat);
		return;
	case 12:
		CHECK_EQ(x->call.rsp.region_stat.chunks, 6);
		CHECK_EQ(x->call.rsp.region_stat.chunks_held, 1);
		memset(&names.after, 0xff, sizeof(names.after));
		gvm_name_list(x->conn, &x->call, &names);
		return;
	case 13:
		CHECK_EQ(x->call.rsp.name_list.count, 0);
		gvm_region_close(x->conn, &x->call, &close);
		return;
	case 14:
		rig_ping(x->conn, &x->call, 77);
		return;
	case 15:
		CHECK_EQ(x->call.rsp.ping.cookie, 77);
		/* It also makes room for the thousands that follow. */
		gvm_region_delete(x->conn, &x->call, &delete);
		return;
	default:
		x->calls--;
		--*x->left;
	}
}

static void setup(void)
{
	if (codec)
		return;
	codec = chunk_codec_create();
	rig_node_start(&node, rig_key_file(key));
}

static struct exchange *exchange_begin(unsigned *left, struct way_fault fault)
{
	struct gvm_conn_opts opts = {
		.key = key,
		.key_bytes = strlen(key),
		/* A frozen connection ends by this, and one where a damaged length leaves a side
		 * waiting for bytes; nothing else may: what is slow is not dead. */
		.dead_after_ms = fault.kind == FAULT_FREEZE || fault.kind == FAULT_FLIP ?
					 DEAD_MS :
					 LIMIT_SECS * 1000,
	};
	struct exchange *x = spare;

	if (x)
		spare = x->next;
	else
		x = malloc(sizeof(*x));
	CHECK(x);
	memset(x, 0, offsetof(struct exchange, read));
	x->left = left;
	x->region = rig_region(region_next++);
	x->way = way_open(node.addr);
	way_fault(x->way, fault);
	rig_opts(&opts);
	CHECK_EQ(gvm_conn_create(way_addr(x->way), &opts, &x->conn), 0);
	step_run(x);
	return x;
}

static void exchange_end(struct exchange *x)
{
	CHECK_EQ(gvm_conn_pending(x->conn), 0);
	CHECK_EQ(x->done_calls, x->calls);
	gvm_conn_destroy(x->conn);
	way_close(x->way);
	x->next = spare;
	spare = x;
}

static void lengths(uint64_t bytes[2])
{
	unsigned left = 1;
	struct exchange *x = exchange_begin(&left, (struct way_fault){0});

	rig_run_one(x->conn, &left, LIMIT_SECS);
	bytes[TO_NODE] = way_bytes(x->way, TO_NODE);
	bytes[TO_CLIENT] = way_bytes(x->way, TO_CLIENT);
	CHECK_EQ(way_links(x->way), 1);
	exchange_end(x);
}

/* Runs the exchange with a fault at every `stride`th byte of a direction, many at a time. Returns
 * how many of them needed another connection. */
static unsigned sweep(enum way_fault_kind kind, enum way_direction direction, unsigned stride)
{
	unsigned again = 0;
	uint64_t bytes[2];

	/* (Each connection costs two handshakes more.) */
	stride *= rig_tls() ? 4 : 1;
	setup();
	lengths(bytes);
	for (uint64_t at = 0; at < bytes[direction];) {
		struct exchange *x[TOGETHER];
		struct gvm_conn *conns[TOGETHER];
		unsigned n = 0, left = 0;

		for (; n < TOGETHER && at < bytes[direction]; at += stride, n++) {
			struct way_fault fault = {kind, 0, direction, at};

			if (kind == FAULT_CUT && at % 2)
				fault.kind = FAULT_RESET;
			left++;
			x[n] = exchange_begin(&left, fault);
			conns[n] = x[n]->conn;
		}
		rig_run(conns, n, &left, LIMIT_SECS);
		for (unsigned i = 0; i < n; i++) {
			again += way_links(x[i]->way) > 1;
			exchange_end(x[i]);
		}
	}
	printf("  %llu places, %u new connections\n",
	       (unsigned long long)(bytes[direction] + stride - 1) / stride, again);
	CHECK(again);
	return again;
}

static void an_exchange_cut_at_any_byte_ends_the_same(void)
{
	sweep(FAULT_CUT, TO_NODE, 1);
	sweep(FAULT_CUT, TO_CLIENT, 1);
}

static void an_answer_damaged_at_any_byte_is_not_believed(void)
{
	sweep(FAULT_FLIP, TO_CLIENT, 1);
}

static void a_request_damaged_at_any_byte_is_carried_out_all_the_same(void)
{
	sweep(FAULT_FLIP, TO_NODE, 1);
}

static void a_frozen_connection_is_given_up(void)
{
	sweep(FAULT_FREEZE, TO_NODE, 31);
	sweep(FAULT_FREEZE, TO_CLIENT, 31);
}

static void a_repeated_answer_counts_once(void)
{
	/* (The way cannot tell frames apart over TLS; that repeats nothing, as the unit tests show.) */
	if (!rig_tls())
		sweep(FAULT_REPEAT, TO_CLIENT, 20);
}

static const struct check_test tests[] = {
	{"an-exchange-cut-at-any-byte-ends-the-same", an_exchange_cut_at_any_byte_ends_the_same},
	{"an-answer-damaged-at-any-byte-is-not-believed",
	 an_answer_damaged_at_any_byte_is_not_believed},
	{"a-request-damaged-at-any-byte-is-carried-out-all-the-same",
	 a_request_damaged_at_any_byte_is_carried_out_all_the_same},
	{"a-frozen-connection-is-given-up", a_frozen_connection_is_given_up},
	{"a-repeated-answer-counts-once", a_repeated_answer_counts_once},
};

int main(int argc, char **argv)
{
	int ret = check_run(argc, argv, tests, sizeof(tests) / sizeof(*tests));

	if (codec) {
		for (struct exchange *x = spare; x; x = spare) {
			spare = x->next;
			free(x);
		}
		chunk_codec_destroy(codec);
		rig_node_end(&node, SIGTERM);
	}
	return ret;
}
