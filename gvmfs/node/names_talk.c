// SPDX-License-Identifier: GPL-2.0-or-later
/* names_talk.c - see names_talk.h. */
#include "names_talk.h"

#include "base/log.h"
#include "fiber.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GRACE_NS    500000000ull /* for the other nodes, once enough have succeeded */
#define QUIET_NS    50000000ull	 /* for those that were given all of that, or of a step's patience, the last time, in vain */
#define SAY_NS	    3000000000ull
#define LOOK_NS	    100000000ull
#define HEAL_NS	    1500000000ull
#define HEAL_WINDOW 32u /* records in flight to a node */

int names_talk_init(struct names_talk *talk, struct pool *pool)
{
	*talk = (struct names_talk){ .pool = pool, .count = pool->listed };
	talk->peers = calloc(talk->count, sizeof(*talk->peers));
	talk->views = calloc(talk->count, sizeof(*talk->views));
	if (!talk->peers || !talk->views) {
		names_talk_deinit(talk);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < talk->count; i++) {
		talk->peers[i].talk = talk;
		talk->peers[i].conn = pool->conns[i];
	}
	return 0;
}

void names_talk_deinit(struct names_talk *talk)
{
	for (unsigned i = 0; talk->views && i < talk->count; i++)
		names_list_free(&talk->views[i].has);
	names_list_free(&talk->all);
	free(talk->views);
	free(talk->peers);
	talk->views = NULL;
	talk->peers = NULL;
}

struct talk_count {
	unsigned nodes, need, well, over;
	unsigned quiet; /* have not answered this time either */
	unsigned vain;	/* of these, those for which a step that needed them has waited as long as this one may */
};

/* Nothing has come from the node since a step waited for it in vain: not an answer that was late, either. */
static bool is_quiet(const struct pool *pool, unsigned node)
{
	return pool->quiet[node] && gvm_conn_received(pool->conns[node]) == pool->quiet_received[node];
}

/* The two deadlines are those of the same call, at different moments. */
static bool is_in_vain(const struct pool *pool, unsigned node, uint64_t patience_ns)
{
	return patience_ns && pool->vain_ns[node] >= patience_ns - patience_ns / 8;
}

/* Counts anew each time, since two addresses may turn out to be one node meanwhile. */
static void talk_count(const struct names_talk *talk, enum names_need need, uint64_t patience_ns, struct talk_count *n)
{
	n->nodes = pool_nodes(talk->pool);
	n->need = need == NAMES_ALL ? n->nodes : names_majority(n->nodes);
	n->well = n->over = n->quiet = n->vain = 0;
	for (unsigned i = 0; i < talk->count; i++) {
		if (talk->pool->again[i])
			continue;
		n->well += talk->peers[i].ok;
		n->over += talk->peers[i].over;
		if (talk->peers[i].over || !is_quiet(talk->pool, i))
			continue;
		n->quiet++;
		n->vain += is_in_vain(talk->pool, i, patience_ns);
	}
}

/* Whether all have answered, or enough have succeeded and the others' grace has passed, or too many have failed, or are
 * silent as they were before. Calls about names queue in the kernel, and an open of any region behind them: so a node that is
 * away costs each only a moment. */
static bool talk_is_over(const struct talk_count *n, uint64_t begin_ns, uint64_t *enough_ns)
{
	uint64_t now = gvm_now_ns();
	bool all_quiet = n->over + n->quiet == n->nodes;

	if (n->well >= n->need && !*enough_ns)
		*enough_ns = now;
	return n->over == n->nodes || n->over - n->well > n->nodes - n->need ||
	       (n->over - n->well + n->vain > n->nodes - n->need && now > begin_ns + QUIET_NS) ||
	       (*enough_ns && now > *enough_ns + (all_quiet ? QUIET_NS : GRACE_NS));
}

/* At the end of a step: whether it has answered, or for how long it was waited for in vain. */
static void peer_note(const struct names_peer *peer, uint64_t vain_ns)
{
	struct pool *pool = peer->talk->pool;
	unsigned i = (unsigned)(peer - peer->talk->peers);

	if (peer->over || !is_quiet(pool, i))
		pool->vain_ns[i] = 0;
	if (!peer->over && vain_ns > pool->vain_ns[i])
		pool->vain_ns[i] = vain_ns;
	pool->quiet[i] = !peer->over;
	pool->quiet_received[i] = gvm_conn_received(peer->conn);
}

