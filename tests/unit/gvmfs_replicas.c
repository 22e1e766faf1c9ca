// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gvmfs_replicas.c - which nodes a region with two replicas goes on without, and when: replicas.c and sender.c with nodes,
 * writers and a clock of the test's.
 */
#include "base/log.h"
#include "check.h"
#include "gvm_client.h"
#include "node/balance.h"
#include "node/drain.h"
#include "node/looks.h"
#include "node/pool.h"
#include "node/region.h"
#include "node/region_events.h"
#include "node/region_node.h"
#include "node/repair.h"
#include "node/repair_job.h"
#include "node/replace.h"
#include "node/replicas.h"
#include "node/replicas_state.h"
#include "state/worker_state.h"
#include "store/sender.h"
#include "store/writers.h"

#include <errno.h>
#include <stdarg.h>

#define NODES	3u
#define SLOTS	4u /* slot s is on nodes s % 3 and (s + 1) % 3 */
#define NR	1u
#define REGIONS	12u /* with the first of them */
#define CALLS	64u
#define FLUSHES 8u
#define MS	1000000ull

struct gvm_conn {
	enum gvm_conn_state state;
	struct gvm_id incarnation;
	bool deaf; /* up, but nothing is heard of it */
	uint64_t heard_ns;
};

static uint64_t now_ns, look_takes_ns; /* at the clock */
static struct gvm_conn conns[NODES];
static struct journal_inode disks[NR + REGIONS];
static uint64_t words[(NR + REGIONS) * RECORD_SLOTS];
static struct journal journal = {.inodes = disks, .views = words};
static struct inodes inodes = {.j = &journal};
static struct inode inode;
static struct pool pool;
static struct replicas_list list;
static char log_text[4096];

/* Views that nodes were asked to record, and flushes that were sent; the answered ones are NULL. */
static struct call {
	struct gvm_call *call;
	struct gvm_conn *conn;
	struct gvm_region_view_req what;
} calls[CALLS], looks[NODES];
static struct flush flushes[FLUSHES], *sent[CALLS];
static unsigned call_count, look_count, sent_count, stored, fenced, log_lines;
static struct flush *last_stored;

/* ---- what they call */

uint64_t gvm_now_ns(void)
{
	return now_ns += look_takes_ns;
}

uint64_t gvm_boottime_ns(void)
{
	return now_ns;
}

uint64_t gvm_realtime_ns(void)
{
	return now_ns;
}

enum gvm_conn_state gvm_conn_state(const struct gvm_conn *conn)
{
	return conn->state;
}

const struct gvm_id *gvm_conn_incarnation(const struct gvm_conn *conn)
{
	return &conn->incarnation;
}

uint64_t gvm_conn_heard_ns(const struct gvm_conn *conn)
{
	return conn->deaf ? conn->heard_ns : now_ns;
}

/* As if each nanosecond a byte came. */
uint64_t gvm_conn_received(const struct gvm_conn *conn)
{
	return gvm_conn_heard_ns(conn);
}

struct gvm_conn *region_node_conn(struct worker *w, struct inode *i, unsigned node)
{
	(void)w;
	(void)i;
	return &conns[node];
}

void region_node_place(struct worker *w, struct inode *i, unsigned node, struct record_node *place)
{
	(void)w;
	*place = i->disk->rec.nodes[node];
}

void gvm_region_view(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_region_view_req *what)
{
	CHECK(call_count < CALLS);
	calls[call_count++] = (struct call){call, conn, *what};
}

void gvm_region_open(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_region_open_req *what)
{
	/* As long as a node may stand still on a loaded host; and then views are to be recorded. */
	CHECK(look_count < NODES && what->mode == GVM_OPEN_LOOK && call->req.deadline_ns >= now_ns + 1500 * MS &&
	      call->req.deadline_ns <= now_ns + 2000 * MS);
	looks[look_count++] = (struct call){.call = call, .conn = conn};
}

void writers_send(struct writers *ws, struct flush *f)
{
	(void)ws;
	CHECK(sent_count < CALLS);
	sent[sent_count++] = f;
}

void log_put(struct gvm_log_site *site, int level, const char *object, const char *fmt, ...)
{
	va_list ap;

	(void)site;
	(void)level;
	(void)object;
	log_lines++;
	va_start(ap, fmt);
	vsnprintf(log_text, sizeof(log_text), fmt, ap);
	va_end(ap);
}

