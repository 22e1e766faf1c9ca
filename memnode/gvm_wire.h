/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gvm_wire.h - the bytes that clients and memory nodes exchange.
 *
 * This header is the protocol in code; PROTOCOL.md says the same for people. It includes nothing
 * but fixed-width integers, allocates nothing and calls nothing, so that any program (a kernel
 * module too) can use it.
 *
 * A frame is a header of GVM_HDR_BYTES, then `meta_len` bytes of fields, then `data_len` bytes of
 * data. Every integer is little-endian. The fields of each message stand in one table below
 * (GVM_MSG_*), from which the struct, its packer and its bounded unpacker are made: an unpacker
 * accepts exactly the bytes that the table describes, or returns -EBADMSG.
 */
#ifndef GVM_WIRE_H
#define GVM_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GVM_PORT	   9999
#define GVM_MAGIC	   0x314d5647u /* "GVM1" as it stands on the wire */
#define GVM_VERSION	   3
#ifndef GVM_PAGE_BYTES /* simulators have smaller ones */
#define GVM_PAGE_BYTES	   4096u
#endif
#define GVM_CHUNK_PAGES	   32u
#define GVM_CHUNK_BYTES	   (GVM_PAGE_BYTES * GVM_CHUNK_PAGES)
/* The most that a node takes for a chunk that it promises: the largest encoded form in whole KiB, and an entry. */
#define GVM_PROMISE_BYTES  133152u
#define GVM_HDR_BYTES	   40u
#define GVM_META_MAX	   2048u	   /* meta_len never exceeds it */
#define GVM_DATA_MAX	   GVM_CHUNK_BYTES /* nor data_len this */
#define GVM_RECORD_MAX	   65536u	   /* bytes of one record of the name table */
#define GVM_SLOTS_MAX	   512u	   /* of a region */
#define GVM_REPLICAS_MAX   4u	   /* of a slot: one is there beside three while it moves */
#define GVM_NONCE_BYTES	   32u
#define GVM_MAC_BYTES	   32u

/* A region's, node's or record's 128-bit identity: 16 opaque bytes, all zero means none. */
struct gvm_id {
	uint8_t b[16];
};

struct gvm_bytes32 {
	uint8_t b[32];
};

/*
 * A chunk's version: epoch in bits 62..40, sequence in bits 39..0; 0 means never written. A later
 * version of a chunk is a greater integer. Bit 63 is not part of it: where a version is stored or
 * listed (INDEX), bit 63 set says that the chunk is all zero, hence without a body.
 */
#define GVM_SEQ_BITS	 40
#define GVM_EPOCH_MAX	 ((1ull << 23) - 1)
#define GVM_VERSION_ZERO (1ull << 63)
#define GVM_VERSION_MASK (GVM_VERSION_ZERO - 1)

static inline uint64_t gvm_version(uint64_t epoch, uint64_t seq)
{
	return epoch << GVM_SEQ_BITS | seq;
}

static inline uint64_t gvm_version_epoch(uint64_t version)
{
	return (version & GVM_VERSION_MASK) >> GVM_SEQ_BITS;
}

/* Bytes of a region that a node can promise in so many bytes of its own: whole chunks, less one for a table's last page. */
static inline uint64_t gvm_promise_of(uint64_t bytes)
{
	uint64_t chunks = bytes / GVM_PROMISE_BYTES;

	return chunks ? (chunks - 1) * GVM_CHUNK_BYTES : 0;
}

