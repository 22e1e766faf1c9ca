/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gvm_client.h - a connection to one memory node: asynchronous requests, deadlines, reconnect.
 *
 * A connection belongs to one thread. Nothing here blocks, except gvm_conn_wait(). The caller
 * polls gvm_conn_fd() for reading and calls gvm_conn_process() when it is ready (or at any time, to
 * spin); answers arrive in any order through the request's callback, from within process().
 *
 * A request lives in the caller's memory, from gvm_*() until its `done` callback, which is called
 * exactly once. A connection that breaks is set up again by itself, with growing pauses (50 ms to
 * 1 s, counted from attempt to attempt: a link that had been up for longer is tried at once);
 * requests then in flight are sent again in the order in which they were submitted, which has the
 * same effect as sending them once. They end with an error only if the node answers one, their
 * deadline passes, they are cancelled, the connection is destroyed (-ECANCELED), the key is refused
 * (-EACCES), the node speaks no common version (-EPROTONOSUPPORT), or the node that comes back has
 * another incarnation: its memory is gone, and requests that name a region end with -ENOMEDIUM (a
 * declared loss). Requests submitted after that go to the new incarnation; the caller decides
 * whether to submit any. A request that names the incarnation it is meant for (gvm_req.node) is carried
 * out by no other, and not lost because the connection last knew another: it ends with -ENOMEDIUM when a
 * greeting has shown, after that incarnation was first asked for, that another one is there.
 *
 * Two PUTs of one chunk in flight at the same time may both be carried out and then both be sent
 * again, the first of them to be answered -ESTALE: the node holds the newer version. A caller that
 * needs to know that the older one was held waits for it before sending the newer one. A
 * REGION_DELETE that is sent again and finds no region has succeeded.
 *
 * A node remembers a writer (client and epoch) beyond the connection, so PUTs go on after a
 * reconnect. Only the `writer` of REGION_OPEN's answer follows connections: to count as connected a
 * writer attaches again (REGION_OPEN, mode 1, the same epoch), from on_state(UP). Requests
 * submitted by on_state go before those that are sent again.
 *
 * Errors are negative errnos: those of gvm_status_errno(), -ETIMEDOUT for a deadline, -EBADMSG for
 * an answer that fails its checks (the connection is then dropped and set up again, and the request
 * is tried once more before this is reported).
 *
 * With a key, the node has to prove that it holds the key, too, even if it does not ask for a proof
 * itself: requests are sent to no other node.
 *
 * With `tls` nothing is said outside of TLS, and a node that does not use it is refused, as is one that does where
 * the client does not (-EACCES). A link whose handshake fails or whose bytes are altered after it had been up
 * once is set up again, for as long as it takes: whoever is on the way can delay requests, but not end them.
 */
#ifndef GVM_CLIENT_H
#define GVM_CLIENT_H

#include "clock.h"
#include "codec.h"
#include "gvm_wire.h"

#include <sys/uio.h>
#include <sys/queue.h>

enum gvm_conn_state {
	GVM_CONN_CONNECTING, /* not usable yet, or for the moment; requests are queued */
	GVM_CONN_UP,
	GVM_CONN_FAILED, /* permanent: wrong key, no common version; requests fail at once */
};

struct gvm_conn;

struct gvm_conn_opts {
	const void *key; /* shared secret, copied; NULL: none */
	size_t key_bytes;
	bool tls; /* by that key; the node uses TLS too, or nothing is sent. Needs a key: -EINVAL */
	uint64_t client;	  /* writer identity (HELLO); 0: a random one is made */
	unsigned dead_after_ms;	  /* no answer to a PING for so long: reconnect; 0: 5000 */
	/* Connect when there is a request, and close again when there was none for so long; on_state
	 * is not called for that. 0: connect at once and stay so. */
	unsigned idle_ms;
	/* Called from process() on every change of state, and while CONNECTING when an attempt fails
	 * for a reason that is new since the connection was last up; `why` is a short text
	 * ("Connection refused"), never NULL, valid during the call. `renewed`: up again, but with
	 * another incarnation than before; requests that name a region end with -ENOMEDIUM after
	 * this call. Requests may be submitted and cancelled here. */
	void (*on_state)(struct gvm_conn *conn, enum gvm_conn_state state, bool renewed,
			 const char *why, void *arg);
	void *arg;
};

