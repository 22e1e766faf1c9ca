// SPDX-License-Identifier: GPL-2.0-or-later
/* world.c - see world.h: what can happen, and the life of a worker. */
#include "world.h"

#include "base/mutant.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_STEP 1000000ull

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

/* Memory of the decisions': copies of pages, one a READ; lanes; what is
 * known of readers, one an inode. */
const struct sim_heap sim_heap = {
	.used = world.block_used, .bytes = world.block[0], .block_bytes = sizeof(world.block[0]), .blocks = W_BLOCKS,
};

/* What a wbuf is when it is sealed, it stays. */
static void wbuf_sealed(unsigned s)
{
	world.sealed_wbuf[s].version = world.wbuf[s].version;
	world.sealed_wbuf[s].pages = world.wbuf[s].pages;
	memcpy(world.sealed_wbuf[s].data, world.wbuf_data + (size_t)s * GVM_CHUNK_BYTES, GVM_CHUNK_BYTES);
}

static void mark32(uint32_t *where, uint32_t value)
{
	world_call();
	*where = value;
	if (value == WBUF_SEALED)
		for (unsigned s = 0; s < JOURNAL_WBUFS; s++)
			if (where == &world.wbuf[s].state)
				wbuf_sealed(s);
	world_call();
}

/* Of a wbuf that is sealed, since what it is sent as has another version each time. */
static void mark64(uint64_t *where, uint64_t value)
{
	world_call();
	*where = value;
	for (unsigned s = 0; s < JOURNAL_WBUFS; s++)
		if (where == &world.wbuf[s].version)
			world.sealed_wbuf[s].version = value;
	world_call();
}

/* Of a place that nothing is spilled in any more. */
static void spill_release(uint8_t *data)
{
	world_call();
	for (unsigned i = 0; i < JOURNAL_SPILL; i++)
		if (data == world.spill_data + (size_t)i * GVM_CHUNK_BYTES && world.spill[i].state != SPILL_FREE)
			world_wrong("memory is released that is in use");
	memset(data, 0, GVM_CHUNK_BYTES);
}

/* ---- cells */

bool cell_may_be(const struct cell *c, uint32_t value)
{
	return value == c->truth || (c->uncertain && (value == c->other || (c->both && value == c->first)));
}

void cell_changed(struct cell *c, uint32_t truth)
{
	if (c->uncertain && c->both)
		c->past[++c->gen % W_PAST] = c->first;
	if (c->uncertain) /* it may have been that meanwhile */
		c->past[++c->gen % W_PAST] = c->other;
	c->truth = truth;
	c->uncertain = c->both = false;
	c->past[++c->gen % W_PAST] = truth;
}

void cell_blur(struct cell *c)
{
	c->gen += W_PAST;
	for (unsigned i = 0; i < W_PAST; i++)
		c->past[i] = c->truth;
}

bool cell_was(const struct cell *c, uint32_t gen, uint32_t value)
{
	if (c->gen - gen >= W_PAST || cell_may_be(c, value))
		return true;
	for (; gen != c->gen + 1; gen++)
		if (c->past[gen % W_PAST] == value)
			return true;
	return false;
}

bool region_is_lost(unsigned inode)
{
	return world.disk[inode].epoch && (world.disk[inode].failed || world.region[inode].fenced);
}

/* What is here, or on the nodes, is what it is from now on. */
static void region_settle(unsigned nr)
{
	struct region *reg = &world.region[nr];

	for (uint32_t i = 0; i < W_CELLS; i++) {
		uint32_t c = i / CHUNK_CELLS, at = i % CHUNK_CELLS;

		reg->cell[i].uncertain = reg->cell[i].both = false;
		reg->cell[i].truth = world.disk[nr].epoch ? cell_reads(nr, i) : reg->node[c].content[at];
		cell_blur(&reg->cell[i]);
	}
}

/* ---- requests */

void call_ended(struct call *c, int error)
{
	world_call();
	if (!c->used || !c->begun || c->ended)
		world_wrong("a request is answered twice");
	c->ended = true;
	c->result = error;
}

/* Whether there was a reason for an error. */
static bool call_may_fail(const struct call *c)
{
	const struct region *reg = &world.region[c->inode];

	switch (c->result) {
	case -EINTR: return c->cancelled;
	case -EIO: return world.disk[c->inode].failed || reg->fenced || reg->refusals != c->refusals;
	case -ETIMEDOUT:
		return reg->refusals != c->refusals || (c->deadline_ns && world.now > c->deadline_ns);
	case -EBUSY: return !world.disk[c->inode].epoch;
	}
	return false;
}

