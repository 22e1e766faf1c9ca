// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * request.c - one function for each op, and the table that says what each op's frame may hold.
 *
 * Order of trust: lengths (frame_head_check), then the frame's own check, then its fields. A
 * malformed frame ends the session before it has had an effect.
 */
#include "request.h"
#include "log.h"
#include "pack.h"

#include "../auth.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

__attribute__((format(printf, 2, 3))) static int session_bad(struct session *s, const char *format,
							      ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(s->why, sizeof(s->why), format, args);
	va_end(args);
	return -EBADMSG;
}

void session_init(struct session *s)
{
	*s = (struct session){.state = SESSION_NEW};
	LIST_INIT(&s->writer.attaches);
}

void session_deinit(struct node *n, struct session *s)
{
	region_writer_gone(&s->writer);
	if (s->state == SESSION_READY)
		n->counters.clients--;
	s->state = SESSION_OVER;
}

/* A request under way: the arguments and results of the functions below. */
struct request {
	struct node *node;
	struct session *session;
	const struct frame *frame;
	/* the answer: fields of status OK in meta, else detail */
	uint64_t detail;
	uint8_t meta[GVM_META_MAX];
	size_t meta_len;
	const void *data;
	uint32_t data_len;
	struct reply *reply; /* set where the function builds the answer itself */
};

/* Each op is a function (request, fields) that returns a status, or a negative errno as
 * frame_answer() does. The fields come unpacked, in the order of the table at the end. */
union fields {
	struct gvm_hello_req hello;
	struct gvm_auth_req auth;
	struct gvm_ping_req ping;
	struct gvm_node_drain_req node_drain;
	struct gvm_name_put_req name_put;
	struct gvm_name_list_req name_list;
	struct gvm_name_fence_req name_fence;
	struct gvm_name_forget_req name_forget;
	struct gvm_region_create_req region_create;
	struct gvm_region_open_req region_open;
	struct gvm_region_close_req region_close;
	struct gvm_region_resize_req region_resize;
	struct gvm_region_delete_req region_delete;
	struct gvm_region_stat_req region_stat;
	struct gvm_region_list_req region_list;
	struct gvm_region_index_req region_index;
	struct gvm_region_view_req region_view;
	struct gvm_region_views_req region_views;
	struct gvm_region_held_req region_held;
	struct gvm_region_check_req region_check;
	struct gvm_region_note_req region_note;
	struct gvm_region_noted_req region_noted;
	struct gvm_get_req get;
	struct gvm_put_req put;
	struct gvm_discard_req discard;
};

static void session_ready(struct request *q)
{
	q->session->state = SESSION_READY;
	q->session->writer.client = q->session->hello.client;
	q->node->counters.clients++;
}

/* Answers, then ends the session. */
static int session_refuse(struct request *q, uint16_t status, const char *why)
{
	session_bad(q->session, "%s", why);
	q->session->state = SESSION_OVER;
	return status;
}

static int op_hello(struct request *q, const union fields *f)
{
	struct session *s = q->session;
	const struct node *n = q->node;

	if (s->tls_missing) {
		q->detail = GVM_AUTH_DEMANDS_TLS;
		return session_refuse(q, GVM_ERR_AUTH, "the client does not use TLS, which this node demands");
	}
	if (f->hello.version_min > GVM_VERSION || f->hello.version_max < GVM_VERSION) {
		q->detail = GVM_VERSION;
		return session_refuse(q, GVM_ERR_VERSION, "no protocol version in common");
	}
	s->hello = f->hello;
	s->welcome = (struct gvm_hello_rsp){
		.version = GVM_VERSION,
		.need_auth = n->key != NULL,
		.features = f->hello.features & GVM_FEATURES_NODE,
		.incarnation = n->incarnation,
	};
	if (getrandom(&s->welcome.nonce, sizeof(s->welcome.nonce), 0) != GVM_NONCE_BYTES)
		return -ENOMEM;
	q->meta_len = gvm_hello_rsp_pack(&s->welcome, q->meta);
	if (n->key)
		s->state = SESSION_HELLO;
	else
		session_ready(q);
	return GVM_OK;
}

