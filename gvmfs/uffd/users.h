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
 * The process of a client that got on the fast path holds what the client sent, and may never end: the
 * client has ways to keep it (its own socket in that socket's queue, a file whose close hangs). Such
 * processes of one user may be as many as they leave to all users: more than there are sessions.
 *
 * Pure: no system call, no clock. The door (door.h) decides what happens to the connections.
 */
#ifndef GVMFS_USERS_H
#define GVMFS_USERS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define USERS_ACCOUNTS_MAX 3200u

#define USER_VISITORS_MAX    16u /* conversations at a time */
#define PROCESS_VISITORS_MAX 8u
#define USERS_VAIN_NS	     5000000000ull
#define USERS_HOLDERS_MAX    1024u /* processes whose client is or was on the fast path, of all users */

/* What a conversation has come to. */
enum visit_worth {
	VISIT_WORTH_NOTHING,
	VISIT_WORTH_A_REGION, /* its client has shown a region that it may write */
	VISIT_WORTH_ALL,      /* its client is on the fast path */
};

/* What keeps a conversation from beginning. */
enum users_bar {
	USERS_BAR_NONE,
	USERS_BAR_SOON,	   /* a ration: it may begin in a moment */
	USERS_BAR_PROCESS, /* the process has all the conversations that it may have at a time */
	USERS_BAR_USER,	   /* or all processes of the user together have */
	USERS_BAR_HOLDERS, /* too many processes whose client got on the fast path have not ended */
};

/* The account of one process of a user, or of all of them. */
struct account {
	uid_t uid;
	pid_t pid;	   /* -1: all processes of the user */
	bool used;
	unsigned waiting;  /* connections that have no conversation yet */
	unsigned visitors; /* conversations, and processes that close connections */
	unsigned holders;  /* of the user's account: processes whose client got on the fast path, until they end */
	uint64_t due_ns;   /* the time up to which the conversations begun have used up the ration */
	uint64_t begun_ns; /* when the last conversation began */
	uint64_t release_due_ns; /* the same for processes that close connections */
};

struct users {
	struct account list[USERS_ACCOUNTS_MAX];
	unsigned holders;
	uint64_t due_ns; /* of all users */
};

/* The two accounts that pay for a connection or a conversation. */
struct payer {
	struct account *user, *process;
};

/* Finds or makes the accounts of a process. An account stays at its place while it has connections
 *, visitors or holders (door.c asserts that there are enough); of the other accounts the one that owes least is reused
 * first. */
struct payer users_find(struct users *u, uid_t uid, pid_t pid);

/* What keeps a conversation from beginning now. */
enum users_bar users_bar(const struct users *u, struct payer p, uint64_t now_ns);
/* Whether that is something that only ends when processes of the user end, and for USERS_VAIN_NS none did that would have
 * let one begin. */
bool users_wait_in_vain(const struct users *u, struct payer p, uint64_t now_ns);
/* Whether a conversation may begin now. */
bool users_may_begin(const struct users *u, struct payer p, uint64_t now_ns);
/* A conversation begins: pays for it, and counts it. */
void users_begin(struct users *u, struct payer p, uint64_t now_ns);
/* The same for a process that closes all finished connections of a user: often enough that a
 * program which was refused and starts again finds its region closed. */
bool users_may_release(struct payer p, uint64_t now_ns);
void users_release(struct payer p, uint64_t now_ns);
/* A process of either kind has ended. */
void users_end(struct users *u, struct payer p, enum visit_worth worth);
/* The client of a conversation is on the fast path; and its process has ended. */
void users_hold(struct users *u, struct payer p);
void users_unhold(struct users *u, struct account *user);

/* Of the user with the most waiting connections, the process with the most; NULL: no connection
 * waits. */
const struct account *users_greediest(const struct users *u);

#endif
