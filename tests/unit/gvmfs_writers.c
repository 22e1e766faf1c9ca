// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gvmfs_writers.c - the writers' queue: what is handed over comes back once, whatever the nodes do.
 *
 * A writer's own thread runs, with its own decisions (flush.c) and encoding. Pool and connections are
 * the test's: two nodes that take what they are sent, and answer when and as the test says.
 */
#include "base/log.h"
#include "check.h"
#include "codec.h"
#include "options.h"
#include "store/writer.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#define NODES	2u
#define FLUSHES 64u
#define HANGS_MS 60000 /* a test that waits for so long has failed */
#define TRIES	 10u
#define SPOILT	 99 /* a try's status */

struct gvm_conn {
	int event_fd;	   /* to be processed */
	struct loop_source source;
	unsigned pending;  /* the writer's thread */
	uint64_t received; /* the writer's thread */
	bool refuses_conn; /* no connection can be had */
	bool takes_raw;
	uint64_t rate;
};

static struct gvm_conn conns[NODES];

/* What the nodes were sent, in this order; and how many of these they have answered. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct sent {
	struct gvm_put *put;
	struct gvm_conn *conn;
	uint64_t chunk, base;
	struct chunk_head head;
	bool answered;
} sent[4 * FLUSHES]; /* lock */
static unsigned sent_count;    /* lock */
static int answer_with[4 * FLUSHES]; /* lock: 1: not yet */
static int reads[NODES];	     /* what a GET from each node ends with; 1: none is expected */
static int sent_fd;

static struct options opts;
static struct flush_queue queue;
static struct writer writer;
static struct flush flushes[FLUSHES];
static uint8_t data[FLUSHES][GVM_CHUNK_BYTES];

/* ---- pool and connections */

static bool pool_is_bare; /* of the next writer, which asks no node */

static void conn_ready(void *conn)
{
	gvm_conn_process(conn);
}

int pool_init(struct pool *pool, const struct options *o, uint64_t client, struct loop *loop, enum pool_kind kind)
{
	pool->opts = o;
	pool->client = client;
	pool->kind = kind;
	pool->count = NODES;
	for (unsigned i = 0; i < NODES && !pool_is_bare; i++) {
		conns[i].event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		CHECK_EQ(loop_add(loop, &conns[i].source, conns[i].event_fd, conn_ready, &conns[i]), 0);
	}
	return 0;
}

struct gvm_conn *pool_node(struct pool *pool, const struct record_node *node)
{
	struct gvm_conn *conn = &conns[node->addr[0] - '0'];

	(void)pool;
	return conn->refuses_conn ? NULL : conn;
}

static atomic_bool stands_still; /* the writer's thread does, once it has looked for answers */

int pool_poll(struct pool *pool)
{
	int answers = 0;

	if (atomic_load(&stands_still)) {
		while (atomic_load(&stands_still))
			usleep(1000);
		return 0;
	}
	for (unsigned i = 0; i < pool->count; i++)
		answers += gvm_conn_process(&conns[i]);
	return answers;
}

unsigned gvm_conn_pending(const struct gvm_conn *conn)
{
	return conn->pending;
}

uint64_t gvm_conn_received(const struct gvm_conn *conn)
{
	return conn->received;
}

bool gvm_conn_takes_raw(const struct gvm_conn *conn)
{
	return conn->takes_raw;
}

uint64_t gvm_conn_rate(const struct gvm_conn *conn)
{
	return conn->rate;
}

int gvm_conn_process(struct gvm_conn *conn)
{
	uint64_t count;
	int answers = 0;

	if (read(conn->event_fd, &count, sizeof(count)) < 0)
		return 0;
	for (unsigned i = 0; i < sizeof(answer_with) / sizeof(*answer_with); i++) {
		struct gvm_put *put = NULL;

		pthread_mutex_lock(&lock);
		if (i < sent_count && sent[i].conn == conn && !sent[i].answered && answer_with[i] <= 0) {
			put = sent[i].put;
			put->req.result = answer_with[i];
			sent[i].answered = true;
			conn->pending--;
			conn->received++;
		}
		pthread_mutex_unlock(&lock);
		if (put)
			put->req.done(&put->req);
		answers += put != NULL;
	}
	return answers;
}

/* (At once, which no node does.) */
void gvm_get(struct gvm_conn *conn, struct gvm_get *get)
{
	int result = reads[conn - conns];

	CHECK(result <= 0);
	get->req.result = result;
	get->req.detail = result == -EBADMSG ? get->what.version : 0;
	get->req.done(&get->req);
}

