// SPDX-License-Identifier: GPL-2.0-or-later
/* gvmfs_users.c - a user who begins conversations without end has a few, and others have theirs. */
#include "check.h"
#include "uffd/users.h"

#define SECOND 1000000000ull
#define STRANGER 1000
#define HONEST 2000

static struct users users;
static uint64_t now_ns;

static void begin_anew(void)
{
	memset(&users, 0, sizeof(users));
	now_ns = 1000 * SECOND;
}

/* How many it gets within a second when it always asks. */
static unsigned second_of(uid_t uid, pid_t pid, enum visit_worth worth)
{
	unsigned begun = 0;

	for (unsigned i = 0; i < 1000; i++, now_ns += SECOND / 1000) {
		struct payer p = users_find(&users, uid, pid);

		if (!users_may_begin(&users, p, now_ns))
			continue;
		users_begin(&users, p, now_ns);
		users_end(&users, p, worth);
		begun++;
	}
	return begun;
}

static void process_has_some_and_then_a_few_each_second(void)
{
	begin_anew();
	CHECK_EQ(second_of(STRANGER, 1, VISIT_WORTH_NOTHING), 8 + 3);
	CHECK_EQ(second_of(STRANGER, 1, VISIT_WORTH_NOTHING), 4);
	now_ns += 10 * SECOND;
	CHECK_EQ(second_of(STRANGER, 1, VISIT_WORTH_NOTHING), 8 + 3);
}

static void process_leaves_some_to_others_of_its_user(void)
{
	begin_anew();
	for (unsigned i = 0; i < 10; i++)
		second_of(STRANGER, 1, VISIT_WORTH_NOTHING);
	CHECK(second_of(STRANGER, 2, VISIT_WORTH_NOTHING) >= 8);
}

static void user_of_many_processes_leaves_some_to_others(void)
{
	unsigned begun = 0;

	begin_anew();
	for (unsigned i = 0; i < 10; i++, now_ns -= SECOND * 9 / 10) /* tenths of a second */
		begun += second_of(STRANGER, (pid_t)i + 1, VISIT_WORTH_NOTHING);
	CHECK(begun <= 16 + 8 * 2);
	CHECK(second_of(HONEST, 100, VISIT_WORTH_NOTHING) >= 8);
}

static void users_without_number_have_some_together(void)
{
	unsigned begun = 0;

	begin_anew();
	for (unsigned i = 0; i < 5000; i++, now_ns += SECOND / 1000) {
		struct payer p = users_find(&users, STRANGER + i, (pid_t)i + 1);

		if (!users_may_begin(&users, p, now_ns))
			continue;
		users_begin(&users, p, now_ns);
		users_end(&users, p, VISIT_WORTH_NOTHING);
		begun++;
	}
	CHECK(begun <= 64 + 5 * 17);
}

static void client_of_the_fast_path_costs_nothing(void)
{
	begin_anew();
	CHECK_EQ(second_of(HONEST, 1, VISIT_WORTH_ALL), 1000);
	CHECK(second_of(HONEST, 1, VISIT_WORTH_A_REGION) >= 50);
}

static void process_that_releases_is_rationed_alone(void)
{
	struct payer p;
	unsigned begun = 0;

	begin_anew();
	while (users_may_begin(&users, p = users_find(&users, STRANGER, 1), now_ns)) {
		users_begin(&users, p, now_ns);
		users_end(&users, p, VISIT_WORTH_NOTHING);
	}
	for (unsigned i = 0; i < 1000; i++, now_ns += SECOND / 1000) {
		if (!users_may_release(p, now_ns))
			continue;
		users_release(p, now_ns);
		users_end(&users, p, VISIT_WORTH_NOTHING);
		begun++;
	}
	CHECK_EQ(begun, 4 + 9);
}

static void conversations_at_a_time_are_bounded(void)
{
	struct payer p;
	unsigned of_one = 0, of_user = 0;

	begin_anew();
	for (pid_t pid = 1; pid <= 5; pid++) {
		for (unsigned i = 0; i < 20; i++, now_ns += SECOND) {
			p = users_find(&users, STRANGER, pid);
			if (!users_may_begin(&users, p, now_ns))
				continue;
			users_begin(&users, p, now_ns);
			of_one += pid == 1;
			of_user++;
		}
	}
	CHECK_EQ(of_one, PROCESS_VISITORS_MAX);
	CHECK_EQ(of_user, USER_VISITORS_MAX);
	CHECK(users_may_begin(&users, users_find(&users, HONEST, 100), now_ns));
	users_end(&users, users_find(&users, STRANGER, 1), VISIT_WORTH_NOTHING);
	CHECK(users_may_begin(&users, users_find(&users, STRANGER, 5), now_ns));
}

static void account_in_use_stays(void)
{
	struct payer first, p;

	begin_anew();
	first = users_find(&users, STRANGER, 1);
	first.user->waiting = first.process->waiting = 2;
	p = users_find(&users, STRANGER, 2);
	p.user->waiting++;
	p.process->waiting++;
	for (unsigned i = 0; i < 2 * USERS_ACCOUNTS_MAX; i++)
		users_find(&users, HONEST + i, (pid_t)i + 3);
	CHECK(users_find(&users, STRANGER, 1).user == first.user);
	CHECK(users_find(&users, STRANGER, 1).process == first.process);
	CHECK(users_greediest(&users) == first.process);
}