static void read_check(const struct reading *o, const struct iovec *iov, int count)
{
	const struct region *reg = &world.region[o->call.inode];
	uint32_t at = o->first, value;

	for (int i = 0; i < count; i++)
		for (size_t b = 0; b < iov[i].iov_len; b += CELL_BYTES, at++) {
			if (at >= o->first + o->count || iov[i].iov_len % CELL_BYTES) {
				world_wrong("a READ is answered with too much");
				return;
			}
			memcpy(&value, (const uint8_t *)iov[i].iov_base + b, CELL_BYTES);
			if (region_is_lost(o->call.inode) || at >= reg->cells || /* its answer is made shorter */
			    cell_was(&reg->cell[at], o->gen[at - o->first], value))
				continue;
			if (world_trace)
				printf("cell %u of inode %u: %x is read, %x is right, or (%d) %x\n", at, o->call.inode,
				       value, reg->cell[at].truth, reg->cell[at].uncertain, reg->cell[at].other);
			world_wrong("a READ is answered with what is older than when it came");
		}
	if (at != o->first + o->count)
		world_wrong("a READ is answered with too little");
}

static void read_ended(struct store *s, struct store_read *r, const struct iovec *iov, int count, int error)
{
	struct reading *o = (struct reading *)r;

	(void)s;
	call_ended(&o->call, error);
	if (!error)
		read_check(o, iov, count);
	world_call();
}

static uint32_t write_value(const struct writing *o, uint32_t cell)
{
	return o->zeros ? 0 : o->data[cell - o->first];
}

/* Another that is not answered; NULL: there is none. */
static struct writing *write_overlapping(const struct writing *not, unsigned inode, uint32_t first, uint32_t count)
{
	for (struct writing *o = world.writing; o < world.writing + W_WRITES; o++)
		if (o != not && o->call.used && !o->call.ended && o->call.inode == inode && o->first < first + count &&
		    first < o->first + o->count)
			return o;
	return NULL;
}

/* A WRITE has been done; another that overlaps it perhaps was not. */
static void cell_written(const struct writing *o, uint32_t cell)
{
	struct cell *c = &world.region[o->call.inode].cell[cell];
	const struct writing *other = write_overlapping(o, o->call.inode, cell, 1);

	cell_changed(c, write_value(o, cell));
	if (!other)
		return;
	if (other->call.begun && other->came < o->came)
		world_wrong("a WRITE is done before one of the same bytes that came earlier");
	c->other = write_value(other, cell);
	c->uncertain = true;
}

static void write_ended(struct store *s, struct store_write *w, int error)
{
	struct writing *o = (struct writing *)w;

	(void)s;
	call_ended(&o->call, error);
	for (uint32_t i = o->first; !error && i < o->first + o->count && i < o->stop; i++)
		cell_written(o, i);
	world_call();
}

/* The node has of every cell what it was when the fsync came, or something newer. */
static void sync_check(const struct syncing *o)
{
	const struct region *reg = &world.region[o->call.inode];

	for (uint32_t i = 0; i < W_CELLS && !region_is_lost(o->call.inode); i++) {
		uint64_t entry = reg->index[i / CHUNK_CELLS];
		uint32_t has = reg->node[i / CHUNK_CELLS].content[i % CHUNK_CELLS];

		if (!entry) /* it never heard of it */
			has = 0;
		if (!cell_was(&reg->cell[i], o->gen[i], has) && !is_being_cut(o->call.inode, i))
			world_wrong("an fsync has ended, and the node has an older cell");
	}
}

/* What was written to it is sent, or it fails: it is as it was. */
static void sync_ended(struct store *s, struct store_sync *sync, int error)
{
	struct syncing *o = (struct syncing *)sync;

	(void)s;
	if (!error)
		sync_check(o);
	if (o->cut_plus_1 && !error) {
		o->cutting = true;
		world.cut[o->call.inode] = (struct cut){ .state = CUT_READY, .cells = o->cut_plus_1 - 1 };
		return;
	}
	call_ended(&o->call, error);
	if (o->cut_plus_1) {
		store_cut_end(&world.store, &world.inode[o->call.inode]);
		world.region[o->call.inode].cut_plus_1 = 0;
	}
	world_call();
}

static void read_begin(struct reading *o)
{
	memset(&o->r, 0, sizeof(o->r));
	o->call.begun = true;
	o->r.done = read_ended;
	o->r.view = world.by_view;
	store_read(&world.store, &o->r, &world.inode[o->call.inode], (uint64_t)o->first * CELL_BYTES,
		   o->count * CELL_BYTES);
}

static void write_begin(struct writing *o)
{
	memset(&o->w, 0, sizeof(o->w));
	o->call.begun = true;
	o->came = ++world.writes;
	o->w.done = write_ended;
	o->w.bounded = o->first / PAGE_CELLS % 4 == 1;
	store_write(&world.store, &o->w, &world.inode[o->call.inode], o->zeros ? NULL : o->data,
		    (uint64_t)o->first * CELL_BYTES, (uint64_t)o->count * CELL_BYTES);
}

/* By a predecessor, or it is being so: the call waits for the inode. */
static bool sync_is_cut_already(struct syncing *o)
{
	struct region *reg = &world.region[o->call.inode];

	if (world.cut[o->call.inode].state) {
		o->cutting = true;
		return true;
	}
	reg->cut_plus_1 = o->cut_plus_1;
	if (!region_is_lost(o->call.inode) && reg->cells > o->cut_plus_1 - 1)
		return false;
	reg->cut_plus_1 = 0;
	call_ended(&o->call, region_is_lost(o->call.inode) ? -EIO : 0);
	return true;
}

