// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * vcpu_router.c - see vcpu_router.h.
 *
 * Threads: one that accepts, and that ends what has not come up in time; one for each connection,
 * from connect() or accept() over the handshake to its end, which is the peer's reader; and the
 * peers' writers. `threads` counts all but the last.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "vcpu_router.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define START_MS    60000
#define GREET_MS    5000
#define SILENCE_MS  5000
#define CALL_MS	    30000
#define QUEUE_BYTES (1u << 20)
#define RETRY_MS    200
#define STRANGERS   16 /* connections more than peers that may be in a handshake */

/* Why the last attempt at a connection failed; the user is not told twice in a row. */
struct last {
	char why[VCPU_WHY_BYTES];
};

struct vcpu_router {
	struct vcpu_self self;
	struct vcpu_map map;
	struct vcpu_peer_env env;
	struct vcpu_addr *addrs;
	struct vcpu_peer *peers; /* [map.nodes]; this node's own is not used */
	unsigned start_ms, greet_ms;
	void *opaque;
	void (*note)(void *opaque, const char *text);
	int listener;	      /* -1: none has a higher number */
	int cancel;	      /* an eventfd: the router ends */
	pthread_mutex_t lock; /* guards the rest */
	pthread_cond_t changed;
	unsigned threads, strangers;
	bool ending;
	struct last *
		last; /* [map.nodes]; this node's own: of those that came and have proven nothing */
};

