// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * link.c - the life of a connection: connect, HELLO and AUTH, loss, back-off, timers.
 *
 * A tick finds out whether the node is alive: bytes that came since the last one show it; if there
 * were none, a PING is sent.
 *
 * Pauses between attempts are counted from the start of the attempt before: a link that had been up
 * for a while is set up again at once.
 */
#include "impl.h"
#include "../auth.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define PAUSE_FIRST	 (50 * NS_PER_MS)
#define PAUSE_MAX	 (1000 * NS_PER_MS)
#define TICK_MIN	 (1 * NS_PER_MS)
#define CONNECT_MAX	 (1500 * NS_PER_MS) /* TCP repeats a lost SYN within it */
#define RESOLVE_TICK	 (4 * NS_PER_MS)    /* the resolver is polled this often */
#define RESOLVE_FRESH	 (1000 * NS_PER_MS) /* an answer of that age serves another attempt */
#define PING_EVERY_MAX	 (1000 * NS_PER_MS)
#define PING_EVERY_MIN	 (10 * NS_PER_MS)
#define VERSION_REFUSALS 3
#define TLS_REFUSALS	 3
/* Two frames of the largest size, in whole pages: bytes of a cut frame are seldom moved. Pages that
 * a burst has touched are freed in the first idle moment. */
#define READER_BYTES	 ((2 * FRAME_BYTES_MAX + 4095) & ~(size_t)4095)
#define READER_KEEP	 65536

/*
 * Whether this reason is new since the link was last up. Attempts may fail for several in turn:
 * each address of a host has its own, and a node that closes at once is seen as an end of the
 * stream or as a reset, whichever arrives first.
 */
static bool reason_note(struct gvm_conn *conn, enum gvm_conn_state state, const char *why)
{
	uint32_t hash = 2166136261u; /* FNV-1a */

	if (state == GVM_CONN_UP) {
		conn->told_count = 0;
		return true;
	}
	for (; *why; why++)
		hash = (hash ^ (uint8_t)*why) * 16777619u;
	for (unsigned i = 0; i < conn->told_count && i < TOLD_MAX; i++)
		if (conn->told[i] == hash)
			return false;
	conn->told[conn->told_count++ % TOLD_MAX] = hash;
	return true;
}

static void set_state(struct gvm_conn *conn, enum gvm_conn_state state, bool renewed,
		      const char *why)
{
	bool changed = state != conn->state, new = reason_note(conn, state, why);

	conn->state = state;
	snprintf(conn->why, sizeof(conn->why), "%s", why);
	if (!conn->opts.on_state || (!changed && !new))
		return;
	conn->in_callback++;
	conn->opts.on_state(conn, state, renewed, conn->why, conn->opts.arg);
	conn->in_callback--;
}

static uint64_t pause_ns(struct gvm_conn *conn)
{
	unsigned n = conn->tries < 6 ? conn->tries : 6;
	uint64_t ns = PAUSE_FIRST << (n ? n - 1 : 0);

	if (ns > PAUSE_MAX)
		ns = PAUSE_MAX;
	/* A quarter more or less, so that the clients of one node do not all reconnect at once. */
	conn->jitter = conn->jitter * 6364136223846793005ull + 1442695040888963407ull;
	return ns - ns / 4 + (conn->jitter >> 33) % (ns / 2);
}

/* Closes the socket and drops half-sent and half-received frames. Requests stay, in order. */
static void socket_drop(struct gvm_conn *conn)
{
	stream_close(&conn->stream, conn->step == LINK_UP && !conn->broken);
	if (conn->fd >= 0)
		close(conn->fd);
	conn->fd = -1;
	conn->wait_room = conn->paused = false;
	conn->broken = NULL;
	conn->step = LINK_DOWN;
	tx_reset(conn);
	frame_reader_init(&conn->reader, conn->reader.buf, conn->reader.cap);
	if (conn->ping.req.state != REQ_IDLE)
		req_retire(conn, &conn->ping.req, true);
	for (struct gvm_req *req = req_first(conn, REQ_SENT); req; req = req_next(req))
		req->resent = true;
	req_move_all(conn, REQ_QUEUED, REQ_RESEND);
	req_move_all(conn, REQ_SENT, REQ_QUEUED);
	req_move_all(conn, REQ_RESEND, REQ_QUEUED);
	req_forget_abandoned(conn);
	for (struct gvm_req *req = req_first(conn, REQ_QUEUED); req; req = req_next(req))
		if (req->op == GVM_OP_GET)
			((struct gvm_get *)req)->progress = (struct gvm_get_progress){0};
}