struct gvm_req;
typedef void gvm_done_fn(struct gvm_req *req);

/* The first member of every request. The caller sets done (and arg, deadline_ns if wanted); done may
 * be NULL if the caller uses gvm_conn_wait(). Deadlines are accurate to a few milliseconds. From
 * within callbacks any request may be submitted, and any cancelled. */
struct gvm_req {
	gvm_done_fn *done;
	void *arg;
	uint64_t deadline_ns; /* CLOCK_MONOTONIC; 0: none */
	struct gvm_id node;   /* the incarnation that it is meant for; none: whichever is there */
	/* the outcome, set before done() */
	int result;	 /* 0 or a negative errno */
	uint64_t detail; /* of GVM_MSG_ERROR_RSP, where the node gave one */
	/* private to the library */
	struct gvm_conn *conn;
	TAILQ_ENTRY(gvm_req) entry; /* in the list that `state` names */
	uint64_t tag;
	uint8_t op;
	uint8_t state;
	uint8_t tries; /* answers that failed their checks */
	bool resent;   /* sent before: it may have been carried out, and its answer lost */
	uint16_t needs; /* features of HELLO (gvm_wire.h) without which it cannot be sent */
	uint16_t meta_len;
	uint32_t data_len;
	const void *data;
	uint64_t data_check;
	uint8_t *meta;
	uint8_t meta_inline[104];
};

/*
 * GET. on_piece is called for each frame of the answer, in order: the head lists the blocks of this
 * piece, `body` is valid during the call only. Checksums of frame and head have been verified, the
 * blocks' have not (chunk_decode() does, or seal_decode()). The pieces of an answer belong to one version, not older
 * than asked for, list only blocks of `page_mask`, each once, and have brought all of them (or
 * shown them to be zero) when the result is 0. When a request is sent again, pieces begin anew and
 * may come twice. An error returned by on_piece ends the request with it, except that after a first
 * -EBADMSG (the blocks' checks failed) the request is sent once more.
 */
struct gvm_get {
	struct gvm_req req;
	struct gvm_get_req what;
	int (*on_piece)(struct gvm_get *get, uint64_t version, const struct chunk_head *head,
			const uint8_t *body);
	struct gvm_get_progress {
		uint64_t version;
		uint32_t zero_map;
		uint32_t pages; /* of the blocks that came */
		uint8_t block_shift;
		bool begun;
	} progress; /* private */
};

/* PUT: head and body stay valid and unchanged until done. If the node finds the data damaged
 * (CORRUPT) the request is sent once more. A sealed one (seal.h) ends with -EOPNOTSUPP if the node knows no
 * such chunks; so does one that mends (what.base is what.version) if the node knows no such PUTs. */
struct gvm_put {
	struct gvm_req req;
	struct gvm_put_req what;
	const struct chunk_head *head;
	const uint8_t *body;
	uint8_t meta[sizeof(struct gvm_put_req) + CHUNK_HEAD_MAX]; /* private */
};

/*
 * All other requests: the answer's fields are in rsp (a union of the unpacked structs) and its data
 * in data[0..data_bytes), both valid only during done().
 */
union gvm_answer {
	struct gvm_ping_rsp ping;
	struct gvm_node_stat_rsp node_stat;
	struct gvm_node_drain_rsp node_drain;
	struct gvm_node_rot_rsp node_rot;
	struct gvm_name_list_rsp name_list;
	struct gvm_region_open_rsp region_open;
	struct gvm_region_stat_rsp region_stat;
	struct gvm_region_list_rsp region_list;
	struct gvm_region_index_rsp region_index;
	struct gvm_region_views_rsp region_views;
	struct gvm_region_held_rsp region_held;
	struct gvm_region_check_rsp region_check;
	struct gvm_region_noted_rsp region_noted;
};

