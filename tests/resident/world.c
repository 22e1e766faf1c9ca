// SPDX-License-Identifier: GPL-2.0-or-later
/* world.c - see world.h: what can happen, and the life of a worker. */
#include "world.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESS 0x40000000ull

static const struct resident_env calls = RESIDENT_ENV;

struct world world;
bool world_trace;
const char *mutant_chosen;

static jmp_buf dead;

void world_wrong(const char *what)
{
	if (!world.wrong)
		world.wrong = what;
}

void world_call(void)
{
	if (world.kill_in && --world.kill_in == 0)
		longjmp(dead, 1);
}

struct event (*world_pick)(void);

static bool replay(const struct event *e)
{
	const struct trail_step steps[] = { { e->a & 0xff, e->b }, { e->a >> 8 & 0xff, e->b } };

	resident_replay(&world.r, steps, 2);
	return true;
}

static bool event_do(const struct event *e);
static void ios_settle(void);

/* While a call waits, faults are not read, and whatever is told is looked at later. */
static bool stall_allows(const struct event *e)
{
	switch (e->kind) {
	/* An access to what a request just changes has no order with it: either is right, and neither is tried. */
	case E_TOUCH: return !world_is_in_request(e->b / 4);
	case E_AGAIN: return !world_is_in_request(world.thread[e->a].page);
	case E_GET: return !world_is_in_request(world.pinning[e->a].page);
	case E_DMA: return !world_is_in_request(world.pin[e->a].page);
	case E_FAULTS:
	case E_STALL:
	case E_RACE: return false;
	/* A stranger's page is not told from one that was coming, if the worker dies here: race_stray(). */
	case E_STRAY: return world.stalled == STALL_FILE;
	/* The call keeps the memory. */
	case E_GONE: return world.stalled == STALL_FILE;
	default: return true;
	}
}

void world_client_call(bool memory)
{
	world.client_calls++;
	if (world.stalled || !world.stall_in || --world.stall_in)
		return;
	world.stalled = memory ? STALL_MEMORY : STALL_FILE;
	ios_settle(); /* what this turn has done before */
	for (uint32_t i = 0; i < world.stall_events; i++) {
		struct event e = world_pick ? world_pick() : world.stall_event;

		if (!stall_allows(&e) || !event_do(&e))
			continue;
		world.stall_came = true;
		if (e.kind == E_BUDGET)
			world.took = ~0ull; /* what had been asked for by then may be too much now */
		if (world_trace)
			event_print(&e);
		nodes_turn();
		resident_turn(&world.r);
		nodes_lose();
		ios_settle();
		if (world_read_check())
			world_wrong(world_read_check());
	}
	world.stalled = STALL_NONE;
}

void log_put(struct gvm_log_site *site, int level, const char *object, const char *fmt, ...)
{
	(void)site;
	(void)level;
	(void)object;
	(void)fmt;
}

/* Memory of the decisions': hashes, one array a chunk. */
const struct sim_heap sim_heap = {
	.used = world.block_used, .bytes = world.block[0], .block_bytes = sizeof(world.block[0]), .blocks = W_BLOCKS,
};

/* Requests of programs. */

static void io_ended(struct resident_io *io, int error)
{
	struct io *o = (struct io *)io;

	o->ended = true;
	o->result = error;
}

/* What the page at off/8 reads as when the request has done its part of it. */
static uint64_t io_value(const struct io *o, uint32_t page, uint64_t before)
{
	uint64_t at = (uint64_t)page * GVM_PAGE_BYTES;

	for (unsigned i = 0; i < GVM_PAGE_BYTES; i++)
		if (at + i >= o->off && at + i < o->off + o->bytes)
			((uint8_t *)&before)[i] =
				o->kind == IO_WRITE ? ((const uint8_t *)o->data)[at + i - o->off] : 0;
	return before;
}

static void page_punched(uint32_t page)
{
	for (unsigned i = 0; i < W_PINS; i++)
		if (world.pin[i].got && world.pin[i].page == page)
			world.pin[i].punched = true;
}

