// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gvmfs_drain.c - the steps of a move, each alone: drain.c with nodes, jobs, names and a clock of the test's, which takes the
 * part of replace.h. All of it together: tests/replicas.
 */
#include "base/log.h"
#include "check.h"
#include "gvm_client.h"
#include "node/balance.h"
#include "node/drain.h"
#include "node/jobs.h"
#include "node/pool.h"
#include "node/region_events.h"
#include "node/region_lease.h"
#include "node/region_node.h"
#include "node/repair_job.h"
#include "node/replicas_state.h"
#include "state/seals.h"
#include "state/worker_state.h"

#include <errno.h>
#include <stdarg.h>

#define NODES	4u /* the mount's; those of the region: */
#define FROM	0u
#define OTHER	1u
#define TO	2u
#define SLOTS	4u /* of which 0 and 2 are on FROM */
#define CHUNKS	256u
#define NR	1u
#define CALLS	8u
#define S	1000000000ull

struct gvm_conn {
	bool down;
};

static uint64_t now_ns;
static struct gvm_conn conns[NODES];
static struct journal_inode disks[NR + 1];
static uint64_t words[(NR + 1) * RECORD_SLOTS];
static struct journal journal = {.inodes = disks, .views = words};
static struct inodes inodes = {.j = &journal};
static struct inode inode;
static struct replicas *r;
static struct pool pool;
static struct jobs jobs;
static char log_text[4096];
static unsigned changes, leases;

/* What drain.c has begun, and the test ends: NULL: nothing. */
static struct job *job;
static struct gvm_call *asked[CALLS];
static unsigned asked_count;
static void (*read_done)(struct worker *w, int result, void *arg);
static void *read_arg;

/* ---- what it calls */

uint64_t gvm_now_ns(void)
{
	return now_ns;
}

