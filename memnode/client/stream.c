// SPDX-License-Identifier: GPL-2.0-or-later
/* stream.c - see stream.h. */
#include "stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

int stream_init(struct stream *s, const void *key, size_t key_bytes)
{
	*s = (struct stream){.fd = -1};
	if (!key)
		return 0;
	/* Pages of it come into being when they are used. */
	s->bufs = mmap(NULL, 2 * STREAM_BUF_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (s->bufs == MAP_FAILED) {
		s->bufs = NULL;
		return -ENOMEM;
	}
	return tls_key_create(key, key_bytes, false, &s->key);
}

void stream_deinit(struct stream *s)
{
	tls_deinit(&s->tls);
	tls_key_destroy(s->key);
	if (s->bufs)
		munmap(s->bufs, 2 * STREAM_BUF_BYTES);
	*s = (struct stream){.fd = -1};
}

int stream_open(struct stream *s, int fd)
{
	s->fd = fd;
	return s->key ? tls_init(&s->tls, s->key, s->bufs, STREAM_BUF_BYTES, s->bufs + STREAM_BUF_BYTES,
				 STREAM_BUF_BYTES) :
			0;
}

void stream_close(struct stream *s, bool polite)
{
	if (s->tls.ssl && polite) {
		tls_close(&s->tls);
		stream_flush(s);
	}
	tls_deinit(&s->tls);
	s->fd = -1;
}

int stream_flush(struct stream *s)
{
	while (s->tls.ssl && tls_out_bytes(&s->tls)) {
		ssize_t n = send(s->fd, s->tls.out.buf + s->tls.out.start, tls_out_bytes(&s->tls),
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		tls_out_sent(&s->tls, (size_t)n);
	}
	return 0;
}

/* Ciphertext from the socket: its bytes, 0 at the end, or -errno. */
static ssize_t cipher_recv(struct stream *s, size_t at_once)
{
	size_t room;
	uint8_t *at = tls_in_room(&s->tls, &room);
	ssize_t n;

	room = room < at_once ? room : at_once;
	do
		n = recv(s->fd, at, room, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	tls_in_add(&s->tls, (size_t)n);
	s->tls.ended = !n;
	s->emptied = (size_t)n < room;
	return n;
}

int stream_handshake(struct stream *s, const char **why)
{
	for (;;) {
		int err = tls_handshake(&s->tls), sent = stream_flush(s);
		ssize_t n;

		*why = s->tls.why;
		if (err != -EAGAIN)
			return err;
		*why = "the node ended the TLS handshake: was it started with --tls?";
		n = sent && sent != -EAGAIN ? sent : cipher_recv(s, SIZE_MAX);
		if (n == -EAGAIN)
			return -EAGAIN;
		/* A node that uses no TLS closes with our bytes unread. */
		if (n == -ECONNRESET || n == -EPIPE)
			return -EPIPE;
		*why = n < 0 ? strerrordesc_np((int)-n) : *why;
		if (n < 0)
			return (int)n;
		if (!n)
			return -EPIPE;
	}
}

static ssize_t secure_recv(struct stream *s, uint8_t *p, size_t bytes, size_t at_once)
{
	size_t got = 0;
	bool asked = false;

	while (got < bytes) {
		ssize_t n = tls_read(&s->tls, p + got, bytes - got);

		if (n > 0) {
			got += (size_t)n;
			/* What is awaited has a record of its own, and is used before others are opened. */
			if (at_once < SIZE_MAX)
				break;
			continue;
		}
		/* What came before an end or an error is handed out first: either stays. */
		if (n != -EAGAIN)
			return got ? (ssize_t)got : n;
		if (asked || s->tls.ended)
			break;
		n = cipher_recv(s, at_once);
		if (n < 0)
			return got ? (ssize_t)got : n;
		asked = true;
	}
	return got ? (ssize_t)got : -EAGAIN;
}

ssize_t stream_recv(struct stream *s, void *p, size_t bytes, size_t at_once)
{
	ssize_t n;

	if (s->key)
		return secure_recv(s, p, bytes, at_once);
	bytes = bytes < at_once ? bytes : at_once;
	do
		n = recv(s->fd, p, bytes, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	s->emptied = n < 0 || (size_t)n < bytes;
	return n < 0 ? -errno : n;
}

static ssize_t secure_sendv(struct stream *s, const struct iovec *iov, unsigned iovs)
{
	/* What was taken before goes first; a socket that does not take it takes nothing new. */
	int err = stream_flush(s);
	ssize_t n;

	if (err)
		return err;
	n = tls_writev(&s->tls, iov, iovs);
	if (n < 0)
		return -EBADMSG;
	err = stream_flush(s);
	return err && err != -EAGAIN ? err : n;
}

ssize_t stream_sendv(struct stream *s, const struct iovec *iov, unsigned iovs)
{
	struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = iovs};
	ssize_t n;

	if (s->key)
		return secure_sendv(s, iov, iovs);
	do
		n = sendmsg(s->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}