static void io_submit(struct io *o)
{
	o->begun = true;
	o->seen = o->off;
	o->io.done = io_ended;
	if (o->kind == IO_WRITE)
		resident_write(&world.r, &o->io, o->data, o->off, o->bytes);
	else if (o->kind == IO_ZERO)
		resident_zero(&world.r, &o->io, o->off, o->bytes);
	else
		resident_sync(&world.r, &o->io);
}

/* That content at some time since generation `gen`. */
static bool page_has_been(uint32_t page, uint32_t gen, uint64_t content)
{
	const struct page *p = &world.page[page];
	/* (What rots has been there.) */
	bool found = p->uncertain || p->gen >= gen + W_PAST || content == W_ROTTEN;

	for (uint32_t g = gen; !found && g <= p->gen; g++)
		found = world.past[page].content[g % W_PAST] == content;
	if (!found && world_trace)
		printf("page %u: fsync from generation %u, now %u, the node has %llx\n", page, gen, p->gen,
		       (unsigned long long)content);
	return found;
}

/* The node has of every page what it was when the fsync began, or something newer. */
static void sync_check(const struct io *o)
{
	for (uint32_t page = 0; page < W_PAGES; page++) {
		uint64_t has[W_COPIES];
		unsigned copies = node_copies(page, has);

		for (unsigned i = 0; i < copies; i++)
			if (!page_has_been(page, o->gen[page], has[i]))
				world_wrong("an fsync has ended, and the node has an older page");
	}
}

/* A request's part of it is done. What it was before may be in doubt still, if an earlier request was killed there
 * and then taken back. */
static void page_written(const struct io *o, uint32_t page)
{
	struct page *p = &world.page[page];
	uint64_t other = io_value(o, page, p->uncertain ? p->other : p->truth);

	page_changed(page, io_value(o, page, p->truth));
	if (other == p->truth)
		return;
	p->uncertain = true;
	p->other = other;
}

static void io_settle(struct io *o)
{
	uint64_t until = o->ended && !o->result ? o->off + o->bytes : o->io.off;

	if (o->kind == IO_SYNC) {
		if (o->ended && !o->result && !world.unwanted && !world.alone)
			sync_check(o);
	} else {
		for (; o->seen < until; o->seen = (o->seen / GVM_PAGE_BYTES + 1) * GVM_PAGE_BYTES) {
			uint32_t page = (uint32_t)(o->seen / GVM_PAGE_BYTES);

			page_written(o, page);
			if (o->kind == IO_ZERO)
				page_punched(page);
		}
	}
	if (o->ended)
		o->used = false;
}

static void ios_settle(void)
{
	for (unsigned i = 0; i < W_IOS; i++)
		if (world.io[i].used && world.io[i].begun)
			io_settle(&world.io[i]);
}

static bool io_overlaps(uint64_t off, uint64_t bytes)
{
	for (unsigned i = 0; i < W_IOS; i++) {
		const struct io *o = &world.io[i];

		if (o->used && o->kind != IO_SYNC &&
		    off / GVM_PAGE_BYTES <= (o->off + o->bytes - 1) / GVM_PAGE_BYTES &&
		    o->off / GVM_PAGE_BYTES <= (off + bytes - 1) / GVM_PAGE_BYTES)
			return true;
	}
	return false;
}

static uint64_t reads(uint32_t page)
{
	bool filled = world.mark[page / GVM_CHUNK_PAGES].filled >> page % GVM_CHUNK_PAGES & 1;

	return filled || world.alone ? page_read(page) : node_read(page);
}

/* The worker was killed while the chunk that the request had come to was perhaps changing. */
static void io_killed(struct io *o)
{
	uint64_t end = (o->seen / GVM_CHUNK_BYTES + 1) * GVM_CHUNK_BYTES;

	if (end > o->off + o->bytes)
		end = o->off + o->bytes;
	for (uint64_t at = o->seen; at < end; at = (at / GVM_PAGE_BYTES + 1) * GVM_PAGE_BYTES) {
		uint32_t page = (uint32_t)(at / GVM_PAGE_BYTES);
		struct page *p = &world.page[page];
		uint64_t other;

		/* So it has been left by a request that was killed before, and never came again; this one may have
		 * changed its part of it since. */
		if (p->uncertain && (reads(page) == p->other || reads(page) == io_value(o, page, p->other)))
			page_changed(page, p->other);
		other = io_value(o, page, p->truth);
		if (o->kind == IO_ZERO)
			page_punched(page);
		if (other == p->truth)
			continue;
		p->uncertain = true;
		p->other = other;
	}
}