void link_lost(struct gvm_conn *conn, const char *why, struct gvm_req *blamed, bool bad)
{
	struct gvm_req *req, *next;

	if (bad && blamed)
		blamed->tries++;
	else if (bad && !conn->answered)
		for (req = req_first(conn, REQ_SENT); req; req = req_next(req))
			req->tries++;
	socket_drop(conn);
	for (req = req_first(conn, REQ_QUEUED); req; req = next) {
		next = req_next(req);
		if (req->tries > 1)
			req_end_later(conn, req, -EBADMSG);
	}
	if (conn->answered)
		conn->tries = 0;
	conn->answered = false;
	/* All addresses of a host are tried before there is a pause. */
	conn->retry_at = conn->peer_next && conn->peer_next < conn->peers.count ?
				 0 :
				 conn->tried_at + pause_ns(conn);
	poll_timer_by(conn, conn->retry_at);
	conn->resting = conn->idle_after && !conn->pending;
	set_state(conn, GVM_CONN_CONNECTING, false, why);
}

/* No request for a while: closes the link until there is one. */
static void link_rest(struct gvm_conn *conn)
{
	socket_drop(conn);
	conn->tries = 0;
	conn->state = GVM_CONN_CONNECTING;
	conn->resting = true;
}

static void link_fail(struct gvm_conn *conn, int err, const char *why)
{
	socket_drop(conn);
	conn->step = LINK_FAILED;
	conn->failed = err;
	req_end_all_later(conn, REQ_QUEUED, err);
	set_state(conn, GVM_CONN_FAILED, false, why);
}

void link_version_refused(struct gvm_conn *conn, const char *why)
{
	if (++conn->version_refusals >= VERSION_REFUSALS)
		link_fail(conn, -EPROTONOSUPPORT, why);
	else
		link_lost(conn, why, NULL, true);
}