static void sync_begin(struct syncing *o)
{
	struct inode *inode = &world.inode[o->call.inode];

	memset(&o->s, 0, sizeof(o->s));
	o->call.begun = true;
	o->call.deadline_ns = world_env.deadline(&world.store);
	o->s.done = sync_ended;
	o->s.deadline_ns = o->call.deadline_ns;
	o->cutting = false;
	if (o->cut_plus_1 && sync_is_cut_already(o))
		return;
	if (o->cut_plus_1 && mutant("cut-early"))
		store_drop(&world.store, inode);
	if (o->cut_plus_1)
		store_cut_begin(&world.store, inode, (uint64_t)(o->cut_plus_1 - 1) * CELL_BYTES);
	store_sync(&world.store, &o->s, inode);
}

static struct call *call_nth(unsigned what, unsigned i)
{
	switch (what) {
	case 0: return i < W_READS ? &world.reading[i].call : NULL;
	case 1: return i < W_WRITES ? &world.writing[i].call : NULL;
	default: return i < W_SYNCS ? &world.syncing[i].call : NULL;
	}
}

static void call_begin(unsigned what, unsigned i)
{
	if (what == 0)
		read_begin(&world.reading[i]);
	else if (what == 1)
		write_begin(&world.writing[i]);
	else
		sync_begin(&world.syncing[i]);
}

static void calls_settle(void)
{
	for (unsigned what = 0; what < 3; what++) {
		struct call *c;

		for (unsigned i = 0; (c = call_nth(what, i)); i++) {
			if (!c->used || !c->ended)
				continue;
			if (c->result && !call_may_fail(c))
				world_wrong("a request has failed without a reason");
			c->used = false;
		}
	}
}

/* ---- the worker's life */

static void worker_begin(void)
{
	struct store *s = &world.store;

	memset(s, 0, sizeof(*s));
	memset(world.get, 0, sizeof(world.get));
	memset(world.wire, 0, sizeof(world.wire));
	memset(world.block_used, 0, sizeof(world.block_used));
	memset(world.block, 0, sizeof(world.block));
	for (unsigned i = 0; i < W_INODES; i++) {
		unsigned opens = world.inode[i].opens;

		memset(&world.inode[i], 0, sizeof(world.inode[i]));
		world.inode[i].nr = i;
		world.inode[i].opens = opens;
		world.inode[i].stats = &world.stats[i];
		TAILQ_INIT(&world.inode[i].writes);
		TAILQ_INIT(&world.inode[i].wide_writes);
	}
	s->env = &world_env;
	s->owner = &world;
	s->stats = &world.stats[W_INODES];
	s->wbufs.disk = world.wbuf;
	s->wbufs.data = world.wbuf_data;
	s->wbufs.mark32 = mark32;
	s->wbufs.mark64 = mark64;
	s->wbufs.spill.disk = world.spill;
	s->wbufs.spill.counts = world.spill_counts;
	s->wbufs.spill.buckets = world.spill_buckets;
	s->wbufs.spill.data = world.spill_data;
	s->wbufs.spill.mark32 = mark32;
	s->wbufs.spill.release = spill_release;
	s->wbufs.spill.pages_max = world.spill_pages;
	s->sealed = world.sealed;
	store_begin(s, world.cache, world.scratch);
	memset(world.cut, 0, sizeof(world.cut));
	for (unsigned i = 0; i < W_INODES; i++)
		cut_adopt(i);
	world.due = store_tick(s, world.now);
}

static void worker_killed(void)
{
	world.kill_in = world.kill_next;
	world.kill_next = 0;
	world.kills++;
	for (unsigned what = 0; what < 3; what++) {
		struct call *c;

		for (unsigned i = 0; (c = call_nth(what, i)); i++)
			if (c->used && !c->ended)
				c->begun = false;
	}
	for (unsigned i = 0; i < JOURNAL_WBUFS; i++)
		if (world.wire[i].state == WIRE_SENT && world.lates < W_LATE)
			world.late[world.lates++] = world.wire[i].put;
	worker_begin();
}

void world_init(bool full, bool sealed)
{
	memset(&world, 0, sizeof(world));
	world.sealed = sealed;
	world.spill_pages = W_SPILL_PAGES;
	world.now = 1000000000;
	world.striped = 1u << (W_INODES - 1);
	for (unsigned i = 0; i < W_INODES; i++) {
		struct region *reg = &world.region[i];

		world.inode[i].opens = 1;
		world.disk[i].epoch = reg->epoch = 5;
		reg->cells = W_CELLS;
		for (unsigned n = 0; n < W_NODES; n++)
			reg->node_chunks[n] = W_CHUNKS;
		for (unsigned c = 0; c < W_CHUNKS; c++)
			for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
				reg->node[c].seal[p] = SEAL_ZERO;
		for (unsigned c = 0; full && c < W_CHUNKS; c++) {
			reg->node[c].version = reg->index[c] = gvm_version(4, 1 + c);
			for (unsigned k = 0; k < CHUNK_CELLS; k++) {
				uint32_t value = k == 0 || k == CHUNK_CELLS - 1 || W_INODES > 1 ? ++world.next_value : 0;

				reg->node[c].content[k] = value;
				cell_changed(&reg->cell[c * CHUNK_CELLS + k], value);
			}
			for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
				reg->node[c].seal[p] = seal_new(reg->node[c].content + p * PAGE_CELLS);
		}
	}
	worker_begin();
}

