/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * visit.h - what a visitor's process (visitor.h) and the worker say to each other about one client of
 * the fast path. Both ends are gvmfs; D is the visitor's process, W the worker.
 *
 *	D: HELLO     ino, bytes, offset, pid, uid, over the door's bell; [the worker's end of the channel].
 *		     The client has shown that it has the file of this inode number open for reading
 *		     and writing. All that follows goes over the channel
 *	W: REFUSE    error, text: for the client. The end
 *	W: PREPARE   have what the page cache holds of the file written back, empty it, close the file
 *	D: PREPARED  error: 0 if it is empty
 *	W: WELCOME   bytes; [memory, pins]: for the client
 *	D: READY     address, offset, bytes, page_bytes; [the userfaultfd, the client's socket]. It has been
 *		     looked at: it tells of faults and of nothing else. From here on the worker speaks to
 *		     the client itself, and the visitor's process only keeps both descriptors open.
 *		     With an error, and without descriptors: it is no such userfaultfd, and REFUSE
 *		     follows. (The worker says so, once the region is free for others: the client may open
 *		     the file the moment it is refused)
 *	W: LOOK      is the client's memory still there?
 *	D: LOOKED    error: -ESRCH if it is not
 *
 * Either end closes the channel to end it.
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
	uint32_t reserved;
	char text[GVM_ATTACH_TEXT]; /* zero-terminated */
};

#endif