/* Nothing is repaired here. */
uint64_t *repair_map(void)
{
	static uint64_t map;

	return &map;
}

void repair_unmap(uint64_t *written)
{
	(void)written;
}

static unsigned repair_looks[NR + REGIONS], repair_looks_all;

void repair_look(struct replicas *r, uint64_t ns)
{
	(void)ns;
	repair_looks[r->inode->nr]++;
	repair_looks_all++;
}

void repair_end(struct replicas *r)
{
	(void)r;
}

void repair_go_on(struct replicas *r)
{
	(void)r;
}

bool repair_turn(struct replicas *r, unsigned slot)
{
	(void)r;
	(void)slot;
	return false;
}

bool repair_holds(const struct replicas *r, unsigned slot)
{
	(void)r;
	(void)slot;
	return false;
}

void repair_written(struct replicas *r, uint64_t chunk)
{
	(void)r;
	(void)chunk;
}

uint64_t repair_left(const struct replicas *r)
{
	(void)r;
	return 0;
}

void inode_reap(struct inodes *in, unsigned nr)
{
	CHECK(in == &inodes && nr >= NR && nr < NR + REGIONS);
}

static void replicas_changed(struct worker *w, struct inode *i)
{
	sender_changed(w, i);
}

static void region_fenced(struct worker *w, struct inode *i)
{
	(void)w;
	CHECK(i == &inode);
	fenced++;
}

static const struct region_events events = {.replicas_changed = replicas_changed, .fenced = region_fenced};
static const struct options opts = {.repair_after_s = 30};
static struct fetches fetches;
static struct jobs jobs;
static struct worker worker = {
	.opts = &opts, .fetches = &fetches, .jobs = &jobs, .journal = &journal, .inodes = &inodes, .pool = &pool, .replicas = &list, .region_events = &events};

/* ---- the test's end of it */

static void tick(unsigned ms)
{
	for (; ms >= 50; ms -= 50) {
		now_ns += 50 * MS;
		looks_tick(&worker, now_ns);
	}
}

static void setup(void)
{
	struct record *rec = &disks[NR].rec;

	*rec = (struct record){.kind = RECORD_REGION, .replicas = 2, .slot_count = SLOTS, .node_count = NODES,
			       .id = {{7}}, .name = "ram"};
	disks[NR].epoch = 3;
	for (unsigned i = 0; i < NODES; i++) {
		rec->nodes[i].incarnation = conns[i].incarnation = (struct gvm_id){{(uint8_t)(i + 1)}};
		conns[i].state = GVM_CONN_UP;
		pool.conns[i] = &conns[i];
	}
	pool.count = NODES;
	for (unsigned s = 0; s < SLOTS; s++) {
		rec->slots[s] = (struct record_slot){{(uint16_t)(s % NODES), (uint16_t)((s + 1) % NODES)}};
		words[NR * RECORD_SLOTS + s] = view_word_make(3, 3);
	}
	inode = (struct inode){.nr = NR, .disk = &disks[NR]};
	inodes.rt[NR] = &inode;
	now_ns = 1000000 * MS;
	LIST_INIT(&list);
	replicas_open(&worker, &inode);
	tick(100);
	CHECK_EQ(call_count, 0);
}

/* A thread that faults wait for calls it at every turn. */
static void regions_are_looked_at_now_and_then(void)
{
	setup();
	conns[0].state = GVM_CONN_CONNECTING;
	looks_tick(&worker, now_ns + 10 * MS);
	CHECK(!inode.replicas->node[0].down_ns);
	CHECK_EQ(looks_tick(&worker, now_ns + 49 * MS), now_ns + 50 * MS);
	CHECK(!inode.replicas->node[0].down_ns);
	tick(50);
	CHECK_EQ(inode.replicas->node[0].down_ns, now_ns);
}

static unsigned looked_at(const struct inode *of)
{
	unsigned n = 0;

	for (unsigned i = 0; i < REGIONS; i++)
		n += of[i].replicas->node[0].down_ns != 0;
	return n;
}

/* The first is `inode`'s. */
static void regions_open(struct inode others[REGIONS])
{
	setup();
	for (unsigned i = 0; i < REGIONS; i++) {
		disks[NR + i] = disks[NR];
		memcpy(words + (NR + i) * RECORD_SLOTS, words + NR * RECORD_SLOTS, SLOTS * sizeof(*words));
		others[i] = (struct inode){.nr = NR + i, .disk = &disks[NR + i], .replicas = i ? NULL : inode.replicas};
		replicas_open(&worker, &others[i]);
	}
}

