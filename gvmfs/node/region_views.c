// SPDX-License-Identifier: GPL-2.0-or-later
/* region_views.c - see region_views.h. */
#include "region_views.h"

#include "ask.h"
#include "base/log.h"
#include "gather.h"
#include "options.h"
#include "views.h"

#include <string.h>

bool region_node_leave_out(struct region_job *rj, unsigned node, int error)
{
	if (rj->rec.replicas < 2 || (error != -ETIMEDOUT && error != -ENOMEDIUM))
		return false;
	if (!rj->away[node])
		log_warning(rj->rec.name, "node %s is left out: %s", rj->rec.nodes[node].addr,
			    error == -ENOMEDIUM ? "it has LOST its copy" : "it does not answer");
	rj->away[node] = true;
	return true;
}

/* ---- views */

/* The members of a listed view, as replicas of the slot now; and VIEW_STRANGER. */
static uint8_t members_of(const struct record *rec, unsigned slot, const uint8_t *ids)
{
	uint8_t members = 0;

	for (unsigned i = 0; i < GVM_REPLICAS_MAX; i++) {
		struct gvm_id id;
		int node, replica;

		memcpy(id.b, ids + 16 * i, sizeof(id.b));
		if (gvm_id_is_none(&id))
			continue;
		node = record_node_find(rec, &id);
		replica = node < 0 ? -1 : record_replica_of(rec, slot, (unsigned)node);
		members |= (uint8_t)(replica < 0 ? VIEW_STRANGER : 1u << replica);
	}
	return members;
}

struct views_ask {
	struct ask ask; /* first */
	const struct record *rec;
	unsigned node;
	struct view_seen (*seen)[VIEW_REPLICAS];
};

static void views_done(struct gvm_req *req)
{
	struct views_ask *va = (struct views_ask *)req;
	const uint8_t *p = va->ask.call.data;

	va->ask.done = true;
	for (unsigned i = 0; !req->result && i < va->ask.call.rsp.region_views.count; i++, p += GVM_VIEW_ENTRY_BYTES) {
		uint64_t slot = gvm_load_le(p, 4);
		int replica = slot < va->rec->slot_count ? record_replica_of(va->rec, (unsigned)slot, va->node) : -1;
		struct view_seen *seen;

		if (replica < 0)
			continue;
		seen = &va->seen[slot][replica];
		*(p[4] ? &seen->active : &seen->proposed) = (struct view){
			.number = gvm_load_le(p + 5, 8), .members = members_of(va->rec, (unsigned)slot, p + 13)
		};
	}
}

static void views_ask_begin(struct views_ask *va, const struct region_job *rj, struct pool *pool, unsigned node,
			    struct view_seen (*seen)[VIEW_REPLICAS])
{
	const struct record_node *place = &rj->rec.nodes[node];
	struct gvm_conn *conn = pool_node(pool, place);
	struct gvm_region_views_req what = { .region = rj->rec.id, .count = GVM_SLOTS_MAX };

	*va = (struct views_ask){ .rec = &rj->rec, .node = node, .seen = seen };
	if (!conn)
		return;
	ask_begin_to(&va->ask, pool_call_deadline(pool->opts), place)->req.done = views_done;
	gvm_region_views(conn, &va->ask.call, &what);
}

/* Asks all nodes that are not away, at once. Nodes that do not answer are left out; if they may not be, it fails. */
static int views_read(struct region_job *rj, struct pool *pool, struct view_seen (*seen)[VIEW_REPLICAS])
{
	struct views_ask *asks = calloc(rj->rec.node_count, sizeof(*asks));
	int result = asks ? 0 : -ENOMEM;

	for (unsigned i = 0; asks && i < rj->rec.node_count; i++)
		if (!rj->away[i])
			views_ask_begin(&asks[i], rj, pool, i, seen);
	for (unsigned i = 0; asks && i < rj->rec.node_count; i++) {
		int r = rj->away[i] ? 0 : ask_wait(&asks[i].ask);

		if (r < 0 && !region_node_leave_out(rj, i, r) && !result)
			result = r;
	}
	free(asks);
	return result;
}

static int slots_choose(struct region_job *rj, struct view_seen (*seen)[VIEW_REPLICAS])
{
	const struct record *rec = &rj->rec;
	uint8_t members;
	unsigned unknown = 0, gone = 0;

	memset(rj->forced, 0, sizeof(rj->forced));
	for (unsigned s = 0; s < rec->slot_count; s++) {
		uint8_t all = record_filled(rec, s), first = record_first(rec, s);
		bool known;

		for (unsigned n = 0; n < record_places(rec); n++)
			seen[s][n].answers = all >> n & 1 && !rj->away[rec->slots[s].node[n]];
		known = !view_choose(seen[s], all, first, &members);
		gone += !members;
		unknown += !known && members;
		if (!known)
			rj->forced[s / 64] |= 1ull << s % 64;
		if (rj->words && members)
			rj->words[s] = known ? view_word_of(seen[s], all, first, rj->epoch, members) :
					       view_word_again(rj->epoch, members);
	}
	if (gone)
		log_error(rec->name, "of %u/%u of its chunks no node answers that has a copy", gone, rec->slot_count);
	if (unknown && !rj->force)
		log_error(rec->name,
			  "of %u/%u of its chunks it is not known who has what was written last: a node that may have it "
			  "does not answer, or has lost it. (--force takes what is left, which may be old)",
			  unknown, rec->slot_count);
	return gone || (unknown && !rj->force) ? -EIO : 0;
}

