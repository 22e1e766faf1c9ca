// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A node of a cluster without a key that has lost its wits: it greets another node as the module
 * does (kmod/frame.h), and then withdraws offers of regions that it never made, one after the
 * other.
 *
 *     flood NODE VICTIM SECONDS [STRANGERS]
 *     flood NODE VICTIM REGION ID PAGES TIMES
 *
 * With STRANGERS it makes so many connections instead, on each of which it sends a part of a
 * greeting and no more; the victim ends those. When the connection ends it makes another one. With
 * a region, whose home the victim is, it asks to read so many pages of it, so many times, and then
 * takes none of the answers, until it is ended.
 */
#define XXH_INLINE_ALL
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <xxhash.h>

#include "../../kmod/ivy/wire.h"
#include "../../kmod/uapi/giantvm.h"

#define PORT 9999
#define LEASE_MS 10000 /* the module's default */
#define HEAD_BYTES 8
#define HELLO_BYTES 40
#define REGION_BYTES 100
#define SEAL_BYTES 16
#define HELLO 1
#define MESSAGE	     3
#define REGION 4
#define WITHDRAW 4
#define AT_ONCE 400
#define RUN	     32	  /* pages */
#define ROOM_BYTES   4096 /* for answers */

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void put(uint8_t *at, uint64_t value, int bytes)
{
	for (; bytes--; value >>= 8)
		*at++ = (uint8_t)value;
}

static void head(uint8_t *frame, unsigned int body_bytes, uint8_t kind)
{
	put(frame, body_bytes, 2);
	frame[2] = kind;
}

static struct sockaddr_in address(unsigned int node, uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = htons(port),
				    .sin_addr.s_addr = htonl(0x0a090001 + node)};
}

static struct giantvm_node listed(unsigned int id)
{
	struct giantvm_node node = {.id = (uint16_t)id, .port = PORT};
	struct sockaddr_in a = address(id, PORT);

	node.address[10] = node.address[11] = 0xff;
	memcpy(&node.address[12], &a.sin_addr, 4);
	return node;
}

static uint64_t digest(unsigned int a, unsigned int b)
{
	struct giantvm_node both[2] = {listed(a < b ? a : b), listed(a < b ? b : a)};

	return XXH64(both, sizeof(both), GIANTVM_ABI | (uint64_t)LEASE_MS << 32);
}

/* A connection on which the other node has answered; -1: none. */
static int greet(unsigned int node, unsigned int victim)
{
	struct sockaddr_in self = address(node, 0), to = address(victim, PORT);
	uint8_t hello[HEAD_BYTES + HELLO_BYTES] = {0}, answer[sizeof(hello)];
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), room = ROOM_BYTES;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	head(hello, HELLO_BYTES, HELLO);
	memcpy(hello + HEAD_BYTES, "GVM-IVY\11", 8);
	put(hello + HEAD_BYTES + 8, node, 2);
	put(hello + HEAD_BYTES + 10, victim, 2);
	put(hello + HEAD_BYTES + 16, digest(node, victim), 8);
	put(hello + HEAD_BYTES + 24, (uint64_t)(now() * 1e9), 8);
	if (!bind(fd, (void *)&self, sizeof(self)) && !connect(fd, (void *)&to, sizeof(to)) &&
	    send(fd, hello, sizeof(hello), MSG_NOSIGNAL) == sizeof(hello) &&
	    recv(fd, answer, sizeof(answer), MSG_WAITALL) == sizeof(answer))
		return fd;
	close(fd);
	return -1;
}

/* Connections of which nobody knows who makes them. */
static int strangers(unsigned int victim, unsigned int nr, double until)
{
	struct sockaddr_in to = address(victim, PORT);
	uint8_t part[HEAD_BYTES + HELLO_BYTES / 2] = {0};
	unsigned int i, made = 0;

	head(part, HELLO_BYTES, HELLO);
	for (i = 0; i < nr; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		made += !connect(fd, (void *)&to, sizeof(to)) &&
			send(fd, part, sizeof(part), MSG_NOSIGNAL) == sizeof(part);
	}
	printf("flood: %u strangers\n", made);
	fflush(stdout);
	while (now() < until)
		usleep(20000);
	return made != nr;
}

