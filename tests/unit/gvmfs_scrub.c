// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_scrub.c - which nodes are asked to look at which regions, one after the other, and what becomes of what they find. */
#include "base/log.h"
#include "base/loop.h"
#include "check.h"
#include "gvm_client.h"
#include "node/region_node.h"
#include "node/replicas.h"
#include "node/rot.h"
#include "node/scrub.h"
#include "node/views.h"
#include "options.h"
#include "state/worker_state.h"

#include <errno.h>

#define NODES  3u
#define INODES 600u /* numbers; few of them are attached regions */
#define CHUNKS 40u

struct gvm_conn {
	enum gvm_conn_state state;
};

static struct gvm_conn conns[NODES];
static struct journal journal;
static struct inodes inodes = {.j = &journal};
static struct inode inode[2];
static struct journal_inode disk[2];
static _Atomic uint64_t index_[CHUNKS];
static struct view_slot views[1];
static struct scrub scrub;
static struct options opts = {.scrub_rate = 4};
static struct worker worker = {.opts = &opts, .journal = &journal, .inodes = &inodes, .scrub = &scrub};
static struct gvm_call *asked;
static struct gvm_region_check_req what;
static unsigned asked_node, asks, found, alone;
static uint64_t found_chunk, now;
static bool here;

enum gvm_conn_state gvm_conn_state(const struct gvm_conn *conn)
{
	return conn->state;
}

struct gvm_conn *region_node_conn(struct worker *w, struct inode *of, unsigned node)
{
	CHECK(w == &worker && node < of->disk->rec.node_count);
	return &conns[node];
}

void gvm_region_check(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_region_check_req *req)
{
	CHECK(!asked);
	asked = call;
	what = *req;
	asked_node = (unsigned)(conn - conns);
	asks++;
}

struct view_slot *replicas_slot(struct inode *of, uint64_t chunk)
{
	(void)chunk;
	return of->disk->rec.replicas > 1 ? &views[0] : NULL;
}

bool rot_alone(struct worker *w, struct inode *of, uint64_t chunk, bool lost)
{
	CHECK(w == &worker && of == &inode[0] && !lost);
	found_chunk = chunk;
	alone++;
	return here;
}

void rot_found(struct worker *w, struct inode *of, uint64_t chunk, const struct gvm_id *node, bool lost)
{
	CHECK(w == &worker && of == &inode[0] && !lost && gvm_id_equal(node, &of->disk->rec.nodes[asked_node].incarnation));
	found_chunk = chunk;
	found++;
}

void log_put(struct gvm_log_site *site, int level, const char *object, const char *fmt, ...)
{
	(void)site;
	(void)level;
	(void)object;
	(void)fmt;
}

/* Two regions, far from each other; of the first each chunk is on all nodes. */
static void begin(unsigned replicas)
{
	memset(&scrub, 0, sizeof(scrub));
	memset(inodes.rt, 0, sizeof(*inodes.rt) * INODES);
	LIST_INIT(&inodes.attached);
	inodes.end = INODES;
	for (unsigned i = 0; i < 2; i++) {
		disk[i].epoch = 3;
		disk[i].failed = 0;
		disk[i].rec = (struct record){.kind = RECORD_REGION, .node_count = replicas, .replicas = (uint16_t)replicas,
					      .slot_count = 1, .size_bytes = CHUNKS * GVM_CHUNK_BYTES, .id = {{(uint8_t)(i + 1)}}};
		for (unsigned n = 0; n < NODES; n++) {
			disk[i].rec.nodes[n].incarnation = (struct gvm_id){{(uint8_t)(n + 1), 9}};
			disk[i].rec.slots[0].node[n] = (uint16_t)(n < replicas ? n : RECORD_NONE);
			conns[n].state = GVM_CONN_UP;
		}
		inode[i] = (struct inode){.nr = i ? INODES - 1 : 2, .disk = &disk[i], .index = index_};
		inodes.rt[inode[i].nr] = &inode[i];
		LIST_INSERT_HEAD(&inodes.attached, &inode[i], attached_entry);
	}
	for (unsigned c = 0; c < CHUNKS; c++)
		index_[c] = 100 + c;
	views[0].word = view_word_make(3, (uint8_t)((1u << replicas) - 1));
	asked = NULL;
	asks = found = alone = 0;
	here = false;
	now = 1000000000000ull;
}