enum gvm_conn_state gvm_conn_state(const struct gvm_conn *conn)
{
	return conn->down ? GVM_CONN_CONNECTING : GVM_CONN_UP;
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

void gvm_node_drain(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_node_drain_req *what)
{
	CHECK(asked_count < CALLS && what->drain == GVM_DRAIN_ASK);
	call->req.conn = conn;
	asked[asked_count++] = call;
}

void jobs_submit(struct jobs *to, struct job *one)
{
	CHECK(to == &jobs && !job);
	job = one;
}

void repair_job_scan(struct job *one, struct pool *p)
{
	(void)one;
	(void)p;
}

void repair_job_copy(struct job *one, struct pool *p)
{
	(void)one;
	(void)p;
}

void repair_job_tell(const struct repair_copy *one, struct inode *i)
{
	(void)one;
	(void)i;
}

uint64_t *repair_map(void)
{
	return calloc(1, CHUNKS / 8);
}

void repair_unmap(uint64_t *map)
{
	free(map);
}

void region_lease(struct worker *w, struct inode *i)
{
	(void)w;
	(void)i;
	leases++;
}

struct sealer *region_sealer(const struct worker *w, struct inode *i)
{
	(void)w;
	(void)i;
	return NULL;
}

bool balance_picks(const struct worker *w, const struct inode *i)
{
	(void)w;
	(void)i;
	return false;
}

void balance_again(struct worker *w, uint64_t ns)
{
	(void)w;
	(void)ns;
}

void log_put(struct gvm_log_site *site, int level, const char *object, const char *fmt, ...)
{
	va_list ap;

	(void)site;
	(void)level;
	(void)object;
	va_start(ap, fmt);
	vsnprintf(log_text, sizeof(log_text), fmt, ap);
	va_end(ap);
}

static void replicas_changed(struct worker *w, struct inode *i)
{
	(void)w;
	(void)i;
	changes++;
}

static void names_read(struct worker *w, bool once, void (*done)(struct worker *w, int result, void *arg), void *arg)
{
	(void)w;
	CHECK(once && !read_done);
	read_done = done;
	read_arg = arg;
}

static void slot_publish(struct view_slot *v, view_word word)
{
	(void)v;
	(void)word;
}

static void slot_record(struct view_slot *v, unsigned replica, const struct view *view, bool active)
{
	(void)v;
	(void)replica;
	(void)view;
	(void)active;
}

static const struct view_env views = {slot_publish, slot_record};
static const struct region_events events = {.replicas_changed = replicas_changed, .names_read = names_read};
static const struct options opts = {.repair_rate = 100};
static struct worker worker = {.opts = &opts, .journal = &journal, .inodes = &inodes, .pool = &pool, .jobs = &jobs,
			       .region_events = &events};

/* ---- the test's end of it */

static void look(uint64_t ns)
{
	now_ns += ns;
	drain_look(r, now_ns);
}

/* A region of which slots 0 and 2 have their copy on FROM, or, of two, their first. TO is in the record, and has no slot. */
static void setup(unsigned replicas)
{
	struct record *rec = &disks[NR].rec;

	free(r);
	r = calloc(1, sizeof(*r));
	memset(&disks[NR], 0, sizeof(disks[NR]));
	*rec = (struct record){.kind = RECORD_REGION, .replicas = (uint16_t)replicas, .slot_count = SLOTS, .node_count = 3,
			       .size_bytes = (uint64_t)CHUNKS * GVM_CHUNK_BYTES, .id = {{7}}, .name = "ram"};
	disks[NR].epoch = 3;
	disks[NR].use = INODE_USED;
	memset(pool.drains, 0, sizeof(pool.drains));
	for (unsigned i = 0; i < NODES; i++) {
		conns[i] = (struct gvm_conn){0};
		pool.conns[i] = &conns[i];
		if (i < rec->node_count)
			rec->nodes[i].incarnation = (struct gvm_id){{(uint8_t)(i + 1)}};
	}
	pool.count = NODES;
	pool.drains[FROM] = true;
	for (unsigned s = 0; s < SLOTS; s++) {
		for (unsigned n = 0; n < RECORD_PLACES; n++)
			rec->slots[s].node[n] = RECORD_NONE;
		rec->slots[s].node[0] = s % 2 ? OTHER : FROM;
		if (replicas > 1)
			rec->slots[s].node[1] = s % 2 ? FROM : OTHER;
		view_begin(&r->slot[s], &views, view_word_make(3, (uint8_t)((1u << replicas) - 1)), replicas, r);
	}
	inode = (struct inode){.nr = NR, .disk = &disks[NR], .replicas = r};
	inodes.rt[NR] = &inode;
	LIST_INIT(&inodes.attached);
	LIST_INSERT_HEAD(&inodes.attached, &inode, attached_entry);
	r->w = &worker;
	r->inode = &inode;
	r->told = true;
	now_ns = 1000 * S;
	changes = leases = asked_count = 0;
	log_text[0] = 0;
	CHECK(!job && !read_done);
}

/* Those slots that are on FROM first go to TO. */
static void begin(void)
{
	struct record_slot slots[RECORD_SLOTS];

	memcpy(slots, disks[NR].rec.slots, sizeof(slots));
	for (unsigned s = 0; s < SLOTS; s += 2)
		slots[s].node[0] = TO;
	drain_begin(r, FROM, TO, slots, false);
	CHECK(r->drain && drain_goes_to(r, TO) && !drain_goes_to(r, OTHER));
}

static void job_end(int result)
{
	struct job *ended = job;

	CHECK(ended);
	job = NULL;
	ended->result = result;
	ended->done(ended);
}

/* The scan has found so many chunks of slot 0 that TO lacks. */
static void scan_end(unsigned chunks)
{
	struct repair_scan *scan = (struct repair_scan *)job;

	CHECK(job && job->work == repair_job_scan && scan->wanted[0] && !scan->wanted[1] && scan->wanted[2]);
	CHECK(gvm_id_equal(&scan->base.to.incarnation, &disks[NR].rec.nodes[TO].incarnation));
	for (unsigned i = 0; i < chunks; i++)
		scan->differs[i * SLOTS / 64] |= 1ull << i * SLOTS % 64;
	scan->left[0] = chunks;
	job_end(0);
	CHECK_EQ(leases, 1);
}

/* A job that copies has these chunks, and was made for slot `slot`. */
static struct repair_copy *copies(unsigned slot, unsigned count)
{
	struct repair_copy *copy = (struct repair_copy *)job;

