/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sealing.h - the master key with which a mount seals the chunks that it sends to nodes (memnode/SEAL.md), and the
 * seal_known entries of sealed pages.
 *
 * The key has pages of its own: locked in memory where that is allowed, excluded from core dumps, and wiped in the
 * child of a fork(), except for the two forks that pass the key on: into the background, and to a worker. A worker
 * wipes it once it has made its sealers.
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

/* Reads a key file. 0 or an error of seal_key_load(); -ENOMEM; -EOPNOTSUPP: the kernel cannot wipe pages in a child;
 * -EIO: the key's id cannot be computed. */
int sealing_load(struct sealing *s, const char *path);
/* Whether children of fork() get the key, from now on. NULL is accepted, here and in the next two. */
void sealing_pass_on(const struct sealing *s, bool pass_on);
/* Wipes the key: this process makes no (more) sealers. */
void sealing_forget(const struct sealing *s);
/* Keeps all memory of this process and its children out of core dumps. */
void sealing_dump_nothing(const struct sealing *s);

/* The seal_known entry of a chunk of an attached inode; NULL: the inode has none (not sealed, or not attached). */
struct seal_known *sealing_known(const struct inode *inode, uint64_t chunk);
/* A sealed answer is in flight: prefetches the entry and what opening takes (seal_expect()). `known` may be NULL. */
void sealing_expect(struct sealer *s, const struct seal_known *known, unsigned page);
/* `pages` of an answer were authentic: notes those of which nothing was known. `known` may be NULL. */
void sealing_learn(struct seal_known *known, const struct chunk_head *head, uint32_t pages);
/* The nodes have acknowledged a PUT: takes over the entries of `sent` that are known. `known` may be NULL. */
void sealing_set(struct seal_known *known, const struct seal_known *sent);

#endif