enum gvm_op {
	GVM_OP_HELLO = 1,
	GVM_OP_AUTH = 2,
	GVM_OP_PING = 3,
	GVM_OP_NODE_STAT = 4,
	GVM_OP_NODE_DRAIN = 5,
	GVM_OP_NODE_ROT = 6,
	GVM_OP_NAME_PUT = 16,
	GVM_OP_NAME_LIST = 17,
	GVM_OP_NAME_FENCE = 18,
	GVM_OP_NAME_FORGET = 19,
	GVM_OP_REGION_CREATE = 32,
	GVM_OP_REGION_OPEN = 33,
	GVM_OP_REGION_CLOSE = 34,
	GVM_OP_REGION_RESIZE = 35,
	GVM_OP_REGION_DELETE = 36,
	GVM_OP_REGION_STAT = 37,
	GVM_OP_REGION_LIST = 38,
	GVM_OP_REGION_INDEX = 39,
	GVM_OP_REGION_VIEW = 42,
	GVM_OP_REGION_VIEWS = 43,
	GVM_OP_REGION_HELD = 44,
	GVM_OP_REGION_CHECK = 45,
	GVM_OP_REGION_NOTE = 46,
	GVM_OP_REGION_NOTED = 47,
	GVM_OP_GET = 48,
	GVM_OP_PUT = 49,
	GVM_OP_DISCARD = 50,
};

enum gvm_status {
	GVM_OK = 0,
	GVM_ERR_INVALID = 1,	 /* a field is out of range for this request */
	GVM_ERR_AUTH = 2,	 /* the keys differ, or a key is needed; to HELLO: detail GVM_AUTH_DEMANDS_TLS */
	GVM_ERR_VERSION = 3,	 /* no protocol version in common */
	GVM_ERR_LOST = 4,	 /* the node has no such region or chunk (any more) */
	GVM_ERR_STALE = 5,	 /* GET: the node holds an older version than asked for (detail: which);
				  * PUT, DISCARD, NAME_PUT, REGION_VIEW: it holds a newer one (detail: which);
				  * REGION_RESIZE: a later one was done (detail: its order);
				  * REGION_CREATE: a later DELETE was (detail: the least order that is taken) */
	GVM_ERR_STALE_BASE = 6,	 /* PUT of some blocks: the node holds another base (detail: which) */
	GVM_ERR_FENCED = 7,	 /* a writer of a newer epoch has the region (detail: its epoch); of a name:
				  * it was born before the fence (detail: the fence), or the round is over */
	GVM_ERR_BUSY = 8,	 /* REGION_OPEN: a live writer has the region (detail: its epoch) */
	GVM_ERR_NOSPACE = 9,	 /* the node cannot promise it (detail: chunks that it still could) */
	GVM_ERR_EXISTS = 10,	 /* REGION_CREATE: the id is taken */
	GVM_ERR_CORRUPT = 11,	 /* a checksum does not match: of what was sent, or of what is held */
	GVM_ERR_GONE = 12,	 /* NAME_PUT: the record was removed, and never comes back */
	GVM_ERR_WATCHED = 13,	 /* REGION_OPEN: a writer has to wait for watches, or a watch for it */
};

#define GVM_AUTH_DEMANDS_TLS 1 /* `detail` of AUTH */

/* State of the writer that attached a region last. */
enum gvm_writer {
	GVM_WRITER_NONE = 0,   /* there is none, or it gave the region up */
	GVM_WRITER_LAPSED = 1, /* its lease is over, and no other writer has attached the region */
	GVM_WRITER_AWAY = 2,   /* no connection of it is open, but its lease holds */
	GVM_WRITER_THERE = 3,  /* a connection of it is attached */
};

#define GVM_FLAG_RESPONSE (1u << 0)
#define GVM_FLAG_MORE	  (1u << 1) /* a further frame answers the same request */
#define GVM_FLAG_PACK	  (1u << 2) /* of an answer to PUT: the node takes no more raw blocks now */

