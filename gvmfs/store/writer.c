// SPDX-License-Identifier: GPL-2.0-or-later
/* writer.c - see writer.h. */
#include "writer.h"

#include "base/log.h"
#include "base/mutant.h"
#include "file.h"
#include "options.h"
#include "state/sealing.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* How long a node that does not answer is waited for, if there are others with the chunk: after one
 * of them has taken the version, or could answer the GET; and while none has. */
#define PATIENCE_NS	500000000ull
#define PATIENCE_ALL_NS 2000000000ull
#define SPARE_MAX_NS	10000000000ull
/* This thread itself stood still if it did not look for answers for so long: that is no node's silence, up to a limit for
 * each request. */
#define STALL_NS	100000000ull
#define STALLS_MAX_NS	2000000000ull

int flush_queue_init(struct flush_queue *q)
{
	atomic_init(&q->added, NULL);
	atomic_init(&q->finished, NULL);
	atomic_init(&q->round, 0);
	atomic_init(&q->told, 0);
	pthread_mutex_init(&q->lock, NULL);
	q->todo = NULL;
	q->todo_tail = &q->todo;
	q->finished_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return q->finished_fd < 0 ? -errno : 0;
}

/* The flush is another thread's from then on. */
static void list_push(struct flush *_Atomic *list, struct flush *f)
{
	struct flush *first = atomic_load(list);

	do
		f->next = first;
	while (!atomic_compare_exchange_weak(list, &first, f));
}

void flush_queue_add(struct flush_queue *q, struct flush *f)
{
	list_push(&q->added, f);
}

/* Moves what was added to the end of `todo`, in the order in which it was. Called with the lock. */
static void queue_update(struct flush_queue *q)
{
	struct flush *f = atomic_exchange(&q->added, NULL), *next, *first = NULL, **tail = q->todo_tail;

	if (f)
		q->todo_tail = &f->next;
	for (; f; f = next) {
		next = f->next;
		f->next = first;
		first = f;
	}
	*tail = first;
}

/* How many requests to one node this writer may have in flight, so that it has room for other nodes
 * if that node is dead. Flushes that go to two nodes take of the shares of both; and what goes to one is not to wait behind
 * them for less. */
static unsigned node_share(const struct writer *wr, const struct flush *f)
{
	unsigned nodes = wr->pool.count > wr->opts->node_count ? wr->pool.count : wr->opts->node_count;
	unsigned share = WRITER_IN_FLIGHT * (f->nodes > wr->widest ? f->nodes : wr->widest) / nodes;
	unsigned most = nodes > 1 ? WRITER_SHARE_MAX : WRITER_IN_FLIGHT;

	return !share ? 1 : share < most ? share : most;
}

static bool is_waiting_for_share(struct writer *wr, const struct flush *f)
{
	for (unsigned i = 0; i < f->nodes; i++) {
		struct gvm_conn *conn = pool_node(&wr->pool, &f->node[i]);

		if (conn && gvm_conn_pending(conn) >= node_share(wr, f))
			return true;
	}
	return false;
}

/* The first flush whose nodes all have less than their share in flight. */
static struct flush *queue_take(struct writer *wr)
{
	struct flush_queue *q = wr->queue;
	struct flush **link, *f = NULL;

	pthread_mutex_lock(&q->lock);
	queue_update(q);
	for (link = &q->todo; *link; link = &(*link)->next) {
		if (is_waiting_for_share(wr, *link))
			continue;
		f = *link;
		*link = f->next;
		if (!*link)
			q->todo_tail = link;
		break;
	}
	pthread_mutex_unlock(&q->lock);
	return f;
}

struct flush *flush_queue_finished(struct flush_queue *q)
{
	uint64_t count;

	if (read(q->finished_fd, &count, sizeof(count)) < 0)
		return NULL;
	atomic_fetch_add(&q->round, 1); /* before it looks */
	return atomic_exchange(&q->finished, NULL);
}

static uint8_t *flush_body(const struct flush *f)
{
	return f->writer->buffers + (size_t)f->buffer * WRITER_BUFFERS * GVM_CHUNK_BYTES;
}

static uint8_t *flush_scratch(const struct flush *f)
{
	return flush_body(f) + GVM_CHUNK_BYTES;
}

