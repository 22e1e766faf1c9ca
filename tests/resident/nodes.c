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

uint64_t seal_new(uint64_t content)
{
	return content ? SEAL_ZERO + ++world.next_seal : SEAL_ZERO;
}

bool seal_believe(uint64_t c, unsigned page, uint64_t seal)
{
	uint64_t *known = &world.known[c].page[page];

	if (*known == SEAL_UNKNOWN)
		*known = seal;
	return *known == seal;
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
	world_call();
	*get = (struct get){ .under_way = true, .left = f->asked };
}

void env_get_cancel(struct resident *r, struct resident_fetch *f)
{
	world.get[f - r->rs->fetches].under_way = false;
	resident_fetched(f, -ECANCELED);
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

const char *env_name(const struct resident *r)
{
	(void)r;
	return "world";
}

uint64_t env_epoch(const struct resident *r)
{
	(void)r;
	return W_EPOCH;
}

bool env_failed(const struct resident *r)
{
	(void)r;
	return world.failed;
}

bool env_unwanted(const struct resident *r)
{
	(void)r;
	return world.unwanted;
}

void env_changed(struct resident *r)
{
	(void)r;
}

void env_report(struct resident *r, uint64_t c, const char *what, int error)
{
	(void)what;
	if (error == -EKEYREVOKED)
		env_fail(r, c, error);
}

void env_fail(struct resident *r, uint64_t c, int error)
{
	(void)c;
	(void)error;
	if (world.failed)
		return;
	world.failed = true;
	resident_abort(r, "the region has failed");
}

void env_close(struct resident *r)
{
	world.closed = true;
	world.rs.list[0] = NULL;
	world.rs.count--;
	resident_ios_end(r);
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
	.get = flush_get,
	.send = flush_send,
	.is_dry = flush_is_dry,
	.end = flush_end,
	.again = flush_again,
};
