// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fuzz_agree.c - one node's agreement with others on regions (kmod/agree.c, opening.c, offers.c):
 * any REGION frames from its peers, any calls of its users, and works that run at any time.
 *
 * Input: flags u8 (1: this node is a home; 2: node 1 is none), then steps: what u8, and what that
 * takes. Ids, tokens and names are mostly those that are in use, or a frame would mean nothing.
 *
 * fuzz-libs: -Itests/kmod/include
 */
#include "fuzz.h"
#include "tests/kmod/module.h"

#define SELF  0
#define NODES 3
#define CALLS 2

static struct {
	struct gvm_cluster cluster;
	struct gvm_peer *list[NODES];
	struct gvm_peer peer[NODES];
	u16 homes[NODES];
	u64 drawn; /* numbers drawn at random: 1, 2, ... */
	unsigned int short_of; /* allocations until one fails; 0: none does */
	long allocated;
	bool told_zeros; /* a peer says so just now, or this node creates the region */
} node;

static struct call {
	bool running;
	struct agreement agreement;
	struct gvm_region *region;
} calls[CALLS];

static const char *const names[] = {"a", "b", "", ".", "no/name"};

/* ---- what the module sees ---- */

void test_send(struct gvm_peer *peer, const u8 *body, u16 bytes)
{
	struct region_frame frame;

	FUZZ_CHECK(peer && peer->id != SELF && bytes == REGION_FRAME_BYTES);
	FUZZ_CHECK(!gvm_region_frame_decode(body, &frame));
}

void test_opens(struct gvm_region *region, bool lost)
{
	FUZZ_CHECK(gvm_cluster_home(&node.cluster, SELF) >= 0 && !region->leaving);
	FUZZ_CHECK(lost || node.told_zeros);
}

void test_ends(struct gvm_region *region)
{
	FUZZ_CHECK(atomic_read(&region->opened) < 0);
}

void test_log(const char *format, ...)
{
	FUZZ_CHECK(format);
}

void *test_alloc(size_t bytes)
{
	void *p = node.short_of && !--node.short_of ? NULL : calloc(1, bytes);

	node.allocated += p != NULL;
	return p;
}

void test_free(const void *p)
{
	node.allocated -= p != NULL;
	free((void *)p);
}

u64 ktime_get_real_ns(void)
{
	return 5ull << NUMBER_NS_SHIFT;
}

u64 get_random_u64(void)
{
	return ++node.drawn;
}

/* ---- steps ---- */

static struct gvm_peer *peer_take(struct fuzz_input *in)
{
	return &node.peer[1 + fuzz_take(in, 1) % (NODES - 1)];
}

static struct gvm_region *region_take(struct fuzz_input *in)
{
	return gvm_region_find(names[fuzz_take(in, 1) % 2]);
}

static void frame_take(struct fuzz_input *in, struct region_frame *frame)
{
	unsigned int how = (unsigned int)fuzz_take(in, 1);
	struct gvm_region *region;

	frame->word = (u8)(1 + fuzz_take(in, 1) % 5);
	frame->share = (u8)(fuzz_take(in, 1) % SHARES);
	frame->flags = how & 7;
	frame->number = (u32)fuzz_take(in, 1);
	frame->pages = fuzz_take(in, 1) % 3;
	frame->id = fuzz_take(in, 1);
	frame->token = fuzz_take(in, 1);
	strscpy(frame->name, names[fuzz_take(in, 1) % (sizeof(names) / sizeof(*names))],
		sizeof(frame->name));
	region = gvm_region_find(frame->name);
	if (!region)
		return;
	if (how & 8) {
		frame->id = region->id;
		frame->pages = region->pages;
	}
	if (how & 16)
		frame->token = region->token;
	if (how & 32)
		frame->number = region->number + frame->number - 2;
	gvm_region_put(region);
}