static int op_auth(struct request *q, const union fields *f)
{
	struct session *s = q->session;
	const struct node *n = q->node;
	struct gvm_bytes32 expected;
	struct gvm_auth_rsp rsp;
	const struct gvm_bytes32 *binding = s->tls ? &s->binding : NULL;

	if (auth_mac(n->key, n->key_bytes, false, &s->hello, &s->welcome, binding, &expected) ||
	    auth_mac(n->key, n->key_bytes, true, &s->hello, &s->welcome, binding, &rsp.mac))
		return -ENOMEM;
	if (!auth_mac_equal(&expected, &f->auth.mac))
		return session_refuse(q, GVM_ERR_AUTH, "wrong key");
	q->meta_len = gvm_auth_rsp_pack(&rsp, q->meta);
	session_ready(q);
	return GVM_OK;
}

static int op_ping(struct request *q, const union fields *f)
{
	struct gvm_ping_rsp rsp = {.cookie = f->ping.cookie};

	q->meta_len = gvm_ping_rsp_pack(&rsp, q->meta);
	return GVM_OK;
}

static int op_node_drain(struct request *q, const union fields *f)
{
	bool *drains = &q->node->regions.drains, was = *drains;

	if (f->node_drain.drain > GVM_DRAIN_ASK)
		return GVM_ERR_INVALID;
	if (f->node_drain.drain != GVM_DRAIN_ASK)
		*drains = f->node_drain.drain == GVM_DRAIN_BEGIN;
	if (*drains != was)
		log_peer(was ? "it is not to be drained any more" : "it is to be drained: no region is made here");
	if (*drains != was && q->node->journal)
		journal_drain(q->node->journal);
	q->meta_len = gvm_node_drain_rsp_pack(&(struct gvm_node_drain_rsp){.drains = *drains}, q->meta);
	return GVM_OK;
}

static int op_node_stat(struct request *q, const union fields *f)
{
	struct gvm_node_stat_rsp rsp;

	(void)f;
	node_stat(q->node, &rsp);
	q->meta_len = gvm_node_stat_rsp_pack(&rsp, q->meta);
	return GVM_OK;
}

static int op_node_rot(struct request *q, const union fields *f)
{
	const struct regions *t = &q->node->regions;
	struct gvm_node_rot_rsp rsp = {.rotten_chunks = t->totals.rotten, .rotten_found = t->rotten_found};

	(void)f;
	q->meta_len = gvm_node_rot_rsp_pack(&rsp, q->meta);
	return GVM_OK;
}

static int op_name_put(struct request *q, const union fields *f)
{
	uint16_t status = name_put(&q->node->names, &f->name_put, q->frame->data,
				   q->frame->hdr.data_len, &q->detail);

	if (status == GVM_ERR_NOSPACE)
		log_peer("the name table is full (%u names, %u of them removed, %llu bytes; --names "
			 "%u): a new name is refused",
			 q->node->names.count, q->node->names.gone,
			 (unsigned long long)q->node->names.bytes, q->node->names.count_max);
	if (!status && q->node->journal)
		journal_name(q->node->journal, &f->name_put.key);
	return status;
}

static int op_name_list(struct request *q, const union fields *f)
{
	struct gvm_name_list_rsp rsp;
	uint16_t status = name_list(&q->node->names, &f->name_list, &rsp, q->node->answer,
				    &q->data_len, &q->detail);

	if (status)
		return status;
	q->meta_len = gvm_name_list_rsp_pack(&rsp, q->meta);
	return GVM_OK;
}

static int op_name_fence(struct request *q, const union fields *f)
{
	uint16_t status = name_fence(&q->node->names, &f->name_fence);

	if (!status && q->node->journal)
		journal_fence(q->node->journal);
	return status;
}

static int op_name_forget(struct request *q, const union fields *f)
{
	uint16_t status = name_forget(&q->node->names, &f->name_forget, &q->detail);

	if (!status && q->node->journal)
		journal_forget(q->node->journal, f->name_forget.table);
	return status;
}

static int region_written(struct request *q, const struct gvm_id *id, uint16_t status)
{
	if (!status && q->node->journal)
		journal_region(q->node->journal, id);
	return status;
}

static int op_region_create(struct request *q, const union fields *f)
{
	return region_written(q, &f->region_create.region,
			      regions_create(&q->node->regions, &f->region_create, &q->detail));
}

static int op_region_open(struct request *q, const union fields *f)
{
	struct gvm_region_open_rsp rsp;
	uint16_t status = regions_open(&q->node->regions, &f->region_open, &q->session->writer,
				       &rsp, &q->detail);

	if (!status)
		q->meta_len = gvm_region_open_rsp_pack(&rsp, q->meta);
	return region_written(q, &f->region_open.region, status);
}