/* Feature bits of HELLO; what both sides name holds for the connection. */
#define GVM_FEATURE_SEAL    (1ull << 0) /* chunks may be sealed (codec.h) */
#define GVM_FEATURE_REMAINS (1ull << 1) /* requests that read also find what a loss has left of regions */
#define GVM_FEATURE_HELD    (1ull << 2) /* the node knows REGION_HELD */
#define GVM_FEATURE_DRAIN   (1ull << 3) /* the node knows NODE_DRAIN */
#define GVM_FEATURE_MEND    (1ull << 4) /* the node knows a PUT that mends */
#define GVM_FEATURE_CHECK   (1ull << 5) /* the node knows REGION_CHECK */
#define GVM_FEATURE_ROT     (1ull << 6) /* the node knows NODE_ROT */
#define GVM_FEATURE_PACK    (1ull << 7) /* the node compresses raw blocks, and says when it has no room for more */
#define GVM_FEATURE_NOTE    (1ull << 8) /* the node knows REGION_NOTE and REGION_NOTED */
#define GVM_FEATURES	    (GVM_FEATURE_SEAL | GVM_FEATURE_HELD | GVM_FEATURE_DRAIN | GVM_FEATURE_MEND | \
			     GVM_FEATURE_CHECK | GVM_FEATURE_ROT | GVM_FEATURE_PACK | GVM_FEATURE_NOTE) /* that the client library asks for */
#define GVM_FEATURES_NODE   (GVM_FEATURES | GVM_FEATURE_REMAINS) /* that the node knows */

/*
 * header: magic u32, version u8, op u8, flags u8, 0 u8, status u16, meta_len u16, data_len u32,
 * tag u64, data_check u64, check u64.
 *   tag         chosen by the client; every answer to a request carries it back
 *   data_check  XXH3-64 of the data; 0 for GET and PUT, whose blocks carry their own checks, but for a
 *               PUT of sealed blocks, which the node cannot check
 *   check       XXH3-64 of the 32 header bytes before it followed by the meta bytes
 */
struct gvm_hdr {
	uint8_t op;
	uint8_t flags;
	uint16_t status;
	uint16_t meta_len;
	uint32_t data_len;
	uint64_t tag;
	uint64_t data_check;
	uint64_t check;
};

/*
 * The message tables: F(type, name) in wire order. `_REQ` travels to the node, `_RSP` back under
 * status GVM_OK. Every other status comes with GVM_MSG_ERROR_RSP. Messages not listed have no
 * fields. GET and PUT append a chunk head (codec.h) to their fields: GET to its answer, PUT to its
 * request.
 */
#define GVM_MSG_ERROR_RSP(F) F(u64, detail)

#define GVM_MSG_HELLO_REQ(F)                                                                       \
	F(u16, version_min)                                                                        \
	F(u16, version_max)                                                                        \
	F(u64, features)                                                                           \
	F(u64, client) /* random, the same on all connections of one writer: see REGION_OPEN */    \
	F(bytes32, nonce)
#define GVM_MSG_HELLO_RSP(F)                                                                       \
	F(u16, version)                                                                            \
	F(u8, need_auth) /* 1: nothing but AUTH is answered until it succeeds */                   \
	F(u64, features)                                                                           \
	F(id, incarnation) /* random for each start of a node */                                   \
	F(bytes32, nonce)
/* mac = HMAC-SHA256(key, label . client nonce . node nonce . incarnation . client u64), with the
 * label "gvm client" from the client and "gvm node" back, without a terminating zero. */
#define GVM_MSG_AUTH_REQ(F) F(bytes32, mac)
#define GVM_MSG_AUTH_RSP(F) F(bytes32, mac)

#define GVM_MSG_PING_REQ(F) F(u64, cookie)
#define GVM_MSG_PING_RSP(F) F(u64, cookie)

#define GVM_MSG_NODE_STAT_RSP(F)                                                                   \
	F(u64, capacity_bytes)	  /* lent: --memory less the node's own head room */               \
	F(u64, promisable_bytes)  /* capacity times the overcommit factor */                       \
	F(u64, reserved_bytes)	  /* promised to regions, of promisable_bytes */                   \
	F(u64, held_bytes)	  /* taken from the allocator, tables of chunks included */        \
	F(u64, stored_bytes)	  /* encoded chunks as they were sent, heads included */           \
	F(u64, nonzero_bytes)	  /* the same chunks' non-zero pages before encoding */            \
	F(u64, regions)                                                                            \
	F(u64, chunks) /* with a body */                                                           \
	F(u64, clients)                                                                            \
	F(u64, gets)                                                                               \
	F(u64, puts)                                                                               \
	F(u64, delta_puts) /* of puts, those of some blocks */                                     \
	F(u64, discards)                                                                           \
	F(u64, bad_frames)                                                                         \
	F(u64, rx_bytes)                                                                           \
	F(u64, tx_bytes)                                                                           \
	F(u64, uptime_ns)                                                                          \
	F(u64, names)      /* records of the name table, tombstones included */                    \
	F(u64, tombstones) /* of these, those of removed names */                                  \
	F(u64, names_max)

