// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * server.c - one thread, one engine.
 *
 * SIGTERM ends it in three steps: no further connection is accepted; each connection is read until
 * its socket is empty, and requests that arrived whole are answered; then it is closed for writing,
 * and stays until the peer has closed it too (so that no answer is lost to a reset), or until a
 * deadline.
 */
#include "server.h"
#include "../clock.h"
#include "log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#define FINISH_NS     3000000000ull
#define LINGER_NS     500000000ull /* for peers that were answered and do not close */
#define FINISH_TICK_NS 50000000
#define TICK_NS        1000000000
#define PACK_TICK_NS   20000000 /* while chunks wait for being compressed */
#define FILES_MAX     65536u
#define FILES_OWN     32u /* descriptors that are not connections */
/* Of the memory that is empty one part in so many goes back to the kernel a second, and at most so many stretches: what is
 * written anew meanwhile would have to be zeroed first, which takes longer than to receive it. */
#define TRIM_SHARE     16u
#define TRIM_STRETCHES 64u
#define TRIM_KEEP      8u
#define REAP_CHUNKS    128u /* of deleted regions, freed between two rounds of completions */

/* The descriptors allowed to this process: one for each connection. */
static unsigned connections_max(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files))
		return 256;
	files.rlim_cur = files.rlim_max < FILES_MAX ? files.rlim_max : FILES_MAX;
	setrlimit(RLIMIT_NOFILE, &files);
	return files.rlim_cur > 2 * FILES_OWN ? (unsigned)files.rlim_cur - FILES_OWN : FILES_OWN;
}