/* ---- events */

static bool call_new(struct call *c, unsigned inode)
{
	if (!c || c->used || inode >= W_INODES || !world.inode[inode].opens)
		return false;
	*c = (struct call){ .used = true, .inode = inode, .refusals = world.region[inode].refusals };
	c->deadline_ns = world_env.deadline(&world.store);
	return true;
}

static bool range_of(const struct event *e, unsigned *inode, uint32_t *first, uint32_t *count)
{
	*inode = e->b >> 28;
	*first = e->b >> 14 & 0x3fff;
	*count = e->b & 0x3fff;
	return *inode < W_INODES && *count && *first + *count <= W_CELLS;
}

bool region_is_cut_off(unsigned inode)
{
	for (unsigned c = 0; c < W_CHUNKS; c++)
		if (world.dead[node_of(inode, c)])
			return true;
	return false;
}

/* One of the READs is none of those that wait for a dead node: whatever they hold, it has its turn. */
static bool read_new(const struct event *e)
{
	struct reading *o = &world.reading[e->a];
	unsigned inode;
	uint32_t first, count;

	if (!range_of(e, &inode, &first, &count) || count > CHUNK_CELLS || first + count > world.region[inode].cells ||
	    (e->a == W_READS - 1 && region_is_cut_off(inode)) || !call_new(&o->call, inode))
		return false;
	o->first = first;
	o->count = count;
	for (uint32_t i = 0; i < count; i++)
		o->gen[i] = world.region[inode].cell[first + i].gen;
	world.region[inode].follows = first + count;
	read_begin(o);
	return true;
}

static unsigned writes_over(unsigned inode, uint32_t first, uint32_t count)
{
	unsigned n = 0;

	for (unsigned i = 0; i < W_WRITES; i++) {
		const struct writing *o = &world.writing[i];

		n += o->call.used && o->call.inode == inode && o->first < first + count && first < o->first + o->count;
	}
	return n;
}

/* Two that overlap may be on their way: a program's, and what others store to the page that it has changed. (A third
 * would be no other case, and the model has enough without the second.) */
static bool write_may_come(unsigned inode, uint32_t first, uint32_t count)
{
	const struct writing *other = write_overlapping(NULL, inode, first, count);

	return !other || (W_OVERLAPS && writes_over(inode, first, count) == 1 &&
			  writes_over(inode, other->first, other->count) == 1);
}

static bool write_new(const struct event *e)
{
	struct writing *o = &world.writing[e->a], *other;
	unsigned inode;
	uint32_t first, count;

	if (!range_of(e, &inode, &first, &count) || !world.disk[inode].epoch || region_is_lost(inode) ||
	    (e->kind == E_WRITE && count > 2 * CHUNK_CELLS) || first + count > world.region[inode].cells ||
	    !write_may_come(inode, first, count) || !call_new(&o->call, inode))
		return false;
	o->first = first;
	o->count = count;
	o->stop = W_CELLS;
	o->zeros = e->kind == E_ZERO;
	other = write_overlapping(o, inode, first, count);
	for (uint32_t i = 0; i < count; i++) {
		struct cell *c = &world.region[inode].cell[first + i];
		bool both = other && first + i >= other->first && first + i < other->first + other->count;

		uint32_t value = cell_reads(inode, first + i);

		/* So it has been left by a WRITE that was not answered well; or it may have been, and the other one has
		 * replaced that. */
		if (c->uncertain && cell_may_be(c, value))
			cell_changed(c, both && value == write_value(other, first + i) ? c->truth : value);
		c->both = both;
		c->first = both ? write_value(other, first + i) : 0;
		c->other = o->zeros ? 0 : ++world.next_value;
		c->uncertain = true;
		if (!o->zeros)
			o->data[i] = c->other;
	}
	write_begin(o);
	return true;
}

static bool sync_new(const struct event *e)
{
	struct syncing *o = &world.syncing[e->a];
	unsigned inode = e->b;

	if (inode >= W_INODES || !world.disk[inode].epoch || !call_new(&o->call, inode))
		return false;
	o->cut_plus_1 = 0;
	for (uint32_t i = 0; i < W_CELLS; i++)
		o->gen[i] = world.region[inode].cell[i].gen;
	sync_begin(o);
	return true;
}