static int op_region_close(struct request *q, const union fields *f)
{
	return region_written(q, &f->region_close.region,
			      regions_close(&q->node->regions, &f->region_close, &q->detail));
}

static int op_region_resize(struct request *q, const union fields *f)
{
	struct journal *j = q->node->journal;
	uint16_t status;

	/* Until the zeros of its last cut are written down. */
	if (j && journal_region_waits(j, &f->region_resize.region))
		return -EAGAIN;
	status = regions_resize(&q->node->regions, &f->region_resize, &q->detail);
	region_written(q, &f->region_resize.region, status);
	if (!status && j)
		journal_region_cut(j, &f->region_resize.region);
	return status;
}

static int op_region_delete(struct request *q, const union fields *f)
{
	uint16_t status = regions_delete(&q->node->regions, &f->region_delete, &q->detail);

	if (!status && q->node->journal)
		journal_region_gone(q->node->journal, &f->region_delete.region);
	return status;
}

static int op_region_stat(struct request *q, const union fields *f)
{
	struct gvm_region_stat_rsp rsp;
	uint16_t status = regions_stat(&q->node->regions, &f->region_stat, &rsp);

	if (!status)
		q->meta_len = gvm_region_stat_rsp_pack(&rsp, q->meta);
	return status;
}

static int op_region_held(struct request *q, const union fields *f)
{
	struct gvm_region_held_rsp rsp = {.count = f->region_held.count};

	if (!rsp.count || (uint64_t)rsp.count * sizeof(struct gvm_id) != q->frame->hdr.data_len)
		return GVM_ERR_INVALID;
	q->data_len = regions_held(&q->node->regions, q->frame->data, rsp.count, q->node->answer);
	q->meta_len = gvm_region_held_rsp_pack(&rsp, q->meta);
	return GVM_OK;
}

static int op_region_list(struct request *q, const union fields *f)
{
	struct gvm_region_list_rsp rsp;

	q->data_len = regions_list(&q->node->regions, &f->region_list, &rsp, q->node->answer);
	q->meta_len = gvm_region_list_rsp_pack(&rsp, q->meta);
	return GVM_OK;
}

static int op_region_index(struct request *q, const union fields *f)
{
	struct gvm_region_index_rsp rsp;
	uint16_t status = regions_index(&q->node->regions, &f->region_index, &rsp, q->node->answer,
					&q->data_len);

	if (!status)
		q->meta_len = gvm_region_index_rsp_pack(&rsp, q->meta);
	return status;
}

static int op_region_view(struct request *q, const union fields *f)
{
	uint16_t status = regions_view(&q->node->regions, &f->region_view, &q->detail);

	if (!status && q->node->journal)
		journal_view(q->node->journal, &f->region_view.region, f->region_view.slot);
	return status;
}

static int op_region_views(struct request *q, const union fields *f)
{
	struct gvm_region_views_rsp rsp;
	uint16_t status = regions_views(&q->node->regions, &f->region_views, &rsp, q->node->answer,
					&q->data_len);

	if (!status)
		q->meta_len = gvm_region_views_rsp_pack(&rsp, q->meta);
	return status;
}

static int op_region_check(struct request *q, const union fields *f)
{
	struct gvm_region_check_rsp rsp;
	uint16_t status = regions_check(&q->node->regions, &f->region_check, &rsp, q->node->answer,
					&q->data_len);

	if (status)
		return status;
	if (rsp.count)
		log_peer("%u chunks of a region, the first of them %llu, are not what was stored", rsp.count,
			 (unsigned long long)gvm_load_le(q->node->answer, 8));
	q->meta_len = gvm_region_check_rsp_pack(&rsp, q->meta);
	return GVM_OK;
}

static int op_region_note(struct request *q, const union fields *f)
{
	return regions_note(&q->node->regions, &f->region_note, q->frame->data,
			    q->frame->hdr.data_len, &q->detail);
}

static int op_region_noted(struct request *q, const union fields *f)
{
	struct gvm_region_noted_rsp rsp;
	uint16_t status = regions_noted(&q->node->regions, &f->region_noted, &rsp, q->node->answer,
					&q->data_len);

	if (!status)
		q->meta_len = gvm_region_noted_rsp_pack(&rsp, q->meta);
	return status;
}