/* drain 1: the node is to be emptied, which is for writers to do: it takes no new regions (CREATE answers NOSPACE, and
 * NODE_STAT tells of nothing more to promise); 0: that is over; 2: only asks. It is forgotten with the node's process, but by one that keeps its chunks (--persist). */
enum gvm_drain { GVM_DRAIN_END, GVM_DRAIN_BEGIN, GVM_DRAIN_ASK };
#define GVM_MSG_NODE_DRAIN_REQ(F) F(u8, drain)
#define GVM_MSG_NODE_DRAIN_RSP(F) F(u8, drains)

/* Of the chunks that REGION_CHECK has found not to be what was stored. */
#define GVM_MSG_NODE_ROT_RSP(F)                                                                    \
	F(u64, rotten_chunks) /* that are there: nothing else has been stored in their place */    \
	F(u64, rotten_found)  /* since the node began */

/* NAME_PUT: the record is the data (1..GVM_RECORD_MAX bytes, opaque to the node). The node keeps
 * it if it has none under `key` or an older one; a record with an equal or newer version answers
 * STALE, unless it is byte for byte the same (a repeated request). Without data it is a tombstone,
 * which replaces any record and is final (GONE). A key that the node does not have and that was
 * born at or below its horizon for the name's table is gone (GONE); born at or below its fence, it
 * is only taken from the round that put up the fence (FENCED). NAME_LIST: records with a key above
 * `after` in ascending order; data: {key 16, table u64, born u64, version u64, len u32, record},
 * repeated; with a round, FENCED unless that round's fence stands. An entry whose key begins with 8
 * zero bytes is no name: its `born` is the node's horizon for `table`. `stamp` of the answer says what the
 * table is like: asked with it as `since`, a node answers with the entries that have changed since then, in
 * no order, and with the same `since`; or, if it cannot tell or these are many, as if it had been 0. */
#define GVM_NAME_ENTRY_BYTES 44u /* of NAME_LIST's data, without the record */
#define GVM_NAME_VERSION_MAX ((1ull << 62) - 1) /* of born and version */
#define GVM_MSG_NAME_PUT_REQ(F) F(id, key) F(u64, table) F(u64, born) F(u64, version) F(u64, round)
#define GVM_MSG_NAME_LIST_REQ(F) F(id, after) F(u64, round) F(u64, since)
#define GVM_MSG_NAME_LIST_RSP(F) F(u32, count) F(u8, more) F(u64, fence) F(u64, stamp) F(u64, since)
/* FENCE: from now on no name born at or below `upto` is made but by this round. FORGET, of the round
 * whose fence stands (else FENCED): the horizon for `table` rises to its `upto`, and the tombstones
 * of that table's names born at or below it are dropped. */
#define GVM_MSG_NAME_FENCE_REQ(F) F(u64, round) F(u64, upto)
#define GVM_MSG_NAME_FORGET_REQ(F) F(u64, round) F(u64, table)

/* chunks: size of the region; reserve_chunks: how many of them this node promises to hold; views 1: there is room for
 * the views of its slots from now on, whatever else fills the node (REGION_VIEW). A CREATE whose id exists with the same
 * numbers is OK (a repeated request). */
#define GVM_MSG_REGION_CREATE_REQ(F)                                                               \
	F(id, region) F(u64, chunks) F(u64, reserve_chunks) F(u64, view) F(u8, views) F(u64, epoch) F(u64, order)