struct gvm_call {
	struct gvm_req req;
	union gvm_answer rsp;
	const uint8_t *data;
	size_t data_bytes;
};

/* addr: "host:port" or "host" (port 9999), where host is a.b.c.d, [v6], [v6%interface] or a host
 * name; at most 127 bytes, -EINVAL for anything else. Connecting begins in the first process(). A
 * name is looked up for each attempt to connect, in a thread of the C library, and each of its
 * addresses is tried: a node that moved is found again, and nothing waits for a resolver. */
int gvm_conn_create(const char *addr, const struct gvm_conn_opts *opts, struct gvm_conn **conn);
/* Ends every request with -ECANCELED first; their callbacks must submit none. Not to be called from
 * within a callback. NULL is accepted. */
void gvm_conn_destroy(struct gvm_conn *conn);

/* One descriptor for the life of the connection; readable when process() has something to do
 * (data, room to send, a timer). */
int gvm_conn_fd(const struct gvm_conn *conn);
/* Sends queued requests, receives answers, runs callbacks and timers. Returns the number of frames
 * received. Not to be called from within a callback. */
int gvm_conn_process(struct gvm_conn *conn);
/* From within on_piece: process() and poll() return when that has, and leave what they have received behind
 * it to the next call of either. The descriptor need not be readable for that: call one of them before
 * waiting for it. */
void gvm_conn_pause(struct gvm_conn *conn);
/* As process(), but only looks at the socket: one system call, no clock, no timers. The cheap form
 * for spinning between two process() calls. */
int gvm_conn_poll(struct gvm_conn *conn);

const char *gvm_conn_addr(const struct gvm_conn *conn);
enum gvm_conn_state gvm_conn_state(const struct gvm_conn *conn);
/* The incarnation of the node last spoken to; all zero before the first HELLO. */
const struct gvm_id *gvm_conn_incarnation(const struct gvm_conn *conn);
uint64_t gvm_conn_client(const struct gvm_conn *conn);
/* Requests that have not ended: queued, or in flight. */
unsigned gvm_conn_pending(const struct gvm_conn *conn);
/* When the node was last heard of, to a second or so; of a connection that is UP and not idle it is asked every second. */
uint64_t gvm_conn_heard_ns(const struct gvm_conn *conn);
/* How many bytes came from it: it is silent for as long as that is the same. */
uint64_t gvm_conn_received(const struct gvm_conn *conn);
/* Whether the node compresses blocks that are sent raw, and when it last answered a PUT had room for more of them. */
bool gvm_conn_takes_raw(const struct gvm_conn *conn);
/* Bytes a second that were delivered to the node, as the kernel has measured last (tcpi_delivery_rate of TCP_INFO): while
 * little is sent, less than the link could take. 0: not known. */
uint64_t gvm_conn_rate(const struct gvm_conn *conn);

/* gvm_name_put: the record stays valid and unchanged until done; no bytes: a tombstone. gvm_region_held: so do the
 * ids, 1..GVM_HELD_MAX, and gvm_region_note's bytes, 0..GVM_NOTE_MAX. These two, gvm_node_drain, gvm_node_rot, gvm_region_check
 * and gvm_region_noted end with -EOPNOTSUPP where the node does not know this request.
 *
 * Submitting never fails at once (an error arrives through done, from a later process()); requests
 * are sent at once if the socket takes them. With gvm_conn_cork(true) they gather until cork(false)
 * or process(): one system call for many. A caller that is about to poll gvm_conn_fd() uncorks
 * first. */
void gvm_conn_cork(struct gvm_conn *conn, bool on);
void gvm_get(struct gvm_conn *conn, struct gvm_get *get);
void gvm_put(struct gvm_conn *conn, struct gvm_put *put);
void gvm_node_stat(struct gvm_conn *conn, struct gvm_call *call);
void gvm_node_rot(struct gvm_conn *conn, struct gvm_call *call);
void gvm_node_drain(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_node_drain_req *what);
void gvm_name_put(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_name_put_req *what,
		  const void *record, size_t record_bytes);