static int op_get(struct request *q, const union fields *f)
{
	struct region_found found;
	uint16_t status = regions_get(&q->node->regions, &f->get, &found, &q->detail);

	/* Its head is one that the client does not know. */
	if (!status && found.head.sealed && !(q->session->welcome.features & GVM_FEATURE_SEAL))
		return GVM_ERR_INVALID;
	if (status == GVM_ERR_CORRUPT) {
		q->node->counters.corrupt++;
		log_peer("chunk %llu of a region is damaged in this node's memory: a request for it is refused",
			 (unsigned long long)f->get.chunk);
	}
	if (status)
		return status;
	return reply_create_get(q->node, &q->session->share, q->frame->hdr.tag, &f->get, &found,
				&q->reply);
}

static int op_put(struct request *q, const union fields *f)
{
	const struct frame *frame = q->frame;
	struct gvm_put_req fields;
	struct chunk_head head;
	int used = gvm_put_req_unpack(&fields, frame->meta, frame->hdr.meta_len);
	uint16_t status;

	if (used < 0 || chunk_head_unpack(&head, frame->meta + used,
					  frame->hdr.meta_len - (size_t)used))
		return session_bad(q->session, "PUT with a malformed chunk head");
	if (head.body_bytes != frame->hdr.data_len)
		return session_bad(q->session, "PUT with %u bytes where its head says %u",
				   frame->hdr.data_len, head.body_bytes);
	if (head.sealed && !(q->session->welcome.features & GVM_FEATURE_SEAL))
		return session_bad(q->session, "PUT of a sealed chunk, which HELLO did not offer");
	/* Plain blocks carry their own checks, but only a holder of the key can check sealed ones. */
	if (head.sealed && gvm_data_check(frame->data, frame->hdr.data_len) != frame->hdr.data_check)
		return GVM_ERR_CORRUPT;
	status = regions_put(&q->node->regions, &f->put, &head, frame->data, &q->detail);
	if (!status && q->node->journal) {
		journal_region(q->node->journal, &f->put.region); /* it may be sealed from here on */
		journal_chunk(q->node->journal, &f->put.region, f->put.chunk);
	}
	return status;
}

static int op_discard(struct request *q, const union fields *f)
{
	uint16_t status = regions_discard(&q->node->regions, &f->discard, &q->detail);

	if (!status && q->node->journal)
		journal_discard(q->node->journal, &f->discard.region, f->discard.first, f->discard.count);
	return status;
}

#define UNPACKER(msg)                                                                              \
	static int unpack_##msg(union fields *f, const struct gvm_hdr *h, const uint8_t *meta)     \
	{                                                                                          \
		return gvm_##msg##_req_unpack(&f->msg, meta, h->meta_len);                         \
	}
UNPACKER(hello)
UNPACKER(auth)
UNPACKER(ping)
UNPACKER(node_drain)
UNPACKER(name_put)
UNPACKER(name_list)
UNPACKER(name_fence)
UNPACKER(name_forget)
UNPACKER(region_create)
UNPACKER(region_open)
UNPACKER(region_close)
UNPACKER(region_resize)
UNPACKER(region_delete)
UNPACKER(region_stat)
UNPACKER(region_list)
UNPACKER(region_index)
UNPACKER(region_view)
UNPACKER(region_views)
UNPACKER(region_held)
UNPACKER(region_check)
UNPACKER(region_note)
UNPACKER(region_noted)
UNPACKER(get)
UNPACKER(put)
UNPACKER(discard)

static int unpack_nothing(union fields *f, const struct gvm_hdr *h, const uint8_t *meta)
{
	(void)f, (void)h, (void)meta;
	return 0;
}

struct op {
	enum session_state state; /* in which it is allowed */
	uint32_t data_max;
	bool meta_tail; /* more meta may follow the fields (a chunk head) */
	bool keeps;	/* what it changes is written down before it is answered */
	bool shows;	/* so is what it shows of others' changes */
	int (*unpack)(union fields *f, const struct gvm_hdr *h, const uint8_t *meta);
	int (*run)(struct request *q, const union fields *f);
};

