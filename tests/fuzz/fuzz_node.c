// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fuzz_node.c - what two hostile clients may do to a memory node.
 *
 * The whole node but for the ring: connections get their bytes from the input, in pieces, and
 * their answers are taken in pieces, each checked to be a frame. Input: flags u8 (1: the node has a
 * key; 2: small pieces), then steps: what u8, and what it needs.
 *   what & 3: 0 a frame: op u8, tag u8, meta length u16, data length u16, meta, data; header and
 *               checks are made right; for PUT and AUTH the chunk head and the proof too
 *             1 bytes as they are: length u8, bytes
 *             2 a second passes
 *             3 the client's end of sending
 *   what & 4: the second connection
 *   what & 8: the frame names region 1 or 2, by its tag
 *   what & 16: the client takes no answers until a step without it
 *
 * fuzz-sources: memnode/daemon/conn_life.c memnode/daemon/conn_rx.c memnode/daemon/conn_tls.c memnode/daemon/conn_tx.c
 * fuzz-sources: memnode/daemon/conns.c memnode/daemon/conn_stranger.c memnode/daemon/conn_addr.c
 * fuzz-sources: memnode/daemon/request.c memnode/daemon/reply.c
 * fuzz-sources: memnode/daemon/node.c memnode/daemon/names.c memnode/daemon/regions.c memnode/daemon/graves.c
 * fuzz-sources: memnode/daemon/slot_view.c
 * fuzz-sources: memnode/daemon/chunk.c memnode/daemon/entry.c memnode/daemon/note.c memnode/daemon/pack.c memnode/daemon/store.c
 * fuzz-sources: memnode/clock.c memnode/daemon/watch.c memnode/daemon/lease.c
 * fuzz-sources: memnode/daemon/keep_format.c memnode/daemon/keep_scan.c memnode/daemon/keep_log.c
 * fuzz-sources: memnode/daemon/keep_writer.c memnode/daemon/keep_file.c memnode/daemon/region_image.c
 * fuzz-sources: memnode/daemon/journal_append.c memnode/daemon/journal_space.c memnode/daemon/journal_load.c
 * fuzz-sources: memnode/daemon/journal_open.c memnode/file.c
 * fuzz-sources: memnode/daemon/secure.c memnode/tls.c memnode/hkdf.c
 * fuzz-sources: memnode/codec.c memnode/chunk_head.c memnode/gvm_wire.c memnode/auth.c
 * fuzz-libs: -llz4 -lxxhash -lcrypto -lssl
 * fuzz-options: -max_len=8192
 */
#include "fuzz_chunk.h"
#include "memnode/clock.h"
#include "memnode/auth.h"
#include "memnode/daemon/conn.h"
#include "memnode/daemon/log.h"
#include "memnode/daemon/region_priv.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MEMORY_BYTES (8u << 20)
#define STREAM_BYTES (GVM_HDR_BYTES + GVM_META_MAX + GVM_DATA_MAX)
#define CLIENTS	     2
#define FD_FIRST     1000000 /* descriptors of no file */

static const uint8_t key[] = "a key of the fuzzer";

/* The far end of a connection. */
struct client {
	struct conn *conn; /* known from its first operation */
	int fd;
	bool open, eof;
	uint8_t *rx; /* a receive under way */
	size_t rx_room;
	bool cancelled; /* that receive is to end */
	struct iovec iov[IO_IOVS_ONE]; /* a send under way */
	unsigned iovs;
	bool sending;
	/* what the node sent and is not a whole frame yet */
	uint8_t out[STREAM_BYTES];
	size_t out_bytes;
	struct gvm_hello_req hello;
	struct gvm_hello_rsp welcome;
};

static struct client clients[CLIENTS];
static struct io io;
static struct iovec iov_room[IO_IOVS_ONE];
static unsigned piece_max;
static uint64_t now_ns;

/* ---- in place of the ring, the log and chance ---- */

static struct client *client_of(int fd)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		if (clients[i].fd == fd)
			return &clients[i];
	abort();
}

void io_recv(struct io *ring, int fd, void *buf, size_t bytes, int recv_flags, void *owner)
{
	struct client *c = client_of(fd);

	(void)recv_flags;
	FUZZ_CHECK(ring == &io && !c->rx && bytes);
	c->conn = owner;
	c->rx = buf;
	c->rx_room = bytes;
}