/* WRITEs may be under way: direct I/O. */
static bool cut_new(const struct event *e)
{
	struct syncing *o = &world.syncing[e->a];
	unsigned inode = e->b >> 28;
	uint32_t first = e->b & 0xfffffff;
	struct region *reg;

	if (inode >= W_INODES || first >= world.region[inode].cells || !world.disk[inode].epoch || region_is_lost(inode))
		return false;
	reg = &world.region[inode];
	for (unsigned i = 0; i < W_SYNCS; i++)
		if (world.syncing[i].call.used && world.syncing[i].cut_plus_1 && world.syncing[i].call.inode == inode)
			return false;
	if (reg->cut_plus_1 || !call_new(&o->call, inode))
		return false;
	o->cut_plus_1 = reg->cut_plus_1 = first + 1;
	for (uint32_t i = 0; i < W_CELLS; i++)
		o->gen[i] = reg->cell[i].gen;
	sync_begin(o);
	return true;
}

/* One that reaches past the end by now makes the region larger. False: it cannot yet. */
static bool write_may_begin(struct writing *o)
{
	unsigned nr = o->call.inode;
	struct region *reg = &world.region[nr];
	uint32_t from = o->first > o->stop ? o->first : o->stop;

	if (region_is_lost(nr))
		return true;
	if (o->first + o->count > reg->cells) {
		if (world.cut[nr].state || reg->cut_plus_1 || region_is_cut_off(nr))
			return false;
		region_grow(nr, o->first + o->count);
	}
	o->stop = W_CELLS;
	for (uint32_t i = from; i < o->first + o->count; i++) { /* what was cut off may be written again */
		struct cell *c = &reg->cell[i];

		c->both = c->uncertain;
		c->first = c->other;
		c->other = write_value(o, i);
		c->uncertain = true;
	}
	return true;
}

static bool again(const struct event *e)
{
	struct call *c = call_nth(e->b, e->a);

	if (!c || !c->used || c->begun)
		return false;
	if (e->kind == E_BEGIN) {
		if (e->b == 1 && !write_may_begin(&world.writing[e->a]))
			return false;
		call_begin(e->b, e->a);
		return true;
	}
	c->used = false;
	if (e->b == 2 && world.syncing[e->a].cut_plus_1 && !world.disk[c->inode].cut_to_plus_1)
		world.region[c->inode].cut_plus_1 = 0;
	return true;
}

static bool cancel(const struct event *e)
{
	struct call *c = call_nth(e->b, e->a);

	if (!c || e->b > 1 || !c->used || !c->begun || c->cancelled)
		return false;
	c->cancelled = true;
	store_cancel(&world.store, e->b ? &world.writing[e->a].w.wait : &world.reading[e->a].r.wait);
	return true;
}

static bool refuse(struct cache_entry *e, int error)
{
	struct region *reg = &world.region[e->inode->nr];

	if (error == EKEYREVOKED && e->epoch >= reg->epoch)
		return false;
	reg->refusals++;
	world.get[e - world.store.cache.entries].under_way = false;
	store_fetched(e, -error);
	return true;
}

static bool serve(const struct event *ev)
{
	struct get *get = &world.get[ev->a];
	struct cache_entry *e = &world.store.cache.entries[ev->a];
	struct region *reg;

	if (!get->under_way || get->served || world.dead[node_of(e->inode->nr, e->chunk)])
		return false;
	reg = &world.region[e->inode->nr];
	if (e->chunk >= reg->node_chunks[node_of(e->inode->nr, e->chunk)]) {
		get->under_way = false;
		reg->refusals += !e->epoch; /* a failed writer has left it so, until there is another */
		store_fetched(e, -EINVAL);
		return true;
	}
	if (ev->b)
		return refuse(e, (int)ev->b);
	if (e->epoch && e->epoch < reg->epoch)
		return refuse(e, EKEYREVOKED);
	if (e->epoch && reg->node[e->chunk].version < (reg->index[e->chunk] & GVM_VERSION_MASK))
		world_wrong("a GET of a version that no node has");
	get->served = true;
	memcpy(get->content, reg->node[e->chunk].content, sizeof(get->content));
	memcpy(get->seal, reg->node[e->chunk].seal, sizeof(get->seal));
	return true;
}

void pages_come(struct cache_entry *e, uint32_t pages)
{
	struct get *get = &world.get[e - world.store.cache.entries];

	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		if (pages >> p & 1)
			memcpy(e->data + p * GVM_PAGE_BYTES, get->content + p * PAGE_CELLS, GVM_PAGE_BYTES);
	get->left &= ~pages;
	/* As fuse/store_calls.c does it. */
	if (world.sealed) {
		uint32_t in_flux = store_in_flux(e);

		store_doubt(e, in_flux);
		for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
			if (pages & ~in_flux & 1u << p && !seal_believe(e->inode->nr, e->chunk, p, get->seal[p]))
				world_wrong("an honest node's answer is refused");
	}
	store_piece(e, pages);
}

static bool piece(const struct event *ev)
{
	struct get *get = &world.get[ev->a];
	uint32_t pages = get->left & ev->b;

	if (!get->under_way || !get->served || !pages)
		return false;
	pages_come(&world.store.cache.entries[ev->a], pages);
	return true;
}

static bool end(const struct event *ev)
{
	struct get *get = &world.get[ev->a];

	if (!get->under_way || !get->served || get->left)
		return false;
	get->under_way = false;
	store_fetched(&world.store.cache.entries[ev->a], 0);
	return true;
}