/* One more client on the fast path, in a second of its own; false: its user may begin no conversation. */
static bool hold(uid_t uid)
{
	struct payer p = users_find(&users, uid, 1);

	now_ns += SECOND;
	if (!users_may_begin(&users, p, now_ns))
		return false;
	users_begin(&users, p, now_ns);
	users_hold(&users, p);
	return true;
}

static void processes_that_never_end_count(void)
{
	unsigned all = 0, held;

	begin_anew();
	for (held = 0; held < 2000 && hold(STRANGER); held++)
		;
	CHECK(held >= 256 && held < 2000); /* as many as there are sessions */
	for (all = held; all < 2 * held && hold(HONEST); all++)
		;
	CHECK(all - held >= held / 2);
	for (uid_t uid = HONEST + 1; uid < HONEST + 4; uid++)
		CHECK(hold(uid));
	users_unhold(&users, users_find(&users, STRANGER, 1).user);
	CHECK(!hold(STRANGER)); /* others have come meanwhile */
	while (users_find(&users, STRANGER, 1).user->holders > held / 4)
		users_unhold(&users, users_find(&users, STRANGER, 1).user);
	CHECK(hold(STRANGER));
}

static enum users_bar bar_of(uid_t uid, pid_t pid)
{
	return users_bar(&users, users_find(&users, uid, pid), now_ns);
}

static bool in_vain(uid_t uid, pid_t pid)
{
	return users_wait_in_vain(&users, users_find(&users, uid, pid), now_ns);
}

static void begin_many(pid_t pid, unsigned count)
{
	for (unsigned i = 0; i < count; i++, now_ns += SECOND) {
		CHECK_EQ(bar_of(STRANGER, pid), USERS_BAR_NONE);
		users_begin(&users, users_find(&users, STRANGER, pid), now_ns);
	}
}

static void limit_is_told_and_waited_for_in_vain(void)
{
	begin_anew();
	for (unsigned i = 0; i < PROCESS_VISITORS_MAX; i++) {
		users_begin(&users, users_find(&users, STRANGER, 1), now_ns);
		users_end(&users, users_find(&users, STRANGER, 1), VISIT_WORTH_NOTHING);
	}
	CHECK_EQ(bar_of(STRANGER, 1), USERS_BAR_SOON);
	CHECK(!in_vain(STRANGER, 1));
	now_ns += USERS_VAIN_NS;
	begin_many(1, PROCESS_VISITORS_MAX);
	CHECK_EQ(bar_of(STRANGER, 1), USERS_BAR_PROCESS);
	CHECK(!in_vain(STRANGER, 1));
	now_ns += USERS_VAIN_NS;
	CHECK(in_vain(STRANGER, 1));
	begin_many(2, PROCESS_VISITORS_MAX);
	CHECK_EQ(bar_of(STRANGER, 3), USERS_BAR_USER);
	CHECK(!in_vain(STRANGER, 3));
	now_ns += USERS_VAIN_NS;
	CHECK(in_vain(STRANGER, 3));
	CHECK(!in_vain(HONEST, 4));
	users_end(&users, users_find(&users, STRANGER, 2), VISIT_WORTH_ALL);
	CHECK(!in_vain(STRANGER, 3));
	begin_many(3, 1);
	CHECK_EQ(bar_of(STRANGER, 3), USERS_BAR_USER);
	CHECK(!in_vain(STRANGER, 3)); /* one has just ended */
}

static void holders_are_told_and_waited_for_in_vain(void)
{
	begin_anew();
	while (hold(STRANGER))
		;
	CHECK_EQ(bar_of(STRANGER, 2), USERS_BAR_HOLDERS);
	now_ns += USERS_VAIN_NS;
	CHECK(in_vain(STRANGER, 2));
	users_unhold(&users, users_find(&users, STRANGER, 1).user);
	CHECK(!in_vain(STRANGER, 2));
	CHECK_EQ(bar_of(STRANGER, 2), USERS_BAR_NONE);
}

static const struct check_test tests[] = {
	{ "process-has-some-and-then-a-few-each-second", process_has_some_and_then_a_few_each_second },
	{ "process-leaves-some-to-others-of-its-user", process_leaves_some_to_others_of_its_user },
	{ "user-of-many-processes-leaves-some-to-others", user_of_many_processes_leaves_some_to_others },
	{ "users-without-number-have-some-together", users_without_number_have_some_together },
	{ "client-of-the-fast-path-costs-nothing", client_of_the_fast_path_costs_nothing },
	{ "process-that-releases-is-rationed-alone", process_that_releases_is_rationed_alone },
	{ "conversations-at-a-time-are-bounded", conversations_at_a_time_are_bounded },
	{ "account-in-use-stays", account_in_use_stays },
	{ "processes-that-never-end-count", processes_that_never_end_count },
	{ "limit-is-told-and-waited-for-in-vain", limit_is_told_and_waited_for_in_vain },
	{ "holders-are-told-and-waited-for-in-vain", holders_are_told_and_waited_for_in_vain },
};

CHECK_MAIN(tests)