/* The same with many regions: as a whole that would take milliseconds. */
static void regions_are_looked_at_in_pieces(void)
{
	static struct inode others[REGIONS];
	unsigned before = 0, now = 0;
	uint64_t begun;

	regions_open(others);
	while (looks_tick(&worker, now_ns) == now_ns)
		;
	conns[0].state = GVM_CONN_CONNECTING;
	begun = now_ns += 50 * MS;
	for (; now < REGIONS; before = now, now_ns += MS) {
		uint64_t due = looks_tick(&worker, now_ns);

		now = looked_at(others);
		CHECK(now > before && now - before < REGIONS / 2);
		CHECK_EQ(due, now < REGIONS ? now_ns : begun + 50 * MS);
	}
}

/* Between two rounds those are looked at that have a repair, and no others; some with each call, in turn. */
static void repairs_go_on_in_pieces(void)
{
	static struct inode others[REGIONS];
	bool goes_on;

	regions_open(others);
	for (unsigned i = 0; i < REGIONS; i++)
		if (i % 4)
			others[i].replicas->repair = (struct repair *)&others[i];
	while (looks_tick(&worker, now_ns) == now_ns)
		;
	for (unsigned round = 0; round < 2; round++) {
		memset(repair_looks, 0, sizeof(repair_looks));
		repair_looks_all = 0;
		do {
			unsigned before = repair_looks_all;

			now_ns += MS;
			goes_on = looks_tick(&worker, now_ns) == now_ns;
			CHECK(repair_looks_all > before && repair_looks_all - before < REGIONS / 2);
		} while (goes_on);
		for (unsigned i = 0; i < REGIONS; i++)
			CHECK_EQ(repair_looks[NR + i], i % 4 ? 1 : 0);
	}
	for (unsigned i = 0; i < REGIONS; i++)
		others[i].replicas->repair = NULL;
	repair_looks_all = 0;
	while (looks_tick(&worker, now_ns) == now_ns)
		;
	CHECK(!worker.movers && !worker.movers_next && !repair_looks_all);
}

/* Those that are closed, too: each is freed with the next round. */
static void closed_regions_are_freed_in_pieces(void)
{
	static struct inode others[REGIONS];
	unsigned left = REGIONS;

	regions_open(others);
	while (looks_tick(&worker, now_ns) == now_ns)
		;
	for (unsigned i = 0; i < REGIONS; i++)
		replicas_close(&others[i]);
	while (left) {
		uint64_t due = looks_tick(&worker, now_ns);
		unsigned now = 0;

		for (unsigned i = 0; i < REGIONS; i++)
			now += (i ? others[i] : inode).replicas != NULL;
		CHECK(now < left && left - now < REGIONS / 2);
		CHECK_EQ(due, now ? now_ns : ~0ull);
		left = now;
	}
	inode.replicas = NULL;
}

static uint8_t members(unsigned slot)
{
	return view_word_members(words[NR * RECORD_SLOTS + slot]);
}

static void flush_stored(struct worker *w, struct flush *f)
{
	CHECK(w == &worker);
	stored++;
	last_stored = f;
}

/* A write to the only chunk of slot n that there is. */
static struct flush *write_begin(unsigned n)
{
	static unsigned next;
	struct flush *f = &flushes[next++ % FLUSHES];

	*f = (struct flush){.chunk = n, .epoch = 3, .done = flush_stored};
	sender_send(&worker, &inode, f);
	CHECK(sent[sent_count - 1] == f);
	return f;
}

/* What its nodes answered, in the order of f->replica[]. */
static void answers(struct flush *f, int first, int second)
{
	f->sent = true;
	f->sent_to[0] = first;
	f->sent_to[1] = second;
	f->result = !first || (f->nodes > 1 && !second) ? 0 : first;
	f->done(&worker, f);
}

static void call_answer(struct call *c, int result)
{
	struct gvm_call *call = c->call;

	CHECK(call);
	c->call = NULL;
	call->req.result = result;
	call->req.done(&call->req);
}

static void record_answer(unsigned nth, int result)
{
	CHECK(nth < call_count);
	call_answer(&calls[nth], result);
}

/* ---- */

