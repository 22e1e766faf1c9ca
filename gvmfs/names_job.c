// SPDX-License-Identifier: GPL-2.0-or-later
/* names_job.c - see names_job.h. */
#include "names_job.h"

#include "log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GRACE_NS   500000000ull  /* for the others, once a majority has answered */
#define ONCE_NS	   1500000000ull
#define SAY_NS	   3000000000ull
#define LOOK_NS	   100000000ull
#define SAVE_TRIES 8
#define TABLE_BYTES_MAX (512u << 20) /* of records: none has so many */

/* One node's part in a conversation with all of them. */
struct peer {
	struct gvm_call call; /* first */
	struct names_job *nj;
	struct gvm_conn *conn;
	struct gvm_id after; /* listing: where to go on */
	bool over, ok, again;
	uint64_t detail;
	/* listing: what this node holds, to see what it misses */
	struct name_entry *has;
	size_t has_count, has_room;
};

static unsigned majority(const struct pool *pool)
{
	return pool_nodes(pool) / 2 + 1;
}

/*
 * Runs the peers' requests until all are over, or a majority is well and the grace for the others
 * has passed, or `deadline_ns` (0: none). `next` submits a peer's next request when the last asked
 * for another. Returns how many are well; the rest is cancelled.
 */
static unsigned peers_run(struct pool *pool, struct peer *peers, uint64_t deadline_ns,
			  void (*next)(struct peer *))
{
	uint64_t begin = gvm_now_ns(), grace_end = 0;
	unsigned well, over;
	bool said = false;

	for (;;) {
		uint64_t now = gvm_now_ns();

		well = over = 0;
		for (unsigned i = 0; i < pool->listed; i++) {
			if (peers[i].again) {
				peers[i].again = false;
				next(&peers[i]);
			}
			well += peers[i].ok && !pool->again[i];
			over += peers[i].over || pool->again[i];
		}
		if (well >= majority(pool) && !grace_end)
			grace_end = now + GRACE_NS;
		if (over == pool->listed || (grace_end && now > grace_end) ||
		    (deadline_ns && now > deadline_ns))
			break;
		if (!said && now - begin > SAY_NS) {
			log_warning(NULL, "the name table: %u of %u nodes answer, %u are needed; waiting",
				    well, pool_nodes(pool), majority(pool));
			said = true;
		}
		fiber_wait(&peers->nj->news, now + LOOK_NS);
		peers->nj->news = false;
	}
	for (unsigned i = 0; i < pool->listed; i++)
		if (!peers[i].over)
			gvm_cancel(&peers[i].call.req);
	return well;
}

static struct peer *peers_make(struct names_job *nj, struct pool *pool)
{
	struct peer *peers = calloc(pool->listed, sizeof(*peers));

	for (unsigned i = 0; peers && i < pool->listed; i++) {
		peers[i].nj = nj;
		peers[i].conn = pool->conns[i];
		peers[i].again = true;
	}
	return peers;
}

static uint64_t names_deadline(const struct names_job *nj, const struct pool *pool)
{
	return nj->once ? gvm_now_ns() + ONCE_NS : pool_deadline(pool->opts);
}

static void save_done(struct gvm_req *req)
{
	struct peer *peer = (struct peer *)req;

	peer->nj->news = peer->over = true;
	peer->ok = req->result == 0;
	peer->detail = req->result == -ESTALE ? req->detail : 0;
}

static void save_next(struct peer *peer)
{
	struct gvm_name_put_req what = { .key = peer->nj->key, .version = peer->nj->version };

	peer->over = peer->ok = false;
	peer->call.req = (struct gvm_req){ .done = save_done };
	gvm_name_put(peer->conn, &peer->call, &what, peer->nj->record, peer->nj->record_bytes);
}

void names_job_save(struct job *job, struct pool *pool)
{
	struct names_job *nj = (struct names_job *)job;
	struct peer *peers = peers_make(nj, pool);

	job->result = peers ? -EAGAIN : -ENOMEM;
	for (unsigned try = 0; job->result == -EAGAIN && try < SAVE_TRIES; try++) {
		uint64_t newest = 0;

		for (unsigned i = 0; i < pool->listed; i++)
			peers[i].again = true;
		if (peers_run(pool, peers, names_deadline(nj, pool), save_next) >= majority(pool)) {
			job->result = 0;
			break;
		}
		for (unsigned i = 0; i < pool->listed; i++)
			if (peers[i].detail > newest)
				newest = peers[i].detail;
		/* Another host changed it meanwhile: the last to say so wins. */
		if (!newest)
			job->result = -ETIMEDOUT;
		else if (newest >= nj->version)
			nj->version = newest + 1;
	}
	if (job->result == -EAGAIN)
		job->result = -EBUSY;
	free(peers);
}

/* Where a key stands in a sorted list, or would. */
static size_t entry_place(const struct name_entry *list, size_t count, const struct gvm_id *key)
{
	size_t from = 0, to = count;

	/* Nodes list in this order: the end is the likeliest place. */
	if (count && memcmp(list[count - 1].key.b, key->b, sizeof(key->b)) < 0)
		return count;
	while (from < to) {
		size_t at = (from + to) / 2;

		if (memcmp(list[at].key.b, key->b, sizeof(key->b)) < 0)
			from = at + 1;
		else
			to = at;
	}
	return from;
}