static bool resend(const struct event *ev)
{
	struct get *get = &world.get[ev->a];
	struct cache_entry *e = &world.store.cache.entries[ev->a];

	if (!get->under_way || !get->served)
		return false;
	if (ev->b) {
		for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
			if (e->asked >> p & 1)
				memset(e->data + p * GVM_PAGE_BYTES, 0xa5, GVM_PAGE_BYTES);
		store_spoilt(e, e->asked);
	}
	get->served = false;
	get->left = e->asked;
	return true;
}

static struct flush *flush_nth(unsigned i)
{
	return &world.store.wbufs.wbuf[i].flush;
}

static bool wire_is(unsigned i, enum wire_state state)
{
	const struct wire *wire = &world.wire[i];

	return wire->state == state && !world.dead[node_of(wire->put.inode, flush_nth(i)->chunk)];
}

static bool start(const struct event *e)
{
	if (world.wire[e->a].state != WIRE_QUEUED)
		return false;
	flush_start(flush_nth(e->a));
	return true;
}

static bool base(const struct event *e)
{
	struct wire *wire = &world.wire[e->a];
	struct flush *f = flush_nth(e->a);
	const struct region *reg = &world.region[wire->put.inode];

	if (!wire_is(e->a, WIRE_GETTING))
		return false;
	if (e->b || f->epoch < reg->epoch) {
		flush_fetched(f, e->b ? -(int)e->b : -EKEYREVOKED);
		return true;
	}
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
		if (!(f->asked >> p & 1))
			continue;
		memcpy(wire->scratch + p * GVM_PAGE_BYTES, reg->node[f->chunk].content + p * PAGE_CELLS,
		       GVM_PAGE_BYTES);
		memcpy(wire->base.content + p * PAGE_CELLS, wire->scratch + p * GVM_PAGE_BYTES, GVM_PAGE_BYTES);
		wire->base.seal[p] = reg->node[f->chunk].seal[p];
		if (world.sealed && reg->known[f->chunk].page[p] != SEAL_UNKNOWN &&
		    reg->known[f->chunk].page[p] != wire->base.seal[p])
			world_wrong("an honest node's base is refused");
	}
	wire->based |= f->asked;
	flush_piece(f, f->asked, 0);
	flush_fetched(f, 0);
	return true;
}

static bool apply(const struct event *e)
{
	struct wire *wire = &world.wire[e->a];

	if (!wire_is(e->a, WIRE_SENT))
		return false;
	if (e->b == EREMCHG && !wire->put.base)
		return false; /* it takes all of it, over whatever it has */
	wire->state = WIRE_ANSWERED;
	wire->result = -(int)e->b;
	if (!e->b && !node_apply(&wire->put, &wire->result))
		world_wrong("a PUT that the node refuses for good");
	if (!wire->result)
		world.region[wire->put.inode].ours[wire->put.chunk] |= wire->put.pages;
	return true;
}

static bool ack(const struct event *e)
{
	if (!wire_is(e->a, WIRE_ANSWERED))
		return false;
	flush_sent(flush_nth(e->a), world.wire[e->a].result);
	return true;
}

/* b: some of its nodes have not taken it, and the view was changed: it is to go to all of them again. */
static bool collect(const struct event *e)
{
	bool some = false;

	for (unsigned i = 0; i < JOURNAL_WBUFS; i++)
		if (world.wire[i].state == WIRE_FINISHED) {
			world.wire[i].state = WIRE_FREE;
			if (e->b && world.sealed && !flush_nth(i)->result)
				flush_nth(i)->result = -EAGAIN;
			store_flushed(&world.store, flush_nth(i));
			some = true;
		}
	return some;
}

static bool late(const struct event *e)
{
	int result;

	if (e->a >= world.lates)
		return false;
	if (e->kind == E_LATE)
		node_apply(&world.late[e->a], &result);
	world.late[e->a] = world.late[--world.lates];
	return true;
}

static void lates_forget(unsigned inode)
{
	for (unsigned i = 0; i < world.lates; i++)
		if (world.late[i].inode == inode)
			world.late[i--] = world.late[--world.lates];
}

static bool in_use(unsigned inode)
{
	for (unsigned what = 0; what < 3; what++) {
		const struct call *c;

		for (unsigned i = 0; (c = call_nth(what, i)); i++)
			if (c->used && c->inode == inode)
				return true;
	}
	return false;
}

static bool file_close(const struct event *e)
{
	struct inode *inode = &world.inode[e->a];

	if (inode->opens && in_use(e->a))
		return false;
	inode->opens = !inode->opens;
	if (!inode->opens)
		store_forget(&world.store, inode);
	return true;
}

/* A writer that has failed while it made the region smaller has left nodes with less than the record's size. */
static void nodes_widen(struct region *reg)
{
	uint32_t chunks = (reg->cells + CHUNK_CELLS - 1) / CHUNK_CELLS;

	for (unsigned n = 0; n < W_NODES; n++)
		if (reg->node_chunks[n] < chunks)
			reg->node_chunks[n] = chunks;
}