/* Runs one step. `next` submits a peer's first request, and another one when the last answer set peer->again. */
static bool talk_run(struct names_talk *talk, enum names_need need, uint64_t deadline_ns,
		     void (*next)(struct names_peer *))
{
	uint64_t begin = gvm_now_ns(), enough_ns = 0, patience_ns = deadline_ns > begin ? deadline_ns - begin : 0;
	struct talk_count n;
	bool said = false, late = false;

	for (unsigned i = 0; i < talk->count; i++) {
		talk->peers[i].ok = false;
		talk->peers[i].result = 0;
		talk->peers[i].over = talk->peers[i].out;
		talk->peers[i].again = !talk->peers[i].out;
	}
	for (;;) {
		for (unsigned i = 0; i < talk->count; i++)
			if (talk->peers[i].again) {
				talk->peers[i].again = false;
				next(&talk->peers[i]);
			}
		talk_count(talk, need, patience_ns, &n);
		late = deadline_ns && gvm_now_ns() > deadline_ns;
		if (talk_is_over(&n, begin, &enough_ns) || late)
			break;
		if (!said && gvm_now_ns() - begin > SAY_NS) {
			log_warning(NULL, "name table: %u of %u nodes answer, %u are needed; waiting",
				    n.well, n.nodes, n.need);
			said = true;
		}
		fiber_wait(&talk->news, gvm_now_ns() + (enough_ns || n.vain ? QUIET_NS : LOOK_NS));
		talk->news = false;
	}
	for (unsigned i = 0; i < talk->count; i++) {
		if (!talk->peers[i].out && (talk->peers[i].over || enough_ns || late))
			peer_note(&talk->peers[i], late && !enough_ns ? patience_ns : 0);
		if (!talk->peers[i].over)
			gvm_cancel(&talk->peers[i].call.req);
	}
	return n.well >= n.need;
}

static void peer_over(struct names_peer *peer, int result)
{
	peer->talk->news = peer->over = true;
	peer->ok = result == 0;
	peer->result = result;
	peer->detail = result < 0 ? peer->call.req.detail : 0;
	if (peer->detail > peer->talk->clock && peer->detail <= GVM_NAME_VERSION_MAX &&
	    (result == -ESTALE || result == -EIDRM || result == -EKEYREVOKED))
		peer->talk->clock = peer->detail;
}

static void plain_done(struct gvm_req *req)
{
	peer_over((struct names_peer *)req, req->result);
}

static void put_done(struct gvm_req *req)
{
	struct names_peer *peer = (struct names_peer *)req;
	const struct gvm_id *incarnation = gvm_conn_incarnation(peer->conn);

	peer->same_life = gvm_id_equal(&peer->incarnation, incarnation);
	peer->incarnation = *incarnation;
	peer_over(peer, req->result);
}

static void put_next(struct names_peer *peer)
{
	struct names_talk *talk = peer->talk;

	peer->call.req = (struct gvm_req){ .done = put_done };
	gvm_name_put(peer->conn, &peer->call, &talk->put, talk->record, talk->record_bytes);
}

bool names_talk_put(struct names_talk *talk, enum names_need need, uint64_t deadline_ns)
{
	return talk_run(talk, need, deadline_ns, put_next);
}

static void clock_hear(struct names_talk *talk, uint64_t number)
{
	if (number > talk->clock && number <= GVM_NAME_VERSION_MAX)
		talk->clock = number;
}

/* Parses and adds one entry of an answer; returns its length in bytes, or a negative errno. */
static ssize_t list_take(struct names_peer *peer, const uint8_t *p, size_t room)
{
	struct names_talk *talk = peer->talk;
	struct names_view *view = &talk->views[peer - talk->peers];
	struct name_entry e = { .bytes = 0 };
	int r = 0;

	if (room < GVM_NAME_ENTRY_BYTES)
		return -EPROTO;
	memcpy(e.key.b, p, sizeof(e.key.b));
	e.table = gvm_load_le(p + 16, 8);
	e.born = gvm_load_le(p + 24, 8);
	e.version = gvm_load_le(p + 32, 8);
	e.bytes = (uint32_t)gvm_load_le(p + 40, 4);
	/* Keys must ascend, so that a list ends. (A list of changes is one answer and need not be sorted.) */
	if (room - GVM_NAME_ENTRY_BYTES < e.bytes ||
	    (!view->changes && memcmp(e.key.b, peer->after.b, sizeof(peer->after.b)) <= 0) || !e.born ||
	    e.born > e.version || e.version > GVM_NAME_VERSION_MAX)
		return -EPROTO;
	peer->after = e.key;
	clock_hear(talk, e.version);
	r = names_list_add(&view->has, &e);
	if (!r && !gvm_name_is_horizon(&e.key)) {
		e.record = (uint8_t *)(uintptr_t)(p + GVM_NAME_ENTRY_BYTES);
		r = names_list_add(&talk->all, &e);
	}
	return r < 0 ? r : (ssize_t)(GVM_NAME_ENTRY_BYTES + e.bytes);
}

/* The first answer tells whether the list has changes only, and the table's stamp. What changes during the
 * listing is listed the next time. */
static int list_kind(struct names_peer *peer, const struct gvm_name_list_rsp *rsp)
{
	struct names_view *view = &peer->talk->views[peer - peer->talk->peers];

	if (peer->listing)
		return rsp->since ? -EPROTO : 0;
	if (rsp->since && (rsp->since != peer->since || rsp->more))
		return -EPROTO;
	view->changes = rsp->since != 0;
	view->stamp = rsp->stamp;
	return 0;
}