enum gvm_open_mode {
	GVM_OPEN_LOOK,
	GVM_OPEN_ATTACH,
	GVM_OPEN_WATCH,
	GVM_OPEN_UNWATCH,
	GVM_OPEN_PASS,
	GVM_OPEN_HOLD,
	GVM_OPEN_UNHOLD,
};
enum gvm_open_force { GVM_FORCE_NONE, GVM_FORCE_WRITER, GVM_FORCE_LEASE };

/* mode 0: look only, epoch is 0. mode 1: attach as the writer `client` of HELLO with `epoch`,
 * which must exceed the region's (or equal it, from the same client: a reconnect). A region whose
 * writer has a connection open, or a lease that has not lapsed, answers BUSY unless force is 1 (2:
 * unless there is a connection). Mode 5 holds the region for a later claim, in mode 1 with the same
 * epoch; mode 6 gives the hold up. view: must not be older than the region's (STALE), and is
 * remembered. lease_ms: for how long the region stays the writer's after the end of its last
 * connection; lapse 1: the node removes the region then. host, process: the writer's host and
 * process, opaque. */
#define GVM_MSG_REGION_OPEN_REQ(F)                                                                 \
	F(id, region)                                                                              \
	F(u8, mode)                                                                                \
	F(u8, force)                                                                               \
	F(u64, epoch)                                                                              \
	F(u64, view)                                                                               \
	F(u32, lease_ms)                                                                           \
	F(u8, lapse)                                                                               \
	F(bytes32, host)                                                                           \
	F(id, process)
#define GVM_MSG_REGION_OPEN_RSP(F)                                                                 \
	F(u64, epoch)                                                                              \
	F(u64, chunks)                                                                             \
	F(u64, reserve_chunks)                                                                     \
	F(u64, view)                                                                               \
	F(u8, writer)	 /* GVM_WRITER_* */                                                        \
	F(u64, lease_ms) /* what is left of it, if the writer is away */                           \
	F(bytes32, host)                                                                           \
	F(id, process)
/* CLOSE ends the writer's attachment: others may attach without force. */
#define GVM_MSG_REGION_CLOSE_REQ(F) F(id, region) F(u64, epoch)
#define GVM_MSG_REGION_RESIZE_REQ(F)                                                               \
	F(id, region) F(u64, epoch) F(u64, chunks) F(u64, reserve_chunks) F(u64, order)
#define GVM_MSG_REGION_DELETE_REQ(F) F(id, region) F(u64, epoch) F(u64, order)
#define GVM_MSG_REGION_STAT_REQ(F) F(id, region)
#define GVM_MSG_REGION_STAT_RSP(F)                                                                 \
	F(u64, chunks)                                                                             \
	F(u64, reserve_chunks)                                                                     \
	F(u64, epoch)                                                                              \
	F(u8, writer)                                                                              \
	F(bytes32, host)                                                                           \
	F(id, process)                                                                             \
	F(u64, chunks_held) /* with a body */                                                      \
	F(u64, held_bytes)                                                                         \
	F(u64, stored_bytes)                                                                       \
	F(u64, nonzero_bytes)
/* Regions with an id above `after`, ascending; data: {id 16, chunks u64, held_bytes u64}. */
#define GVM_MSG_REGION_LIST_REQ(F) F(id, after)
#define GVM_MSG_REGION_LIST_RSP(F) F(u32, count) F(u8, more)
/* Chunks from `first` on that were ever written; data: {chunk u64, version u64 (bit 63: zero)}.
 * `next` is where to go on, or ~0 at the end. */
#define GVM_MSG_REGION_INDEX_REQ(F) F(id, region) F(u64, first)
#define GVM_MSG_REGION_INDEX_RSP(F) F(u32, count) F(u64, next)
/* VIEW: the slot's view of this number has these members (incarnations of nodes; none after the last). It is proposed
 * (active 0: the writer may give it up), or active (1: it counts). Of each slot the last of either is kept. A lower
 * number than that of the active one answers STALE, and so does, of a proposed one, a lower number than that of any; the
 * same number too, unless its members are the same (a repeated request). VIEWS: those of slots first..first+count-1; data:
 * {slot u32, active u8, number u64, members 4 ids}, slots ascend, of each the active one comes first. */
