// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fuzz_client.c - what a hostile node may do to the client library.
 *
 * A real connection, whose socket leads back here. The requests that it sends are checked to be
 * frames; the answers come from the input: flags u8 (1: the client has a key; 2: the handshake is
 * answered well; 4: small pieces), then steps: what u8, and what it needs.
 *   what & 7: 0, 1 an answer: to which request u8, status u8, flags u8, meta length u16, data
 * length u16, meta, data; header and checks are made right 2 bytes as they are: length u8, bytes 3
 * a request is made: op u8 4 a request is cancelled: which u8 5 the answer to a GET, its chunk head
 * and hashes made right: which u8, flags u8, meta length u16, meta, body length u16, body 6 the
 * node closes
 *
 * fuzz-sources: memnode/client/conn.c memnode/addr.c memnode/client/frames.c
 * fuzz-sources: memnode/client/link.c memnode/client/lists.c memnode/client/poll.c
 * fuzz-sources: memnode/clock.c memnode/client/resolve.c memnode/client/rx.c
 * fuzz-sources: memnode/client/stream.c memnode/tls.c memnode/hkdf.c
 * fuzz-sources: memnode/client/requests.c memnode/client/tx.c memnode/codec.c memnode/chunk_head.c memnode/gvm_wire.c memnode/auth.c
 * fuzz-libs: -llz4 -lxxhash -lcrypto -lssl
 * fuzz-options: -max_len=8192
 */
#include "fuzz_chunk.h"
#include "memnode/auth.h"
#include "memnode/gvm_client.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define REQUESTS_MAX 12
#define STREAM_BYTES (GVM_HDR_BYTES + GVM_META_MAX + GVM_DATA_MAX)

static const uint8_t key[] = "a key of the fuzzer";
static const struct gvm_id region = {{7}};

/* A request that the client made. */
struct made {
	bool submitted, done, is_get;
	union {
		struct gvm_req req;
		struct gvm_get get;
		struct gvm_put put;
		struct gvm_call call;
	};
	uint32_t pages; /* what pieces of a GET have brought */
};

/* One that arrived at the node. */
struct arrived {
	uint8_t op;
	uint64_t tag;
	struct gvm_get_req get;
};

static struct gvm_conn *conn;
static struct made made[REQUESTS_MAX];
static unsigned made_count;
static struct arrived arrived[4 * REQUESTS_MAX];
static unsigned arrived_count;
static struct chunk_codec *codec;
static struct chunk_head put_head;
static uint8_t chunk[GVM_CHUNK_BYTES], put_body[GVM_CHUNK_BYTES];
static int node_fd = -1; /* the node's end */
static size_t piece_max;
static struct gvm_hello_req hello;
static struct gvm_hello_rsp welcome;
static uint8_t in[8 * STREAM_BYTES];
static size_t in_bytes;

/* ---- in place of the network and of chance ---- */

int socket(int domain, int type, int protocol)
{
	int ends[2];

	(void)domain, (void)type, (void)protocol;
	if (node_fd >= 0) {
		errno = EMFILE; /* one link an input: the second would have to wait for a pause */
		return -1;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends))
		return -1;
	node_fd = ends[1];
	return ends[0];
}

int connect(int fd, const struct sockaddr *addr, socklen_t bytes)
{
	(void)fd, (void)addr, (void)bytes;
	return 0;
}

/* Unlike getsockname()'s, or the client takes it for a connection to itself. */
int getpeername(int fd, struct sockaddr *addr, socklen_t *bytes)
{
	(void)fd;
	memset(addr, 1, 16);
	*bytes = 16;
	return 0;
}

ssize_t getrandom(void *buf, size_t bytes, unsigned flags)
{
	(void)flags;
	memset(buf, 0x42, bytes);
	return (ssize_t)bytes;
}

/* ---- the client's requests ---- */

