// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vcpu_router.c - nodes of one guest, in one process: what arrives, and how a peer ends that lies,
 * is slow or says nothing. A `struct raw` is a node without a router, which does what the test
 * says.
 */
#include "check.h"
#include "vcpu_router.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#define NODES	   4
#define PATIENCE   60 /* seconds */
#define LONG_MS	   60000
#define QUICK_MS   400
#define LOST_BYTES VCPU_WHY_BYTES

static const char key[] = "a key that all the tests know";
static char folder[] = "/tmp/vcpu-router-XXXXXX";
static struct vcpu_map map;
static struct vcpu_addr addrs[NODES];

/* ---- a node with a router ---- */

struct node {
	struct vcpu_router *r;
	unsigned number;
	atomic_uint frames, irqs, wrong, lost, notes;
	atomic_int readers;
	atomic_bool mute;   /* answers nothing */
	unsigned vector[2]; /* of the next IRQ to each of two vCPUs */
	pthread_mutex_t lock;
	char why[LOST_BYTES], note[LOST_BYTES];
};

/* Node 0's answer: each byte of a port is the port's low byte. */
static void io_answer(struct node *n, const struct vcpu_frame *f)
{
	uint8_t bytes[VCPU_BODY_MAX];
	struct vcpu_frame done = {
		.type = VCPU_IO_DONE,
		.cpu = f->cpu,
		.era = f->era,
		.seq = f->seq,
		.body = bytes,
	};

	if (f->type == VCPU_IO_READ)
		done.body_bytes = (uint16_t)(vcpu_frame_count(f) * vcpu_frame_size(f));
	memset(bytes, (int)f->value & 0xff, done.body_bytes);
	vcpu_router_answer(n->r, f->from, &done);
}

static void frame_came(void *opaque, const struct vcpu_frame *f)
{
	struct node *n = opaque;

	n->frames++;
	if (f->type == VCPU_IRQ) {
		unsigned *next = &n->vector[f->cpu & 1];

		n->wrong += f->value != VCPU_VECTOR_MIN + *next;
		*next = (*next + 1) % 200;
		n->irqs++;
	} else if (f->type == VCPU_RESET) {
		vcpu_router_era_begin(n->r, f->era);
	} else if ((f->type == VCPU_IO_READ || f->type == VCPU_IO_WRITE) && f->seq && !n->mute) {
		io_answer(n, f);
	}
}

static void reader_came(void *opaque, bool begins)
{
	struct node *n = opaque;

	n->readers += begins ? 1 : -1;
}

static void peer_lost(void *opaque, unsigned node, const char *why)
{
	struct node *n = opaque;

	(void)node;
	pthread_mutex_lock(&n->lock);
	snprintf(n->why, sizeof(n->why), "%s", why);
	n->lost++;
	pthread_mutex_unlock(&n->lock);
}

static void noted(void *opaque, const char *text)
{
	struct node *n = opaque;

	pthread_mutex_lock(&n->lock);
	snprintf(n->note, sizeof(n->note), "%s", text);
	n->notes++;
	pthread_mutex_unlock(&n->lock);
}

static struct vcpu_router_conf conf_of(struct node *n, unsigned number)
{
	struct vcpu_router_conf conf = {
		.node = number,
		.map = &map,
		.addrs = addrs,
		.key = key,
		.key_bytes = sizeof(key) - 1,
		.digest = {1, 2, 3},
		.start_ms = LONG_MS,
		.greet_ms = LONG_MS,
		.silence_ms = LONG_MS,
		.call_ms = LONG_MS,
		.opaque = n,
		.frame = frame_came,
		.thread = reader_came,
		.lost = peer_lost,
		.note = noted,
	};

	memset(n, 0, sizeof(*n));
	n->number = number;
	pthread_mutex_init(&n->lock, NULL);
	return conf;
}

static void node_start(struct node *n, const struct vcpu_router_conf *conf)
{
	char error[VCPU_ROUTER_ERROR_BYTES] = "";

	if (vcpu_router_create(conf, &n->r, error))
		fprintf(stderr, "%s\n", error);
	CHECK(n->r);
}

static void node_start_plain(struct node *n, unsigned number)
{
	struct vcpu_router_conf conf = conf_of(n, number);

	node_start(n, &conf);
}

static void node_end(struct node *n)
{
	vcpu_router_destroy(n->r);
	CHECK_EQ(n->readers, 0);
	pthread_mutex_destroy(&n->lock);
}

static void world(const char *text)
{
	char error[VCPU_MAP_ERROR_BYTES], path[64];

	CHECK(!vcpu_map_parse(text, &map, error) && map.nodes <= NODES);
	for (unsigned i = 0; i < NODES; i++) {
		snprintf(path, sizeof(path), "%s/%u", folder, i);
		CHECK(!vcpu_addr_unix(path, &addrs[i]));
	}
}

#define WAIT_FOR(cond)                                                                             \
	do {                                                                                       \
		time_t until_ = time(NULL) + PATIENCE;                                             \
		while (!(cond)) {                                                                  \
			CHECK(time(NULL) < until_);                                                \
			poll(NULL, 0, 1);                                                          \
		}                                                                                  \
	} while (0)