/* A connection's thread, from its beginning. */
struct connection {
	struct vcpu_router *r;
	int fd;	       /* accepted; -1: this side connects */
	unsigned node; /* to which it connects */
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* `tell`: the user, too. */
static void attempt_failed(struct vcpu_router *r, unsigned node, bool tell, const char *why)
{
	char *last = r->last[node].why;

	pthread_mutex_lock(&r->lock);
	tell = tell && !r->ending && strcmp(why, last);
	snprintf(last, VCPU_WHY_BYTES, "%s", why);
	pthread_mutex_unlock(&r->lock);
	if (tell)
		r->note(r->opaque, why);
}

/* True: the router ends. */
static bool pause_ms(struct vcpu_router *r, unsigned ms)
{
	struct pollfd ready = {.fd = r->cancel, .events = POLLIN};

	return poll(&ready, 1, (int)ms) > 0;
}

static void changed(struct vcpu_router *r)
{
	pthread_mutex_lock(&r->lock);
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

static void thread_over(struct vcpu_router *r, bool stranger)
{
	pthread_mutex_lock(&r->lock);
	r->threads--;
	r->strangers -= stranger;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

/* Signals are for QEMU's own threads. */
static int thread_start(struct vcpu_router *r, void *(*run)(void *), void *arg)
{
	pthread_t thread;
	sigset_t all, before;
	int err;

	pthread_mutex_lock(&r->lock);
	r->threads++;
	pthread_mutex_unlock(&r->lock);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&thread, NULL, run, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (err)
		thread_over(r, false);
	else
		pthread_detach(thread);
	return -err;
}

/* ---- the handshake ---- */

/* Waits for `count` bytes. */
static int read_exactly(struct vcpu_router *r, int fd, uint8_t *bytes, size_t count, uint64_t until)
{
	for (size_t got = 0; got < count;) {
		struct pollfd ready[2] = {{.fd = fd, .events = POLLIN},
					  {.fd = r->cancel, .events = POLLIN}};
		uint64_t now = now_ms();
		ssize_t n = recv(fd, bytes + got, count - got, 0);

		if (n > 0)
			got += (size_t)n;
		else if (n == 0)
			return -ECONNRESET;
		else if (errno != EAGAIN && errno != EINTR)
			return -errno;
		else if (now >= until)
			return -ETIMEDOUT;
		else if (poll(ready, 2, (int)(until - now)) > 0 && ready[1].revents)
			return -ECANCELED;
	}
	return 0;
}

/* One frame comes, and what answers it goes. */
static int greet_once(struct vcpu_router *r, struct vcpu_link *link, int fd, uint64_t until,
		      char why[VCPU_WHY_BYTES])
{
	uint8_t in[VCPU_FRAME_MAX], out[VCPU_FRAME_MAX];
	size_t out_bytes = 0;
	int bytes, sent, err = read_exactly(r, fd, in, VCPU_CLEAR_BYTES, until);

	if (!err) {
		bytes = vcpu_link_bytes(link, in);
		err = bytes < 0 ? bytes
				: read_exactly(r, fd, in + VCPU_CLEAR_BYTES,
					       (size_t)bytes - VCPU_CLEAR_BYTES, until);
	}
	if (err) {
		snprintf(why, VCPU_WHY_BYTES, "a handshake did not end: %s", strerror(-err));
		return err;
	}
	err = vcpu_link_greet(link, in, out, &out_bytes, why);
	sent = out_bytes ? vcpu_socket_write(fd, out, out_bytes, r->greet_ms) : 0;
	if (!err && sent) {
		snprintf(why, VCPU_WHY_BYTES, "a handshake did not end: %s", strerror(-sent));
		err = sent;
	}
	return err;
}

static int greet(struct vcpu_router *r, struct vcpu_link *link, int fd, char why[VCPU_WHY_BYTES])
{
	uint64_t until = now_ms() + r->greet_ms;
	uint8_t out[VCPU_FRAME_MAX];
	int err = 0;

	if (link->connecting) {
		err = vcpu_socket_write(fd, out, vcpu_link_hello(link, out), r->greet_ms);
		if (err)
			snprintf(why, VCPU_WHY_BYTES, "a handshake did not begin: %s",
				 strerror(-err));
	}
	while (!err && link->state != VCPU_UP)
		err = greet_once(r, link, fd, until, why);
	return err;
}

/*
 * The handshake, and if it ends well the peer's life. An error: nothing came of it, and the
 * descriptor is closed. The thread is no stranger's any more once the peer has proven itself.
 */
static int connection_run(struct vcpu_router *r, int fd, bool connecting, unsigned node,
			  bool *stranger)
{
	char why[VCPU_WHY_BYTES] = "";
	struct vcpu_link link;
	int err = vcpu_link_init(&link, &r->self, connecting, node);

	if (err)
		snprintf(why, sizeof(why), "there are no random numbers");
	else
		err = greet(r, &link, fd, why);
	if (!err) {
		struct vcpu_peer *peer = &r->peers[link.peer];

		err = vcpu_peer_adopt(peer, &link, fd);
		if (!err) {
			if (*stranger) {
				pthread_mutex_lock(&r->lock);
				r->strangers--;
				pthread_mutex_unlock(&r->lock);
				*stranger = false;
			}
			changed(r);
			vcpu_peer_run(peer);
			changed(r);
			return 0;
		}
		snprintf(why, sizeof(why), "node %u came again: it %s", link.peer,
			 err == -EEXIST ? "is there already" : "was lost");
	}
	vcpu_link_deinit(&link);
	close(fd);
	if (err != -ECANCELED)
		attempt_failed(r, connecting ? node : r->self.node, true, why);
	return err;
}

static void *accepted(void *arg)
{
	struct connection c = *(struct connection *)arg;
	bool stranger = true;

	free(arg);
	connection_run(c.r, c.fd, false, 0, &stranger);
	thread_over(c.r, stranger);
	return NULL;
}

static bool peer_awaited(struct vcpu_peer *peer)
{
	bool awaited;

	pthread_mutex_lock(&peer->lock);
	awaited = peer->state == VCPU_PEER_AWAITED;
	pthread_mutex_unlock(&peer->lock);
	return awaited;
}

static void *connecting(void *arg)
{
	struct connection c = *(struct connection *)arg;
	bool stranger = false, done = false;

	free(arg);
	while (!done && peer_awaited(&c.r->peers[c.node])) {
		int fd = vcpu_socket_connect(&c.r->addrs[c.node], c.r->cancel, c.r->greet_ms);

		if (fd < 0 && fd != -ECANCELED)
			attempt_failed(c.r, c.node, false, strerror(-fd)); /* it may not run yet */
		done = fd >= 0 && !connection_run(c.r, fd, true, c.node, &stranger);
		done = done || pause_ms(c.r, RETRY_MS);
	}
	thread_over(c.r, false);
	return NULL;
}

/* ---- the thread that accepts ---- */

/* More strangers than there can be peers are sent away: their threads and descriptors are ours. */
static void accept_one(struct vcpu_router *r)
{
	int fd = vcpu_socket_accept(r->listener);
	struct connection *c;
	bool room;

	if (fd < 0) {
		if (fd != -EAGAIN && fd != -EINTR && fd != -ECONNABORTED)
			pause_ms(r, RETRY_MS); /* no descriptors, say */
		return;
	}
	pthread_mutex_lock(&r->lock);
	room = r->strangers < r->map.nodes + STRANGERS;
	r->strangers += room;
	pthread_mutex_unlock(&r->lock);
	c = room ? malloc(sizeof(*c)) : NULL;
	if (c) {
		*c = (struct connection){.r = r, .fd = fd};
		if (!thread_start(r, accepted, c))
			return;
	}
	free(c);
	close(fd);
	pthread_mutex_lock(&r->lock);
	r->strangers -= room;
	pthread_mutex_unlock(&r->lock);
}

static void end_late(struct vcpu_router *r)
{
	for (unsigned node = 0; node < r->map.nodes; node++) {
		struct vcpu_peer *peer = &r->peers[node];
		char said[VCPU_WHY_BYTES];

		if (node == r->self.node || !peer_awaited(peer))
			continue;
		pthread_mutex_lock(&r->lock);
		memcpy(said, r->last[node < r->self.node ? node : r->self.node].why, sizeof(said));
		pthread_mutex_unlock(&r->lock);
		vcpu_peer_end(peer, "node %u did not come up within %u ms%s%s", node, r->start_ms,
			      *said ? ": " : "", said);
		vcpu_peer_tell(peer);
		changed(r);
	}
}

static void *accepting(void *arg)
{
	struct vcpu_router *r = arg;
	uint64_t until = now_ms() + r->start_ms;
	struct pollfd ready[2] = {{.fd = r->cancel, .events = POLLIN},
				  {.fd = r->listener, .events = POLLIN}};
	bool late = false;

	while (!ready[0].revents) {
		uint64_t now = now_ms();

		if (!late && now >= until) {
			late = true;
			end_late(r);
		}
		if (poll(ready, 2, late ? -1 : (int)(until - now)) < 0 && errno != EINTR)
			break;
		if (ready[1].revents)
			accept_one(r);
	}
	thread_over(r, false);
	return NULL;
}

/* ---- life ---- */

static int peers_init(struct vcpu_router *r)
{
	r->peers = calloc(r->map.nodes, sizeof(*r->peers));
	if (!r->peers)
		return -ENOMEM;
	for (unsigned node = 0; node < r->map.nodes; node++)
		if (vcpu_peer_init(&r->peers[node], &r->env, node)) {
			while (node)
				vcpu_peer_deinit(&r->peers[--node]);
			free(r->peers);
			return -ENOMEM;
		}
	return 0;
}

static void peers_deinit(struct vcpu_router *r)
{
	for (unsigned node = 0; node < r->map.nodes; node++)
		vcpu_peer_deinit(&r->peers[node]);
	free(r->peers);
}

static void env_init(struct vcpu_router *r, const struct vcpu_router_conf *conf)
{
	r->env.self = &r->self;
	r->env.silence_ms = conf->silence_ms ? conf->silence_ms : SILENCE_MS;
	r->env.call_ms = conf->call_ms ? conf->call_ms : CALL_MS;
	r->env.queue_bytes = conf->queue_bytes ? conf->queue_bytes : QUEUE_BYTES;
	r->env.opaque = conf->opaque;
	r->env.frame = conf->frame;
	r->env.thread = conf->thread;
	r->env.lost = conf->lost;
	r->start_ms = conf->start_ms ? conf->start_ms : START_MS;
	r->greet_ms = conf->greet_ms ? conf->greet_ms : GREET_MS;
	r->opaque = conf->opaque;
	r->note = conf->note;
	assert(r->env.silence_ms >= VCPU_SLICES && r->env.queue_bytes >= VCPU_FRAME_MAX);
}

static int self_init(struct vcpu_router *r, const struct vcpu_router_conf *conf)
{
	r->map = *conf->map;
	r->self.node = (uint16_t)conf->node;
	r->self.map = &r->map;
	memcpy(r->self.digest, conf->digest, sizeof(r->self.digest));
	r->self.digest[VCPU_SAME_MAP] = vcpu_map_digest(&r->map);
	return vcpu_key_extract(conf->key, conf->key_bytes, r->self.prk);
}

static void router_free(struct vcpu_router *r)
{
	if (r->listener >= 0) {
		close(r->listener);
		vcpu_socket_forget(&r->addrs[r->self.node]);
	}
	if (r->cancel >= 0)
		close(r->cancel);
	vcpu_key_wipe(r->self.prk, sizeof(r->self.prk));
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
	free(r->last);
	free(r->addrs);
	free(r);
}

static int router_alloc(const struct vcpu_router_conf *conf, struct vcpu_router **out)
{
	size_t addrs_bytes = conf->map->nodes * sizeof(*conf->addrs);
	struct vcpu_router *r = calloc(1, sizeof(*r));
	pthread_condattr_t attr;

	if (!r)
		return -ENOMEM;
	r->addrs = malloc(addrs_bytes);
	r->last = calloc(conf->map->nodes, sizeof(*r->last));
	if (!r->addrs || !r->last) {
		free(r->addrs);
		free(r->last);
		free(r);
		return -ENOMEM;
	}
	memcpy(r->addrs, conf->addrs, addrs_bytes);
	r->listener = -1;
	r->cancel = eventfd(0, EFD_CLOEXEC);
	pthread_mutex_init(&r->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->changed, &attr);
	pthread_condattr_destroy(&attr);
	*out = r;
	return 0;
}

static int threads_start(struct vcpu_router *r)
{
	int err = thread_start(r, accepting, r);

	for (unsigned node = 0; !err && node < r->self.node; node++) {
		struct connection *c = malloc(sizeof(*c));

		if (!c)
			return -ENOMEM;
		*c = (struct connection){.r = r, .fd = -1, .node = node};
		err = thread_start(r, connecting, c);
		if (err)
			free(c);
	}
	return err;
}

/* What vcpu_router_create() does in words, for its errors. */
static int failed(char error[VCPU_ROUTER_ERROR_BYTES], const char *what, int err)
{
	snprintf(error, VCPU_ROUTER_ERROR_BYTES, "%s: %s", what, strerror(-err));
	return err;
}

int vcpu_router_create(const struct vcpu_router_conf *conf, struct vcpu_router **out,
		       char error[VCPU_ROUTER_ERROR_BYTES])
{
	struct vcpu_router *r;
	int err = router_alloc(conf, &r);

	assert(conf->node < conf->map->nodes);
	if (err)
		return failed(error, "cannot start", err);
	env_init(r, conf);
	err = self_init(r, conf);
	if (!err && r->cancel < 0)
		err = -EMFILE;
	if (!err && conf->node + 1 < conf->map->nodes) {
		r->listener = vcpu_socket_listen(&r->addrs[conf->node]);
		if (r->listener < 0) {
			err = failed(error, "cannot listen", r->listener);
			router_free(r);
			return err;
		}
	}
	if (!err)
		err = peers_init(r);
	if (err) {
		router_free(r);
		return failed(error, "cannot start", err);
	}
	err = threads_start(r);
	if (err) {
		vcpu_router_destroy(r);
		return failed(error, "cannot start a thread", err);
	}
	*out = r;
	return 0;
}

void vcpu_router_destroy(struct vcpu_router *r)
{
	uint64_t one = 1;

	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->ending = true;
	pthread_mutex_unlock(&r->lock);
	if (write(r->cancel, &one, sizeof(one)) != sizeof(one))
		abort(); /* an eventfd takes it */
	for (unsigned node = 0; node < r->map.nodes; node++) {
		pthread_mutex_lock(&r->peers[node].lock);
		r->peers[node].told = true;
		pthread_mutex_unlock(&r->peers[node].lock);
		vcpu_peer_end(&r->peers[node], "this node ends");
	}
	pthread_mutex_lock(&r->lock);
	while (r->threads)
		pthread_cond_wait(&r->changed, &r->lock);
	pthread_mutex_unlock(&r->lock);
	peers_deinit(r);
	router_free(r);
}

/* ---- use ---- */

/* How many of the others are in this state. */
static unsigned count(struct vcpu_router *r, enum vcpu_peer_state state)
{
	unsigned n = 0;

	for (unsigned node = 0; node < r->map.nodes; node++) {
		struct vcpu_peer *peer = &r->peers[node];

		if (node == r->self.node)
			continue;
		pthread_mutex_lock(&peer->lock);
		n += peer->state == state;
		pthread_mutex_unlock(&peer->lock);
	}
	return n;
}

int vcpu_router_wait_up(struct vcpu_router *r, unsigned timeout_ms)
{
	uint64_t until = now_ms() + timeout_ms;
	struct timespec t = {(time_t)(until / 1000), (long)(until % 1000) * 1000000};
	int err = 0;

	pthread_mutex_lock(&r->lock);
	while (!err && !count(r, VCPU_PEER_ENDED) && count(r, VCPU_PEER_UP) < r->map.nodes - 1)
		err = -pthread_cond_timedwait(&r->changed, &r->lock, &t);
	pthread_mutex_unlock(&r->lock);
	return count(r, VCPU_PEER_ENDED) ? -ENOTCONN : err;
}

static struct vcpu_peer *other(struct vcpu_router *r, unsigned node)
{
	assert(node < r->map.nodes && node != r->self.node);
	return &r->peers[node];
}

int vcpu_router_send(struct vcpu_router *r, unsigned node, struct vcpu_frame *frame)
{
	return vcpu_peer_send(other(r, node), frame);
}

int vcpu_router_answer(struct vcpu_router *r, unsigned node, struct vcpu_frame *frame)
{
	return vcpu_peer_answer(other(r, node), frame);
}

int vcpu_router_call(struct vcpu_router *r, unsigned node, struct vcpu_frame *request,
		     struct vcpu_frame *answer, uint8_t *body)
{
	return vcpu_peer_call(other(r, node), request, answer, body);
}

int vcpu_router_send_all(struct vcpu_router *r, struct vcpu_frame *frame)
{
	int first = 0;

	for (unsigned node = 0; node < r->map.nodes; node++) {
		int err = node == r->self.node ? 0 : vcpu_peer_send(&r->peers[node], frame);

		first = first ? first : err;
	}
	return first;
}

void vcpu_router_flush(struct vcpu_router *r, unsigned timeout_ms)
{
	uint64_t until = now_ms() + timeout_ms;

	for (unsigned node = 0; node < r->map.nodes; node++) {
		uint64_t now = now_ms();

		if (node != r->self.node)
			vcpu_peer_flush(&r->peers[node], now < until ? (unsigned)(until - now) : 0);
	}
}

uint32_t vcpu_router_era(const struct vcpu_router *r)
{
	return atomic_load(&r->env.era);
}

void vcpu_router_era_begin(struct vcpu_router *r, uint32_t era)
{
	assert(era == atomic_load(&r->env.era) + 1);
	atomic_store(&r->env.era, era);
	for (unsigned node = 0; node < r->map.nodes; node++)
		vcpu_peer_era_began(&r->peers[node]);
}

void vcpu_router_stats(struct vcpu_router *r, unsigned node, struct vcpu_peer_stats *stats,
		       enum vcpu_peer_state *state)
{
	struct vcpu_peer *peer = other(r, node);

	pthread_mutex_lock(&peer->lock);
	*stats = peer->stats;
	*state = peer->state;
	pthread_mutex_unlock(&peer->lock);
}
