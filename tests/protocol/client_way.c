// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * client_way.c - passes bytes on between clients and a node, and does them harm on order.
 *
 * One thread serves all ways. Per connection and direction there is a queue of bytes; faults act
 * when bytes enter it, by their place in the direction's stream.
 */
#include "client_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#define WAYS_MAX   256
#define LINKS_MAX  16
#define SHUFFLE_NS 3000000ull

struct queue {
	uint8_t *buf;
	size_t len, room;
};

struct link {
	bool used, frozen, cut_after, reset;
	unsigned nth;
	unsigned polled; /* where its two descriptors stand in `polled` */
	int fd[2]; /* what a direction is written to: [TO_NODE] the node's socket */
	uint64_t seen[2];
	struct queue out[2];
	struct queue held; /* answers: what is not passed on yet, to be repeated or shuffled */
	uint64_t held_since;
	uint64_t held_at; /* the place of held's first byte */
};

struct way {
	int listen_fd;
	char addr[32];
	struct sockaddr_in node;
	unsigned links;
	unsigned polled;
	bool shuffle, held, blocked, gone;
	uint64_t bytes[2];
	struct way_fault fault;
	struct link link[LINKS_MAX];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all of the ways */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct way *ways[WAYS_MAX];
static int wake_pipe[2];
static struct pollfd polled[1 + WAYS_MAX * (1 + 2 * LINKS_MAX)]; /* the thread's own */

static void queue_add(struct queue *q, const uint8_t *p, size_t n)
{
	if (q->len + n > q->room) {
		q->room = (q->len + n) * 2;
		q->buf = realloc(q->buf, q->room);
		CHECK(q->buf);
	}
	if (n)
		memcpy(q->buf + q->len, p, n);
	q->len += n;
}

static void queue_drop(struct queue *q, size_t n)
{
	memmove(q->buf, q->buf + n, q->len - n);
	q->len -= n;
}

static void link_close(struct link *l, bool reset)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	for (int d = 0; d < 2; d++) {
		if (reset)
			setsockopt(l->fd[d], SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		close(l->fd[d]);
		free(l->out[d].buf);
	}
	free(l->held.buf);
	memset(l, 0, sizeof(*l));
}

static size_t frame_len(const uint8_t *p, size_t n)
{
	size_t len;

	if (n < GVM_HDR_BYTES)
		return 0;
	len = GVM_HDR_BYTES + gvm_load_le(p + 10, 2) + gvm_load_le(p + 12, 4);
	return len <= n ? len : 0;
}

/* Whole frames of `held` go on, in any order. */
static void held_shuffle(struct way *w, struct link *l)
{
	size_t at[4096], len[4096], n = 0, pos = 0, f;

	while (n < 4096 && (f = frame_len(l->held.buf + pos, l->held.len - pos))) {
		at[n] = pos;
		len[n++] = f;
		pos += f;
	}
	w->bytes[TO_CLIENT] += pos;
	while (n) {
		size_t i = check_random_below((unsigned)n);

		/* The parts of one answer keep their order: take the first with this tag. */
		for (size_t k = 0; k < i; k++)
			if (!memcmp(l->held.buf + at[k] + 16, l->held.buf + at[i] + 16, 8))
				i = k;
		queue_add(&l->out[TO_CLIENT], l->held.buf + at[i], len[i]);
		n--;
		memmove(at + i, at + i + 1, (n - i) * sizeof(*at));
		memmove(len + i, len + i + 1, (n - i) * sizeof(*len));
	}
	queue_drop(&l->held, pos);
	l->held_since = 0;
}

static void held_repeat(struct way *w, struct link *l)
{
	size_t f;

	while ((f = frame_len(l->held.buf, l->held.len))) {
		queue_add(&l->out[TO_CLIENT], l->held.buf, f);
		if (w->fault.at >= l->held_at && w->fault.at < l->held_at + f)
			queue_add(&l->out[TO_CLIENT], l->held.buf, f);
		w->bytes[TO_CLIENT] += f;
		l->held_at += f;
		queue_drop(&l->held, f);
	}
}

static void pass(struct way *w, struct link *l, int d, uint8_t *p, size_t n)
{
	const struct way_fault *f = &w->fault;
	bool hit = f->kind != FAULT_NONE && (int)f->direction == d &&
		   (f->link == l->nth || f->link == ~0u);
	uint64_t from = l->seen[d];

	l->seen[d] += n;
	if (l->frozen || l->cut_after)
		return;
	if (hit && f->kind == FAULT_REPEAT) {
		if (!l->held.len)
			l->held_at = from;
		queue_add(&l->held, p, n);
		held_repeat(w, l);
		return;
	}
	if (d == TO_CLIENT && w->shuffle) {
		queue_add(&l->held, p, n);
		if (!l->held_since)
			l->held_since = gvm_now_ns();
		return;
	}
	if (hit && f->kind == FAULT_FLIP && f->at >= from && f->at < from + n)
		p[f->at - from] ^= (uint8_t)(1u << (f->at % 8));
	if (hit && f->kind != FAULT_FLIP && f->at < from + n) {
		n = f->at > from ? f->at - from : 0;
		l->frozen = f->kind == FAULT_FREEZE;
		l->cut_after = !l->frozen;
		l->reset = f->kind == FAULT_RESET;
	}
	w->bytes[d] += n;
	queue_add(&l->out[d], p, n);
}

static void way_accept(struct way *w)
{
	int on = 1, fd = accept4(w->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), node;

	if (fd < 0)
		return;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	node = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (w->blocked || node < 0 ||
	    connect(node, (struct sockaddr *)&w->node, sizeof(w->node))) {
		close(node);
		close(fd);
		return;
	}
	fcntl(node, F_SETFL, O_NONBLOCK);
	setsockopt(node, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	for (unsigned i = 0; i < LINKS_MAX; i++) {
		if (w->link[i].used)
			continue;
		w->link[i] = (struct link){.used = true, .nth = w->links++, .fd = {node, fd}};
		return;
	}
	CHECK(!"room for a connection");
}

static void link_serve(struct way *w, struct link *l)
{
	uint8_t buf[65536];

	if (w->shuffle ? l->held_since && gvm_now_ns() - l->held_since > SHUFFLE_NS : l->held_since)
		held_shuffle(w, l);
	for (int d = 0; d < 2; d++) {
		ssize_t n;

		/* A frozen link is not read from: its buffers fill up. */
		if (!l->frozen && !w->held && l->out[d].len < 1 << 20) {
			n = recv(l->fd[!d], buf, sizeof(buf), MSG_DONTWAIT);
			if (n > 0)
				pass(w, l, d, buf, (size_t)n);
			else if (!n || errno != EAGAIN) {
				l->cut_after = true;
				if (w->shuffle)
					held_shuffle(w, l);
			}
		}
		if (!l->out[d].len)
			continue;
		n = send(l->fd[d], l->out[d].buf, l->out[d].len, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n > 0)
			queue_drop(&l->out[d], (size_t)n);
		else if (errno != EAGAIN)
			l->out[d].len = 0;
	}
	if (l->cut_after && !l->out[0].len && !l->out[1].len)
		link_close(l, l->reset);
}

static unsigned poll_fill(void)
{
	struct pollfd *p = polled;
	unsigned n = 1;

	p[0] = (struct pollfd){.fd = wake_pipe[0], .events = POLLIN};
	for (unsigned i = 0; i < WAYS_MAX; i++) {
		struct way *w = ways[i];

		if (!w)
			continue;
		w->polled = n;
		p[n++] = (struct pollfd){.fd = w->listen_fd, .events = POLLIN};
		for (unsigned k = 0; k < LINKS_MAX; k++) {
			struct link *l = &w->link[k];

			l->polled = n;
			for (int d = 0; l->used && d < 2; d++)
				p[n++] = (struct pollfd){
					.fd = l->fd[d],
					.events = (short)((l->frozen || w->held ? 0 : POLLIN) |
							  (l->out[d].len ? POLLOUT : 0))};
		}
	}
	return n;
}

static bool link_ready(const struct way *w, const struct link *l)
{
	return polled[l->polled].revents || polled[l->polled + 1].revents || l->cut_after ||
	       l->held_since || w->shuffle;
}

static void ways_serve(void)
{
	for (unsigned i = 0; i < WAYS_MAX; i++) {
		struct way *w = ways[i];

		if (!w)
			continue;
		if (!w->gone && polled[w->polled].revents)
			way_accept(w);
		for (unsigned k = 0; k < LINKS_MAX; k++) {
			if (w->link[k].used && (w->gone || w->blocked))
				link_close(&w->link[k], true);
			if (w->link[k].used && link_ready(w, &w->link[k]))
				link_serve(w, &w->link[k]);
		}
		if (w->gone) {
			close(w->listen_fd);
			free(w);
			ways[i] = NULL;
		}
	}
}

static void *serve(void *arg)
{
	char drain[64];

	(void)arg;
	for (;;) {
		unsigned n;

		pthread_mutex_lock(&lock);
		ways_serve();
		n = poll_fill();
		pthread_mutex_unlock(&lock);
		poll(polled, n, 5);
		if (polled[0].revents)
			(void)!read(wake_pipe[0], drain, sizeof(drain));
	}
	return NULL;
}

static void start(void)
{
	pthread_t thread;

	CHECK_EQ(pipe2(wake_pipe, O_CLOEXEC | O_NONBLOCK), 0);
	CHECK_EQ(pthread_create(&thread, NULL, serve, NULL), 0);
	pthread_detach(thread);
}

/* Ends a change to the ways, made under the lock. */
static void changed(void)
{
	pthread_mutex_unlock(&lock);
	(void)!write(wake_pipe[1], "", 1);
}

static void node_parse(struct way *w, const char *addr)
{
	char host[64];
	unsigned port;

	CHECK_EQ(sscanf(addr, "%63[^:]:%u", host, &port), 2);
	w->node = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	CHECK_EQ(inet_pton(AF_INET, host, &w->node.sin_addr), 1);
}

struct way *way_open(const char *node_addr)
{
	struct way *w = calloc(1, sizeof(*w));
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
	socklen_t bytes = sizeof(at);
	unsigned i = 0;

	pthread_once(&once, start);
	CHECK(w);
	node_parse(w, node_addr);
	w->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	CHECK_EQ(bind(w->listen_fd, (struct sockaddr *)&at, bytes), 0);
	CHECK_EQ(listen(w->listen_fd, 64), 0);
	CHECK_EQ(getsockname(w->listen_fd, (struct sockaddr *)&at, &bytes), 0);
	snprintf(w->addr, sizeof(w->addr), "127.0.0.1:%u", ntohs(at.sin_port));
	pthread_mutex_lock(&lock);
	while (i < WAYS_MAX && ways[i])
		i++;
	CHECK(i < WAYS_MAX);
	ways[i] = w;
	changed();
	return w;
}

const char *way_addr(const struct way *w)
{
	return w->addr;
}

void way_lead_to(struct way *w, const char *node_addr)
{
	pthread_mutex_lock(&lock);
	node_parse(w, node_addr);
	changed();
}

void way_fault(struct way *w, struct way_fault fault)
{
	pthread_mutex_lock(&lock);
	w->fault = fault;
	changed();
}

void way_shuffle(struct way *w, bool on)
{
	pthread_mutex_lock(&lock);
	w->shuffle = on;
	changed();
}

void way_hold(struct way *w, bool on)
{
	pthread_mutex_lock(&lock);
	w->held = on;
	changed();
}

void way_block(struct way *w, bool on)
{
	bool cut;

	pthread_mutex_lock(&lock);
	w->blocked = on;
	changed();
	do {
		cut = true;
		pthread_mutex_lock(&lock);
		for (unsigned i = 0; on && i < LINKS_MAX; i++)
			cut = cut && !w->link[i].used;
		pthread_mutex_unlock(&lock);
	} while (!cut && !usleep(500));
}

uint64_t way_bytes(struct way *w, enum way_direction direction)
{
	uint64_t n;

	pthread_mutex_lock(&lock);
	n = w->bytes[direction];
	pthread_mutex_unlock(&lock);
	return n;
}

unsigned way_links(struct way *w)
{
	unsigned n;

	pthread_mutex_lock(&lock);
	n = w->links;
	pthread_mutex_unlock(&lock);
	return n;
}

void way_close(struct way *w)
{
	pthread_mutex_lock(&lock);
	w->gone = true;
	changed();
}
