// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * wire LISTEN-ADDRESS PORT TARGET-PORT COMMANDS - the way to a node, which passes TCP connections
 *on to 127.0.0.1 and does to them what the lines say that it reads from the pipe COMMANDS:
 *
 *	delay US	bytes take so much longer, in both directions
 *	flip BYTES BIT	after so many more bytes one bit of what passes is the other one
 *	reset		every connection of now ends with RST, at both ends
 *
 * Each is answered with its line, a flip when it has happened. One thread; bytes wait in pieces
 *that know when they are due.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { PAIRS = 64, PIECE_BYTES = 64 << 10, QUEUE_BYTES = 2 << 20 };

struct piece {
	struct piece *next;
	uint64_t due_ns;
	size_t bytes, sent;
	uint8_t data[PIECE_BYTES];
};

/* From one end to the other. */
struct way {
	struct piece *first, **last;
	size_t queued;
	bool ended, passed_on; /* the source has said its last; the sink knows it */
};

struct pair {
	int fd[2];	   /* who came, and the node; -1: unused */
	struct way way[2]; /* way[i]: from fd[i] */
};

static struct pair pairs[PAIRS];
static uint64_t delay_ns, flip_after, flip_bit;
static bool flipping;

static void fail(const char *what)
{
	fprintf(stderr, "wire: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void end_close(int fd, bool reset)
{
	struct linger linger = {.l_onoff = 1};

	if (reset)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	close(fd);
}

static void pair_close(struct pair *p, bool reset)
{
	unsigned i;

	for (i = 0; i < 2; i++) {
		struct piece *piece;

		end_close(p->fd[i], reset);
		p->fd[i] = -1;
		while ((piece = p->way[i].first)) {
			p->way[i].first = piece->next;
			free(piece);
		}
	}
}

static int node_connect(uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	/* On the loopback it is there, or refuses, at once; a node that is stopped has a backlog.
	 */
	if (connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		close(fd);
		return -1;
	}
	return fd;
}

static void fd_prepare(int fd)
{
	/* The node's own (memnode/daemon/main.c), which sees only us. */
	static const int options[][3] = {
		{SOL_SOCKET, SO_KEEPALIVE, 1},	 {IPPROTO_TCP, TCP_NODELAY, 1},
		{IPPROTO_TCP, TCP_KEEPIDLE, 10}, {IPPROTO_TCP, TCP_KEEPINTVL, 5},
		{IPPROTO_TCP, TCP_KEEPCNT, 4},	 {IPPROTO_TCP, TCP_USER_TIMEOUT, 30000},
	};
	unsigned i;

	for (i = 0; i < sizeof(options) / sizeof(*options); i++)
		setsockopt(fd, options[i][0], options[i][1], &options[i][2], sizeof(int));
	fcntl(fd, F_SETFL, O_NONBLOCK);
}

static void pair_accept(int listener, uint16_t port)
{
	int near = accept4(listener, NULL, NULL, SOCK_CLOEXEC), far;
	unsigned i;

	if (near < 0)
		return;
	for (i = 0; i < PAIRS && pairs[i].fd[0] >= 0; i++)
		;
	far = i < PAIRS ? node_connect(port) : -1;
	if (far < 0) {
		end_close(near, true);
		return;
	}
	fd_prepare(near);
	fd_prepare(far);
	pairs[i] = (struct pair){.fd = {near, far}};
	pairs[i].way[0].last = &pairs[i].way[0].first;
	pairs[i].way[1].last = &pairs[i].way[1].first;
}

static void piece_flip(struct piece *piece)
{
	if (!flipping)
		return;
	if (flip_after >= piece->bytes) {
		flip_after -= piece->bytes;
		return;
	}
	piece->data[flip_after] ^= 1 << flip_bit;
	flipping = false;
	printf("flip\n");
}

/* Whether the pair still is one. */
static bool way_read(struct pair *p, unsigned from)
{
	struct way *w = &p->way[from];
	struct piece *piece = malloc(sizeof(*piece));
	ssize_t n;

	if (!piece)
		fail("malloc");
	n = read(p->fd[from], piece->data, sizeof(piece->data));
	if (n <= 0) {
		free(piece);
		w->ended = !n;
		return !n || errno == EAGAIN;
	}
	piece->next = NULL;
	piece->bytes = (size_t)n;
	piece->sent = 0;
	piece->due_ns = now_ns() + delay_ns;
	piece_flip(piece);
	*w->last = piece;
	w->last = &piece->next;
	w->queued += piece->bytes;
	return true;
}

static bool way_write(struct pair *p, unsigned from, uint64_t now)
{
	struct way *w = &p->way[from];
	struct piece *piece;

	while ((piece = w->first) && piece->due_ns <= now) {
		ssize_t n = send(p->fd[!from], piece->data + piece->sent,
				 piece->bytes - piece->sent, MSG_NOSIGNAL);

		if (n < 0)
			return errno == EAGAIN;
		piece->sent += (size_t)n;
		if (piece->sent < piece->bytes)
			return true;
		w->first = piece->next;
		if (!w->first)
			w->last = &w->first;
		w->queued -= piece->bytes;
		free(piece);
	}
	if (!w->first && w->ended && !w->passed_on) {
		shutdown(p->fd[!from], SHUT_WR);
		w->passed_on = true;
	}
	return !p->way[0].passed_on || !p->way[1].passed_on;
}

static void command_obey(const char *line)
{
	unsigned long long first, second;
	unsigned i;

	if (sscanf(line, "delay %llu", &first) == 1) {
		delay_ns = first * 1000;
	} else if (sscanf(line, "flip %llu %llu", &first, &second) == 2) {
		flip_after = first;
		flip_bit = second % 8;
		flipping = true;
		return;
	} else {
		for (i = 0; i < PAIRS; i++)
			if (pairs[i].fd[0] >= 0)
				pair_close(&pairs[i], true);
	}
	printf("%s\n", line);
}

static void commands_read(int fd)
{
	static char line[256];
	static size_t length;
	char c;

	while (read(fd, &c, 1) == 1) {
		if (c != '\n' && length + 1 < sizeof(line)) {
			line[length++] = c;
			continue;
		}
		line[length] = 0;
		length = 0;
		command_obey(line);
	}
}

/* What to wait for at one end of a pair; takes the time until the next piece is due into *wait_ns.
 */
static short end_events(const struct pair *p, unsigned i, uint64_t now, uint64_t *wait_ns)
{
	const struct way *in = &p->way[i], *out = &p->way[!i];
	short events = 0;

	if (!in->ended && in->queued < QUEUE_BYTES)
		events |= POLLIN;
	if (!out->first)
		return events;
	if (out->first->due_ns <= now)
		return events | POLLOUT;
	if (out->first->due_ns - now < *wait_ns)
		*wait_ns = out->first->due_ns - now;
	return events;
}

static void serve(int listener, int commands, uint16_t port)
{
	struct pollfd polled[2 + 2 * PAIRS];
	uint64_t wait_ns = 1000000000, now = now_ns();
	struct timespec wait;
	unsigned i, end;

	polled[0] = (struct pollfd){.fd = listener, .events = POLLIN};
	polled[1] = (struct pollfd){.fd = commands, .events = POLLIN};
	for (i = 0; i < 2 * PAIRS; i++) {
		struct pair *p = &pairs[i / 2];

		polled[2 + i] = (struct pollfd){.fd = -1};
		if (p->fd[0] >= 0)
			polled[2 + i].events = end_events(p, i % 2, now, &wait_ns);
		if (polled[2 + i].events)
			polled[2 + i].fd = p->fd[i % 2];
	}
	wait = (struct timespec){(time_t)(wait_ns / 1000000000), (long)(wait_ns % 1000000000)};
	if (ppoll(polled, 2 + 2 * PAIRS, &wait, NULL) < 0 && errno != EINTR)
		fail("poll");
	now = now_ns();
	for (i = 0; i < PAIRS; i++) {
		struct pair *p = &pairs[i];

		for (end = 0; end < 2 && p->fd[0] >= 0; end++) {
			short seen = polled[2 + 2 * i + end].revents;

			if ((seen & (POLLIN | POLLHUP | POLLERR) && !p->way[end].ended &&
			     !way_read(p, end)) ||
			    !way_write(p, end, now))
				pair_close(p, !p->way[0].passed_on || !p->way[1].passed_on);
		}
	}
	if (polled[1].revents)
		commands_read(commands);
	if (polled[0].revents)
		pair_accept(listener, port);
}

int main(int argc, char **argv)
{
	struct sockaddr_in here = {.sin_family = AF_INET};
	int listener, commands, one = 1;
	unsigned i;

	if (argc != 5 || inet_pton(AF_INET, argv[1], &here.sin_addr) != 1) {
		fputs("usage: wire ADDRESS PORT TARGET-PORT COMMANDS\n", stderr);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	for (i = 0; i < PAIRS; i++)
		pairs[i].fd[0] = pairs[i].fd[1] = -1;
	here.sin_port = htons((uint16_t)atoi(argv[2]));
	listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (listener < 0 || bind(listener, (struct sockaddr *)&here, sizeof(here)) ||
	    listen(listener, 64))
		fail(argv[1]);
	commands = open(argv[4], O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (commands < 0)
		fail(argv[4]);
	printf("wire on %s:%s\n", argv[1], argv[2]);
	for (;;)
		serve(listener, commands, (uint16_t)atoi(argv[3]));
}