/* Says what was taken by force. */
static void forced_say(const struct region_job *rj, uint64_t chunks)
{
	const struct record *rec = &rj->rec;
	unsigned slots = 0;
	uint64_t held = 0;

	for (unsigned s = 0; s < rec->slot_count; s++)
		slots += rj->forced[s / 64] >> s % 64 & 1;
	for (uint64_t c = 0; slots && c < chunks; c++)
		held += rj->index[c] && rj->forced[record_slot_of(rec, c) / 64] >> record_slot_of(rec, c) % 64 & 1;
	if (slots)
		log_loss(rec->name,
			 "attached BY FORCE: of %u/%u of its chunks the node that may have what was written last was not "
			 "asked: %llu chunks may be old, and what was only written there reads as zeros",
			 slots, rec->slot_count, (unsigned long long)held);
}

int region_views_choose(struct region_job *rj, struct pool *pool)
{
	struct view_seen (*seen)[VIEW_REPLICAS] = calloc(RECORD_SLOTS, sizeof(*seen));
	int r = seen ? 0 : -ENOMEM;

	if (!r)
		r = views_read(rj, pool, seen);
	if (!r)
		r = slots_choose(rj, seen);
	free(seen);
	return r;
}

/* ---- versions */

int region_versions_init(struct region_versions *v, const struct record *rec, uint64_t chunks)
{
	*v = (struct region_versions){ .chunks = chunks };
	for (unsigned n = 0; n < record_places(rec); n++) {
		v->of[n] = calloc(chunks ? chunks : 1, sizeof(uint64_t));
		if (!v->of[n]) {
			region_versions_deinit(v);
			return -ENOMEM;
		}
	}
	return 0;
}

void region_versions_deinit(struct region_versions *v)
{
	for (unsigned n = 0; n < RECORD_PLACES; n++)
		free(v->of[n]);
	*v = (struct region_versions){ 0 };
}

static bool is_newer(uint64_t entry, uint64_t than)
{
	return (entry & GVM_VERSION_MASK) > (than & GVM_VERSION_MASK);
}

void region_versions_add(struct region_versions *v, struct region_job *rj, unsigned node, uint64_t chunk, uint64_t entry)
{
	unsigned slot = record_slot_of(&rj->rec, chunk);
	int replica = record_replica_of(&rj->rec, slot, node);

	/* What a node has beyond the size, of another's slots, or outside of the view, is of no use to us. */
	if (replica < 0 || chunk >= v->chunks || !(view_word_members(rj->words[slot]) >> replica & 1))
		return;
	v->of[replica][chunk] = entry;
	if (is_newer(entry, rj->index[chunk]))
		rj->index[chunk] = entry;
}

/* A chunk on its way from one replica to another. */
struct chunk_move {
	struct gvm_get get; /* first */
	bool done, again; /* again: what did not verify was asked for once more */
	const struct region_job *rj;
	uint64_t chunk;
	uint8_t *room;
	struct gather gather; /* it goes as it was stored */
};

/* Nodes do not look at what they send: a block that is rotten must not take a good one's place (gather.h). */
static int move_piece(struct gvm_get *get, uint64_t version, const struct chunk_head *head, const uint8_t *body)
{
	struct chunk_move *m = (struct chunk_move *)get;
	int r = version == m->get.what.version ? gather_piece(&m->gather, version, head, body) : -ESTALE;

	if (r != -EBADMSG || !m->again) {
		m->again |= r == -EBADMSG;
		return r;
	}
	return 0;
}

static int chunk_get(struct chunk_move *m, struct pool *pool, const struct record_node *from, uint64_t version)
{
	struct gvm_conn *conn = pool_node(pool, from);
	int r;

	if (!conn)
		return -ENOMEM;
	m->done = m->again = false;
	m->get.req = (struct gvm_req){ .done = pool_done, .arg = &m->done, .node = from->incarnation,
				       .deadline_ns = pool_call_deadline(pool->opts) };
	m->get.on_piece = move_piece;
	m->get.what = (struct gvm_get_req){ .region = m->rj->rec.id, .epoch = m->rj->epoch, .chunk = m->chunk,
					    .version = version, .page_mask = ~0u, .want_page = GVM_NO_PAGE };
	gvm_get(conn, &m->get);
	r = pool_wait(conn, &m->get.req);
	return !r && !gather_is_whole(&m->gather) ? -EBADMSG : r;
}