/* A node is given up. */
void gvm_cancel(struct gvm_req *req)
{
	const struct flush *f = req->arg;
	bool found = false;

	CHECK(f->replicated);
	pthread_mutex_lock(&lock);
	for (unsigned i = 0; i < sent_count; i++)
		if (&sent[i].put->req == req && !sent[i].answered) {
			sent[i].answered = found = true;
			sent[i].conn->pending--;
		}
	pthread_mutex_unlock(&lock);
	CHECK(found);
	req->result = -ECANCELED;
	req->done(req);
}

void gvm_put(struct gvm_conn *conn, struct gvm_put *put)
{
	uint64_t one = 1;

	put->req.conn = conn;
	pthread_mutex_lock(&lock);
	CHECK(sent_count < sizeof(sent) / sizeof(*sent));
	sent[sent_count++] = (struct sent){ .put = put, .conn = conn, .chunk = put->what.chunk,
					    .base = put->what.base, .head = *put->head };
	conn->pending++;
	pthread_mutex_unlock(&lock);
	CHECK(write(sent_fd, &one, sizeof(one)) == sizeof(one));
}

void log_put(struct gvm_log_site *site, int level, const char *object, const char *fmt, ...)
{
	(void)site;
	(void)level;
	(void)object;
	(void)fmt;
}

/* ---- where a writer tells the front */

static atomic_bool tell_held; /* the first one that is to, stands still */
static atomic_bool standing;
ssize_t __real_write(int fd, const void *from, size_t bytes);
ssize_t __wrap_write(int fd, const void *from, size_t bytes);

ssize_t __wrap_write(int fd, const void *from, size_t bytes)
{
	if (fd == queue.finished_fd && atomic_load(&tell_held) && !atomic_exchange(&standing, true))
		while (atomic_load(&tell_held))
			usleep(1000);
	return __real_write(fd, from, bytes);
}

/* ---- the front */

static unsigned back[FLUSHES]; /* how often each came back */
static bool flushes_all; /* their nodes are all that have the chunk */
static bool flushes_acked; /* a node has taken this version before */

static void setup(void)
{
	opts.writers = 1;
	opts.node_count = NODES;
	for (unsigned i = 0; i < NODES; i++)
		reads[i] = 1;
	sent_fd = eventfd(0, EFD_CLOEXEC | EFD_SEMAPHORE);
	for (unsigned i = 0; i < sizeof(answer_with) / sizeof(*answer_with); i++)
		answer_with[i] = 1;
	CHECK_EQ(flush_queue_init(&queue), 0);
	CHECK_EQ(writer_start(&writer, &opts, 1, &queue), 0);
}

static struct flush *flush_make(unsigned i, unsigned node)
{
	struct flush *f = &flushes[i];

	memset(f, 0, sizeof(*f));
	memset(data[i], (int)(i + 1), GVM_CHUNK_BYTES);
	f->nodes = 1;
	f->node[0].addr[0] = (char)('0' + node);
	f->node[0].incarnation.b[0] = (uint8_t)(1 + node);
	f->epoch = 5;
	f->chunk = i;
	f->version = gvm_version(5, 2);
	f->base = gvm_version(5, 1);
	f->pages = 0xff;
	f->data = data[i];
	return f;
}

static void add(unsigned i, unsigned node)
{
	flush_queue_add(&queue, flush_make(i, node));
}

/* One whose chunk is on both nodes: the PUTs are the next two, in the nodes' order. */
static void add_replicated(unsigned i)
{
	struct flush *f = flush_make(i, 0);

	f->nodes = NODES;
	f->node[1].addr[0] = '1';
	f->node[1].incarnation.b[0] = 2;
	f->replicated = true;
	f->all = flushes_all;
	f->acked = flushes_acked;
	flush_queue_add(&queue, f);
	writer_wake(&writer);
}

static void wait_for(int fd, const char *what)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	if (poll(&p, 1, HANGS_MS) == 1)
		return;
	fprintf(stderr, "still waiting for %s\n", what);
	exit(1);
}

static void wait_sent(unsigned n)
{
	uint64_t one;

	while (n--) {
		wait_for(sent_fd, "what a writer sends");
		CHECK(read(sent_fd, &one, sizeof(one)) == sizeof(one));
	}
}