static void socket_tune(struct gvm_conn *conn)
{
	int on = 1, idle = 5, every = 2, count = 5;
	unsigned user_timeout = (unsigned)(conn->dead_after / NS_PER_MS);

	/* Optional: for latency, and to notice a dead node earlier. The kernel sizes the socket's
	 * buffers by the path; setting a size would turn that off. */
	setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(conn->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(conn->fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(conn->fd, IPPROTO_TCP, TCP_KEEPINTVL, &every, sizeof(every));
	setsockopt(conn->fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof(count));
	setsockopt(conn->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout, sizeof(user_timeout));
}

/* Connects to the next address of the last look-up. */
static void peer_connect(struct gvm_conn *conn, uint64_t now)
{
	const struct sockaddr *sa = (struct sockaddr *)&conn->peers.sa[conn->peer_next];
	socklen_t bytes = conn->peers.bytes[conn->peer_next++];

	conn->fd = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (conn->fd < 0) {
		link_lost(conn, strerrordesc_np(errno), NULL, false);
		return;
	}
	socket_tune(conn);
	if (stream_open(&conn->stream, conn->fd)) {
		link_lost(conn, "out of memory", NULL, false);
		return;
	}
	if (connect(conn->fd, sa, bytes) && errno != EINPROGRESS) {
		link_lost(conn, strerrordesc_np(errno), NULL, false);
		return;
	}
	conn->step = LINK_TCP;
	conn->step_deadline = now + (conn->dead_after < CONNECT_MAX ? conn->dead_after : CONNECT_MAX);
	poll_watch(conn, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT);
}

/* A host name is looked up again for each attempt: the node may have moved. */
static void peers_resolve(struct gvm_conn *conn, uint64_t now)
{
	uint64_t since = conn->tried_at > RESOLVE_FRESH ? conn->tried_at - RESOLVE_FRESH : 1;
	const char *why = "out of memory";
	int err = resolve(&conn->peer, since, &conn->peers, &why);

	conn->peer_next = 0;
	if (err == -EAGAIN)
		return;
	if (err) {
		conn->peers.count = 0;
		link_lost(conn, why, NULL, false);
	} else {
		peer_connect(conn, now);
	}
}

static void link_connect(struct gvm_conn *conn, uint64_t now)
{
	bool more = conn->peer_next && conn->peer_next < conn->peers.count;

	conn->tried_at = now;
	conn->tries++;
	if (more) {
		peer_connect(conn, now);
		return;
	}
	conn->step = LINK_RESOLVE;
	conn->step_deadline = now + conn->dead_after;
	peers_resolve(conn, now);
}

static void hello_send(struct gvm_conn *conn, uint64_t now)
{
	uint8_t meta[GVM_META_MAX];
	int err;

	conn->hello = (struct gvm_hello_req){
		.version_min = GVM_VERSION,
		.version_max = GVM_VERSION,
		.features = GVM_FEATURES,
		.client = conn->opts.client,
	};
	if (getrandom(conn->hello.nonce.b, GVM_NONCE_BYTES, GRND_NONBLOCK) != GVM_NONCE_BYTES) {
		link_lost(conn, "no random bytes yet", NULL, false);
		return;
	}
	err = tx_handshake(conn, GVM_OP_HELLO, meta, gvm_hello_req_pack(&conn->hello, meta));
	if (err) {
		link_lost(conn, strerrordesc_np(-err), NULL, false);
		return;
	}
	conn->step = LINK_HELLO;
	conn->step_deadline = now + conn->dead_after;
	poll_watch(conn, EPOLL_CTL_MOD, EPOLLIN);
}

/*
 * A refusal is not proven: it may come of a damaged byte, and whoever is on the way could have said it. So it is
 * believed when it is repeated, and only of a link that was never up, as a wrong option or key is found at the
 * start; others try again.
 */
static void link_tls_refused(struct gvm_conn *conn, const char *why)
{
	if (++conn->tls_refusals >= TLS_REFUSALS && gvm_id_is_none(&conn->incarnation))
		link_fail(conn, -EACCES, why);
	else
		link_lost(conn, why, NULL, false);
}

void link_secure(struct gvm_conn *conn)
{
	const char *why;
	int err = stream_handshake(&conn->stream, &why);
	bool refused = conn->stream.tls.key_refused || conn->stream.tls.no_tls;

	if (err == -EAGAIN)
		return;
	if (refused)
		why = conn->stream.tls.no_tls ? "the node does not use TLS (--tls)" : "the node refused the key";
	if (!err)
		hello_send(conn, gvm_now_ns());
	else if (refused)
		link_tls_refused(conn, why);
	else
		link_lost(conn, why, NULL, false);
}

static void secure_begin(struct gvm_conn *conn, uint64_t now)
{
	conn->step = LINK_TLS;
	conn->step_deadline = now + conn->dead_after;
	poll_watch(conn, EPOLL_CTL_MOD, EPOLLIN);
	link_secure(conn);
}

static void tcp_check(struct gvm_conn *conn, uint64_t now)
{
	struct pollfd p = {.fd = conn->fd, .events = POLLOUT};
	struct sockaddr_storage self, peer;
	socklen_t self_bytes = sizeof(self), peer_bytes = sizeof(peer), len = sizeof(int);
	int err = 0;

	if (poll(&p, 1, 0) < 1)
		return;
	if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &err, &len))
		err = errno;
	if (!err && (getsockname(conn->fd, (struct sockaddr *)&self, &self_bytes) ||
		     getpeername(conn->fd, (struct sockaddr *)&peer, &peer_bytes)))
		err = errno;
	/* TCP may connect a socket to itself, if the port is of this host's ephemeral range and no
	 * program listens there; that would keep the node from ever listening there. */
	if (!err && self_bytes == peer_bytes && !memcmp(&self, &peer, self_bytes))
		err = ECONNREFUSED;
	if (err)
		link_lost(conn, strerrordesc_np(err), NULL, false);
	else if (conn->opts.tls)
		secure_begin(conn, now);
	else
		hello_send(conn, now);
}

