// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * sim.c - the largest cluster, and bad networks.
 *
 *	sim [-m MUTANT] large|idle|costs|streams|bounces|slow|faults|few [SEED [LAST]]
 *
 * `large` measures what 10,240 nodes cost: 50 us of round trip, 10 Gbit/s, 2 us of processor for
 * each message at each of its two ends. `idle` does so with leases: 160 regions, each of 64 nodes
 * of which four are its homes, and then one region of all, with 16 homes; what nodes say to each
 * other when nothing happens, and after a time in which nodes were lost and began anew, and when
 * some are forgotten for good, which relayed reads and carried renewals. `costs` counts the messages
 * of single accesses, `streams` those of accesses to one page after the other, and how much of the
 * link they use, `bounces` those of two nodes that write the same page, all the time or now and
 * then; `slow` how long hosts that are slow take for many pages at once. `faults` lets 40 nodes
 * write and read 16 pages under connections that break, messages that come again, are dropped or
 * overtake others, nodes that are cut off for longer than their lease, are slow, leave or begin
 * anew, and memory that is short: one writer or some readers at any time, nothing stale or
 * discarded, no page lost that a node has, and every access comes to an end. `few` does the same
 * with 4 nodes, of which two are homes, and 4 pages: so each is in the middle of something whenever
 * anything breaks.
 */
#include "net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int ivy_mutant;

#define NODES 10240u
#define RTT   50000ull

static int failures;

static void promise(bool kept, const char *what)
{
	printf("  %s: %s\n", kept ? "kept" : "BROKEN", what);
	failures += !kept;
}

/* ---- large ---- */

static u64 fault_time(u16 node, u32 page, bool write)
{
	net_fault(node, page, write);
	net_run();
	return net_nodes[node].ended - net_nodes[node].started;
}

static u64 all_read(u32 page)
{
	u64 begin = net_now, last = 0;
	u32 i;

	for (i = 0; i < NODES; i++)
		net_fault((u16)i, page, false);
	net_run();
	for (i = 0; i < NODES; i++) {
		if (net_nodes[i].frames[page].mapped < IVY_S)
			promise(false, "every reader is served");
		if (net_nodes[i].ended > last)
			last = net_nodes[i].ended;
	}
	return last - begin;
}

static u64 most_sent(void)
{
	u64 most = 0;
	u32 i;

	for (i = 0; i < NODES; i++)
		if (net_nodes[i].inv_sent > most)
			most = net_nodes[i].inv_sent;
	return most;
}

/* What the page's directory entry takes at its home. */
static u32 dir_bytes(u32 page)
{
	const struct ivy_home *h = ivy_dir_entry(net_nodes[0].core, page, false);
	u32 bytes = sizeof(*h) + (h && h->set.bits ? IVY_BITMAP_BYTES : 0);

	if (h && h->txn)
		bytes += sizeof(*h->txn) + h->txn->cap * (u32)sizeof(*h->txn->wait);
	return h ? bytes : 0;
}

static void large_readers(void)
{
	u64 near, far, all;

	/* One reader, of a page that another node owns: near the home in the tree, and farthest. */
	near = fault_time(5, 1, false);
	fault_time(77, 1, true);
	far = fault_time(NODES - 1, 1, false);
	printf("one reader: %.1f us next to the home in the tree, %.1f us farthest from it\n",
	       (double)near / 1e3, (double)far / 1e3);
	all = all_read(2);
	printf("%u readers of one page at once: all served after %.1f us, %.1f times one (%.1f "
	       "times "
	       "the farthest)\n",
	       NODES - 1, (double)all / 1e3, (double)all / (double)near, (double)all / (double)far);
	promise(all <= 10 * near, "10,240 readers take at most 10 times as long as one");
}

