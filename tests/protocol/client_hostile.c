// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * client_hostile.c - a node that speaks the protocol well and lies in it: frames whose checksums
 * are right and whose content is not. None of them is delivered, and none does harm.
 */
#include "client_rig.h"

#include <errno.h>
#include <unistd.h>

#define FIRST_TAG (1ull << 32) /* of the first request of a connection */
#define VERSION	  gvm_version(3, 9)
#define ASKED	  0x0000000fu /* pages 0 to 3 */
#define SECONDS	  60

static uint8_t say[65536];
static size_t said;
static unsigned pieces, ends;
static char reasons[4096];

static void say_frame(uint8_t op, uint8_t flags, uint16_t status, uint64_t tag, const uint8_t *meta,
		      size_t meta_len, const uint8_t *data, size_t data_len)
{
	struct gvm_hdr h = {
		.op = op,
		.flags = GVM_FLAG_RESPONSE | flags,
		.status = status,
		.meta_len = (uint16_t)meta_len,
		.data_len = (uint32_t)data_len,
		.tag = tag,
		.data_check = op == GVM_OP_GET ? 0 : gvm_data_check(data, data_len),
	};

	gvm_hdr_pack(&h, meta, say + said);
	if (meta_len)
		memcpy(say + said + GVM_HDR_BYTES, meta, meta_len);
	said += GVM_HDR_BYTES + meta_len;
	if (data_len)
		memcpy(say + said, data, data_len);
	said += data_len;
}

static void say_hello(void)
{
	struct gvm_hello_rsp rsp = {.version = GVM_VERSION, .incarnation = {{7}}};
	uint8_t meta[GVM_META_MAX];

	said = 0;
	say_frame(GVM_OP_HELLO, 0, GVM_OK, 0, meta, gvm_hello_rsp_pack(&rsp, meta), NULL, 0);
}

/* A piece of blocks of one page, raw. */
static void say_piece(uint8_t flags, uint64_t version, uint32_t zero_map, uint32_t blocks)
{
	static const uint8_t data[8 * GVM_PAGE_BYTES] = {1};
	struct gvm_get_rsp rsp = {version};
	struct chunk_head head = {.zero_map = zero_map, .block_mask = blocks};
	uint8_t meta[GVM_META_MAX];
	size_t n = gvm_get_rsp_pack(&rsp, meta);

	for (unsigned b = 0; b < 32; b++)
		if (blocks >> b & 1) {
			head.block[b] = (struct chunk_block){.bytes = GVM_PAGE_BYTES, .raw = true};
			head.body_bytes += GVM_PAGE_BYTES;
		}
	n += chunk_head_pack(&head, meta + n);
	say_frame(GVM_OP_GET, flags, GVM_OK, FIRST_TAG, meta, n, data, head.body_bytes);
}

static void on_state(struct gvm_conn *conn, enum gvm_conn_state state, bool renewed,
		     const char *why, void *arg)
{
	(void)conn, (void)state, (void)renewed, (void)arg;
	snprintf(reasons + strlen(reasons), sizeof(reasons) - strlen(reasons), "%s\n", why);
}

static int on_piece(struct gvm_get *get, uint64_t version, const struct chunk_head *head,
		    const uint8_t *body)
{
	(void)body;
	CHECK(version >= get->what.version);
	CHECK(!(head->block_mask & ~ASKED));
	pieces++;
	return 0;
}

static void done(struct gvm_req *req)
{
	ends++;
	if (req->arg)
		--*(unsigned *)req->arg;
}

/* The GET is answered with what say holds, on each of two connections; then it is given up. */
static void get_is_refused(const char *why, unsigned pieces_each)
{
	struct gvm_conn_opts opts = {.on_state = on_state};
	struct gvm_get get = {
		.req = {.done = done},
		.what = {rig_region(1), 3, 5, VERSION, ASKED, 0},
		.on_piece = on_piece,
	};
	struct gvm_conn *conn;
	char addr[32], line[256];
	int fd = rig_liar_open(addr, sizeof(addr));

	pieces = ends = 0;
	reasons[0] = 0;
	CHECK_EQ(gvm_conn_create(addr, &opts, &conn), 0);
	gvm_get(conn, &get);
	rig_liar_serve(fd, conn, say, said, 2);
	snprintf(line, sizeof(line), "%s\n", why);
	if (!strstr(reasons, line))
		fprintf(stderr, "not \"%s\" but:\n%s", why, reasons);
	CHECK(strstr(reasons, line));
	CHECK_EQ(ends, 1);
	CHECK_EQ(get.req.result, -EBADMSG);
	CHECK_EQ(pieces, 2 * pieces_each);
	gvm_conn_destroy(conn);
	close(fd);
}