static void flush_leave(struct flush *f)
{
	assert(f->writer->in_flight && !(f->writer->buffers_free >> f->buffer & 1));
	f->writer->buffers_free |= 1u << f->buffer;
	f->writer->in_flight--;
	if (!f->writer->in_flight)
		f->writer->widest = 0;
}

static void flush_end(struct flush *f, int result)
{
	struct flush_queue *q = f->writer->queue;
	uint64_t one = 1, round;

	flush_leave(f);
	f->result = result;
	list_push(&q->finished, f);
	/* Nothing is to be told if that was done since the front last looked, or it will look again: but done, and not about to
	 * be, by a thread that may have lost the CPU. */
	round = atomic_load(&q->round) + 1;
	if (atomic_load(&q->told) == round)
		return;
	if (write(q->finished_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full, so it is readable */
	atomic_store(&q->told, round);
}

static void flush_again(struct flush *f)
{
	flush_leave(f);
	flush_queue_add(f->writer->queue, f);
	writer_wake(f->writer);
}

static int flush_read(struct flush *f, unsigned first, unsigned n, uint8_t *to)
{
	return file_pread(f->memory_fd, to, n * GVM_PAGE_BYTES,
			  f->chunk * GVM_CHUNK_BYTES + first * GVM_PAGE_BYTES);
}

static struct chunk_parts *flush_room(const struct flush *f)
{
	return &f->writer->room[f->buffer];
}

/* The rate of the slowest of the flush's nodes; 0: not known, or one of them is to get nothing raw. */
static uint64_t flush_link(const struct flush *f)
{
	uint64_t slowest = 0;

	for (unsigned i = 0; i < f->nodes; i++) {
		struct gvm_conn *conn = pool_node(&f->writer->pool, &f->node[i]);
		uint64_t rate = conn && gvm_conn_takes_raw(conn) ? gvm_conn_rate(conn) : 0;

		if (!rate)
			return 0;
		slowest = slowest && slowest < rate ? slowest : rate;
	}
	return slowest;
}

/* Raw only what a node will look at: not a chunk of which most pages are found to be zero. */
static void plain_encode(struct flush *f, const uint8_t *from, uint32_t blocks)
{
	struct writer *wr = f->writer;
	bool few = __builtin_popcount(blocks) < CHUNK_RAW_MIN;
	uint64_t begun_ns = gvm_now_ns();

	if (!few && compress_goes_raw(&wr->compress, wr->opts->compress, flush_link(f))) {
		/* (What is sent changes no more before it has been, and need not be copied.) */
		f->body = chunk_encode_raw(from, blocks, 0, CHUNK_BLOCK_SHIFT, &f->region, f->chunk, &f->head,
					   flush_body(f));
		f->raw = chunk_is_raw(&f->head);
	}
	if (!f->raw) {
		f->body = flush_body(f);
		chunk_encode(wr->codec, from, blocks, 0, CHUNK_BLOCK_SHIFT, &f->region, f->chunk, &f->head,
			     flush_body(f));
	}
	f->encode_ns = few ? 0 : gvm_now_ns() - begun_ns;
}

/* It was sent, too, which has taken so long. */
static void took(struct flush *f, uint64_t ns)
{
	unsigned blocks = (unsigned)__builtin_popcount(f->head.block_mask);

	if (blocks >= CHUNK_RAW_MIN)
		compress_took(&f->writer->compress, f->raw, blocks * (GVM_PAGE_BYTES << CHUNK_BLOCK_SHIFT),
			      f->encode_ns + ns);
	f->encode_ns = 0;
}

static int flush_encode(struct flush *f, const uint8_t *from, uint32_t blocks)
{
	f->body = flush_body(f);
	f->raw = false;
	f->encode_ns = 0;
	/* Blocks that are left out get no zero bits: the node keeps the ones that it has. */
	if (f->sealed)
		return seal_encode(f->writer->sealer, f->writer->codec, from, blocks, 0, CHUNK_BLOCK_SHIFT, &f->region,
				   f->chunk, f->version, &f->head, flush_body(f));
	plain_encode(f, from, blocks);
	return 0;
}

static int flush_compose(struct flush *f)
{
	return sealed_compose(flush_room(f), f);
}

static int flush_lose(struct flush *f)
{
	uint32_t blocks = chunk_blocks_of_pages(CHUNK_BLOCK_SHIFT, f->lost);
	uint8_t body[CHUNK_BLOCKS_MAX * CHUNK_LOST_BYTES];
	struct chunk_head head;
	int error = 0;

	if (f->sealed)
		error = seal_encode_lost(f->writer->sealer, blocks, CHUNK_BLOCK_SHIFT, &f->region, f->chunk, f->version,
					 &head, body);
	else
		chunk_encode_lost(blocks, CHUNK_BLOCK_SHIFT, &f->region, f->chunk, &head, body);
	if (!error)
		error = chunk_parts_add(flush_room(f), &head, body);
	return error ? error : flush_compose(f);
}

/* Decodes a part of the base into the scratch buffer. -ENODATA: but for what is lost. */
static int piece_decode(struct flush *f, uint64_t version, const struct chunk_head *head, const uint8_t *body,
			uint32_t *got)
{
	static const struct seal_known nothing;
	uint32_t asked = f->get.what.page_mask;
	int r;

	if (!f->sealed)
		return chunk_decode(f->writer->codec, head, body, &f->region, f->chunk, asked, flush_scratch(f), got);
	r = seal_decode(f->writer->sealer, f->writer->codec, head, body, &f->region, f->chunk, version,
			f->seals_known ? f->seals_known : &nothing, asked, flush_scratch(f), got);
	if ((!r || r == -ENODATA) && chunk_parts_add(flush_room(f), head, body))
		r = -EBADMSG;
	return r;
}

static int get_piece(struct gvm_get *get, uint64_t version, const struct chunk_head *head,
		     const uint8_t *body)
{
	struct flush *f = get->req.arg;
	uint32_t got = 0, lost;
	int r = piece_decode(f, version, head, body, &got);

	if (r && r != -ENODATA)
		return r;
	lost = chunk_pages_of_blocks(head->block_shift, head->block_mask) & ~got;
	/* (Sealed, what is lost goes along as it is.) */
	flush_piece(f, f->sealed ? got | lost : got, f->sealed ? 0 : lost);
	return 0;
}

/* ---- nodes that do not answer, if there are others */

static void wait_end(struct flush *f)
{
	if (f->patience_ns)
		TAILQ_REMOVE(&f->writer->waits, f, waiting);
	f->patience_ns = 0;
}

static void wait_begin(struct flush *f, uint64_t ns)
{
	struct writer *wr = f->writer;

	wait_end(f);
	f->patience_ns = gvm_now_ns() + ns;
	TAILQ_INSERT_TAIL(&wr->waits, f, waiting);
}

static void asked(struct flush *f, uint64_t ns)
{
	struct writer *wr = f->writer;

	if (!f->replicated)
		return;
	wait_begin(f, ns);
	if (f->puts > 1 && wr->asked_ns <= wr->heard_ns)
		wr->asked_ns = gvm_now_ns();
}

/*
 * A node has answered. If all were silent before, this host was cut off. TCP, which doubles its
 * pauses, may take as long again before it retries the other nodes: they are not given up
 * meanwhile.
 */
static void heard(struct flush *f)
{
	struct writer *wr = f->writer;
	bool waited = wr->asked_ns > wr->heard_ns;
	uint64_t silent_ns;

	if (!f->replicated)
		return;
	wr->heard_ns = gvm_now_ns();
	silent_ns = waited ? wr->heard_ns - wr->asked_ns : 0;
	if (silent_ns >= PATIENCE_NS)
		wr->spared_ns = wr->heard_ns + (silent_ns < SPARE_MAX_NS ? silent_ns : SPARE_MAX_NS) + PATIENCE_NS;
}

static bool is_silent(struct writer *wr, const struct record_node *node)
{
	const struct gvm_conn *conn;

	if (!gvm_id_equal(&wr->silent, &node->incarnation))
		return false;
	conn = pool_node(&wr->pool, node);
	return conn && gvm_conn_received(conn) == wr->silent_received;
}

/* Whether the flush waits only for a node that was given up before and has sent nothing since, and
 * can go on without it. (Otherwise each flush in flight would have to wait out its patience, a
 * node's share of them at a time.) */
static bool is_vain(const struct flush *f)
{
	if (!f->puts)
		return f->get_from + 1 < f->nodes && is_silent(f->writer, &f->node[f->get_from]);
	for (unsigned i = 0; i < f->nodes; i++)
		if (f->put[i].under_way && !is_silent(f->writer, &f->node[i]))
			return false;
	return f->taken;
}

static uint64_t patience_end(const struct flush *f)
{
	uint64_t spared_ns = f->writer->spared_ns, stalled_ns = f->writer->stalled_ns;

	if (f->patience_ns <= spared_ns || is_vain(f))
		return spared_ns;
	if (f->patience_ns > stalled_ns)
		return f->patience_ns;
	return stalled_ns < f->patience_ns + STALLS_MAX_NS ? stalled_ns : f->patience_ns + STALLS_MAX_NS;
}

/* The thread runs, and was to run at `since_ns` at the latest. If it stood still meanwhile, the nodes' answers lie in the
 * sockets, and what they were sent lies in this host's: they have as long again. */
static void awake(struct writer *wr, uint64_t since_ns)
{
	uint64_t now_ns = gvm_now_ns(), stall_ns = now_ns > since_ns ? now_ns - since_ns : 0;

	wr->awake_ns = now_ns;
	if (stall_ns >= STALL_NS)
		wr->stalled_ns = now_ns + (stall_ns < PATIENCE_NS ? stall_ns : PATIENCE_NS);
}

/* Takes the answers that have come. */
static void answers_take(struct writer *wr)
{
	awake(wr, wr->awake_ns);
	pool_poll(&wr->pool);
	wr->heard_all_ns = wr->awake_ns;
}

static void give_up(struct flush *f, const struct record_node *node, struct gvm_req *req)
{
	f->writer->silent = node->incarnation;
	f->writer->silent_received = gvm_conn_received(req->conn);
	gvm_cancel(req);
}

/* The nodes that have not answered by now are given up. */
static void wait_over(struct flush *f)
{
	unsigned puts = f->puts;

	wait_end(f);
	if (!puts)
		give_up(f, &f->node[f->get_from], &f->get.req);
	/* The last of them hands the flush back, and it is the front's from then on. */
	for (unsigned i = 0; puts && i < RECORD_PLACES; i++)
		if (f->put[i].under_way) {
			puts--;
			give_up(f, &f->node[i], &f->put[i].put.req);
		}
}

/* The first flush whose patience ended before `until_ns`, or NULL and in *due_ns when the next one's ends. */
static struct flush *waits_overdue(const struct writer *wr, uint64_t until_ns, uint64_t *due_ns)
{
	struct flush *f;

	*due_ns = LOOP_NEVER;
	TAILQ_FOREACH (f, &wr->waits, waiting) {
		uint64_t end_ns = patience_end(f);

		if (end_ns <= until_ns)
			return f;
		*due_ns = end_ns < *due_ns ? end_ns : *due_ns;
	}
	return NULL;
}

/* Gives up nodes that have not answered in time: none whose answer came before, however late this thread reads it.
 * True: there were some, so there may be room for more flushes. *due_ns: when to call again. */
static bool waits_look(struct writer *wr, uint64_t *due_ns)
{
	bool over = false;
	struct flush *f;

	*due_ns = LOOP_NEVER;
	if (TAILQ_EMPTY(&wr->waits))
		return false;
	if (!waits_overdue(wr, gvm_now_ns(), due_ns))
		return false;
	answers_take(wr);
	while ((f = waits_overdue(wr, wr->heard_all_ns, due_ns))) {
		wait_over(f);
		over = true;
	}
	return over;
}

/* ---- GET, from the first of the nodes that answers it; or, if none has all of it as it was stored, page by page */

static int get_ask(struct flush *f, unsigned from);

static void single_next(struct flush *f)
{
	int error;

	f->get.what.page_mask = f->left & -f->left;
	f->left &= f->left - 1;
	f->rotten = 0;
	error = get_ask(f, 0);
	if (error)
		flush_fetched(f, error);
}

static void single_end(struct flush *f, int error)
{
	if (error == -EBADMSG && f->all && f->rotten == f->nodes)
		error = flush_lacks(f, f->get.what.page_mask);
	if (error || !f->left)
		flush_fetched(f, error);
	else
		single_next(f);
}

static void get_done(struct gvm_req *req)
{
	struct flush *f = req->arg;
	int error = req->result == -ECANCELED ? -ETIMEDOUT : req->result;

	wait_end(f);
	if (error != -ETIMEDOUT)
		heard(f);
	f->rotten += error == -EBADMSG;
	f->unreadable += error == -EBADMSG && req->detail; /* the node knows the version, and nothing else */
	if (error && error != -EKEYREVOKED && f->get_from + 1 < f->nodes && !get_ask(f, f->get_from + 1))
		return;
	if (f->single) {
		single_end(f, error);
	} else if (f->unreadable == f->nodes) {
		flush_fetched(f, f->all ? -EUCLEAN : error);
	} else if (error == -EBADMSG && !mutant("rot-undivided")) {
		f->single = true;
		f->left = f->get.what.page_mask;
		single_next(f);
	} else {
		flush_fetched(f, error);
	}
}

static int get_ask(struct flush *f, unsigned from)
{
	struct gvm_conn *conn = pool_node(&f->writer->pool, &f->node[from]);

	if (!conn)
		return -ENOMEM;
	f->get_from = from;
	f->get.req = (struct gvm_req){ .done = get_done, .arg = f, .node = f->node[from].incarnation };
	asked(f, PATIENCE_NS);
	gvm_get(conn, &f->get);
	return 0;
}

static int flush_get(struct flush *f, uint32_t pages)
{
	chunk_parts_begin(flush_room(f), f->sealed);
	f->rotten = f->unreadable = 0;
	f->single = false;
	f->get.on_piece = get_piece;
	f->get.what = (struct gvm_get_req){
		.region = f->region,
		.epoch = f->epoch,
		.chunk = f->chunk,
		.version = f->base & GVM_VERSION_MASK,
		.page_mask = pages,
		.want_page = GVM_NO_PAGE,
	};
	return get_ask(f, 0);
}

/* ---- PUT, to all of the nodes */

/* All nodes have answered, or were given up. If one has another base, or a rotten one, the whole
 * chunk is sent to all: those that have this version already take it for a repetition. */
static void puts_end(struct flush *f)
{
	int error = 0;
	bool taken = false, other_base = false;

	wait_end(f);
	for (unsigned i = 0; i < f->nodes; i++) {
		int e = f->sent_to[i];

		taken |= !e;
		other_base |= e == -EREMCHG || e == -EINVAL || e == -EBADMSG;
		if (e == -EKEYREVOKED || !error)
			error = e ? e : error;
	}
	if (other_base && f->delta && !f->whole_retry)
		error = -EREMCHG;
	else if (taken && error != -EKEYREVOKED)
		error = 0;
	flush_sent(f, error);
}

static void put_done(struct gvm_req *req)
{
	struct flush_put *p = (struct flush_put *)req;
	struct flush *f = p->f;

	p->under_way = false;
	f->sent_to[p - f->put] = req->result == -ECANCELED ? -ETIMEDOUT : req->result;
	if (req->result != -ECANCELED)
		heard(f);
	if (!--f->puts) {
		puts_end(f);
	} else if (!req->result && !f->taken && f->replicated) {
		f->taken = true;
		wait_begin(f, PATIENCE_NS); /* one has taken it: the others have to answer soon */
	}
}

static int flush_send(struct flush *f, uint64_t base)
{
	uint64_t begun_ns = f->encode_ns ? gvm_now_ns() : 0;

	f->sent = true;
	f->taken = false;
	f->puts = 0;
	if (f->sealed)
		sealed_note(f);
	for (unsigned i = 0; i < f->nodes; i++) {
		/* Not all pool_node() calls first: the pool may drop a connection that has no
		 * request. */
		struct gvm_conn *conn = pool_node(&f->writer->pool, &f->node[i]);
		struct flush_put *p = &f->put[i];

		p->under_way = conn;
		f->sent_to[i] = -ENOMEM;
		if (!conn)
			continue;
		f->puts++;
		p->f = f;
		p->put.req = (struct gvm_req){ .done = put_done, .arg = f, .node = f->node[i].incarnation };
		p->put.what = (struct gvm_put_req){
			.region = f->region,
			.epoch = f->epoch,
			.chunk = f->chunk,
			.version = f->version,
			.base = base,
		};
		p->put.head = &f->head;
		p->put.body = f->body;
		gvm_put(conn, &p->put);
	}
	if (f->encode_ns)
		took(f, gvm_now_ns() - begun_ns);
	if (f->puts)
		asked(f, f->acked ? PATIENCE_NS : PATIENCE_ALL_NS);
	return f->puts ? 0 : -ENOMEM;
}

static bool flush_is_dry(const struct flush *f)
{
	return f->writer->opts->bench_no_network;
}

static const struct flush_env calls = {
	.scratch = flush_scratch,
	.read = flush_read,
	.encode = flush_encode,
	.compose = flush_compose,
	.lose = flush_lose,
	.get = flush_get,
	.send = flush_send,
	.is_dry = flush_is_dry,
	.end = flush_end,
	.again = flush_again,
};

static void writer_begin(struct writer *wr, struct flush *f)
{
	f->env = &calls;
	f->writer = wr;
	f->sent = false;
	f->patience_ns = 0;
	assert(wr->buffers_free && wr->in_flight < WRITER_IN_FLIGHT);
	if (f->nodes > wr->widest)
		wr->widest = f->nodes;
	f->buffer = (unsigned)__builtin_ctz(wr->buffers_free);
	wr->buffers_free &= ~(1u << f->buffer);
	wr->in_flight++;
	memset(&f->seals, 0, sizeof(f->seals));
	flush_room(f)->body = flush_body(f) + 2 * GVM_CHUNK_BYTES;
	flush_room(f)->other = flush_body(f) + 3 * GVM_CHUNK_BYTES;
	flush_start(f);
}

uint64_t writer_turn(struct writer *wr)
{
	struct flush *f;

	awake(wr, wr->due_ns);
	do {
		while (wr->in_flight < WRITER_IN_FLIGHT && (f = queue_take(wr))) {
			writer_begin(wr, f);
			answers_take(wr); /* between two encodings */
		}
	} while (waits_look(wr, &wr->due_ns));
	return wr->due_ns;
}

static void nice_apply(int tid, int nice)
{
	if (setpriority(PRIO_PROCESS, (id_t)tid, nice) < 0)
		log_debug(NULL, "cannot change a writer's priority: %s", strerror(errno));
}

/* By the thread: as long as the front may have found it without a number, or is changing its niceness just now. */
static void nice_begin(struct writer *wr)
{
	int now = 0, nice;

	atomic_store(&wr->tid, gettid());
	for (; (nice = atomic_load(&wr->nice)) != now; now = nice)
		nice_apply(atomic_load(&wr->tid), nice);
}

static void writer_woken(void *arg)
{
	const struct writer *wr = arg;
	uint64_t count;

	if (read(wr->wake_fd, &count, sizeof(count)) < 0)
		return; /* an earlier pass has taken it */
}

static void *writer_thread(void *arg)
{
	struct writer *wr = arg;

	pthread_setname_np(pthread_self(), "gvmfs-writer");
	nice_begin(wr);
	for (;;) {
		struct loop_events events;

		loop_sleep(&wr->loop, writer_turn(wr), &events);
		loop_handle(&wr->loop, &events);
	}
	return NULL;
}

int writer_start(struct writer *wr, const struct options *opts, uint64_t client,
		 struct flush_queue *queue)
{
	int r;

	wr->opts = opts;
	wr->queue = queue;
	wr->buffers_free = (1u << WRITER_IN_FLIGHT) - 1;
	wr->due_ns = LOOP_NEVER;
	TAILQ_INIT(&wr->waits);
	wr->codec = chunk_codec_create();
	wr->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	wr->buffers = mmap(NULL, WRITER_IN_FLIGHT * WRITER_BUFFERS * GVM_CHUNK_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (opts->sealing && (r = sealer_create(opts->sealing->key, opts->sealing->bytes, &wr->sealer)) < 0)
		return r;
	if (!wr->codec || wr->wake_fd < 0 || wr->buffers == MAP_FAILED)
		return -ENOMEM;
	if ((r = loop_init(&wr->loop)) < 0 ||
	    (r = loop_add(&wr->loop, &wr->woken, wr->wake_fd, writer_woken, wr)) < 0 ||
	    (r = pool_init(&wr->pool, opts, client, &wr->loop, POOL_WRITES)) < 0)
		return r;
	return -pthread_create(&wr->thread, NULL, writer_thread, wr);
}

void writer_nice(struct writer *wr, int nice)
{
	int tid;

	atomic_store(&wr->nice, nice);
	tid = atomic_load(&wr->tid); /* if it is there only after that, it finds the niceness */
	if (tid)
		nice_apply(tid, nice);
}

void writer_wake(struct writer *wr)
{
	uint64_t one = 1;

	if (write(wr->wake_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full, so the descriptor is readable */
}