/* Which flush was sent as the n-th. */
static unsigned sent_nth(unsigned n)
{
	unsigned chunk;

	pthread_mutex_lock(&lock);
	CHECK(n < sent_count);
	chunk = (unsigned)sent[n].chunk;
	pthread_mutex_unlock(&lock);
	return chunk;
}

static void answer(unsigned nth, int result)
{
	uint64_t one = 1;
	int fd;

	pthread_mutex_lock(&lock);
	answer_with[nth] = result;
	fd = sent[nth].conn->event_fd;
	pthread_mutex_unlock(&lock);
	CHECK(write(fd, &one, sizeof(one)) == sizeof(one));
}

static void wait_back(unsigned n)
{
	while (n) {
		struct flush *f, *next;

		wait_for(queue.finished_fd, "an outcome");
		for (f = flush_queue_finished(&queue); f; f = next) {
			next = f->next;
			CHECK_EQ(++back[f->chunk], 1);
			CHECK(n > 0);
			n--;
		}
	}
}

static unsigned sent_now(void)
{
	unsigned n;

	pthread_mutex_lock(&lock);
	n = sent_count;
	pthread_mutex_unlock(&lock);
	return n;
}

/* ---- */

static void flushes_are_sent_in_their_order(void)
{
	setup();
	for (unsigned i = 0; i < 8; i++)
		add(i, 0);
	writer_wake(&writer);
	wait_sent(8);
	for (unsigned i = 0; i < 8; i++)
		CHECK_EQ(sent_nth(i), i);
	for (unsigned i = 8; i--;)
		answer(i, 0);
	wait_back(8);
	for (unsigned i = 0; i < 8; i++)
		CHECK_EQ(flushes[i].result, 0);
}

static void outcome_is_what_its_node_said(void)
{
	setup();
	for (unsigned i = 0; i < 3; i++)
		add(i, 0);
	writer_wake(&writer);
	wait_sent(3);
	answer(1, -ENOSPC);
	wait_back(1);
	CHECK_EQ(back[1], 1);
	CHECK_EQ(flushes[1].result, -ENOSPC);
	answer(2, 0);
	answer(0, -EKEYREVOKED);
	wait_back(2);
	CHECK_EQ(flushes[0].result, -EKEYREVOKED);
	CHECK_EQ(flushes[2].result, 0);
}

/* A node that does not answer has its share of what is under way, and no more: others go past. */
static void node_that_is_dead_stops_no_other(void)
{
	const unsigned share = WRITER_IN_FLIGHT / NODES;
	unsigned dead = 0;

	setup();
	for (unsigned i = 0; i < 40; i++)
		add(i, 0);
	add(40, 1);
	add(41, 1);
	writer_wake(&writer);
	wait_sent(share + 2);
	for (unsigned i = 0; i < share + 2; i++)
		dead += sent_nth(i) < 40;
	CHECK_EQ(dead, share);
	answer(share, 0);
	answer(share + 1, 0);
	wait_back(2);
	CHECK(back[40] && back[41]);
	/* And the first node's wait in their order. */
	add(42, 1);
	writer_wake(&writer);
	wait_sent(1);
	CHECK_EQ(sent_now(), share + 3);
	CHECK_EQ(sent_nth(share + 2), 42);
	answer(0, 0);
	wait_back(1);
	wait_sent(1);
	CHECK_EQ(sent_nth(share + 3), share);
}

static void all_that_wait_are_sent_as_room_comes(void)
{
	setup();
	for (unsigned i = 0; i < FLUSHES; i++)
		add(i, i % NODES);
	writer_wake(&writer);
	for (unsigned i = 0; i < FLUSHES; i++) {
		wait_sent(1);
		CHECK(sent_now() - i <= WRITER_IN_FLIGHT);
		answer(i, 0);
		wait_back(1);
	}
	for (unsigned i = 0; i < FLUSHES; i++)
		CHECK_EQ(back[i], 1);
}

