// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fuzz_ivy.c - any bytes as messages, and any events, against one node of the kernel mode.
 *
 * Input: a byte of setup (which node this is), then events: a byte of kind, and what it needs. A
 * message is its 40 bytes of header, with what a well-formed one could not have otherwise put
 * right half of the time, then its list. What ivy_msg_check() lets through must survive being
 * packed again; whatever the core does then, its own tables must agree with each other, it may send
 * only well-formed messages, and all memory must come back at the end.
 */
#include "tests/fuzz/fuzz.h"
#include "kmod/ivy/impl.h"
#include "kmod/ivy/ivy.h"

#define NODES 5u
#define PAGES 4u

struct page {
	struct ivy_slot slot;
	bool resident, revoking;
	u8 mapped, to;
};

static struct {
	u64 now;
	u32 short_of_memory; /* every so many allocations fail; 0: none */
	u32 asked;
	size_t memory;
	bool sweep, ending;
	struct page pages[PAGES];
} host;

/* ---- the environment ---- */

static void f_send(void *ctx, u16 dst, const struct ivy_msg *m, const void *data)
{
	static u8 whole[IVY_MSG_MAX];
	size_t bytes = ivy_msg_pack(m, whole);

	(void)ctx;
	(void)data;
	FUZZ_CHECK(dst < NODES);
	if (m->flags & IVY_F_PAGE) {
		FUZZ_CHECK(data || host.pages[m->page].resident);
		bytes += IVY_PAGE_BYTES;
	}
	FUZZ_CHECK(bytes <= IVY_MSG_MAX && !ivy_msg_check(whole, bytes, NODES, PAGES));
}

static int f_revoke(void *ctx, u64 page, enum ivy_right right, u64 deadline)
{
	struct page *p = &host.pages[page];

	(void)ctx;
	(void)deadline;
	FUZZ_CHECK(p->resident && p->slot.right <= right);
	FUZZ_CHECK(!p->revoking || right <= p->to);
	if (p->mapped <= right && !p->revoking)
		return 1;
	p->revoking = true;
	p->to = (u8)right;
	return 0;
}

static void f_sweep(void *ctx, u64 deadline)
{
	(void)ctx;
	(void)deadline;
	host.sweep = true;
}

static void f_ending(void *ctx)
{
	(void)ctx;
	host.ending = true;
}

static void f_install(void *ctx, u64 page, const void *data)
{
	(void)ctx;
	(void)data;
	FUZZ_CHECK(page < PAGES && host.pages[page].resident && !host.pages[page].revoking);
}

static void f_complete(void *ctx, u64 page, int err)
{
	(void)ctx;
	FUZZ_CHECK(page < PAGES && (!err || err == -EIO));
}

static void f_arm_hold(void *ctx, u64 page, u64 ns)
{
	(void)ctx;
	FUZZ_CHECK(host.pages[page].resident && ns <= 1000000);
}

static u64 f_now(void *ctx)
{
	(void)ctx;
	return host.now;
}

static void *f_alloc(void *ctx, size_t bytes)
{
	(void)ctx;
	if (host.short_of_memory && ++host.asked % host.short_of_memory == 0)
		return NULL;
	host.memory += bytes;
	return calloc(1, bytes);
}

static void f_free(void *ctx, void *p, size_t bytes)
{
	(void)ctx;
	host.memory -= bytes;
	free(p);
}

static void f_lost(void *ctx, u64 page)
{
	(void)ctx;
	FUZZ_CHECK(page < PAGES);
}

static struct ivy_slot *f_slot_get(void *ctx, u64 page)
{
	(void)ctx;
	FUZZ_CHECK(page < PAGES);
	return host.pages[page].resident ? &host.pages[page].slot : NULL;
}

static struct ivy_slot *f_slot_new(void *ctx, u64 page)
{
	struct page *p = &host.pages[page];

	(void)ctx;
	FUZZ_CHECK(!p->resident && !p->mapped);
	if (host.short_of_memory && ++host.asked % host.short_of_memory == 0)
		return NULL;
	memset(p, 0, sizeof(*p));
	p->resident = true;
	return &p->slot;
}