static void large_writer(void)
{
	u64 took;
	double trips;

	net_totals.first_inv = net_totals.last_ack = 0;
	took = fault_time(3, 2, true);
	trips = (net_totals.ack_hop - net_totals.inv_hop) / 2.0;
	printf("a write to it: %.1f us; its %u copies were gone after %.1f us = %.1f round trips "
	       "of "
	       "messages one after the other, and %.1f round trips of time\n",
	       (double)took / 1e3, NODES - 1,
	       (double)(net_totals.last_ack - net_totals.first_inv) / 1e3, trips,
	       (double)(net_totals.last_ack - net_totals.first_inv) / (double)RTT);
	printf("most messages of it that a node sent: %llu\n", (unsigned long long)most_sent());
	promise(net_nodes[3].frames[2].mapped == IVY_M && !net_wrong(2), "the writer is alone");
	promise(trips <= 4, "10,239 holders are invalidated in at most 4 round trips");
	promise(most_sent() <= 128, "no node sends more than 128 messages of it");
}

static void large(void)
{
	static const struct net_config config = {.nodes = NODES,
						 .nhomes = 1,
						 .pages = 4,
						 .rtt_ns = RTT,
						 .cpu_ns = 2000,
						 .bits_per_us = 10000,
						 .lease_ns = 1ull << 40,
						 .retry_ns = 1ull << 38};
	u32 i;

	net_begin(&config);
	for (i = 0; i < NODES; i++)
		net_fault((u16)i, 0, false); /* everybody has a lease now */
	net_run();
	fault_time(77, 1, true);
	fault_time(77, 2, true);
	printf("directory entry of a page: %u bytes with 1 owner", dir_bytes(1));
	promise(dir_bytes(1) <= 64, "at most 64 bytes at its home");
	large_readers();
	printf("directory entry of a page that all hold: %u bytes\n", dir_bytes(2));
	promise(dir_bytes(2) <= 2048, "at most 2 KiB for a page that all hold");
	printf("a resident page at a node: %zu bytes\n", sizeof(struct ivy_slot));
	promise(sizeof(struct ivy_slot) <= 16, "at most 16 bytes");
	large_writer();
	printf("%llu messages, %llu bytes\n", (unsigned long long)net_totals.messages,
	       (unsigned long long)net_totals.bytes);
	net_end();
}

/* ---- idle ---- */

#define SECOND 1000000000ull

static const struct net_config *idle_config;
static bool idle_goes_on;

static void idle_touch(const struct net_config *config);

static void idle_access(struct net_node *n)
{
	u32 page = (u32)net_random(idle_config->pages);

	if (!idle_goes_on)
		return;
	if (!n->frames[page].wait)
		net_fault(n->id, page, idle_config->group && !net_random(4));
	net_at(net_now + net_random(8 * SECOND), n->id, idle_access);
}

/* A page that is lost is made usable again. */
static void idle_answered(struct net_node *n, u32 page, bool lost)
{
	if (lost)
		net_discard(n->id, page);
}

static u64 expiries(void)
{
	u64 all = 0;
	u32 i;

	for (i = 0; i < NODES; i++)
		all += ivy_stats(net_nodes[i].core)->lease_expiries;
	return all;
}

/* Messages that a node sends and receives in a second, on average, and the node with the most. */
static void idle_measure(const char *when, u64 *mean, u64 *most)
{
	u64 before = expiries(), all = 0;
	const u32 seconds = 10;
	u32 i;

	for (i = 0; i < NODES; i++)
		net_nodes[i].messages = 0;
	net_run_until(net_now + seconds * SECOND);
	for (*most = i = 0; i < NODES; i++) {
		all += net_nodes[i].messages;
		if (net_nodes[i].messages / seconds > *most)
			*most = net_nodes[i].messages / seconds;
	}
	*mean = all / NODES / seconds;
	printf("%s: %llu messages a second at a node, at most %llu\n", when,
	       (unsigned long long)*mean, (unsigned long long)*most);
	promise(expiries() == before, "no lease ends");
}

/*
 * Some nodes, none of them a home, are cut off for good: to others that is what a node is which their lists have
 * forgotten.
 */
static bool idle_forgets;

static bool forgotten(u32 node, const struct net_config *config)
{
	return idle_forgets && node >= config->nhomes && node % 171 == 20;
}