/* Those under way have a buffer each: what was encoded for one is not another's. */
static void flushes_under_way_share_no_buffer(void)
{
	static uint8_t decoded[GVM_CHUNK_BYTES];
	struct chunk_codec *codec = chunk_codec_create();

	setup();
	for (unsigned i = 0; i < WRITER_IN_FLIGHT; i++)
		add(i, i % NODES);
	writer_wake(&writer);
	wait_sent(WRITER_IN_FLIGHT);
	for (unsigned i = 0; i < WRITER_IN_FLIGHT; i++) {
		const struct gvm_put *put = sent[i].put;
		uint32_t got = 0;

		CHECK_EQ(chunk_decode(codec, put->head, put->body, &put->what.region, put->what.chunk, ~0u,
				      decoded, &got), 0);
		CHECK_EQ(got & 0xff, 0xff);
		CHECK_MEM(decoded, data[put->what.chunk], 8 * GVM_PAGE_BYTES);
	}
	chunk_codec_destroy(codec);
}

/* A node with another base than ours is sent all of it; what waits meanwhile is not overtaken for good. */
static void refused_base_is_sent_as_a_whole(void)
{
	setup();
	add(0, 0);
	flushes[0].pages = 0xff;
	writer_wake(&writer);
	wait_sent(1);
	CHECK(sent[0].base != 0);
	/* The rest of it would be fetched: here there is none. */
	flushes[0].base = 0;
	answer(0, -EREMCHG);
	wait_sent(1);
	CHECK_EQ(sent_nth(1), 0);
	CHECK_EQ(sent[1].base, 0);
	answer(1, 0);
	wait_back(1);
	CHECK_EQ(flushes[0].result, 0);
}

/* The heads of both copies are damaged: the pages that are here are stored, the others lost. */
static void what_no_node_can_read_is_given_up(void)
{
	struct chunk_codec *codec = chunk_codec_create();
	static uint8_t decoded[GVM_CHUNK_BYTES];
	const struct gvm_put *put;
	uint32_t got = 0;

	setup();
	reads[0] = reads[1] = -EBADMSG;
	flushes_all = true;
	add_replicated(0);
	wait_sent(2);
	answer(0, -EBADMSG);
	answer(1, -EBADMSG);
	wait_sent(2);
	put = sent[2].put;
	CHECK_EQ(put->what.base, 0);
	CHECK_EQ(chunk_decode(codec, put->head, put->body, &put->what.region, put->what.chunk, ~0u, decoded, &got), -ENODATA);
	CHECK_EQ(got, 0xff);
	CHECK_MEM(decoded, data[0], 8 * GVM_PAGE_BYTES);
	answer(2, 0);
	answer(3, 0);
	wait_back(1);
	CHECK_EQ(flushes[0].result, 0);
	CHECK(flushes[0].loses);
	chunk_codec_destroy(codec);
}

/* One of the nodes says nothing, or is none of those that were asked: it may have a good copy. */
static void what_some_node_may_have_is_not_given_up(void)
{
	setup();
	reads[0] = -EBADMSG;
	reads[1] = -ETIMEDOUT;
	flushes_all = true;
	add_replicated(0);
	wait_sent(2);
	answer(0, -EBADMSG);
	answer(1, -EBADMSG);
	wait_back(1);
	CHECK(flushes[0].result < 0);
	reads[1] = -EBADMSG;
	flushes_all = false;
	add_replicated(1);
	wait_sent(2);
	answer(2, -EBADMSG);
	answer(3, -EBADMSG);
	wait_back(1);
	CHECK_EQ(flushes[1].result, -EBADMSG);
	CHECK_EQ(sent_now(), 4);
}

/* Without a connection it comes back, more often than there are buffers. */
static void flush_without_a_connection_comes_back(void)
{
	setup();
	conns[0].refuses_conn = true;
	for (unsigned i = 0; i < 3 * WRITER_IN_FLIGHT; i++)
		add(i, 0);
	add(3 * WRITER_IN_FLIGHT, 1);
	writer_wake(&writer);
	wait_sent(1);
	answer(0, 0);
	wait_back(3 * WRITER_IN_FLIGHT + 1);
	for (unsigned i = 0; i < 3 * WRITER_IN_FLIGHT; i++)
		CHECK_EQ(flushes[i].result, -ENOMEM);
	CHECK_EQ(flushes[3 * WRITER_IN_FLIGHT].result, 0);
}

/* One writer has ended a flush, and has lost the CPU before it told that: another's outcome is told all the same, and the front has
 * both. */
static void one_that_stands_still_keeps_no_outcome(void)
{
	static struct writer other;

	setup();
	pool_is_bare = true;
	CHECK_EQ(writer_start(&other, &opts, 2, &queue), 0);
	conns[0].refuses_conn = true;
	atomic_store(&tell_held, true);
	add(0, 0);
	writer_wake(&writer);
	while (!atomic_load(&standing))
		usleep(1000);
	add(1, 0);
	writer_wake(&writer); /* either may be the one that stands still: the other looks at its queue as it starts */
	writer_wake(&other);
	wait_back(2);
	atomic_store(&tell_held, false);
}