/* Requests for it need not wait for another greeting. */
static void absent_note(struct gvm_conn *conn, const struct gvm_id *node)
{
	for (unsigned i = 0; i < conn->absent_count && i < ABSENT_MAX; i++)
		if (gvm_id_equal(&conn->absent[i], node))
			return;
	conn->absent[conn->absent_count++ % ABSENT_MAX] = *node;
}

/* It may have been away. */
static void absent_forget(struct gvm_conn *conn, const struct gvm_id *node)
{
	for (unsigned i = 0; i < ABSENT_MAX; i++)
		if (gvm_id_equal(&conn->absent[i], node))
			conn->absent[i] = (struct gvm_id){{0}};
}

/* Whether the node that has greeted has what the request is about. */
static bool req_is_lost(struct gvm_conn *conn, const struct gvm_req *req, bool renewed)
{
	if (gvm_id_is_none(&req->node))
		return renewed && req_names_region(req);
	if (req_is_meant(conn, req))
		return false;
	absent_note(conn, &req->node);
	return true;
}

static void link_up(struct gvm_conn *conn)
{
	bool renewed = !gvm_id_is_none(&conn->incarnation) &&
		       !gvm_id_equal(&conn->incarnation, &conn->welcome.incarnation);
	struct gvm_req *req, *next;

	if (renewed)
		absent_note(conn, &conn->incarnation);
	conn->incarnation = conn->welcome.incarnation;
	absent_forget(conn, &conn->incarnation);
	conn->step = LINK_UP;
	conn->peer_next = 0; /* a loss begins with a look-up */
	conn->version_refusals = conn->tls_refusals = 0;
	conn->last_heard = gvm_now_ns();
	conn->used_at = conn->last_heard;
	poll_timer_by(conn, conn->last_heard + conn->ping_every);
	/* Requests that on_state submits (to attach regions again) go before the queued ones. */
	req_move_all(conn, REQ_QUEUED, REQ_RESEND);
	set_state(conn, GVM_CONN_UP, renewed, "connected");
	for (req = req_first(conn, REQ_RESEND); req; req = next) {
		next = req_next(req);
		if (req_is_lost(conn, req, renewed))
			req_end_later(conn, req, -ENOMEDIUM);
		else if (!req_is_known(conn, req))
			req_end_later(conn, req, -EOPNOTSUPP);
	}
	req_move_all(conn, REQ_RESEND, REQ_QUEUED);
	tx_flush(conn);
}

/* Over TLS it holds for this connection only. */
static int proof_make(struct gvm_conn *conn, bool from_node, struct gvm_bytes32 *mac)
{
	struct gvm_bytes32 binding;

	if (conn->opts.tls && tls_binding(&conn->stream.tls, &binding))
		return -EIO;
	return auth_mac(conn->key, conn->key_bytes, from_node, &conn->hello, &conn->welcome,
			conn->opts.tls ? &binding : NULL, mac);
}

static int hello_take(struct gvm_conn *conn, const struct frame *f, const char **why)
{
	struct gvm_hello_rsp *w = &conn->welcome;
	struct gvm_auth_req proof;
	uint8_t meta[GVM_META_MAX];
	int err;

	*why = "a malformed answer to HELLO";
	if (gvm_hello_rsp_unpack(w, f->meta, f->hdr.meta_len) != f->hdr.meta_len ||
	    w->version != GVM_VERSION || w->need_auth > 1 || gvm_id_is_none(&w->incarnation))
		return -EBADMSG;
	/*
	 * A client with a key requires the node's proof: else an impostor would just not ask for
	 * one.
	 */
	if (!conn->key != !w->need_auth) {
		link_fail(conn, -EACCES, conn->key ? "the node holds no key" : "the node needs a key");
		return 0;
	}
	if (!conn->key) {
		link_up(conn);
		return 0;
	}
	err = proof_make(conn, false, &proof.mac);
	if (!err)
		err = tx_handshake(conn, GVM_OP_AUTH, meta, gvm_auth_req_pack(&proof, meta));
	if (err) {
		link_lost(conn, strerrordesc_np(-err), NULL, false);
		return 0;
	}
	conn->step = LINK_AUTH;
	return 0;
}

