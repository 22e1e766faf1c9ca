// SPDX-License-Identifier: GPL-2.0-or-later
/* nodes.c - the nodes, the writers' wires and the journal of world.h: store_env.h's part, and flush.h's. */
#include "world.h"

#include <errno.h>
#include <string.h>

unsigned node_of(unsigned inode, uint64_t chunk)
{
	unsigned node = world.striped >> inode & 1 ? (unsigned)(chunk % W_NODES) : inode;

	return (node + (world.moved[inode] >> chunk % 2 & 1)) % W_NODES;
}

bool node_has(unsigned inode, unsigned node)
{
	return node_of(inode, 0) == node || node_of(inode, 1) == node;
}

static const struct journal_wbuf *wbuf_of(unsigned inode, uint64_t chunk, unsigned page)
{
	const struct journal_wbuf *found = NULL;

	for (unsigned s = 0; s < JOURNAL_WBUFS; s++) {
		const struct journal_wbuf *js = &world.wbuf[s];

		if (js->state == WBUF_FREE || js->inode != inode || js->chunk != chunk || !(js->pages >> page & 1))
			continue;
		if (!found || js->state == WBUF_OPEN)
			found = js;
	}
	return found;
}

static const struct journal_spill *spill_of(unsigned inode, uint64_t chunk, unsigned page)
{
	for (unsigned i = 0; i < JOURNAL_SPILL; i++) {
		const struct journal_spill *d = &world.spill[i];

		if (d->state == SPILL_TAKEN && d->inode == inode && d->chunk == chunk && d->pages >> page & 1)
			return d;
	}
	return NULL;
}

uint32_t cell_reads(unsigned inode, uint32_t cell)
{
	const struct region *reg = &world.region[inode];
	uint32_t c = cell / CHUNK_CELLS, at = cell % CHUNK_CELLS, value;
	const struct journal_wbuf *js = wbuf_of(inode, c, at / PAGE_CELLS);
	const struct journal_spill *d = spill_of(inode, c, at / PAGE_CELLS);
	uint64_t entry = reg->index[c];

	if (d) {
		memcpy(&value, world.spill_data + (size_t)(d - world.spill) * GVM_CHUNK_BYTES + at * CELL_BYTES,
		       sizeof(value));
		return value;
	}
	if (js) {
		memcpy(&value, world.wbuf_data + (size_t)(js - world.wbuf) * GVM_CHUNK_BYTES + at * CELL_BYTES,
		       sizeof(value));
		return value;
	}
	return !entry || entry & GVM_VERSION_ZERO ? 0 : reg->node[c].content[at];
}

uint64_t seal_new(const uint32_t *cells)
{
	for (unsigned i = 0; i < PAGE_CELLS; i++)
		if (cells[i])
			return SEAL_ZERO + ++world.next_seal;
	return SEAL_ZERO;
}

bool seal_believe(unsigned inode, uint64_t chunk, unsigned page, uint64_t seal)
{
	uint64_t *known = &world.region[inode].known[chunk].page[page];

	if (*known == SEAL_UNKNOWN && world.disk[inode].epoch)
		*known = seal;
	return !world.disk[inode].epoch || *known == seal;
}

