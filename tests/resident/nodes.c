// SPDX-License-Identifier: GPL-2.0-or-later
/* nodes.c - the node, the writers' wires and the journal of world.h. */
#include "world.h"

#include <errno.h>
#include <string.h>

uint64_t node_read(uint32_t page)
{
	uint64_t c = page / GVM_CHUNK_PAGES, entry = world.index[c];

	if (!entry || entry & GVM_VERSION_ZERO)
		return 0;
	return world.node[c].rotten >> page % GVM_CHUNK_PAGES & 1 ? W_ROTTEN : world.node[c].content[page % GVM_CHUNK_PAGES];
}

bool seal_believe(uint64_t c, unsigned page, uint64_t seal)
{
	uint64_t *known = &world.known[c].page[page];

	if (*known == SEAL_UNKNOWN)
		*known = seal;
	return *known == seal;
}

bool nodes_have_seal(uint64_t c, unsigned page, uint64_t known)
{
	return world.node[c].seal[page] == known;
}

/* As memnode/daemon/entry.c does. False: that is no answer to it, but a fault of ours. */
bool node_apply(const struct put *put, int *result)
{
	uint64_t held = world.node[put->chunk].version;

	*result = 0;
	if (put->epoch != W_EPOCH) {
		*result = -EKEYREVOKED;
		return false;
	}
	if (put->version == held) {
		for (unsigned p = 0; p < GVM_CHUNK_PAGES && world.sealed; p++)
			if (put->pages >> p & 1 && put->seal[p] != world.node[put->chunk].seal[p])
				world_wrong("one version is sealed twice");
		return true;
	}
	if (put->version < held) {
		*result = -ESTALE;
		return false;
	}
	if (put->base && put->base != held) {
		*result = -EREMCHG;
		return true;
	}
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
		if (put->pages >> p & 1)
			world.node[put->chunk].seal[p] = put->seal[p];
		else if (put->whole)
			world.node[put->chunk].seal[p] = SEAL_ZERO;
		if (put->pages >> p & 1)
			world.node[put->chunk].content[p] = put->content[p];
		else if (put->whole)
			world.node[put->chunk].content[p] = 0;
	}
	world.node[put->chunk].rotten &= put->whole ? 0 : ~put->pages;
	world.node[put->chunk].version = put->version;
	return true;
}

static struct write *write_of(const struct flush *f)
{
	return &world.write[(const struct eviction *)f - world.rs.evictions];
}

void env_get(struct resident *r, struct resident_fetch *f, unsigned want_page)
{
	struct get *get = &world.get[f - r->rs->fetches];

	(void)want_page;
	if (f->replay && r->local < r->chunks * GVM_CHUNK_PAGES && !r->pinned &&
	    r->here + r->coming + 2 * resident_headroom(r) > r->local)
		world.wrong = "a chunk is replayed for which others have to go";
	world_call();
	*get = (struct get){ .under_way = true, .left = f->asked };
}

static void pages_come(struct get *get, struct resident_fetch *f, uint32_t pages)
{
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		if (pages >> p & 1)
			memcpy(f->data + p * GVM_PAGE_BYTES, &get->content[p], GVM_PAGE_BYTES);
	for (unsigned p = 0; p < GVM_CHUNK_PAGES && world.sealed; p++)
		if (pages >> p & 1 && !seal_believe(f->chunk, p, get->seal[p]))
			world_wrong("an honest node's answer is refused");
	get->left &= ~pages;
	resident_piece(f, pages);
}

/* Of every other chunk all that the node has sent is here, and was given to another thread. */
void env_hurry(struct resident *r, struct resident_fetch *f)
{
	struct get *get = &world.get[f - r->rs->fetches];

	if (f->chunk % 2 && get->under_way && get->served && !get->cancelled && get->left)
		pages_come(get, f, get->left);
}

void env_gather(struct resident *r, bool on)
{
	(void)r;
	(void)on;
}

void env_get_cancel(struct resident *r, struct resident_fetch *f)
{
	struct get *get = &world.get[f - r->rs->fetches];

	if (!get->under_way || get->cancelled)
		world_wrong("a GET is cancelled that has ended");
	if (get->served && get->left) { /* another thread is at it */
		get->cancelled = true;
		return;
	}
	get->under_way = false;
	resident_fetched(f, -ECANCELED);
}

uint64_t env_deadline(const struct resident *r)
{
	(void)r;
	return 0;
}

void env_send(struct resident *r, struct flush *f)
{
	(void)r;
	world_call();
	f->sealed = world.sealed;
	memset(&f->seals, 0, sizeof(f->seals));
	write_of(f)->state = W_QUEUED;
}

void env_seals_set(struct resident *r, const struct flush *f)
{
	(void)r;
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
		if (f->seals.page[p] == SEAL_UNKNOWN)
			continue;
		world_call();
		world.known[f->chunk].page[p] = f->seals.page[p];
	}
}