static int auth_take(struct gvm_conn *conn, const struct frame *f, const char **why)
{
	struct gvm_auth_rsp rsp;
	struct gvm_bytes32 mac;

	*why = "a malformed answer to AUTH";
	if (gvm_auth_rsp_unpack(&rsp, f->meta, f->hdr.meta_len) != f->hdr.meta_len)
		return -EBADMSG;
	if (proof_make(conn, true, &mac))
		link_lost(conn, "no proof could be computed", NULL, false);
	else if (!auth_mac_equal(&mac, &rsp.mac))
		link_fail(conn, -EACCES, "the node does not hold the key");
	else
		link_up(conn);
	return 0;
}

int link_handshake(struct gvm_conn *conn, const struct frame *f, const char **why)
{
	uint8_t op = conn->step == LINK_HELLO ? GVM_OP_HELLO : GVM_OP_AUTH;
	struct gvm_error_rsp e;

	*why = "not the answer that the handshake asked for";
	if (f->hdr.tag || f->hdr.op != op || f->hdr.flags != GVM_FLAG_RESPONSE || f->hdr.data_len)
		return -EBADMSG;
	if (f->hdr.status == GVM_OK)
		return op == GVM_OP_HELLO ? hello_take(conn, f, why) : auth_take(conn, f, why);
	if (gvm_error_rsp_unpack(&e, f->meta, f->hdr.meta_len) != f->hdr.meta_len)
		return -EBADMSG;
	if (f->hdr.status == GVM_ERR_VERSION)
		link_version_refused(conn, "the node speaks no protocol version of ours");
	else if (f->hdr.status == GVM_ERR_AUTH && op == GVM_OP_HELLO && e.detail == GVM_AUTH_DEMANDS_TLS)
		link_tls_refused(conn, "the node demands TLS (--tls)");
	else if (op == GVM_OP_AUTH || f->hdr.status == GVM_ERR_AUTH)
		link_fail(conn, -EACCES, "the node refused the key");
	else
		return -EBADMSG;
	return 0;
}

static void reader_release(struct gvm_conn *conn)
{
	struct frame_reader *r = &conn->reader;

	if (r->start != r->end || r->touched <= READER_KEEP)
		return;
	madvise(r->buf + READER_KEEP, r->cap - READER_KEEP, MADV_DONTNEED);
	r->touched = 0;
}

static void ping_send(struct gvm_conn *conn, uint64_t now)
{
	struct gvm_ping_req what = {.cookie = now};
	struct gvm_call *ping = &conn->ping;

	ping->data = NULL;
	ping->data_bytes = 0;
	req_fill(&ping->req, GVM_OP_PING, ping->req.meta_inline,
		 gvm_ping_req_pack(&what, ping->req.meta_inline), NULL, 0);
	req_submit(conn, &ping->req);
}

static void up_tick(struct gvm_conn *conn, uint64_t now)
{
	bool asked = conn->ping.req.state != REQ_IDLE;
	uint64_t since;
	char why[64];

	if (conn->heard) {
		conn->heard = false;
		conn->last_heard = now;
	}
	if (conn->used || conn->pending) {
		conn->used = false;
		conn->used_at = now;
	}
	if (conn->idle_after && now - conn->used_at >= conn->idle_after) {
		link_rest(conn);
		return;
	}
	since = asked && conn->ping_sent > conn->last_heard ? conn->ping_sent : conn->last_heard;
	if (asked && now - since >= conn->dead_after) {
		snprintf(why, sizeof(why), "no answer for %llu ms",
			 (unsigned long long)(conn->dead_after / NS_PER_MS));
		link_lost(conn, why, NULL, false);
	} else if (!asked && now - conn->last_heard >= conn->ping_every) {
		reader_release(conn);
		conn->ping_sent = now;
		ping_send(conn, now);
	}
}

/* Ends requests that are past their deadline; returns the next deadline. */
static uint64_t deadlines_run(struct gvm_conn *conn, enum req_state state, uint64_t now)
{
	struct gvm_req *req, *next;
	uint64_t nearest = UINT64_MAX;

	for (req = req_first(conn, state); req; req = next) {
		next = req_next(req);
		if (!req->deadline_ns)
			continue;
		if (req->deadline_ns <= now)
			req_end_later(conn, req, -ETIMEDOUT);
		else if (req->deadline_ns < nearest)
			nearest = req->deadline_ns;
	}
	return nearest;
}