void io_cancel_recv(struct io *ring, int fd, void *owner)
{
	(void)fd;
	FUZZ_CHECK(ring == &io);
	for (unsigned i = 0; i < CLIENTS; i++)
		if (clients[i].conn == owner && clients[i].open)
			clients[i].cancelled = true;
}

struct iovec *io_send_room(struct io *ring)
{
	FUZZ_CHECK(ring == &io);
	return iov_room;
}

void io_send(struct io *ring, int fd, struct iovec *iov, unsigned iovs, void *owner)
{
	struct client *c = client_of(fd);

	FUZZ_CHECK(ring == &io && !c->sending && iovs && iovs <= IO_IOVS_ONE);
	c->conn = owner;
	memcpy(c->iov, iov, iovs * sizeof(*iov));
	c->iovs = iovs;
	c->sending = true;
}

bool io_has_news(const struct io *ring)
{
	return ring == &io;
}

void log_line(const char *format, ...)
{
	(void)format;
}

void log_limited(struct gvm_log_site *site, const char *format, ...)
{
	(void)site;
	(void)format;
}

ssize_t getrandom(void *buf, size_t bytes, unsigned flags)
{
	static uint8_t next;

	(void)flags;
	for (size_t i = 0; i < bytes; i++)
		((uint8_t *)buf)[i] = ++next;
	return (ssize_t)bytes;
}

int close(int fd)
{
	if (fd < FD_FIRST)
		return (int)syscall(SYS_close, fd);
	FUZZ_CHECK(client_of(fd)->open && !client_of(fd)->rx && !client_of(fd)->sending);
	client_of(fd)->open = false;
	return 0;
}

/* ---- the clients ---- */

static void answer_check(struct client *c, const struct gvm_hdr *h, const uint8_t *meta)
{
	FUZZ_CHECK(h->flags & GVM_FLAG_RESPONSE);
	if (h->op == GVM_OP_GET && !h->status) {
		struct chunk_head head;
		int fields = 8;

		FUZZ_CHECK(h->meta_len > fields && !h->data_check);
		FUZZ_CHECK(!chunk_head_unpack(&head, meta + fields, h->meta_len - (size_t)fields));
		FUZZ_CHECK(head.body_bytes == h->data_len);
	} else {
		FUZZ_CHECK(h->data_check == gvm_data_check(meta + h->meta_len, h->data_len));
		FUZZ_CHECK(!(h->flags & GVM_FLAG_MORE));
	}
	if (h->op == GVM_OP_HELLO && !h->status)
		FUZZ_CHECK(gvm_hello_rsp_unpack(&c->welcome, meta, h->meta_len) == h->meta_len);
}

static void answers_take(struct client *c)
{
	size_t at = 0;

	while (c->out_bytes - at >= GVM_HDR_BYTES) {
		const uint8_t *p = c->out + at;
		struct gvm_hdr h;
		size_t total;

		FUZZ_CHECK(!gvm_hdr_unpack(&h, p));
		total = GVM_HDR_BYTES + h.meta_len + (size_t)h.data_len;
		if (c->out_bytes - at < total)
			break;
		FUZZ_CHECK(gvm_meta_check(&h, p, p + GVM_HDR_BYTES));
		answer_check(c, &h, p + GVM_HDR_BYTES);
		at += total;
	}
	memmove(c->out, c->out + at, c->out_bytes - at);
	c->out_bytes -= at;
}

/* Takes some of the send under way, as a socket would; false if there is none. */
static bool client_take(struct client *c)
{
	struct conn *conn = c->conn;
	size_t room = sizeof(c->out) - c->out_bytes, took = 0;

	if (!c->sending)
		return false;
	if (piece_max && room > piece_max * 64)
		room = piece_max * 64;
	for (unsigned i = 0; i < c->iovs && took < room; i++) {
		size_t n = c->iov[i].iov_len;

		FUZZ_CHECK(n);
		if (n > room - took)
			n = room - took;
		memcpy(c->out + c->out_bytes + took, c->iov[i].iov_base, n);
		took += n;
	}
	FUZZ_CHECK(took);
	c->out_bytes += took;
	answers_take(c);
	c->sending = false;
	conn_sent(conn, (int)took);
	return true;
}