static void a_write_goes_on_without_a_silent_node(void)
{
	struct flush *f;

	setup();
	f = write_begin(0);
	CHECK_EQ(f->nodes, 2);
	answers(f, 0, -ETIMEDOUT);
	CHECK_EQ(stored, 0);
	CHECK_EQ(call_count, 1); /* at once */
	CHECK(calls[0].conn == &conns[0] && !calls[0].what.active);
	record_answer(0, 0);
	CHECK_EQ(stored, 1);
	CHECK_EQ(last_stored->result, 0);
	CHECK_EQ(members(0), 1);
	CHECK_EQ(call_count, 2);
	CHECK(calls[1].what.active);
	record_answer(1, 0);
	tick(500);
	/* Slot 1 is on that node, too: it is not written to, and has its view yet. */
	CHECK_EQ(members(1), 3);
	CHECK_EQ(call_count, 2);
}

/* What no member can read is not lost while a node is away that was one: but it is not waited for without an end. */
static void a_node_that_is_away_may_have_a_good_copy(void)
{
	setup();
	CHECK(write_begin(0)->all);
	conns[0].state = GVM_CONN_CONNECTING;
	tick(4000);
	record_answer(0, 0);
	record_answer(1, 0);
	record_answer(2, 0);
	CHECK_EQ(members(0), 2);
	CHECK(!write_begin(0)->all);
	tick(40000);
	CHECK(write_begin(0)->all);
}

static void no_view_changes_while_nothing_is_written(void)
{
	setup();
	look_takes_ns = 100; /* the tick began earlier */
	conns[1].state = GVM_CONN_CONNECTING;
	tick(2000);
	CHECK_EQ(call_count, 0);
	conns[1].state = GVM_CONN_UP;
	tick(5000);
	CHECK_EQ(call_count, 0);
	/* But for a node that is away for long: readers should know. */
	conns[1].state = GVM_CONN_CONNECTING;
	tick(5000);
	CHECK_EQ(call_count, 3); /* slots 0, 1, 3: of each the other one */
}

/* What needs it waits, and that shows. */
static void a_slot_of_which_no_node_answers_is_told_of(void)
{
	setup();
	conns[0].state = conns[1].state = GVM_CONN_CONNECTING;
	tick(400);
	CHECK_EQ(replicas_absent(&inode), 0);
	tick(300);
	CHECK_EQ(replicas_absent(&inode), 2);
	CHECK_EQ(inode.replicas->absent, 2);
	conns[1].state = GVM_CONN_UP;
	tick(2000);
	CHECK_EQ(replicas_absent(&inode), 0);
	CHECK_EQ(inode.replicas->absent, 0);
}

/* A view without it was on its way when it came back, so one with it is proposed; and it has begun anew. */
static void a_node_that_refuses_a_view_is_not_asked_again_at_once(void)
{
	unsigned asked;

	setup();
	conns[1].state = GVM_CONN_CONNECTING;
	tick(4000);
	CHECK_EQ(call_count, 3);
	conns[1].state = GVM_CONN_UP;
	tick(50);
	CHECK(calls[4].conn == &conns[1] && !calls[4].what.active);
	asked = call_count;
	record_answer(4, -ENOMEDIUM);
	CHECK_EQ(call_count, asked);
}

/* Both count as bad, so both are written to. */
static void a_bad_node_that_takes_what_the_other_lost_is_bad_no_more(void)
{
	struct flush *f;

	setup();
	conns[1].state = GVM_CONN_CONNECTING;
	tick(1000);
	answers(write_begin(2), 0, -ETIMEDOUT);
	record_answer(0, 0);
	CHECK_EQ(stored, 1);
	CHECK_EQ(call_count, 2);
	f = write_begin(0);
	f->resident = true;
	CHECK_EQ(f->nodes, 2);
	answers(f, 0, -ENOMEDIUM);
	CHECK_EQ(stored, 1); /* nor failed, to be sent again at once */
	CHECK_EQ(call_count, 3);
	CHECK(calls[2].conn == &conns[0]);
	record_answer(2, 0);
	CHECK_EQ(stored, 2);
	CHECK_EQ(last_stored->result, 0);
	CHECK_EQ(members(0), 1);
}

static void time_in_which_the_front_stood_still_is_no_nodes(void)
{
	setup();
	tick(50);
	conns[1].state = GVM_CONN_CONNECTING;
	tick(100);
	now_ns += 5000 * MS;
	tick(50);
	CHECK_EQ(write_begin(0)->nodes, 2);
	CHECK_EQ(call_count, 0);
	tick(500);
	CHECK_EQ(write_begin(0)->nodes, 1);
}

