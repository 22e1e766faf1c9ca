// SPDX-License-Identifier: GPL-2.0-or-later
/* writer.c - see writer.h. */
#include "writer.h"

#include "base/log.h"
#include "base/mutant.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
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

/* So many flushes of one node may be under way here that the other nodes', were it dead, go on. */
static unsigned node_share(const struct writer *wr)
{
	unsigned nodes = wr->pool.count > wr->opts->node_count ? wr->pool.count : wr->opts->node_count;
	unsigned share = WRITER_IN_FLIGHT / nodes;

	return share ? share : 1;
}

/* The first flush whose node has less than its share under way. */
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

#define ALL_BLOCKS (~0u >> (32 - (GVM_CHUNK_PAGES >> CHUNK_BLOCK_SHIFT)))

static uint8_t *flush_body(const struct flush *f)
{
	return f->writer->buffers + (size_t)f->buffer * 2 * GVM_CHUNK_BYTES;
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

static void flush_finish(struct flush *f, int result)
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
		return; /* full: readable all the same */
}

static bool base_is_zero(const struct flush *f)
{
	return !f->base || f->base & GVM_VERSION_ZERO;
}

static void flush_put(struct flush *f, const uint8_t *from, uint32_t blocks, bool whole);
static bool sent_is_known(const struct flush *f, uint32_t encoded);

static void put_done(struct gvm_req *req)
{
	struct flush *f = req->arg;

	/* The node holds another base, or in other blocks, than ours: all of it again. */
	if ((req->result == -EREMCHG || req->result == -EINVAL) && f->delta && !f->whole_retry) {
		f->whole_retry = true;
		flush_leave(f);
		flush_queue_add(f->writer->queue, f);
		writer_wake(f->writer);
		return;
	}
	flush_finish(f, req->result);
}

static int base_piece(struct gvm_get *get, uint64_t version, const struct chunk_head *head,
		      const uint8_t *body)
{
	struct flush *f = get->req.arg;
	uint32_t got = 0;
	int r = chunk_decode(f->writer->codec, head, body, &f->region, f->chunk, get->what.page_mask,
			     flush_scratch(f), &got);

	(void)version;
	f->fetched |= got;
	return r;
}

/* Lays the slot's pages over what was fetched. (Those that were read from memory are there.) */
static void overlay(struct flush *f)
{
	if (!f->data)
		return;
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		if (f->pages >> p & 1)
			memcpy(flush_scratch(f) + p * GVM_PAGE_BYTES, f->data + p * GVM_PAGE_BYTES,
			       GVM_PAGE_BYTES);
}

static void base_done(struct gvm_req *req)
{
	struct flush *f = req->arg;
	uint32_t blocks = f->whole_retry ? ALL_BLOCKS
					 : chunk_blocks_of_pages(CHUNK_BLOCK_SHIFT, f->pages);

	if (req->result < 0) {
		flush_finish(f, req->result);
		return;
	}
	if (f->get.what.page_mask & ~f->fetched) {
		flush_finish(f, -EBADMSG);
		return;
	}
	overlay(f);
	flush_put(f, flush_scratch(f), blocks, f->whole_retry);
}

static void flush_fetch(struct flush *f, struct gvm_conn *conn, uint32_t pages)
{
	f->base_fetched = true;
	f->fetched = 0;
	f->get.req = (struct gvm_req){ .done = base_done, .arg = f };
	f->get.on_piece = base_piece;
	f->get.what = (struct gvm_get_req){
		.region = f->region,
		.epoch = f->epoch,
		.chunk = f->chunk,
		.version = f->base & GVM_VERSION_MASK,
		.page_mask = pages,
		.want_page = GVM_NO_PAGE,
	};
	gvm_get(conn, &f->get);
}

