// SPDX-License-Identifier: GPL-2.0-or-later
/* users.c - see users.h. */
#include "users.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define MS(n) ((n) * 1000000ull)

/* So many at once, and then one each `every_ns`. */
struct ration {
	uint64_t every_ns;
	unsigned at_once;
};

static const struct ration of_process = { MS(250), 8 }, of_user = { MS(125), 16 }, of_all = { MS(60), 64 },
			   of_releases = { MS(100), 4 };

/* The part of the price that is kept if the client may write a region: without it such a client
 * could keep the mount busy. */
#define PRICE_WITH_REGION_NS MS(20)

static bool due(const struct ration *r, uint64_t due_ns, uint64_t now_ns)
{
	return due_ns <= now_ns + r->every_ns * (r->at_once - 1);
}

static void pay(const struct ration *r, uint64_t *due_ns, uint64_t now_ns)
{
	*due_ns = (*due_ns > now_ns ? *due_ns : now_ns) + r->every_ns;
}

static void give_back(const struct ration *r, uint64_t *due_ns, enum visit_worth worth)
{
	uint64_t back = worth == VISIT_WORTH_ALL      ? r->every_ns
			: worth == VISIT_WORTH_A_REGION ? r->every_ns - PRICE_WITH_REGION_NS
							: 0;

	*due_ns -= back < *due_ns ? back : *due_ns;
}

/* ---- accounts ---- */

static struct account *account_find(struct users *u, uid_t uid, pid_t pid)
{
	struct account *spare = NULL;

	for (unsigned i = 0; i < USERS_ACCOUNTS_MAX; i++) {
		struct account *a = &u->list[i];

		if (!a->used) { /* and none after it is used */
			spare = a;
			break;
		}
		if (a->uid == uid && a->pid == pid)
			return a;
		if (!a->waiting && !a->visitors && !a->holders && (!spare || a->due_ns < spare->due_ns))
			spare = a;
	}
	assert(spare);
	*spare = (struct account){ .uid = uid, .pid = pid, .used = true };
	return spare;
}

struct payer users_find(struct users *u, uid_t uid, pid_t pid)
{
	struct payer p = { .user = account_find(u, uid, -1) };

	/* The user's account may have no connection yet, but must not be reused for the process's. */
	p.user->waiting++;
	p.process = account_find(u, uid, pid);
	p.user->waiting--;
	return p;
}

const struct account *users_greediest(const struct users *u)
{
	const struct account *user = NULL, *process = NULL;

	for (unsigned i = 0; i < USERS_ACCOUNTS_MAX && u->list[i].used; i++)
		if (u->list[i].pid == -1 && (!user || u->list[i].waiting > user->waiting))
			user = &u->list[i];
	for (unsigned i = 0; user && i < USERS_ACCOUNTS_MAX && u->list[i].used; i++)
		if (u->list[i].pid != -1 && u->list[i].uid == user->uid &&
		    (!process || u->list[i].waiting > process->waiting))
			process = &u->list[i];
	return process && process->waiting ? process : NULL;
}

/* ---- what they do ---- */

enum users_bar users_bar(const struct users *u, struct payer p, uint64_t now_ns)
{
	if (p.user->holders + u->holders >= USERS_HOLDERS_MAX)
		return USERS_BAR_HOLDERS;
	if (p.user->visitors >= USER_VISITORS_MAX)
		return USERS_BAR_USER;
	if (p.process->visitors >= PROCESS_VISITORS_MAX)
		return USERS_BAR_PROCESS;
	return due(&of_all, u->due_ns, now_ns) && due(&of_user, p.user->due_ns, now_ns) &&
			       due(&of_process, p.process->due_ns, now_ns) ? USERS_BAR_NONE : USERS_BAR_SOON;
}

bool users_wait_in_vain(const struct users *u, struct payer p, uint64_t now_ns)
{
	enum users_bar bar = users_bar(u, p, now_ns);
	const struct account *a = bar == USERS_BAR_PROCESS ? p.process : p.user;

	return bar > USERS_BAR_SOON && now_ns - a->begun_ns > USERS_VAIN_NS;
}

bool users_may_begin(const struct users *u, struct payer p, uint64_t now_ns)
{
	return users_bar(u, p, now_ns) == USERS_BAR_NONE;
}

static void count(struct payer p)
{
	p.user->visitors++;
	p.process->visitors++;
}

void users_begin(struct users *u, struct payer p, uint64_t now_ns)
{
	pay(&of_all, &u->due_ns, now_ns);
	pay(&of_user, &p.user->due_ns, now_ns);
	pay(&of_process, &p.process->due_ns, now_ns);
	p.user->begun_ns = p.process->begun_ns = now_ns;
	count(p);
}

bool users_may_release(struct payer p, uint64_t now_ns)
{
	return due(&of_releases, p.user->release_due_ns, now_ns);
}

void users_release(struct payer p, uint64_t now_ns)
{
	pay(&of_releases, &p.user->release_due_ns, now_ns);
	count(p);
}

void users_end(struct users *u, struct payer p, enum visit_worth worth)
{
	assert(p.user->visitors && p.process->visitors);
	give_back(&of_all, &u->due_ns, worth);
	give_back(&of_user, &p.user->due_ns, worth);
	give_back(&of_process, &p.process->due_ns, worth);
	p.user->visitors--;
	p.process->visitors--;
}

void users_hold(struct users *u, struct payer p)
{
	users_end(u, p, VISIT_WORTH_ALL);
	p.user->holders++;
	u->holders++;
}

void users_unhold(struct users *u, struct account *user)
{
	assert(user->holders && u->holders);
	user->holders--;
	u->holders--;
}
