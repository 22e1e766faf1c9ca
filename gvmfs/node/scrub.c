// SPDX-License-Identifier: GPL-2.0-or-later
/* scrub.c - see scrub.h. */
#include "scrub.h"

#include "base/log.h"
#include "base/loop.h"
#include "base/mutant.h"
#include "options.h"
#include "region_node.h"
#include "replicas.h"
#include "replicas_state.h"
#include "rot.h"
#include "state/worker_state.h"

#include <string.h>

#define REQUEST_KIB 256u	 /* that a node looks at */
#define LOOKS_MAX   256u
#define ANSWER_NS   5000000000ull /* a node that is silent is passed over */

static bool can_scrub(const struct inode *inode)
{
	return inode && inode->disk->epoch && !inode->disk->failed && inode->disk->rec.kind == RECORD_REGION &&
	       inode->disk->rec.node_count;
}

/* The region, if it is attached as it was. */
static struct inode *scrub_inode(const struct scrub *s)
{
	struct inode *inode = s->w->inodes->rt[s->nr];

	return can_scrub(inode) && inode->disk->epoch == s->epoch ? inode : NULL;
}

/* All of its nodes have been asked. */
static void region_end(struct scrub *s, struct inode *inode)
{
	if (s->lone && s->lone != inode->lone_rotten)
		log_error(inode->disk->rec.name,
			  "ROTTEN: %u of its chunks, chunk %llu among them, are not what was stored, and have no other copy: "
			  "pages of them are I/O errors until they are written", s->lone,
			  (unsigned long long)s->lone_chunk);
	inode->lone_rotten = s->lone;
	inode->scrubs += !s->missed;
}

/* The next one, by number. False: there is none among the next LOOKS_MAX inodes. */
static bool region_next(struct scrub *s)
{
	const struct inodes *in = s->w->inodes;

	s->epoch = 0;
	for (unsigned i = 0; i < in->end && i < LOOKS_MAX; i++) {
		unsigned nr = s->nr = (s->nr + 1) % in->end;

		if (!can_scrub(in->rt[nr]))
			continue;
		s->epoch = in->rt[nr]->disk->epoch;
		s->node = 0;
		s->first = 0;
		s->lone = 0;
		s->missed = false;
		return true;
	}
	return false;
}

static void node_next(struct scrub *s, struct inode *inode)
{
	s->first = 0;
	if (++s->node >= inode->disk->rec.node_count)
		region_end(s, inode);
}

/* A chunk that the node says is rotten in this version. */
static void rotten_take(struct scrub *s, struct inode *inode, uint64_t chunk, uint64_t version)
{
	const struct record *rec = &inode->disk->rec;
	const struct view_slot *v;
	int replica;

	if (chunk >= record_chunks(rec->size_bytes) || (inode->index[chunk] & GVM_VERSION_MASK) != version)
		return;
	replica = record_replica_of(rec, record_slot_of(rec, chunk), s->node);
	if (replica < 0)
		return;
	v = replicas_slot(inode, chunk);
	if (rec->replicas < 2 || (v && view_word_members(v->word) == 1u << replica)) {
		if (rot_alone(s->w, inode, chunk, false))
			return;
		s->lone++;
		s->lone_chunk = chunk;
	} else if (v && view_word_members(v->word) >> replica & 1 && !mutant("scrub-in-vain")) {
		rot_found(s->w, inode, chunk, &s->incarnation, false);
	}
}

static void checked(struct gvm_req *req)
{
	struct scrub *s = (struct scrub *)req;
	const struct gvm_region_check_rsp *rsp = &s->call.rsp.region_check;
	struct inode *inode = scrub_inode(s);
	const uint8_t *p = s->call.data;

	s->asking = false;
	s->missed |= req->result != 0;
	if (!inode || s->node >= inode->disk->rec.node_count ||
	    !gvm_id_equal(&inode->disk->rec.nodes[s->node].incarnation, &s->incarnation))
		return;
	for (uint32_t i = 0; !req->result && i < rsp->count; i++, p += GVM_CHECK_ENTRY_BYTES)
		rotten_take(s, inode, gvm_load_le(p, 8), gvm_load_le(p + 8, 8));
	if (req->result || rsp->next <= s->first || rsp->next >= record_chunks(inode->disk->rec.size_bytes))
		node_next(s, inode);
	else
		s->first = rsp->next;
}

static void node_ask(struct scrub *s, uint64_t now_ns)
{
	struct inode *inode = scrub_inode(s);
	struct gvm_region_check_req what;
	struct gvm_conn *conn;

	if (!inode || s->node >= inode->disk->rec.node_count) {
		if (!region_next(s))
			return;
		inode = scrub_inode(s);
	}
	s->incarnation = inode->disk->rec.nodes[s->node].incarnation;
	conn = region_node_conn(s->w, inode, s->node);
	if (gvm_conn_state(conn) != GVM_CONN_UP) {
		s->missed = true;
		node_next(s, inode);
		return;
	}
	what = (struct gvm_region_check_req){ .region = inode->disk->rec.id, .first = s->first };
	s->asking = true;
	s->call.req = (struct gvm_req){ .done = checked, .node = s->incarnation, .deadline_ns = now_ns + ANSWER_NS };
	gvm_region_check(conn, &s->call, &what);
}

uint64_t scrub_tick(struct worker *w, uint64_t now_ns)
{
	struct scrub *s = w->scrub;

	if (!w->opts->scrub_rate || s->asking || LIST_EMPTY(&w->inodes->attached))
		return LOOP_NEVER;
	if (now_ns < s->due_ns)
		return s->due_ns;
	s->w = w;
	s->due_ns = now_ns + REQUEST_KIB * 1024000ull / w->opts->scrub_rate;
	node_ask(s, now_ns);
	return s->asking ? LOOP_NEVER : s->due_ns;
}