static void client_give(struct conns *s, struct client *c, const uint8_t *p, size_t bytes)
{
	while (bytes && !c->eof && c->open) {
		size_t n = bytes;
		uint8_t *to = c->rx;

		if (!to) {
			/* It takes no more before its answers were taken, or its turn comes. */
			if (!client_take(c))
				return;
			conns_resume(s);
			continue;
		}
		if (n > c->rx_room)
			n = c->rx_room;
		if (piece_max && n > piece_max)
			n = piece_max;
		memcpy(to, p, n);
		p += n;
		bytes -= n;
		c->rx = NULL;
		conn_received(c->conn, (int)n);
		conns_resume(s);
	}
}

static void client_end(struct client *c)
{
	if (c->eof || !c->open)
		return;
	c->eof = true;
	if (!c->rx)
		return;
	c->rx = NULL;
	conn_received(c->conn, 0);
}

static void client_cancelled(struct client *c)
{
	if (!c->cancelled)
		return;
	c->cancelled = false;
	if (!c->open || !c->rx)
		return;
	c->rx = NULL;
	conn_received(c->conn, -ECANCELED);
}

/* ---- the steps ---- */

static size_t put_fix(uint8_t *meta, size_t meta_len, uint8_t *data, size_t data_len)
{
	uint8_t head[CHUNK_HEAD_MAX] = {0};
	struct gvm_put_req put;
	struct chunk_head h;
	size_t fields = 48, len = meta_len > fields ? meta_len - fields : 0;

	memcpy(head, meta + fields, len < sizeof(head) ? len : sizeof(head));
	len = fuzz_head_fix(head);
	FUZZ_CHECK(gvm_put_req_unpack(&put, meta, fields) == (int)fields);
	FUZZ_CHECK(!chunk_head_unpack(&h, head, len));
	if (data_len < h.body_bytes)
		memset(data + data_len, 0, h.body_bytes - data_len);
	fuzz_hashes_fix(&h, data, &put.region, put.chunk);
	chunk_head_pack(&h, meta + fields);
	return h.body_bytes;
}

static void step_frame(struct conns *s, struct client *c, unsigned what, struct fuzz_input *in)
{
	static uint8_t frame[STREAM_BYTES];
	uint8_t *meta = frame + GVM_HDR_BYTES, *data;
	struct gvm_hdr h = {.op = (uint8_t)fuzz_take(in, 1), .tag = fuzz_take(in, 1)};
	size_t meta_len = fuzz_take(in, 2) % (GVM_META_MAX + 1), data_len = fuzz_take(in, 2);
	uint8_t *copy;

	memset(meta, 0, GVM_META_MAX);
	copy = fuzz_take_copy(in, &meta_len);
	memcpy(meta, copy, meta_len);
	free(copy);
	if (what & 8) {
		memset(meta, 0, 16);
		meta[0] = 1 + (h.tag & 1);
		if (meta_len < 16)
			meta_len = 16;
	}
	if (h.op == GVM_OP_PUT) {
		static uint8_t body[GVM_CHUNK_BYTES];

		copy = fuzz_take_copy(in, &data_len);
		memcpy(body, copy, data_len);
		free(copy);
		data_len = put_fix(meta, meta_len, body, data_len);
		FUZZ_CHECK(data_len <= GVM_CHUNK_BYTES);
		meta_len = 48 + chunk_head_measure(meta + 48, CHUNK_HEAD_MAX);
		data = meta + meta_len;
		memcpy(data, body, data_len);
		if (meta[48 + 5])
			h.data_check = gvm_data_check(data, data_len);
	} else {
		data = meta + meta_len;
		copy = fuzz_take_copy(in, &data_len);
		memcpy(data, copy, data_len);
		free(copy);
		h.data_check = gvm_data_check(data, data_len);
	}
	if (h.op == GVM_OP_HELLO && meta_len >= 44)
		gvm_hello_req_unpack(&c->hello, meta, meta_len);
	if (h.op == GVM_OP_AUTH && meta_len == 32 && meta[0] & 1) {
		struct gvm_auth_req proof;

		FUZZ_CHECK(!auth_mac(key, sizeof(key), false, &c->hello, &c->welcome, NULL, &proof.mac));
		gvm_auth_req_pack(&proof, meta);
	}
	h.meta_len = (uint16_t)meta_len;
	h.data_len = (uint32_t)data_len;
	gvm_hdr_pack(&h, meta, frame);
	client_give(s, c, frame, GVM_HDR_BYTES + meta_len + data_len);
}