/* Also one that has only just been started. */
static void writer_leaves_others_the_cpu(void)
{
	int before = getpriority(PRIO_PROCESS, 0), lower = before < 15 ? before + 5 : 19;

	setup();
	writer_nice(&writer, lower);
	add(0, 0);
	writer_wake(&writer);
	wait_sent(1);
	answer(0, 0);
	wait_back(1);
	errno = 0;
	CHECK_EQ(getpriority(PRIO_PROCESS, (id_t)writer.tid), lower);
	CHECK_EQ(errno, 0);
	CHECK(writer.tid != getpid());
	CHECK_EQ(getpriority(PRIO_PROCESS, 0), before);
}

/* It is given up when the other has had its answer for a while; the other's counts. */
static void silent_one_of_two_is_given_up(void)
{
	setup();
	add_replicated(0);
	wait_sent(2);
	answer(0, 0);
	wait_back(1);
	CHECK_EQ(flushes[0].result, 0);
	CHECK_EQ(flushes[0].sent_to[0], 0);
	CHECK_EQ(flushes[0].sent_to[1], -ETIMEDOUT);
}

/*
 * What needs a machine that does not stand still meanwhile: one of some tries, each in a process of its own, was not
 * spoilt by that. Any other failure in one is that of the test.
 */
static void some_try_is_good(bool (*try)(void))
{
	for (unsigned i = 0; i < TRIES; i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0)
			_exit(try() ? 0 : SPOILT);
		CHECK_EQ(waitpid(pid, &status, 0), pid);
		CHECK(WIFEXITED(status) && (!WEXITSTATUS(status) || WEXITSTATUS(status) == SPOILT));
		if (!WEXITSTATUS(status))
			return;
	}
	CHECK(!"each try was spoilt");
}

static bool copies_fill_the_share(void)
{
	const unsigned copies = WRITER_SHARE_MAX + 2, both = NODES * WRITER_SHARE_MAX;
	uint64_t from = gvm_now_ns();
	unsigned before, next;

	setup();
	for (unsigned i = 0; i < copies; i++)
		add_replicated(i);
	wait_sent(both);
	before = sent_now();
	add(copies, 1);
	writer_wake(&writer);
	answer(1, 0); /* of the first, one node */
	wait_sent(1);
	next = sent_nth(both);
	if (gvm_now_ns() - from > 400000000ull) /* nodes may have been given up, and more been sent */
		return false;
	CHECK_EQ(before, both);
	CHECK_EQ(next, copies);
	return true;
}

/* Those of two copies take of both nodes' shares, which are larger for that; and what has one copy does not wait behind them. */
static void two_copies_are_sent_nearly_as_deep_as_one(void)
{
	some_try_is_good(copies_fill_the_share);
}

static bool rest_waits_no_more(void)
{
	const unsigned share = WRITER_SHARE_MAX;
	uint64_t from, first = 0;

	setup();
	for (unsigned i = 0; i < 4 * share; i++)
		add_replicated(i);
	from = gvm_now_ns();
	for (unsigned i = 0; i < 4; i++) {
		wait_sent(2 * share);
		for (unsigned k = 0; k < share; k++)
			answer(2 * (i * share + k), 0);
		wait_back(share);
		first = first ? first : gvm_now_ns() - from;
	}
	from = gvm_now_ns() - from;
	for (unsigned i = 0; i < 4 * share; i++)
		CHECK_EQ(flushes[i].sent_to[1], -ETIMEDOUT);
	return from < 2 * first;
}

/* The first of them find that out; those that were queued behind them, and the rest of them, wait no more for it. */
static void silent_one_is_waited_for_once(void)
{
	some_try_is_good(rest_waits_no_more);
}

static uint64_t sleep_ms(unsigned ms)
{
	uint64_t from = gvm_now_ns();

	usleep(ms * 1000);
	return (gvm_now_ns() - from) / 1000000;
}

