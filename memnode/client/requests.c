// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * requests.c - the requests of a connection: tags, and how each one ends.
 *
 * A tag is an index into one array and a generation, so that an answer finds its request in one step
 * and a repeated answer finds none.
 */
#include "impl.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TAGS_FIRST   64u
#define TAGS_MAX     (1u << 24)
/* With so many cancelled requests unanswered the link is taken for broken. */
#define ABANDONED_MAX 65536u
#define NO_TAG	      UINT32_MAX

static int tags_grow(struct gvm_conn *conn)
{
	uint32_t n = conn->tag_count ? conn->tag_count * 2 : TAGS_FIRST;
	struct req_tag_entry *tags;

	if (n > TAGS_MAX)
		return -ENOMEM;
	tags = reallocarray(conn->tags, n, sizeof(*tags));
	if (!tags)
		return -ENOMEM;
	for (uint32_t i = n; i-- > conn->tag_count;) {
		tags[i] = (struct req_tag_entry){.generation = 1, .next_free = conn->free_tag};
		conn->free_tag = i;
	}
	conn->tags = tags;
	conn->tag_count = n;
	return 0;
}

int req_tag(struct gvm_conn *conn, struct gvm_req *req)
{
	struct req_tag_entry *s;
	uint32_t i;

	if (!conn->tag_count)
		conn->free_tag = NO_TAG;
	if (conn->free_tag == NO_TAG && tags_grow(conn))
		return -ENOMEM;
	i = conn->free_tag;
	s = &conn->tags[i];
	assert(i < conn->tag_count && !s->op && !s->req);
	conn->free_tag = s->next_free;
	s->req = req;
	s->op = req->op;
	req->tag = (uint64_t)s->generation << 32 | i;
	return 0;
}

static struct req_tag_entry *tag_find(struct gvm_conn *conn, uint64_t tag)
{
	uint32_t i = (uint32_t)tag;

	if (i >= conn->tag_count || conn->tags[i].generation != tag >> 32 || !conn->tags[i].op)
		return NULL;
	return &conn->tags[i];
}

static void tag_free(struct gvm_conn *conn, struct req_tag_entry *s)
{
	assert(s->op);
	s->req = NULL;
	s->op = 0;
	if (!++s->generation)
		s->generation = 1; /* tag 0 is the handshake's */
	s->next_free = conn->free_tag;
	conn->free_tag = (uint32_t)(s - conn->tags);
}

static bool sent_in_part(const struct gvm_conn *conn, const struct gvm_req *req)
{
	return conn->head_sent && req_first(conn, REQ_QUEUED) == req;
}

int req_find(struct gvm_conn *conn, uint64_t tag, uint8_t op, struct gvm_req **req)
{
	struct req_tag_entry *s = tag_find(conn, tag);

	if (!s || s->op != op)
		return -EBADMSG;
	*req = s->req;
	if (s->req && s->req->state != REQ_SENT && !sent_in_part(conn, s->req))
		return -EBADMSG;
	return 0;
}

void req_forget(struct gvm_conn *conn, uint64_t tag)
{
	struct req_tag_entry *s = tag_find(conn, tag);

	assert(s && !s->req && conn->abandoned);
	conn->abandoned--;
	tag_free(conn, s);
}

void req_forget_abandoned(struct gvm_conn *conn)
{
	for (uint32_t i = 0; conn->abandoned && i < conn->tag_count; i++) {
		struct req_tag_entry *s = &conn->tags[i];

		if (s->op && !s->req) {
			conn->abandoned--;
			tag_free(conn, s);
		}
	}
	assert(!conn->abandoned);
}

void req_retire(struct gvm_conn *conn, struct gvm_req *req, bool answered)
{
	struct req_tag_entry *s = tag_find(conn, req->tag);
	bool in_part = sent_in_part(conn, req);
	bool unanswered = !answered && (in_part || req->state == REQ_SENT);

	if (in_part)
		tx_detach_head(conn);
	if (s && s->req == req) {
		if (unanswered) {
			s->req = NULL;
			if (++conn->abandoned > ABANDONED_MAX) {
				conn->broken = "the node leaves requests unanswered";
				poll_timer_by(conn, 0);
			}
		} else {
			tag_free(conn, s);
		}
	}
	req->tag = 0;
	req_move(conn, req, REQ_IDLE);
}

/* Nothing is touched after done(): the request's memory is the caller's again. */
static void call_done(struct gvm_conn *conn, struct gvm_req *req)
{
	assert(req == &conn->ping.req || conn->pending);
	if (req != &conn->ping.req)
		conn->pending--;
	if (!req->done)
		return;
	conn->in_callback++;
	req->done(req);
	conn->in_callback--;
}

