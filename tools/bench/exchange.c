// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Pipelined requests to stores that answer in order: memcached (its text protocol), Redis (RESP),
 * and a server of our own that sends and receives as many bytes as a memory node's frames have.
 *
 * Keys have a fixed width, so that every answer's length is known before it comes; how it begins is
 * compared, so that an error message is not taken for a value. One connection, non-blocking, at
 * most `depth` requests under way, values that do not compress.
 */
#include "exchange.h"

#include "data.h"
#include "memnode/gvm_client.h"
#include "stop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define HEAD_MAX    128
#define STALL_MS    10000
#define DRAIN_BYTES (256u << 10)
#define ANSWERS_MAX 16

struct exchange {
	const struct bench_store *s;
	bool put;
	int fd;
	uint8_t *value;	  /* what PUTs carry */
	uint8_t *scratch; /* where answers go */
	/* the request being sent */
	char head[HEAD_MAX];
	uint32_t head_bytes, body_bytes, tail_bytes, sent;
	uint64_t next;
	/* answers */
	uint32_t answer_bytes, got;
	char expect[64];
	uint32_t expect_bytes;
	uint64_t answered, asked;
};

static int tcp_connect(const struct bench_store *s)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(s->port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, rc;

	if (fd < 0)
		return -errno;
	to.sin_addr.s_addr = htonl(s->address ? s->address : INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		rc = -errno;
		close(fd);
		return rc;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* What one request and its answer look like; `head` is written for each request. */
static void request_next(struct exchange *x)
{
	unsigned key = (unsigned)(x->next++ * 7919 % x->s->values);
	int n = 0;

	x->body_bytes = x->put ? BENCH_VALUE_BYTES : 0;
	x->tail_bytes = x->put ? 2 : 0;
	switch (x->s->party) {
	case PARTY_MEMCACHED:
		n = snprintf(x->head, HEAD_MAX, x->put ? "set k%06u 0 0 %u\r\n" : "get k%06u\r\n",
			     key, BENCH_VALUE_BYTES);
		break;
	case PARTY_REDIS:
		n = x->put ? snprintf(x->head, HEAD_MAX,
				      "*3\r\n$3\r\nSET\r\n$7\r\nk%06u\r\n$%u\r\n", key,
				      BENCH_VALUE_BYTES)
			   : snprintf(x->head, HEAD_MAX, "*2\r\n$3\r\nGET\r\n$7\r\nk%06u\r\n", key);
		break;
	default:
		/* the first byte says which: see bench_raw_serve() */
		memset(x->head, x->put ? 'P' : 'G', HEAD_MAX);
		n = x->put ? HEAD_MAX : (int)x->s->get_request;
		x->body_bytes = x->put ? x->s->put_request - HEAD_MAX : 0;
		x->tail_bytes = 0;
		break;
	}
	x->head_bytes = (uint32_t)n;
	x->sent = 0;
}

static void answer_shape(struct exchange *x)
{
	char *e = x->expect;
	int n = 0;

	switch (x->s->party) {
	case PARTY_MEMCACHED:
		/* "VALUE k000000 0 131072\r\n" data "\r\nEND\r\n" */
		n = sprintf(e, x->put ? "STORED\r\n" : "VALUE k");
		x->answer_bytes = x->put ? 8
					 : (uint32_t)snprintf(NULL, 0, "VALUE k000000 0 %u\r\n",
							      BENCH_VALUE_BYTES) +
						   BENCH_VALUE_BYTES + 7;
		break;
	case PARTY_REDIS:
		n = x->put ? sprintf(e, "+OK\r\n") : sprintf(e, "$%u\r\n", BENCH_VALUE_BYTES);
		x->answer_bytes = (uint32_t)n + (x->put ? 0 : BENCH_VALUE_BYTES + 2);
		break;
	default:
		x->answer_bytes = x->put ? x->s->put_answer : x->s->get_answer;
		break;
	}
	x->expect_bytes = (uint32_t)n;
}

/* Sends as much as the socket takes of requests up to `depth`. */
static int exchange_send(struct exchange *x, bool more)
{
	while (x->sent || (more && x->asked - x->answered < x->s->depth)) {
		uint32_t total, skip;
		struct iovec v[3];
		ssize_t n;
		int k = 0;

		if (!x->sent)
			request_next(x);
		total = x->head_bytes + x->body_bytes + x->tail_bytes;
		v[0] = (struct iovec){x->head, x->head_bytes};
		v[1] = (struct iovec){x->value, x->body_bytes};
		v[2] = (struct iovec){(char *)(uintptr_t) "\r\n", x->tail_bytes};
		for (skip = x->sent; skip >= v[k].iov_len && k < 2; k++)
			skip -= (uint32_t)v[k].iov_len;
		v[k].iov_base = (char *)v[k].iov_base + skip;
		v[k].iov_len -= skip;
		n = writev(x->fd, v + k, 3 - k);
		if (n < 0) {
			if (!x->sent)
				x->next--;
			return errno == EAGAIN ? 0 : -errno;
		}
		x->sent += (uint32_t)n;
		if (x->sent == total) {
			x->sent = 0;
			x->asked++;
		}
	}
	return 0;
}

/* Takes what has come: compares how each answer begins, counts the rest. */
static int exchange_receive(struct exchange *x)
{
	for (;;) {
		ssize_t n = recv(x->fd, x->scratch, DRAIN_BYTES, 0);
		const uint8_t *p = x->scratch;

		if (n == 0)
			return -ECONNRESET;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		while (n) {
			uint32_t part = x->answer_bytes - x->got, check;

			if ((ssize_t)part > n)
				part = (uint32_t)n;
			check = x->got < x->expect_bytes ? x->expect_bytes - x->got : 0;
			if (check > part)
				check = part;
			if (memcmp(p, x->expect + x->got, check))
				return -EPROTO;
			x->got += part;
			p += part;
			n -= (ssize_t)part;
			if (x->got == x->answer_bytes) {
				x->got = 0;
				x->answered++;
			}
		}
	}
}

/* Goes on until `until_ns` or `count` answers, then waits for what is under way. */
static int exchange_loop(struct exchange *x, uint64_t until_ns, uint64_t count)
{
	int rc = 0;

	while (!rc) {
		bool more = x->asked < count && gvm_now_ns() < until_ns && !bench_stopped();
		struct pollfd p = {x->fd, POLLIN, 0};

		rc = exchange_send(x, more);
		if (rc || (!more && !x->sent && x->asked == x->answered))
			break;
		if (x->sent || (more && x->asked - x->answered < x->s->depth))
			p.events |= POLLOUT;
		if (poll(&p, 1, STALL_MS) == 0)
			rc = -ETIMEDOUT;
		else if (p.revents & (POLLIN | POLLHUP | POLLERR))
			rc = exchange_receive(x);
	}
	return rc;
}

static void exchange_reset(struct exchange *x, bool put)
{
	x->put = put;
	x->next = x->answered = x->asked = 0;
	x->got = x->sent = 0;
	answer_shape(x);
}

int bench_store_run(const struct bench_store *s, bool put, unsigned ms, double *mb_s)
{
	struct exchange x = {.s = s};
	uint64_t state = s->port, from;
	int rc;

	x.fd = tcp_connect(s);
	if (x.fd < 0)
		return x.fd;
	x.value = malloc(2 * BENCH_VALUE_BYTES);
	x.scratch = malloc(DRAIN_BYTES);
	rc = x.value && x.scratch ? 0 : -ENOMEM;
	for (unsigned i = 0; !rc && i < 2 * BENCH_VALUE_BYTES; i += 8) {
		uint64_t r = bench_random(&state);

		memcpy(x.value + i, &r, 8);
	}
	if (!rc && fcntl(x.fd, F_SETFL, O_NONBLOCK))
		rc = -errno;
	/* every value is there before one is asked for */
	exchange_reset(&x, true);
	if (!rc && s->party != PARTY_RAW_TCP)
		rc = exchange_loop(&x, UINT64_MAX, s->values);
	exchange_reset(&x, put);
	from = gvm_now_ns();
	if (!rc)
		rc = exchange_loop(&x, from + ms * 1000000ull, UINT64_MAX);
	if (!rc)
		*mb_s = (double)x.answered * BENCH_VALUE_BYTES * 1e3 /
			(double)(gvm_now_ns() - from);
	close(x.fd);
	free(x.value);
	free(x.scratch);
	return rc;
}

/* Sends `count` answers of `bytes` each, in as few calls as the socket takes. */
static bool answers_send(int fd, uint8_t *data, uint32_t bytes, unsigned count)
{
	uint64_t left = (uint64_t)bytes * count;

	while (left) {
		struct iovec v[ANSWERS_MAX];
		struct msghdr msg = {.msg_iov = v};
		uint32_t first = left % bytes ? (uint32_t)(left % bytes) : bytes;
		ssize_t n;

		/* the first one may be under way already */
		for (uint64_t rest = left; rest && msg.msg_iovlen < ANSWERS_MAX;) {
			uint32_t part = msg.msg_iovlen ? bytes : first;

			v[msg.msg_iovlen++] = (struct iovec){data + (bytes - part), part};
			rest -= part;
		}
		n = sendmsg(fd, &msg, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		left -= (uint64_t)n;
	}
	return true;
}

/* One connection: requests are counted off the stream, and what has come is answered at once. */
static void raw_serve_one(int fd, const struct bench_store *s, uint8_t *in, uint8_t *out)
{
	uint32_t left = 0; /* of the request being received */
	bool put = false;

	for (;;) {
		ssize_t n = recv(fd, in, DRAIN_BYTES, 0);
		unsigned due = 0;

		if (n <= 0)
			return;
		for (ssize_t at = 0; at < n;) {
			uint32_t part;

			if (!left) {
				put = in[at] == 'P';
				left = put ? s->put_request : s->get_request;
			}
			part = n - at < (ssize_t)left ? (uint32_t)(n - at) : left;
			at += (ssize_t)part;
			left -= part;
			due += !left;
		}
		/* a run asks for one kind only */
		if (due && !answers_send(fd, out, put ? s->put_answer : s->get_answer, due))
			return;
	}
}

void bench_raw_serve(int listener, const struct bench_store *s)
{
	uint8_t *in = malloc(DRAIN_BYTES), *out = malloc(2 * BENCH_VALUE_BYTES);
	int fd, one = 1;

	if (!in || !out)
		_exit(1);
	memset(out, 'v', 2 * BENCH_VALUE_BYTES);
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		raw_serve_one(fd, s, in, out);
		close(fd);
	}
	_exit(0);
}