/* Each page is written after that, and all others read it: no read waits for a relay that is gone. */
static void idle_forget(const struct net_config *config)
{
	u32 i, nodes = 0;

	idle_forgets = true;
	for (i = 0; i < NODES; i++) {
		if (!forgotten(i, config))
			continue;
		nodes++;
		net_lose((u16)i, 1ull << 60);
	}
	net_run_until(net_now + 12 * SECOND);
	for (i = 0; i < config->pages; i++)
		net_fault((u16)(i + config->nhomes), i, true);
	net_run_until(net_now + 5 * SECOND);
	idle_touch(config);
	printf("%u nodes forgotten\n", nodes);
}

/* How many pages there are that a node has no copy of; it asks for them. */
static u32 idle_missing(const struct net_config *config)
{
	u32 i, page, missing = 0;

	for (i = 0; i < NODES; i++) {
		for (page = 0; page < config->pages; page++) {
			const struct net_frame *f = &net_nodes[i].frames[page];

			if (forgotten(i, config) || f->mapped >= IVY_S)
				continue;
			missing++;
			if (!f->wait)
				net_fault((u16)i, page, false);
		}
	}
	return missing;
}

/*
 * Every node has copies, under a lease from each of its homes. Who comes upon a lost page makes it
 * usable, and asks again.
 */
static void idle_touch(const struct net_config *config)
{
	u32 tries = 0;

	while (idle_missing(config) && tries++ < 8)
		net_run_until(net_now + 5 * SECOND);
	promise(tries <= 8, "every reader is served");
}

static void idle_begin(const struct net_config *config)
{
	idle_config = config;
	net_answered = idle_answered;
	net_begin(config);
	idle_touch(config);
}

/*
 * For half a minute each node makes an access in four seconds, and four nodes a second are lost.
 * Where all share a region they only read: a write tells all of them.
 */
static void idle_lose(void)
{
	u32 i;

	idle_goes_on = true;
	for (i = 0; i < NODES; i++)
		net_at(net_now + net_random(4 * SECOND), (u16)i, idle_access);
	for (i = 0; i < 120; i++) {
		if (i % 2)
			net_restart((u16)net_random(NODES));
		else
			net_lose((u16)net_random(NODES), net_random(30 * SECOND));
		net_run_until(net_now + SECOND / 4);
	}
	idle_goes_on = false;
	net_run_until(net_now + 40 * SECOND);
	printf("%llu accesses, %llu messages, %llu nodes cut off, %llu begun anew, %llu pages lost, "
	       "%llu leases ended\n",
	       (unsigned long long)net_totals.faults, (unsigned long long)net_totals.messages,
	       (unsigned long long)net_totals.cuts, (unsigned long long)net_totals.restarts,
	       (unsigned long long)net_totals.lost, (unsigned long long)expiries());
	for (i = 0; i < NODES * idle_config->pages; i++)
		if (net_nodes[i % NODES].frames[i / NODES].wait)
			promise(false, "every access comes to an end");
}

static void idle(void)
{
	struct net_config config = {.nodes = NODES,
				    .nhomes = 4,
				    .group = 64,
				    .pages = 8,
				    .rtt_ns = RTT,
				    .cpu_ns = 2000,
				    .bits_per_us = 10000,
				    .hold_ns = 200000,
				    .lease_ns = 10 * SECOND,
				    .retry_ns = SECOND / 5,
				    .losses = true};
	u64 mean, most;

	idle_begin(&config);
	idle_measure("regions of 64 nodes, 4 homes each", &mean, &most);
	promise(most < 100, "less than 100");
	idle_lose();
	idle_touch(&config);
	idle_measure("after that", &mean, &most);
	promise(most < 100, "less than 100");
	net_end();

	config.group = 0;
	config.nhomes = 16;
	config.pages = 16;
	idle_begin(&config);
	net_run_until(net_now + 10 * SECOND);
	idle_measure("one region of all, 16 homes", &mean, &most);
	promise(most < 100, "less than 100");
	idle_lose();
	idle_touch(&config);
	net_run_until(net_now + 10 * SECOND);
	idle_measure("after that", &mean, &most);
	promise(most < 100, "less than 100");
	idle_forget(&config);
	net_run_until(net_now + 10 * SECOND);
	idle_measure("without those that were forgotten", &mean, &most);
	promise(most < 100, "less than 100");
	net_end();
}