/* As node/region.c does it. */
static bool attach(const struct event *e)
{
	struct region *reg = &world.region[e->a];

	if (world.disk[e->a].epoch || reg->other || !world.inode[e->a].opens)
		return false;
	nodes_widen(reg);
	for (unsigned c = 0; c < W_CHUNKS; c++)
		reg->index[c] = c * CHUNK_CELLS < reg->cells ? reg->node[c].version : 0;
	memset(reg->known, 0, sizeof(reg->known));
	memset(reg->ours, 0, sizeof(reg->ours));
	store_forget(&world.store, &world.inode[e->a]);
	world.disk[e->a].failed = 0;
	world.disk[e->a].epoch = ++reg->epoch;
	return true;
}

static bool detach(const struct event *e)
{
	struct inode *inode = &world.inode[e->a];
	struct region *reg = &world.region[e->a];
	bool lost = region_is_lost(e->a);

	if (!world.disk[e->a].epoch || inode->wbufs || !TAILQ_EMPTY(&inode->writes) || reg->cut_plus_1 ||
	    world.cut[e->a].state)
		return false;
	for (unsigned i = 0; i < W_WRITES; i++)
		if (world.writing[i].call.used && world.writing[i].call.inode == e->a)
			return false;
	for (unsigned i = 0; i < W_SYNCS; i++)
		if (world.syncing[i].call.used && world.syncing[i].call.inode == e->a)
			return false;
	store_forget(&world.store, inode);
	world.disk[e->a].epoch = 0;
	memset(reg->index, 0, sizeof(reg->index));
	for (uint32_t i = 0; i < W_CELLS && !lost; i++) {
		struct cell *c = &reg->cell[i];

		if (cell_may_be(c, reg->node[i / CHUNK_CELLS].content[i % CHUNK_CELLS]))
			cell_changed(c, reg->node[i / CHUNK_CELLS].content[i % CHUNK_CELLS]);
		c->uncertain = c->both = false;
	}
	reg->fenced = false;
	if (lost) {
		lates_forget(e->a);
		region_settle(e->a);
	}
	return true;
}

static bool other(const struct event *e)
{
	struct region *reg = &world.region[e->a];

	if (reg->other) {
		reg->other = false;
		return true;
	}
	if (world.disk[e->a].epoch && (!e->b || reg->fenced))
		return false;
	reg->fenced = world.disk[e->a].epoch;
	reg->other = true;
	reg->epoch++;
	nodes_widen(reg);
	return true;
}

static bool other_stores(const struct event *e)
{
	struct region *reg = &world.region[e->a];
	uint32_t cell = e->b;
	uint64_t version, fresh = gvm_version(reg->epoch, 1);

	if (!reg->other || cell >= reg->cells)
		return false;
	version = reg->node[cell / CHUNK_CELLS].version;
	reg->node[cell / CHUNK_CELLS].version = version < fresh ? fresh : version + 1;
	reg->node[cell / CHUNK_CELLS].content[cell % CHUNK_CELLS] = ++world.next_value;
	reg->node[cell / CHUNK_CELLS].seal[cell % CHUNK_CELLS / PAGE_CELLS] = SEAL_ZERO + ++world.next_seal;
	if (!region_is_lost(e->a))
		cell_changed(&reg->cell[cell], world.next_value);
	return true;
}

static bool fail(const struct event *e)
{
	if (!world.disk[e->a].epoch || world.disk[e->a].failed || (e->b && world.kill_in))
		return false;
	if (e->b)
		world.kill_in = e->b;
	world_env.fail(&world.store, &world.inode[e->a], 0, -EIO);
	return true;
}

static bool event_do(const struct event *e)
{
	switch (e->kind) {
	case E_READ: return read_new(e);
	case E_WRITE:
	case E_ZERO: return write_new(e);
	case E_SYNC: return sync_new(e);
	case E_CUT: return cut_new(e);
	case E_CUTS: return region_cuts(e);
	case E_GROW: return region_grows(e);
	case E_BEGIN:
	case E_NEVER: return again(e);
	case E_CANCEL: return cancel(e);
	case E_SERVE: return serve(e);
	case E_PIECE: return piece(e);
	case E_END: return end(e);
	case E_RESEND: return resend(e);
	case E_START: return start(e);
	case E_BASE: return base(e);
	case E_APPLY: return apply(e);
	case E_ACK: return ack(e);
	case E_COLLECT: return collect(e);
	case E_LATE:
	case E_LOST: return late(e);
	case E_NODE:
		world.dead[e->a] = !world.dead[e->a];
		return true;
	case E_TICK:
		if (world.due == ~0ull)
			return false;
		world.now = world.now < world.due ? world.due : world.now + NS_STEP;
		return true;
	case E_SEAL:
		store_seal_all(&world.store);
		return true;
	case E_KILL:
		if (world.kill_in)
			return false;
		if (!e->a)
			longjmp(dead, 1);
		world.kill_in = e->a;
		world.kill_next = e->b;
		return true;
	case E_CLOSE: return file_close(e);
	case E_ATTACH: return attach(e);
	case E_DETACH: return detach(e);
	case E_OTHER: return other(e);
	case E_FAIL: return fail(e);
	case E_STORE: return other_stores(e);
	case E_MOVE:
		if (world.region[e->a].cut_plus_1 || world.cut[e->a].state != CUT_NONE)
			return false; /* a change of size ends moves */
		world.moved[e->a] ^= 1u << e->b;
		store_moved(&world.store, &world.inode[e->a]);
		return true;
	case EVENTS: break;
	}
	return false;
}