static void why_is(struct node *n, const char *why)
{
	WAIT_FOR(n->lost);
	pthread_mutex_lock(&n->lock);
	if (strcmp(n->why, why))
		fprintf(stderr, "\"%s\", not \"%s\"\n", n->why, why);
	CHECK(!strcmp(n->why, why));
	pthread_mutex_unlock(&n->lock);
	CHECK_EQ(n->lost, 1);
}

static struct vcpu_peer_stats stats_of(struct node *n, unsigned peer)
{
	struct vcpu_peer_stats stats;
	enum vcpu_peer_state state;

	vcpu_router_stats(n->r, peer, &stats, &state);
	return stats;
}

/* ---- a node without one ---- */

struct raw {
	int fd;
	struct vcpu_self self;
	struct vcpu_link link;
	uint32_t era;
};

static void raw_self(struct raw *raw, unsigned number)
{
	struct vcpu_self self = {.node = (uint16_t)number, .map = &map, .digest = {1, 2, 3}};

	memset(raw, 0, sizeof(*raw));
	self.digest[VCPU_SAME_MAP] = vcpu_map_digest(&map);
	CHECK(!vcpu_key_extract(key, sizeof(key) - 1, self.prk));
	raw->self = self;
}

static int raw_open(unsigned node)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	WAIT_FOR(!connect(fd, (struct sockaddr *)&addrs[node].sa, addrs[node].bytes));
	return fd;
}

static void raw_read(int fd, uint8_t *bytes, size_t count)
{
	while (count) {
		ssize_t n = recv(fd, bytes, count, 0);

		CHECK(n > 0);
		bytes += n;
		count -= (size_t)n;
	}
}

/* Both handshakes that it can have end with `link` up. */
static void raw_greet(struct raw *raw)
{
	uint8_t in[VCPU_FRAME_MAX], out[VCPU_FRAME_MAX];
	char why[VCPU_WHY_BYTES];
	size_t bytes;

	if (raw->link.connecting) {
		bytes = vcpu_link_hello(&raw->link, out);
		CHECK(send(raw->fd, out, bytes, MSG_NOSIGNAL) == (ssize_t)bytes);
	}
	while (raw->link.state != VCPU_UP) {
		raw_read(raw->fd, in, VCPU_CLEAR_BYTES);
		raw_read(raw->fd, in + VCPU_CLEAR_BYTES,
			 (size_t)vcpu_link_bytes(&raw->link, in) - VCPU_CLEAR_BYTES);
		CHECK(!vcpu_link_greet(&raw->link, in, out, &bytes, why));
		if (bytes)
			CHECK(send(raw->fd, out, bytes, MSG_NOSIGNAL) == (ssize_t)bytes);
	}
}

/* Node 1 of two, which a router of node 0 takes for one. */
static void raw_connect(struct raw *raw)
{
	raw_self(raw, 1);
	raw->fd = raw_open(0);
	CHECK(!vcpu_link_init(&raw->link, &raw->self, true, 0));
	raw_greet(raw);
}

static void raw_listen(struct raw *raw)
{
	raw_self(raw, 0);
	raw->fd = vcpu_socket_listen(&addrs[0]);
	CHECK(raw->fd >= 0);
}

/* Node 0 of two; node 1 connects. */
static void raw_accept(struct raw *raw)
{
	struct pollfd ready = {.fd = raw->fd, .events = POLLIN};
	int fd;

	WAIT_FOR(poll(&ready, 1, 1000) == 1);
	fd = accept4(raw->fd, NULL, NULL, SOCK_CLOEXEC);
	CHECK(fd >= 0);
	close(raw->fd);
	vcpu_socket_forget(&addrs[0]);
	raw->fd = fd;
	CHECK(!vcpu_link_init(&raw->link, &raw->self, false, 0));
	raw_greet(raw);
}

static int raw_seal(struct raw *raw, struct vcpu_frame *f, uint8_t out[VCPU_FRAME_MAX])
{
	uint8_t plain[VCPU_FRAME_MAX];

	f->from = raw->self.node;
	return vcpu_link_close(&raw->link, plain, vcpu_frame_encode(f, plain), out);
}

static void raw_send(struct raw *raw, struct vcpu_frame f)
{
	uint8_t out[VCPU_FRAME_MAX];
	int bytes = raw_seal(raw, &f, out);

	CHECK(bytes > 0);
	CHECK(send(raw->fd, out, (size_t)bytes, MSG_NOSIGNAL) == bytes);
}

/* The next that is not ALIVE. */
static struct vcpu_frame raw_take(struct raw *raw, uint8_t bytes[VCPU_FRAME_MAX])
{
	struct vcpu_frame f;
	int whole;

	do {
		raw_read(raw->fd, bytes, VCPU_CLEAR_BYTES);
		whole = vcpu_link_bytes(&raw->link, bytes);
		CHECK(whole > 0);
		raw_read(raw->fd, bytes + VCPU_CLEAR_BYTES, (size_t)whole - VCPU_CLEAR_BYTES);
		CHECK(!vcpu_link_open(&raw->link, bytes, (size_t)whole, &f));
	} while (f.type == VCPU_ALIVE);
	return f;
}

static void raw_end(struct raw *raw)
{
	close(raw->fd);
	vcpu_link_deinit(&raw->link);
}

/* ---- what arrives ---- */

