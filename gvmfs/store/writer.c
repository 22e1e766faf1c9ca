// SPDX-License-Identifier: GPL-2.0-or-later
/* writer.c - see writer.h. */
#include "writer.h"

#include "base/log.h"
#include "file.h"
#include "options.h"
#include "state/sealing.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

int flush_queue_init(struct flush_queue *q)
{
	pthread_mutex_init(&q->lock, NULL);
	q->todo = NULL;
	q->todo_tail = &q->todo;
	q->finished = NULL;
	q->finished_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return q->finished_fd < 0 ? -errno : 0;
}

void flush_queue_add(struct flush_queue *q, struct flush *f)
{
	pthread_mutex_lock(&q->lock);
	f->next = NULL;
	*q->todo_tail = f;
	q->todo_tail = &f->next;
	pthread_mutex_unlock(&q->lock);
}

/* How many flushes to one node this writer may have in flight, so that it has room for others' if
 * that node is dead. */
static unsigned node_share(const struct writer *wr)
{
	unsigned nodes = wr->pool.count > wr->opts->node_count ? wr->pool.count : wr->opts->node_count;
	unsigned share = WRITER_IN_FLIGHT / nodes;

	return share ? share : 1;
}

/* The first flush whose node has less than its share in flight. */
static struct flush *queue_take(struct writer *wr)
{
	struct flush_queue *q = wr->queue;
	struct flush **link, *f = NULL;

	pthread_mutex_lock(&q->lock);
	for (link = &q->todo; *link; link = &(*link)->next) {
		struct gvm_conn *conn = pool_node(&wr->pool, &(*link)->node);

		if (conn && gvm_conn_pending(conn) >= node_share(wr))
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
	struct flush *f;
	uint64_t count;

	if (read(q->finished_fd, &count, sizeof(count)) < 0)
		return NULL;
	pthread_mutex_lock(&q->lock);
	f = q->finished;
	q->finished = NULL;
	pthread_mutex_unlock(&q->lock);
	return f;
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
	f->writer->buffers_free |= 1u << f->buffer;
	f->writer->in_flight--;
}

static void flush_end(struct flush *f, int result)
{
	struct flush_queue *q = f->writer->queue;
	uint64_t one = 1;

	flush_leave(f);
	f->result = result;
	pthread_mutex_lock(&q->lock);
	f->next = q->finished;
	q->finished = f;
	pthread_mutex_unlock(&q->lock);
	if (write(q->finished_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full, so the descriptor is readable */
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

static struct sealed_room *flush_room(const struct flush *f)
{
	return &f->writer->room[f->buffer];
}

static int flush_encode(struct flush *f, const uint8_t *from, uint32_t blocks)
{
	uint8_t *body = flush_body(f);

	f->body = body;
	/* Blocks that are left out get no zero bits: the node keeps the ones that it has. */
	if (f->sealed)
		return seal_encode(f->writer->sealer, f->writer->codec, from, blocks, 0, CHUNK_BLOCK_SHIFT, &f->region,
				   f->chunk, f->version, &f->head, body);
	chunk_encode(f->writer->codec, from, blocks, 0, CHUNK_BLOCK_SHIFT, &f->region, f->chunk, &f->head, body);
	return 0;
}

static int flush_compose(struct flush *f)
{
	return sealed_compose(flush_room(f), f);
}

/* What came of the base, into the scratch buffer. */
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
	return r ? r : sealed_add(flush_room(f), head, body);
}

static int get_piece(struct gvm_get *get, uint64_t version, const struct chunk_head *head,
		     const uint8_t *body)
{
	struct flush *f = get->req.arg;
	uint32_t got = 0;
	int r = piece_decode(f, version, head, body, &got);

	if (r == 0)
		flush_piece(f, got);
	return r;
}

static void get_done(struct gvm_req *req)
{
	flush_fetched(req->arg, req->result);
}

static int flush_get(struct flush *f, uint32_t pages)
{
	struct gvm_conn *conn = pool_node(&f->writer->pool, &f->node);

	if (!conn)
		return -ENOMEM;
	sealed_begin(flush_room(f));
	f->get.req = (struct gvm_req){ .done = get_done, .arg = f };
	f->get.on_piece = get_piece;
	f->get.what = (struct gvm_get_req){
		.region = f->region,
		.epoch = f->epoch,
		.chunk = f->chunk,
		.version = f->base & GVM_VERSION_MASK,
		.page_mask = pages,
		.want_page = GVM_NO_PAGE,
	};
	gvm_get(conn, &f->get);
	return 0;
}

static void put_done(struct gvm_req *req)
{
	flush_sent(req->arg, req->result);
}

static int flush_send(struct flush *f, uint64_t base)
{
	struct gvm_conn *conn = pool_node(&f->writer->pool, &f->node);

	if (!conn)
		return -ENOMEM;
	if (f->sealed)
		sealed_note(f);
	f->put.req = (struct gvm_req){ .done = put_done, .arg = f };
	f->put.what = (struct gvm_put_req){
		.region = f->region,
		.epoch = f->epoch,
		.chunk = f->chunk,
		.version = f->version,
		.base = base,
	};
	f->put.head = &f->head;
	f->put.body = f->body;
	gvm_put(conn, &f->put);
	return 0;
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
	f->buffer = (unsigned)__builtin_ctz(wr->buffers_free);
	wr->buffers_free &= ~(1u << f->buffer);
	wr->in_flight++;
	memset(&f->seals, 0, sizeof(f->seals));
	flush_room(f)->body = flush_body(f) + 2 * GVM_CHUNK_BYTES;
	flush_room(f)->other = flush_body(f) + 3 * GVM_CHUNK_BYTES;
	flush_start(f);
}

/* Called with the queue's lock. */
static void nice_apply(const struct writer *wr)
{
	if (wr->tid && setpriority(PRIO_PROCESS, (id_t)wr->tid, wr->nice) < 0)
		log_debug(NULL, "a writer's priority stays: %s", strerror(errno));
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
	pthread_mutex_lock(&wr->queue->lock);
	wr->tid = gettid();
	if (wr->nice)
		nice_apply(wr);
	pthread_mutex_unlock(&wr->queue->lock);
	for (;;) {
		struct loop_events events;
		struct flush *f;

		while (wr->in_flight < WRITER_IN_FLIGHT && (f = queue_take(wr))) {
			writer_begin(wr, f);
			pool_poll(&wr->pool); /* takes acknowledgements between two encodings */
		}
		loop_sleep(&wr->loop, LOOP_NEVER, &events);
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
	pthread_mutex_lock(&wr->queue->lock);
	wr->nice = nice;
	nice_apply(wr);
	pthread_mutex_unlock(&wr->queue->lock);
}

void writer_wake(struct writer *wr)
{
	uint64_t one = 1;

	if (write(wr->wake_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full, so the descriptor is readable */
}
