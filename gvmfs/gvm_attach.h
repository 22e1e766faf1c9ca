/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * gvm_attach.h - how a process that maps a region's file gets the fast path: the conversation
 * between it (qemu/dsm_attach.c) and gvmfs, over a UNIX socket of type SOCK_SEQPACKET.
 *
 * The file's extended attribute GVM_XATTR_ATTACH (gvm_mount.h) holds the socket's path. Both ends are on one
 * host, so numbers are in its byte order. Each message is one struct gvm_attach_msg, with
 * descriptors beside it (SCM_RIGHTS) in the order given here. C is the client, S is gvmfs:
 *
 *	C: HELLO    seq: GVM_ATTACH_SETTLES or 0; offset, bytes of the file that it will map; [the file, open for
 *		    writing]
 *	S: WELCOME  bytes: the memfd's size; [memfd, pins, optionally /dev/userfaultfd]
 *	S: REFUSE   error, text: why the mapping has to stay as it is. The end.
 *	C: READY    address, offset, bytes, page_bytes: the layout of its mapping of the memfd, which
 *		    is registered MISSING | MINOR; [the userfaultfd]
 *	S: GO       from now on the mapping may be touched. It may come again later: a successor of a
 *		    killed worker cannot know whether it was sent
 *	S: ZAP      seq, offset, bytes: drop the page-table entries of this part of the memfd
 *	C: ZAPPED   the same seq; sent after madvise(MADV_DONTNEED) has returned
 *	C: PIN_ALL  text: a device will pin all of it; nothing may be evicted from now on. (The client
 *		    has added 1 to every pin before)
 *	C: DETACHED the mapping is no more; the client lives on. The end
 *	S: SETTLE   all that the memfd lacks is zero, and gvmfs changes nothing of it any more: go on without gvmfs;
 *		    [memfd]. Sent to a client that said GVM_ATTACH_SETTLES; by a successor of a killed worker, once more. Who
 *		    waits for a page then waits until the mapping is unregistered
 *	C: SETTLED  the mapping is not registered any more, and the client has no use for gvmfs. The end
 *	S: ABORT    text: the region's memory cannot be had any more; the client says so and ends
 *
 * The client may leave before READY by closing the socket: then nothing has happened. After READY it
 * says DETACHED first; a socket that is closed without that means to gvmfs that the client ends,
 * and to the client that gvmfs has.
 * Messages of GVM_ATTACH_MAGIC and GVM_ATTACH_VERSION only; anything else ends the conversation.
 *
 * Until GO the memfd has no page: a mapping that was touched before is refused. Which pages it has later
 * is gvmfs's affair alone; others that come into it are no content, and are punched out when gvmfs finds
 * one in its way.
 *
 * What the client promises: it keeps a copy of the userfaultfd open as long as the mapping exists
 * (the last close would let faulting threads go on with zeros); it maps no part of the memfd
 * otherwise; the mapping has neither huge pages nor copies in children (MADV_NOHUGEPAGE,
 * MADV_DONTFORK); and a device or the kernel writes to its pages without a page-table entry only
 * while they are counted in the pins.
 *
 * A client says GVM_ATTACH_SETTLES only to a gvmfs that has the attribute GVM_XATTR_SETTLE: an older one
 * takes no HELLO with it. At SETTLE it unregisters the mapping, which wakes whoever waits there; puts the memfd in the place
 * of its descriptors of the file, so that holes are punched in the memory; and answers.
 *
 * Pins: a memfd of one 32-bit counter for each 128 KiB of the region, shared. A client that has
 * direct I/O write to pages adds 1 to the counters of all chunks that the buffer touches before it
 * submits the I/O, and takes it back after completion, both sequentially consistent. gvmfs looks after the
 * zap: then a pin that it does not see has yet to fault.
 */
#ifndef GVM_ATTACH_H
#define GVM_ATTACH_H

#include <stdbool.h>
#include <stdint.h>

#define GVM_ATTACH_MAGIC       0x416d7647u /* "GvmA" */
#define GVM_ATTACH_VERSION     1
#define GVM_ATTACH_CHUNK_BYTES 131072u
#define GVM_ATTACH_TEXT	       208u
#define GVM_ATTACH_FDS_MAX     3u

enum gvm_attach_type {
	GVM_ATTACH_HELLO = 1,
	GVM_ATTACH_WELCOME,
	GVM_ATTACH_REFUSE,
	GVM_ATTACH_READY,
	GVM_ATTACH_GO,
	GVM_ATTACH_ZAP,
	GVM_ATTACH_ZAPPED,
	GVM_ATTACH_PIN_ALL,
	GVM_ATTACH_ABORT,
	GVM_ATTACH_DETACHED,
	GVM_ATTACH_SETTLE,
	GVM_ATTACH_SETTLED,
};

#define GVM_ATTACH_SETTLES 1u /* the client knows SETTLE */

/*
 * Errors of REFUSE, each with a text for users:
 *	-EBUSY	another program has the file open or mapped, or is on the fast path; or too many ask at once: later
 *	-EDQUOT	the user, or the process, has as many conversations, or programs on the fast path, as it may have, and waited
 *		five seconds in vain for one of them to end
 *	others	the mapping cannot have the fast path, as it is asked for or at all
 */

/* Fields that a type does not name are 0. */
struct gvm_attach_msg {
	uint32_t magic;
	uint16_t version;
	uint16_t type;	    /* enum gvm_attach_type */
	uint64_t seq;
	uint64_t address;   /* host virtual address of the client */
	uint64_t offset;    /* in the file, and in the memfd */
	uint64_t bytes;
	uint32_t page_bytes;
	int32_t error;	    /* a negative errno */
	char text[GVM_ATTACH_TEXT]; /* zero-terminated */
};

_Static_assert(sizeof(struct gvm_attach_msg) == 256, "the messages have no padding");

enum gvm_attach_end { GVM_ATTACH_TO_CLIENT = 1, GVM_ATTACH_TO_GVMFS };

/* A message of this type whose other fields are 0. */
struct gvm_attach_msg gvm_attach_message(enum gvm_attach_type type);
/* Puts `why` into its text, cut off where there is no room. */
void gvm_attach_explain(struct gvm_attach_msg *msg, const char *why);
/*
 * Whether a message of this size, with so many descriptors, is one that may be sent to that end: with all
 * that its type names and nothing else. Its text can be shown to users afterwards.
 */
bool gvm_attach_accept(struct gvm_attach_msg *msg, unsigned fds, enum gvm_attach_end to);

#endif