static bool both_come_back(void)
{
	uint64_t away_ms, after_ms;

	setup();
	add_replicated(0);
	wait_sent(2);
	away_ms = sleep_ms(1000);
	answer(0, 0);
	after_ms = sleep_ms(900); /* longer than is waited for one that is silent alone */
	answer(1, 0);
	wait_back(1);
	if (away_ms > 1900 || after_ms > away_ms) /* that is too long, for all or for one */
		return false;
	CHECK_EQ(flushes[0].result, 0);
	CHECK_EQ(flushes[0].sent_to[0], 0);
	CHECK_EQ(flushes[0].sent_to[1], 0);
	return true;
}

/* Both were silent: their ways to this host come back one after the other, as long after as they were away. */
static void silence_of_all_gives_up_none(void)
{
	some_try_is_good(both_come_back);
}

static void stand_still(bool on)
{
	atomic_store(&stands_still, on);
}

/* To two nodes, of which one answers. */
static void sent_before_it_stands_still(void)
{
	setup();
	stand_still(true);
	flushes_acked = true;
	add_replicated(0);
	wait_sent(2);
	answer(0, 0);
}

/* The writer's thread got no CPU for longer than it waits for nodes; what they said meanwhile it finds then. */
static void answer_that_came_while_the_writer_stood_still_counts(void)
{
	sent_before_it_stands_still();
	answer(1, 0);
	sleep_ms(700);
	stand_still(false);
	wait_back(1);
	CHECK_EQ(flushes[0].sent_to[0], 0);
	CHECK_EQ(flushes[0].sent_to[1], 0);
}

static bool late_one_comes_back(void)
{
	uint64_t from;

	sent_before_it_stands_still();
	sleep_ms(700);
	from = gvm_now_ns();
	stand_still(false);
	sleep_ms(100);
	answer(1, 0);
	wait_back(1);
	if (gvm_now_ns() - from > 400000000ull) /* the test stood still, too */
		return false;
	CHECK_EQ(flushes[0].sent_to[1], 0);
	return true;
}

/* What was to be sent may have lain here for as long. */
static void what_the_writer_stood_still_is_no_silence(void)
{
	some_try_is_good(late_one_comes_back);
}

static bool sent_is_raw(unsigned nth)
{
	bool raw;

	pthread_mutex_lock(&lock);
	raw = sent[nth].head.block[0].raw;
	pthread_mutex_unlock(&lock);
	return raw;
}

/* Sends one to each of `nodes` nodes; returns whether its blocks were left raw. */
static bool goes_raw(unsigned i, unsigned nodes)
{
	unsigned first = sent_now();

	if (nodes == 1) {
		add(i, 0);
		writer_wake(&writer);
	} else {
		add_replicated(i);
	}
	wait_sent(nodes);
	for (unsigned n = 0; n < nodes; n++)
		answer(first + n, 0);
	wait_back(1);
	CHECK_EQ(flushes[i].result, 0);
	CHECK_EQ(flushes[i].raw, sent_is_raw(first));
	return flushes[i].raw;
}

/* Whatever is measured: slow links, and nodes that take nothing raw, get what is compressed; and one that was fast enough for
 * a chunk is tried with one that is raw. */
static void chunks_go_raw_where_links_are_fast(void)
{
	const uint64_t fast = 1000000000000000, slow = 100;
	unsigned i = 0;

	conns[0].takes_raw = conns[1].takes_raw = true;
	conns[0].rate = conns[1].rate = fast;
	setup();
	CHECK(!goes_raw(i++, 1));
	CHECK(goes_raw(i++, 1));
	conns[0].rate = slow;
	CHECK(!goes_raw(i++, 2));
	CHECK(!goes_raw(i++, 1));
	conns[0].rate = fast;
	opts.compress = COMPRESS_NEVER;
	CHECK(goes_raw(i++, 2));
	conns[1].rate = 0;
	CHECK(!goes_raw(i++, 2));
	conns[1].rate = fast;
	conns[1].takes_raw = false;
	CHECK(!goes_raw(i++, 2));
}

static void switch_says_who_compresses(void)
{
	unsigned i = 0;

	conns[0].takes_raw = true;
	conns[0].rate = 100;
	setup();
	opts.compress = COMPRESS_NEVER;
	CHECK(goes_raw(i++, 1));
	conns[0].takes_raw = false;
	CHECK(!goes_raw(i++, 1));
	conns[0].takes_raw = true;
	conns[0].rate = UINT64_MAX;
	opts.compress = COMPRESS_ALWAYS;
	CHECK(!goes_raw(i++, 1));
	CHECK(!goes_raw(i++, 1));
}