static void flush_put(struct flush *f, const uint8_t *from, uint32_t blocks, bool whole)
{
	struct writer *wr = f->writer;
	struct gvm_conn *conn;
	uint32_t encoded = chunk_pages_of_blocks(CHUNK_BLOCK_SHIFT, blocks);

	/* Blocks that are left out have no zero bits of ours: the node keeps its own. */
	chunk_encode(wr->codec, from, blocks, 0, CHUNK_BLOCK_SHIFT, &f->region, f->chunk, &f->head,
		     flush_body(f));
	assert(!f->resident || sent_is_known(f, encoded));
	/* The bits of blocks that are left out are not set: that is said of a whole chunk only. */
	f->all_zero = f->head.zero_map == ~0u;
	f->delta = !whole;
	f->put_bytes = f->head.body_bytes;
	f->raw_bytes = GVM_PAGE_BYTES * (uint32_t)__builtin_popcount(encoded & ~f->head.zero_map);
	f->zero_pages = (uint32_t)__builtin_popcount(encoded & f->head.zero_map);
	/* Zeros over what was never written: the node need not know. */
	if (wr->opts->bench_no_network || (f->all_zero && !f->base && !f->tried)) {
		flush_finish(f, 0);
		return;
	}
	conn = pool_node(&wr->pool, &f->node);
	if (!conn) {
		flush_finish(f, -ENOMEM);
		return;
	}
	f->put.req = (struct gvm_req){ .done = put_done, .arg = f };
	f->put.what = (struct gvm_put_req){
		.region = f->region,
		.epoch = f->epoch,
		.chunk = f->chunk,
		.version = f->version,
		.base = whole ? 0 : f->base,
	};
	f->put.head = &f->head;
	f->put.body = flush_body(f);
	gvm_put(conn, &f->put);
}

/* Reads adjacent pages of a chunk's memory. */
static int pages_read(struct flush *f, unsigned first, unsigned n)
{
	size_t at = first * GVM_PAGE_BYTES, end = at + n * GVM_PAGE_BYTES;

	while (at < end) {
		ssize_t got = pread(f->memory_fd, flush_scratch(f) + at, end - at,
				    (off_t)(f->chunk * GVM_CHUNK_BYTES + at));

		if (got <= 0)
			return got < 0 ? -errno : -EIO;
		at += (size_t)got;
	}
	for (unsigned p = first; p < first + n; p++)
		f->hashes[p] = XXH3_128bits_withSeed(flush_scratch(f) + p * GVM_PAGE_BYTES,
						     GVM_PAGE_BYTES, f->seed);
	f->read |= (uint32_t)(((1ull << n) - 1) << first);
	return 0;
}

/* Reads what a chunk's memory has of it, and which of these pages are not as the node has them. Others
 * may have come into the memory since, which are no business of this flush: over a zero base they are
 * zeros. */
static int memory_read(struct flush *f, uint32_t *changed)
{
	uint32_t want = mutant("stray-sent") ? ~0u : f->pages;

	*changed = 0;
	f->read = 0;
	if (want != ~0u && base_is_zero(f))
		memset(flush_scratch(f), 0, GVM_CHUNK_BYTES);
	for (unsigned p = 0, n; p < GVM_CHUNK_PAGES; p += n) {
		uint32_t rest = want >> p;
		int r;

		/* As many as are alike: to be read, or not. */
		n = rest & 1 ? ~rest ? (unsigned)__builtin_ctz(~rest) : GVM_CHUNK_PAGES
			     : rest ? (unsigned)__builtin_ctz(rest) : GVM_CHUNK_PAGES;
		if (n > GVM_CHUNK_PAGES - p)
			n = GVM_CHUNK_PAGES - p;
		r = rest & 1 ? pages_read(f, p, n) : 0;
		if (r < 0)
			return r;
	}
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		if (f->pages >> p & 1 &&
		    (!(f->known >> p & 1) || !XXH128_isEqual(f->hashes[p], f->hashes_known[p])))
			*changed |= 1u << p;
	return 0;
}

/*
 * What is sent of an eviction is what was read, or what the node has anyway: the front takes the first
 * for what the node has from now on, and knows nothing of any other page.
 */
static bool sent_is_known(const struct flush *f, uint32_t encoded)
{
	uint32_t others = encoded & ~f->pages;

	if (mutant("stray-sent"))
		return true;
	return f->read == f->pages && !(others & ~(base_is_zero(f) ? f->head.zero_map : f->fetched));
}

