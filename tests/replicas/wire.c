// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * wire.c - gvm_client.h over simulated nodes: requests go to a node in the order in which a connection was given them, are
 * carried out, and their answers come back, one event each. What is under way when a connection breaks is sent again.
 */
#include "cluster.h"

#include "gvm_client.h"

#include <errno.h>
#include <string.h>

#define DEAD_NS 5000000000ull /* a node that was silent for so long: the connection is given up */

struct gvm_conn {
	unsigned node;
	enum gvm_conn_state state;
	struct gvm_id incarnation; /* that was last spoken to; none: none was */
	uint64_t heard_ns;	   /* of one that is silent, or not connected */
};

enum box_op { OP_GET, OP_PUT, OP_DISCARD, OP_VIEW, OP_CREATE, OP_RESIZE, OP_DELETE, OP_VIEWS, OP_INDEX, OP_OPEN, OP_DRAIN,
	      OP_STAT, OP_CHECK };

union box_what {
	struct gvm_get_req get;
	struct gvm_put_req put;
	struct gvm_discard_req discard;
	struct gvm_region_view_req view;
	struct gvm_region_views_req views;
	struct gvm_region_create_req create;
	struct gvm_region_resize_req resize;
	struct gvm_region_delete_req delete;
	struct gvm_region_open_req open;
};

/* A request, and its answer. */
struct box {
	struct gvm_req *req; /* NULL: free */
	struct gvm_conn *conn;
	uint64_t order; /* in which they were given to it */
	enum box_op op;
	union box_what what;
	bool served, begun;
	int result;
	uint64_t detail;
	uint32_t left; /* GET: pages that have not come back yet */
	struct copy copy;
	uint8_t tries;
	uint32_t data_bytes, count;
	uint8_t data[2 * W_CHUNKS * GVM_VIEW_ENTRY_BYTES + W_CHUNKS * 16];
};

/* What a dead worker has sent. */
struct late {
	struct gvm_id node;
	enum box_op op;
	union box_what what;
	struct chunk_head head;
	uint8_t body[GVM_CHUNK_BYTES];
};

static struct gvm_conn conns[OWNERS][NODES_MAX];
static struct box boxes[WIRE_BOXES];
static struct late lates[WIRE_LATE];
static unsigned late_count, box_count; /* boxes from there on are free */
static uint64_t orders;
uint64_t wires_news;

uint64_t gvm_now_ns(void)
{
	return world.now;
}

static struct node *node_of(const struct gvm_conn *conn)
{
	return &cluster.node[conn->node];
}

static bool is_heard(const struct gvm_conn *conn)
{
	return conn->state == GVM_CONN_UP && !node_of(conn)->deaf;
}

static bool has_greeted(const struct gvm_conn *conn, const struct gvm_id *id)
{
	return gvm_id_equal(&conn->incarnation, id);
}

unsigned wire_node(const struct gvm_conn *conn)
{
	return conn->node;
}

struct gvm_conn *wire_conn(enum wire_owner owner, unsigned node)
{
	return &conns[owner][node];
}

static struct gvm_conn *conn_nth(unsigned i)
{
	return &conns[i / NODES_MAX][i % NODES_MAX];
}

/* ---- what is asked of a connection */

enum gvm_conn_state gvm_conn_state(const struct gvm_conn *conn)
{
	return conn->state;
}

const struct gvm_id *gvm_conn_incarnation(const struct gvm_conn *conn)
{
	return &conn->incarnation;
}

const char *gvm_conn_addr(const struct gvm_conn *conn)
{
	static const char *const names[NODES_MAX] = { "a", "b", "c", "d" };

	return names[conn->node];
}

uint64_t gvm_conn_heard_ns(const struct gvm_conn *conn)
{
	return is_heard(conn) ? world.now : conn->heard_ns;
}

/* As if each nanosecond a byte came. */
uint64_t gvm_conn_received(const struct gvm_conn *conn)
{
	return gvm_conn_heard_ns(conn);
}

unsigned gvm_conn_pending(const struct gvm_conn *conn)
{
	unsigned n = 0;

	for (unsigned i = 0; i < box_count; i++)
		n += boxes[i].req && boxes[i].conn == conn;
	return n;
}