/* ---- costs ---- */

static u64 messages_of(u16 node, u32 page, bool write, const char *what)
{
	u64 before = net_totals.messages;

	fault_time(node, page, write);
	printf("%s: %llu messages\n", what, (unsigned long long)(net_totals.messages - before));
	return net_totals.messages - before;
}

/* In exchanges between two nodes of a request and a page: the home's answer for its own page. */
static double exchanges_of(u16 node, u32 page, bool write, u64 exchange, const char *what)
{
	double took = (double)fault_time(node, page, write) / (double)exchange;

	printf("%s: %.2f exchanges\n", what, took);
	return took;
}

static void exchanges(void)
{
	u64 exchange;

	fault_time(0, 3, true);
	exchange = fault_time(1, 3, false);
	fault_time(0, 4, true);
	promise(exchanges_of(2, 4, true, exchange, "a write, the home being the owner") <= 1.4,
		"at most 1.4");
	promise(exchanges_of(0, 4, false, exchange, "a read by the home") <= 1.4, "at most 1.4");
	fault_time(1, 5, true);
	promise(exchanges_of(2, 5, false, exchange, "a read, the home being a third node") <= 2.2,
		"at most 2.2");
	fault_time(1, 6, true);
	promise(exchanges_of(2, 6, true, exchange, "a write, the home being a third node") <= 2.2,
		"at most 2.2");
}

static void costs(void)
{
	static const struct net_config config = {.nodes = 4,
						 .nhomes = 1,
						 .pages = 7,
						 .rtt_ns = RTT,
						 .cpu_ns = 2000,
						 .bits_per_us = 10000,
						 .lease_ns = 1ull << 40,
						 .retry_ns = 1ull << 38};
	u16 i;

	net_begin(&config);
	for (i = 1; i < config.nodes; i++)
		fault_time(i, 0, true); /* they have leases now */
	promise(messages_of(1, 1, false, "first read of zeros") <= 3, "at most 3");
	promise(messages_of(1, 1, true, "and a write to them") == 0, "none");
	promise(messages_of(1, 2, false, "first read of other zeros") <= 3, "at most 3");
	promise(messages_of(2, 2, false, "a read by a second node") <= 3, "at most 3");
	promise(messages_of(3, 2, false, "and by a third") <= 3, "at most 3");
	promise(messages_of(1, 2, true, "a write by the first") <= 7, "at most 7");
	exchanges();
	net_end();
}

/* ---- streams ---- */

#define STREAM_PAGES 2048u
#define TOUCH_NS     500u /* what a program does with a page */

static bool stream_write;

static void stream_next(struct net_node *n)
{
	if (n->left)
		net_fault(n->id, STREAM_PAGES - n->left, stream_write);
}

static void stream_answered(struct net_node *n, u32 page, bool lost)
{
	(void)page;
	(void)lost;
	n->left--;
	net_at(net_now + TOUCH_NS, n->id, stream_next);
}

/* Messages for each page, and the part of the link's speed. */
static void stream(u16 node, bool write, const char *what, double messages_max, double link_min)
{
	u64 link = STREAM_PAGES * (IVY_PAGE_BYTES * 8000ull / 10000);
	u64 before = net_totals.messages, begun = net_now;
	double messages, speed;

	stream_write = write;
	net_answered = stream_answered;
	net_nodes[node].left = STREAM_PAGES;
	stream_next(&net_nodes[node]);
	net_run();
	net_answered = NULL;
	messages = (double)(net_totals.messages - before) / STREAM_PAGES;
	speed = (double)link / (double)(net_nodes[node].ended - begun);
	printf("%s: %.2f messages a page, %.2f of the link's speed\n", what, messages, speed);
	promise(messages <= messages_max, "no more messages a page than that");
	promise(speed >= link_min, "no slower than that");
}

