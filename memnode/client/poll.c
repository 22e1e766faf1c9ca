// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * poll.c - the descriptor that the caller polls: the present socket and one timer.
 *
 * The timer is set to the earliest deadline, and only ever moved when it fires or an earlier one
 * comes: so a request's deadline usually costs no system call.
 */
#include "impl.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

void poll_timer_set(struct gvm_conn *conn, uint64_t at)
{
	struct itimerspec spec = {0};

	if (at == conn->timer_at)
		return;
	conn->timer_at = at;
	if (at != UINT64_MAX) {
		at = at ? at : 1; /* 0 disarms */
		spec.it_value.tv_sec = (time_t)(at / 1000000000);
		spec.it_value.tv_nsec = (long)(at % 1000000000);
	}
	timerfd_settime(conn->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

void poll_timer_by(struct gvm_conn *conn, uint64_t at)
{
	if (at < conn->timer_at)
		poll_timer_set(conn, at);
}

void poll_watch(struct gvm_conn *conn, int how, uint32_t events)
{
	struct epoll_event e = {.events = events};

	/* Only adding can fail, without memory; then the link is dropped. */
	if (epoll_ctl(conn->epoll_fd, how, conn->fd, &e))
		conn->broken = strerrordesc_np(errno);
}

void poll_wait_room(struct gvm_conn *conn, bool on)
{
	if (conn->wait_room == on || conn->step != LINK_UP)
		return;
	conn->wait_room = on;
	poll_watch(conn, EPOLL_CTL_MOD, on ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

void poll_wanted(struct gvm_conn *conn)
{
	conn->used = true;
	if (!conn->resting)
		return;
	conn->resting = false;
	conn->retry_at = 0;
	poll_timer_by(conn, 0);
}