/* What is raw and what is compressed is the same to the simulator's codec. */
bool gvm_conn_takes_raw(const struct gvm_conn *conn)
{
	(void)conn;
	return false;
}

uint64_t gvm_conn_rate(const struct gvm_conn *conn)
{
	(void)conn;
	return 0;
}

void gvm_conn_pause(struct gvm_conn *conn)
{
	(void)conn;
}

/* ---- requests */

static void box_end(struct box *box, int result)
{
	struct gvm_req *req = box->req;

	box->req = NULL;
	while (box_count && !boxes[box_count - 1].req)
		box_count--;
	wires_news++;
	req->result = result;
	req->detail = box->detail;
	req->done(req);
}

static struct box *box_add(struct gvm_conn *conn, struct gvm_req *req, enum box_op op)
{
	unsigned i = 0;

	if (conn < conns[OF_FRONT] + NODES_MAX)
		world_call();
	while (i < box_count && boxes[i].req)
		i++;
	if (i == WIRE_BOXES) {
		world_wrong("more requests than there may be");
		i = 0;
	}
	boxes[i] = (struct box){ .req = req, .conn = conn, .op = op, .order = ++orders };
	box_count = i < box_count ? box_count : i + 1;
	req->conn = conn;
	wires_news++;
	return &boxes[i];
}

void gvm_get(struct gvm_conn *conn, struct gvm_get *get)
{
	box_add(conn, &get->req, OP_GET)->what.get = get->what;
}

void gvm_put(struct gvm_conn *conn, struct gvm_put *put)
{
	box_add(conn, &put->req, OP_PUT)->what.put = put->what;
}

void gvm_discard(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_discard_req *what)
{
	box_add(conn, &call->req, OP_DISCARD)->what.discard = *what;
}

void gvm_region_view(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_region_view_req *what)
{
	box_add(conn, &call->req, OP_VIEW)->what.view = *what;
}

void gvm_region_views(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_region_views_req *what)
{
	box_add(conn, &call->req, OP_VIEWS)->what.views = *what;
}

void gvm_region_index(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_region_index_req *what)
{
	(void)what;
	box_add(conn, &call->req, OP_INDEX);
}

void gvm_region_open(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_region_open_req *what)
{
	box_add(conn, &call->req, OP_OPEN)->what.open = *what;
}

void gvm_region_create(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_region_create_req *what)
{
	box_add(conn, &call->req, OP_CREATE)->what.create = *what;
}

void gvm_region_resize(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_region_resize_req *what)
{
	box_add(conn, &call->req, OP_RESIZE)->what.resize = *what;
}

void gvm_region_delete(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_region_delete_req *what)
{
	box_add(conn, &call->req, OP_DELETE)->what.delete = *what;
}

void gvm_region_check(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_region_check_req *what)
{
	(void)what;
	box_add(conn, &call->req, OP_CHECK);
}

void gvm_node_stat(struct gvm_conn *conn, struct gvm_call *call)
{
	box_add(conn, &call->req, OP_STAT);
}

void gvm_node_drain(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_node_drain_req *what)
{
	(void)what;
	box_add(conn, &call->req, OP_DRAIN);
}

void gvm_cancel(struct gvm_req *req)
{
	for (unsigned i = 0; i < box_count; i++)
		if (boxes[i].req == req) {
			box_end(&boxes[i], -ECANCELED);
			return;
		}
	world_wrong("a request is cancelled that has ended");
}

/* ---- a node carries them out */

static uint32_t view_list(uint8_t *p, unsigned slot, bool active, const struct node_view *view)
{
	if (!view->number)
		return 0;
	gvm_store_le(p, slot, 4);
	gvm_store_le(p + 4, active, 1);
	gvm_store_le(p + 5, view->number, 8);
	memcpy(p + 13, view->member, sizeof(view->member));
	return GVM_VIEW_ENTRY_BYTES;
}

static int views_serve(struct box *box, const struct node *n)
{
	if (n->renewed)
		return -ENOMEDIUM;
	for (uint64_t s = box->what.views.first; s < W_CHUNKS && s < box->what.views.first + box->what.views.count; s++) {
		box->data_bytes += view_list(box->data + box->data_bytes, (unsigned)s, true, &n->active[s]);
		box->data_bytes += view_list(box->data + box->data_bytes, (unsigned)s, false, &n->proposed[s]);
	}
	box->count = box->data_bytes / GVM_VIEW_ENTRY_BYTES;
	return 0;
}