/* Until a node is asked. */
static void ask(void)
{
	for (unsigned i = 0; !asked; i++) {
		uint64_t due = scrub_tick(&worker, now);

		CHECK(i < 10);
		CHECK(asked ? due == LOOP_NEVER : due > now);
		now = asked ? now : due;
	}
	CHECK_EQ(scrub_tick(&worker, now + 1), LOOP_NEVER); /* one at a time */
}

static void answer(int result, uint64_t next, unsigned count, uint64_t chunk, uint64_t version)
{
	static uint8_t data[GVM_CHECK_ENTRY_BYTES];
	struct gvm_call *call = asked;

	gvm_store_le(data, chunk, 8);
	gvm_store_le(data + 8, version, 8);
	call->rsp.region_check.count = count;
	call->rsp.region_check.next = next;
	call->data = data;
	call->req.result = result;
	asked = NULL;
	call->req.done(&call->req);
}

static bool is_region(unsigned i)
{
	return gvm_id_equal(&what.region, &disk[i].rec.id);
}

static void each_node_looks_at_all_of_each_region(void)
{
	begin(2);
	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 0; i < 2; i++)
			for (unsigned n = 0; n < 2; n++)
				for (uint64_t first = 0; first < CHUNKS; first += 10) {
					ask();
					CHECK(is_region(i) && asked_node == n && what.first == first);
					answer(0, first + 10, 0, 0, 0);
				}
	ask();
	CHECK(inode[0].scrubs == 2 && inode[1].scrubs == 2);
}

static void a_node_that_is_away_is_passed_over_and_the_round_does_not_count(void)
{
	begin(2);
	conns[0].state = GVM_CONN_CONNECTING;
	ask();
	CHECK(is_region(0) && asked_node == 1);
	answer(-ETIMEDOUT, 0, 0, 0, 0);
	conns[0].state = GVM_CONN_UP;
	ask();
	CHECK(is_region(1) && asked_node == 0 && !inode[0].scrubs);
}

static void what_is_found_is_mended(void)
{
	begin(2);
	ask();
	answer(0, 10, 1, 7, 107);
	CHECK(found == 1 && found_chunk == 7 && !alone);
	ask();
	answer(0, 20, 1, 7, 106); /* not what the index has */
	ask();
	answer(0, 30, 1, CHUNKS, 107); /* nor a chunk of it */
	CHECK(found == 1 && !alone);
	views[0].word = view_word_make(3, 2); /* this node is no member */
	ask();
	answer(0, CHUNKS, 1, 8, 108);
	CHECK(found == 1 && !alone);
}

static void what_has_no_other_copy_is_counted(void)
{
	begin(2);
	views[0].word = view_word_make(3, 1);
	ask();
	answer(0, 10, 1, 7, 107);
	CHECK(alone == 1 && !found && scrub.lone == 1 && scrub.lone_chunk == 7);
	here = true; /* all of it is here: it is written anew */
	ask();
	answer(0, CHUNKS, 1, 8, 108);
	CHECK(alone == 2 && scrub.lone == 1);
	ask();
	answer(0, CHUNKS, 0, 0, 0);
	CHECK_EQ(inode[0].lone_rotten, 1);
}

static void an_answer_may_come_when_the_region_is_another(void)
{
	begin(2);
	ask();
	disk[0].epoch = 4;
	answer(0, 10, 1, 7, 107);
	CHECK(!found && !alone);
	begin(2);
	ask();
	disk[0].rec.nodes[0].incarnation.b[5] = 1;
	answer(0, 10, 1, 7, 107);
	CHECK(!found && !alone);
	begin(2);
	ask();
	inodes.rt[2] = NULL;
	answer(0, 10, 1, 7, 107);
	CHECK(!found && !alone);
}

static const struct check_test tests[] = {
	{"each-node-looks-at-all-of-each-region", each_node_looks_at_all_of_each_region},
	{"a-node-that-is-away-is-passed-over-and-the-round-does-not-count",
	 a_node_that_is_away_is_passed_over_and_the_round_does_not_count},
	{"what-is-found-is-mended", what_is_found_is_mended},
	{"what-has-no-other-copy-is-counted", what_has_no_other_copy_is_counted},
	{"an-answer-may-come-when-the-region-is-another", an_answer_may_come_when_the_region_is_another},
};
CHECK_MAIN(tests)
