/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sealing.h - the master key with which a mount seals what it sends to nodes (memnode/SEAL.md), and what is known of
 * sealed pages.
 *
 * The key stands in pages of its own, which are locked where that is allowed, not in a core dump, and wiped in a
 * child of fork(), but for the two forks that have to pass it on: into the background, and to a worker. A worker
 * wipes it when it has made its sealers.
 */
#ifndef GVMFS_SEALING_H
#define GVMFS_SEALING_H

#include "inode.h"
#include "seal.h"

struct sealing {
	uint64_t id; /* of the key: seal_key_id() */
	uint8_t *key;
	size_t bytes;
};

/* Reads a key file: 0 or an error of seal_key_load(); -EIO: the key's id cannot be made. */
int sealing_load(struct sealing *s, const char *path);
/* Whether a child of the next fork() has the key. NULL is accepted, here and below. */
void sealing_pass_on(const struct sealing *s, bool pass_on);
/* This process seals nothing (more). */
void sealing_forget(const struct sealing *s);
/* Nothing that this process and its children keep in memory goes into a core dump. */
void sealing_dump_nothing(const struct sealing *s);

/* What is known of a chunk's pages, of an inode that is attached; NULL: nothing is kept of it. */
struct seal_known *sealing_known(const struct inode *inode, uint64_t chunk);
/* What is known of the chunk is about to be asked for, and its pages opened: seal_expect(). `known` may be NULL. */
void sealing_expect(struct sealer *s, const struct seal_known *known, unsigned page);
/* An answer of `pages` of a chunk was believed: it is remembered. */
void sealing_learn(struct seal_known *known, const struct chunk_head *head, uint32_t pages);
/* The nodes have acknowledged the chunk with these pages: entries of seal_page_of(). */
void sealing_set(struct seal_known *known, const struct seal_known *sent);

#endif