static struct name_entry *entry_find(struct name_entry *list, size_t count, const struct gvm_id *key)
{
	size_t at = entry_place(list, count, key);

	return at < count && gvm_id_equal(&list[at].key, key) ? &list[at] : NULL;
}

static int entry_add(struct name_entry **list, size_t *count, size_t *room, const struct gvm_id *key,
		     uint64_t version, const uint8_t *record, uint32_t bytes)
{
	size_t at = entry_place(*list, *count, key);
	struct name_entry e = { .key = *key, .version = version, .bytes = bytes };

	if (*count == *room) {
		size_t more = *room ? 2 * *room : 64;
		struct name_entry *bigger = realloc(*list, more * sizeof(*bigger));

		if (!bigger)
			return -ENOMEM;
		*list = bigger;
		*room = more;
	}
	if (record) {
		e.record = malloc(bytes);
		if (!e.record)
			return -ENOMEM;
		memcpy(e.record, record, bytes);
	}
	memmove(&(*list)[at + 1], &(*list)[at], (*count - at) * sizeof(e));
	(*list)[at] = e;
	++*count;
	return 0;
}

const struct name_entry *names_job_find(const struct names_job *nj, const struct gvm_id *key)
{
	return entry_find(nj->entries, nj->count, key);
}

/* Takes one record of an answer into the newest of all. */
static int load_merge(struct names_job *nj, const struct gvm_id *key, uint64_t version,
		      const uint8_t *record, uint32_t bytes)
{
	struct name_entry *e = entry_find(nj->entries, nj->count, key);
	uint8_t *copy;

	if (e && e->version >= version)
		return 0;
	nj->bytes += bytes + sizeof(*e);
	if (nj->bytes > TABLE_BYTES_MAX)
		return -E2BIG;
	if (!e)
		return entry_add(&nj->entries, &nj->count, &nj->room, key, version, record, bytes);
	copy = malloc(bytes);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, record, bytes);
	free(e->record);
	e->record = copy;
	e->bytes = bytes;
	e->version = version;
	return 0;
}

static void load_done(struct gvm_req *req)
{
	struct peer *peer = (struct peer *)req;
	const struct gvm_name_list_rsp *rsp = &peer->call.rsp.name_list;
	const uint8_t *p = peer->call.data, *end = p + peer->call.data_bytes;
	int r = req->result;

	peer->nj->news = true;
	for (unsigned i = 0; !r && i < rsp->count; i++) {
		uint32_t bytes;
		uint64_t version;

		/* Each once, in order: so the list ends. */
		if (end - p < 28 || (size_t)(end - p - 28) < gvm_load_le(p + 24, 4) ||
		    memcmp(p, peer->after.b, sizeof(peer->after.b)) <= 0) {
			r = -EPROTO;
			break;
		}
		memcpy(peer->after.b, p, sizeof(peer->after.b));
		version = gvm_load_le(p + 16, 8);
		bytes = (uint32_t)gvm_load_le(p + 24, 4);
		r = load_merge(peer->nj, &peer->after, version, p + 28, bytes);
		if (!r)
			r = entry_add(&peer->has, &peer->has_count, &peer->has_room, &peer->after,
				      version, NULL, 0);
		p += 28 + bytes;
	}
	if (!r && rsp->more && rsp->count) {
		peer->again = true;
		return;
	}
	if (r == -EPROTO || r == -E2BIG)
		log_error(NULL, "node %s lists names %s", gvm_conn_addr(peer->conn),
			  r == -E2BIG ? "without end" : "that cannot be read");
	peer->over = true;
	peer->ok = r == 0;
}

static void load_next(struct peer *peer)
{
	struct gvm_name_list_req what = { .after = peer->after };

	peer->call.req = (struct gvm_req){ .done = load_done };
	gvm_name_list(peer->conn, &peer->call, &what);
}

static void heal_done(struct gvm_req *req)
{
	*(bool *)req->arg = true;
}

/* Gives a node the records that it misses. Best effort: the next reader goes on. */
static void load_heal(struct names_job *nj, struct peer *peer)
{
	for (size_t i = 0; i < nj->count; i++) {
		struct name_entry *e = &nj->entries[i];
		struct name_entry *its = entry_find(peer->has, peer->has_count, &e->key);
		struct gvm_name_put_req what = { .key = e->key, .version = e->version };
		struct gvm_call call = { 0 };
		bool done = false;

		if (its && its->version >= e->version)
			continue;
		call.req = (struct gvm_req){
			.done = heal_done, .arg = &done, .deadline_ns = gvm_now_ns() + ONCE_NS
		};
		gvm_name_put(peer->conn, &call, &what, e->record, e->bytes);
		if (pool_wait(peer->conn, &call.req) < 0)
			return;
	}
}

void names_job_load(struct job *job, struct pool *pool)
{
	struct names_job *nj = (struct names_job *)job;
	struct peer *peers = peers_make(nj, pool);
	unsigned well = peers ? peers_run(pool, peers, names_deadline(nj, pool), load_next) : 0;

	job->result = !peers ? -ENOMEM : well >= majority(pool) ? 0 : -ETIMEDOUT;
	for (unsigned i = 0; peers && i < pool->listed; i++) {
		if (!job->result && peers[i].ok)
			load_heal(nj, &peers[i]);
		free(peers[i].has);
	}
	free(peers);
}
