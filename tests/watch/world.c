// SPDX-License-Identifier: GPL-2.0-or-later
/* world.c - see world.h: what can happen, and the life of a worker. */
#include "world.h"

#include "node/region.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NS_STEP WATCH_AGE_NS
#define NS_MS	1000000ull

struct world world;
struct inodes world_inodes;
bool world_trace;
const char *mutant_chosen;

void world_wrong(const char *what)
{
	if (!world.wrong)
		world.wrong = what;
}

/* ---- the kernel's pages */

bool read_is_under_way(uint32_t page)
{
	for (unsigned i = 0; i < W_READS; i++)
		if (world.reading[i].used && world.reading[i].page == page)
			return true;
	return false;
}

static bool reads_are_under_way(void)
{
	for (uint32_t p = 0; p < W_PAGES; p++)
		if (read_is_under_way(p))
			return true;
	return false;
}

/* The kernel lets go of the file's pages, because it is opened without keep_cache. */
static void pages_drop(void)
{
	for (uint32_t p = 0; p < W_PAGES; p++)
		world.page[p].present = false;
	for (unsigned i = 0; i < W_READS; i++)
		world.reading[i].dropped = world.reading[i].used;
}

static void read_begin(unsigned i)
{
	struct reading *r = &world.reading[i];

	r->begun = true;
	r->fetched = false;
	r->serial = watch_read_begin(&world.w, &world.inode);
	if (world.messages == W_MESSAGES) {
		world_wrong("too many messages");
		return;
	}
	world.message[world.messages++] = (struct message){ .kind = M_GET, .read = i };
}

static bool read_new(uint32_t page)
{
	unsigned i = 0;

	while (i < W_READS && world.reading[i].used)
		i++;
	if (!world.opens || i == W_READS || world.page[page].present || read_is_under_way(page))
		return false;
	world.reading[i] = (struct reading){ .used = true, .page = page };
	read_begin(i);
	return true;
}

static void read_answer(struct reading *r)
{
	bool goes = watch_read(&world.w, &world.inode, (uint64_t)r->page * GVM_PAGE_BYTES, GVM_PAGE_BYTES, r->serial);

	world.page[r->page] = (struct cached){
		.present = !r->dropped, .kept = !goes, .value = r->value, .epoch = r->epoch,
	};
	r->used = false;
}

/* ---- the node */

/* The first message to the node that watches, or (gets) to the one that the pages are on, which is another. */
static struct message *message_first(bool gets)
{
	for (unsigned i = 0; i < world.messages; i++)
		if ((world.message[i].kind == M_GET) == gets)
			return &world.message[i];
	return NULL;
}

static bool node_serve(bool gets)
{
	const struct gvm_region_open_req *what;
	struct message *m = message_first(gets);

	for (; m && m != world.message + world.messages && (m->served || (m->kind == M_GET) != gets); m++)
		;
	if (!m || m == world.message + world.messages)
		return false;
	what = &m->what;
	m->served = true;
	m->result = 0;
	m->epoch = world.node.epoch;
	m->writer = world.node.other || world.node.ours;
	if (m->kind == M_GET) {
		world.reading[m->read].value = world.node.value[world.reading[m->read].page];
		world.reading[m->read].epoch = world.node.epoch;
		world.reading[m->read].fetched = true;
	} else if (what->mode == 2) {
		m->detail = 0;
		if (watches_renew(&world.node.watches, W_US, what->epoch, world.now, &m->detail))
			m->result = -EINPROGRESS;
	} else if (what->mode == 3) {
		watches_end(&world.node.watches, W_US, what->epoch);
	} else {
		watches_pass(&world.node.watches, W_US, what->epoch, world.now);
	}
	return true;
}

static struct message message_take(unsigned n)
{
	struct message m = world.message[n];

	world.messages--;
	memmove(&world.message[n], &world.message[n + 1], (world.messages - n) * sizeof(m));
	memset(&world.message[world.messages], 0, sizeof(m));
	return m;
}

static bool answer(bool gets)
{
	const struct message *first = message_first(gets);
	struct message m;

	if (!first || !first->served)
		return false;
	m = message_take((unsigned)(first - world.message));
	if (m.kind == M_GET) {
		if (world.reading[m.read].fetched)
			read_answer(&world.reading[m.read]);
	} else if (m.call) {
		m.call->req.result = m.result;
		m.call->req.detail = m.detail;
		m.call->rsp.region_open.epoch = m.epoch;
		m.call->rsp.region_open.writer = m.writer ? GVM_WRITER_THERE : GVM_WRITER_NONE;
		m.call->req.done(&m.call->req);
	}
	return true;
}