static void an_answer_of_another_kind_is_refused(void)
{
	struct gvm_node_stat_rsp stat = {0};
	uint8_t meta[GVM_META_MAX];
	size_t n = gvm_node_stat_rsp_pack(&stat, meta);

	say_hello();
	say_frame(GVM_OP_NODE_STAT, 0, GVM_OK, FIRST_TAG, meta, n, NULL, 0);
	get_is_refused("an answer to no request", 0);
}

static void an_answer_to_nobody_is_refused(void)
{
	static const uint64_t tags[] = {0, 1, FIRST_TAG + 1, FIRST_TAG << 1, ~0ull};
	uint8_t meta[8] = {0};

	for (unsigned i = 0; i < 5; i++) {
		say_hello();
		say_frame(GVM_OP_GET, 0, GVM_ERR_LOST, tags[i], meta, sizeof(meta), NULL, 0);
		get_is_refused("an answer to no request", 0);
	}
}

static void an_error_with_more_than_its_detail_is_refused(void)
{
	uint8_t meta[9] = {0};

	say_hello();
	say_frame(GVM_OP_GET, 0, GVM_ERR_LOST, FIRST_TAG, meta, 9, NULL, 0);
	get_is_refused("a malformed error answer", 0);
	say_hello();
	say_frame(GVM_OP_GET, 0, GVM_ERR_LOST, FIRST_TAG, meta, 8, meta, 1);
	get_is_refused("a malformed error answer", 0);
	say_hello();
	say_frame(GVM_OP_GET, GVM_FLAG_MORE, GVM_ERR_LOST, FIRST_TAG, meta, 8, NULL, 0);
	get_is_refused("an answer of one frame marked as one of several", 0);
	say_hello();
	say_frame(GVM_OP_GET, GVM_FLAG_PACK, GVM_ERR_LOST, FIRST_TAG, meta, 8, NULL, 0);
	get_is_refused("an answer that speaks of blocks which it did not take", 0);
}

static void an_older_version_is_refused(void)
{
	say_hello();
	say_piece(0, VERSION - 1, 0, ASKED);
	get_is_refused("a GET answer with an older version than asked for", 0);
	/* "Never written" is no zero chunk where a version is expected. */
	say_hello();
	say_piece(0, 0, UINT32_MAX, 0);
	get_is_refused("a GET answer with an older version than asked for", 0);
	/* And has no data, ever. */
	say_hello();
	say_piece(0, 0, 0, ASKED);
	get_is_refused("a GET answer with a malformed head", 0);
}

static void blocks_that_nobody_asked_for_are_refused(void)
{
	say_hello();
	say_piece(0, VERSION, 0, ASKED | 0x10);
	get_is_refused("a GET answer with blocks that were not requested", 0);
}

static void an_answer_with_a_hole_is_refused(void)
{
	say_hello();
	say_piece(0, VERSION, 0, ASKED & ~4u);
	get_is_refused("a GET answer without all requested blocks", 0);
	say_hello();
	say_piece(GVM_FLAG_MORE, VERSION, 0, 1);
	say_piece(0, VERSION, 0, 2);
	get_is_refused("a GET answer without all requested blocks", 1);
}

static void an_answer_without_end_is_refused(void)
{
	say_hello();
	say_piece(GVM_FLAG_MORE, VERSION, 1, 0);
	say_piece(GVM_FLAG_MORE, VERSION, 1, 0);
	get_is_refused("a part of a GET answer without a block", 1);
}