#define OP(when, name) .state = (when), .unpack = unpack_##name, .run = op_##name
#define OP_BARE(when, name) .state = (when), .unpack = unpack_nothing, .run = op_##name
static const struct op ops[] = {
	[GVM_OP_HELLO] = {OP(SESSION_NEW, hello)},
	[GVM_OP_AUTH] = {OP(SESSION_HELLO, auth)},
	[GVM_OP_PING] = {OP(SESSION_READY, ping)},
	[GVM_OP_NODE_STAT] = {OP_BARE(SESSION_READY, node_stat)},
	[GVM_OP_NODE_DRAIN] = {OP(SESSION_READY, node_drain), .keeps = true},
	[GVM_OP_NODE_ROT] = {OP_BARE(SESSION_READY, node_rot)},
	[GVM_OP_NAME_PUT] = {OP(SESSION_READY, name_put), .data_max = GVM_RECORD_MAX, .keeps = true},
	[GVM_OP_NAME_LIST] = {OP(SESSION_READY, name_list), .shows = true},
	[GVM_OP_NAME_FENCE] = {OP(SESSION_READY, name_fence), .keeps = true},
	[GVM_OP_NAME_FORGET] = {OP(SESSION_READY, name_forget), .keeps = true},
	[GVM_OP_REGION_CREATE] = {OP(SESSION_READY, region_create), .keeps = true},
	[GVM_OP_REGION_OPEN] = {OP(SESSION_READY, region_open), .keeps = true},
	[GVM_OP_REGION_CLOSE] = {OP(SESSION_READY, region_close), .keeps = true},
	[GVM_OP_REGION_RESIZE] = {OP(SESSION_READY, region_resize), .keeps = true},
	[GVM_OP_REGION_DELETE] = {OP(SESSION_READY, region_delete), .keeps = true},
	[GVM_OP_REGION_STAT] = {OP(SESSION_READY, region_stat)},
	[GVM_OP_REGION_LIST] = {OP(SESSION_READY, region_list)},
	[GVM_OP_REGION_INDEX] = {OP(SESSION_READY, region_index), .shows = true},
	[GVM_OP_REGION_VIEW] = {OP(SESSION_READY, region_view), .keeps = true},
	[GVM_OP_REGION_VIEWS] = {OP(SESSION_READY, region_views), .shows = true},
	[GVM_OP_REGION_HELD] = {OP(SESSION_READY, region_held), .data_max = GVM_HELD_MAX * sizeof(struct gvm_id)},
	[GVM_OP_REGION_CHECK] = {OP(SESSION_READY, region_check)},
	[GVM_OP_REGION_NOTE] = {OP(SESSION_READY, region_note), .data_max = GVM_NOTE_MAX},
	[GVM_OP_REGION_NOTED] = {OP(SESSION_READY, region_noted)},
	[GVM_OP_GET] = {OP(SESSION_READY, get)},
	[GVM_OP_PUT] = {OP(SESSION_READY, put), .data_max = GVM_CHUNK_BYTES, .meta_tail = true, .keeps = true},
	[GVM_OP_DISCARD] = {OP(SESSION_READY, discard), .keeps = true},
};

int frame_head_check(struct session *s, const uint8_t *bytes, struct gvm_hdr *h)
{
	int err = gvm_hdr_unpack(h, bytes);
	const struct op *op;

	if (err == -EPROTONOSUPPORT)
		return session_bad(s, "frame of protocol version %u, not %u", bytes[4], GVM_VERSION);
	if (err)
		return session_bad(s, "not a frame of this protocol");
	/* gvm_hdr_unpack() knows the ops; a test compares its list with this table. */
	op = h->op < sizeof(ops) / sizeof(*ops) ? &ops[h->op] : NULL;
	if (!op || !op->run || h->flags || h->status)
		return session_bad(s, "not a request");
	if (op->state != s->state) {
		if (s->state == SESSION_NEW)
			return session_bad(s, "%s before HELLO", gvm_op_name(h->op));
		if (s->state == SESSION_HELLO)
			return session_bad(s, "%s before AUTH", gvm_op_name(h->op));
		return session_bad(s, "%s at the wrong time", gvm_op_name(h->op));
	}
	if (h->data_len > op->data_max)
		return session_bad(s, "%s with %u bytes of data", gvm_op_name(h->op), h->data_len);
	return 0;
}

static void count(struct node *n, const struct gvm_hdr *h, const union fields *f)
{
	n->counters.asked += h->op != GVM_OP_PING;
	n->counters.gets += h->op == GVM_OP_GET;
	n->counters.puts += h->op == GVM_OP_PUT;
	n->counters.delta_puts += h->op == GVM_OP_PUT && f->put.base;
	n->counters.discards += h->op == GVM_OP_DISCARD;
}