static void nodes_come_up_in_any_order(void)
{
	static const unsigned orders[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 2, 0}};
	struct node nodes[3];

	world("0@0;1@1;2@2");
	for (size_t o = 0; o < sizeof(orders) / sizeof(orders[0]); o++) {
		for (unsigned i = 0; i < 3; i++)
			node_start_plain(&nodes[orders[o][i]], orders[o][i]);
		for (unsigned i = 0; i < 3; i++)
			CHECK(!vcpu_router_wait_up(nodes[i].r, LONG_MS));
		for (unsigned i = 0; i < 3; i++)
			CHECK(!nodes[i].lost && !nodes[i].notes);
		for (unsigned i = 0; i < 3; i++)
			node_end(&nodes[i]);
	}
}

#define IRQS 20000

static void frames_arrive_once_and_in_order(void)
{
	struct node a, b;

	world("0-1@0;2-3@1");
	node_start_plain(&a, 0);
	node_start_plain(&b, 1);
	CHECK(!vcpu_router_wait_up(a.r, LONG_MS) && !vcpu_router_wait_up(b.r, LONG_MS));
	for (unsigned i = 0; i < IRQS; i++) {
		struct vcpu_frame f = {.type = VCPU_IRQ, .value = VCPU_VECTOR_MIN + i % 200};

		f.cpu = 3;
		CHECK(!vcpu_router_send(a.r, 1, &f));
		f.cpu = 0;
		CHECK(!vcpu_router_send(b.r, 0, &f));
		/* The same interrupt, which comes again after 200, is never in a queue twice. */
		WAIT_FOR(i < a.irqs + 150 && i < b.irqs + 150);
	}
	WAIT_FOR(a.irqs == IRQS && b.irqs == IRQS);
	CHECK(!a.wrong && !b.wrong && !a.lost && !b.lost);
	CHECK_EQ(stats_of(&a, 1).sent[VCPU_IRQ], IRQS);
	CHECK_EQ(stats_of(&a, 1).received[VCPU_IRQ], IRQS);
	node_end(&a);
	node_end(&b);
}

#define CALLERS 4
#define CALLS	500

static void *caller(void *arg)
{
	static atomic_uint next;
	struct node *n = arg;
	unsigned cpu = 2 + next++ % 2;
	uint8_t body[VCPU_BODY_MAX];

	for (unsigned i = 0; i < CALLS; i++) {
		uint8_t count[2] = {(uint8_t)(1 + i % 200)};
		struct vcpu_frame answer, f = {
						  .type = VCPU_IO_READ,
						  .flags = VCPU_IO_PORT | 1,
						  .cpu = (uint16_t)cpu,
						  .value = 0x1f0 + i % 16,
						  .body = count,
						  .body_bytes = 2,
					  };

		CHECK(!vcpu_router_call(n->r, 0, &f, &answer, body));
		CHECK_EQ(answer.body_bytes, 2 * count[0]);
		for (unsigned k = 0; k < answer.body_bytes; k++)
			CHECK_EQ(body[k], (0x1f0 + i % 16) & 0xff);
	}
	return NULL;
}

static void each_call_gets_its_own_answer(void)
{
	pthread_t threads[CALLERS];
	struct node a, b;

	world("0-1@0;2-3@1");
	node_start_plain(&a, 0);
	node_start_plain(&b, 1);
	CHECK(!vcpu_router_wait_up(b.r, LONG_MS) && !vcpu_router_wait_up(a.r, LONG_MS));
	for (unsigned i = 0; i < CALLERS; i++)
		CHECK(!pthread_create(&threads[i], NULL, caller, &b));
	for (unsigned i = 0; i < CALLERS; i++)
		pthread_join(threads[i], NULL);
	CHECK_EQ(stats_of(&b, 0).calls, CALLERS * CALLS);
	CHECK(!a.lost && !b.lost);
	node_end(&a);
	node_end(&b);
}

static void what_is_queued_before_the_end_arrives(void)
{
	struct node a, b;

	world("0@0;1@1");
	node_start_plain(&a, 0);
	node_start_plain(&b, 1);
	CHECK(!vcpu_router_wait_up(a.r, LONG_MS));
	for (unsigned i = 0; i < 100; i++) {
		struct vcpu_frame f = {.type = VCPU_IRQ, .cpu = 1, .value = VCPU_VECTOR_MIN + i};

		CHECK(!vcpu_router_send_all(a.r, &f));
	}
	vcpu_router_flush(a.r, LONG_MS);
	node_end(&a);
	why_is(&b, "node 0 closed the connection");
	CHECK_EQ(b.irqs, 100);
	CHECK(!b.wrong);
	node_end(&b);
}

/* ---- peers that are not as they should be ---- */

static void pair_start(struct node *n, struct raw *raw)
{
	world("0-1@0;2-3@1");
	node_start_plain(n, 0);
	raw_connect(raw);
	CHECK(!vcpu_router_wait_up(n->r, LONG_MS));
}

