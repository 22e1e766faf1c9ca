// SPDX-License-Identifier: GPL-2.0-or-later
/* handle.c - open files (declared in inode.h): finds the journal entry of an OPEN by the request's `unique`. */
#include "inode.h"

#include <errno.h>

static void rt_count_open(struct inode *inode, unsigned how, int n)
{
	inode->opens += (unsigned)n;
	if (how & HANDLE_WRITE)
		inode->opens_write += (unsigned)n;
	if (!(how & HANDLE_DIRECT))
		inode->opens_cached += (unsigned)n;
	if ((how & HANDLE_WRITE) && !(how & HANDLE_DIRECT))
		inode->opens_dirtying += (unsigned)n;
}

/* The kernel numbers its requests in steps of two. */
static uint16_t *chain_of(struct handles *hs, uint64_t unique)
{
	return &hs->first[unique / 2 % HANDLE_HEADS];
}

static void chain_add(struct handles *hs, unsigned i, uint64_t unique)
{
	uint16_t *first = chain_of(hs, unique);

	hs->next[i] = *first;
	*first = (uint16_t)(i + 1);
}

static void chain_remove(struct handles *hs, unsigned i, uint64_t unique)
{
	uint16_t *link = chain_of(hs, unique);

	while (*link != i + 1)
		link = &hs->next[*link - 1];
	*link = hs->next[i];
}

static void free_add(struct handles *hs, unsigned i)
{
	hs->next[i] = hs->free;
	hs->free = (uint16_t)(i + 1);
}

int handles_init(struct inodes *in)
{
	for (unsigned i = JOURNAL_HANDLES; i--;) {
		const struct journal_handle *h = &in->j->handles[i];
		struct inode *inode;

		if (!h->inode_plus_1) {
			free_add(&in->handles, i);
			continue;
		}
		inode = inode_get(in, h->inode_plus_1 - 1);
		if (!inode)
			return -ENOMEM;
		rt_count_open(inode, h->how, 1);
		chain_add(&in->handles, i, h->unique);
	}
	return 0;
}

static uint64_t handle_name(const struct journal_handle *h, unsigned i)
{
	return h->unique * JOURNAL_HANDLES + i;
}

int handle_open(struct inodes *in, unsigned nr, unsigned how, uint64_t unique, uint64_t *handle)
{
	struct handles *hs = &in->handles;
	struct journal_handle *h;
	unsigned i;

	for (i = *chain_of(hs, unique); i; i = hs->next[i - 1]) {
		h = &in->j->handles[i - 1];
		if (h->unique == unique && h->inode_plus_1 == nr + 1) {
			*handle = handle_name(h, i - 1);
			return 0;
		}
	}
	if (!hs->free)
		return -ENFILE;
	i = hs->free - 1u;
	hs->free = hs->next[i];
	h = &in->j->handles[i];
	h->how = how;
	h->unique = unique;
	journal_publish32(&h->inode_plus_1, nr + 1);
	chain_add(hs, i, unique);
	rt_count_open(inode_get(in, nr), how, 1);
	*handle = handle_name(h, i);
	return 0;
}

unsigned handle_how(const struct inodes *in, uint64_t handle)
{
	unsigned i = handle % JOURNAL_HANDLES;
	const struct journal_handle *h = &in->j->handles[i];

	return h->inode_plus_1 && handle_name(h, i) == handle ? h->how : 0;
}

int handle_close(struct inodes *in, uint64_t handle, bool *write)
{
	unsigned i = handle % JOURNAL_HANDLES, nr;
	struct journal_handle *h = &in->j->handles[i];

	if (!h->inode_plus_1 || handle_name(h, i) != handle)
		return -1;
	nr = h->inode_plus_1 - 1;
	*write = h->how & HANDLE_WRITE;
	rt_count_open(inode_get(in, nr), h->how, -1);
	journal_publish32(&h->inode_plus_1, 0);
	chain_remove(&in->handles, i, h->unique);
	free_add(&in->handles, i);
	return (int)nr;
}