void req_end(struct gvm_conn *conn, struct gvm_req *req, int result, bool answered)
{
	req_retire(conn, req, answered);
	req->result = result;
	call_done(conn, req);
}

void req_end_later(struct gvm_conn *conn, struct gvm_req *req, int result)
{
	req_retire(conn, req, false);
	req->result = result;
	req_move(conn, req, REQ_ENDED);
	poll_timer_by(conn, 0);
}

void req_end_all_later(struct gvm_conn *conn, enum req_state state, int result)
{
	while (req_first(conn, state))
		req_end_later(conn, req_first(conn, state), result);
}

void req_run_ended(struct gvm_conn *conn)
{
	/* Requests that callbacks submit may end at once, too: in the next round, or this one might
	 * never end. */
	unsigned n = 0;
	struct gvm_req *req;

	for (req = req_first(conn, REQ_ENDED); req; req = req_next(req))
		n++;
	while (n-- && (req = req_first(conn, REQ_ENDED))) {
		req_move(conn, req, REQ_IDLE);
		call_done(conn, req);
	}
}

bool req_names_region(const struct gvm_req *req)
{
	switch (req->op) {
	case GVM_OP_PING:
	case GVM_OP_NODE_STAT:
	case GVM_OP_NODE_DRAIN:
	case GVM_OP_NODE_ROT:
	case GVM_OP_NAME_PUT:
	case GVM_OP_NAME_LIST:
	case GVM_OP_NAME_FENCE:
	case GVM_OP_NAME_FORGET:
	case GVM_OP_REGION_LIST:
		return false;
	}
	return true;
}

bool req_is_meant(const struct gvm_conn *conn, const struct gvm_req *req)
{
	return gvm_id_is_none(&req->node) || gvm_id_equal(&req->node, &conn->incarnation);
}

static bool is_absent(const struct gvm_conn *conn, const struct gvm_id *node)
{
	for (unsigned i = 0; i < conn->absent_count && i < ABSENT_MAX; i++)
		if (gvm_id_equal(&conn->absent[i], node))
			return true;
	return false;
}

/* It is not sent to the node that was there last. That one may be gone, without its connection having noticed: a new
 * greeting tells. */
static int req_doubt(struct gvm_conn *conn, const struct gvm_req *req)
{
	if (conn->step != LINK_UP || req_is_meant(conn, req))
		return 0;
	if (is_absent(conn, &req->node))
		return -ENOMEDIUM;
	if (!conn->broken)
		conn->broken = "it may be another by now";
	poll_timer_by(conn, 0);
	return 0;
}

bool req_is_known(const struct gvm_conn *conn, const struct gvm_req *req)
{
	return !(req->needs & ~(conn->welcome.features & conn->hello.features));
}

void req_fill(struct gvm_req *req, uint8_t op, uint8_t *meta, size_t meta_len,
		     const void *data, size_t data_len)
{
	/* What sends a request packs this much into buffers of this size. */
	assert(meta_len <= GVM_META_MAX);
	req->op = op;
	req->meta = meta;
	req->meta_len = (uint16_t)meta_len;
	req->data = data;
	/* req_submit() refuses more than a frame can carry. */
	req->data_len = data_len > UINT32_MAX ? UINT32_MAX : (uint32_t)data_len;
	req->data_check = 0;
	req->needs = 0;
}

void req_submit(struct gvm_conn *conn, struct gvm_req *req)
{
	bool idle = !req_first(conn, REQ_QUEUED) && !conn->rest;
	int err;

	req->conn = conn;
	req->state = REQ_IDLE;
	req->tries = 0;
	req->resent = false;
	req->tag = 0;
	req->detail = 0;
	req->result = -EINPROGRESS;
	if (req != &conn->ping.req) {
		conn->pending++;
		poll_wanted(conn);
	}
	err = conn->destroying		       ? -ECANCELED :
	      conn->step == LINK_FAILED	       ? conn->failed :
	      req->data_len > GVM_DATA_MAX     ? -EINVAL :
	      conn->step == LINK_UP && !req_is_known(conn, req) ? -EOPNOTSUPP :
						 req_doubt(conn, req);
	if (!err)
		err = req_tag(conn, req);
	if (err) {
		req_end_later(conn, req, err);
		return;
	}
	req_move(conn, req, REQ_QUEUED);
	if (req->deadline_ns)
		poll_timer_by(conn, req->deadline_ns);
	if (conn->step == LINK_UP && idle && !conn->corked)
		tx_flush(conn);
}