/* The first that it reads afterwards is that a request has failed. */
static void a_failure_that_is_read_late_excludes_no_node(void)
{
	setup();
	now_ns += 5000 * MS;
	CHECK(replicas_heard(&inode, &conns[1].incarnation, -ETIMEDOUT));
	tick(500);
	CHECK(inode.replicas->node[1].bad);
	CHECK_EQ(call_count, 0);
	tick(4000);
	CHECK(!inode.replicas->node[1].bad);
	CHECK_EQ(call_count, 0);
}

static void a_write_waits_not_for_a_node_that_is_known_to_be_away(void)
{
	struct flush *f;

	setup();
	conns[1].state = GVM_CONN_CONNECTING;
	tick(1000);
	f = write_begin(0);
	CHECK_EQ(f->nodes, 1);
	CHECK_EQ(f->replica[0], 0);
	answers(f, 0, 0);
	CHECK_EQ(call_count, 1);
	/* It is back before that is recorded: then it gets the write. */
	conns[1].state = GVM_CONN_UP;
	tick(50);
	CHECK_EQ(call_count, 3);
	record_answer(0, 0);
	record_answer(1, 0);
	record_answer(2, 0);
	CHECK_EQ(sent_count, 2);
	CHECK_EQ(f->nodes, 1);
	CHECK_EQ(f->replica[0], 1);
	answers(f, 0, 0);
	CHECK_EQ(stored, 1);
	CHECK_EQ(members(0), 3);
}

/* Then it is this host that is cut off. */
static void no_node_is_left_out_while_all_are_away(void)
{
	struct flush *f, *g;

	setup();
	f = write_begin(0);
	g = write_begin(1);
	for (unsigned i = 0; i < NODES; i++) { /* not all at a time */
		conns[i].state = GVM_CONN_CONNECTING;
		tick(200);
	}
	answers(f, -ETIMEDOUT, -ETIMEDOUT);
	answers(g, -ETIMEDOUT, -ETIMEDOUT);
	CHECK_EQ(sent_count, 4); /* to all */
	CHECK_EQ(f->nodes, 2);
	tick(3000);
	conns[0].state = GVM_CONN_UP;
	tick(50);
	answers(f, 0, -ETIMEDOUT);
	CHECK_EQ(sent_count, 5);
	CHECK_EQ(f->replica[0], 1);
	tick(900);
	conns[1].state = GVM_CONN_UP;
	tick(50);
	answers(f, 0, 0);
	CHECK_EQ(stored, 1);
	conns[2].state = GVM_CONN_UP;
	tick(50);
	answers(g, 0, 0);
	CHECK_EQ(stored, 2);
	CHECK_EQ(call_count, 0);
	tick(9000);
	CHECK_EQ(call_count, 0);
	for (unsigned s = 0; s < SLOTS; s++)
		CHECK_EQ(members(s), 3);
}

/* Connections that nothing comes through stay up for a while; they end one after the other. */
static void connections_that_are_dead_are_no_nodes_that_answer(void)
{
	setup();
	for (unsigned i = 0; i < NODES; i++) {
		conns[i].deaf = true;
		conns[i].heard_ns = now_ns;
	}
	tick(5000);
	conns[0].state = GVM_CONN_CONNECTING;
	tick(1000);
	conns[1].state = conns[2].state = GVM_CONN_CONNECTING;
	tick(9000);
	CHECK_EQ(call_count, 0);
	/* One is back, and others are not, for longer than the first was alone. */
	conns[0].state = GVM_CONN_UP;
	conns[0].deaf = false;
	tick(1000);
	CHECK_EQ(write_begin(0)->nodes, 2);
	tick(1000);
	CHECK_EQ(write_begin(0)->nodes, 1);
}

static void silence_of_all_nodes_of_a_slot_is_waited_out(void)
{
	struct flush *f;

	setup();
	f = write_begin(0);
	for (unsigned i = 1; i < 5; i++) {
		answers(f, -ETIMEDOUT, -ETIMEDOUT);
		CHECK_EQ(sent_count, 1 + i);
		CHECK_EQ(f->nodes, 2);
	}
	answers(f, 0, 0);
	CHECK_EQ(stored, 1);
	CHECK_EQ(last_stored->result, 0);
	CHECK_EQ(call_count, 0);
}