/* Whether the frame has a right to have this node's share opened as zeros. */
static bool tells_zeros(const struct region_frame *frame)
{
	struct gvm_region *region = gvm_region_find(frame->name);
	bool tells = region && frame->word == REGION_OPEN && frame->share == SHARE_OPEN &&
		     frame->token == region->token && frame->id == region->id &&
		     frame->pages == region->pages;

	if (region)
		gvm_region_put(region);
	return tells;
}

static void frame_step(struct fuzz_input *in, bool raw, unsigned int times)
{
	struct gvm_peer *peer = peer_take(in);
	u8 body[REGION_FRAME_BYTES];
	struct region_frame frame = {0}, decoded;
	int err;

	if (!raw) {
		frame_take(in, &frame);
		gvm_region_frame_encode(&frame, body);
	} else {
		for (unsigned int i = 0; i < sizeof(body); i++)
			body[i] = (u8)fuzz_take(in, 1);
	}
	err = gvm_region_frame_decode(body, &decoded);
	node.told_zeros = !err && tells_zeros(&decoded);
	while (times--)
		FUZZ_CHECK(gvm_agree_receive(peer, body) == err);
	node.told_zeros = false;
}


/* A call begins: a region is joined, or created, and offered; or others are asked for it. */
static void call_begin(struct fuzz_input *in, struct call *call, bool creates)
{
	struct region_wish wish = {.name = names[fuzz_take(in, 1) % 2], .pages = 1};

	wish.id = creates ? get_random_u64() : fuzz_take(in, 1);
	if (!wish.id) {
		call->running = !gvm_agree_ask(&call->agreement, &node.cluster, wish.name);
		call->region = NULL;
		return;
	}
	if (gvm_region_join(&node.cluster, &wish, &call->region))
		return;
	node.told_zeros = creates;
	if (gvm_opening_begin(call->region, creates)) {
		gvm_region_put(call->region);
	} else {
		gvm_agree_offer_begin(&call->agreement, call->region);
		call->region->number = call->agreement.question.number;
		call->region->joining++;
		call->running = true;
	}
	node.told_zeros = false;
}

static void region_leave(struct gvm_region *region)
{
	if (gvm_region_shut(region))
		return;
	gvm_tell_withdraw(region, region->number);
	gvm_region_end(region);
}

static void call_end(struct call *call, bool succeeds)
{
	struct gvm_region *region = call->region;

	gvm_agree_end(&call->agreement);
	call->running = false;
	if (!region)
		return;
	region->joining--;
	region->joined |= succeeds && gvm_agree_wait(&call->agreement, 0) == 1;
	if (region->joined)
		gvm_region_keep(region);
	else if (!region->joining && atomic_read(&region->opened) >= 0)
		region_leave(region);
	gvm_region_put(region);
}

static void call_step(struct fuzz_input *in)
{
	unsigned int how = (unsigned int)fuzz_take(in, 1);
	struct call *call = &calls[how % CALLS];

	if (!call->running)
		call_begin(in, call, how & 2);
	else if (how & 4)
		gvm_agree_send(&call->agreement, &node.cluster);
	else
		call_end(call, how & 2);
}

static void works_run(void)
{
	struct gvm_region *region;

	if (offers_work.queued) {
		offers_work.queued = false;
		offers_work.run(&offers_work);
		FUZZ_CHECK(!nr_offers && !nr_withdrawals);
	}
	for (region = gvm_region_next(NULL); region; region = gvm_region_next(region))
		if (region->opening.work.work.queued) {
			region->opening.work.work.queued = false;
			region->opening.work.work.run(&region->opening.work.work);
		}
}

static void peer_step(struct fuzz_input *in, bool up)
{
	struct gvm_peer *peer = peer_take(in);
	struct gvm_region *region;

	peer->link = up ? (struct link *)&node : NULL;
	if (!up)
		return;
	for (region = gvm_region_next(NULL); region; region = gvm_region_next(region)) {
		gvm_opening_doubt(region, peer->id);
		gvm_tell_offer(region, peer);
	}
}