static void flood(int fd, double until, unsigned long *sent)
{
	static uint8_t frames[AT_ONCE][HEAD_BYTES + REGION_BYTES + SEAL_BYTES], said[65536];
	uint64_t number = 0; /* of the frame on this connection */
	unsigned int i;

	do {
		for (i = 0; i < AT_ONCE; i++, ++*sent) {
			uint8_t *body = frames[i] + HEAD_BYTES;

			memset(frames[i], 0, sizeof(frames[i]));
			head(frames[i], REGION_BYTES, REGION);
			body[0] = WITHDRAW;
			put(body + 4, *sent + 1, 4);
			put(body + 8, 1, 8);  /* pages */
			put(body + 24, 1, 8); /* id */
			snprintf((char *)body + 32, 32, "none%lu", *sent % 1000);
			put(body + REGION_BYTES, XXH64(frames[i], HEAD_BYTES + REGION_BYTES, number++), 8);
		}
		while (recv(fd, said, sizeof(said), MSG_DONTWAIT) > 0)
			;
	} while (send(fd, frames, sizeof(frames), MSG_NOSIGNAL) == sizeof(frames) && now() < until);
}

/* As region_tag() of the module. */
static uint32_t region_tag(const char *name, uint64_t id, uint64_t pages)
{
	uint8_t which[16];

	put(which, id, 8);
	put(which + 8, pages, 8);
	return XXH32(name, strlen(name), XXH32(which, sizeof(which), 0));
}

/* A message of the protocol core without a page. */
static int tell(int fd, uint64_t *number, uint32_t tag, const struct ivy_msg *m)
{
	uint8_t frame[HEAD_BYTES + IVY_HDR_BYTES + 8 + SEAL_BYTES] = {0};
	unsigned int bytes = IVY_HDR_BYTES + m->count * 8;

	head(frame, bytes, MESSAGE);
	put(frame + 4, tag, 4);
	put(frame + HEAD_BYTES, m->type, 1);
	put(frame + HEAD_BYTES + 2, m->src, 2);
	put(frame + HEAD_BYTES + 4, m->more, 2);
	put(frame + HEAD_BYTES + 6, m->count, 2);
	put(frame + HEAD_BYTES + 8, m->page, 8);
	put(frame + HEAD_BYTES + 16, m->ver, 8);
	put(frame + HEAD_BYTES + 24, m->count ? 0 : m->who, 8);
	put(frame + HEAD_BYTES + 32, m->inc, 8);
	if (m->count)
		put(frame + HEAD_BYTES + IVY_HDR_BYTES, m->who, 8);
	bytes += HEAD_BYTES;
	put(frame + bytes, XXH64(frame, bytes, (*number)++), 8);
	bytes += SEAL_BYTES;
	return send(fd, frame, bytes, MSG_NOSIGNAL) != (ssize_t)bytes;
}

static int deaf(unsigned int node, unsigned int victim, uint32_t tag, uint64_t pages,
		unsigned int times)
{
	uint64_t number = 0, request = (uint64_t)(now() * 1e3);
	struct ivy_msg lease = {.type = IVY_LEASE, .src = (uint16_t)node, .inc = request, .ver = 1};
	int fd = greet(node, victim), err = fd < 0;
	uint64_t page;

	err = err || tell(fd, &number, tag, &lease);
	for (; times && !err; times--) {
		for (page = 0; page < pages && !err; page += RUN, request += RUN) {
			struct ivy_msg m = {.type = IVY_GETS,
					    .src = (uint16_t)node,
					    .more = RUN - 1,
					    .count = 1,
					    .page = page,
					    .who = ivy_who((uint16_t)node, request + 1)};

			err = tell(fd, &number, tag, &m);
		}
	}
	printf("flood: %s\n", err ? "it takes no questions" : "no answer is taken");
	fflush(stdout);
	while (!err)
		pause();
	return err;
}

int main(int argc, char **argv)
{
	double until = now() + (argc > 3 ? atof(argv[3]) : 0);
	unsigned long sent = 0, connections = 0;
	int fd;

	if (argc == 7)
		return deaf(
			(unsigned int)atoi(argv[1]), (unsigned int)atoi(argv[2]),
			region_tag(argv[3], strtoull(argv[4], NULL, 0), strtoull(argv[5], NULL, 0)),
			strtoull(argv[5], NULL, 0), (unsigned int)atoi(argv[6]));
	if (argc == 5)
		return strangers((unsigned int)atoi(argv[2]), (unsigned int)atoi(argv[4]), until);
	if (argc != 4)
		return 2;
	while (now() < until) {
		fd = greet((unsigned int)atoi(argv[1]), (unsigned int)atoi(argv[2]));
		if (fd < 0) {
			usleep(20000);
			continue;
		}
		connections++;
		flood(fd, until, &sent);
		close(fd);
	}
	printf("flood: %lu withdrawals on %lu connections\n", sent, connections);
	return !sent;
}