/* What this host lacks, and what was garbled on its way, is sent again after a while. */
static void what_passes_leaves_no_node_out(void)
{
	unsigned node[RECORD_PLACES], good;
	struct flush *f;

	setup();
	f = write_begin(0);
	answers(f, 0, -ENOMEM);
	CHECK_EQ(stored, 1);
	CHECK_EQ(f->result, -ENOMEM);
	for (unsigned i = 0; i < 4; i++) {
		f = write_begin(0);
		CHECK_EQ(f->nodes, 2);
		answers(f, 0, -EBADMSG);
		CHECK_EQ(stored, 2 + 2 * i);
		CHECK_EQ(f->result, -EBADMSG);
		f = write_begin(0);
		answers(f, 0, 0);
		CHECK_EQ(stored, 3 + 2 * i);
		CHECK_EQ(f->result, 0);
	}
	CHECK_EQ(replicas_order(&inode, 0, node, &good), 2);
	CHECK_EQ(good, 2);
	CHECK_EQ(call_count, 0);
	/* But what never gets there does. */
	answers(write_begin(0), 0, -EBADMSG);
	answers(write_begin(0), 0, -EBADMSG);
	CHECK_EQ(call_count, 0);
	answers(write_begin(0), 0, -EBADMSG);
	CHECK_EQ(call_count, 1);
}

static void a_lost_copy_beside_a_failure_that_passes_ends_no_region(void)
{
	struct flush *f;

	setup();
	f = write_begin(0);
	answers(f, -ENOMEDIUM, -ENOMEM);
	CHECK_EQ(stored, 1);
	CHECK_EQ(f->result, -ENOMEM);
	f = write_begin(0);
	CHECK_EQ(f->nodes, 1);
	CHECK_EQ(f->replica[0], 1);
}

static void a_refusing_node_is_left_out(void)
{
	static const int errors[] = {-ENOMEDIUM, -ENOSPC, -ESTALE, -EACCES};

	for (unsigned i = 0; i < sizeof(errors) / sizeof(*errors); i++) {
		call_count = sent_count = stored = 0;
		setup();
		answers(write_begin(2), errors[i], 0);
		CHECK_EQ(call_count, 1);
		CHECK(calls[0].conn == &conns[0]);
		record_answer(0, 0);
		CHECK_EQ(members(2), 2);
		CHECK_EQ(stored, 1);
		record_answer(1, 0);
		replicas_close(&inode);
		tick(50);
	}
}

static void a_full_node_records_a_view_when_it_has_room(void)
{
	unsigned node[RECORD_PLACES], good, lines;
	struct flush *f;

	setup();
	f = write_begin(0);
	answers(f, 0, -ETIMEDOUT);
	lines = log_lines;
	record_answer(0, -ENOSPC);
	CHECK_EQ(call_count, 1); /* not at once */
	CHECK_EQ(log_lines, lines + 1);
	CHECK(strstr(log_text, "full"));
	tick(500);
	CHECK_EQ(call_count, 1);
	CHECK_EQ(replicas_order(&inode, 0, node, &good), 2);
	CHECK_EQ(node[0], 0);
	CHECK_EQ(good, 1);
	conns[1].state = GVM_CONN_CONNECTING;
	for (unsigned i = 1; i < 3; i++) {
		CHECK_EQ(stored, 0);
		tick(1000);
		CHECK_EQ(call_count, 1 + i);
		record_answer(i, i < 2 ? -ENOSPC : 0);
	}
	CHECK_EQ(stored, 1);
	CHECK_EQ(members(0), 1);
	replicas_close(&inode); /* with the next tick */
	tick(50);
	CHECK(!inode.replicas);
}

static void a_closed_region_waits_for_no_full_node(void)
{
	setup();
	answers(write_begin(0), 0, -ETIMEDOUT);
	record_answer(0, -ENOSPC);
	replicas_close(&inode); /* its flush ends with the next tick */
	tick(50);
	CHECK_EQ(stored, 1);
	CHECK(last_stored->result < 0);
	CHECK(!inode.replicas);
	tick(2000);
	CHECK_EQ(call_count, 1);
}

/* To ask again is of no use. */
static void a_fenced_writer_records_nothing_more(void)
{
	setup();
	answers(write_begin(0), 0, -ETIMEDOUT);
	record_answer(0, -EKEYREVOKED);
	CHECK_EQ(fenced, 1);
	CHECK_EQ(call_count, 1);
}