bool world_event(const struct event *e)
{
	volatile bool done = true;

	if (setjmp(dead)) {
		worker_killed();
	} else {
		done = event_do(e);
		if (done)
			world.due = store_tick(&world.store, world.now);
	}
	if (done && world_trace)
		event_print(e);
	if (done)
		calls_settle();
	return done;
}

static const char *const names[EVENTS] = {
	[E_READ] = "read", [E_WRITE] = "write", [E_ZERO] = "zero", [E_SYNC] = "sync", [E_CUT] = "cut", [E_CUTS] = "cuts",
	[E_GROW] = "grow",
	[E_BEGIN] = "begin", [E_NEVER] = "never", [E_CANCEL] = "cancel", [E_SERVE] = "serve",
	[E_PIECE] = "piece", [E_END] = "end", [E_RESEND] = "resend", [E_START] = "start",
	[E_BASE] = "base", [E_APPLY] = "apply", [E_ACK] = "ack", [E_COLLECT] = "collect",
	[E_LATE] = "late", [E_LOST] = "lost", [E_NODE] = "node", [E_TICK] = "tick", [E_SEAL] = "seal",
	[E_KILL] = "kill",
	[E_CLOSE] = "close", [E_ATTACH] = "attach", [E_DETACH] = "detach", [E_OTHER] = "other",
	[E_FAIL] = "fail", [E_STORE] = "store", [E_MOVE] = "move",
};

void event_print(const struct event *e)
{
	printf("%s %x %x: kills %u, %u wbufs free, %u sealed, %u GETs\n", names[e->kind], e->a, e->b, world.kills,
	       world.store.wbufs.free, world.store.wbufs.sealed, world.store.cache.fetching);
}

static void call_print(const char *what, unsigned i, const struct call *c, const struct store_wait *wait,
		       uint32_t first, uint32_t count)
{
	if (c->used)
		printf("%s %u: inode %u cells %u+%u (chunk %u), begun %d, state %d\n", what, i, c->inode, first, count,
		       first / CHUNK_CELLS, c->begun, wait ? (int)wait->state : -1);
}

void world_print(void)
{
	for (unsigned i = 0; i < W_INODES; i++)
		printf("inode %u: epoch %llu of %llu, failed %d, opens %u, wbufs %u, entries %u, other %d, "
		       "fenced %d, cut %u, cells %u\n", i, (unsigned long long)world.disk[i].epoch,
		       (unsigned long long)world.region[i].epoch, (int)world.disk[i].failed,
		       world.inode[i].opens, world.inode[i].wbufs, world.inode[i].entries,
		       world.region[i].other, world.region[i].fenced,
		       world.region[i].cut_plus_1, world.region[i].cells);
	for (unsigned i = 0; i < JOURNAL_WBUFS; i++)
		if (world.wbuf[i].state)
			printf("wbuf %u: state %u inode %u chunk %llu pages %08x version %llx, wire %u\n", i,
			       world.wbuf[i].state, world.wbuf[i].inode, (unsigned long long)world.wbuf[i].chunk,
			       world.wbuf[i].pages, (unsigned long long)world.wbuf[i].version, world.wire[i].state);
	for (unsigned i = 0; i < JOURNAL_SPILL; i++)
		if (world.spill[i].state || world.spill[i].pages)
			printf("spilled %u: state %u inode %u chunk %llu pages %08x\n", i, world.spill[i].state,
			       world.spill[i].inode, (unsigned long long)world.spill[i].chunk, world.spill[i].pages);
	for (unsigned i = 0; i < CACHE_ENTRIES; i++) {
		const struct cache_entry *e = &world.store.cache.entries[i];

		if (e->inode)
			printf("entry %u: inode %u chunk %llu valid %08x want %08x asked %08x stale %08x late %08x "
			       "fetching %d served %d links %d\n", i, e->inode->nr, (unsigned long long)e->chunk,
			       e->valid, e->want, e->asked, e->stale, e->late, e->fetching, world.get[i].served,
			       !TAILQ_EMPTY(&e->links));
	}
	for (unsigned i = 0; i < W_READS; i++)
		call_print("READ", i, &world.reading[i].call, &world.reading[i].r.wait, world.reading[i].first,
			   world.reading[i].count);
	for (unsigned i = 0; i < W_WRITES; i++)
		call_print("WRITE", i, &world.writing[i].call, &world.writing[i].w.wait, world.writing[i].first,
			   world.writing[i].count);
	for (unsigned i = 0; i < W_SYNCS; i++)
		call_print("sync", i, &world.syncing[i].call, NULL, 0, world.syncing[i].cut_plus_1);
}