#define GVM_VIEW_ENTRY_BYTES (13u + 16u * GVM_REPLICAS_MAX)
#define GVM_MSG_REGION_VIEW_REQ(F)                                                                 \
	F(id, region)                                                                              \
	F(u64, epoch)                                                                              \
	F(u32, slot)                                                                               \
	F(u8, active)                                                                              \
	F(u64, number)                                                                             \
	F(id, member_0)                                                                            \
	F(id, member_1)                                                                            \
	F(id, member_2)                                                                            \
	F(id, member_3)
#define GVM_MSG_REGION_VIEWS_REQ(F) F(id, region) F(u32, first) F(u32, count)
#define GVM_MSG_REGION_VIEWS_RSP(F) F(u32, count)
/* HELD: the data is `count` ids of regions, 1..GVM_HELD_MAX. Data of the answer, of each in this order:
 * {known u8, epoch u64, chunks_held u64, held_bytes u64}, the latter as REGION_STAT's; known 0: LOST, the rest is 0. */
#define GVM_HELD_MAX	     256u
#define GVM_HELD_ENTRY_BYTES 25u
#define GVM_MSG_REGION_HELD_REQ(F) F(u32, count)
#define GVM_MSG_REGION_HELD_RSP(F) F(u32, count)
/* CHECK: the node looks at some of the chunks that it has, from `first` on, whether they are what was stored. `next` is
 * where to go on, or ~0 at the end; data: those that are not, {chunk u64, version u64}. */
#define GVM_CHECK_ENTRY_BYTES 16u
#define GVM_MSG_REGION_CHECK_REQ(F) F(id, region) F(u64, first)
#define GVM_MSG_REGION_CHECK_RSP(F) F(u32, count) F(u64, next)
/* NOTE: the data, 0..GVM_NOTE_MAX bytes that the node does not look at, is kept beside the region in place of what was
 * there, and goes with it; none: nothing is kept. NOTED: the answer's data is that, and `epoch` its writer's; 0: there
 * is none. */
#define GVM_NOTE_MAX 65536u
#define GVM_MSG_REGION_NOTE_REQ(F)  F(id, region) F(u64, epoch)
#define GVM_MSG_REGION_NOTED_REQ(F) F(id, region)
#define GVM_MSG_REGION_NOTED_RSP(F) F(u64, epoch)

/* GET: epoch 0 for a reader that is not the writer. version: an older one answers STALE, a chunk
 * without a record LOST; 0 takes what is there, and a chunk never written answers as all zero with
 * version 0. page_mask: pages wanted; the blocks that hold them come. want_page: the one waited
 * for, or GVM_NO_PAGE: its block comes first, in a frame of its own, flagged MORE if others follow.
 * Each answer frame: the fields, a chunk head listing the blocks in that frame, and their bodies as
 * the data. The head's zero map is always the whole chunk's. */
#define GVM_NO_PAGE 255
#define GVM_MSG_GET_REQ(F)                                                                         \
	F(id, region) F(u64, epoch) F(u64, chunk) F(u64, version) F(u32, page_mask) F(u8, want_page)
#define GVM_MSG_GET_RSP(F) F(u64, version)
/* PUT: base 0: the head lists every block that is not all zero. Otherwise blocks that are not listed
 * become zero where the zero map covers all of them, and stay as they are in version `base` where
 * it does not; the node must hold exactly that version, in the same block size (STALE_BASE). A PUT
 * of exactly the version held is OK without effect (a repeated request), but one whose base is its own
 * version: it mends. The whole chunk is there, and takes the place of what is held in this version. */