/* Most clients never hear of it, so that this is looked at time and again. */
int env_give(struct resident *r)
{
	(void)r;
	world_call();
	if (world.client_left)
		return -EPIPE;
	ios_settle(); /* what this turn has done before */
	if (!world_is_whole())
		world_wrong("the client is told to go on alone, and a page lacks");
	if (!world.hears && !world.told)
		return -EAGAIN;
	world.told = true;
	world_call();
	world.sent = true;
	world_client_call(false); /* it is sent as one calls into its memory: others may have the front's role meanwhile */
	world_call();
	return 0;
}

/* The worker's life. */

/* The clock comes to the one session: when it is due again. */
static uint64_t world_tick(void)
{
	struct residents *rs = &world.rs;
	uint64_t next;

	residents_tell_freed(rs);
	if (world.closed || !resident_tick(&world.r, world.now, &next))
		next = ~0ull;
	if (residents_have_freed(rs) || world.r.again || !session_set_is_empty(&rs->recovering))
		return world.now;
	return nodes_due() < next ? nodes_due() : next;
}

static void rival_begin(void)
{
	struct resident *rival = &world.rival;

	memset(rival, 0, sizeof(*rival));
	rival->rs = &world.rs;
	rival->session = 1;
	world.rs.list[1] = rival;
	world.rs.count++;
}

static void worker_begin(void)
{
	struct resident *r = &world.r;

	memset(&world.rs, 0, sizeof(world.rs));
	memset(r, 0, sizeof(*r));
	memset(world.chunk, 0, sizeof(world.chunk));
	memset(world.block_used, 0, sizeof(world.block_used));
	memset(world.block, 0, sizeof(world.block));
	world.rs.data = world.data;
	nodes_begin();
	r->env = &calls;
	r->rs = &world.rs;
	r->address = ADDRESS;
	r->bytes = W_PAGES * GVM_PAGE_BYTES;
	r->chunks = W_CHUNKS;
	r->chunk = world.chunk;
	memset(world.gone, 0, sizeof(world.gone));
	r->trail = world.trail;
	r->gone = world.gone;
	r->replay = world.replay;
	r->trail_room = W_CHUNKS;
	r->gone_room = sizeof(world.gone) / sizeof(*world.gone);
	r->replay_room = sizeof(world.replay) / sizeof(*world.replay);
	r->mark = world.mark;
	r->pins = world.pins;
	r->index = world.index;
	r->stats = r->mount_stats = &world.stats;
	r->peak = &world.peak;
	r->kept = &world.kept;
	r->seed = 7;
	r->pinned = world.pinned_all;
	world.rs.list[0] = r;
	world.rs.count = 1;
	if (RESIDENT_SPARE)
		rival_begin();
	resident_begin(r, ++world.starts);
	if (world.settled)
		resident_given(r);
	else if (world.told)
		resident_give_again(r);
	resident_budget(r, world.local_bytes);
	resident_turn(r);
	if (world.failed)
		resident_abort(r, "the region has failed");
	if (world.client_left)
		resident_left(r);
	/* What comes first may come before more is taken over. */
	world.due = world.now;
	world.took = world_takes();
}

static void worker_killed(void)
{
	world.kill_in = world.kill_next;
	world.kill_next = world.stall_in = 0;
	world.stalled = STALL_NONE;
	world.kills++;
	for (unsigned i = 0; i < W_IOS; i++) {
		struct io *o = &world.io[i];

		if (!o->used || !o->begun)
			continue;
		io_settle(o);
		if (o->kind != IO_SYNC && !o->ended)
			io_killed(o);
		o->begun = o->ended = false;
	}
	nodes_killed();
	for (uint32_t page = 0; page < W_PAGES; page++)
		if (world.page[page].present &&
		    !(world.mark[page / GVM_CHUNK_PAGES].filled >> page % GVM_CHUNK_PAGES & 1))
			world.page[page].stray = true;
	world.closed = false;
	worker_begin();
}