/* A user of the region has it open; one is enough, and the last one ends. */
static void open_step(struct fuzz_input *in)
{
	struct gvm_region *region = region_take(in);

	if (region && atomic_read(&region->opened) > 0)
		atomic_dec(&region->opened);
	else if (region && gvm_region_opened_get(region))
		region->core->stats.received++;
	if (region)
		gvm_region_put(region);
}

static void leave_step(struct fuzz_input *in)
{
	struct gvm_region *region = region_take(in);

	if (region) {
		region_leave(region);
		gvm_region_put(region);
	}
}

static void step(struct fuzz_input *in)
{
	switch (fuzz_take(in, 1) % 11) {
	case 0:
	case 1:
	case 2:
		frame_step(in, false, 1);
		break;
	case 3:
		frame_step(in, true, 1);
		break;
	case 4:
		call_step(in);
		break;
	case 5:
		works_run();
		break;
	case 6:
		peer_step(in, fuzz_take(in, 1) & 1);
		break;
	case 7:
		open_step(in);
		break;
	case 8:
		leave_step(in);
		break;
	case 9:
		node.short_of = (unsigned int)fuzz_take(in, 1) % 8;
		break;
	case 10:
		frame_step(in, false, (unsigned int)fuzz_take(in, 1) % (OFFERS_MAX + 16));
		break;
	}
}

/* ---- what always holds ---- */

static void region_check(struct gvm_region *region)
{
	const struct opening *opening = &region->opening;
	int own = gvm_cluster_home(&node.cluster, SELF);
	unsigned int i, open = 0;

	FUZZ_CHECK(region->share < SHARES && (region->share == SHARE_UNKNOWN) == (own < 0));
	FUZZ_CHECK(region->core->open == share_opened(region->share));
	FUZZ_CHECK(!region->core->open || region->core->lost == (region->share == SHARE_LOST));
	FUZZ_CHECK(opening->homes || (!opening->creates && !opening->nr_open));
	for (i = 0; opening->homes && i < node.cluster.nr_homes; i++)
		open += share_opened(opening->homes[i].share);
	FUZZ_CHECK(open == opening->nr_open);
	FUZZ_CHECK(opening->complete || open < node.cluster.nr_homes);
	if (opening->homes && own >= 0)
		FUZZ_CHECK(opening->homes[own].share == region->share);
}

static void check(void)
{
	struct gvm_region *region;

	FUZZ_CHECK(nr_offers <= OFFERS_MAX && nr_withdrawals <= WITHDRAWALS_MAX);
	for (region = gvm_region_next(NULL); region; region = gvm_region_next(region))
		region_check(region);
}

static void node_init(unsigned int flags)
{
	static u64 serial;
	unsigned int i;

	memset(&node, 0, sizeof(node));
	node.cluster = (struct gvm_cluster){.serial = ++serial,
					    .id = SELF,
					    .nodes = NODES,
					    .peers = node.list,
					    .homes = node.homes};
	for (i = 0; i < NODES; i++) {
		node.peer[i] = (struct gvm_peer){.cluster = &node.cluster, .id = (u16)i};
		node.list[i] = i == SELF ? NULL : &node.peer[i];
		if (i ? i != 1 || !(flags & 2) : flags & 1)
			node.homes[node.cluster.nr_homes++] = (u16)i;
	}
	gvm_membership.cluster = &node.cluster;
}

/* The node goes down: nothing is left. */
static void node_deinit(void)
{
	struct gvm_region *region;

	node.short_of = 0;
	gvm_agree_down();
	for (unsigned int i = 0; i < CALLS; i++)
		if (calls[i].running) {
			FUZZ_CHECK(gvm_agree_wait(&calls[i].agreement, 0) == 1);
			call_end(&calls[i], false);
		}
	gvm_membership.cluster = NULL;
	offers_take(&offers_work);
	while ((region = gvm_region_next(NULL))) {
		region->opened.n = 0;
		region_leave(region);
		gvm_region_put(region);
	}
	FUZZ_CHECK(!node.allocated);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};

	node_init((unsigned int)fuzz_take(&in, 1));
	while (in.left) {
		step(&in);
		check();
	}
	node_deinit();
	return 0;
}
