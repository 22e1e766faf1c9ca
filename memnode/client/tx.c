// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * tx.c - puts queued requests on the socket.
 *
 * Frames are packed from the requests when the socket is about to take them, and packed again when
 * it took only a part: only the number of bytes sent is kept. When a request ends half-sent the
 * rest of its frame is copied, since the caller's memory may be freed and the stream needs whole
 * frames.
 */
#include "impl.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TX_IOVS	      128
#define TX_HEAD_BYTES 8192  /* headers and fields of one system call */
#define TX_CALL_BYTES 1048576 /* about what one system call is asked to take */

static size_t frame_bytes(const struct gvm_req *req)
{
	return GVM_HDR_BYTES + (size_t)req->meta_len + req->data_len;
}

/* Header and fields, without the data. */
static size_t head_pack(const struct gvm_req *req, uint8_t *buf)
{
	struct gvm_hdr h = {
		.op = req->op,
		.meta_len = req->meta_len,
		.data_len = req->data_len,
		.tag = req->tag,
		.data_check = req->data_check,
	};

	gvm_hdr_pack(&h, req->meta, buf);
	memcpy(buf + GVM_HDR_BYTES, req->meta, req->meta_len);
	return GVM_HDR_BYTES + (size_t)req->meta_len;
}

struct gather {
	struct iovec iov[TX_IOVS];
	unsigned iovs;
	size_t bytes, skip;
	uint8_t head[TX_HEAD_BYTES];
	size_t head_bytes;
};

static void gather_add(struct gather *g, const uint8_t *p, size_t n)
{
	size_t skip = g->skip < n ? g->skip : n;
	struct iovec *last = g->iovs ? &g->iov[g->iovs - 1] : NULL;

	g->skip -= skip;
	n -= skip;
	if (!n)
		return;
	p += skip;
	g->bytes += n;
	if (last && (uint8_t *)last->iov_base + last->iov_len == p) {
		last->iov_len += n;
	} else {
		assert(g->iovs < TX_IOVS);
		g->iov[g->iovs++] = (struct iovec){(void *)(uintptr_t)p, n};
	}
}

static void gather_fill(struct gvm_conn *conn, struct gather *g)
{
	g->iovs = 0;
	g->bytes = 0;
	g->head_bytes = 0;
	g->skip = 0;
	if (conn->rest)
		gather_add(g, conn->rest + conn->rest_sent, conn->rest_bytes - conn->rest_sent);
	g->skip = conn->head_sent;
	for (struct gvm_req *req = req_first(conn, REQ_QUEUED); req; req = req_next(req)) {
		uint8_t *head = g->head + g->head_bytes;

		if (g->iovs + 2 > TX_IOVS || g->bytes >= TX_CALL_BYTES ||
		    g->head_bytes + GVM_HDR_BYTES + req->meta_len > sizeof(g->head))
			break;
		g->head_bytes += head_pack(req, head);
		gather_add(g, head, GVM_HDR_BYTES + (size_t)req->meta_len);
		gather_add(g, req->data, req->data_len);
	}
}

static void sent(struct gvm_conn *conn, size_t n)
{
	struct gvm_req *req;

	if (conn->rest) {
		size_t left = conn->rest_bytes - conn->rest_sent;
		size_t took = n < left ? n : left;

		conn->rest_sent += took;
		n -= took;
		if (took < left)
			return;
		free(conn->rest);
		conn->rest = NULL;
	}
	n += conn->head_sent;
	conn->head_sent = 0;
	while (n && (req = req_first(conn, REQ_QUEUED))) {
		if (n < frame_bytes(req)) {
			conn->head_sent = n;
			return;
		}
		n -= frame_bytes(req);
		req_move(conn, req, REQ_SENT);
	}
	/* Each byte was of a frame: otherwise the stream and the requests differ from here on. */
	assert(!n);
}

void tx_flush(struct gvm_conn *conn)
{
	struct gather g;

	while (conn->step == LINK_UP && !conn->broken &&
	       (conn->rest || req_first(conn, REQ_QUEUED) || stream_has_unsent(&conn->stream))) {
		ssize_t n;

		gather_fill(conn, &g);
		n = stream_sendv(&conn->stream, g.iov, g.iovs);
		if (n < 0 && n != -EAGAIN) {
			conn->broken = n == -EBADMSG ? conn->stream.tls.why : strerrordesc_np((int)-n);
			poll_timer_by(conn, 0);
			return;
		}
		if (n > 0)
			sent(conn, (size_t)n);
		/* (Over TLS fewer may be taken though the socket has room: a buffer is between.) */
		if (n == -EAGAIN || stream_has_unsent(&conn->stream) ||
		    (!conn->stream.key && (size_t)n < g.bytes)) {
			poll_wait_room(conn, true);
			return;
		}
	}
	poll_wait_room(conn, false);
}

void tx_detach_head(struct gvm_conn *conn)
{
	struct gvm_req *req = req_first(conn, REQ_QUEUED);
	size_t left = frame_bytes(req) - conn->head_sent;
	size_t skip = conn->head_sent;
	uint8_t head[GVM_HDR_BYTES + GVM_META_MAX];
	size_t head_bytes = head_pack(req, head);
	uint8_t *p = malloc(left);

	assert(skip < frame_bytes(req) && !conn->rest);
	conn->head_sent = 0;
	if (!p) {
		/* The frame cannot be completed: the link is dropped. */
		conn->broken = "out of memory";
		poll_timer_by(conn, 0);
		return;
	}
	conn->rest = p;
	conn->rest_bytes = left;
	conn->rest_sent = 0;
	if (skip < head_bytes) {
		p = (uint8_t *)mempcpy(p, head + skip, head_bytes - skip);
		skip = head_bytes;
	}
	skip -= head_bytes;
	if (req->data_len > skip)
		memcpy(p, (const uint8_t *)req->data + skip, req->data_len - skip);
}

void tx_reset(struct gvm_conn *conn)
{
	free(conn->rest);
	conn->rest = NULL;
	conn->head_sent = 0;
}

int tx_handshake(struct gvm_conn *conn, uint8_t op, const uint8_t *meta, size_t meta_len)
{
	struct gvm_hdr h = {.op = op, .meta_len = (uint16_t)meta_len};
	uint8_t buf[GVM_HDR_BYTES + GVM_META_MAX];
	struct iovec iov = {buf, GVM_HDR_BYTES + meta_len};
	ssize_t n;

	assert(meta_len <= GVM_META_MAX);
	gvm_hdr_pack(&h, meta, buf);
	memcpy(buf + GVM_HDR_BYTES, meta, meta_len);
	/* Nothing else was sent on this socket, so it takes so few bytes at once or is broken. */
	n = stream_sendv(&conn->stream, &iov, 1);
	if (n < 0)
		return (int)n;
	return (size_t)n == iov.iov_len && !stream_has_unsent(&conn->stream) ? 0 : -EAGAIN;
}