static void streams(u16 ahead)
{
	const struct net_config config = {.nodes = 4,
					  .nhomes = 1,
					  .pages = STREAM_PAGES,
					  .ahead = ahead,
					  .rtt_ns = RTT,
					  .cpu_ns = 2000,
					  .bits_per_us = 10000,
					  .lease_ns = 1ull << 40,
					  .retry_ns = 1ull << 38};

	printf("%u pages asked for ahead at most:\n", ahead);
	net_begin(&config);
	stream(1, true, "first touch", ahead ? 0.2 : 3.1, ahead ? 0.7 : 0);
	stream(2, false, "read of pages that a third node has written", ahead ? 1.2 : 3.1,
	       ahead ? 0.7 : 0);
	net_end();
}

/* ---- bounces ---- */

#define HOLD_NS	  50000u
#define DOUBLINGS 6u
#define SELDOM_NS (500u * 1000 * 1000)

static u64 write_every_ns;
static u32 write_seldom; /* the last ones */

static void write_again(struct net_node *n)
{
	if (n->left)
		net_fault(n->id, 0, true);
}

static void write_answered(struct net_node *n, u32 page, bool lost)
{
	(void)page;
	(void)lost;
	n->left--;
	net_at(net_now + (n->left < write_seldom ? SELDOM_NS : write_every_ns), n->id, write_again);
}

struct shared {
	double messages; /* for each write */
	u64 ns, bounces, hold_us_max;
	u32 doubled; /* in the end */
};

static struct shared write_shared(u64 every_ns, u32 writes, u8 doublings)
{
	const struct net_config config = {.nodes = 3,
					  .nhomes = 1,
					  .pages = 1,
					  .hold_ns = HOLD_NS,
					  .hold_doublings = doublings,
					  .rtt_ns = RTT,
					  .cpu_ns = 2000,
					  .bits_per_us = 10000,
					  .lease_ns = 1ull << 40,
					  .retry_ns = 1ull << 38};
	struct shared got;
	const struct ivy_stats *stats;
	u16 i;

	net_begin(&config);
	write_every_ns = every_ns;
	net_answered = write_answered;
	for (i = 1; i < config.nodes; i++) {
		net_nodes[i].left = writes;
		net_at(i * every_ns / 2, i, write_again);
	}
	net_run();
	net_answered = NULL;
	stats = ivy_stats(net_nodes[1].core);
	got = (struct shared){(double)net_totals.messages / (2.0 * writes), net_now, stats->bounces,
			      stats->hold_us_max, net_nodes[1].core->bounces[0].doubled};
	printf("two nodes write a page each %llu ns, its hold doubling %u times: %.3f messages a "
	       "write, "
	       "%.1f ms, %llu times back, held for %llu us\n",
	       (unsigned long long)every_ns, doublings, got.messages, (double)got.ns / 1e6,
	       (unsigned long long)got.bounces, (unsigned long long)got.hold_us_max);
	net_end();
	return got;
}

static void bounces(void)
{
	struct shared fixed = write_shared(1000, 20000, 0);
	struct shared doubling = write_shared(1000, 20000, DOUBLINGS);
	struct shared seldom = write_shared(SELDOM_NS, 200, DOUBLINGS), no_longer;

	write_seldom = 4;
	no_longer = write_shared(1000, 20000, DOUBLINGS);
	promise(doubling.messages * 8 < fixed.messages, "an eighth of the messages");
	promise(doubling.ns < fixed.ns, "in less time");
	promise(doubling.hold_us_max == HOLD_NS / 1000 << DOUBLINGS, "held as long as it may be");
	promise(seldom.hold_us_max == HOLD_NS / 1000,
		"a page that is taken seldom is held as ever");
	promise(doubling.doubled && !no_longer.doubled, "and one that no longer bounces");
}

/* ---- slow ---- */

#define SLOW_PAGES 1024u
#define AT_ONCE	   64u /* as the module evicts them */
#define SLOW_MS	   1000000ull