static int index_serve(struct box *box, const struct node *n)
{
	if (n->renewed)
		return -ENOMEDIUM;
	for (uint64_t c = 0; c < W_CHUNKS; c++)
		if (n->copy[c].version) {
			gvm_store_le(box->data + box->data_bytes, c, 8);
			gvm_store_le(box->data + box->data_bytes + 8, n->copy[c].version, 8);
			box->data_bytes += 16;
		}
	box->count = box->data_bytes / 16;
	return 0;
}

static int check_serve(struct box *box, const struct node *n)
{
	if (n->renewed)
		return -ENOMEDIUM;
	for (uint64_t c = 0; c < W_CHUNKS; c++)
		if (copy_rotten(&n->copy[c])) {
			gvm_store_le(box->data + box->data_bytes, c, 8);
			gvm_store_le(box->data + box->data_bytes + 8, n->copy[c].version, 8);
			box->data_bytes += GVM_CHECK_ENTRY_BYTES;
		}
	box->count = box->data_bytes / GVM_CHECK_ENTRY_BYTES;
	return 0;
}

static int get_serve(struct box *box, const struct node *n)
{
	const struct copy *copy;
	int r = node_get(n, &box->what.get, &copy, &box->detail);

	if (r)
		return r;
	box->detail = 0; /* of errors only */
	box->copy = *copy;
	for (unsigned p = 0; p < GVM_CHUNK_PAGES && !(copy->version & GVM_VERSION_ZERO); p++)
		if (box->what.get.page_mask >> p & 1 && copy->hash[p])
			box->left |= 1u << p;
	return 0;
}

static int box_serve(struct box *box, struct node *n)
{
	const struct gvm_put *put = (const struct gvm_put *)box->req;

	switch (box->op) {
	case OP_GET: return get_serve(box, n);
	case OP_PUT: return node_put(n, &box->what.put, put->head, put->body, &box->detail);
	case OP_DISCARD: return node_discard(n, &box->what.discard, &box->detail);
	case OP_VIEW: return node_view(n, &box->what.view);
	case OP_VIEWS: return views_serve(box, n);
	case OP_INDEX: return index_serve(box, n);
	case OP_CHECK: return check_serve(box, n);
	case OP_CREATE: return node_create(n, &box->what.create);
	case OP_DELETE: return node_delete(n, &box->what.delete);
	case OP_RESIZE: return node_resize(n, &box->what.resize);
	case OP_OPEN:
		n->attached |= !n->renewed && box->what.open.mode == GVM_OPEN_ATTACH;
		return n->renewed ? -ENOMEDIUM : 0;
	case OP_DRAIN:
	case OP_STAT: return 0;
	}
	return -EINVAL;
}

static struct box *first_waiting(const struct gvm_conn *conn)
{
	struct box *first = NULL;

	for (unsigned i = 0; i < box_count; i++)
		if (boxes[i].req && boxes[i].conn == conn && !boxes[i].served && (!first || boxes[i].order < first->order))
			first = &boxes[i];
	return first;
}

/* b: the node has no room. */
static bool serve(const struct event *e)
{
	struct gvm_conn *conn = conn_nth(e->a);
	struct box *box = is_heard(conn) ? first_waiting(conn) : NULL;
	bool full = box && e->b && (box->op == OP_PUT || box->op == OP_VIEW || box->op == OP_CREATE);

	if (!box)
		return false;
	box->served = true;
	box->begun = false;
	box->left = box->data_bytes = 0;
	box->detail = 0;
	if (!gvm_id_is_none(&box->req->node) && !has_greeted(conn, &box->req->node))
		box->result = -ENOMEDIUM;
	else
		box->result = full ? -ENOSPC : box_serve(box, node_of(conn));
	wires_news++;
	return true;
}

static struct box *answered(uint32_t i)
{
	struct box *box = &boxes[i];

	return i < box_count && box->req && box->served && is_heard(box->conn) ? box : NULL;
}