static void done(struct gvm_req *req)
{
	struct made *m = req->arg;

	FUZZ_CHECK(m->submitted && !m->done && req->result <= 0);
	m->done = true;
	if (!req->result && m->is_get)
		FUZZ_CHECK((m->pages & m->get.what.page_mask) == m->get.what.page_mask);
}

static int piece(struct gvm_get *get, uint64_t version, const struct chunk_head *head,
		 const uint8_t *body)
{
	struct made *m = get->req.arg;
	uint32_t valid;
	int ret;

	FUZZ_CHECK(version >= get->what.version);
	ret = chunk_decode(codec, head, body, &region, get->what.chunk, ~0u, chunk, &valid);
	if (ret)
		m->pages = 0; /* they begin anew */
	else
		m->pages |= valid;
	return ret;
}

static void request_make(uint8_t op, struct fuzz_input *input)
{
	struct made *m = &made[made_count];

	if (made_count == REQUESTS_MAX)
		return;
	memset(m, 0, sizeof(*m));
	m->req.done = done;
	m->req.arg = m;
	m->submitted = true;
	made_count++;
	switch (op % 8) {
	case 0:
	case 1:
		m->get.what = (struct gvm_get_req){.region = region, .chunk = 3, .want_page = 255};
		m->get.what.version = fuzz_take(input, 1);
		m->get.what.page_mask = (uint32_t)fuzz_take(input, 4);
		if (m->get.what.page_mask)
			m->get.what.want_page = (uint8_t)__builtin_ctz(m->get.what.page_mask);
		m->get.on_piece = piece;
		m->is_get = true;
		gvm_get(conn, &m->get);
		break;
	case 2:
		m->put.what = (struct gvm_put_req){.region = region, .chunk = 3, .version = 9};
		m->put.head = &put_head;
		m->put.body = put_body;
		gvm_put(conn, &m->put);
		break;
	case 3:
		gvm_name_list(conn, &m->call, &(struct gvm_name_list_req){0});
		break;
	case 4:
		gvm_node_stat(conn, &m->call);
		break;
	case 5:
		gvm_region_index(conn, &m->call, &(struct gvm_region_index_req){region, 0});
		break;
	case 6:
		gvm_region_open(conn, &m->call, &(struct gvm_region_open_req){.region = region});
		break;
	default:
		if (op / 8 % 2)
			gvm_region_held(conn, &m->call, &region, 1);
		else
			gvm_region_list(conn, &m->call, &(struct gvm_region_list_req){0});
	}
}

/* ---- the node ---- */

static void frame_arrived(const struct gvm_hdr *h, const uint8_t *meta)
{
	struct arrived *a = &arrived[arrived_count];

	FUZZ_CHECK(!h->flags && !h->status);
	if (h->op == GVM_OP_HELLO)
		FUZZ_CHECK(gvm_hello_req_unpack(&hello, meta, h->meta_len) == h->meta_len);
	if (arrived_count == sizeof(arrived) / sizeof(*arrived))
		return;
	memset(a, 0, sizeof(*a));
	a->op = h->op;
	a->tag = h->tag;
	if (h->op == GVM_OP_GET)
		FUZZ_CHECK(gvm_get_req_unpack(&a->get, meta, h->meta_len) == h->meta_len);
	arrived_count++;
}

static void requests_read(void)
{
	size_t at = 0;
	ssize_t n;

	if (node_fd < 0)
		return;
	while ((n = recv(node_fd, in + in_bytes, sizeof(in) - in_bytes, MSG_DONTWAIT)) > 0)
		in_bytes += (size_t)n;
	while (in_bytes - at >= GVM_HDR_BYTES) {
		const uint8_t *p = in + at;
		struct gvm_hdr h;
		size_t total;

		FUZZ_CHECK(!gvm_hdr_unpack(&h, p));
		total = GVM_HDR_BYTES + h.meta_len + (size_t)h.data_len;
		if (in_bytes - at < total)
			break;
		FUZZ_CHECK(gvm_meta_check(&h, p, p + GVM_HDR_BYTES));
		frame_arrived(&h, p + GVM_HDR_BYTES);
		at += total;
	}
	memmove(in, in + at, in_bytes - at);
	in_bytes -= at;
}