static void f_slot_free(void *ctx, u64 page)
{
	struct page *p = &host.pages[page];

	(void)ctx;
	/* The one promise that no peer, however hostile, may break. */
	FUZZ_CHECK(p->resident && !p->mapped && !p->revoking);
	p->resident = false;
}

static bool f_slot_next(void *ctx, u64 *page)
{
	(void)ctx;
	for (; *page < PAGES; ++*page)
		if (host.pages[*page].resident)
			return true;
	return false;
}

static const struct ivy_env env = {
	.send = f_send,
	.revoke = f_revoke,
	.sweep = f_sweep,
	.ending = f_ending,
	.install = f_install,
	.complete = f_complete,
	.arm_hold = f_arm_hold,
	.now = f_now,
	.alloc = f_alloc,
	.free = f_free,
	.lost = f_lost,
	.slot_get = f_slot_get,
	.slot_new = f_slot_new,
	.slot_free = f_slot_free,
	.slot_next = f_slot_next,
};

/* ---- what must hold ---- */

static void home_check(struct ivy *c, u64 page)
{
	const struct ivy_home *h = ivy_dir_entry(c, page, false);
	u16 id, members = 0;

	if (!h)
		return;
	FUZZ_CHECK(h->ver && (h->owner == IVY_NONE || h->owner < NODES));
	for (id = ivy_set_next(&h->set, 0); id != IVY_NONE; id = ivy_set_next(&h->set, id + 1)) {
		FUZZ_CHECK(id < NODES && id != h->owner);
		members++;
	}
	FUZZ_CHECK(members == h->set.n);
	FUZZ_CHECK(!h->txn || (h->txn->home == h && h->txn->page == page));
	FUZZ_CHECK(!h->txn || h->txn->phase != IVY_PH_INV || h->set.n);
}

static void core_check(struct ivy *c)
{
	u32 i, slots = 0;
	u64 page;

	for (page = 0; page < PAGES; page++) {
		const struct page *p = &host.pages[page];

		home_check(c, page);
		slots += p->resident && ivy_home(c, page) == 1 && c->p.id != 1;
		FUZZ_CHECK(p->resident || !p->mapped);
		/* More is mapped than allowed only while it is being undone. */
		FUZZ_CHECK(!p->resident || p->mapped <= p->slot.right || p->revoking);
		FUZZ_CHECK(!p->resident || p->revoking == !!(p->slot.flags & IVY_SLOT_REVOKING));
	}
	for (i = 0; i < NODES; i++) {
		const struct ivy_peer *peer = ivy_peer_get(c, (u16)i);

		FUZZ_CHECK(!peer || i != 1 || peer->my_slots == slots);
	}
	FUZZ_CHECK(!c->ring_n && !c->holds);
}

/* ---- events ---- */

static void message(struct ivy *c, struct fuzz_input *in)
{
	static u8 whole[IVY_MSG_MAX], again[IVY_MSG_MAX];
	u32 tidy = (u32)fuzz_take(in, 1), i;
	int bytes;
	struct ivy_msg m;
	const u8 *page;

	for (i = 0; i < IVY_HDR_BYTES; i++)
		whole[i] = 0;
	whole[0] = (u8)(fuzz_take(in, 1) % (tidy & 1 ? IVY_TYPES : 256));
	whole[1] = (u8)fuzz_take(in, 1);
	whole[2] = (u8)(fuzz_take(in, 1) % (tidy & 1 ? NODES : 256));
	whole[4] = (u8)(fuzz_take(in, 1) % (tidy & 1 ? NODES : 256));
	whole[6] = (u8)(fuzz_take(in, 1) % 12);
	whole[8] = (u8)(fuzz_take(in, 1) % (tidy & 1 ? PAGES : 256));
	/* Small numbers meet those that are in use. */
	for (i = 16; i < 40; i += 8)
		whole[i] = (u8)fuzz_take(in, 1);
	whole[30] = (u8)(fuzz_take(in, 1) % (NODES + 1));
	if (tidy & 2)
		memset(whole + 16, 0xff, 8);
	bytes = ivy_msg_bytes(whole);
	FUZZ_CHECK(bytes == -EBADMSG || (bytes >= (int)IVY_HDR_BYTES && bytes <= (int)IVY_MSG_MAX));
	if (bytes < 0)
		return;
	for (i = IVY_HDR_BYTES; i < IVY_HDR_BYTES + whole[6] * ivy_entry_bytes(whole[0]); i++)
		whole[i] = (u8)fuzz_take(in, 1) % 8;
	if (ivy_msg_check(whole, (size_t)bytes, NODES, PAGES))
		return;
	page = ivy_msg_unpack(whole, &m);
	FUZZ_CHECK(ivy_msg_pack(&m, again) == (size_t)bytes - (page ? IVY_PAGE_BYTES : 0));
	FUZZ_CHECK(!memcmp(again, whole, ivy_msg_pack(&m, again)));
	ivy_rx(c, &m, page);
}