/* The pages of the copy, as the answer to a GET brings them. */
static void piece_make(const struct copy *copy, uint32_t pages, struct chunk_head *head, uint8_t *body)
{
	bool zero = copy->version & GVM_VERSION_ZERO || !copy->version;

	memset(head, 0, sizeof(*head));
	head->sealed = world.sealed;
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
		if (zero || !copy->hash[p]) {
			head->zero_map |= 1u << p;
		} else if (pages >> p & 1) {
			head->block_mask |= 1u << p;
			bool lost = copy->lost >> p & 1;

			head->block[p] = (struct chunk_block){ .bytes = lost ? CHUNK_LOST_BYTES : GVM_PAGE_BYTES, .raw = !lost,
							       .hash = copy->hash[p], .version = copy->sealed_in[p] };
			gvm_store_le(head->block[p].tag, copy->seal[p], 8);
			gvm_store_le(head->block[p].tag + 8, copy->hash[p], 8);
			memset(body + head->body_bytes, 0, GVM_PAGE_BYTES);
			if (!lost)
				memcpy(body + head->body_bytes, &copy->content[p], GVM_PAGE_BYTES);
			head->body_bytes += head->block[p].bytes;
		}
	}
}

/* An answer that does not verify is asked for once more. */
static void piece_refused(struct box *box, int error)
{
	if (error == -EBADMSG && !box->tries++)
		box->served = false;
	else
		box_end(box, error);
}

static bool piece(const struct event *e)
{
	struct box *box = answered(e->a);
	struct gvm_get *get = box ? (struct gvm_get *)box->req : NULL;
	uint64_t order = box ? box->order : 0;
	uint8_t body[GVM_CHUNK_BYTES];
	struct chunk_head head;
	uint32_t pages;
	int r;

	if (!box || box->op != OP_GET || box->result || (box->begun && !(box->left & e->b)))
		return false;
	pages = box->left & e->b;
	box->begun = true;
	box->left &= ~pages;
	wires_news++;
	piece_make(&box->copy, pages, &head, body);
	r = get->on_piece(get, box->copy.version & GVM_VERSION_MASK, &head, body);
	/* (It may have been cancelled meanwhile.) */
	if (r && box->req == &get->req && box->order == order)
		piece_refused(box, r);
	return true;
}

static bool end(const struct event *e)
{
	struct box *box = answered(e->a);
	struct gvm_call *call = box ? (struct gvm_call *)box->req : NULL;

	if (!box || (box->op == OP_GET && !box->result && (!box->begun || box->left)))
		return false;
	if (!box->result && box->op >= OP_VIEWS) {
		call->data = box->data;
		call->data_bytes = box->data_bytes;
		if (box->op == OP_VIEWS)
			call->rsp.region_views.count = box->count;
		if (box->op == OP_CHECK)
			call->rsp.region_check = (struct gvm_region_check_rsp){ .count = box->count, .next = ~0ull };
		if (box->op == OP_DRAIN)
			call->rsp.node_drain.drains = node_of(box->conn)->drains;
		if (box->op == OP_OPEN)
			call->rsp.region_open = (struct gvm_region_open_rsp){ .epoch = node_of(box->conn)->attached ? W_EPOCH : 0,
									      .reserve_chunks = node_of(box->conn)->promised };
		if (box->op == OP_STAT)
			call->rsp.node_stat = (struct gvm_node_stat_rsp){
				.promisable_bytes = GVM_PROMISE_BYTES * (node_of(box->conn)->drains ? node_of(box->conn)->promised :
												      cluster.room),
				.reserved_bytes = node_of(box->conn)->promised * GVM_PROMISE_BYTES };
		if (box->op == OP_INDEX)
			call->rsp.region_index = (struct gvm_region_index_rsp){ .count = box->count, .next = ~0ull };
	}
	box_end(box, box->result);
	return true;
}

/* ---- connections come and go */

static void conn_break(struct gvm_conn *conn)
{
	for (unsigned i = 0; i < box_count; i++)
		if (boxes[i].req && boxes[i].conn == conn)
			boxes[i].served = false;
	if (is_heard(conn))
		conn->heard_ns = world.now;
	conn->state = GVM_CONN_CONNECTING;
	wires_news++;
}