/* A node looks at none that has so few pages: it would stay raw. */
static void chunk_of_few_pages_is_compressed(void)
{
	conns[0].takes_raw = true;
	conns[0].rate = 1;
	opts.compress = COMPRESS_NEVER;
	setup();
	flush_make(0, 0);
	memset(data[0] + 4 * GVM_PAGE_BYTES, 0, 4 * GVM_PAGE_BYTES);
	flush_queue_add(&queue, &flushes[0]);
	writer_wake(&writer);
	wait_sent(1);
	CHECK(!sent_is_raw(0) && !flushes[0].raw);
	answer(0, 0);
	wait_back(1);
}

#define LINK 2000000000ull /* bytes a second */

/* How many of 1,000 chunks go raw where each way takes so many microseconds. */
static unsigned raw_of_1000(struct compress *c, unsigned packed_us, unsigned raw_us)
{
	unsigned count = 0;

	for (unsigned i = 0; i < 1000; i++) {
		bool raw = compress_goes_raw(c, COMPRESS_AUTO, LINK);

		compress_took(c, raw, GVM_CHUNK_BYTES, 1000 * (raw ? raw_us : packed_us));
		count += raw;
	}
	return count;
}

/* Some go the other way all the same, so that the figures stay true. */
static void quicker_way_is_found_and_found_again(void)
{
	struct compress c = {0};

	CHECK(raw_of_1000(&c, 200, 100) > 900);
	CHECK(raw_of_1000(&c, 90, 100) < 700);
	CHECK(raw_of_1000(&c, 90, 100) < 50);
	CHECK(raw_of_1000(&c, 90, 100) > 5);
	CHECK(raw_of_1000(&c, 300, 100) > 500);
	CHECK(raw_of_1000(&c, 300, 100) > 950);
	/* The link takes 65 us for a chunk, which is longer than to send it raw, but not than to compress it. */
	CHECK(raw_of_1000(&c, 200, 40) > 900);
	/* Two writers that compress feed it better. */
	raw_of_1000(&c, 120, 40);
	CHECK(raw_of_1000(&c, 120, 40) < 100);
	/* More than the link takes. */
	CHECK(raw_of_1000(&c, 40, 50) < 100);
	CHECK_EQ(raw_of_1000(&c, 40, 30), 0);
}

static const struct check_test tests[] = {
	{ "chunks-go-raw-where-links-are-fast", chunks_go_raw_where_links_are_fast },
	{ "switch-says-who-compresses", switch_says_who_compresses },
	{ "chunk-of-few-pages-is-compressed", chunk_of_few_pages_is_compressed },
	{ "quicker-way-is-found-and-found-again", quicker_way_is_found_and_found_again },
	{ "flushes-are-sent-in-their-order", flushes_are_sent_in_their_order },
	{ "outcome-is-what-its-node-said", outcome_is_what_its_node_said },
	{ "node-that-is-dead-stops-no-other", node_that_is_dead_stops_no_other },
	{ "two-copies-are-sent-nearly-as-deep-as-one", two_copies_are_sent_nearly_as_deep_as_one },
	{ "all-that-wait-are-sent-as-room-comes", all_that_wait_are_sent_as_room_comes },
	{ "flushes-under-way-share-no-buffer", flushes_under_way_share_no_buffer },
	{ "refused-base-is-sent-as-a-whole", refused_base_is_sent_as_a_whole },
	{ "what-no-node-can-read-is-given-up", what_no_node_can_read_is_given_up },
	{ "what-some-node-may-have-is-not-given-up", what_some_node_may_have_is_not_given_up },
	{ "flush-without-a-connection-comes-back", flush_without_a_connection_comes_back },
	{ "one-that-stands-still-keeps-no-outcome", one_that_stands_still_keeps_no_outcome },
	{ "writer-leaves-others-the-cpu", writer_leaves_others_the_cpu },
	{ "silent-one-of-two-is-given-up", silent_one_of_two_is_given_up },
	{ "silent-one-is-waited-for-once", silent_one_is_waited_for_once },
	{ "silence-of-all-gives-up-none", silence_of_all_gives_up_none },
	{ "answer-that-came-while-the-writer-stood-still-counts", answer_that_came_while_the_writer_stood_still_counts },
	{ "what-the-writer-stood-still-is-no-silence", what_the_writer_stood_still_is_no_silence },
};

/* Each in a process of its own: a writer's thread never ends. */
int main(int argc, char **argv)
{
	return check_run_apart(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
