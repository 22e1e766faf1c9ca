// SPDX-License-Identifier: GPL-2.0-or-later
/* handle.c - open files (declared in inode.h): finds the journal entry of an OPEN by the request's `unique`. */
#include "inode.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

#define HANDLE_HOW (HANDLE_WRITE | HANDLE_DIRECT)
#define USER_SHIFT 2u
#define USER_MASK  (~0u >> USER_SHIFT)
#define RESERVED   256u /* for root, and for gvmfs itself */

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

/* ---- who has how many */

static uint16_t *user_chain_of(struct handles *hs, uint32_t user)
{
	return &hs->user_first[user % HANDLE_HEADS];
}

static struct handle_user *user_find(struct handles *hs, uint32_t user)
{
	for (unsigned i = *user_chain_of(hs, user); i; i = hs->user[i - 1].next)
		if (hs->user[i - 1].user == user)
			return &hs->user[i - 1];
	return NULL;
}

/* There is one for each handle. */
static struct handle_user *user_add(struct handles *hs, uint32_t user)
{
	uint16_t *first = user_chain_of(hs, user), place = hs->user_free;
	struct handle_user *u = &hs->user[place - 1];

	assert(place && !u->count);
	hs->user_free = u->next;
	*u = (struct handle_user){ .user = user, .next = *first };
	*first = place;
	return u;
}

static void user_take(struct handles *hs, unsigned i, uint32_t user)
{
	struct handle_user *u = user_find(hs, user);

	if (!u)
		u = user_add(hs, user);
	u->count++;
	hs->user_of[i] = (uint16_t)(u - hs->user);
	hs->left--;
}

static void user_give(struct handles *hs, unsigned i)
{
	struct handle_user *u = &hs->user[hs->user_of[i]];
	uint16_t *link = user_chain_of(hs, u->user);

	assert(u->count);
	hs->left++;
	if (--u->count)
		return;
	while (&hs->user[*link - 1] != u)
		link = &hs->user[*link - 1].next;
	*link = u->next;
	u->next = hs->user_free;
	hs->user_free = (uint16_t)(u - hs->user + 1);
}

/* However many users there are who take all that they get, each other one gets as many. */
static int user_may(struct handles *hs, uid_t uid)
{
	const struct handle_user *u = user_find(hs, uid & USER_MASK);

	if (!hs->left)
		return -ENFILE;
	if (!uid || uid == geteuid())
		return 0;
	if (hs->left <= RESERVED)
		return -ENFILE;
	return u && u->count >= hs->left - RESERVED ? -EMFILE : 0;
}

int handles_init(struct inodes *in)
{
	struct handles *hs = &in->handles;

	for (unsigned i = JOURNAL_HANDLES; i--; hs->user_free = (uint16_t)(i + 1))
		hs->user[i] = (struct handle_user){ .next = hs->user_free };
	hs->left = JOURNAL_HANDLES;
	for (unsigned i = JOURNAL_HANDLES; i--;) {
		const struct journal_handle *h = &in->j->handles[i];
		struct inode *inode;

		if (!h->inode_plus_1) {
			free_add(hs, i);
			continue;
		}
		inode = inode_get(in, h->inode_plus_1 - 1);
		if (!inode)
			return -ENOMEM;
		rt_count_open(inode, h->how, 1);
		chain_add(hs, i, h->unique);
		user_take(hs, i, h->how >> USER_SHIFT);
	}
	return 0;
}

static uint64_t handle_name(const struct journal_handle *h, unsigned i)
{
	return h->unique * JOURNAL_HANDLES + i;
}

int handle_open(struct inodes *in, unsigned nr, unsigned how, uid_t uid, uint64_t unique, uint64_t *handle)
{
	struct handles *hs = &in->handles;
	struct journal_handle *h;
	unsigned i;
	int r;

	for (i = *chain_of(hs, unique); i; i = hs->next[i - 1]) {
		h = &in->j->handles[i - 1];
		if (h->unique == unique && h->inode_plus_1 == nr + 1) {
			*handle = handle_name(h, i - 1);
			return 0;
		}
	}
	r = user_may(hs, uid);
	if (r < 0)
		return r;
	i = hs->free - 1u;
	hs->free = hs->next[i];
	h = &in->j->handles[i];
	h->how = how | (uint32_t)uid << USER_SHIFT;
	h->unique = unique;
	journal_publish32(&h->inode_plus_1, nr + 1);
	chain_add(hs, i, unique);
	user_take(hs, i, uid & USER_MASK);
	rt_count_open(inode_get(in, nr), how, 1);
	*handle = handle_name(h, i);
	return 0;
}

unsigned handle_how(const struct inodes *in, uint64_t handle)
{
	unsigned i = handle % JOURNAL_HANDLES;
	const struct journal_handle *h = &in->j->handles[i];

	return h->inode_plus_1 && handle_name(h, i) == handle ? h->how & HANDLE_HOW : 0;
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
	user_give(&in->handles, i);
	free_add(&in->handles, i);
	return (int)nr;
}