static int chunk_put(struct chunk_move *m, struct pool *pool, const struct record_node *to, uint64_t version)
{
	struct gvm_conn *conn = pool_node(pool, to);
	struct gvm_put put;
	bool done = false;

	if (!conn)
		return -ENOMEM;
	put = (struct gvm_put){ .req = { .done = pool_done, .arg = &done, .node = to->incarnation,
					 .deadline_ns = pool_call_deadline(pool->opts) },
				.what = { .region = m->rj->rec.id, .epoch = m->rj->epoch, .chunk = m->chunk,
					  .version = version },
				.head = &m->gather.parts.head, .body = m->gather.parts.body };
	gvm_put(conn, &put);
	return pool_wait(conn, &put.req);
}

static int chunk_zero(struct region_job *rj, struct pool *pool, const struct record_node *to, uint64_t chunk,
		      uint64_t version)
{
	struct gvm_discard_req what = { .region = rj->rec.id, .epoch = rj->epoch, .first = chunk, .count = 1,
					.version = version };
	struct gvm_conn *conn = pool_node(pool, to);
	struct ask ask;

	if (!conn)
		return -ENOMEM;
	gvm_discard(conn, ask_begin_to(&ask, pool_call_deadline(pool->opts), to), &what);
	return pool_wait(conn, &ask.call.req);
}

/* The newest version, of any member that has it as it was stored; or what is sound of it on each. */
static int newest_get(struct region_versions *v, struct region_job *rj, struct pool *pool, struct chunk_move *m)
{
	const struct record_slot *slot = &rj->rec.slots[record_slot_of(&rj->rec, m->chunk)];
	uint8_t members = view_word_members(rj->words[record_slot_of(&rj->rec, m->chunk)]);
	uint64_t newest = rj->index[m->chunk];
	int r = -EIO;

	gather_begin(&m->gather, m->room);
	m->gather.chunk = m->chunk;
	for (unsigned n = 0; r && r != -EKEYREVOKED && n < record_places(&rj->rec); n++) {
		m->gather.node = n;
		if (members >> n & 1 && !is_newer(newest, v->of[n][m->chunk]))
			r = chunk_get(m, pool, &rj->rec.nodes[slot->node[n]], newest & GVM_VERSION_MASK);
	}
	if (!r && gather_is_pieced(&m->gather))
		log_warning(rj->rec.name, "ROTTEN: no node has chunk %llu as it was stored, but each of its pages is sound on one: "
			    "it is put together from these", (unsigned long long)m->chunk);
	return r;
}

/* Gives the members that have an older version of a chunk the newest. */
static int chunk_settle(struct region_versions *v, struct region_job *rj, struct pool *pool, struct chunk_move *m)
{
	const struct record_slot *slot = &rj->rec.slots[record_slot_of(&rj->rec, m->chunk)];
	uint8_t members = view_word_members(rj->words[record_slot_of(&rj->rec, m->chunk)]);
	uint64_t newest = rj->index[m->chunk], version = newest & GVM_VERSION_MASK;
	bool got = false;
	int r = 0;

	for (unsigned n = 0; !r && n < record_places(&rj->rec); n++) {
		const struct record_node *to;

		if (!(members >> n & 1) || !is_newer(newest, v->of[n][m->chunk]))
			continue;
		to = &rj->rec.nodes[slot->node[n]];
		if (newest & GVM_VERSION_ZERO) {
			r = chunk_zero(rj, pool, to, m->chunk, version);
			continue;
		}
		if (!got)
			r = newest_get(v, rj, pool, m);
		got = true;
		if (!r)
			r = chunk_put(m, pool, to, version);
	}
	return r;
}

static bool is_settled(const struct region_versions *v, const struct region_job *rj, uint64_t chunk)
{
	uint8_t members = view_word_members(rj->words[record_slot_of(&rj->rec, chunk)]);

	for (unsigned n = 0; n < record_places(&rj->rec); n++)
		if (members >> n & 1 && is_newer(rj->index[chunk], v->of[n][chunk]))
			return false;
	return true;
}

int region_versions_settle(struct region_versions *v, struct region_job *rj, struct pool *pool)
{
	struct chunk_move m = { .rj = rj, .room = malloc(3 * GVM_CHUNK_BYTES) };
	int r;

	m.gather = (struct gather){ .region = rj->rec.id, .sealed = rj->sealed, .codec = chunk_codec_create(),
				    .sealer = rj->job.jobs->sealer, .opened = m.room + 2 * GVM_CHUNK_BYTES };
	r = m.gather.codec && m.room ? 0 : -ENOMEM;
	for (m.chunk = 0; !r && m.chunk < v->chunks; m.chunk++)
		if (rj->index[m.chunk] && !is_settled(v, rj, m.chunk))
			r = chunk_settle(v, rj, pool, &m);
	if (!r)
		forced_say(rj, v->chunks);
	else
		log_error(rj->rec.name, "what a writer left on one of its nodes cannot be given to the others: %s",
			  strerror(-r));
	chunk_codec_destroy(m.gather.codec);
	free(m.room);
	return r;
}