uint64_t seal_new(uint64_t content)
{
	return content ? SEAL_ZERO + ++world.next_seal : SEAL_ZERO;
}

void world_init(uint64_t local_pages, bool sealed)
{
	memset(&world, 0, sizeof(world));
	world.now = 1000000000;
	world.local_bytes = local_pages * GVM_PAGE_BYTES;
	world.sealed = sealed;
	nodes_init();
	worker_begin();
}

void world_fill(unsigned page, unsigned other)
{
	const unsigned pages[] = { page, other };

	for (unsigned c = 0; c < W_CHUNKS; c++) {
		world.index[c] = gvm_version(W_EPOCH - 1, 1);
		for (unsigned i = 0; i < 2; i++) {
			uint32_t at = c * GVM_CHUNK_PAGES + pages[i];

			nodes_fill(at, ++world.next_value);
			page_changed(at, world.next_value);
		}
	}
}

/* Events. */

static bool access_try(struct thread *t)
{
	uint64_t value = t->how == HOW_ZERO ? 0 : world.next_value + 1;

	if (thread_touch(t, t->how == HOW_READ ? NULL : &value) && t->how == HOW_WRITE)
		world.next_value++;
	return true;
}

static bool touch(const struct event *e)
{
	struct thread *t = &world.thread[e->a];

	if (t->state != T_IDLE || world.client_left || world.page[e->b / 4].poisoned)
		return false;
	t->page = e->b / 4;
	t->how = e->b & 3;
	return access_try(t);
}

static bool again(const struct event *e)
{
	struct thread *t = &world.thread[e->a];

	return t->state == T_AGAIN && !world.client_left && access_try(t);
}

static struct thread *thread_nth(unsigned i)
{
	return i < W_THREADS ? &world.thread[i] : &world.pinning[i - W_THREADS];
}

static bool faults(const struct event *e)
{
	bool some = false;

	if (world.client_left)
		return false;
	for (unsigned i = 0; i < W_THREADS + W_PINS; i++)
		some |= e->a >> i & 1 && thread_nth(i)->state == T_QUEUED;
	if (!some)
		return false;
	for (unsigned i = 0; i < W_THREADS + W_PINS; i++)
		if (e->a >> i & 1 && thread_nth(i)->state == T_QUEUED) {
			thread_nth(i)->state = T_WAITING;
			resident_fault(&world.r, ADDRESS + thread_nth(i)->page * GVM_PAGE_BYTES + 3);
		}
	return true;
}

static bool zap(void)
{
	struct zap *z = world.zap;

	if (!world.zaps || z->done || world.client_left || world.alone)
		return false;
	z->done = true;
	for (uint64_t at = z->off; at < z->off + z->bytes; at += GVM_PAGE_BYTES)
		world.page[at / GVM_PAGE_BYTES].mapped = false;
	return true;
}

static bool zapped(void)
{
	uint64_t seq = world.zap[0].seq;

	if (!world.zaps || !world.zap[0].done || world.client_left)
		return false;
	memmove(world.zap, world.zap + 1, sizeof(world.zap) - sizeof(*world.zap));
	world.zap[--world.zaps].done = false;
	resident_zapped(&world.r, seq);
	return true;
}

static bool pin(const struct event *e)
{
	struct pin *p = &world.pin[e->a];

	if (p->counted || world.client_left || world.page[e->b].poisoned)
		return false;
	*p = (struct pin){ .counted = true, .page = e->b };
	world.pins[e->b / GVM_CHUNK_PAGES]++;
	world.pinning[e->a] = (struct thread){ .state = T_AGAIN, .page = e->b };
	return true;
}

static bool pin_get(const struct event *e)
{
	struct pin *p = &world.pin[e->a];
	struct thread *t = &world.pinning[e->a];

	if (!p->counted || p->got || t->state != T_AGAIN || world.client_left)
		return false;
	if (thread_touch(t, NULL)) {
		p->got = !world.page[p->page].poisoned;
		p->frame = world.page[p->page].frame;
		p->punched = false;
		if (!p->got)
			world.pins[p->page / GVM_CHUNK_PAGES]--;
		p->counted = p->got;
	}
	return true;
}