#define GVM_MSG_PUT_REQ(F) F(id, region) F(u64, epoch) F(u64, chunk) F(u64, version) F(u64, base)
/* DISCARD: every chunk of first..first+count-1 becomes zero with `version`; a chunk of a newer
 * version is an error (STALE) and then none is changed; of the same version, left as it is. Version 0: they are
 * forgotten, as if they had never been written, unless a RESIZE or CREATE of a higher order was looked at (STALE). */
#define GVM_MSG_DISCARD_REQ(F)                                                                     \
	F(id, region) F(u64, epoch) F(u64, first) F(u64, count) F(u64, version) F(u64, order)

#define GVM_MESSAGES(M)                                                                            \
	M(error_rsp, GVM_MSG_ERROR_RSP)                                                            \
	M(hello_req, GVM_MSG_HELLO_REQ)                                                            \
	M(hello_rsp, GVM_MSG_HELLO_RSP)                                                            \
	M(auth_req, GVM_MSG_AUTH_REQ)                                                              \
	M(auth_rsp, GVM_MSG_AUTH_RSP)                                                              \
	M(ping_req, GVM_MSG_PING_REQ)                                                              \
	M(ping_rsp, GVM_MSG_PING_RSP)                                                              \
	M(node_stat_rsp, GVM_MSG_NODE_STAT_RSP)                                                    \
	M(node_drain_req, GVM_MSG_NODE_DRAIN_REQ)                                                  \
	M(node_drain_rsp, GVM_MSG_NODE_DRAIN_RSP)                                                  \
	M(node_rot_rsp, GVM_MSG_NODE_ROT_RSP)                                                      \
	M(name_put_req, GVM_MSG_NAME_PUT_REQ)                                                      \
	M(name_list_req, GVM_MSG_NAME_LIST_REQ)                                                    \
	M(name_list_rsp, GVM_MSG_NAME_LIST_RSP)                                                    \
	M(name_fence_req, GVM_MSG_NAME_FENCE_REQ)                                                  \
	M(name_forget_req, GVM_MSG_NAME_FORGET_REQ)                                                \
	M(region_create_req, GVM_MSG_REGION_CREATE_REQ)                                            \
	M(region_open_req, GVM_MSG_REGION_OPEN_REQ)                                                \
	M(region_open_rsp, GVM_MSG_REGION_OPEN_RSP)                                                \
	M(region_close_req, GVM_MSG_REGION_CLOSE_REQ)                                              \
	M(region_resize_req, GVM_MSG_REGION_RESIZE_REQ)                                            \
	M(region_delete_req, GVM_MSG_REGION_DELETE_REQ)                                            \
	M(region_stat_req, GVM_MSG_REGION_STAT_REQ)                                                \
	M(region_stat_rsp, GVM_MSG_REGION_STAT_RSP)                                                \
	M(region_list_req, GVM_MSG_REGION_LIST_REQ)                                                \
	M(region_list_rsp, GVM_MSG_REGION_LIST_RSP)                                                \
	M(region_index_req, GVM_MSG_REGION_INDEX_REQ)                                              \
	M(region_index_rsp, GVM_MSG_REGION_INDEX_RSP)                                              \
	M(region_view_req, GVM_MSG_REGION_VIEW_REQ)                                                \
	M(region_views_req, GVM_MSG_REGION_VIEWS_REQ)                                              \
	M(region_views_rsp, GVM_MSG_REGION_VIEWS_RSP)                                              \
	M(region_held_req, GVM_MSG_REGION_HELD_REQ)                                                \
	M(region_held_rsp, GVM_MSG_REGION_HELD_RSP)                                                \
	M(region_check_req, GVM_MSG_REGION_CHECK_REQ)                                              \
	M(region_check_rsp, GVM_MSG_REGION_CHECK_RSP)                                              \
	M(region_note_req, GVM_MSG_REGION_NOTE_REQ)                                                \
	M(region_noted_req, GVM_MSG_REGION_NOTED_REQ)                                              \
	M(region_noted_rsp, GVM_MSG_REGION_NOTED_RSP)                                              \
	M(get_req, GVM_MSG_GET_REQ)                                                                \
	M(get_rsp, GVM_MSG_GET_RSP)                                                                \
	M(put_req, GVM_MSG_PUT_REQ)                                                                \
	M(discard_req, GVM_MSG_DISCARD_REQ)