static void an_answer_may_come_when_the_region_is_gone(void)
{
	setup();
	answers(write_begin(0), 0, -ETIMEDOUT);
	inodes.rt[NR] = NULL;
	record_answer(0, 0);
	CHECK_EQ(stored, 0);
	CHECK_EQ(call_count, 1);
}

static void a_bad_member_is_read_last(void)
{
	unsigned node[RECORD_PLACES], good;

	setup();
	CHECK_EQ(replicas_order(&inode, 0, node, &good), 2);
	CHECK_EQ(good, 2);
	conns[0].state = GVM_CONN_CONNECTING;
	tick(1000);
	CHECK_EQ(replicas_order(&inode, 0, node, &good), 2);
	CHECK_EQ(good, 1);
	CHECK_EQ(node[0], 1);
	CHECK_EQ(node[1], 0);
	/* It has begun anew. */
	conns[0].state = GVM_CONN_UP;
	conns[0].incarnation.b[3] = 1;
	tick(50);
	CHECK_EQ(replicas_order(&inode, 0, node, &good), 1);
	CHECK_EQ(node[0], 1);
}

/* ---- a region that is about to be detached */

static void count_left(void *arg)
{
	++*(unsigned *)arg;
}

static void look_answer(unsigned nth, int result)
{
	CHECK(nth < look_count);
	call_answer(&looks[nth], result);
}

static void a_region_leaves_when_all_nodes_answer(void)
{
	unsigned left = 0;

	setup();
	CHECK(replicas_leave(&inode, count_left, &left));
	CHECK_EQ(look_count, NODES);
	tick(50);
	look_answer(0, 0);
	look_answer(2, 0);
	tick(50);
	CHECK_EQ(left, 0);
	look_answer(1, 0);
	looks_tick(&worker, now_ns);
	CHECK(left == 1 && !call_count);
}

static void a_region_leaves_when_views_without_dead_nodes_are_recorded(void)
{
	unsigned left = 0;

	setup();
	CHECK(replicas_leave(&inode, count_left, &left));
	look_answer(0, 0);
	look_answer(1, -ETIMEDOUT); /* it has slots 0, 1, 3 */
	look_answer(2, 0);
	tick(50);
	CHECK_EQ(call_count, 3);
	for (unsigned i = 0; i < 3; i++)
		record_answer(i, 0);
	CHECK_EQ(call_count, 6);
	record_answer(3, 0);
	record_answer(4, 0);
	tick(50);
	CHECK_EQ(left, 0); /* of slot 3 the next writer would not know yet */
	record_answer(5, 0);
	tick(50);
	CHECK_EQ(left, 1);
	CHECK(members(0) == 1 && members(1) == 2 && members(2) == 3);
}

/* A connection that is down says so sooner than an answer that does not come. */
static void a_region_that_leaves_does_not_wait_for_a_dead_nodes_answer(void)
{
	unsigned left = 0;

	setup();
	conns[1].state = GVM_CONN_CONNECTING;
	CHECK(replicas_leave(&inode, count_left, &left));
	look_answer(0, 0);
	look_answer(2, 0);
	tick(400);
	CHECK(!call_count && !left);
	tick(200);
	CHECK_EQ(call_count, 3);
	for (unsigned i = 0; i < 3; i++)
		record_answer(i, 0);
	for (unsigned i = 3; i < 6; i++)
		record_answer(i, 0);
	tick(50);
	CHECK_EQ(left, 1);
	look_answer(1, -ETIMEDOUT);
}

/* It stood still in the moment in which the other node of its slots lost its memory. */
static void a_region_that_leaves_waits_for_a_node_that_is_there_again(void)
{
	unsigned left = 0;

	setup();
	replicas_heard(&inode, &conns[0].incarnation, -ETIMEDOUT);
	conns[1].incarnation.b[3] = 1;
	CHECK(replicas_leave(&inode, count_left, &left));
	look_answer(0, 0);
	look_answer(1, 0);
	tick(50);
	for (unsigned i = 0; i < call_count; i++)
		record_answer(i, 0);
	tick(500);
	CHECK(!left && members(0) == 3);
	tick(600);
	for (unsigned i = 0; i < call_count; i++)
		if (calls[i].call)
			record_answer(i, 0);
	for (unsigned i = 0; i < call_count; i++)
		if (calls[i].call)
			record_answer(i, 0);
	tick(50);
	CHECK(left == 1 && members(0) == 1);
}