	CHECK(job && job->work == repair_job_copy && copy->slot == slot);
	CHECK_EQ(copy->count, count);
	return copy;
}

static void names_end(int result)
{
	void (*done)(struct worker *w, int result, void *arg) = read_done;

	CHECK(done);
	read_done = NULL;
	done(&worker, result, read_arg);
}

/* As far as to where what is left is few. */
static void copy_all(void)
{
	begin();
	look(0);
	scan_end(2);
	look(0);
	copies(0, 2);
	job_end(0);
	CHECK_EQ(drain_left(r), 0);
}

/* ---- */

static void nodes_are_asked_whether_they_are_drained(void)
{
	uint8_t wanted[RECORD_SLOTS] = {0};
	uint64_t due;

	setup(1);
	pool.drains[FROM] = false;
	pool.drains_ns = pool.drains_at = 0;
	conns[3].down = true;
	CHECK_EQ(drain_wants(r, now_ns, wanted), 0);
	due = drain_poll(&worker, now_ns);
	CHECK(due > now_ns);
	CHECK_EQ(asked_count, NODES - 1);
	CHECK_EQ(drain_poll(&worker, due - 1), due); /* not again before */
	CHECK_EQ(asked_count, NODES - 1);
	for (unsigned i = 0; i < asked_count; i++) {
		asked[i]->rsp.node_drain.drains = i == FROM;
		asked[i]->req.result = i == OTHER ? -ETIMEDOUT : 0;
		asked[i]->req.done(&asked[i]->req);
	}
	CHECK(pool.drains[FROM] && !pool.drains[OTHER] && !pool.drains[TO]);
	CHECK(drain_is_told(r, FROM) && drain_needs(&worker, &inode));
	CHECK_EQ(drain_wants(r, now_ns, wanted), 2);
	CHECK(wanted[0] == 1 && !wanted[1] && wanted[2] == 1 && !wanted[3]);
}

static void none_begins_where_something_is_under_way(void)
{
	setup(1);
	CHECK_EQ(drain_wants(r, now_ns, NULL), 2);
	r->drain_ns = now_ns + 1;
	CHECK_EQ(drain_wants(r, now_ns, NULL), 0);
	r->drain_ns = 0;
	disks[NR].view_saved = 1;
	CHECK_EQ(drain_wants(r, now_ns, NULL), 0);
	disks[NR].view_saved = 0;
	r->node[FROM].bad = true; /* nothing can be had from there */
	CHECK_EQ(drain_wants(r, now_ns, NULL), 0);
	r->node[FROM].bad = false;
	r->degraded = 1;
	CHECK_EQ(drain_wants(r, now_ns, NULL), 0);
}

/* What is written meanwhile, and what could not be copied, is the next round's. */
static void copies_are_made_in_rounds(void)
{
	struct repair_copy *copy;

	setup(1);
	begin();
	inode.plain = 1; /* a write that nobody has counted */
	look(0);
	CHECK(!job);
	inode.plain = 0;
	look(0);
	scan_end(60);
	CHECK_EQ(drain_left(r), 60);
	look(0);
	copy = copies(0, 60);
	look(0); /* one job at a time */
	CHECK(!drain_holds(r, 0));
	for (unsigned i = 0; i < 40; i++)
		drain_written(r, i * SLOTS);
	drain_written(r, 1); /* of a slot that does not move */
	copy->missing[59] = true;
	job_end(-ETIMEDOUT);
	CHECK_EQ(drain_left(r), 41);
	look(0);
	CHECK(!job); /* after a pause */
	look(S);
	copy = copies(0, 41);
	job_end(0);
	look(0);
	CHECK(!job && read_done); /* few are left: of these writes are held */
	names_end(-ETIMEDOUT);
	CHECK(!drain_holds(r, 0));
	drain_end(r);
}

static void one_copy_holds_writes_for_the_rest(void)
{
	setup(1);
	copy_all();
	drain_written(r, 2); /* slot 2 */
	look(0);
	CHECK(!drain_holds(r, 0));
	names_end(0);
	look(0);
	CHECK(drain_holds(r, 0) && drain_holds(r, 2) && !drain_holds(r, 1));
	r->writes[0] = 1;
	look(0);
	CHECK(!job); /* before those in flight have ended */
	r->writes[0] = 0;
	look(0);
	CHECK(copies(2, 1)->urgent);
	CHECK(!drain_is_ready(r));
	job_end(0);
	look(0);
	CHECK(drain_is_ready(r) && !drain_is_complete(r, 0));
	drain_swaps(r);
	CHECK(drain_is_complete(r, 0) && !drain_is_complete(r, 1));
	drain_end(r);
}

/* Until the name table has the record, and the source knows what it has no more. */
static void one_copy_goes_on_when_others_know(void)
{
	struct record_slot slots[RECORD_SLOTS];
	unsigned to;

	setup(1);
	copy_all();
	look(0);
	names_end(0);
	look(0);
	look(0);
	CHECK(drain_is_ready(r) && !drain_adds(r));
	memcpy(slots, disks[NR].rec.slots, sizeof(slots));
	CHECK_EQ(drain_targets(r, slots, &to), 2);
	CHECK(to == TO && slots[0].node[0] == TO && slots[1].node[0] == OTHER && slots[2].node[0] == TO);
	drain_swaps(r);
	memcpy(disks[NR].rec.slots, slots, sizeof(slots));
	disks[NR].view_saved = 1;
	disks[NR].trims = TRIMS_SETTLE;
	drain_swapped(r);
	CHECK(!r->drain && drain_holds(r, 0) && drain_holds(r, 1));
	look(0);
	CHECK(drain_holds(r, 0));
	disks[NR].view_saved = 0;
	look(0);
	CHECK(drain_holds(r, 0)); /* the source does not know */
	changes = 0;
	look(S); /* it does not answer: it is told later */
	CHECK(!drain_holds(r, 0) && changes == 1 && !disks[NR].trims);
}

/* At once where the source has dropped its part, and is in the record no more. */
static void one_copy_goes_on_when_the_source_is_rid_of_it(void)
{
	setup(1);
	copy_all();
	look(0);
	names_end(0);
	look(0);
	look(0);
	drain_swaps(r);
	drain_swapped(r);
	look(0);
	CHECK(drain_holds(r, 0)); /* not before the looks that follow */
	disks[NR].rec.nodes[FROM].incarnation = (struct gvm_id){{9}};
	look(0);
	CHECK(!drain_holds(r, 0));
}

/* A successor finds it in the journal. */
static void one_copy_is_held_by_a_successor_too(void)
{
	setup(1);
	drain_open(r);
	CHECK(!drain_holds(r, 0));
	disks[NR].trims = TRIMS_SETTLE;
	drain_open(r);
	CHECK(drain_holds(r, 0));
}

static void two_copies_join_before_one_leaves(void)
{
	struct record_slot slots[RECORD_SLOTS];
	unsigned to;

	setup(2);
	copy_all();
	look(0);
	CHECK(!read_done && drain_is_ready(r) && drain_adds(r) && !drain_holds(r, 0));
	record_spare(&disks[NR].rec);
	memcpy(slots, disks[NR].rec.slots, sizeof(slots));
	CHECK_EQ(drain_targets(r, slots, &to), 2);
	CHECK(slots[0].node[0] == FROM && slots[0].node[1] == OTHER && slots[0].node[2] == TO && slots[1].node[2] == RECORD_NONE);
	drain_swaps(r);
	memcpy(disks[NR].rec.slots, slots, sizeof(slots));
	drain_swapped(r);
	look(0);
	CHECK(r->drain && drain_joins(r, 0) && !drain_joins(r, 1));
	CHECK_EQ(drain_leaves(r, 0), 0);
	CHECK_EQ(drain_leaves(r, 1), -1);
	for (unsigned s = 0; s < SLOTS; s += 2)
		view_begin(&r->slot[s], &views, view_word_make(3, 7), 2, r);
	look(0);
	CHECK(r->drain && !drain_joins(r, 0)); /* now surplus.h has FROM leave */
	look(0);
	CHECK(r->drain);
	for (unsigned s = 0; s < SLOTS; s += 2) {
		disks[NR].rec.slots[s].node[0] = TO;
		disks[NR].rec.slots[s].node[2] = RECORD_NONE;
	}
	disks[NR].rec.spare = 0;
	look(0);
	CHECK(!r->drain && r->drain_ns > now_ns);
}

/* Views that do not take the target in stay as they are. */
static void joins_that_do_not_come_are_given_up(void)
{
	struct record_slot slots[RECORD_SLOTS];
	unsigned to;

	setup(2);
	copy_all();
	look(0);
	record_spare(&disks[NR].rec);
	memcpy(slots, disks[NR].rec.slots, sizeof(slots));
	drain_targets(r, slots, &to);
	drain_swaps(r);
	memcpy(disks[NR].rec.slots, slots, sizeof(slots));
	drain_swapped(r);
	look(20 * S);
	CHECK(drain_joins(r, 2));
	view_begin(&r->slot[0], &views, view_word_make(3, 7), 2, r);
	look(20 * S); /* one has: the time begins anew */
	CHECK(drain_joins(r, 2));
	look(29 * S);
	CHECK(drain_joins(r, 2));
	look(S);
	CHECK(!drain_joins(r, 2));
	drain_end(r);
}

static void ends(const char *why)
{
	look(0);
	CHECK(!r->drain && strstr(log_text, why));
	CHECK(r->drain_ns > now_ns);
}

static void it_ends_where_something_interferes(void)
{
	setup(1);
	begin();
	pool.drains[FROM] = false;
	ends("not to be drained any more");

	setup(1);
	begin();
	r->node[TO].bad = true;
	ends("that copies move to fails");

	setup(1);
	begin();
	r->node[FROM].bad = true;
	ends("the node fails");

	setup(1);
	begin();
	disks[NR].failed = 1;
	ends("the region has changed");

	setup(1);
	begin();
	for (unsigned i = 0; i < 8; i++) {
		look(S);
		job_end(-EHOSTDOWN);
	}
	ends(strerror(EHOSTDOWN));

	setup(1);
	copy_all();
	for (unsigned i = 0; i < 8; i++) {
		look(S);
		names_end(-ETIMEDOUT);
	}
	ends("no majority");

	setup(1);
	copy_all();
	look(0);
	names_end(0);
	look(0);
	CHECK(drain_holds(r, 0));
	changes = 0;
	now_ns += S;
	ends("writes would have been held for too long");
	CHECK(!drain_holds(r, 0) && changes == 1);
}

/* The move that it was for has ended, and another has begun. */
static void a_late_job_changes_nothing(void)
{
	struct job *late;

	setup(1);
	begin();
	look(0);
	late = job;
	job = NULL;
	drain_end(r);
	begin();
	((struct repair_scan *)late)->differs[0] = 1;
	late->result = 0;
	late->done(late);
	CHECK_EQ(drain_left(r), 0);
	look(0);
	scan_end(1);
	CHECK_EQ(drain_left(r), 1);
	drain_end(r);
	drain_end(r); /* there is none */
}

static const struct check_test tests[] = {
	{"nodes-are-asked-whether-they-are-drained", nodes_are_asked_whether_they_are_drained},
	{"none-begins-where-something-is-under-way", none_begins_where_something_is_under_way},
	{"copies-are-made-in-rounds", copies_are_made_in_rounds},
	{"one-copy-holds-writes-for-the-rest", one_copy_holds_writes_for_the_rest},
	{"one-copy-goes-on-when-others-know", one_copy_goes_on_when_others_know},
	{"one-copy-goes-on-when-the-source-is-rid-of-it", one_copy_goes_on_when_the_source_is_rid_of_it},
	{"one-copy-is-held-by-a-successor-too", one_copy_is_held_by_a_successor_too},
	{"two-copies-join-before-one-leaves", two_copies_join_before_one_leaves},
	{"joins-that-do-not-come-are-given-up", joins_that_do_not_come_are_given_up},
	{"it-ends-where-something-interferes", it_ends_where_something_interferes},
	{"a-late-job-changes-nothing", a_late_job_changes_nothing},
};
CHECK_MAIN(tests)
