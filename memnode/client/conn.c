// SPDX-License-Identifier: GPL-2.0-or-later
/* conn.c - the public calls of a connection: makes requests, ends them on demand. */
#include "impl.h"

#include <assert.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static void conn_free(struct gvm_conn *conn)
{
	assert(!conn->pending);
	link_deinit(conn);
	if (conn->key)
		explicit_bzero(conn->key, conn->key_bytes);
	free(conn->key);
	free(conn->addr);
	free(conn->tags);
	free(conn);
}

int gvm_conn_create(const char *addr, const struct gvm_conn_opts *opts, struct gvm_conn **out)
{
	struct gvm_conn *conn = calloc(1, sizeof(*conn));
	int err;

	if (!conn)
		return -ENOMEM;
	conn->fd = conn->timer_fd = conn->epoll_fd = -1;
	if (opts)
		conn->opts = *opts;
	req_lists_init(conn);
	conn->state = GVM_CONN_CONNECTING;
	err = conn->opts.tls && !conn->opts.key ? -EINVAL : addr_parse(addr, &conn->peer);
	if (err)
		goto free_conn;
	err = -ENOMEM;
	conn->addr = strdup(addr);
	if (!conn->addr)
		goto free_conn;
	if (conn->opts.key) {
		conn->key_bytes = conn->opts.key_bytes;
		conn->key = malloc(conn->key_bytes ? conn->key_bytes : 1);
		if (!conn->key)
			goto free_conn;
		memcpy(conn->key, conn->opts.key, conn->key_bytes);
		conn->opts.key = NULL;
	}
	err = -EIO;
	while (!conn->opts.client)
		if (getrandom(&conn->opts.client, sizeof(conn->opts.client), 0) < 0)
			goto free_conn;
	err = link_init(conn);
	if (err)
		goto free_conn;
	*out = conn;
	return 0;

free_conn:
	conn_free(conn);
	return err;
}

void gvm_conn_destroy(struct gvm_conn *conn)
{
	if (!conn)
		return;
	assert(!conn->in_process && !conn->in_callback);
	conn->destroying = true;
	tx_reset(conn);
	if (conn->ping.req.state != REQ_IDLE)
		req_retire(conn, &conn->ping.req, false);
	req_end_all_later(conn, REQ_SENT, -ECANCELED);
	req_end_all_later(conn, REQ_QUEUED, -ECANCELED);
	while (req_first(conn, REQ_ENDED))
		req_run_ended(conn);
	conn_free(conn);
}

int gvm_conn_fd(const struct gvm_conn *conn)
{
	return conn->epoll_fd;
}

int gvm_conn_process(struct gvm_conn *conn)
{
	int frames;

	assert(!conn->in_process && !conn->in_callback);
	conn->in_process++;
	tx_flush(conn);
	frames = rx_run(conn);
	link_run(conn);
	if (!conn->corked)
		tx_flush(conn);
	req_run_ended(conn);
	conn->in_process--;
	return frames;
}

int gvm_conn_poll(struct gvm_conn *conn)
{
	int frames;

	if (conn->step != LINK_UP || conn->broken || req_first(conn, REQ_ENDED))
		return gvm_conn_process(conn);
	assert(!conn->in_process && !conn->in_callback);
	conn->in_process++;
	if (conn->wait_room)
		tx_flush(conn);
	frames = rx_run(conn);
	conn->in_process--;
	return frames;
}

void gvm_conn_pause(struct gvm_conn *conn)
{
	assert(conn->in_callback);
	conn->paused = true;
}

int gvm_conn_wait(struct gvm_conn *conn, struct gvm_req *req)
{
	struct pollfd p = {.fd = conn->epoll_fd, .events = POLLIN};

	for (;;) {
		gvm_conn_process(conn);
		if (req->state == REQ_IDLE)
			return req->result;
		poll(&p, 1, -1);
	}
}

const char *gvm_conn_addr(const struct gvm_conn *conn)
{
	return conn->addr;
}

enum gvm_conn_state gvm_conn_state(const struct gvm_conn *conn)
{
	return conn->state;
}

const struct gvm_id *gvm_conn_incarnation(const struct gvm_conn *conn)
{
	return &conn->incarnation;
}

uint64_t gvm_conn_client(const struct gvm_conn *conn)
{
	return conn->opts.client;
}

unsigned gvm_conn_pending(const struct gvm_conn *conn)
{
	return conn->pending;
}

uint64_t gvm_conn_heard_ns(const struct gvm_conn *conn)
{
	return conn->heard ? gvm_now_ns() : conn->last_heard;
}

uint64_t gvm_conn_received(const struct gvm_conn *conn)
{
	return conn->received;
}

bool gvm_conn_takes_raw(const struct gvm_conn *conn)
{
	return conn->step == LINK_UP && conn->welcome.features & GVM_FEATURE_PACK && !conn->wants_packed;
}

uint64_t gvm_conn_rate(const struct gvm_conn *conn)
{
	struct tcp_info info = {0};
	socklen_t bytes = sizeof(info);

	if (conn->fd < 0 || getsockopt(conn->fd, IPPROTO_TCP, TCP_INFO, &info, &bytes) ||
	    bytes < offsetof(struct tcp_info, tcpi_delivery_rate) + sizeof(info.tcpi_delivery_rate))
		return 0;
	return info.tcpi_delivery_rate;
}

void gvm_conn_cork(struct gvm_conn *conn, bool on)
{
	conn->corked = on;
	if (!on)
		tx_flush(conn);
}

void gvm_cancel(struct gvm_req *req)
{
	if (req->state != REQ_IDLE)
		req_end(req->conn, req, -ECANCELED, false);
}

