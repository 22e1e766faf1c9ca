/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A message of the coherence protocol, and its bytes.
 *
 * On the wire a message is a header of 40 bytes, then `count` list entries, then one page if the
 * flag IVY_F_PAGE is set. Little-endian, nothing in between, no padding:
 *
 *	 0 type u8	1 flags u8	2 src u16	4 to, more u16	6 count u16
 *	 8 page u64	16 ver u64	24 who u64	32 inc u64
 *	40 list: count x u64 (GETS, SERVE, DATA: `who`), count x u16 (INV, ACK: node ids), or
 *	   count x struct ivy_beat (BEAT, BEATEN: node u16, flags u8, 5 zeros, ver, who, inc u64)
 *
 * A message with `more` is one for its page and one for each of so many after it: with the same
 * fields, but each with the next number in `who`, in the header or its list, if there is one. It
 * has at most one entry, and no page of bytes, and all its pages are of one run.
 *
 * A reader of a stream takes 40 bytes, asks ivy_msg_bytes() for the length of the whole, takes the
 * rest, has ivy_msg_check() decide, and only then calls ivy_msg_unpack(). The struct that this
 * gives still points into the buffer for its list and its page. IVY.md says what each type means.
 */
#ifndef GVM_IVY_WIRE_H
#define GVM_IVY_WIRE_H

#ifdef __KERNEL__
#include <linux/types.h>
#include <linux/errno.h>
#else
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
#endif

/*
 * A run: neighbours, which have one home and one leaf of its directory. The homes take turns run by
 * run. Tests have shorter ones.
 */
#ifndef IVY_RUN
#define IVY_RUN 32u
#endif

#define IVY_NODES_MAX  10240u  /* node ids are below it */
#define IVY_NONE       0xffffu /* no node */
#define IVY_PAGE_BYTES 4096u
#define IVY_HDR_BYTES  40u
#define IVY_LIST_MAX   640u /* entries of one message's list */
#define IVY_LIST_BYTES (IVY_LIST_MAX * 8u)
#define IVY_BEAT_BYTES 32u
#define IVY_BEATS_MAX  (IVY_LIST_BYTES / IVY_BEAT_BYTES) /* entries of a list of BEATs */
#define IVY_MSG_MAX    (IVY_HDR_BYTES + IVY_LIST_BYTES + IVY_PAGE_BYTES)

/* A version that no page ever has, in GETX: the old contents are not needed. */
#define IVY_VER_ANY (~0ull)

enum ivy_type {
	IVY_LEASE = 1, /* node -> home: join, renew the lease, or end it */
	IVY_LEASED,    /* home -> node: done */
	IVY_FENCED,    /* home -> node: that incarnation has been declared lost */
	IVY_GETS,      /* node -> relay -> home: the nodes listed want to read */
	IVY_GETX,      /* node -> home: I want to write */
	IVY_SERVE,     /* home -> owner: send your copy to these readers */
	IVY_DATA,      /* holder -> reader: a copy to read, and the readers to pass it on to */
	IVY_INV,       /* home -> holder -> holder: drop your copy, and tell these holders */
	IVY_ACK,       /* holder -> holder -> home: these have dropped theirs */
	IVY_GIVE,      /* home -> owner: hand the page over */
	IVY_GRANT,     /* owner or home -> writer: the page is yours alone */
	IVY_DONE,      /* writer -> home: I have it */
	IVY_NACK,      /* writer -> home: I refuse it; my request is over */
	IVY_PUT,       /* owner -> home: keep it for me */
	IVY_FREE,      /* home -> former owner: free the contents that you kept */
	IVY_ASK,       /* former owner -> home: may I free the contents that I kept? */
	IVY_SEEK,      /* home -> holder: have you this version? Then you own it */
	IVY_HAVE,      /* holder -> home: yes */
	IVY_MISS,      /* holder -> home: no; also to SERVE and GIVE */
	IVY_LOST,      /* home -> node: the contents were lost with another node */
	IVY_BEAT,      /* node -> home, of no region: renew my leases of which this is the sum */
	IVY_BEATEN,    /* home -> node, of no region: done */
	IVY_NOT,       /* home -> node: what you asked for ahead is not granted */
	IVY_TYPES
};