/* What a dead worker had sent is not sent again. */
static bool connection_break(bool gets)
{
	if (!message_first(gets))
		return false;
	for (unsigned i = 0; i < world.messages; i++) {
		struct message *m = &world.message[i];

		if ((m->kind == M_GET) != gets)
			continue;
		m->served = false;
		if (m->kind == M_GET && world.reading[m->read].begun)
			world.reading[m->read].fetched = false;
		else if (m->kind == M_GET || !m->call)
			message_take(i--);
	}
	return true;
}

/* Its request may come to the node after all. */
static bool time_out(void)
{
	for (unsigned i = 0; i < world.messages && world.messages <= W_MESSAGES / 2; i++) {
		struct gvm_call *call = world.message[i].call;

		if (world.message[i].kind == M_GET || !call)
			continue;
		world.message[i].call = NULL;
		call->req.result = -ETIMEDOUT;
		call->req.done(&call->req);
		return true;
	}
	return false;
}

/* ---- what takes pages away */

/* One that is being read is waited for. */
static bool clear(uint32_t page)
{
	if (!world.clearing.ask || !(world.clearing.pages >> page & 1) || read_is_under_way(page))
		return false;
	if (world.opens_write)
		world_wrong("a page is taken from a writer of this host");
	world.page[page].present = false;
	world.clearing.pages &= ~(1u << page);
	return true;
}

static bool cleared(int error)
{
	struct pagecache_ask *ask = world.clearing.ask;

	if (!ask || (!error && world.clearing.pages))
		return false;
	world.clearing.ask = NULL;
	world.clearing.pages = 0;
	ask->done(&world.w, ask, -error);
	return true;
}

/* ---- files: as fuse/front_open.c and fuse/front_rest.c have it */

static void open_reply(bool write)
{
	bool keep;

	world.opens++;
	world.opens_write += write;
	world.inode.opens = world.opens;
	world.inode.opens_write = world.opens_write;
	keep = !world.disk.cache_stale && (region_is_attached(&world.inode) || watch_trusts(&world.inode));
	world.disk.cache_stale = 0;
	if (!region_is_attached(&world.inode))
		watch_begin(&world.w, &world.inode);
	if (!keep)
		pages_drop();
}

static bool open_begin(void)
{
	if (world.opening || world.attaching || world.opens - world.opens_write == 2)
		return false;
	world.opening = true;
	world.seen.epoch = world.node.epoch;
	world.seen.writer = world.node.other || world.node.ours;
	return true;
}

static bool open_end(void)
{
	if (!world.opening)
		return false;
	world.opening = false;
	if (!region_is_attached(&world.inode) && !world.seen.writer && world.disk.last_epoch != world.seen.epoch) {
		if (world.disk.last_epoch) {
			world.disk.cache_stale = 1;
			watch_distrust(&world.w, &world.inode);
		}
		world.disk.last_epoch = world.seen.epoch;
	}
	open_reply(false);
	return true;
}

static bool file_close(void)
{
	if (world.opens == world.opens_write || world.opening || world.attaching ||
	    (world.opens == 1 && reads_are_under_way()))
		return false;
	world.inode.opens = --world.opens;
	if (!world.opens && !region_is_attached(&world.inode)) {
		watch_end(&world.w, &world.inode);
		world.disk.cache_stale = 1;
	}
	return true;
}

static void attach_run(struct task *task)
{
	(void)task;
	world.paused = true;
}

static bool attach(void)
{
	if (world.disk.epoch || world.node.ours || world.attaching || world.opening)
		return false;
	world.attaching = true;
	world.attach.run = attach_run;
	world.paused = !watch_pause(&world.inode, &world.attach);
	return true;
}

/* As node/region.c has it. */
static void attach_apply(void)
{
	watches_attached(&world.node.watches);
	world.node.ours = true;
	world.other_waits = false; /* from now on it is told that there is a writer */
	world.node.epoch++;
	if (world.disk.last_epoch && world.disk.last_epoch + 1 != world.node.epoch)
		world.disk.cache_stale = 1;
	watch_end(&world.w, &world.inode);
	world.disk.last_epoch = world.disk.epoch = world.node.epoch;
	world.lapsed = false;
}

static bool attached(void)
{
	bool free;

	if (!world.attaching || !world.paused)
		return false;
	free = !world.node.other && !watches_bar(&world.node.watches, W_US, world.now);
	world.attaching = false;
	if (free)
		attach_apply();
	watch_go_on(&world.w, &world.inode);
	if (free)
		open_reply(true);
	return true;
}