static bool dma(const struct event *e)
{
	struct pin *p = &world.pin[e->a];
	struct page *page = &world.page[p->page];

	if (!p->got || p->punched || world.memory_gone)
		return false;
	if (!page->present || page->frame != p->frame) {
		world_wrong("a device stores to a page that is gone");
		return true;
	}
	page->content = ++world.next_value;
	page_changed(p->page, page->content);
	return true;
}

static bool unpin(const struct event *e)
{
	struct pin *p = &world.pin[e->a];

	if (!p->got)
		return false;
	world.pins[p->page / GVM_CHUNK_PAGES]--;
	*p = (struct pin){ 0 };
	return true;
}

static bool io_event(const struct event *e)
{
	struct io *o = &world.io[e->a];
	uint64_t off = (e->b & 0xffff) * 4, bytes = (uint64_t)(e->b >> 16) * 4;

	if (o->used || world.closed || world.failed)
		return false;
	if (e->kind != E_SYNC && (!bytes || off + bytes > W_PAGES * GVM_PAGE_BYTES ||
				  io_overlaps(off, bytes)))
		return false;
	if (e->kind == E_WRITE && bytes > sizeof(o->data))
		return false;
	*o = (struct io){ .used = true, .off = off, .bytes = bytes };
	o->kind = e->kind == E_WRITE ? IO_WRITE : e->kind == E_ZERO ? IO_ZERO : IO_SYNC;
	if (e->kind == E_WRITE) {
		world.next_value++;
		for (unsigned i = 0; i < sizeof(o->data) / sizeof(*o->data); i++)
			o->data[i] = world.next_value << 32 | world.next_value;
	}
	if (e->kind == E_SYNC)
		for (uint32_t page = 0; page < W_PAGES; page++)
			o->gen[page] = world.page[page].gen;
	io_submit(o);
	return true;
}

static bool begin(const struct event *e)
{
	struct io *o = &world.io[e->a];

	if (!o->used || o->begun || world.closed)
		return false;
	io_submit(o);
	return true;
}

static bool cancel(const struct event *e)
{
	struct io *o = &world.io[e->a];

	if (!o->used || !o->begun || o->kind == IO_SYNC || world.closed)
		return false;
	if (!resident_cancel(&world.r, &o->io))
		return false;
	o->ended = true;
	o->result = -EINTR;
	return true;
}

static bool stray(const struct event *e)
{
	bool some = false;

	for (uint32_t page = e->a; page < e->a + e->b && page < W_PAGES; page++) {
		if (world.page[page].present || world.memory_gone)
			continue;
		page_alloc(page, 0);
		world.page[page].stray = true;
		some = true;
	}
	return some;
}

static bool leave(void)
{
	if (world.client_left)
		return false;
	world.client_left = true;
	world.zaps = 0;
	for (unsigned i = 0; i < W_THREADS + W_PINS; i++)
		thread_nth(i)->state = T_IDLE;
	resident_left(&world.r);
	return true;
}

static bool gone(void)
{
	if (!world.client_left || world.memory_gone)
		return false;
	world.memory_gone = true;
	for (uint32_t page = 0; page < W_PAGES; page++)
		world.page[page].mapped = false;
	for (unsigned i = 0; i < W_PINS; i++) {
		if (world.pin[i].counted)
			world.pins[world.pin[i].page / GVM_CHUNK_PAGES]--;
		world.pin[i] = (struct pin){ 0 };
	}
	return true;
}

static bool pin_all(void)
{
	if (world.pinned_all || world.client_left)
		return false;
	world.pinned_all = true;
	resident_pin(&world.r);
	return true;
}

static bool rival_take(const struct event *e)
{
	if (!RESIDENT_SPARE || (e->a ? !fetch_allowed(&world.rival, 0) : !eviction_take(&world.rival, 0)))
		return false;
	if (e->a)
		fetch_take(&world.rival, 0);
	return true;
}