#define IVY_F_PAGE   0x01u /* a page of bytes follows the list */
#define IVY_F_ZERO   0x02u /* the page is all zeros; no bytes follow */
#define IVY_F_NODATA 0x04u /* GIVE: the writer needs no bytes */
#define IVY_F_BACK   0x08u /* GRANT: the writer that you gave it to is gone; take it back */
#define IVY_F_RETRY  0x10u /* a request that has been sent before */
#define IVY_F_QUIT   0x20u /* LEASE: it has ended, and the node holds no page under it */
#define IVY_F_ANEW   0x40u /* LEASED: the home lost its directory, and answers LOST for each page */
#define IVY_F_OTHER  0x40u /* BEATEN: not done, for the sum here is another */
#define IVY_F_FRESH  0x40u /* GETS: if the page is zeros that no node has, GRANT it */
#define IVY_F_AHEAD  0x20u /* GETS with FRESH: and if it is not, say NOT */
#define IVY_F_LOSS   0x80u /* BACK: not if given; SEEK: now or never; QUIT: pages go with it */

/* `who` is a request's id, unique for all time: node id in the high bits, a counter in the low. */
#define IVY_TXN_BITS 48
#define IVY_TXN_MAX  ((1ull << IVY_TXN_BITS) - 1)

static inline u64 ivy_who(u16 node, u64 txn)
{
	return (u64)node << IVY_TXN_BITS | (txn & IVY_TXN_MAX);
}

static inline u16 ivy_who_node(u64 who)
{
	return (u16)(who >> IVY_TXN_BITS);
}

static inline u64 ivy_who_txn(u64 who)
{
	return who & IVY_TXN_MAX;
}

/* A message in the host's own form. `list` is still as on the wire: ivy_list_*() read it. */
struct ivy_msg {
	u8 type, flags;
	u16 src;   /* the sender, checked by the transport */
	u16 to;	   /* INV: where the ACK goes; BEAT, BEATEN: the home; else 0 */
	u16 more;  /* further pages; 0 where there is `to` */
	u16 count; /* entries of the list */
	u64 page, ver, who, inc;
	const u8 *list;
};

/* One node's BEAT, or the answer to it, in a list: what the header says in a message without one.
 */
struct ivy_beat {
	u16 node;
	u8 flags;
	u64 ver, who, inc;
};

/* Bytes of one list entry of a message of that type; 0: such a message has no list. */
unsigned int ivy_entry_bytes(u8 type);

/* The whole length of the message that these IVY_HDR_BYTES begin, or -EBADMSG. */
int ivy_msg_bytes(const u8 *hdr);

/*
 * Whether `bytes` at `buf` are one well-formed message of a cluster of `nodes` and a region of
 * `pages`: length, type, flags, ids and ranges. The one gate: 0, or -EBADMSG, and then the
 * caller closes the connection. `src` is not compared with the peer: the transport does that.
 */
int ivy_msg_check(const u8 *buf, size_t bytes, u16 nodes, u64 pages);

/* Takes a checked message apart. Returns where its page is, or NULL if it has none. */
const u8 *ivy_msg_unpack(const u8 *buf, struct ivy_msg *m);

/* Writes header and list (not the page) to `buf`, which has room for both; returns the bytes. */
size_t ivy_msg_pack(const struct ivy_msg *m, u8 *buf);

u16 ivy_list_id(const struct ivy_msg *m, unsigned int i);		/* INV, ACK */
u64 ivy_list_who(const struct ivy_msg *m, unsigned int i);		/* GETS, SERVE, DATA */
struct ivy_beat ivy_list_beat(const struct ivy_msg *m, unsigned int i); /* BEAT, BEATEN */
void ivy_list_put_beat(u8 *list, unsigned int i, const struct ivy_beat *beat);
void ivy_list_put_id(u8 *list, unsigned int i, u16 id);
void ivy_list_put_who(u8 *list, unsigned int i, u64 who);

/* Messages about leases may overtake others: see ivy.h. */
static inline bool ivy_type_urgent(u8 type)
{
	return type <= IVY_FENCED || type == IVY_BEAT || type == IVY_BEATEN;
}

/* For logs and traces. */
const char *ivy_type_name(u8 type);

#endif
