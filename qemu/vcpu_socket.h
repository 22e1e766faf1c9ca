/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * vcpu_socket.h - sockets of the router: waits with an end, on streams of TCP or (in tests) of a
 * Unix socket.
 *
 * A wait for a silent peer is cut into slices, each of which has to pass: where this process or the
 * whole machine stood still for long, one slice has passed, and the peer gets the others to be
 * heard.
 */
#ifndef VCPU_SOCKET_H
#define VCPU_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define VCPU_SLICES 4

struct vcpu_addr {
	struct sockaddr_storage sa;
	socklen_t bytes; /* 0: none */
};

/* 0 or -ENAMETOOLONG. */
int vcpu_addr_unix(const char *path, struct vcpu_addr *addr);

/* A descriptor that does not block, or a negative errno. */
int vcpu_socket_listen(const struct vcpu_addr *addr);
/* Removes what vcpu_socket_listen() left in the file system, if it did. */
void vcpu_socket_forget(const struct vcpu_addr *addr);
/* Those below: for threads that may wait. -ECANCELED: `cancel` (an eventfd) became readable. */
int vcpu_socket_connect(const struct vcpu_addr *addr, int cancel, unsigned timeout_ms);
int vcpu_socket_accept(int listener);
/*
 * At least one byte and at most `room`. -ETIMEDOUT: nothing came for one slice of `silence_ms`, and
 * the caller counts up to VCPU_SLICES. -ECONNRESET: the stream has ended.
 */
int vcpu_socket_read(int fd, uint8_t *bytes, size_t room, unsigned silence_ms);
/* All of them, or -ETIMEDOUT: the peer took none of the rest within `silence_ms`. */
int vcpu_socket_write(int fd, const uint8_t *bytes, size_t count, unsigned silence_ms);

#endif
