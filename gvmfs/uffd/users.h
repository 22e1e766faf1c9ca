/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * users.h - what each user of the fast path's socket may have at a time, and how often.
 *
 * A conversation costs a process, and processes that begin and end cost every guest of the machine. So the
 * ones that come to nothing are rationed: a process of a user may begin some at once and a few each second
 * then, all processes of the user some more, and all users together more again. A conversation is paid for
 * when it begins; most of the price is given back when its client has shown a region that it may write, and
 * all of it when the client is on the fast path.
 *
 * Pure: no call, no clock. The door (door.h) decides what happens to the connections.
 */
#ifndef GVMFS_USERS_H
#define GVMFS_USERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define USERS_ACCOUNTS_MAX 2048u

#define USER_VISITORS_MAX    16u /* conversations at a time */
#define PROCESS_VISITORS_MAX 8u

/* How a conversation ended, or that it goes on. */
enum visit_worth {
	VISIT_WORTH_NOTHING,
	VISIT_WORTH_A_REGION, /* its client may write one */
	VISIT_WORTH_ALL,      /* its client is on the fast path */
};

/* Of a user's process, or of all of them. */
struct account {
	uid_t uid;
	pid_t pid;	   /* -1: all processes of the user */
	bool used;
	unsigned waiting;  /* connections that nobody looks after yet */
	unsigned visitors; /* conversations, and processes that let go of connections */
	uint64_t due_ns;   /* when the conversations begun would have been due, one after the other */
	uint64_t release_due_ns; /* the same for processes that let go of connections */
};

struct users {
	struct account list[USERS_ACCOUNTS_MAX];
	uint64_t due_ns; /* of all users */
};

/* A connection, or a conversation, names both accounts. */
struct payer {
	struct account *user, *process;
};

/* The accounts of a process. They stay where they are while they have something, which USERS_ACCOUNTS_MAX / 2
 * processes may at a time (the door has less connections and visitors); of the others those that owe least are
 * forgotten first. */
struct payer users_find(struct users *u, uid_t uid, pid_t pid);

/* Whether a conversation may begin now. */
bool users_may_begin(const struct users *u, struct payer p, uint64_t now_ns);
/* It begins: it is paid for, and counted. */
void users_begin(struct users *u, struct payer p, uint64_t now_ns);
/* The same for a process that lets go of connections: of all that a user has then, so that a program which asks in
 * vain and starts again finds its region closed. */
bool users_may_release(struct payer p, uint64_t now_ns);
void users_release(struct payer p, uint64_t now_ns);
/* It has ended, or its client is on the fast path now: it is no longer counted. */
void users_end(struct users *u, struct payer p, enum visit_worth worth);

/* The process with most waiting connections of the user who has most of them; NULL: there are none. */
const struct account *users_greediest(const struct users *u);

#endif