void gvm_name_list(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_name_list_req *what);
void gvm_name_fence(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_name_fence_req *what);
void gvm_name_forget(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_name_forget_req *what);
void gvm_region_create(struct gvm_conn *conn, struct gvm_call *call,
		       const struct gvm_region_create_req *what);
void gvm_region_open(struct gvm_conn *conn, struct gvm_call *call,
		     const struct gvm_region_open_req *what);
void gvm_region_close(struct gvm_conn *conn, struct gvm_call *call,
		      const struct gvm_region_close_req *what);
void gvm_region_resize(struct gvm_conn *conn, struct gvm_call *call,
		       const struct gvm_region_resize_req *what);
void gvm_region_delete(struct gvm_conn *conn, struct gvm_call *call,
		       const struct gvm_region_delete_req *what);
void gvm_region_stat(struct gvm_conn *conn, struct gvm_call *call,
		     const struct gvm_region_stat_req *what);
void gvm_region_list(struct gvm_conn *conn, struct gvm_call *call,
		     const struct gvm_region_list_req *what);
void gvm_region_index(struct gvm_conn *conn, struct gvm_call *call,
		      const struct gvm_region_index_req *what);
void gvm_region_view(struct gvm_conn *conn, struct gvm_call *call,
		     const struct gvm_region_view_req *what);
void gvm_region_views(struct gvm_conn *conn, struct gvm_call *call,
		      const struct gvm_region_views_req *what);
void gvm_region_held(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_id *ids, unsigned count);
void gvm_region_check(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_region_check_req *what);
void gvm_region_note(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_region_note_req *what,
		     const void *note, size_t note_bytes);
void gvm_region_noted(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_region_noted_req *what);
void gvm_discard(struct gvm_conn *conn, struct gvm_call *call, const struct gvm_discard_req *what);

/* Ends a request early: done() runs at once, with -ECANCELED. */
void gvm_cancel(struct gvm_req *req);

/* For tools and threads without a loop: processes until `req` is done, and returns its result. The
 * request's memory must outlive its done(). Without a deadline in `req` this may take for ever. Not
 * to be called from within a callback. */
int gvm_conn_wait(struct gvm_conn *conn, struct gvm_req *req);

/* For daemons, at their start: raises the soft limit of descriptors to the hard one. Programs that
 * they execute inherit it, and one that uses select(2) would fail. */
void gvm_descriptors_allow(void);

/* Reads a key file: its content less a trailing newline. The caller frees *key.
 * -EINVAL: not 16..4096 bytes.
 * -EPERM: not owned by root or the caller, or other users may access it; below
 *	$CREDENTIALS_DIRECTORY (systemd.exec(5)) the group may read it.
 * Other errnos: of open(2) and read(2). */
int gvm_key_load(const char *path, uint8_t **key, size_t *bytes);
/* The same of up to `most` bytes; behind them the buffer has room for one more. */
int gvm_secret_load(const char *path, size_t most, uint8_t **key, size_t *bytes);
/* The last error of gvm_key_load() as the end of a message to the user. */
const char *gvm_key_error(int err);

/* cluster.conf: lines of `id address:port roles` (roles: a comma list of cpu, mem), with the name of the node's rack
 * behind them if it is in one; `tls = yes` or `tls = no` (the default) for all of them, # comments.
 * Addresses as for gvm_conn_create(). An id or an address may occur once. Nodes come in the order
 * of the file, at least one; the caller frees *nodes. On error `err` is a text for the user, with
 * the line's number. Shared by all modes. */
#define GVM_RACK_MAX 31
struct gvm_cluster_node {
	unsigned id; /* 0..10239 */
	char addr[128];
	bool cpu, mem;
	bool tls; /* its memory node uses TLS */
	char rack[GVM_RACK_MAX + 1]; /* what fails together with others of that name; "": by itself */
};
int gvm_cluster_load(const char *path, struct gvm_cluster_node **nodes, unsigned *count, char err[128]);
/* The same from the file's text. Pure. */
int gvm_cluster_parse(const char *text, size_t bytes, struct gvm_cluster_node **nodes,
		      unsigned *count, char err[128]);

#endif
