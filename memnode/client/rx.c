// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * rx.c - receives, and hands each answer to its request.
 *
 * Answers already received are handed out even if the link broke behind them; malformed bytes end
 * the link at once. A bad answer is attributed to its request only if its header was right: that
 * request is tried once more, then ends with -EBADMSG. If the stream is bad otherwise, no request's
 * tries are counted as long as the link brought good answers; if it brought none, a try of every
 * sent request is, so that a path that always corrupts does not keep them for ever.
 */
#include "impl.h"

#include <errno.h>
#include <string.h>

/* Receive calls of one process(): a fast node does not keep the caller from its other work. */
#define RX_CALLS 8
#define FEW_REQUESTS 4
/* A block of one page, as stored, with its frame around it, fits well. */
#define PAGE_FRAME_BYTES 8192

/* Sends a request once more on the same link, under another tag: a block of its answer, or the data
 * that the node received, did not match its checksum. */
static void req_again(struct gvm_conn *conn, struct gvm_req *req, bool answered)
{
	req_retire(conn, req, answered);
	if (req_tag(conn, req)) {
		req_move(conn, req, REQ_ENDED);
		req->result = -ENOMEM;
		poll_timer_by(conn, 0);
		return;
	}
	req_move(conn, req, REQ_QUEUED);
	if (!conn->corked)
		tx_flush(conn);
}

static int take_piece(struct gvm_conn *conn, struct gvm_req *req, const struct frame *f,
		      const struct answer *a, const char **why)
{
	struct gvm_get *get = (struct gvm_get *)req;
	uint64_t tag = req->tag;
	int ret = get_progress_add(&get->progress, &get->what, a, why);

	if (ret)
		return ret;
	conn->in_callback++;
	ret = get->on_piece(get, a->version, &a->head, f->data);
	conn->in_callback--;
	/* on_piece may have cancelled this request, and then its memory may be gone. */
	if (req_find(conn, tag, GVM_OP_GET, &req))
		return 0;
	if (!req) {
		if (!a->more)
			req_forget(conn, tag);
		return 0;
	}
	if (ret == -EBADMSG && !req->tries) {
		req->tries++;
		get->progress = (struct gvm_get_progress){0};
		req_again(conn, req, !a->more);
	} else if (ret || !a->more) {
		req_end(conn, req, ret, !a->more);
	}
	return 0;
}

/* 0, or -EBADMSG and why; then *req is the request answered badly, or NULL. */
static int take_answer(struct gvm_conn *conn, const struct frame *f, struct gvm_req **req,
		       const char **why)
{
	struct answer a;
	union gvm_answer rsp;
	int ret;

	*req = NULL;
	if (req_find(conn, f->hdr.tag, f->hdr.op, req)) {
		*why = "an answer to no request";
		return -EBADMSG;
	}
	if (!*req) {
		if (!(f->hdr.flags & GVM_FLAG_MORE))
			req_forget(conn, f->hdr.tag);
		return 0;
	}
	ret = answer_parse(f, &a, &rsp, why);
	if (ret)
		return ret;
	conn->answered = true;
	(*req)->detail = a.detail;
	if (f->hdr.op == GVM_OP_PUT && !a.result)
		conn->wants_packed = f->hdr.flags & GVM_FLAG_PACK;
	if (f->hdr.op == GVM_OP_GET && !a.result)
		return take_piece(conn, *req, f, &a, why);
	if ((*req)->data_len && f->hdr.status == GVM_ERR_CORRUPT && !(*req)->tries) {
		/* The data was damaged in transit; the caller still has it. */
		(*req)->tries++;
		req_again(conn, *req, true);
		return 0;
	}
	if (f->hdr.op == GVM_OP_REGION_DELETE && f->hdr.status == GVM_ERR_LOST && (*req)->resent)
		a.result = 0; /* deleted when it was first sent; that answer was lost */
	if (f->hdr.op != GVM_OP_GET && f->hdr.op != GVM_OP_PUT) {
		struct gvm_call *call = (struct gvm_call *)*req;

		if (!a.result)
			call->rsp = rsp;
		call->data = f->data;
		call->data_bytes = f->hdr.data_len;
	}
	req_end(conn, *req, a.result, true);
	return 0;
}

/* Handles every whole frame in the buffer, up to one that pauses; returns their number. The link may be lost
 * after. */
static int take_frames(struct gvm_conn *conn)
{
	int frames = 0;

	for (conn->paused = false; !conn->paused;) {
		struct gvm_req *blamed = NULL;
		const char *why = "";
		struct frame f;
		uint64_t tag;
		int ret = frame_reader_next(&conn->reader, &f, &tag, &why);

		if (!ret)
			return frames;
		if (ret > 0) {
			frames++;
			ret = conn->step == LINK_UP ? take_answer(conn, &f, &blamed, &why) :
						      link_handshake(conn, &f, &why);
			if (conn->step < LINK_HELLO || conn->step == LINK_FAILED)
				return frames;
		} else if (tag && conn->step == LINK_UP &&
			   req_find(conn, tag, f.hdr.op, &blamed)) {
			blamed = NULL;
		}
		if (ret < 0) {
			if (ret == -EPROTONOSUPPORT && conn->step == LINK_HELLO)
				link_version_refused(conn, why);
			else
				link_lost(conn, why, blamed, true);
			return frames;
		}
	}
	return frames;
}

/*
 * How much to receive at once. If only a few requests are in flight and one of them is a GET for a
 * faulter's page, no more than that page's frame needs: copying the bytes behind it first would
 * take longer than another system call (measured: 76 instead of 83 us to the page).
 */
static size_t rx_bound(const struct gvm_conn *conn, size_t room)
{
	const struct gvm_req *req = req_first(conn, REQ_SENT);
	bool awaited = false;
	unsigned n;

	for (n = 0; req && n <= FEW_REQUESTS; req = req_next(req), n++) {
		const struct gvm_get *get = (const struct gvm_get *)req;

		if (req->op == GVM_OP_GET && get->what.want_page != GVM_NO_PAGE)
			awaited |= !get->progress.begun;
	}
	return awaited && n <= FEW_REQUESTS && room > PAGE_FRAME_BYTES ? PAGE_FRAME_BYTES : room;
}

int rx_run(struct gvm_conn *conn)
{
	int frames = conn->paused ? take_frames(conn) : 0;

	if (conn->step == LINK_TLS)
		link_secure(conn);
	/* What lies behind TLS already does not make the socket readable: nothing of it may stay there. */
	for (int i = 0; (i < RX_CALLS || stream_has_more(&conn->stream)) && !conn->paused && conn->step >= LINK_HELLO && conn->step <= LINK_UP; i++) {
		size_t room, bound;
		uint8_t *at = frame_reader_room(&conn->reader, &room);
		ssize_t n;

		bound = rx_bound(conn, room);
		n = stream_recv(&conn->stream, at, bound, bound < room ? bound : SIZE_MAX);
		if (n == -EAGAIN)
			break;
		/* Over TLS altered bytes say nothing of the requests: they wait for a better way. */
		if (n < 0) {
			link_lost(conn, n == -EBADMSG ? conn->stream.tls.why : strerrordesc_np((int)-n), NULL,
				  false);
			break;
		}
		if (!n) {
			link_lost(conn, "the node closed the connection", NULL, false);
			break;
		}
		conn->heard = true;
		conn->received += (size_t)n;
		frame_reader_fed(&conn->reader, (size_t)n);
		frames += take_frames(conn);
		if (conn->step < LINK_HELLO || (conn->stream.emptied && !stream_has_more(&conn->stream)))
			break;
	}
	return frames;
}
