// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gvmfs_post.c - who sends a message over a UNIX socket waits for nobody: before Linux 6.9 sendmsg() may take as long as a stranger
 * likes. It does here, on a kernel that says to be older.
 */
#include "base/descriptors.h"
#include "check.h"
#include "state/post.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

static pthread_t front;
static atomic_bool held;
static atomic_uint held_up; /* threads in sendmsg() */

ssize_t __real_sendmsg(int to, const struct msghdr *msg, int flags);
ssize_t __wrap_sendmsg(int to, const struct msghdr *msg, int flags);
int __wrap_uname(struct utsname *name);

ssize_t __wrap_sendmsg(int to, const struct msghdr *msg, int flags)
{
	CHECK(!pthread_equal(pthread_self(), front));
	atomic_fetch_add(&held_up, 1);
	while (atomic_load(&held))
		usleep(1000);
	atomic_fetch_sub(&held_up, 1);
	return __real_sendmsg(to, msg, flags);
}

int __wrap_uname(struct utsname *name)
{
	memset(name, 0, sizeof(*name));
	snprintf(name->release, sizeof(name->release), "6.1.0-28-amd64");
	return 0;
}

static void begin(int pair[2])
{
	front = pthread_self();
	atomic_store(&held, true);
	CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
}

/* The next message, in whatever order they come. */
static int receive(int from, int fds[DESCRIPTORS_MAX], unsigned *count)
{
	struct pollfd p = {.fd = from, .events = POLLIN};
	int number;

	CHECK_EQ(poll(&p, 1, -1), 1);
	CHECK_EQ(descriptors_receive(from, &number, sizeof(number), fds, count), 0);
	return number;
}

static void which_kernels_hold_senders_up(void)
{
	CHECK(post_is_slow("6.8.12-amd64") && post_is_slow("6.1.0-28-amd64") && post_is_slow("5.15.0") && post_is_slow("4.19"));
	CHECK(!post_is_slow("6.9.0") && !post_is_slow("6.12.57+deb13-amd64") && !post_is_slow("7.0.1") && !post_is_slow("10.1"));
	CHECK(!post_is_slow("") && !post_is_slow("Linux"));
}

/* Also with descriptors that the sender closes at once, as it does with its end of the socket. */
static void sender_is_not_held_up(void)
{
	int pair[2], file[2], fds[DESCRIPTORS_MAX], number = 7;
	unsigned count;
	char byte;

	begin(pair);
	CHECK(!pipe2(file, O_CLOEXEC));
	CHECK_EQ(post_send(pair[0], &number, sizeof(number), &file[0], 1), 0);
	number = 0;
	close(file[0]);
	close(pair[0]);
	while (!atomic_load(&held_up))
		usleep(1000);
	atomic_store(&held, false);
	CHECK_EQ(receive(pair[1], fds, &count), 7);
	CHECK_EQ(count, 1);
	CHECK(write(file[1], "x", 1) == 1 && read(fds[0], &byte, 1) == 1 && byte == 'x');
	close(fds[0]);
	close(file[1]);
	close(pair[1]);
}

/* Each has copies of descriptors, and a thread: there is an end to that; and those that wait come when they can. */
static void what_waits_is_bounded(void)
{
	bool came[POST_MAX] = {false};
	int pair[2], fds[DESCRIPTORS_MAX];
	unsigned count;

	begin(pair);
	for (int i = 0; i < (int)POST_MAX; i++)
		CHECK_EQ(post_send(pair[0], &i, sizeof(i), NULL, 0), 0);
	CHECK_EQ(post_send(pair[0], &count, sizeof(count), NULL, 0), -EAGAIN);
	atomic_store(&held, false);
	for (unsigned i = 0; i < POST_MAX; i++) {
		int number = receive(pair[1], fds, &count);

		CHECK(number >= 0 && number < (int)POST_MAX && !came[number]);
		came[number] = true;
	}
	close(pair[0]);
	close(pair[1]);
}

/* Nobody receives any more. */
static void what_cannot_come_is_dropped(void)
{
	int pair[2], number = 1, r;

	begin(pair);
	close(pair[1]);
	for (unsigned i = 0; i < 2 * POST_MAX; i++) {
		while ((r = post_send(pair[0], &number, sizeof(number), NULL, 0)) == -EAGAIN)
			atomic_store(&held, false); /* then there is room again */
		CHECK_EQ(r, 0);
	}
	close(pair[0]);
}

static const struct check_test tests[] = {
	{"which-kernels-hold-senders-up", which_kernels_hold_senders_up},
	{"sender-is-not-held-up", sender_is_not_held_up},
	{"what-waits-is-bounded", what_waits_is_bounded},
	{"what-cannot-come-is-dropped", what_cannot_come_is_dropped},
};
CHECK_MAIN(tests)
