/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * users.h - how many conversations each user of the fast path's socket may have, and how often.
 *
 * A conversation costs a process, and starting processes costs every guest of the machine. So the
 * conversations that come to nothing are rationed: one process of a user may begin some at once,
 * and then a few each second; all processes of the user together may begin more, and all users
 * together more again. A conversation is paid for when it begins. Most of the price is returned if
 * its client has shown a region that it may write, and all of it if the client gets on the fast
 * path.
 *
 * Pure: no system call, no clock. The door (door.h) decides what happens to the connections.
 */
#ifndef GVMFS_USERS_H
#define GVMFS_USERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define USERS_ACCOUNTS_MAX 2048u

#define USER_VISITORS_MAX    16u /* conversations at a time */
#define PROCESS_VISITORS_MAX 8u

/* What a conversation has come to. */
enum visit_worth {
	VISIT_WORTH_NOTHING,
	VISIT_WORTH_A_REGION, /* its client has shown a region that it may write */
	VISIT_WORTH_ALL,      /* its client is on the fast path */
};

/* The account of one process of a user, or of all of them. */
struct account {
	uid_t uid;
	pid_t pid;	   /* -1: all processes of the user */
	bool used;
	unsigned waiting;  /* connections that have no conversation yet */
	unsigned visitors; /* conversations, and processes that close connections */
	uint64_t due_ns;   /* the time up to which the conversations begun have used up the ration */
	uint64_t release_due_ns; /* the same for processes that close connections */
};

struct users {
	struct account list[USERS_ACCOUNTS_MAX];
	uint64_t due_ns; /* of all users */
};

/* The two accounts that pay for a connection or a conversation. */
struct payer {
	struct account *user, *process;
};

/* Finds or makes the accounts of a process. An account stays at its place while it has connections
 * or visitors, which at most USERS_ACCOUNTS_MAX / 2 processes have at a time (door.c asserts it);
 * of the other accounts the one that owes least is reused first. */
struct payer users_find(struct users *u, uid_t uid, pid_t pid);

/* Whether a conversation may begin now. */
bool users_may_begin(const struct users *u, struct payer p, uint64_t now_ns);
/* A conversation begins: pays for it, and counts it. */
void users_begin(struct users *u, struct payer p, uint64_t now_ns);
/* The same for a process that closes all finished connections of a user: often enough that a
 * program which was refused and starts again finds its region closed. */
bool users_may_release(struct payer p, uint64_t now_ns);
void users_release(struct payer p, uint64_t now_ns);
/* A process of either kind has ended, or its client is on the fast path: it is no longer counted. */
void users_end(struct users *u, struct payer p, enum visit_worth worth);

/* Of the user with the most waiting connections, the process with the most; NULL: no connection
 * waits. */
const struct account *users_greediest(const struct users *u);

#endif
