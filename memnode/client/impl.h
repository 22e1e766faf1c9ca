/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * impl.h - inside a connection. Included by this folder only.
 *
 * From the bottom up; a file calls those above it in this list, and never one below it:
 *
 * frames.c     decodes and checks frames (pure)
 * resolve.c    host names (for all connections of the process)
 * stream.c     the socket's bytes, plain or over TLS
 * poll.c       the descriptor that the caller polls: socket and timer
 * lists.c      the lists of requests
 * tx.c         requests -> socket
 * requests.c   tags, and how each request ends
 * link.c       the connection's life: connect, HELLO, AUTH, loss, back-off
 * rx.c         socket -> answers -> requests
 * conn.c       the public calls: makes requests, ends them on demand
 *
 * A request is in exactly one list, named by its state, or in none (REQ_IDLE: it is the caller's).
 * `done` runs only from places where the connection is consistent: nothing is read from a request
 * after that, and nothing about the connection is assumed unchanged.
 */
#ifndef GVM_CLIENT_IMPL_H
#define GVM_CLIENT_IMPL_H

#include "frames.h"
#include "resolve.h"
#include "stream.h"

#include <sys/socket.h>

#define NS_PER_MS 1000000ull
#define TOLD_MAX  8
#define ABSENT_MAX 16u

enum req_state {
	REQ_IDLE,
	REQ_QUEUED, /* not sent, or the first one: in part */
	REQ_SENT,
	REQ_RESEND, /* while on_state(UP) runs: to be sent after the requests that it submits */
	REQ_ENDED,  /* has its result; done() is called from the next process() */
	REQ_STATES,
};

TAILQ_HEAD(req_list, gvm_req);

/* A tag is an entry's index and its generation. The entry of a request that ends before its answer
 * came stays in use (req NULL) until the answer comes: an answer to any other tag is a node's mistake. */
struct req_tag_entry {
	struct gvm_req *req;
	uint32_t generation;
	uint32_t next_free;
	uint8_t op; /* 0: free */
};

enum link_step {
	LINK_DOWN,    /* until retry_at */
	LINK_RESOLVE, /* the host's name is looked up */
	LINK_TCP,
	LINK_TLS,
	LINK_HELLO,
	LINK_AUTH,
	LINK_UP,
	LINK_FAILED,
};

struct gvm_conn {
	int fd; /* -1: none */
	struct stream stream;
	int epoll_fd, timer_fd;
	enum link_step step;
	bool corked;
	bool paused; /* frames may wait in the reader: gvm_conn_pause() */
	bool wait_room; /* EPOLLOUT is asked for */
	bool heard;	/* bytes came since the last tick */
	uint64_t received; /* bytes, over all links */
	bool answered;	/* a good answer came on this link */
	bool wants_packed; /* the node's last answer to a PUT said GVM_FLAG_PACK */
	bool destroying;
	bool resting; /* LINK_DOWN, and no request to connect for */
	bool used;    /* a request was submitted since the last tick */
	unsigned in_process, in_callback;
	/* The link is to be dropped, for this reason. Set where dropping it at once would change lists
	 * that a caller iterates over; process() drops it. */
	const char *broken;

	struct frame_reader reader;

	struct req_list list[REQ_STATES];
	size_t head_sent; /* bytes of the first queued request that are sent */
	uint8_t *rest;	  /* of a frame whose request ended while it was being sent */
	size_t rest_bytes, rest_sent;
	struct req_tag_entry *tags;
	uint32_t tag_count, free_tag;
	unsigned pending;   /* not REQ_IDLE, `ping` not counted */
	unsigned abandoned; /* tags in use without a request */

	/* timers, CLOCK_MONOTONIC */
	uint64_t timer_at; /* the timerfd's; UINT64_MAX: disarmed */
	uint64_t retry_at, step_deadline;
	uint64_t tried_at, last_heard;
	unsigned tries; /* to connect, since the last good answer */
	unsigned version_refusals, tls_refusals;
	uint64_t dead_after, ping_every;
	uint64_t idle_after, used_at; /* idle_after 0: never */
	struct gvm_call ping;
	uint64_t ping_sent;

	/* identity */
	struct addr peer;
	struct resolved peers; /* of the last look-up: tried in turn, from peer_next on */
	unsigned peer_next;
	char *addr;
	uint8_t *key;
	size_t key_bytes;
	struct gvm_hello_req hello;
	struct gvm_hello_rsp welcome;
	struct gvm_id incarnation; /* of the last link that came up */
	struct gvm_id absent[ABSENT_MAX]; /* that requests were meant for, and that are not there; a ring */
	unsigned absent_count;
	int failed;		   /* LINK_FAILED: the errno of all requests */
	uint64_t jitter;

	enum gvm_conn_state state;
	char why[160];
	/* Hashes of the reasons told to on_state since the link was last up; a ring. */
	uint32_t told[TOLD_MAX];
	unsigned told_count;
	struct gvm_conn_opts opts;
};

/* poll.c */
/* The timer fires at `at`; UINT64_MAX: never. */
void poll_timer_set(struct gvm_conn *conn, uint64_t at);
/* The timer fires at `at` at the latest. */
void poll_timer_by(struct gvm_conn *conn, uint64_t at);
/* epoll_ctl() for the socket. */
void poll_watch(struct gvm_conn *conn, int how, uint32_t events);
/* Asks for EPOLLOUT, or no longer. */
void poll_wait_room(struct gvm_conn *conn, bool on);
/* A request was submitted: a resting link connects. */
void poll_wanted(struct gvm_conn *conn);

/* lists.c */
void req_lists_init(struct gvm_conn *conn);
void req_move(struct gvm_conn *conn, struct gvm_req *req, enum req_state to);
void req_move_all(struct gvm_conn *conn, enum req_state from, enum req_state to);

static inline struct gvm_req *req_first(const struct gvm_conn *conn, enum req_state state)
{
	return TAILQ_FIRST(&conn->list[state]);
}

static inline struct gvm_req *req_next(const struct gvm_req *req)
{
	return TAILQ_NEXT(req, entry);
}

/* requests.c */
/* Gives `req` a tag: 0 or -ENOMEM. */
int req_tag(struct gvm_conn *conn, struct gvm_req *req);
/* The request of an answer's tag and op; *req NULL: it ended before. -EBADMSG: there is none. */
int req_find(struct gvm_conn *conn, uint64_t tag, uint8_t op, struct gvm_req **req);
/* The final answer to an ended request has come. */
void req_forget(struct gvm_conn *conn, uint64_t tag);
/* Removes `req` from all lists and tables; `answered`: its final answer has come. */
void req_retire(struct gvm_conn *conn, struct gvm_req *req, bool answered);
/* Ends a request now: calls done(). */
void req_end(struct gvm_conn *conn, struct gvm_req *req, int result, bool answered);
/* The same from the next process() (or req_run_ended()). */
void req_end_later(struct gvm_conn *conn, struct gvm_req *req, int result);
void req_end_all_later(struct gvm_conn *conn, enum req_state state, int result);
void req_run_ended(struct gvm_conn *conn);
/* Frees the tags of ended requests: the link is gone, and their answers with it. */
void req_forget_abandoned(struct gvm_conn *conn);
/* Whether the op names a region. */
bool req_names_region(const struct gvm_req *req);
/* Whether the node that is connected is the one that the request is meant for. */
bool req_is_meant(const struct gvm_conn *conn, const struct gvm_req *req);
/* Whether the node that is connected knows what the request needs. */
bool req_is_known(const struct gvm_conn *conn, const struct gvm_req *req);
/* Sets op, fields and data of a request. */
void req_fill(struct gvm_req *req, uint8_t op, uint8_t *meta, size_t meta_len, const void *data,
	      size_t data_len);
/* A new request, meta and data filled in; it is the connection's from now on. */
void req_submit(struct gvm_conn *conn, struct gvm_req *req);

/* tx.c */
/* Sends queued requests as far as the socket takes them. */
void tx_flush(struct gvm_conn *conn);
/* The first queued request ends, sent in part: copies the rest of its frame. */
void tx_detach_head(struct gvm_conn *conn);
void tx_reset(struct gvm_conn *conn);
/* A frame of the handshake. 0 or -errno. */
int tx_handshake(struct gvm_conn *conn, uint8_t op, const uint8_t *meta, size_t meta_len);

/* rx.c */
/* Receives and handles answers; returns the number of frames. */
int rx_run(struct gvm_conn *conn);

/* link.c */
int link_init(struct gvm_conn *conn);
void link_deinit(struct gvm_conn *conn);
/* Timers, deadlines, and the progress of connecting. */
void link_run(struct gvm_conn *conn);
/* TLS: goes on with its handshake; says HELLO at its end. */
void link_secure(struct gvm_conn *conn);
/* A frame during the handshake: 0, or -EBADMSG and why. */
int link_handshake(struct gvm_conn *conn, const struct frame *f, const char **why);
/* Drops the link and connects anew. `bad`: the node sent bad bytes; `blamed`: the request that they
 * answer, if known. Calls on_state. */
void link_lost(struct gvm_conn *conn, const char *why, struct gvm_req *blamed, bool bad);
/* The node speaks another version; after several such answers the connection fails for good. */
void link_version_refused(struct gvm_conn *conn, const char *why);

#endif