static void left(struct worker *w, struct inode *inode, void *arg)
{
	(void)arg;
	world.leaving = false;
	world.disk.epoch = 0;
	watch_left(w, inode);
}

static bool detach(void)
{
	if (!world.disk.epoch || world.leaving || world.opening)
		return false;
	world.opens -= world.opens_write;
	world.opens_write = world.inode.opens_write = 0;
	world.inode.opens = world.opens;
	world.leaving = true;
	watch_leave(&world.w, &world.inode, left, NULL);
	return true;
}

static bool released(void)
{
	if (!world.node.ours || world.disk.epoch)
		return false;
	world.node.ours = false;
	return true;
}

static bool own_store(uint32_t page)
{
	if (!world.opens_write || read_is_under_way(page))
		return false;
	world.node.value[page] = ++world.next_value;
	if (world.page[page].present) {
		world.page[page].value = world.next_value;
		world.page[page].epoch = world.node.epoch;
	}
	return true;
}

/* ---- the other host */

static bool claim(void)
{
	if (world.node.ours || world.node.other)
		return false;
	if (watches_bar(&world.node.watches, W_OTHER, world.now)) {
		world.other_waits = true;
		return true;
	}
	if (world.inode.watch && !world.stopped && watch_trusts(&world.inode))
		world_wrong("a writer has attached beside what a host relies on");
	watches_attached(&world.node.watches);
	world.lapsed = LIST_EMPTY(&world.node.watches.list);
	world.node.other = true;
	world.other_waits = false;
	world.node.epoch++;
	return true;
}

/* What was cached before it came, and was to stay, it has let be dropped. */
static bool other_stores(uint32_t page)
{
	if (!world.node.other)
		return false;
	world.node.value[page] = ++world.next_value;
	for (uint32_t p = 0; p < W_PAGES; p++)
		if (world.opens && world.page[p].present && world.page[p].kept &&
		    world.page[p].epoch < world.node.epoch && !world.lapsed)
			world_wrong("another host writes, and a page from before it came stays");
	return true;
}

/* ---- the worker's life */

static void worker_begin(void)
{
	memset(&world.w, 0, sizeof(world.w));
	memset(&world.inode, 0, sizeof(world.inode));
	world.w.inodes = &world_inodes;
	world.w.pool = (struct pool *)&world; /* not looked into */
	world.inode.nr = 1;
	world.inode.disk = &world.disk;
	world.inode.opens = world.opens;
	world.inode.opens_write = world.opens_write;
	world_inodes.rt[1] = &world.inode;
	world_inodes.end = 2;
}

/* The process that takes pages away dies with it. The heap goes but for what is the node's. */
static bool kill(void)
{
	struct watch *watch = world.inode.watch;

	if (world.messages > W_MESSAGES / 2)
		return false;
	for (unsigned i = 0; i < world.messages; i++) {
		struct message *m = &world.message[i];

		for (unsigned b = 0; m->call && b < W_BLOCKS; b++)
			if ((uint8_t *)m->call == world.bytes[b])
				world.used[b] = false;
		if (m->kind == M_GET)
			message_take(i--);
		else
			m->call = NULL;
	}
	for (unsigned b = 0; watch && b < W_BLOCKS; b++)
		if ((uint8_t *)watch == world.bytes[b])
			world.used[b] = false;
	world.stopped = world.opening = world.attaching = world.paused = world.leaving = world.full = false;
	world.clearing.ask = NULL;
	world.clearing.pages = 0;
	worker_begin();
	watches_recover(&world.w);
	for (unsigned i = 0; i < W_READS; i++)
		if (world.reading[i].used)
			read_begin(i);
	return true;
}

void world_init(bool open)
{
	const struct event first = { E_OPEN, 0 }, second = { E_OPENED, 0 };

	memset(&world, 0, sizeof(world));
	world.now = 1000000000;
	world.disk.use = INODE_USED;
	world.disk.rec.kind = RECORD_REGION;
	world.disk.rec.node_count = 1;
	world.node.epoch = 5;
	for (uint32_t p = 0; p < W_PAGES; p++)
		world.node.value[p] = ++world.next_value;
	worker_begin();
	if (open && world_event(&first))
		world_event(&second);
}

/* ---- events */

static bool tick(void)
{
	if (world.due == ~0ull)
		world.now += W_SLEEP_NS;
	else
		world.now = world.now < world.due ? world.due : world.now + NS_STEP;
	return true;
}

