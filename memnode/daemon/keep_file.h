/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * keep_file.h - the one file in a node's directory: made, locked, and marked with how its node ended.
 *
 * The file gets all of its space when it is made, so that a disk that fills up later breaks no promise.
 * One process has it locked. The superblock says whose it is; it is written twice, with the disk brought
 * up to date in between, before the node serves (not clean) and after it has ended (clean).
 *
 * Whether everything that was answered is in the file (`vouched`):
 *	clean					yes
 *	not clean, the machine has not started since	yes: the kernel had it
 *	not clean, the machine has started since	only if each answer waited for the disk
 *	the file is a copy, or the disk lost something	no
 */
#ifndef GVM_KEEP_FILE_H
#define GVM_KEEP_FILE_H

#include "keep_format.h"

#define KEEP_LIVES "user.gvm.lives" /* the file's attribute: the numbers of its node's last starts */

struct keep_wish {
	const char *dir;
	uint64_t bytes;	       /* 0: what memory_bytes needs, or what there is */
	uint64_t memory_bytes; /* that the node lends */
	bool sync;
	const char *owner; /* the address that the node serves */
	/* Called now and then while the file is read; may be NULL. */
	void (*reading)(void *arg, uint64_t done_bytes, uint64_t all_bytes);
	void *arg;
};

struct keep_file {
	int fd;
	bool fresh;   /* just made */
	bool vouched; /* all that was answered is in it */
	bool horizon_holds;
	struct keep_horizon horizon;
	struct keep_super super; /* as it was */
	struct gvm_id boot;
	uint64_t inode;
	uint32_t segments; /* that there are now */
	bool sync;
};

/* 0; or a negative errno, with a sentence for the user in `why`. */
int keep_file_open(struct keep_file *f, const struct keep_wish *wish, char *why, size_t why_bytes);
/* Marks it with the node's state; everything else was brought to the disk before. Not `clean`: the node begins. 0 or a negative
 * errno. */
int keep_file_mark(struct keep_file *f, const struct gvm_id *incarnation, bool clean);
void keep_file_close(struct keep_file *f);

#endif