/* What the node has may be of a predecessor's PUT that was never acknowledged: then all of it. */
static void evict_start(struct writer *wr, struct flush *f)
{
	bool whole = f->whole_retry || f->tried || base_is_zero(f);
	struct gvm_conn *conn;
	uint32_t changed;
	int r = memory_read(f, &changed);

	_Static_assert(!CHUNK_BLOCK_SHIFT, "a block has no page beside it that is not here");
	if (mutant("no-hash"))
		changed &= ~f->known;
	/* What a node has that refused a change is not what the hashes say. */
	f->clean = !r && !changed && !f->tried && !f->whole_retry;
	f->all_zero = false;
	if (r < 0 || f->clean) {
		flush_finish(f, r);
		return;
	}
	if (!whole || f->pages == ~0u || base_is_zero(f)) {
		whole |= changed == ~0u;
		flush_put(f, flush_scratch(f),
			  whole ? ALL_BLOCKS : chunk_blocks_of_pages(CHUNK_BLOCK_SHIFT, changed), whole);
		return;
	}
	f->whole_retry = true;
	conn = pool_node(&wr->pool, &f->node);
	if (conn)
		flush_fetch(f, conn, ~f->pages);
	else
		flush_finish(f, -ENOMEM);
}

static void flush_start(struct writer *wr, struct flush *f)
{
	uint32_t blocks = chunk_blocks_of_pages(CHUNK_BLOCK_SHIFT, f->pages);
	uint32_t missing = chunk_pages_of_blocks(CHUNK_BLOCK_SHIFT, blocks) & ~f->pages;
	struct gvm_conn *conn;

	f->writer = wr;
	f->buffer = (unsigned)__builtin_ctz(wr->buffers_free);
	wr->buffers_free &= ~(1u << f->buffer);
	wr->in_flight++;
	f->base_fetched = false;
	f->fetched = 0;
	f->clean = false;
	if (f->resident) {
		evict_start(wr, f);
		return;
	}
	if (f->pages == ~0u) {
		flush_put(f, f->data, ALL_BLOCKS, true);
		return;
	}
	if (base_is_zero(f)) {
		memset(flush_scratch(f), 0, GVM_CHUNK_BYTES);
		overlay(f);
		flush_put(f, flush_scratch(f), ALL_BLOCKS, true);
		return;
	}
	if (!f->whole_retry && (!missing || wr->opts->bench_no_network)) {
		flush_put(f, f->data, blocks, false);
		return;
	}
	conn = pool_node(&wr->pool, &f->node);
	if (!conn) {
		flush_finish(f, -ENOMEM);
		return;
	}
	flush_fetch(f, conn, f->whole_retry ? ~f->pages : missing);
}

/* With the queue's lock. */
static void nice_apply(const struct writer *wr)
{
	if (wr->tid && setpriority(PRIO_PROCESS, (id_t)wr->tid, wr->nice) < 0)
		log_debug(NULL, "a writer's priority stays: %s", strerror(errno));
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
		struct epoll_event ev[16];
		struct flush *f;
		uint64_t count;
		int n;

		while (wr->in_flight < WRITER_IN_FLIGHT && (f = queue_take(wr))) {
			flush_start(wr, f);
			pool_poll(&wr->pool); /* acknowledgements, between two encodings */
		}
		n = epoll_wait(wr->epoll_fd, ev, 16, -1);
		for (int i = 0; i < n; i++) {
			if (ev[i].data.ptr && pool_has(&wr->pool, ev[i].data.ptr))
				gvm_conn_process(ev[i].data.ptr);
			else if (ev[i].data.ptr)
				continue; /* given up while an earlier one was processed */
			else if (read(wr->wake_fd, &count, sizeof(count)) < 0)
				continue;
		}
	}
	return NULL;
}

int writer_start(struct writer *wr, const struct options *opts, uint64_t client,
		 struct flush_queue *queue)
{
	struct epoll_event ev = { .events = EPOLLIN };
	int r;

	wr->opts = opts;
	wr->queue = queue;
	wr->buffers_free = (1u << WRITER_IN_FLIGHT) - 1;
	wr->codec = chunk_codec_create();
	wr->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	wr->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	wr->buffers = mmap(NULL, WRITER_IN_FLIGHT * 2 * GVM_CHUNK_BYTES, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!wr->codec || wr->epoll_fd < 0 || wr->wake_fd < 0 || wr->buffers == MAP_FAILED)
		return -ENOMEM;
	epoll_ctl(wr->epoll_fd, EPOLL_CTL_ADD, wr->wake_fd, &ev);
	r = pool_init(&wr->pool, opts, client, wr->epoll_fd, POOL_WRITES);
	if (r < 0)
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
		return; /* full: readable all the same */
}
