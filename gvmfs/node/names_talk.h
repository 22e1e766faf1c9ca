/* SPDX-License-Identifier: GPL-2.0-or-later */
/* names_talk.h - a conversation with all nodes of the name table at once, step by step. In a fiber. */
#ifndef GVMFS_NAMES_TALK_H
#define GVMFS_NAMES_TALK_H

#include "names_known.h"
#include "pool.h"

struct names_talk;

/* One node's part in it. */
struct names_peer {
	struct gvm_call call; /* first */
	struct names_talk *talk;
	struct gvm_conn *conn;
	bool over, ok, again; /* this step: it has ended; with success; the peer needs another request */
	bool out; /* it failed in an earlier step, and is not asked any more */
	bool same_life; /* it has not restarted since its last answer before this one */
	int result;
	uint64_t detail;
	struct gvm_id after; /* listing: the key to go on after */
	uint64_t since;	     /* listing: the stamp since which changes are enough; 0: list everything */
	bool listing;	     /* the first answer has come */
	struct gvm_id incarnation; /* at the last answer to a list or a put */
};

struct names_talk {
	struct pool *pool;
	unsigned count; /* addresses of the command line; several may lead to one node */
	struct names_peer *peers;
	struct names_view *views; /* one for each peer */
	bool news;		  /* an answer has come */
	uint64_t round;		  /* number of the round, in each request; 0: none */
	struct gvm_name_put_req put;
	const uint8_t *record; /* for the put */
	size_t record_bytes;
	uint64_t upto;		/* for a fence */
	uint64_t table;		/* for a forget */
	struct names_list all;	/* listing: the newest entry of each key */
	uint64_t clock;		/* the highest version or birth seen */
	uint64_t fence;		/* listing: the highest fence of a node */
};

/* 0 or -ENOMEM. */
int names_talk_init(struct names_talk *talk, struct pool *pool);
void names_talk_deinit(struct names_talk *talk);

enum names_need {
	NAMES_MAJORITY,
	NAMES_ALL,
};

/* Each does one step and returns whether enough nodes (`need`) succeeded. It waits until all have answered; or half
 * a second longer once enough have, but only a moment longer for nodes for which a step before this one waited in vain, and
 * of which nothing was heard since; or until too many have failed; or until deadline_ns (0: none). Requests that are then
 * unanswered are cancelled. */
bool names_talk_put(struct names_talk *talk, enum names_need need, uint64_t deadline_ns);
bool names_talk_list(struct names_talk *talk, enum names_need need, uint64_t deadline_ns);
bool names_talk_fence(struct names_talk *talk, enum names_need need, uint64_t deadline_ns);
bool names_talk_forget(struct names_talk *talk, enum names_need need, uint64_t deadline_ns);

/* As names_talk_list(), but reads only what is not known yet; names_known_take() merges the two. */
bool names_talk_changes(struct names_talk *talk, const struct names_known *known, enum names_need need,
			uint64_t deadline_ns);

/* Gives a node, which has `view`, every entry of `with` that it lacks. True: it has them all now. */
bool names_talk_heal(struct names_talk *talk, unsigned peer, const struct names_list *with,
		     const struct names_view *view);

#endif