static void a_full_queue_ends_the_peer_and_holds_nobody_up(void)
{
	struct node n;
	struct raw raw;
	struct vcpu_router_conf conf;
	struct vcpu_frame f = {.type = VCPU_NMI, .cpu = 2};
	char why[LOST_BYTES];
	int err = 0;

	world("0-1@0;2-3@1");
	conf = conf_of(&n, 0);
	conf.queue_bytes = VCPU_FRAME_MAX;
	node_start(&n, &conf);
	raw_connect(&raw);
	CHECK(!vcpu_router_wait_up(n.r, LONG_MS));
	/* It reads nothing: the kernel takes some, the queue some; each send returns at once. */
	for (unsigned i = 0; !err && i < 10000000; i++)
		err = vcpu_router_send(n.r, 1, &f);
	CHECK_EQ(err, -ENOBUFS);
	snprintf(why, sizeof(why), "node 1 reads too slowly: %d bytes wait for it",
		 VCPU_FRAME_MAX / VCPU_HEAD_BYTES * VCPU_HEAD_BYTES);
	why_is(&n, why);
	CHECK_EQ(vcpu_router_send(n.r, 1, &f), -ENOTCONN);
	CHECK_EQ(vcpu_router_wait_up(n.r, 0), -ENOTCONN);
	raw_end(&raw);
	node_end(&n);
}

static void queue_is(struct vcpu_peer *peer, const uint8_t *types, unsigned count)
{
	struct vcpu_frame f;

	CHECK_EQ(peer->queued, count * VCPU_HEAD_BYTES);
	for (unsigned i = 0; i < count; i++) {
		vcpu_frame_decode(peer->queue + i * VCPU_HEAD_BYTES, &f);
		CHECK_EQ(f.type, types[i]);
	}
}

static void send_irq(struct vcpu_peer *peer, unsigned cpu, unsigned vector, unsigned flags)
{
	struct vcpu_frame f = {
		.type = VCPU_IRQ, .cpu = (uint16_t)cpu, .value = vector, .flags = (uint8_t)flags};

	CHECK(!vcpu_peer_send(peer, &f));
}

/* A peer without a writer: its queue stays. */
static void an_interrupt_waits_once(void)
{
	static const uint8_t types[] = {VCPU_IRQ, VCPU_IRQ,  VCPU_IRQ, VCPU_IRQ,
					VCPU_NMI, VCPU_INIT, VCPU_IRQ, VCPU_IRQ};
	struct vcpu_frame nmi = {.type = VCPU_NMI, .cpu = 2}, init = {.type = VCPU_INIT, .cpu = 2};
	struct vcpu_self self = {.map = &map};
	struct vcpu_peer_env env = {.self = &self, .queue_bytes = 1 << 20};
	struct vcpu_link link = {0};
	struct vcpu_peer peer;

	world("0-1@0;2-3@1");
	CHECK(!vcpu_peer_init(&peer, &env, 1) && !vcpu_peer_adopt(&peer, &link, dup(0)));
	for (unsigned i = 0; i < 1000000; i++)
		send_irq(&peer, 2, 40, 0);
	CHECK_EQ(peer.stats.merged, 999999);
	send_irq(&peer, 2, 41, 0);
	send_irq(&peer, 2, 40, VCPU_IRQ_LEVEL);
	send_irq(&peer, 3, 40, 0);
	CHECK(!vcpu_peer_send(&peer, &nmi));
	send_irq(&peer, 2, 40, 0);
	queue_is(&peer, types, 5);
	/* What comes after INIT, or in another era, is not what came before. */
	CHECK(!vcpu_peer_send(&peer, &init));
	send_irq(&peer, 2, 40, 0);
	queue_is(&peer, types, 7);
	env.era = 1;
	send_irq(&peer, 2, 40, 0);
	send_irq(&peer, 2, 40, 0);
	queue_is(&peer, types, 8);
	close(peer.fd);
	peer.fd = -1;
	vcpu_peer_deinit(&peer);
}

static void *says_alive(void *arg)
{
	struct raw *raw = arg;
	struct vcpu_frame f = {.type = VCPU_ALIVE};
	uint8_t out[VCPU_FRAME_MAX];
	int bytes;

	do {
		bytes = raw_seal(raw, &f, out);
		poll(NULL, 0, QUICK_MS / 8);
	} while (send(raw->fd, out, (size_t)bytes, MSG_NOSIGNAL) == bytes);
	return NULL;
}