typedef uint8_t gvm_wire_u8;
typedef uint16_t gvm_wire_u16;
typedef uint32_t gvm_wire_u32;
typedef uint64_t gvm_wire_u64;
typedef struct gvm_id gvm_wire_id;
typedef struct gvm_bytes32 gvm_wire_bytes32;

#define GVM_WIRE_FIELD(type, name) gvm_wire_##type name;
#define GVM_WIRE_DECLARE(msg, TABLE)                                                               \
	struct gvm_##msg {                                                                         \
		TABLE(GVM_WIRE_FIELD)                                                              \
	};                                                                                         \
	/* Writes the fields to `buf` (room: GVM_META_MAX); returns their bytes. */                \
	size_t gvm_##msg##_pack(const struct gvm_##msg *m, uint8_t *buf);                          \
	/* Reads the fields from the first bytes of buf[0..len). Returns the bytes that they took \
	 * (GET and PUT: a chunk head follows), or -EBADMSG when they do not fit. */               \
	int gvm_##msg##_unpack(struct gvm_##msg *m, const uint8_t *buf, size_t len);
GVM_MESSAGES(GVM_WIRE_DECLARE)

/*
 * Packs `h` into buf (GVM_HDR_BYTES), `meta` being the h->meta_len bytes that will follow it;
 * fills in h->check.
 */
void gvm_hdr_pack(struct gvm_hdr *h, const uint8_t *meta, uint8_t *buf);

/*
 * Reads a header and says whether it may be believed as far as lengths go: magic, version, known
 * op and flags, meta_len and data_len in bounds. 0, -EPROTONOSUPPORT (another version) or -EBADMSG.
 * The check is verified by gvm_meta_check() once the meta bytes are there.
 */
int gvm_hdr_unpack(struct gvm_hdr *h, const uint8_t *buf);

/* True if `check` is right for the packed header `hdr_bytes` and the meta bytes that follow it. */
bool gvm_meta_check(const struct gvm_hdr *h, const uint8_t *hdr_bytes, const uint8_t *meta);

/* The data_check of a frame that has one. */
uint64_t gvm_data_check(const void *data, size_t len);

/* A status as a negative errno (GVM_OK is 0), as the client library reports it:
 * LOST -ENOMEDIUM, STALE -ESTALE, STALE_BASE -EREMCHG, FENCED -EKEYREVOKED, BUSY -EBUSY,
 * NOSPACE -ENOSPC, EXISTS -EEXIST, AUTH -EACCES, VERSION -EPROTONOSUPPORT, INVALID -EINVAL,
 * CORRUPT -EBADMSG, GONE -EIDRM; any other value -EPROTO. */
int gvm_status_errno(uint16_t status);
const char *gvm_status_name(uint16_t status);
const char *gvm_op_name(uint8_t op);

static inline bool gvm_id_equal(const struct gvm_id *a, const struct gvm_id *b)
{
	for (unsigned i = 0; i < sizeof(a->b); i++)
		if (a->b[i] != b->b[i])
			return false;
	return true;
}

/* Of the name table: not a name, but a horizon (NAME_LIST). */
static inline bool gvm_name_is_horizon(const struct gvm_id *key)
{
	for (unsigned i = 0; i < 8; i++)
		if (key->b[i])
			return false;
	return true;
}

static inline bool gvm_id_is_none(const struct gvm_id *a)
{
	static const struct gvm_id none;

	return gvm_id_equal(a, &none);
}

/* Little-endian accessors at a byte address of any alignment. */
static inline void gvm_store_le(uint8_t *p, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static inline uint64_t gvm_load_le(const uint8_t *p, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

#endif
