// SPDX-License-Identifier: GPL-2.0-or-later
/* bound.c - what gvmfs/store/watch.c and memnode/daemon/watch.c call, in world.h. */
#include "world.h"

#include "base/log.h"
#include "node/owner.h"
#include "node/pool.h"
#include "node/region.h"

#include <errno.h>

_Static_assert(sizeof(world.bytes[0]) >= sizeof(struct watch) && sizeof(world.bytes[0]) >= sizeof(struct gvm_call),
	       "a block of the heap is too small");

const struct sim_heap sim_heap = {
	.used = world.used, .bytes = world.bytes[0], .block_bytes = sizeof(world.bytes[0]), .blocks = W_BLOCKS,
};

uint64_t gvm_now_ns(void)
{
	return world.now;
}

uint64_t gvm_boottime_ns(void)
{
	return world.now;
}

void log_put(struct gvm_log_site *site, int level, const char *object, const char *fmt, ...)
{
	(void)site;
	(void)level;
	(void)object;
	(void)fmt;
}

bool region_is_attached(const struct inode *inode)
{
	return inode->disk->epoch != 0;
}

void inode_reap(struct inodes *in, unsigned nr)
{
	(void)in;
	(void)nr;
}

uint8_t owner_judge(const struct record_owner *self, uint8_t writer, const struct gvm_bytes32 *host,
		    const struct gvm_id *process)
{
	(void)self;
	(void)host;
	(void)process;
	return writer;
}

struct gvm_conn *pool_node(struct pool *pool, const struct record_node *node)
{
	(void)node;
	return (struct gvm_conn *)pool; /* not looked into */
}

void gvm_region_open(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_region_open_req *what)
{
	(void)conn;
	if (world.messages == W_MESSAGES) {
		world_wrong("the node is asked without end");
		return;
	}
	world.message[world.messages++] = (struct message){
		.kind = what->mode == 2 ? M_WATCH : M_TELL, .call = call, .what = *what,
	};
}

uint32_t range_pages(const struct pagecache_range *r)
{
	uint32_t pages = 0;

	for (uint32_t p = 0; p < W_PAGES; p++)
		if (!r->size || (p * GVM_PAGE_BYTES < r->off + r->size && (p + 1) * GVM_PAGE_BYTES > r->off))
			pages |= 1u << p;
	return pages;
}

int pagecache_invalidate(struct worker *w, struct inode *inode, const struct pagecache_range *ranges,
			 unsigned count, struct pagecache_ask *ask)
{
	(void)w;
	(void)inode;
	if (world.clearing.ask)
		world_wrong("a second invalidation is begun");
	if (world.full) {
		world.full = false;
		return -EAGAIN;
	}
	world.clearing.ask = ask;
	world.clearing.pages = 0;
	for (unsigned i = 0; i < count; i++)
		world.clearing.pages |= range_pages(&ranges[i]);
	return 0;
}