void env_index(struct resident *r, uint64_t c, uint64_t entry)
{
	(void)r;
	world_call();
	world.index[c] = entry;
	world_call();
}

/* A writer's wire. Blocks are single pages. */

uint32_t chunk_blocks_of_pages(unsigned shift, uint32_t pages)
{
	(void)shift;
	return pages;
}

uint32_t chunk_pages_of_blocks(unsigned shift, uint32_t blocks)
{
	(void)shift;
	return blocks;
}

static uint8_t *flush_scratch(const struct flush *f)
{
	return write_of(f)->scratch;
}

static int flush_read(struct flush *f, unsigned first, unsigned n, uint8_t *to)
{
	env_read(&world.r, to, f->chunk * GVM_CHUNK_BYTES + first * GVM_PAGE_BYTES, n * GVM_PAGE_BYTES);
	return 0;
}

static int flush_encode(struct flush *f, const uint8_t *from, uint32_t blocks)
{
	struct put *put = &write_of(f)->put;

	put->pages = blocks;
	f->head.zero_map = f->head.block_mask = f->head.body_bytes = 0;
	memcpy(put->content, from, GVM_CHUNK_BYTES);
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		if (blocks >> p & 1 && !put->content[p])
			f->head.zero_map |= 1u << p;
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		put->seal[p] = blocks >> p & 1 ? seal_new(put->content[p]) : SEAL_UNKNOWN;
	return 0;
}

static int flush_compose(struct flush *f)
{
	struct write *w = write_of(f);

	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
		if (!(w->based & ~w->put.pages & 1u << p))
			continue;
		w->put.content[p] = w->base.content[p];
		w->put.seal[p] = w->base.seal[p];
		if (w->put.seal[p] == SEAL_ZERO)
			f->head.zero_map |= 1u << p;
	}
	w->put.pages |= w->based;
	return 0;
}

static int flush_lose(struct flush *f)
{
	(void)f;
	world_wrong("pages are given up that the node has");
	return 0;
}

static bool flush_is_dry(const struct flush *f)
{
	(void)f;
	return false;
}

static int flush_get(struct flush *f, uint32_t pages)
{
	(void)pages;
	write_of(f)->based = 0;
	write_of(f)->state = W_GETTING;
	return 0;
}

static int flush_send(struct flush *f, uint64_t base)
{
	struct write *w = write_of(f);

	w->put.chunk = f->chunk;
	w->put.version = f->version;
	w->put.base = base & GVM_VERSION_MASK;
	w->put.epoch = f->epoch;
	w->put.whole = !base;
	for (unsigned p = 0; p < GVM_CHUNK_PAGES && f->sealed; p++)
		f->seals.page[p] = w->put.pages >> p & 1 ? w->put.seal[p] : w->put.whole ? SEAL_ZERO : SEAL_UNKNOWN;
	w->state = W_SENT;
	return 0;
}

static void flush_end(struct flush *f, int result)
{
	f->result = result;
	write_of(f)->state = W_FINISHED;
}

static void flush_again(struct flush *f)
{
	write_of(f)->state = W_QUEUED;
}

const struct flush_env world_flush = {
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

/* ---- what world.c asks of the nodes */

static bool serve(const struct event *e)
{
	struct get *get = &world.get[e->a];
	struct resident_fetch *f = &world.rs.fetches[e->a];

	if (!get->under_way || get->served)
		return false;
	if (e->b || f->asked & world.node[f->chunk].rotten) {
		get->under_way = false;
		resident_fetched(f, e->b ? -(int)e->b : -EBADMSG);
		return true;
	}
	if (world.node[f->chunk].version < (world.index[f->chunk] & GVM_VERSION_MASK))
		world_wrong("a GET of a version that no node has");
	get->served = true;
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		get->content[p] = world.node[f->chunk].content[p];
	memcpy(get->seal, world.node[f->chunk].seal, sizeof(get->seal));
	return true;
}

static bool piece(const struct event *e)
{
	struct get *get = &world.get[e->a];
	uint32_t pages = get->left & e->b;

	if (!get->under_way || !get->served || !pages)
		return false;
	pages_come(get, &world.rs.fetches[e->a], pages);
	return true;
}

static bool end(const struct event *e)
{
	struct get *get = &world.get[e->a];

	if (!get->under_way || !get->served || (get->left && !get->cancelled))
		return false;
	get->under_way = false;
	resident_fetched(&world.rs.fetches[e->a], get->cancelled ? -ECANCELED : 0);
	return true;
}

static bool resend(const struct event *e)
{
	struct get *get = &world.get[e->a];

	if (!get->under_way || !get->served || get->cancelled)
		return false;
	get->served = false;
	get->left = world.rs.fetches[e->a].asked;
	return true;
}

static struct flush *flush_nth(unsigned i)
{
	return &world.rs.evictions[i].flush;
}

static bool start(const struct event *e)
{
	if (world.write[e->a].state != W_QUEUED)
		return false;
	flush_nth(e->a)->env = &world_flush;
	flush_start(flush_nth(e->a));
	return true;
}

static bool base(const struct event *e)
{
	struct write *w = &world.write[e->a];
	struct flush *f = flush_nth(e->a);

	if (w->state != W_GETTING)
		return false;
	if (e->b || f->asked & world.node[f->chunk].rotten) {
		flush_fetched(f, e->b ? -(int)e->b : -EBADMSG);
		return true;
	}
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
		uint64_t known = world.known[f->chunk].page[p];

		if (!(f->asked >> p & 1))
			continue;
		memcpy(w->scratch + p * GVM_PAGE_BYTES, &world.node[f->chunk].content[p], GVM_PAGE_BYTES);
		w->base.content[p] = world.node[f->chunk].content[p];
		w->base.seal[p] = world.node[f->chunk].seal[p];
		if (world.sealed && known != SEAL_UNKNOWN && known != w->base.seal[p])
			world_wrong("an honest node's base is refused");
	}
	w->based |= f->asked;
	flush_piece(f, f->asked, 0);
	flush_fetched(f, 0);
	return true;
}