void gvm_get(struct gvm_conn *conn, struct gvm_get *get)
{
	uint8_t *meta = get->req.meta_inline;

	get->progress = (struct gvm_get_progress){0};
	req_fill(&get->req, GVM_OP_GET, meta, gvm_get_req_pack(&get->what, meta), NULL, 0);
	req_submit(conn, &get->req);
}

void gvm_put(struct gvm_conn *conn, struct gvm_put *put)
{
	size_t n = gvm_put_req_pack(&put->what, put->meta);

	n += chunk_head_pack(put->head, put->meta + n);
	req_fill(&put->req, GVM_OP_PUT, put->meta, n, put->body, put->head->body_bytes);
	if (put->what.base == put->what.version)
		put->req.needs = GVM_FEATURE_MEND;
	/* The node cannot check what is sealed: it would store, for good, what was damaged on the way. */
	if (put->head->sealed) {
		put->req.needs |= GVM_FEATURE_SEAL;
		put->req.data_check = gvm_data_check(put->body, put->head->body_bytes);
	}
	req_submit(conn, &put->req);
}

static void call_fill(struct gvm_call *call, uint8_t op, size_t meta_len, const void *data, size_t data_len)
{
	call->data = NULL;
	call->data_bytes = 0;
	req_fill(&call->req, op, call->req.meta_inline, meta_len, data, data_len);
	call->req.data_check = data_len > GVM_DATA_MAX ? 0 : gvm_data_check(data, data_len);
}

static void call_submit(struct gvm_conn *conn, struct gvm_call *call, uint8_t op, size_t meta_len,
			const void *data, size_t data_len)
{
	call_fill(call, op, meta_len, data, data_len);
	req_submit(conn, &call->req);
}

void gvm_node_stat(struct gvm_conn *conn, struct gvm_call *call)
{
	call_submit(conn, call, GVM_OP_NODE_STAT, 0, NULL, 0);
}

void gvm_node_rot(struct gvm_conn *conn, struct gvm_call *call)
{
	call_fill(call, GVM_OP_NODE_ROT, 0, NULL, 0);
	call->req.needs = GVM_FEATURE_ROT;
	req_submit(conn, &call->req);
}

void gvm_node_drain(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_node_drain_req *what)
{
	call_fill(call, GVM_OP_NODE_DRAIN, gvm_node_drain_req_pack(what, call->req.meta_inline), NULL, 0);
	call->req.needs = GVM_FEATURE_DRAIN;
	req_submit(conn, &call->req);
}

void gvm_region_check(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_region_check_req *what)
{
	call_fill(call, GVM_OP_REGION_CHECK, gvm_region_check_req_pack(what, call->req.meta_inline), NULL, 0);
	call->req.needs = GVM_FEATURE_CHECK;
	req_submit(conn, &call->req);
}

void gvm_name_put(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_name_put_req *what,
		  const void *record, size_t record_bytes)
{
	call_submit(conn, call, GVM_OP_NAME_PUT, gvm_name_put_req_pack(what, call->req.meta_inline),
		    record, record_bytes);
}

void gvm_region_note(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_region_note_req *what,
		     const void *note, size_t note_bytes)
{
	size_t meta_len = gvm_region_note_req_pack(what, call->req.meta_inline);

	call_fill(call, GVM_OP_REGION_NOTE, meta_len, note, note_bytes);
	call->req.needs = GVM_FEATURE_NOTE;
	req_submit(conn, &call->req);
}

void gvm_region_noted(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_region_noted_req *what)
{
	call_fill(call, GVM_OP_REGION_NOTED, gvm_region_noted_req_pack(what, call->req.meta_inline), NULL, 0);
	call->req.needs = GVM_FEATURE_NOTE;
	req_submit(conn, &call->req);
}

void gvm_region_held(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_id *ids, unsigned count)
{
	const struct gvm_region_held_req what = {.count = count};
	size_t meta_len = gvm_region_held_req_pack(&what, call->req.meta_inline);

	call_fill(call, GVM_OP_REGION_HELD, meta_len, ids, count * sizeof(*ids));
	call->req.needs = GVM_FEATURE_HELD;
	req_submit(conn, &call->req);
}

/* The calls that are nothing but their fields. */
#define CALL(name, msg, opcode)                                                                    \
	_Static_assert(sizeof(struct gvm_##msg) <= sizeof(((struct gvm_req *)0)->meta_inline),     \
		       #msg " fits the request");                                                  \
	void gvm_##name(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_##msg *what) \
	{                                                                                          \
		call_submit(conn, call, opcode, gvm_##msg##_pack(what, call->req.meta_inline),     \
			    NULL, 0);                                                              \
	}
CALL(name_list, name_list_req, GVM_OP_NAME_LIST)
CALL(name_fence, name_fence_req, GVM_OP_NAME_FENCE)
CALL(name_forget, name_forget_req, GVM_OP_NAME_FORGET)
CALL(region_create, region_create_req, GVM_OP_REGION_CREATE)
CALL(region_open, region_open_req, GVM_OP_REGION_OPEN)
CALL(region_close, region_close_req, GVM_OP_REGION_CLOSE)
CALL(region_resize, region_resize_req, GVM_OP_REGION_RESIZE)
CALL(region_delete, region_delete_req, GVM_OP_REGION_DELETE)
CALL(region_stat, region_stat_req, GVM_OP_REGION_STAT)
CALL(region_list, region_list_req, GVM_OP_REGION_LIST)
CALL(region_index, region_index_req, GVM_OP_REGION_INDEX)
CALL(region_view, region_view_req, GVM_OP_REGION_VIEW)
CALL(region_views, region_views_req, GVM_OP_REGION_VIEWS)
CALL(discard, discard_req, GVM_OP_DISCARD)
