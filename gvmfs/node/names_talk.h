/* SPDX-License-Identifier: GPL-2.0-or-later */
/* names_talk.h - one conversation with all nodes of the name table at once, step by step. In a fiber. */
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
	bool over, ok, again;
	bool out; /* it failed in a step before: not asked any more */
	bool same_life; /* it has not restarted since its answer before this one */
	int result;
	uint64_t detail;
	struct gvm_id after; /* listing: where to go on */
	uint64_t since;	     /* what has changed since is enough; 0: everything */
	bool listing;	     /* it has begun */
	struct gvm_id incarnation; /* of the last answer to a list or a put */
};

struct names_talk {
	struct pool *pool;
	unsigned count; /* of the command line, also those that lead to the same node */
	struct names_peer *peers;
	struct names_view *views; /* of each */
	bool news;		  /* an answer has come */
	uint64_t round;		  /* that the requests name; 0: none */
	struct gvm_name_put_req put;
	const uint8_t *record; /* of the put */
	size_t record_bytes;
	uint64_t upto;		/* of a fence */
	uint64_t table;		/* of a forget */
	struct names_list all;	/* listing: the newest of each */
	uint64_t clock;		/* the highest of all numbers heard of */
	uint64_t fence;		/* listing: the highest that a node has */
};

int names_talk_init(struct names_talk *talk, struct pool *pool);
void names_talk_deinit(struct names_talk *talk);

enum names_need {
	NAMES_MAJORITY,
	NAMES_ALL,
};

/* Each says whether so many nodes did it, having waited for all; or, once enough have, for a grace; or
 * until that cannot be; or until deadline_ns (0: none). What is not answered then is cancelled. */
bool names_talk_put(struct names_talk *talk, enum names_need need, uint64_t deadline_ns);
bool names_talk_list(struct names_talk *talk, enum names_need need, uint64_t deadline_ns);
bool names_talk_fence(struct names_talk *talk, enum names_need need, uint64_t deadline_ns);
bool names_talk_forget(struct names_talk *talk, enum names_need need, uint64_t deadline_ns);

/* As names_talk_list(), of what is not known yet; names_known_take() makes one of the two. */
bool names_talk_changes(struct names_talk *talk, const struct names_known *known, enum names_need need,
			uint64_t deadline_ns);

/* Gives a node all that it lacks of `with`, having `view`. True: it has all of that now. */
bool names_talk_heal(struct names_talk *talk, unsigned peer, const struct names_list *with,
		     const struct names_view *view);

#endif