/* What happens without the worker. */
static bool event_outside(const struct event *e, bool *done)
{
	switch (e->kind) {
	case E_NODE: *done = node_serve(e->a); return true;
	case E_CLEAR: *done = clear(e->a); return true;
	case E_RELEASED: *done = released(); return true;
	case E_CLAIM: *done = claim(); return true;
	case E_STORE: *done = other_stores(e->a); return true;
	case E_LEAVE:
		*done = world.node.other;
		world.node.other = false;
		return true;
	case E_KILL: *done = kill(); return true;
	case E_STOP:
		*done = !world.stopped;
		world.stopped = true;
		return true;
	case E_GO_ON:
		*done = world.stopped;
		world.stopped = false;
		return true;
	case E_SLEEP:
		*done = world.stopped;
		world.now += world.stopped ? W_SLEEP_NS : 0;
		return true;
	default: return false;
	}
}

static bool event_do(const struct event *e)
{
	switch (e->kind) {
	case E_READ: return read_new(e->a);
	case E_ANSWER: return answer(e->a);
	case E_BREAK: return connection_break(e->a);
	case E_TIMEOUT: return time_out();
	case E_CLEARED: return cleared((int)e->a);
	case E_FULL:
		if (world.full)
			return false;
		world.full = true;
		return true;
	case E_OPEN: return open_begin();
	case E_OPENED: return open_end();
	case E_CLOSE: return file_close();
	case E_ATTACH: return attach();
	case E_ATTACHED: return attached();
	case E_DETACH: return detach();
	case E_KEEP: return own_store(e->a);
	case E_TICK: return tick();
	default: return false;
	}
}

bool world_event(const struct event *e)
{
	bool done;

	if (!event_outside(e, &done))
		done = !world.stopped && event_do(e);
	if (done && !world.stopped)
		world.due = watches_tick(&world.w, world.now);
	if (done && world_trace)
		event_print(e);
	return done;
}

static const char *const names[EVENTS] = {
	[E_READ] = "read", [E_NODE] = "node", [E_ANSWER] = "answer", [E_BREAK] = "break", [E_TIMEOUT] = "timeout",
	[E_CLEAR] = "clear", [E_CLEARED] = "cleared", [E_FULL] = "full", [E_OPEN] = "open", [E_OPENED] = "opened",
	[E_CLOSE] = "close", [E_ATTACH] = "attach", [E_ATTACHED] = "attached", [E_DETACH] = "detach",
	[E_RELEASED] = "released", [E_KEEP] = "keep", [E_CLAIM] = "claim", [E_STORE] = "store", [E_LEAVE] = "leave",
	[E_TICK] = "tick", [E_STOP] = "stop", [E_SLEEP] = "sleep", [E_GO_ON] = "go-on", [E_KILL] = "kill",
};

void event_print(const struct event *e)
{
	const struct watch *watch = world.inode.watch;

	printf("%s %x: now %llu ms, %u messages, epochs %llu %llu, other %d%s", names[e->kind], e->a,
	       (unsigned long long)(world.now / NS_MS), world.messages, (unsigned long long)world.node.epoch,
	       (unsigned long long)world.disk.epoch, world.node.other, world.other_waits ? " waits" : "");
	for (uint32_t p = 0; p < W_PAGES; p++)
		printf(", page %u: %d %u of %u", p, world.page[p].present, world.page[p].value, world.node.value[p]);
	if (watch)
		printf("; trust %lld ms, all %d, ranges %u, ending %u, clearing %d", watch->until_ns ?
		       (long long)(watch->until_ns - world.now) / (long long)NS_MS : -1, watch->all, watch->ranges,
		       watch->ending, watch->clearing);
	printf("\n");
}

void world_print(void)
{
	for (unsigned i = 0; i < world.messages; i++)
		printf("message %u: kind %u mode %u number %llu served %d waited for %d\n", i, world.message[i].kind,
		       world.message[i].what.mode, (unsigned long long)world.message[i].what.epoch,
		       world.message[i].served, world.message[i].call != NULL);
	for (unsigned i = 0; i < W_READS; i++)
		if (world.reading[i].used)
			printf("READ %u: page %u serial %u fetched %d %u\n", i, world.reading[i].page,
			       world.reading[i].serial, world.reading[i].fetched, world.reading[i].value);
	printf("opens %u, for writing %u, stale %u, opening %d, attaching %d, leaving %d, stopped %d, lapsed %d\n",
	       world.opens, world.opens_write, world.disk.cache_stale, world.opening, world.attaching, world.leaving,
	       world.stopped, world.lapsed);
}