/* As memnode/daemon/chunk.c does. False: that is no answer to it, but a fault of ours. */
bool node_apply(const struct put *put, int *result)
{
	struct region *reg = &world.region[put->inode];
	uint64_t held = reg->node[put->chunk].version;
	uint32_t *content = reg->node[put->chunk].content;

	*result = 0;
	if (put->epoch < reg->epoch) {
		*result = -EKEYREVOKED;
		return reg->fenced || reg->other;
	}
	if (put->chunk >= reg->node_chunks[node_of(put->inode, put->chunk)]) {
		*result = -EINVAL;
		return false;
	}
	if (put->version < held) {
		*result = -ESTALE;
		return false;
	}
	if (put->version > held && put->base && put->base != held) {
		*result = -EREMCHG;
		return true;
	}
	for (unsigned i = 0; i < CHUNK_CELLS; i++) {
		bool listed = put->pages >> i / PAGE_CELLS & 1;
		uint32_t value = listed ? put->content[i] : put->whole ? 0 : content[i];

		if (put->version == held && value != content[i])
			world_wrong("one version is given to two contents");
		content[i] = value;
	}
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
		uint64_t *seal = &reg->node[put->chunk].seal[p];

		if (!(put->pages >> p & 1) && !put->whole)
			continue;
		if (world.sealed && put->version == held && *seal != (put->pages >> p & 1 ? put->seal[p] : SEAL_ZERO))
			world_wrong("one version is sealed twice");
		*seal = put->pages >> p & 1 ? put->seal[p] : SEAL_ZERO;
	}
	reg->node[put->chunk].version = put->version;
	return true;
}

/* ---- store_env.h */

static const struct journal_inode *env_disk(struct store *s, const struct inode *inode)
{
	static struct journal_inode disk = { .rec.size_bytes = W_CHUNKS * GVM_CHUNK_BYTES,
					     .rec.node_count = W_NODES };

	(void)s;
	disk.epoch = world.disk[inode->nr].epoch;
	disk.failed = world.disk[inode->nr].failed;
	disk.cut_version = world.disk[inode->nr].cut_version;
	disk.rec.size_bytes = (uint64_t)world.region[inode->nr].cells * CELL_BYTES;
	return &disk;
}

static uint64_t env_index(struct store *s, const struct inode *inode, uint64_t chunk)
{
	(void)s;
	return world.region[inode->nr].index[chunk];
}

static void env_index_set(struct store *s, struct inode *inode, uint64_t chunk, uint64_t entry)
{
	(void)s;
	world_call();
	world.region[inode->nr].index[chunk] = entry;
	world_call();
}

static void env_seals_set(struct store *s, struct inode *inode, const struct flush *f)
{
	struct region *reg = &world.region[inode->nr];

	(void)s;
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
		if (f->seals.page[p] == SEAL_UNKNOWN)
			continue;
		world_call();
		reg->known[f->chunk].page[p] = f->seals.page[p];
	}
}

static struct inode *env_inode(struct store *s, unsigned nr)
{
	(void)s;
	return &world.inode[nr];
}

static const void *env_node(struct store *s, struct inode *inode, uint64_t chunk)
{
	(void)s;
	return &world.dead[node_of(inode->nr, chunk)];
}

static void env_idle(struct store *s, struct inode *inode)
{
	(void)s;
	(void)inode;
}

static void env_fail(struct store *s, struct inode *inode, uint64_t chunk, int error)
{
	(void)chunk;
	if (world.disk[inode->nr].failed)
		return;
	world_call();
	world.disk[inode->nr].failed = (uint32_t)error;
	store_fail(s, inode);
}

static void env_report(struct store *s, struct inode *inode, uint64_t chunk, const char *what, int error)
{
	(void)what;
	if (error == -EKEYREVOKED)
		env_fail(s, inode, chunk, error);
}

static bool env_resident_page(struct store *s, struct inode *inode, uint64_t chunk, unsigned page, uint8_t *to)
{
	(void)s;
	(void)inode;
	(void)chunk;
	(void)page;
	(void)to;
	return false;
}

static void env_get(struct store *s, struct cache_entry *e, unsigned want_page)
{
	struct get *get = &world.get[e - s->cache.entries];

	(void)want_page;
	world_call();
	if (get->under_way)
		world_wrong("a second GET for an entry");
	*get = (struct get){ .under_way = true, .left = e->asked };
}

/* Of every other chunk all that the node has sent is here, and was given to another thread. */
static void env_hurry(struct store *s, struct cache_entry *e)
{
	const struct get *get = &world.get[e - s->cache.entries];

	if (e->chunk % 2 && get->under_way && get->served && get->left)
		pages_come(e, get->left);
}