/* Of REGION_OPEN only what attaches or holds a region changes it, and NODE_DRAIN may only ask. */
static bool request_keeps(const struct op *op, const struct gvm_hdr *h, const union fields *f)
{
	return op->keeps && (h->op != GVM_OP_REGION_OPEN || region_open_keeps(&f->region_open)) &&
	       (h->op != GVM_OP_NODE_DRAIN || f->node_drain.drain != GVM_DRAIN_ASK);
}

/* Before a change: 0; -EAGAIN: later; or the status to refuse it with. A writer that only comes back changes
 * nothing, and reads on though the disk fails. */
static int journal_admits(struct node *n, const struct gvm_hdr *h, const union fields *f)
{
	int err = journal_ready(n->journal);

	if (err == -EIO && h->op == GVM_OP_REGION_OPEN &&
	    region_has_epoch(&n->regions, &f->region_open.region, f->region_open.epoch))
		return 0;
	if (err == -EIO)
		log_peer("a change is refused: the disk does not take it");
	return err == -EIO ? GVM_ERR_NOSPACE : err;
}

static int answer_pack(struct request *q, const struct gvm_hdr *request, uint16_t status, struct reply **reply)
{
	struct gvm_hdr h = {.op = request->op, .tag = request->tag, .status = status};

	if (request->op == GVM_OP_PUT && status == GVM_OK && q->session->welcome.features & GVM_FEATURE_PACK &&
	    pack_is_behind(&q->node->regions))
		h.flags = GVM_FLAG_PACK;
	if (status != GVM_OK) {
		struct gvm_error_rsp error = {.detail = q->detail};

		q->meta_len = gvm_error_rsp_pack(&error, q->meta);
		q->data_len = 0;
	}
	h.meta_len = (uint16_t)q->meta_len;
	h.data_len = q->data_len;
	return reply_create(q->node, &q->session->share, &h, q->meta, q->data, reply);
}

int frame_refuse(struct node *n, struct session *s, const struct reply *answer, struct reply **reply)
{
	struct request q = {.node = n, .session = s};
	const struct gvm_hdr h = {.op = answer->op, .tag = answer->tag};

	return answer_pack(&q, &h, GVM_ERR_NOSPACE, reply);
}

int frame_answer(struct node *n, struct session *s, const struct frame *f, const uint8_t *hdr_bytes,
		 struct reply **reply)
{
	const struct op *op = &ops[f->hdr.op];
	struct request q = {.node = n, .session = s, .frame = f, .data = n->answer};
	union fields fields;
	int used, status = GVM_OK;
	bool keeps;

	if (!gvm_meta_check(&f->hdr, hdr_bytes, f->meta))
		return session_bad(s, "%s with a wrong checksum", gvm_op_name(f->hdr.op));
	used = op->unpack(&fields, &f->hdr, f->meta);
	if (used < 0 || (!op->meta_tail && used != f->hdr.meta_len))
		return session_bad(s, "%s with %u bytes of fields", gvm_op_name(f->hdr.op), f->hdr.meta_len);
	/* The blocks of a PUT carry their own, or are looked at there. */
	if (f->hdr.op != GVM_OP_PUT && gvm_data_check(f->data, f->hdr.data_len) != f->hdr.data_check)
		return session_bad(s, "%s with damaged data", gvm_op_name(f->hdr.op));
	keeps = n->journal && request_keeps(op, &f->hdr, &fields);
	if (keeps)
		status = journal_admits(n, &f->hdr, &fields);
	n->regions.remains_too = s->welcome.features & GVM_FEATURE_REMAINS;
	if (!status)
		status = op->run(&q, &fields);
	if (status < 0)
		return status;
	count(n, &f->hdr, &fields);
	if (q.reply) {
		*reply = q.reply;
		return 0;
	}
	status = answer_pack(&q, &f->hdr, (uint16_t)status, reply);
	/* While the disk fails nothing is changed, and no progress would come to send the answer. */
	if (status || !n->journal || !(keeps || op->shows) || n->journal->progress.error)
		return status;
	(*reply)->op = f->hdr.op;
	(*reply)->tag = f->hdr.tag;
	(*reply)->keeps = keeps;
	(*reply)->number = journal_number(n->journal);
	return 0;
}