static void page_revoked(struct ivy *c, u64 page)
{
	struct page *p = &host.pages[page];

	if (!p->revoking)
		return;
	p->revoking = false;
	if (p->mapped > p->to)
		p->mapped = p->to;
	ivy_revoked(c, page);
}

/* A sweep that is due, and some of what follows one. */
static void ending(struct ivy *c)
{
	u64 page;

	for (page = 0; host.sweep && page < PAGES; page++)
		host.pages[page].mapped = IVY_I;
	host.ending |= host.sweep;
	host.sweep = false;
	if (host.ending)
		host.ending = ivy_ending(c);
}

static void page_fault(struct ivy *c, u64 page, bool write)
{
	if (ivy_fault(c, page, write ? IVY_WRITE : IVY_READ) != 1)
		return;
	FUZZ_CHECK(ivy_right(c, page) >= (write ? IVY_M : IVY_S));
	host.pages[page].mapped = write ? IVY_M : IVY_S;
}

static void event(struct ivy *c, struct fuzz_input *in)
{
	u32 kind = (u32)fuzz_take(in, 1);
	u64 page = kind >> 4 & 3;
	bool flag = kind >> 6 & 1;

	switch (kind & 15) {
	case 0:
		page_fault(c, page, flag);
		break;
	case 1:
		page_revoked(c, page);
		break;
	case 2:
		ivy_unhold(c, page);
		break;
	case 3:
		ivy_evict(c, page);
		break;
	case 4:
		ivy_discard(c, page);
		break;
	case 5:
		host.now += 1ull << (fuzz_take(in, 1) % 26);
		ivy_tick(c);
		break;
	case 8:
		ivy_node_joined(c, (u16)(kind >> 4) % NODES);
		break;
	case 10:
		ivy_flush(c);
		ending(c);
		break;
	default:
		message(c, in);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const u16 homes[] = {0, 1};
	struct fuzz_input in = {data, size};
	u32 setup = (u32)fuzz_take(&in, 1);
	struct ivy_params p = {.id = (u16)(setup % NODES),
			       .nodes = NODES,
			       .nhomes = 2,
			       .homes = homes,
			       .pages = PAGES,
			       .start = 1,
			       .hold_ns = setup & 16 ? 1000000 : 0,
			       .hold_doublings = 2,
			       .lease_ns = 8000000,
			       .retry_ns = 500000,
			       .fanout = setup & 32 ? 1 : 2,
			       .relay_above = setup & 64 ? 2 : 0,
			       .ahead = 2};
	struct ivy *c;

	memset(&host, 0, sizeof(host));
	host.now = 1;
	FUZZ_CHECK(!ivy_create(&p, &env, NULL, &c));
	host.short_of_memory = setup & 128 ? 7 : 0;
	while (in.left) {
		event(c, &in);
		core_check(c);
	}
	ivy_destroy(c);
	FUZZ_CHECK(!host.memory);
	return 0;
}