static void step(struct conns *s, struct fuzz_input *in)
{
	unsigned what = (unsigned)fuzz_take(in, 1);
	struct client *c = &clients[what >> 2 & 1];
	size_t bytes;
	uint8_t *copy;

	switch (what & 3) {
	case 0:
		step_frame(s, c, what, in);
		break;
	case 1:
		bytes = (size_t)fuzz_take(in, 1);
		copy = fuzz_take_copy(in, &bytes);
		client_give(s, c, copy, bytes);
		free(copy);
		break;
	case 2:
		now_ns += 1000000000;
		conns_tick(s, now_ns);
		for (unsigned i = 0; i < CLIENTS; i++)
			client_cancelled(&clients[i]);
		break;
	default:
		client_end(c);
	}
	while (!(what & 16) && client_take(c))
		conns_resume(s);
}

/* What the node's own books say must be what its entries say. */
static void books_check(const struct node *n)
{
	struct region_totals all = {0};
	uint64_t promised = 0;

	for (unsigned i = 0; i < n->regions.count; i++) {
		const struct region *r = n->regions.sorted[i];
		uint64_t bodies = 0, look = r->entries_chunks < 4096 ? r->entries_chunks : 4096;

		for (uint64_t k = 0; k < look; k++)
			bodies += entry_has_body(&r->entries[k]);
		if (look == r->entries_chunks)
			FUZZ_CHECK(bodies == r->totals.chunks);
		FUZZ_CHECK(r->totals.chunks <= r->reserve && r->reserve <= r->chunks);
		all.chunks += r->totals.chunks;
		all.cells += r->totals.cells;
		promised += r->reserve;
	}
	FUZZ_CHECK(all.chunks == n->regions.totals.chunks && all.cells == n->regions.totals.cells);
	FUZZ_CHECK(promised * REGION_CHUNK_CELLS <= n->regions.promised_cells);
	FUZZ_CHECK(n->regions.promised_cells <= n->regions.promisable_cells);
	FUZZ_CHECK(!n->pin_bytes && !n->copy_bytes && !store_cells_pinned(n->store));
	FUZZ_CHECK(store_cells_free(n->store) == store_cells(n->store) - all.cells);
	FUZZ_CHECK(!n->counters.clients);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const union conn_addr peer = {.v4 = {.sin_family = AF_INET}};
	struct fuzz_input in = {data, size};
	unsigned flags = (unsigned)fuzz_take(&in, 1);
	struct conns conns;
	struct node node;

	piece_max = flags & 2 ? 61 : 0;
	FUZZ_CHECK(!node_init(&node, MEMORY_BYTES, 1.5, flags & 1 ? key : NULL, sizeof(key)));
	now_ns = gvm_now_ns();
	conns_init(&conns, &io, &node, CLIENTS);
	memset(clients, 0, sizeof(clients));
	for (unsigned i = 0; i < CLIENTS; i++) {
		clients[i].fd = FD_FIRST + (int)i;
		clients[i].open = true;
		conn_accept(&conns, clients[i].fd, &peer);
	}
	while (in.left)
		step(&conns, &in);
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct client *c = &clients[i];

		client_end(c);
		do {
			if (!c->rx || !c->eof)
				continue;
			c->rx = NULL;
			conn_received(c->conn, 0);
		} while (client_take(c));
	}
	conns_close(&conns);
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct client *c = &clients[i];

		if (c->rx) {
			c->rx = NULL;
			conn_received(c->conn, 0);
		}
		if (c->sending) {
			c->sending = false;
			conn_sent(c->conn, -32);
		}
	}
	FUZZ_CHECK(!conns.count);
	conns_deinit(&conns);
	while (regions_reap(&node.regions, 3))
		;
	books_check(&node);
	node_deinit(&node);
	return 0;
}