static bool rival_give(const struct event *e)
{
	for (unsigned i = 0; e->a && i < W_FETCHES; i++)
		if (world.rs.fetches[i].r == &world.rival) {
			fetch_give(&world.rs.fetches[i]);
			return true;
		}
	for (unsigned i = 0; !e->a && i < W_EVICTIONS; i++)
		if (world.rs.evictions[i].r == &world.rival) {
			eviction_give(&world.rs.evictions[i]);
			return true;
		}
	return false;
}

static void settle_over(struct resident_io *io, int error)
{
	(void)io;
	(void)error;
}

static bool alone(const struct event *e)
{
	if (!world.sent || world.client_left || world.alone != (bool)e->a)
		return false;
	if (!world.alone) {
		world.alone = true;
		threads_wake(0, W_PAGES);
		return true;
	}
	world.settled = world.client_left = true;
	for (unsigned i = 0; i < W_THREADS + W_PINS; i++)
		thread_nth(i)->state = T_IDLE;
	resident_given(&world.r);
	return true;
}

static bool settle(const struct event *e)
{
	world.hears = e->a;
	world.took = ~0ull; /* what has been asked for by then may be too much when it is over */
	world.settle.done = settle_over;
	if (resident_give_cancel(&world.r)) {
		if (world.told)
			world_wrong("what the client is told already is taken back");
		return true;
	}
	return resident_give_leave(&world.r) || resident_give(&world.r, &world.settle) == 0;
}

static bool event_do(const struct event *e)
{
	switch (e->kind) {
	case E_TOUCH: return touch(e);
	case E_AGAIN: return again(e);
	case E_FAULTS: return faults(e);
	case E_ZAP: return zap();
	case E_ZAPPED: return zapped();
	case E_PIN: return pin(e);
	case E_GET: return pin_get(e);
	case E_DMA: return dma(e);
	case E_UNPIN: return unpin(e);
	case E_WRITE:
	case E_ZERO:
	case E_SYNC: return io_event(e);
	case E_BEGIN: return begin(e);
	case E_CANCEL: return cancel(e);
	case E_BUDGET:
		world.local_bytes = (uint64_t)e->a * GVM_PAGE_BYTES;
		resident_budget(&world.r, world.local_bytes);
		return true;
	case E_STRAY: return stray(e);
	case E_RACE:
		if (world.race)
			return false;
		world.race = true;
		return true;
	case E_SHORT:
		if (world.shorts)
			return false;
		world.shorts = e->a;
		world.short_where = e->b;
		return true;
	case E_STALL:
		if (world.stall_in)
			return false;
		world.stall_in = e->a;
		world.stall_events = e->b;
		return true;
	case E_KILL:
		if (world.kill_in)
			return false;
		if (!e->a)
			longjmp(dead, 1);
		world.kill_in = e->a;
		world.kill_next = e->b;
		return true;
	case E_TICK:
		if (world.due == ~0ull)
			return false;
		if (world.now < world.due)
			world.now = world.due;
		return true;
	case E_LEAVE: return leave();
	case E_GONE: return gone();
	case E_PIN_ALL: return pin_all();
	case E_UNLINK:
		if (world.unwanted)
			return false;
		world.unwanted = true;
		return true;
	case E_TAKE: return rival_take(e);
	case E_GIVE: return rival_give(e);
	case E_REPLAY: return replay(e);
	case E_SETTLE: return settle(e);
	case E_ALONE: return alone(e);
	default: return nodes_event(e);
	}
}

bool world_event(const struct event *e)
{
	volatile bool done = true;

	if (world.closed)
		return false;
	/* (While the memory is being given to the client, the budget does not count; that may end with this event.) */
	world.took = world.r.give ? ~0ull : world_takes();
	world.client_calls = 0;
	if (setjmp(dead)) {
		worker_killed();
	} else {
		done = event_do(e);
		if (done)
			nodes_turn();
		resident_turn(&world.r);
		nodes_lose();
		if (done && e->kind != E_KILL && !world.closed)
			world.due = world_tick();
	}
	if (done && world_trace)
		event_print(e);
	if (done)
		ios_settle();
	return done;
}