static void bytes_send(const uint8_t *p, size_t bytes)
{
	while (bytes && node_fd >= 0) {
		size_t n = piece_max && bytes > piece_max ? piece_max : bytes;
		ssize_t sent = send(node_fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0 && errno != EAGAIN)
			return; /* the client has dropped the link */
		if (sent > 0) {
			p += sent;
			bytes -= (size_t)sent;
		}
		gvm_conn_process(conn);
		if (sent < 0 && gvm_conn_state(conn) != GVM_CONN_UP)
			return;
	}
}

static void answer_send(struct gvm_hdr *h, const uint8_t *meta, const uint8_t *data)
{
	static uint8_t frame[STREAM_BYTES];

	FUZZ_CHECK((meta || !h->meta_len) && (data || !h->data_len));
	gvm_hdr_pack(h, meta, frame);
	if (meta)
		memcpy(frame + GVM_HDR_BYTES, meta, h->meta_len);
	if (data)
		memcpy(frame + GVM_HDR_BYTES + h->meta_len, data, h->data_len);
	bytes_send(frame, GVM_HDR_BYTES + h->meta_len + (size_t)h->data_len);
}

static const struct arrived *arrived_pick(struct fuzz_input *input)
{
	static const struct arrived none = {.op = GVM_OP_PING, .tag = 77};
	unsigned n = (unsigned)fuzz_take(input, 1);

	return arrived_count && n < 250 ? &arrived[n % arrived_count] : &none;
}

static void step_answer(struct fuzz_input *input)
{
	const struct arrived *to = arrived_pick(input);
	struct gvm_hdr h = {.op = to->op, .tag = to->tag};
	size_t meta_len, data_len;
	uint8_t *meta, *data;

	h.status = (uint16_t)fuzz_take(input, 1);
	h.flags = GVM_FLAG_RESPONSE ^ (uint8_t)(fuzz_take(input, 1) & 3);
	meta_len = fuzz_take(input, 2) % (GVM_META_MAX + 1);
	data_len = fuzz_take(input, 2);
	meta = fuzz_take_copy(input, &meta_len);
	data = fuzz_take_copy(input, &data_len);
	h.meta_len = (uint16_t)meta_len;
	h.data_len = (uint32_t)data_len;
	if (h.op != GVM_OP_GET)
		h.data_check = gvm_data_check(data, data_len);
	if (h.op == GVM_OP_AUTH && meta_len == 32 && meta[0] & 1) {
		struct gvm_auth_rsp proof;

		FUZZ_CHECK(!auth_mac(key, sizeof(key), true, &hello, &welcome, NULL, &proof.mac));
		gvm_auth_rsp_pack(&proof, meta);
	}
	if (h.op == GVM_OP_HELLO)
		gvm_hello_rsp_unpack(&welcome, meta, meta_len);
	answer_send(&h, meta, data);
	free(meta);
	free(data);
}

static void step_piece(struct fuzz_input *input)
{
	static uint8_t body[GVM_CHUNK_BYTES];
	const struct arrived *to = arrived_pick(input);
	struct gvm_hdr h = {.op = GVM_OP_GET, .tag = to->tag};
	uint8_t meta[GVM_META_MAX] = {0}, *copy;
	struct chunk_head head;
	size_t bytes;

	h.flags = GVM_FLAG_RESPONSE | (fuzz_take(input, 1) & 1 ? GVM_FLAG_MORE : 0);
	bytes = fuzz_take(input, 2) % (8 + CHUNK_HEAD_MAX + 1);
	copy = fuzz_take_copy(input, &bytes);
	memcpy(meta, copy, bytes);
	free(copy);
	h.meta_len = (uint16_t)(8 + fuzz_head_fix(meta + 8));
	FUZZ_CHECK(!chunk_head_unpack(&head, meta + 8, h.meta_len - 8u));
	h.data_len = head.body_bytes;
	bytes = fuzz_take(input, 2) % (GVM_CHUNK_BYTES + 1);
	copy = fuzz_take_copy(input, &bytes);
	memset(body, 0, sizeof(body));
	memcpy(body, copy, bytes);
	free(copy);
	fuzz_hashes_fix(&head, body, &region, to->get.chunk);
	chunk_head_pack(&head, meta + 8);
	answer_send(&h, meta, body);
}

