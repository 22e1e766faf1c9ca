/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * node_tls.h - a test's connection to a node that demands TLS.
 *
 * tls_open() has the handshake done. tls_link() gives the test a socket of plain bytes in its place, and a thread
 * carries them: whatever is written for a plain node is then said to one with TLS. The thread never waits for one
 * side while it could serve the other, so it stalls nothing that would not stall without it.
 */
#ifndef GVM_NODE_TLS_H
#define GVM_NODE_TLS_H

#include "memnode/tls.h"
#include "tests/unit/check.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define TLS_BUF_BYTES (4 * TLS_SEALED_BYTES(TLS_RECORD_BYTES) + TLS_OUT_RESERVE)
#define TLS_FDS_MAX   8192

static const char tls_secret[] = "a secret of the tests' nodes";

struct tls_end {
	int fd;	 /* to the node */
	int far; /* the thread's side of the test's socket */
	struct tls_key *key;
	struct tls tls;
	bool node_ended, test_ended;
	size_t start, end; /* of plain: bytes for the test */
	uint8_t in[TLS_BUF_BYTES], out[TLS_BUF_BYTES], plain[TLS_RECORD_BYTES];
};

/* Of the connection behind the test's socket. */
static struct gvm_bytes32 tls_bindings[TLS_FDS_MAX];
static bool tls_bound[TLS_FDS_MAX];

/* Carriers that do something else than wait. */
static int tls_carrying;

/*
 * Before a fork() of which the child goes on: until no carrier holds a lock of the library, or of a sanitizer's allocator,
 * which nobody would give back in the child. Nothing must be under way on any link.
 */
static inline void tls_rest(void)
{
	while (__atomic_load_n(&tls_carrying, __ATOMIC_SEQ_CST))
		usleep(1000);
}

static inline bool tls_is_link(int fd)
{
	return fd < TLS_FDS_MAX && tls_bound[fd];
}

/* A new descriptor, of something else. */
static inline void tls_forget(int fd)
{
	if (fd < TLS_FDS_MAX)
		tls_bound[fd] = false;
}

/* Not below the test's reach: what a hostile client does half way. */
static inline struct tls_end *tls_begin(int fd, const char *secret)
{
	struct tls_end *e = malloc(sizeof(*e));

	/* Threads go on while a test ends: the library must not be taken from under them. */
	CHECK(OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL) == 1 && e);
	memset(e, 0, offsetof(struct tls_end, in));
	e->fd = fd;
	CHECK_EQ(tls_key_create(secret, strlen(secret), false, &e->key), 0);
	CHECK_EQ(tls_init(&e->tls, e->key, e->in, sizeof(e->in), e->out, sizeof(e->out)), 0);
	return e;
}

static inline void tls_end(struct tls_end *e)
{
	tls_deinit(&e->tls);
	tls_key_destroy(e->key);
	close(e->fd);
	free(e);
}

/* Sends all there is; false: the node is gone. */
static inline bool tls_flush(struct tls_end *e)
{
	while (tls_out_bytes(&e->tls)) {
		ssize_t n = send(e->fd, e->out + e->tls.out.start, tls_out_bytes(&e->tls), MSG_NOSIGNAL);

		if (n <= 0)
			return false;
		tls_out_sent(&e->tls, (size_t)n);
	}
	return true;
}

/* Receives some; false: the node has ended the stream. */
static inline bool tls_fill(struct tls_end *e)
{
	size_t room;
	uint8_t *at = tls_in_room(&e->tls, &room);
	ssize_t n = recv(e->fd, at, room, 0);

	CHECK(n >= 0 || errno == ECONNRESET || errno == EAGAIN);
	if (n > 0)
		tls_in_add(&e->tls, (size_t)n);
	e->tls.ended |= n == 0 || (n < 0 && errno == ECONNRESET);
	return n > 0;
}