static bool slow_write;
static u32 slow_next, slow_done; /* the page that is asked for next; how many have been answered */

static void slow_answered(struct net_node *n, u32 page, bool lost)
{
	(void)page;
	(void)lost;
	slow_done++;
	if (slow_next < SLOW_PAGES)
		net_fault(n->id, slow_next++, slow_write);
}

static void slow_begin(u64 cpu_ns)
{
	struct net_config config = {.nodes = 3,
				    .nhomes = 1,
				    .pages = SLOW_PAGES,
				    .rtt_ns = RTT,
				    .cpu_ns = cpu_ns,
				    .bits_per_us = 10000,
				    .lease_ns = 1ull << 50,
				    .retry_ns = SECOND / 5};
	u32 i;

	net_begin(&config);
	for (i = 0; i < SLOW_PAGES; i++)
		fault_time(1, i, true);
	fault_time(2, 0, true); /* it has a lease now */
	fault_time(1, 0, true);
}

static u32 slow_left(void)
{
	u32 i, left = 0;

	for (i = 0; i < SLOW_PAGES; i++)
		left += net_nodes[1].frames[i].resident;
	return left;
}

/* What the messages take that the home gets and sends for each page, one after the other. */
static u64 slow_ideal(u32 messages, u64 cpu_ns)
{
	return SLOW_PAGES * messages * cpu_ns;
}

static void slow_judge(const char *what, u64 begun, u64 messages, u64 least, u64 cpu_ns)
{
	double ideal = (double)least, took = (double)(net_now - begun);

	printf("%u pages %s by hosts that take %llu ms a message: %.1f s, %.2f times what the "
	       "home's messages take, %.2f messages a page\n",
	       SLOW_PAGES, what, (unsigned long long)(cpu_ns / SLOW_MS), took / SECOND, took / ideal,
	       (double)(net_totals.messages - messages) / SLOW_PAGES);
	promise(took <= 1.5 * ideal, "one and a half times at most");
	net_end();
}

static void slow_evictions(u64 cpu_ns)
{
	u64 begun, messages, ideal = slow_ideal(2, cpu_ns);
	u32 left, sent = 0;

	slow_begin(cpu_ns);
	messages = net_totals.messages;
	begun = net_now;
	while ((left = slow_left()) && net_now < begun + 2 * ideal) {
		while (sent < SLOW_PAGES && sent - (SLOW_PAGES - left) < AT_ONCE)
			net_evict(1, sent++);
		net_run_until(net_now + cpu_ns);
	}
	promise(!left, "every page is at its home");
	slow_judge("sent home", begun, messages, ideal, cpu_ns);
}

static void slow_accesses(bool write, u64 cpu_ns)
{
	u64 begun, messages, ideal = slow_ideal(write ? 4 : 2, cpu_ns);

	slow_begin(cpu_ns);
	messages = net_totals.messages;
	begun = net_now;
	slow_write = write;
	slow_next = slow_done = 0;
	net_answered = slow_answered;
	while (slow_next < AT_ONCE)
		net_fault(2, slow_next++, write);
	while (slow_done < SLOW_PAGES && net_now < begun + 2 * ideal)
		net_run_until(net_now + cpu_ns);
	net_answered = NULL;
	promise(slow_done == SLOW_PAGES, "every access comes to an end");
	slow_judge(write ? "written" : "read", begun, messages, ideal, cpu_ns);
}

static void slow(void)
{
	static const u64 each_ms[] = {2, 6, 10};
	u32 i;

	for (i = 0; i < sizeof(each_ms) / sizeof(*each_ms); i++) {
		slow_evictions(each_ms[i] * SLOW_MS);
		slow_accesses(false, each_ms[i] * SLOW_MS);
		slow_accesses(true, each_ms[i] * SLOW_MS);
	}
}

/* ---- faults ---- */

static u32 pages; /* that all use */