/* What was meant for another than the node that answers ends. */
static void conn_greet(struct gvm_conn *conn)
{
	conn->state = GVM_CONN_UP;
	conn->incarnation = node_of(conn)->id;
	wires_news++;
	for (unsigned i = 0; i < box_count; i++)
		if (boxes[i].req && boxes[i].conn == conn && !gvm_id_is_none(&boxes[i].req->node) &&
		    !has_greeted(conn, &boxes[i].req->node))
			box_end(&boxes[i], -ENOMEDIUM);
}

static void node_reach(unsigned node)
{
	for (unsigned i = 0; i < OWNERS; i++)
		if (conns[i][node].state != GVM_CONN_UP)
			conn_greet(&conns[i][node]);
	worker_nodes_changed();
}

static bool down(const struct event *e)
{
	struct node *n = &cluster.node[e->a];

	if (e->a >= cluster.nodes || n->down || !may_go(e->a))
		return false;
	for (unsigned i = 0; i < OWNERS; i++)
		conn_break(&conns[i][e->a]);
	n->down = true;
	n->deaf = false;
	worker_nodes_changed();
	return true;
}

static bool up(const struct event *e)
{
	if (e->a >= cluster.nodes || !cluster.node[e->a].down)
		return false;
	cluster.node[e->a].down = false;
	node_reach(e->a);
	return true;
}

static bool deaf(const struct event *e)
{
	struct node *n = &cluster.node[e->a];

	if (e->a >= cluster.nodes || n->down || n->deaf || !may_go(e->a))
		return false;
	for (unsigned i = 0; i < OWNERS; i++)
		conns[i][e->a].heard_ns = world.now;
	n->deaf = true;
	n->deaf_ns = world.now;
	return true;
}

static bool hears(const struct event *e)
{
	if (e->a >= cluster.nodes || !cluster.node[e->a].deaf)
		return false;
	cluster.node[e->a].deaf = false;
	node_reach(e->a);
	return true;
}

static bool resend(const struct event *e)
{
	struct gvm_conn *conn = conn_nth(e->a);

	if (!is_heard(conn))
		return false;
	conn_break(conn);
	conn_greet(conn);
	return true;
}

/* One that is down will have begun anew. */
static bool lose(const struct event *e)
{
	struct node *n = &cluster.node[e->a];

	if (e->a >= cluster.nodes || !n->down || n->renewed)
		return false;
	for (uint64_t c = 0; c < W_CHUNKS; c++)
		if (!chunk_is_safe(c, e->a))
			return false;
	*n = (struct node){ .id = life_new(e->a), .down = true, .renewed = true };
	places_look();
	return true;
}

static bool node_rot(unsigned node, const struct event *e)
{
	uint64_t c = e->b / GVM_CHUNK_PAGES % W_CHUNKS;
	unsigned p = (e->b + (e->a == ROTS_APART ? 7 * node : 0)) % GVM_CHUNK_PAGES;
	struct copy *copy = &cluster.node[node].copy[c];

	if (!copy->version || copy->version & GVM_VERSION_ZERO || !copy->hash[p] ||
	    copy_bad(copy) >> p & 1 || (world.index[c] && !cluster.rots_all && !chunk_is_safe(c, node)))
		return false;
	if (e->b >= W_PAGES) {
		copy->head_rotten = true;
	} else {
		copy->content[p] ^= 1ull << 63;
		copy->rotten |= 1u << p;
	}
	return true;
}

/* b: 0: none is any more. */
static bool drain_tell(const struct event *e)
{
	if (e->a >= cluster.nodes || cluster.nodes == cluster.copies)
		return false;
	for (unsigned i = 0; i < cluster.nodes; i++)
		cluster.node[i].drains = e->b && i == e->a;
	return true;
}

/* b: the page; those of the high half: the chunk's head. a: the node, or one of enum rots. */
static bool rot(const struct event *e)
{
	bool some = false;

	for (unsigned i = 0; i < cluster.nodes; i++)
		some |= (e->a == i || (e->a >= NODES_MAX && cluster.rots_all)) && node_rot(i, e);
	return some;
}

/* ---- a worker's life */

void wires_init(void)
{
	late_count = 0;
}