static const char *step_overdue(const struct gvm_conn *conn)
{
	return conn->step == LINK_RESOLVE ? "no answer from the resolver" :
	       conn->step == LINK_TCP	  ? "no answer to connecting" :
	       conn->step == LINK_TLS	  ? "no answer to the TLS handshake" :
					    "no answer to the handshake";
}

static void tick(struct gvm_conn *conn, uint64_t now)
{
	uint64_t next, queued, sent;

	if (conn->step == LINK_DOWN && !conn->resting && now >= conn->retry_at)
		link_connect(conn, now);
	else if (conn->step == LINK_UP)
		up_tick(conn, now);
	else if (conn->step > LINK_DOWN && conn->step < LINK_UP && now >= conn->step_deadline)
		link_lost(conn, step_overdue(conn), NULL, false);
	else if (conn->step == LINK_RESOLVE)
		peers_resolve(conn, now);
	queued = deadlines_run(conn, REQ_QUEUED, now);
	sent = deadlines_run(conn, REQ_SENT, now);
	next = conn->resting		  ? UINT64_MAX :
	       conn->step == LINK_DOWN	  ? conn->retry_at :
	       conn->step == LINK_RESOLVE ? now + RESOLVE_TICK :
	       conn->step == LINK_UP	  ? now + conn->ping_every :
	       conn->step == LINK_FAILED  ? UINT64_MAX :
					    conn->step_deadline;
	next = queued < next ? queued : next;
	next = sent < next ? sent : next;
	poll_timer_set(conn, next < now + TICK_MIN ? now + TICK_MIN : next);
}

void link_run(struct gvm_conn *conn)
{
	uint64_t now = gvm_now_ns();

	if (conn->broken)
		link_lost(conn, conn->broken, NULL, false);
	if (conn->step == LINK_TCP)
		tcp_check(conn, now);
	if (now >= conn->timer_at)
		tick(conn, now);
}

int link_init(struct gvm_conn *conn)
{
	struct epoll_event e = {.events = EPOLLIN};
	unsigned ms = conn->opts.dead_after_ms ? conn->opts.dead_after_ms : 5000;
	uint8_t *buf;
	int err;

	conn->fd = conn->timer_fd = -1;
	conn->timer_at = UINT64_MAX;
	conn->dead_after = ms * NS_PER_MS;
	conn->idle_after = conn->opts.idle_ms * NS_PER_MS;
	conn->resting = conn->idle_after != 0;
	conn->ping_every = conn->dead_after / 4;
	if (conn->ping_every > PING_EVERY_MAX)
		conn->ping_every = PING_EVERY_MAX;
	if (conn->ping_every < PING_EVERY_MIN)
		conn->ping_every = PING_EVERY_MIN;
	conn->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (conn->epoll_fd < 0)
		return -errno;
	conn->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (conn->timer_fd < 0)
		return -errno;
	if (epoll_ctl(conn->epoll_fd, EPOLL_CTL_ADD, conn->timer_fd, &e))
		return -errno;
	if (getrandom(&conn->jitter, sizeof(conn->jitter), GRND_NONBLOCK) != sizeof(conn->jitter))
		return -EIO;
	buf = mmap(NULL, READER_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (buf == MAP_FAILED)
		return -ENOMEM;
	frame_reader_init(&conn->reader, buf, READER_BYTES);
	err = stream_init(&conn->stream, conn->opts.tls ? conn->key : NULL, conn->key_bytes);
	if (err)
		return err;
	poll_timer_by(conn, 0);
	return 0;
}

void link_deinit(struct gvm_conn *conn)
{
	stream_close(&conn->stream, conn->step == LINK_UP);
	stream_deinit(&conn->stream);
	if (conn->fd >= 0)
		close(conn->fd);
	if (conn->timer_fd >= 0)
		close(conn->timer_fd);
	if (conn->epoll_fd >= 0)
		close(conn->epoll_fd);
	tx_reset(conn);
	if (conn->reader.buf)
		munmap(conn->reader.buf, conn->reader.cap);
}