static void list_done(struct gvm_req *req)
{
	struct names_peer *peer = (struct names_peer *)req;
	const struct gvm_name_list_rsp *rsp = &peer->call.rsp.name_list;
	const uint8_t *p = peer->call.data, *end = p + peer->call.data_bytes;
	ssize_t r = req->result;

	/* A node that restarted in the middle of its list: what it lacks now was not removed. */
	if (r >= 0 && peer->listing &&
	    !gvm_id_equal(&peer->incarnation, gvm_conn_incarnation(peer->conn)))
		r = -EAGAIN;
	peer->incarnation = *gvm_conn_incarnation(peer->conn);
	if (r >= 0)
		r = list_kind(peer, rsp);
	peer->listing = true;
	for (unsigned i = 0; r >= 0 && i < rsp->count; i++, p += r)
		r = list_take(peer, p, (size_t)(end - p));
	if (r >= 0)
		clock_hear(peer->talk, rsp->fence);
	if (r >= 0 && rsp->fence > peer->talk->fence && rsp->fence <= GVM_NAME_VERSION_MAX)
		peer->talk->fence = rsp->fence;
	if (r >= 0 && rsp->more && rsp->count) {
		peer->talk->news = peer->again = true;
		return;
	}
	if (r == -EPROTO || r == -E2BIG)
		log_error(NULL, "node %s: its list of names is %s", gvm_conn_addr(peer->conn),
			  r == -E2BIG ? "too long" : "malformed");
	peer->talk->views[peer - peer->talk->peers].whole = r >= 0;
	peer_over(peer, r < 0 ? (int)r : 0);
}

static void list_next(struct names_peer *peer)
{
	struct gvm_name_list_req what = { .after = peer->after, .round = peer->talk->round,
					  .since = peer->listing ? 0 : peer->since };

	peer->call.req = (struct gvm_req){ .done = list_done };
	gvm_name_list(peer->conn, &peer->call, &what);
}

bool names_talk_list(struct names_talk *talk, enum names_need need, uint64_t deadline_ns)
{
	bool enough = talk_run(talk, need, deadline_ns, list_next);

	names_list_settle(&talk->all, talk->views, talk->count);
	return enough;
}

bool names_talk_changes(struct names_talk *talk, const struct names_known *known, enum names_need need,
			uint64_t deadline_ns)
{
	for (unsigned i = 0; i < talk->count; i++)
		talk->peers[i].since = names_known_since(known, i);
	return talk_run(talk, need, deadline_ns, list_next);
}

static void fence_next(struct names_peer *peer)
{
	struct gvm_name_fence_req what = { .round = peer->talk->round, .upto = peer->talk->upto };

	peer->call.req = (struct gvm_req){ .done = plain_done };
	gvm_name_fence(peer->conn, &peer->call, &what);
}

bool names_talk_fence(struct names_talk *talk, enum names_need need, uint64_t deadline_ns)
{
	return talk_run(talk, need, deadline_ns, fence_next);
}

static void forget_next(struct names_peer *peer)
{
	struct gvm_name_forget_req what = { .round = peer->talk->round, .table = peer->talk->table };

	peer->call.req = (struct gvm_req){ .done = plain_done };
	gvm_name_forget(peer->conn, &peer->call, &what);
}

bool names_talk_forget(struct names_talk *talk, enum names_need need, uint64_t deadline_ns)
{
	return talk_run(talk, need, deadline_ns, forget_next);
}

/* Records in flight to one node. */
struct heal {
	struct gvm_call call; /* first */
	struct heals *all;
};

struct heals {
	struct heal way[HEAL_WINDOW];
	unsigned under_way;
	bool news, failed;
};

static void heal_done(struct gvm_req *req)
{
	struct heals *all = ((struct heal *)req)->all;

	assert(all->under_way);
	all->under_way--;
	all->news = true;
	/* If the node has a newer record or a tombstone by now, it lacks nothing. */
	all->failed |= req->result < 0 && req->result != -ESTALE && req->result != -EIDRM;
	req->done = NULL;
}

static struct heal *heal_free(struct heals *all)
{
	while (all->under_way == HEAL_WINDOW) {
		all->news = false;
		fiber_wait(&all->news, 0);
	}
	for (unsigned i = 0;; i++)
		if (!all->way[i].call.req.done)
			return &all->way[i];
}

bool names_talk_heal(struct names_talk *talk, unsigned peer, const struct names_list *with,
		     const struct names_view *view)
{
	struct heals *all = calloc(1, sizeof(*all));
	bool healed;

	if (!all)
		return false;
	for (size_t i = 0; i < with->count && !all->failed; i++) {
		const struct name_entry *e = &with->entry[i];
		struct gvm_name_put_req what = {
			.key = e->key, .table = e->table, .born = e->born, .version = e->version,
			.round = talk->round
		};
		struct heal *h;

		if (!names_view_lacks(view, e))
			continue;
		h = heal_free(all);
		all->under_way++;
		h->all = all;
		h->call.req = (struct gvm_req){ .done = heal_done,
						.deadline_ns = gvm_now_ns() + HEAL_NS };
		gvm_name_put(talk->peers[peer].conn, &h->call, &what, e->record, e->bytes);
	}
	while (all->under_way) {
		all->news = false;
		fiber_wait(&all->news, 0);
	}
	healed = !all->failed;
	free(all);
	return healed;
}
