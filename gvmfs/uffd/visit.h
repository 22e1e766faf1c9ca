/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * visit.h - the messages between a visitor's process (visitor.h) and the worker, about one client
 * of the fast path. Both ends are gvmfs; D is the visitor's process, W the worker.
 *
 *	D: HELLO     ino, bytes, offset, pid, uid, settles, over the door's bell; [the worker's end of the channel].
 *		     The client has shown that it has the file of this inode number open for reading
 *		     and writing. All that follows goes over the channel
 *	W: REFUSE    error, text: to be passed on to the client. The end
 *	W: PREPARE   write back the file's pages in the page cache, drop them, close the file
 *	D: PREPARED  error: 0 if it is empty
 *	W: WELCOME   bytes; [memory, pins]: to be passed on to the client
 *	D: READY     address, offset, bytes, page_bytes; [the userfaultfd, the client's socket]. D has
 *		     checked that the userfaultfd reports faults and nothing else. From here on the
 *		     worker speaks to the client itself, and D only keeps both descriptors open.
 *		     With an error, and without descriptors: the userfaultfd is another one, or the
 *		     memory is not empty, and REFUSE follows. (The worker refuses the client, once the
 *		     region is free for others: a refused client may open the file at once)
 *	W: LOOK      does the client's memory still exist?
 *	D: LOOKED    error: -ESRCH if it does not
 *
 * Either end closes the channel to end the conversation.
 */
#ifndef GVMFS_VISIT_H
#define GVMFS_VISIT_H

#include "gvm_attach.h"

enum visit_what {
	VISIT_HELLO = 1,
	VISIT_REFUSE,
	VISIT_PREPARE,
	VISIT_PREPARED,
	VISIT_WELCOME,
	VISIT_READY,
	VISIT_LOOK,
	VISIT_LOOKED,
};

struct visit_msg {
	uint32_t what; /* enum visit_what */
	int32_t error; /* a negative errno */
	uint64_t ino, bytes, offset;
	uint64_t address;
	uint32_t page_bytes;
	uint32_t uid;
	int32_t pid;
	uint32_t settles; /* the client knows SETTLE */
	char text[GVM_ATTACH_TEXT]; /* zero-terminated */
};

#endif