static void parts_of_two_versions_are_refused(void)
{
	say_hello();
	say_piece(GVM_FLAG_MORE, VERSION, 0, 1);
	say_piece(0, VERSION + 1, 0, ASKED & ~1u);
	get_is_refused("a GET answer whose parts do not belong together", 1);
	say_hello();
	say_piece(GVM_FLAG_MORE, VERSION, 0, 1);
	say_piece(0, VERSION, 0x80000000u, ASKED & ~1u);
	get_is_refused("a GET answer whose parts do not belong together", 1);
	say_hello();
	say_piece(GVM_FLAG_MORE, VERSION, 0, 1);
	say_piece(0, VERSION, 0, ASKED);
	get_is_refused("a GET answer whose parts do not belong together", 1);
}

static void a_good_answer_is_taken(void)
{
	struct gvm_get get = {
		.req = {.done = done},
		.what = {rig_region(1), 3, 5, VERSION, ASKED, 0},
		.on_piece = on_piece,
	};
	struct gvm_conn *conn;
	char addr[32];
	int fd = rig_liar_open(addr, sizeof(addr)), peer;
	unsigned left = 1;

	get.req.arg = &left;
	pieces = ends = 0;
	say_hello();
	say_piece(GVM_FLAG_MORE, VERSION + 1, 4, 1);
	say_piece(0, VERSION + 1, 4, ASKED & ~5u);
	CHECK_EQ(gvm_conn_create(addr, NULL, &conn), 0);
	gvm_get(conn, &get);
	peer = rig_liar_answer(fd, conn, say, said);
	rig_run_one(conn, &left, SECONDS);
	CHECK(ends == 1 && pieces == 2 && !get.req.result);
	gvm_conn_destroy(conn);
	close(peer);
	close(fd);
}

static void a_list_that_does_not_add_up_is_refused(void)
{
	static const struct {
		uint32_t count, data_len;
		uint8_t record_len;
	} lists[] = {{1, 45, 2}, {2, 45, 1}, {1, 46, 1}, {0, 1, 1}, {1, 44, 1}, {1, 43, 1}};
	struct gvm_conn_opts opts = {.on_state = on_state};
	struct gvm_name_list_req what = {.after = rig_region(0)};

	for (unsigned i = 0; i < 6; i++) {
		struct gvm_name_list_rsp rsp = {.count = lists[i].count};
		struct gvm_call call = {.req = {.done = done}};
		uint8_t meta[GVM_META_MAX], data[48] = {0};
		size_t n = gvm_name_list_rsp_pack(&rsp, meta);
		struct gvm_conn *conn;
		char addr[32];
		int fd = rig_liar_open(addr, sizeof(addr));

		data[40] = lists[i].record_len;
		say_hello();
		say_frame(GVM_OP_NAME_LIST, 0, GVM_OK, FIRST_TAG, meta, n, data, lists[i].data_len);
		reasons[0] = 0;
		ends = 0;
		CHECK_EQ(gvm_conn_create(addr, &opts, &conn), 0);
		gvm_name_list(conn, &call, &what);
		rig_liar_serve(fd, conn, say, said, 2);
		CHECK(strstr(reasons, "an answer with malformed fields"));
		CHECK(ends == 1 && call.req.result == -EBADMSG);
		gvm_conn_destroy(conn);
		close(fd);
	}
}

static const struct check_test tests[] = {
	{"an-answer-of-another-kind-is-refused", an_answer_of_another_kind_is_refused},
	{"an-answer-to-nobody-is-refused", an_answer_to_nobody_is_refused},
	{"an-error-with-more-than-its-detail-is-refused",
	 an_error_with_more_than_its_detail_is_refused},
	{"an-older-version-is-refused", an_older_version_is_refused},
	{"blocks-that-nobody-asked-for-are-refused", blocks_that_nobody_asked_for_are_refused},
	{"an-answer-with-a-hole-is-refused", an_answer_with_a_hole_is_refused},
	{"an-answer-without-end-is-refused", an_answer_without_end_is_refused},
	{"parts-of-two-versions-are-refused", parts_of_two_versions_are_refused},
	{"a-good-answer-is-taken", a_good_answer_is_taken},
	{"a-list-that-does-not-add-up-is-refused", a_list_that_does_not_add_up_is_refused},
};
CHECK_MAIN(tests)