/* The whole handshake: 0, or -EBADMSG and tls.why. */
static inline int tls_shake(struct tls_end *e)
{
	int err;

	while ((err = tls_handshake(&e->tls)) == -EAGAIN) {
		tls_flush(e);
		tls_fill(e);
	}
	tls_flush(e);
	return err;
}

static inline void tls_take(struct tls_end *e)
{
	ssize_t n;

	if (e->start != e->end || e->node_ended)
		return;
	e->start = e->end = 0;
	n = tls_read(&e->tls, e->plain, sizeof(e->plain));
	if (n > 0)
		e->end = (size_t)n;
	e->node_ended = n == 0 || n == -EBADMSG;
}

static inline void tls_give(struct tls_end *e)
{
	uint8_t bytes[TLS_RECORD_BYTES];
	struct iovec iov = {bytes, 0};
	ssize_t n = recv(e->far, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n > 0) {
		iov.iov_len = (size_t)n;
		if (tls_writev(&e->tls, &iov, 1) != n) /* the node's word was no TLS any more */
			e->node_ended = true;
	} else if (n == 0 || errno != EAGAIN) {
		e->test_ended = true;
		tls_close(&e->tls);
	}
}

/* False: one of the sides is gone. */
static inline bool tls_turn(struct tls_end *e)
{
	bool out = tls_out_bytes(&e->tls), in;
	struct pollfd p[2];
	ssize_t n;

	tls_take(e); /* whatever lies behind the last record */
	in = e->start != e->end;
	if (e->node_ended && !in)
		return false;
	p[0] = (struct pollfd){.fd = e->fd, .events = (short)((in ? 0 : POLLIN) | (out ? POLLOUT : 0))};
	p[1] = (struct pollfd){.fd = e->far,
			       .events = (short)((out || e->test_ended ? 0 : POLLIN) | (in ? POLLOUT : 0))};
	__atomic_sub_fetch(&tls_carrying, 1, __ATOMIC_SEQ_CST);
	CHECK(poll(p, 2, -1) >= 0 || errno == EINTR);
	__atomic_add_fetch(&tls_carrying, 1, __ATOMIC_SEQ_CST);
	if (out && p[0].revents) {
		n = send(e->fd, e->out + e->tls.out.start, tls_out_bytes(&e->tls), MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			return false;
		tls_out_sent(&e->tls, n < 0 ? 0 : (size_t)n);
		if (e->test_ended && !tls_out_bytes(&e->tls))
			shutdown(e->fd, SHUT_WR);
	}
	if (!in && p[0].revents & (POLLIN | POLLHUP | POLLERR))
		tls_fill(e);
	if (in && p[1].revents) {
		n = send(e->far, e->plain + e->start, e->end - e->start, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			return false;
		e->start += n < 0 ? 0 : (size_t)n;
	}
	if (p[1].revents && !out && !e->test_ended)
		tls_give(e);
	return true;
}

static inline void *tls_carry(void *arg)
{
	struct tls_end *e = arg;

	while (tls_turn(e))
		;
	close(e->far);
	tls_end(e);
	/* The library would do so after the sanitizer has forgotten this thread: if the test ends just then, that is a leak. */
	OPENSSL_thread_stop();
	__atomic_sub_fetch(&tls_carrying, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* Puts TLS before a connection; returns the test's socket. */
static inline int tls_link(int fd)
{
	struct tls_end *e = tls_begin(fd, tls_secret);
	pthread_attr_t attr;
	pthread_t thread;
	int pair[2];

	CHECK_EQ(tls_shake(e), 0);
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) && pair[0] < TLS_FDS_MAX);
	CHECK_EQ(tls_binding(&e->tls, &tls_bindings[pair[0]]), 0);
	tls_bound[pair[0]] = true;
	e->far = pair[1];
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	__atomic_add_fetch(&tls_carrying, 1, __ATOMIC_SEQ_CST);
	CHECK(!pthread_create(&thread, &attr, tls_carry, e));
	return pair[0];
}

#endif