static void next_access(struct net_node *n)
{
	u64 all = net_random(256);
	u32 i;

	if (!n->left)
		return;
	if (n->frames[n->page].wait)
		return;
	n->page = (u32)net_random(pages);
	n->write = !net_random(3);
	if (!net_random(16))
		ivy_evict(n->core, net_random(pages));
	for (i = 0; i < pages && !all; i++)
		ivy_evict(n->core, i);
	if (!net_random(32))
		net_discard(n->id, (u32)net_random(pages));
	net_fault(n->id, n->page, n->write);
}

static void access_answered(struct net_node *n, u32 page, bool lost)
{
	(void)page;
	if (lost)
		net_discard(n->id, page);
	if (n->left)
		n->left--;
	net_at(net_now + 1 + net_random(100000), n->id, next_access);
}

static void faults(u16 nodes, u16 nhomes, u32 npages, u64 seed)
{
	struct net_config config = {.nodes = nodes,
				    .nhomes = nhomes,
				    .ahead = 2,
				    .pages = npages,
				    .rtt_ns = RTT,
				    .cpu_ns = 2000,
				    .jitter_ns = 100000,
				    .hold_ns = 20000,
				    .hold_doublings = 2,
				    .bits_per_us = 10000,
				    .lease_ns = 30000000,
				    .retry_ns = 3000000,
				    .fanout = (u16)(seed % 4), /* 0: as in the module */
				    .relay_above = seed % 5 ? 0 : 2,
				    .faults = true,
				    .seed = seed};
	u32 i;

	pages = npages;
	net_answered = access_answered;
	net_begin(&config);
	for (i = 0; i < config.nodes; i++) {
		net_nodes[i].left = 1500;
		net_at(1 + net_random(100000), (u16)i, next_access);
	}
	net_run();
	printf("seed %llu: %llu accesses, %llu messages, %llu lost, %llu again, %llu connections "
	       "broken, %llu nodes cut off, %llu slow or short of memory, %llu begun anew, %llu of "
	       "which had left, "
	       "%llu pages lost, %llu discarded, %.1f s\n",
	       (unsigned long long)seed, (unsigned long long)net_totals.faults,
	       (unsigned long long)net_totals.messages, (unsigned long long)net_totals.dropped,
	       (unsigned long long)net_totals.repeated, (unsigned long long)net_totals.resets,
	       (unsigned long long)net_totals.cuts, (unsigned long long)net_totals.spells,
	       (unsigned long long)net_totals.restarts, (unsigned long long)net_totals.left,
	       (unsigned long long)net_totals.lost, (unsigned long long)net_totals.discards,
	       (double)net_now / 1e9);
	fflush(stdout);
	net_end();
}

int main(int argc, char **argv)
{
	int at = 1;
	u64 seed, first = 1, last = 8;

	if (argc > 2 && !strcmp(argv[1], "-m")) {
		ivy_mutant = atoi(argv[2]);
		at = 3;
	}
	if (at + 1 < argc)
		first = last = strtoull(argv[at + 1], NULL, 10);
	if (at + 2 < argc)
		last = strtoull(argv[at + 2], NULL, 10);
	if (at < argc && !strcmp(argv[at], "large")) {
		large();
	} else if (at < argc && !strcmp(argv[at], "idle")) {
		idle();
	} else if (at < argc && !strcmp(argv[at], "costs")) {
		costs();
	} else if (at < argc && !strcmp(argv[at], "streams")) {
		streams(0);
		streams(64);
	} else if (at < argc && !strcmp(argv[at], "bounces")) {
		bounces();
	} else if (at < argc && !strcmp(argv[at], "slow")) {
		slow();
	} else if (at < argc && !strcmp(argv[at], "faults")) {
		for (seed = first; seed <= last; seed++)
			faults(40, 3, NET_PAGES / 4, seed);
	} else if (at < argc && !strcmp(argv[at], "few")) {
		for (seed = first; seed <= last; seed++)
			faults(4, 2, 4, seed);
	} else {
		fprintf(stderr, "usage: sim [-m MUTANT] large|idle|costs|streams|bounces|slow|faults|few "
				"[SEED [LAST]]\n");
		return 2;
	}
	return failures != 0;
}