static struct wire *wire_of(const struct flush *f)
{
	return &world.wire[(const struct wbuf *)f - world.store.wbufs.wbuf];
}

static void env_send(struct store *s, struct inode *inode, struct flush *f)
{
	(void)s;
	world_call();
	if (wire_of(f)->state != WIRE_FREE)
		world_wrong("a wbuf is given to a second writer");
	wire_of(f)->state = WIRE_QUEUED;
	wire_of(f)->put.inode = inode->nr;
	memset(&f->seals, 0, sizeof(f->seals));
	f->env = &world_flush;
}

static uint64_t env_deadline(struct store *s)
{
	(void)s;
	return world.timeout ? world.now + W_TIMEOUT_NS : 0;
}

static uint64_t env_now(struct store *s)
{
	(void)s;
	return world.now;
}

const struct store_env world_env = {
	.disk = env_disk, .index = env_index, .index_set = env_index_set, .seals_set = env_seals_set,
	.inode = env_inode, .node = env_node,
	.idle = env_idle, .report = env_report, .fail = env_fail, .resident_page = env_resident_page,
	.get = env_get, .hurry = env_hurry, .send = env_send, .deadline = env_deadline, .now = env_now,
};

/* ---- flush.h: a writer's wire. Blocks are single pages. */

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
	return wire_of(f)->scratch;
}

static int flush_read(struct flush *f, unsigned first, unsigned n, uint8_t *to)
{
	(void)f;
	(void)first;
	(void)n;
	(void)to;
	return -EIO; /* nothing is evicted here */
}

static int flush_encode(struct flush *f, const uint8_t *from, uint32_t blocks)
{
	static const uint8_t zeros[GVM_PAGE_BYTES];
	struct put *put = &wire_of(f)->put;

	put->pages = blocks;
	f->head.zero_map = f->head.block_mask = f->head.body_bytes = 0;
	memcpy(put->content, from, GVM_CHUNK_BYTES);
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		if (blocks >> p & 1 && !memcmp(from + p * GVM_PAGE_BYTES, zeros, GVM_PAGE_BYTES))
			f->head.zero_map |= 1u << p;
	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++)
		put->seal[p] = blocks >> p & 1 ? seal_new(put->content + p * PAGE_CELLS) : SEAL_UNKNOWN;
	return 0;
}

static int flush_compose(struct flush *f)
{
	struct wire *wire = wire_of(f);

	for (unsigned p = 0; p < GVM_CHUNK_PAGES; p++) {
		if (!(wire->based & ~wire->put.pages & 1u << p))
			continue;
		memcpy(wire->put.content + p * PAGE_CELLS, wire->base.content + p * PAGE_CELLS, GVM_PAGE_BYTES);
		wire->put.seal[p] = wire->base.seal[p];
		if (wire->put.seal[p] == SEAL_ZERO)
			f->head.zero_map |= 1u << p;
	}
	wire->put.pages |= wire->based;
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
	wire_of(f)->based = 0;
	wire_of(f)->state = WIRE_GETTING;
	return 0;
}

static int flush_send(struct flush *f, uint64_t base)
{
	struct wire *wire = wire_of(f);

	wire->put.chunk = f->chunk;
	wire->put.version = f->version;
	wire->put.base = base & GVM_VERSION_MASK;
	wire->put.epoch = f->epoch;
	wire->put.whole = !base;
	for (unsigned p = 0; p < GVM_CHUNK_PAGES && f->sealed; p++)
		f->seals.page[p] = wire->put.pages >> p & 1 ? wire->put.seal[p] : wire->put.whole ? SEAL_ZERO : SEAL_UNKNOWN;
	wire->state = WIRE_SENT;
	return 0;
}

static void flush_end(struct flush *f, int result)
{
	f->result = result;
	wire_of(f)->state = WIRE_FINISHED;
}

static void flush_again(struct flush *f)
{
	wire_of(f)->state = WIRE_QUEUED;
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