static void a_region_leaves_though_a_view_cannot_be_recorded(void)
{
	unsigned left = 0;

	setup();
	conns[1].incarnation.b[3] = 1;
	CHECK(replicas_leave(&inode, count_left, &left));
	tick(100);
	CHECK_EQ(call_count, 3);
	tick(2700);
	CHECK_EQ(left, 0);
	tick(300);
	CHECK_EQ(left, 1);
	replicas_close(&inode);
	look_answer(0, 0); /* too late */
	tick(500);
	CHECK_EQ(left, 1);
}

/* Nobody waits until it has been bad for seconds: it never has its copies again. */
static void a_node_that_lost_its_memory_is_left_out_at_once(void)
{
	setup();
	conns[1].incarnation.b[3] = 1;
	tick(50);
	CHECK_EQ(call_count, 3);
}

static const struct check_test tests[] = {
	{"regions-are-looked-at-now-and-then", regions_are_looked_at_now_and_then},
	{"regions-are-looked-at-in-pieces", regions_are_looked_at_in_pieces},
	{"repairs-go-on-in-pieces", repairs_go_on_in_pieces},
	{"closed-regions-are-freed-in-pieces", closed_regions_are_freed_in_pieces},
	{"a-write-goes-on-without-a-silent-node", a_write_goes_on_without_a_silent_node},
	{"a-node-that-is-away-may-have-a-good-copy", a_node_that_is_away_may_have_a_good_copy},
	{"a-slot-of-which-no-node-answers-is-told-of", a_slot_of_which_no_node_answers_is_told_of},
	{"no-view-changes-while-nothing-is-written", no_view_changes_while_nothing_is_written},
	{"a-node-that-refuses-a-view-is-not-asked-again-at-once", a_node_that_refuses_a_view_is_not_asked_again_at_once},
	{"a-bad-node-that-takes-what-the-other-lost-is-bad-no-more", a_bad_node_that_takes_what_the_other_lost_is_bad_no_more},
	{"time-in-which-the-front-stood-still-is-no-nodes", time_in_which_the_front_stood_still_is_no_nodes},
	{"a-failure-that-is-read-late-excludes-no-node", a_failure_that_is_read_late_excludes_no_node},
	{"a-write-waits-not-for-a-node-that-is-known-to-be-away", a_write_waits_not_for_a_node_that_is_known_to_be_away},
	{"no-node-is-left-out-while-all-are-away", no_node_is_left_out_while_all_are_away},
	{"connections-that-are-dead-are-no-nodes-that-answer", connections_that_are_dead_are_no_nodes_that_answer},
	{"silence-of-all-nodes-of-a-slot-is-waited-out", silence_of_all_nodes_of_a_slot_is_waited_out},
	{"what-passes-leaves-no-node-out", what_passes_leaves_no_node_out},
	{"a-lost-copy-beside-a-failure-that-passes-ends-no-region", a_lost_copy_beside_a_failure_that_passes_ends_no_region},
	{"a-refusing-node-is-left-out", a_refusing_node_is_left_out},
	{"a-full-node-records-a-view-when-it-has-room", a_full_node_records_a_view_when_it_has_room},
	{"a-closed-region-waits-for-no-full-node", a_closed_region_waits_for_no_full_node},
	{"a-fenced-writer-records-nothing-more", a_fenced_writer_records_nothing_more},
	{"an-answer-may-come-when-the-region-is-gone", an_answer_may_come_when_the_region_is_gone},
	{"a-bad-member-is-read-last", a_bad_member_is_read_last},
	{"a-region-leaves-when-all-nodes-answer", a_region_leaves_when_all_nodes_answer},
	{"a-region-leaves-when-views-without-dead-nodes-are-recorded",
	 a_region_leaves_when_views_without_dead_nodes_are_recorded},
	{"a-region-that-leaves-does-not-wait-for-a-dead-nodes-answer",
	 a_region_that_leaves_does_not_wait_for_a_dead_nodes_answer},
	{"a-region-that-leaves-waits-for-a-node-that-is-there-again",
	 a_region_that_leaves_waits_for_a_node_that_is_there_again},
	{"a-region-leaves-though-a-view-cannot-be-recorded", a_region_leaves_though_a_view_cannot_be_recorded},
	{"a-node-that-lost-its-memory-is-left-out-at-once", a_node_that_lost_its_memory_is_left_out_at_once},
};

/* Each in a process of its own: they share one world. */
int main(int argc, char **argv)
{
	return check_run_apart(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