static bool apply(const struct event *e)
{
	struct write *w = &world.write[e->a];

	if (w->state != W_SENT)
		return false;
	w->state = W_ANSWERED;
	w->result = -(int)e->b;
	if (!e->b && !node_apply(&w->put, &w->result))
		world_wrong("a PUT that the node refuses for good");
	if (!w->result)
		world.ours[w->put.chunk] |= w->put.pages;
	return true;
}

static bool ack(const struct event *e)
{
	struct write *w = &world.write[e->a];

	if (w->state != W_ANSWERED)
		return false;
	flush_sent(flush_nth(e->a), w->result);
	return true;
}

/* b: some of its nodes have not taken it, and the view was changed: it is to go to all of them again. */
static bool collect(const struct event *e)
{
	bool some = false;

	for (unsigned i = 0; i < W_EVICTIONS; i++)
		if (world.write[i].state == W_FINISHED) {
			world.write[i].state = W_FREE;
			if (e->b && !flush_nth(i)->clean && !flush_nth(i)->result)
				flush_nth(i)->result = -EAGAIN;
			resident_flushed(flush_nth(i));
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

static bool rot(const struct event *e)
{
	uint64_t c = e->a, entry = world.index[c];
	bool news;

	if (!entry || entry & GVM_VERSION_ZERO || world.node[c].version != entry || world.mark[c].filled != ~0u ||
	    world.node[c].rotten || world.failed || world.aborted)
		return false;
	world.node[c].rotten = e->b;
	resident_rotten(&world.r, c, &news);
	return true;
}

void nodes_init(void)
{
	for (unsigned c = 0; c < W_CHUNKS; c++)
		for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
			world.node[c].seal[p] = SEAL_ZERO;
}

void nodes_fill(uint32_t page, uint64_t value)
{
	uint64_t c = page / GVM_CHUNK_PAGES;

	world.node[c].version = world.index[c];
	world.node[c].content[page % GVM_CHUNK_PAGES] = value;
	world.node[c].seal[page % GVM_CHUNK_PAGES] = seal_new(value);
}

void nodes_begin(void)
{
	memset(world.get, 0, sizeof(world.get));
	memset(world.write, 0, sizeof(world.write));
}

void nodes_killed(void)
{
	for (unsigned i = 0; i < W_EVICTIONS; i++)
		if (world.write[i].state == W_SENT && world.lates < W_LATE)
			world.late[world.lates++] = world.write[i].put;
}

void nodes_turn(void)
{
}

void nodes_lose(void)
{
}

uint64_t nodes_due(void)
{
	return ~0ull;
}

unsigned node_copies(uint32_t page, uint64_t content[W_COPIES])
{
	content[0] = node_read(page);
	return 1;
}

const char *nodes_check(void)
{
	return NULL;
}

void nodes_print(void)
{
}

bool nodes_event(const struct event *e)
{
	switch (e->kind) {
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
	case E_ROT: return rot(e);
	default: return false;
	}
}

const unsigned nodes_idle = 40;

bool nodes_are_done(void)
{
	return true;
}

bool nodes_settle(unsigned which)
{
	static const struct { enum event_kind kind; unsigned count; } all[NODES_STEPS] = {
		{ E_SERVE, W_FETCHES }, { E_PIECE, W_FETCHES }, { E_END, W_FETCHES }, { E_START, W_EVICTIONS },
		{ E_BASE, W_EVICTIONS }, { E_APPLY, W_EVICTIONS }, { E_ACK, W_EVICTIONS }, { E_COLLECT, 1 }, { E_LOST, W_LATE },
	};

	return world_any(all[which].kind, all[which].count);
}