static const char *const names[EVENTS] = {
	[E_TOUCH] = "touch", [E_AGAIN] = "again", [E_FAULTS] = "faults", [E_SERVE] = "serve",
	[E_PIECE] = "piece", [E_END] = "end", [E_RESEND] = "resend", [E_START] = "start",
	[E_BASE] = "base", [E_APPLY] = "apply", [E_ACK] = "ack", [E_COLLECT] = "collect",
	[E_LATE] = "late", [E_LOST] = "lost", [E_ZAP] = "zap", [E_ZAPPED] = "zapped", [E_PIN] = "pin",
	[E_GET] = "get", [E_DMA] = "dma", [E_UNPIN] = "unpin", [E_WRITE] = "write", [E_ZERO] = "zero",
	[E_SYNC] = "sync", [E_CANCEL] = "cancel", [E_BEGIN] = "begin", [E_BUDGET] = "budget",
	[E_STRAY] = "stray", [E_RACE] = "race", [E_SHORT] = "short", [E_STALL] = "stall", [E_KILL] = "kill", [E_TICK] = "tick",
	[E_TAKE] = "take", [E_GIVE] = "give", [E_PASS] = "pass", [E_DOWN] = "down", [E_UP] = "up", [E_DEAF] = "deaf",
	[E_HEARS] = "hears", [E_LOSE] = "lose", [E_ROT] = "rot", [E_TALK] = "talk", [E_DRAIN] = "drain", [E_LEAVE] = "leave", [E_GONE] = "gone", [E_PIN_ALL] = "pin-all", [E_UNLINK] = "unlink",
	[E_REPLAY] = "replay", [E_SETTLE] = "settle", [E_ALONE] = "alone",
};

void event_print(const struct event *e)
{
	const struct resident *r = &world.r;

	printf("%s %x %x: here %llu coming %llu of %llu, kills %u\n", names[e->kind], e->a, e->b,
	       (unsigned long long)r->here, (unsigned long long)r->coming,
	       (unsigned long long)r->local, world.kills);
}

void world_print(void)
{
	const struct resident *r = &world.r;

	printf("over %d zapping %d pinned_row %u retry %llu zap_at %llu now %llu gone %d draining %d "
	       "sync_sent %llu\n", r->over, r->zapping, r->pinned_row,
	       (unsigned long long)r->retry_at_ns, (unsigned long long)r->zap_at_ns,
	       (unsigned long long)world.now, r->client_gone, r->draining,
	       (unsigned long long)r->sync_sent);
	for (unsigned c = 0; c < W_CHUNKS; c++)
		printf("chunk %u: state %u list %u want %u filled %08x coming %08x holes %08x known %08x "
		       "sending %u sync %u\n", c, r->chunk[c].state, r->chunk[c].list,
		       r->chunk[c].want_page, world.mark[c].filled, world.mark[c].coming,
		       chunk_holes(r, c), r->chunk[c].known, r->chunk[c].sending, r->chunk[c].sync_pass);
	for (unsigned i = 0; i < W_THREADS + W_PINS; i++) {
		const struct thread *t = thread_nth(i);

		if (t->state)
			printf("thread %u: state %u chunk %u page %u\n", i, t->state,
			       t->page / GVM_CHUNK_PAGES, t->page % GVM_CHUNK_PAGES);
	}
	nodes_print();
	for (unsigned i = 0; i < W_IOS; i++) {
		const struct io *o = &world.io[i];

		if (o->used)
			printf("request %u: kind %u off %llu of %llu+%llu, chunk %llu\n", i, o->kind,
			       (unsigned long long)o->io.off, (unsigned long long)o->off,
			       (unsigned long long)o->bytes,
			       (unsigned long long)(o->io.off / GVM_CHUNK_BYTES));
	}
}

void world_settle(void)
{
	bool more = true;

	while (more) {
		more = world_event(&(struct event){ E_ZAP, 0, 0 });
		more |= world_event(&(struct event){ E_ZAPPED, 0, 0 });
		for (unsigned i = 0; i < NODES_STEPS; i++)
			more |= nodes_settle(i);
	}
}