void server_signals_block(sigset_t *set)
{
	struct sigaction hangup;

	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
	/* A blocked signal arrives even where nohup(1) had it ignored. */
	if (!sigaction(SIGHUP, NULL, &hangup) && hangup.sa_handler != SIG_IGN)
		sigaddset(set, SIGHUP);
	sigaddset(set, SIGUSR1);
	sigprocmask(SIG_BLOCK, set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

int server_init(struct server *s, struct node *node, int listen_fd, const char *engine, int *refused)
{
	unsigned connections = connections_max();
	sigset_t set;
	int err = 0;

	memset(s, 0, sizeof(*s));
	s->node = node;
	s->disk_fd = -1;
	s->listen_fd = listen_fd;
	s->tick.tv_sec = TICK_NS / 1000000000;
	server_signals_block(&set);
	err = packer_init(&s->packer, &node->regions, node->journal);
	if (err)
		return err;
	s->signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (s->signal_fd < 0) {
		err = -errno;
		packer_deinit(&s->packer);
		return err;
	}
	if (node->journal) {
		s->disk_fd = eventfd(0, EFD_CLOEXEC);
		if (s->disk_fd < 0)
			err = -errno;
	}
	if (!err)
		err = io_init(&s->io, engine, FILES_MAX, refused);
	if (!err) {
		err = io_watch(&s->io, listen_fd);
		if (!err)
			err = io_watch(&s->io, s->signal_fd);
		if (!err && node->journal)
			err = io_watch(&s->io, s->disk_fd);
		if (err)
			io_deinit(&s->io);
	}
	if (err) {
		packer_deinit(&s->packer);
		close(s->signal_fd);
		if (s->disk_fd >= 0)
			close(s->disk_fd);
		return err;
	}
	conns_init(&s->conns, &s->io, node, connections);
	return 0;
}

void server_deinit(struct server *s)
{
	io_deinit(&s->io);
	conns_deinit(&s->conns);
	packer_deinit(&s->packer);
	close(s->signal_fd);
	close(s->listen_fd);
	if (s->disk_fd >= 0)
		close(s->disk_fd);
}

static void disk_wait(struct server *s)
{
	if (s->node->journal)
		io_read(&s->io, s->disk_fd, &s->disk_count, sizeof(s->disk_count), IO_DISK);
}

/* The disk has taken more, or has begun or ceased to fail. */
static void disk_looked(struct server *s)
{
	struct journal *j = s->node->journal;
	int before = j->progress.error;

	journal_look(j);
	if (j->progress.error && j->progress.suspect && before != j->progress.error)
		log_line("the disk has lost what it took (%s): no change is taken any more, what the node holds can be "
			 "read. Empty it, and start it again with another directory", strerror(-j->progress.error));
	else if (j->progress.error && before != j->progress.error)
		log_line("the disk takes no more (%s): changes are refused until it does, what the node holds can be read",
			 strerror(-j->progress.error));
	else if (before && !j->progress.error)
		log_line("the disk takes changes again");
	conns_progress(&s->conns);
	disk_wait(s);
}

static void accept_start(struct server *s)
{
	s->peer_len = sizeof(s->peer);
	s->accepting = true;
	s->accept_failed = false;
	io_accept(&s->io, s->listen_fd, &s->peer.any, &s->peer_len);
}

/* Whether a failed accept concerns that one connection only. */
static bool accept_goes_on(int result)
{
	switch (-result) {
	case EINTR:
	case EAGAIN:
	case ECONNABORTED:
	case EPROTO:
	case EPERM: /* a packet filter's answer */
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENOPROTOOPT:
	case EOPNOTSUPP:
		return true;
	default:
		return false;
	}
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
	} else if (!accept_goes_on(result)) {
		/*
		 * No descriptors or no memory: the end of a connection, or the next tick, tries
		 * again.
		 */
		log_peer("cannot accept a connection: %s", strerror(-result));
		s->accept_failed = true;
		conns_make_room(&s->conns);
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
	s->finish_by_ns = gvm_now_ns() + FINISH_NS;
	s->tick = (struct __kernel_timespec){.tv_nsec = FINISH_TICK_NS};
	io_timeout(&s->io, &s->tick);
	shutdown(s->listen_fd, SHUT_RDWR); /* ends the accept under way */
	conns_finish(&s->conns);
}

static void signalled(struct server *s, int result)
{
	if (result == sizeof(s->signal) && s->signal.ssi_signo == SIGUSR1)
		report(s);
	else if (result == sizeof(s->signal) && !s->finishing)
		finish_start(s);
	else if (result == sizeof(s->signal))
		conns_close(&s->conns);
	io_read(&s->io, s->signal_fd, &s->signal, sizeof(s->signal), IO_SIGNAL);
}

/* Files without a name whose writers did not come back. */
static void lapsed_remove(struct server *s)
{
	struct gvm_id id;

	while (regions_lapse(&s->node->regions, &id)) {
		char text[2 * sizeof(id.b) + 1];

		if (s->node->journal)
			journal_region_gone(s->node->journal, &id);

		for (unsigned i = 0; i < sizeof(id.b); i++)
			snprintf(text + 2 * i, 3, "%02x", id.b[i]);
		log_line("region %s is removed, as its writer asked for: it did not come back in time", text);
	}
}

static void memory_return(struct store *store)
{
	unsigned most = store_stretches_idle(store) / TRIM_SHARE + 1;

	store_trim(store, most < TRIM_STRETCHES ? most : TRIM_STRETCHES, TRIM_KEEP);
}

/* What is due once in a second. */
static void seconds_work(struct server *s, uint64_t now)
{
	s->ticked_ns = now;
	conns_tick(&s->conns, now);
	regions_clock(&s->node->regions, gvm_boottime_ns());
	lapsed_remove(s);
	memory_return(s->node->store);
	packer_again(&s->packer);
	if (!s->accepting && !s->finishing)
		accept_start(s);
}

/* A piece of the packer's work, if there is time for it. Whether there is more. */
static bool pack(struct server *s)
{
	s->idle = s->idle && s->asked == s->node->counters.asked;
	return (s->idle || pack_is_urgent(&s->node->regions)) && !s->finishing && packer_step(&s->packer);
}

/* Whether nobody has asked for anything from one tick to the next: then there is time for the packer. */
static void look_for_idleness(struct server *s)
{
	uint64_t raw = s->node->regions.totals.raw, asked = s->node->counters.asked;

	s->idle = raw && asked == s->asked;
	if (asked != s->asked)
		packer_again(&s->packer); /* what was being sent then may have been sent */
	s->asked = asked;
	if (!s->finishing)
		s->tick = raw ? (struct __kernel_timespec){.tv_nsec = PACK_TICK_NS} :
				(struct __kernel_timespec){.tv_sec = TICK_NS / 1000000000};
}

static void ticked(struct server *s)
{
	uint64_t now = gvm_now_ns();

	if (s->finishing || now - s->ticked_ns >= TICK_NS)
		seconds_work(s, now);
	look_for_idleness(s);
	if (s->finishing && now > s->finish_by_ns)
		conns_close(&s->conns);
	else if (s->finishing && now > s->finish_by_ns - FINISH_NS + LINGER_NS)
		conns_close_lingering(&s->conns);
	io_timeout(&s->io, &s->tick);
}

static void ended(struct server *s, const struct io_end *end)
{
	switch (end->kind) {
	case IO_ACCEPT:
		accepted(s, end->result);
		break;
	case IO_SIGNAL:
		signalled(s, end->result);
		break;
	case IO_TICK:
		ticked(s);
		break;
	case IO_RECV:
		conn_received(end->owner, end->result);
		break;
	case IO_SEND:
		conn_sent(end->owner, end->result);
		break;
	case IO_DISK:
		disk_looked(s);
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
	disk_wait(s);
	while (!s->finishing || s->conns.count) {
		struct io_end end;
		unsigned open = s->conns.count;
		bool more = regions_reap(&s->node->regions, REAP_CHUNKS);
		int err;

		more |= conns_turns(&s->conns);
		if (s->node->journal)
			more |= journal_work(s->node->journal);
		more |= pack(s);
		err = io_submit(&s->io, !more);

		if (err && err != -EINTR && err != -EBUSY && err != -EAGAIN)
			return err;
		regions_clock(&s->node->regions, gvm_boottime_ns());
		while (io_next(&s->io, &end))
			ended(s, &end);
		if (s->accept_failed && s->conns.count < open && !s->accepting && !s->finishing)
			accept_start(s);
		conns_resume(&s->conns);
		/* What was quick to answer is sent before those that wait for a turn have theirs. */
		if (s->io.msgs_used && conns_have_turns(&s->conns))
			io_submit(&s->io, false);
	}
	return 0;
}
