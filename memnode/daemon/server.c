// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * server.c - one thread, one ring.
 *
 * SIGTERM ends it in three steps: no further connection is accepted; each connection is read until
 * its socket is empty, and what arrived whole is answered; then it is closed for writing, and lives
 * until the peer has closed it too (so that no answer is lost to a reset), or until a deadline.
 */
#include "server.h"
#include "log.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define FINISH_NS     3000000000ull
#define FILES_MAX     65536u
#define FILES_OWN     32u /* descriptors that are not connections */
#define TRIM_STRETCHES 64u
#define TRIM_KEEP      8u
#define REAP_CHUNKS    128u /* of deleted regions, between two looks at the ring */

/* As many descriptors as we may have: one for each connection. */
static unsigned connections_max(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files))
		return 256;
	files.rlim_cur = files.rlim_max < FILES_MAX ? files.rlim_max : FILES_MAX;
	setrlimit(RLIMIT_NOFILE, &files);
	return files.rlim_cur > 2 * FILES_OWN ? (unsigned)files.rlim_cur - FILES_OWN : FILES_OWN;
}

int server_init(struct server *s, struct node *node, int listen_fd)
{
	struct sigaction hangup;
	sigset_t set;
	int err;

	memset(s, 0, sizeof(*s));
	s->node = node;
	s->listen_fd = listen_fd;
	s->tick.tv_sec = 1;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	/* A blocked signal arrives even where nohup(1) had it ignored. */
	if (!sigaction(SIGHUP, NULL, &hangup) && hangup.sa_handler != SIG_IGN)
		sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (s->signal_fd < 0)
		return -errno;
	err = io_init(&s->io);
	if (err) {
		close(s->signal_fd);
		return err;
	}
	conns_init(&s->conns, &s->io, node, connections_max());
	return 0;
}

void server_deinit(struct server *s)
{
	io_deinit(&s->io);
	conns_deinit(&s->conns);
	close(s->signal_fd);
	close(s->listen_fd);
}

static void accept_start(struct server *s)
{
	s->peer_len = sizeof(s->peer);
	s->accepting = true;
	io_accept(&s->io, s->listen_fd, &s->peer.any, &s->peer_len);
}

static void accepted(struct server *s, int result)
{
	s->accepting = false;
	if (s->finishing) {
		if (result >= 0)
			close(result);
		return;
	}
	if (result >= 0) {
		conn_accept(&s->conns, result, &s->peer);
	} else if (result == -EMFILE || result == -ENFILE || result == -ENOMEM ||
		   result == -ENOBUFS) {
		/* The next tick tries again. */
		log_peer("cannot accept a connection: %s", strerror(-result));
		return;
	}
	accept_start(s);
}

static void report(const struct server *s)
{
	struct gvm_node_stat_rsp stat;

	node_stat(s->node, &stat);
	log_line("%llu clients, %llu regions, %llu chunks in %llu bytes (%llu held), "
		 "%llu gets (%llu copied), %llu puts (%llu of them deltas), %llu discards, "
		 "%llu bad frames, %llu damaged heads",
		 (unsigned long long)stat.clients, (unsigned long long)stat.regions,
		 (unsigned long long)stat.chunks, (unsigned long long)stat.stored_bytes,
		 (unsigned long long)stat.held_bytes, (unsigned long long)stat.gets,
		 (unsigned long long)s->node->counters.copied_gets, (unsigned long long)stat.puts,
		 (unsigned long long)stat.delta_puts, (unsigned long long)stat.discards,
		 (unsigned long long)stat.bad_frames,
		 (unsigned long long)s->node->counters.corrupt);
}

static void finish_start(struct server *s)
{
	s->finishing = true;
	s->finish_by_ns = node_now_ns() + FINISH_NS;
	shutdown(s->listen_fd, SHUT_RDWR); /* ends the accept under way */
	conns_finish(&s->conns);
}

static void signalled(struct server *s, int result)
{
	if (result == sizeof(s->signal) && s->signal.ssi_signo == SIGUSR1)
		report(s);
	else if (result == sizeof(s->signal) && !s->finishing)
		finish_start(s);
	io_read(&s->io, s->signal_fd, &s->signal, sizeof(s->signal), IO_SIGNAL);
}

static void ticked(struct server *s)
{
	uint64_t now = node_now_ns();

	conns_tick(&s->conns, now);
	store_trim(s->node->store, TRIM_STRETCHES, TRIM_KEEP);
	if (!s->accepting && !s->finishing)
		accept_start(s);
	if (s->finishing && now > s->finish_by_ns)
		conns_close(&s->conns);
	io_timeout(&s->io, &s->tick);
}

static void completed(struct server *s, const struct io_uring_cqe *cqe)
{
	void *owner = (void *)(uintptr_t)(cqe->user_data & ~(uint64_t)IO_KIND_MASK);

	switch ((enum io_kind)(cqe->user_data & IO_KIND_MASK)) {
	case IO_ACCEPT:
		accepted(s, cqe->res);
		break;
	case IO_SIGNAL:
		signalled(s, cqe->res);
		break;
	case IO_TICK:
		ticked(s);
		break;
	case IO_RECV:
		conn_received(owner, cqe->res);
		break;
	case IO_SEND:
		conn_sent(owner, cqe->res);
		break;
	case IO_CANCEL:
		break;
	}
}

int server_run(struct server *s)
{
	accept_start(s);
	io_read(&s->io, s->signal_fd, &s->signal, sizeof(s->signal), IO_SIGNAL);
	io_timeout(&s->io, &s->tick);
	while (!s->finishing || s->conns.count) {
		struct io_uring_cqe *cqe;
		unsigned head, seen = 0;
		bool more = regions_reap(&s->node->regions, REAP_CHUNKS);
		int err = io_submit(&s->io, !more);

		if (err && err != -EINTR && err != -EBUSY && err != -EAGAIN)
			return err;
		io_uring_for_each_cqe(&s->io.ring, head, cqe) {
			completed(s, cqe);
			seen++;
		}
		io_uring_cq_advance(&s->io.ring, seen);
		conns_resume(&s->conns);
	}
	return 0;
}