/* It says that it is alive, and never reads; what waits for it is less than a queue. */
static void a_peer_that_reads_nothing_ends(void)
{
	struct node n;
	struct raw raw;
	struct vcpu_router_conf conf;
	static uint8_t bytes[VCPU_BODY_MAX];
	pthread_t thread;
	int small = 4096;

	world("0-1@0;2-3@1");
	conf = conf_of(&n, 1);
	conf.silence_ms = QUICK_MS * 5;
	conf.queue_bytes = 64u << 20;
	raw_listen(&raw);
	setsockopt(raw.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	node_start(&n, &conf);
	raw_accept(&raw);
	CHECK(!vcpu_router_wait_up(n.r, LONG_MS));
	CHECK(!pthread_create(&thread, NULL, says_alive, &raw));
	for (unsigned i = 0; i < 1000; i++) {
		struct vcpu_frame f = {
			.type = VCPU_IO_WRITE,
			.flags = VCPU_IO_POSTED | 3,
			.cpu = 2,
			.value = 0xfebc0000,
			.body = bytes,
			.body_bytes = 8,
		};

		for (unsigned k = 0; k < 20 && !n.lost; k++)
			vcpu_router_send(n.r, 0, &f);
	}
	why_is(&n, "node 0 has read nothing for 2000 ms");
	pthread_join(thread, NULL);
	raw_end(&raw);
	node_end(&n);
}

static void a_silent_peer_ends(void)
{
	struct node n;
	struct raw raw;
	struct vcpu_router_conf conf;

	world("0-1@0;2-3@1");
	conf = conf_of(&n, 0);
	conf.silence_ms = QUICK_MS;
	node_start(&n, &conf);
	raw_connect(&raw);
	why_is(&n, "node 1 was silent for 400 ms");
	raw_end(&raw);
	node_end(&n);
}

/* A byte now and then is no sign of life. */
static void a_peer_that_never_ends_a_frame_ends(void)
{
	struct node n;
	struct raw raw;
	struct vcpu_router_conf conf;
	static const uint8_t none[1];
	uint8_t large[VCPU_CLEAR_BYTES] = {0, 0x10};

	world("0-1@0;2-3@1");
	conf = conf_of(&n, 0);
	conf.silence_ms = QUICK_MS;
	node_start(&n, &conf);
	raw_connect(&raw);
	CHECK(send(raw.fd, large, sizeof(large), MSG_NOSIGNAL) == sizeof(large));
	for (unsigned i = 0; i < VCPU_BODY_MAX && !n.lost; i++) {
		if (send(raw.fd, none, 1, MSG_NOSIGNAL) != 1)
			break;
		poll(NULL, 0, QUICK_MS / 16);
	}
	why_is(&n, "node 1 was silent for 400 ms");
	raw_end(&raw);
	node_end(&n);
}

/* This process does nothing for longer than a peer may; then the bytes are there. */
static void stand_still(int fd, const uint8_t *bytes, size_t count)
{
	pid_t parent = getpid(), child = fork();
	int status;

	CHECK(child >= 0);
	if (!child) {
		kill(parent, SIGSTOP);
		poll(NULL, 0, 3 * QUICK_MS);
		if (send(fd, bytes, count, MSG_NOSIGNAL) != (ssize_t)count)
			_exit(1);
		kill(parent, SIGCONT);
		_exit(0);
	}
	while (waitpid(child, &status, 0) != child)
		CHECK_EQ(errno, EINTR);
	CHECK_EQ(status, 0);
}

static void a_node_that_stood_still_judges_nobody(void)
{
	struct vcpu_frame f = {.type = VCPU_IRQ, .value = 40};
	struct vcpu_router_conf conf;
	uint8_t out[VCPU_FRAME_MAX];
	struct node n;
	struct raw raw;
	int bytes;

	world("0-1@0;2-3@1");
	conf = conf_of(&n, 0);
	conf.silence_ms = QUICK_MS;
	node_start(&n, &conf);
	raw_connect(&raw);
	CHECK(!vcpu_router_wait_up(n.r, LONG_MS));
	bytes = raw_seal(&raw, &f, out);
	stand_still(raw.fd, out, VCPU_HEAD_BYTES);
	poll(NULL, 0, QUICK_MS / 16); /* in which half a frame is read */
	CHECK(send(raw.fd, out + VCPU_HEAD_BYTES, (size_t)bytes - VCPU_HEAD_BYTES, MSG_NOSIGNAL) ==
	      bytes - VCPU_HEAD_BYTES);
	WAIT_FOR(n.irqs || n.lost);
	CHECK_EQ(n.irqs, 1);
	raw_end(&raw);
	node_end(&n);
}

/* Each frame comes when two should have come before it. */
static void a_peer_that_is_late_is_alive(void)
{
	struct vcpu_frame alive = {.type = VCPU_ALIVE};
	struct vcpu_router_conf conf;
	struct node n;
	struct raw raw;

	world("0-1@0;2-3@1");
	conf = conf_of(&n, 0);
	conf.silence_ms = QUICK_MS * 5;
	node_start(&n, &conf);
	raw_connect(&raw);
	CHECK(!vcpu_router_wait_up(n.r, LONG_MS));
	for (unsigned i = 1; i <= 2; i++) {
		poll(NULL, 0, (int)(conf.silence_ms / 4 * 3));
		raw_send(&raw, alive);
		WAIT_FOR(stats_of(&n, 1).received[VCPU_ALIVE] == i || n.lost);
		CHECK(!n.lost);
	}
	raw_end(&raw);
	node_end(&n);
}

/* Nobody sends anything for longer than the silence that ends a peer. */
static void quiet_nodes_hear_of_each_other(void)
{
	struct node a, b;
	struct vcpu_router_conf conf;

	world("0@0;1@1");
	conf = conf_of(&a, 0);
	conf.silence_ms = QUICK_MS * 5;
	node_start(&a, &conf);
	conf = conf_of(&b, 1);
	conf.silence_ms = QUICK_MS * 5;
	node_start(&b, &conf);
	CHECK(!vcpu_router_wait_up(a.r, LONG_MS) && !vcpu_router_wait_up(b.r, LONG_MS));
	WAIT_FOR(stats_of(&a, 1).received[VCPU_ALIVE] > VCPU_SLICES + 1 &&
		 stats_of(&b, 0).received[VCPU_ALIVE] > VCPU_SLICES + 1);
	CHECK(!a.lost && !b.lost && !a.frames && !b.frames);
	node_end(&a);
	node_end(&b);
}

static void a_replayed_frame_ends_the_peer(void)
{
	struct node n;
	struct raw raw;
	struct vcpu_frame f = {.type = VCPU_IRQ, .cpu = 1, .value = VCPU_VECTOR_MIN};
	uint8_t out[VCPU_FRAME_MAX];
	int bytes;

	pair_start(&n, &raw);
	bytes = raw_seal(&raw, &f, out);
	for (unsigned i = 0; i < 2; i++)
		CHECK(send(raw.fd, out, (size_t)bytes, MSG_NOSIGNAL) == bytes);
	why_is(&n, "a frame from node 1 was changed on its way, repeated or left out");
	CHECK_EQ(n.irqs, 1);
	raw_end(&raw);
	node_end(&n);
}

static void ends_with(struct vcpu_frame f, const char *why)
{
	struct node n;
	struct raw raw;

	pair_start(&n, &raw);
	raw_send(&raw, f);
	why_is(&n, why);
	CHECK(!n.frames);
	raw_end(&raw);
	node_end(&n);
}

static void a_lying_peer_ends(void)
{
	ends_with((struct vcpu_frame){.type = VCPU_IRQ, .cpu = 3, .value = 40},
		  "node 1 sent IRQ, which it may not send so");
	ends_with((struct vcpu_frame){.type = VCPU_IRQ, .cpu = 0, .value = 3},
		  "node 1 sent IRQ, which it may not send so");
	ends_with((struct vcpu_frame){.type = VCPU_EOI, .cpu = 0, .value = 40},
		  "node 1 sent EOI, which it may not send so");
	ends_with((struct vcpu_frame){.type = VCPU_IRQ, .cpu = 0, .value = 40, .era = 1},
		  "node 1 sent IRQ, which it may not send so");
	ends_with((struct vcpu_frame){.type = VCPU_RESET, .era = 1},
		  "node 1 sent RESET, which it may not send so");
	ends_with((struct vcpu_frame){.type = 200}, "node 1 sent a frame that is not well formed");
}

struct wrong_answer {
	struct raw *raw;
	bool longer; /* than what was asked for; else to another question */
};

static void *answers_wrong(void *arg)
{
	static const uint8_t bytes[8];
	struct wrong_answer *w = arg;
	uint8_t in[VCPU_FRAME_MAX];
	struct vcpu_frame f = raw_take(w->raw, in);

	CHECK_EQ(f.type, VCPU_IO_READ);
	f = (struct vcpu_frame){.type = VCPU_IO_DONE, .cpu = 2, .seq = f.seq + !w->longer};
	f.body = bytes;
	f.body_bytes = w->longer ? 8 : 4;
	raw_send(w->raw, f);
	return NULL;
}

/* Four bytes, by a vCPU of node 1. */
static const struct vcpu_frame read_4 = {
	.type = VCPU_IO_READ,
	.cpu = 2,
	.value = 0xfec00000,
	.body = (const uint8_t *)"\1",
	.body_bytes = 2,
	.flags = 2,
};

static void call_ends_by(bool longer)
{
	uint8_t body[VCPU_BODY_MAX];
	struct vcpu_frame answer, read = read_4;
	struct raw raw;
	struct wrong_answer w = {&raw, longer};
	pthread_t thread;
	struct node n;

	world("0-1@0;2-3@1");
	raw_listen(&raw);
	node_start_plain(&n, 1);
	raw_accept(&raw);
	CHECK(!vcpu_router_wait_up(n.r, LONG_MS));
	CHECK(!pthread_create(&thread, NULL, answers_wrong, &w));
	CHECK_EQ(vcpu_router_call(n.r, 0, &read, &answer, body), -ENOTCONN);
	why_is(&n, "node 0 sent IO_DONE, which it may not send so");
	pthread_join(thread, NULL);
	raw_end(&raw);
	node_end(&n);
}

static void an_answer_to_no_question_ends_the_peer(void)
{
	call_ends_by(false);
}

static void an_answer_that_brings_more_ends_the_peer(void)
{
	call_ends_by(true);
}

static void a_call_that_is_not_answered_ends_the_peer(void)
{
	struct vcpu_frame answer, f = read_4;
	uint8_t body[VCPU_BODY_MAX];
	struct vcpu_router_conf conf;
	struct node n;
	struct raw raw;

	world("0-1@0;2-3@1");
	conf = conf_of(&n, 1);
	conf.call_ms = QUICK_MS;
	raw_listen(&raw);
	node_start(&n, &conf);
	raw_accept(&raw);
	CHECK(!vcpu_router_wait_up(n.r, LONG_MS));
	CHECK_EQ(vcpu_router_call(n.r, 0, &f, &answer, body), -ETIMEDOUT);
	why_is(&n, "node 0 did not answer IO_READ within 400 ms");
	raw_end(&raw);
	node_end(&n);
}

/* ---- eras ---- */

static void *resets(void *arg)
{
	struct raw *raw = arg;
	uint8_t in[VCPU_FRAME_MAX];
	struct vcpu_frame f = raw_take(raw, in);

	CHECK_EQ(f.type, VCPU_IO_READ);
	raw_send(raw, (struct vcpu_frame){.type = VCPU_RESET, .era = 1});
	/* What node 0 said before it knew: of the old era. */
	f = (struct vcpu_frame){
		.type = VCPU_IO_DONE, .cpu = 2, .seq = f.seq, .body = in, .body_bytes = 4};
	raw_send(raw, f);
	raw_send(raw, (struct vcpu_frame){.type = VCPU_IRQ, .cpu = 2, .value = 200});
	raw_send(raw, (struct vcpu_frame){
			      .type = VCPU_IRQ, .cpu = 2, .value = VCPU_VECTOR_MIN, .era = 1});
	return NULL;
}

static void an_old_era_ends_with_its_frames_and_calls(void)
{
	struct vcpu_frame answer, f = read_4;
	uint8_t body[VCPU_BODY_MAX], in[VCPU_FRAME_MAX];
	pthread_t thread;
	struct node n;
	struct raw raw;

	world("0-1@0;2-3@1");
	raw_listen(&raw);
	node_start_plain(&n, 1);
	raw_accept(&raw);
	CHECK(!vcpu_router_wait_up(n.r, LONG_MS));
	CHECK(!pthread_create(&thread, NULL, resets, &raw));
	CHECK_EQ(vcpu_router_call(n.r, 0, &f, &answer, body), -ECANCELED);
	pthread_join(thread, NULL);
	WAIT_FOR(n.irqs);
	CHECK_EQ(n.irqs, 1); /* that of the new era */
	CHECK(!n.wrong && !n.lost);
	CHECK_EQ(stats_of(&n, 0).dropped, 2);
	CHECK_EQ(vcpu_router_era(n.r), 1);
	f = (struct vcpu_frame){.type = VCPU_READY};
	CHECK(!vcpu_router_send(n.r, 0, &f));
	f = raw_take(&raw, in);
	CHECK(f.type == VCPU_READY && f.era == 1);
	/* An answer to what was asked in the old era is no frame of the new one. */
	f = (struct vcpu_frame){.type = VCPU_EOI, .cpu = 2, .value = 40, .era = 0};
	CHECK(!vcpu_router_answer(n.r, 0, &f));
	CHECK_EQ(stats_of(&n, 0).sent[VCPU_EOI], 0);
	raw_send(&raw, (struct vcpu_frame){.type = VCPU_RESET, .era = 3});
	why_is(&n, "node 0 sent RESET, which it may not send so");
	raw_end(&raw);
	node_end(&n);
}

/* ---- how it begins and ends ---- */

/* False: the nodes' time was over before they had met, as on a machine that stands still for so
 * long. */
static bool a_node_with_another_key_is_told(unsigned start_ms)
{
	char whys[2][LOST_BYTES];
	struct vcpu_router_conf conf;
	struct node a, b;
	bool met;

	world("0@0;1@1");
	conf = conf_of(&a, 0);
	conf.start_ms = start_ms;
	node_start(&a, &conf);
	conf = conf_of(&b, 1);
	conf.start_ms = start_ms;
	conf.key = "another key than the others have";
	node_start(&b, &conf);
	WAIT_FOR(a.lost && b.lost);
	snprintf(whys[0], LOST_BYTES,
		 "node 1 did not come up within %u ms: node 1 has another key than node 0",
		 start_ms);
	snprintf(whys[1], LOST_BYTES,
		 "node 0 did not come up within %u ms: "
		 "node 0 refuses: node 1 has another key than node 0",
		 start_ms);
	pthread_mutex_lock(&a.lock);
	pthread_mutex_lock(&b.lock);
	met = strchr(a.why, ':') && strchr(b.why, ':');
	pthread_mutex_unlock(&b.lock);
	pthread_mutex_unlock(&a.lock);
	if (met) {
		why_is(&a, whys[0]);
		why_is(&b, whys[1]);
		CHECK_EQ(a.notes, 1); /* not once for each attempt */
		CHECK_EQ(b.notes, 1);
	}
	node_end(&a);
	node_end(&b);
	return met;
}

static void a_node_with_another_key_is_told_and_lost_at_last(void)
{
	unsigned start_ms = 1000;

	while (!a_node_with_another_key_is_told(start_ms)) {
		CHECK(start_ms < 20000);
		start_ms *= 3;
	}
}

static void a_node_that_does_not_come_is_lost(void)
{
	struct vcpu_router_conf conf;
	struct node n;

	world("0@0;1@1;2@2");
	conf = conf_of(&n, 0);
	conf.start_ms = 1;
	node_start(&n, &conf);
	WAIT_FOR(n.lost == 2);
	CHECK_EQ(vcpu_router_wait_up(n.r, LONG_MS), -ENOTCONN);
	CHECK(!strcmp(n.why, "node 2 did not come up within 1 ms"));
	node_end(&n);
}

/* Others come and say nothing, or what is no handshake. */
static void strangers_keep_nobody_out(void)
{
	struct node a, b;
	int fds[12];

	world("0@0;1@1");
	node_start_plain(&a, 0);
	for (unsigned i = 0; i < 12; i++)
		fds[i] = raw_open(0);
	for (unsigned i = 0; i < 4; i++)
		CHECK(send(fds[8 + i], "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL) == 18);
	node_start_plain(&b, 1);
	CHECK(!vcpu_router_wait_up(a.r, LONG_MS) && !vcpu_router_wait_up(b.r, LONG_MS));
	for (unsigned i = 0; i < 12; i++)
		close(fds[i]);
	CHECK(!a.lost && !b.lost);
	node_end(&a);
	node_end(&b);
}

static void a_lost_node_does_not_come_back(void)
{
	struct node n;
	struct raw raw;

	pair_start(&n, &raw);
	raw_end(&raw);
	why_is(&n, "node 1 closed the connection");
	raw_connect(&raw);
	WAIT_FOR(n.notes);
	pthread_mutex_lock(&n.lock);
	CHECK(!strcmp(n.note, "node 1 came again: it was lost"));
	pthread_mutex_unlock(&n.lock);
	CHECK_EQ(n.lost, 1);
	raw_end(&raw);
	node_end(&n);
}

static void a_killed_node_is_lost_at_once(void)
{
	struct node n;
	pid_t pid;

	world("0@0;1@1");
	pid = fork();
	if (pid == 0) {
		struct node other;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		node_start_plain(&other, 1);
		pause();
	}
	node_start_plain(&n, 0);
	CHECK(!vcpu_router_wait_up(n.r, LONG_MS));
	CHECK(!kill(pid, SIGKILL) && waitpid(pid, NULL, 0) == pid);
	why_is(&n, "node 1 closed the connection");
	node_end(&n);
}

static void an_end_at_any_moment_leaves_nothing(void)
{
	struct node nodes[3];

	world("0@0;1@1;2@2");
	for (unsigned round = 0; round < 60; round++) {
		for (unsigned i = 0; i < 3; i++)
			node_start_plain(&nodes[i], i);
		poll(NULL, 0, (int)check_random_below(8));
		for (unsigned i = 0; i < 3; i++)
			node_end(&nodes[(i + round) % 3]);
	}
	for (unsigned i = 0; i < 3; i++)
		CHECK(access(((struct sockaddr_un *)&addrs[i].sa)->sun_path, F_OK));
}

static void a_socket_that_a_dead_node_left_is_not_in_the_way(void)
{
	struct node n;
	struct vcpu_router_conf conf;
	char error[VCPU_ROUTER_ERROR_BYTES];
	struct vcpu_router *second = NULL;
	int fd;

	world("0@0;1@1");
	fd = vcpu_socket_listen(&addrs[0]);
	CHECK(fd >= 0);
	close(fd);
	node_start_plain(&n, 0);
	conf = conf_of(&(struct node){0}, 0);
	CHECK_EQ(vcpu_router_create(&conf, &second, error), -EADDRINUSE);
	CHECK(!strcmp(error, "cannot listen: Address already in use"));
	CHECK(!access(((struct sockaddr_un *)&addrs[0].sa)->sun_path, F_OK));
	node_end(&n);
}

static const struct check_test tests[] = {
	{"nodes-come-up-in-any-order", nodes_come_up_in_any_order},
	{"frames-arrive-once-and-in-order", frames_arrive_once_and_in_order},
	{"each-call-gets-its-own-answer", each_call_gets_its_own_answer},
	{"what-is-queued-before-the-end-arrives", what_is_queued_before_the_end_arrives},
	{"a-full-queue-ends-the-peer-and-holds-nobody-up",
	 a_full_queue_ends_the_peer_and_holds_nobody_up},
	{"an-interrupt-waits-once", an_interrupt_waits_once},
	{"a-peer-that-reads-nothing-ends", a_peer_that_reads_nothing_ends},
	{"a-silent-peer-ends", a_silent_peer_ends},
	{"a-peer-that-is-late-is-alive", a_peer_that_is_late_is_alive},
	{"a-node-that-stood-still-judges-nobody", a_node_that_stood_still_judges_nobody},
	{"a-peer-that-never-ends-a-frame-ends", a_peer_that_never_ends_a_frame_ends},
	{"quiet-nodes-hear-of-each-other", quiet_nodes_hear_of_each_other},
	{"a-replayed-frame-ends-the-peer", a_replayed_frame_ends_the_peer},
	{"a-lying-peer-ends", a_lying_peer_ends},
	{"an-answer-to-no-question-ends-the-peer", an_answer_to_no_question_ends_the_peer},
	{"an-answer-that-brings-more-ends-the-peer", an_answer_that_brings_more_ends_the_peer},
	{"a-call-that-is-not-answered-ends-the-peer", a_call_that_is_not_answered_ends_the_peer},
	{"an-old-era-ends-with-its-frames-and-calls", an_old_era_ends_with_its_frames_and_calls},
	{"a-node-with-another-key-is-told-and-lost-at-last",
	 a_node_with_another_key_is_told_and_lost_at_last},
	{"a-node-that-does-not-come-is-lost", a_node_that_does_not_come_is_lost},
	{"strangers-keep-nobody-out", strangers_keep_nobody_out},
	{"a-lost-node-does-not-come-back", a_lost_node_does_not_come_back},
	{"a-killed-node-is-lost-at-once", a_killed_node_is_lost_at_once},
	{"an-end-at-any-moment-leaves-nothing", an_end_at_any_moment_leaves_nothing},
	{"a-socket-that-a-dead-node-left-is-not-in-the-way",
	 a_socket_that_a_dead_node_left_is_not_in_the_way},
};

int main(int argc, char **argv)
{
	int failed;

	if (!mkdtemp(folder)) {
		perror(folder);
		return 1;
	}
	failed = check_run(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
	rmdir(folder);
	return failed;
}