static void step(struct fuzz_input *input)
{
	size_t bytes;
	uint8_t *copy;

	switch (fuzz_take(input, 1) & 7) {
	case 2:
		bytes = (size_t)fuzz_take(input, 1);
		copy = fuzz_take_copy(input, &bytes);
		bytes_send(copy, bytes);
		free(copy);
		break;
	case 3:
		request_make((uint8_t)fuzz_take(input, 1), input);
		break;
	case 4:
		bytes = (size_t)fuzz_take(input, 1);
		if (bytes < made_count && !made[bytes].done)
			gvm_cancel(&made[bytes].req);
		break;
	case 5:
		step_piece(input);
		break;
	case 6:
		if (node_fd >= 0)
			shutdown(node_fd, SHUT_WR);
		break;
	default:
		step_answer(input);
	}
	gvm_conn_process(conn);
	requests_read();
}

static void handshake(bool keyed)
{
	struct gvm_hdr h = {.op = GVM_OP_HELLO, .flags = GVM_FLAG_RESPONSE};
	struct gvm_auth_rsp proof;
	uint8_t meta[GVM_META_MAX];

	welcome = (struct gvm_hello_rsp){
		.version = GVM_VERSION, .need_auth = keyed, .incarnation = {{5}}, .nonce = {{6}}};
	h.meta_len = (uint16_t)gvm_hello_rsp_pack(&welcome, meta);
	answer_send(&h, meta, NULL);
	if (keyed) {
		FUZZ_CHECK(!auth_mac(key, sizeof(key), true, &hello, &welcome, NULL, &proof.mac));
		h.op = GVM_OP_AUTH;
		h.meta_len = (uint16_t)gvm_auth_rsp_pack(&proof, meta);
		answer_send(&h, meta, NULL);
	}
	FUZZ_CHECK(gvm_conn_state(conn) == GVM_CONN_UP);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = {data, size};
	unsigned flags = (unsigned)fuzz_take(&input, 1);
	struct gvm_conn_opts opts = {.client = 1};

	if (!codec) {
		codec = chunk_codec_create();
		FUZZ_CHECK(codec);
		chunk[5 * GVM_PAGE_BYTES] = 1;
		chunk_encode(codec, chunk, ~0u, 0, 0, &region, 3, &put_head, put_body);
	}
	if (flags & 1) {
		opts.key = key;
		opts.key_bytes = sizeof(key);
	}
	piece_max = flags & 4 ? 37 : 0;
	made_count = arrived_count = 0;
	in_bytes = 0;
	FUZZ_CHECK(!gvm_conn_create("127.0.0.1:1", &opts, &conn));
	gvm_conn_process(conn); /* connects */
	gvm_conn_process(conn); /* is connected: HELLO */
	requests_read();
	FUZZ_CHECK(arrived_count == 1 && arrived[0].op == GVM_OP_HELLO);
	if (flags & 2)
		handshake(flags & 1);
	requests_read();
	while (input.left)
		step(&input);
	gvm_conn_process(conn);
	gvm_conn_destroy(conn);
	for (unsigned i = 0; i < made_count; i++)
		FUZZ_CHECK(made[i].done);
	if (node_fd >= 0)
		close(node_fd);
	node_fd = -1;
	return 0;
}