void wires_begin(void)
{
	memset(boxes, 0, sizeof(boxes));
	box_count = 0;
	for (unsigned i = 0; i < WIRE_CONNS; i++) {
		struct gvm_conn *conn = conn_nth(i);

		*conn = (struct gvm_conn){ .node = i % NODES_MAX, .heard_ns = world.now };
		if (conn->node < cluster.nodes && !node_of(conn)->down && !node_of(conn)->deaf)
			conn_greet(conn);
	}
}

void wires_killed(void)
{
	for (unsigned i = 0; i < box_count && late_count < WIRE_LATE; i++) {
		const struct box *box = &boxes[i];
		const struct gvm_put *put = (const struct gvm_put *)box->req;
		struct late *late = &lates[late_count];

		if (!box->req || box->served || box->conn->state != GVM_CONN_UP ||
		    (box->op != OP_PUT && box->op != OP_DISCARD && box->op != OP_VIEW && box->op != OP_CREATE &&
		     box->op != OP_DELETE && box->op != OP_RESIZE))
			continue;
		late_count++;
		late->node = box->req->node;
		late->op = box->op;
		late->what = box->what;
		if (box->op == OP_PUT) {
			late->head = *put->head;
			memcpy(late->body, put->body, put->head->body_bytes);
		}
	}
}

void wires_cancel(enum wire_owner owner)
{
	for (unsigned i = 0; i < box_count; i++)
		if (boxes[i].req && boxes[i].conn >= conns[owner] && boxes[i].conn < conns[owner] + NODES_MAX)
			box_end(&boxes[i], -ECANCELED);
}

static void late_do(const struct late *late)
{
	uint64_t detail;

	for (unsigned i = 0; i < cluster.nodes; i++) {
		struct node *n = &cluster.node[i];

		if (!gvm_id_equal(&n->id, &late->node))
			continue;
		if (late->op == OP_PUT)
			node_put(n, &late->what.put, &late->head, late->body, &detail);
		else if (late->op == OP_DISCARD)
			node_discard(n, &late->what.discard, &detail);
		else if (late->op == OP_VIEW)
			node_view(n, &late->what.view);
		else if (late->op == OP_CREATE)
			node_create(n, &late->what.create);
		else if (late->op == OP_DELETE)
			node_delete(n, &late->what.delete);
		else
			node_resize(n, &late->what.resize);
	}
}

static bool late(const struct event *e)
{
	if (e->a >= late_count)
		return false;
	if (e->kind == E_LATE)
		late_do(&lates[e->a]);
	lates[e->a] = lates[--late_count];
	return true;
}

bool wires_event(const struct event *e)
{
	switch (e->kind) {
	case E_SERVE: return serve(e);
	case E_PIECE: return piece(e);
	case E_END: return end(e);
	case E_RESEND: return resend(e);
	case E_DOWN: return down(e);
	case E_UP: return up(e);
	case E_DEAF: return deaf(e);
	case E_HEARS: return hears(e);
	case E_LOSE: return lose(e);
	case E_ROT: return rot(e);
	case E_DRAIN: return drain_tell(e);
	case E_LATE:
	case E_LOST: return late(e);
	default: return false;
	}
}

void wires_tick(void)
{
	for (unsigned i = 0; i < box_count; i++)
		if (boxes[i].req && boxes[i].req->deadline_ns && boxes[i].req->deadline_ns <= world.now)
			box_end(&boxes[i], -ETIMEDOUT);
	for (unsigned i = 0; i < cluster.nodes; i++)
		for (unsigned k = 0; k < OWNERS; k++)
			if (cluster.node[i].deaf && world.now >= cluster.node[i].deaf_ns + DEAD_NS &&
			    conns[k][i].state == GVM_CONN_UP) {
				conn_break(&conns[k][i]);
				worker_nodes_changed();
			}
}

uint64_t wires_due(void)
{
	uint64_t due_ns = ~0ull;

	for (unsigned i = 0; i < box_count; i++)
		if (boxes[i].req && boxes[i].req->deadline_ns && boxes[i].req->deadline_ns < due_ns)
			due_ns = boxes[i].req->deadline_ns;
	for (unsigned i = 0; i < cluster.nodes; i++)
		if (cluster.node[i].deaf && conns[OF_FRONT][i].state == GVM_CONN_UP &&
		    cluster.node[i].deaf_ns + DEAD_NS < due_ns)
			due_ns = cluster.node[i].deaf_ns + DEAD_NS;
	return due_ns;
}
