// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An attacker between two nodes, on the host of one of them: everything that this node and the other
 * one send each other goes through this program. It lets connections and their handshakes pass
 * (kmod/frame.h), and then does to a frame that carries a page what it is told.
 *
 *     onpath OWN OTHER FIFO &
 *     nsenter -t $(pidof onpath) -n gvm dsm up ...
 *
 * OWN and OTHER are the addresses of the nodes. This program listens at OWN in the place of the node,
 * which has a network namespace of its own, in which both addresses are this host's. A line of FIFO is
 * what is to be done, once:
 *
 *     flip    another bit in the page             forge   another page
 *     length  another length of the frame         repeat  the frame comes twice
 *     drop    it never comes                      swap    it comes after the next one
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define PORT 9999
#define HEAD_BYTES 8
#define MESSAGE_BYTES 40
#define PAGE_BYTES 4096
#define SEAL_BYTES 16
#define HANDSHAKE_FRAMES 2 /* that each side sends first; they have no seal */
#define FRAME_BYTES_MAX (HEAD_BYTES + UINT16_MAX + SEAL_BYTES)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char order[16]; /* under lock; empty: none */

struct way {
	int from, to;
};

struct side {
	int listener, net; /* where it listens; the namespace in which it connects */
	struct sockaddr_in to;
};

static void need(int ok, const char *what)
{
	if (ok)
		return;
	perror(what);
	exit(1);
}

static struct sockaddr_in address(const char *text)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = inet_addr(text)};
}

static int take(int fd, void *to, size_t bytes)
{
	return recv(fd, to, bytes, MSG_WAITALL) == (ssize_t)bytes;
}

static int pass(int fd, const void *from, size_t bytes)
{
	return send(fd, from, bytes, MSG_NOSIGNAL) == (ssize_t)bytes;
}

/* The whole frame: its bytes, or 0: the connection has ended. */
static size_t frame_take(int fd, unsigned long number, uint8_t *frame)
{
	size_t rest;

	if (!take(fd, frame, HEAD_BYTES))
		return 0;
	rest = frame[0] + 256u * frame[1] + (number < HANDSHAKE_FRAMES ? 0 : SEAL_BYTES);
	return take(fd, frame + HEAD_BYTES, rest) ? HEAD_BYTES + rest : 0;
}

/* What is to be done with a frame that carries a page; empty: nothing. */
static void order_take(char *what)
{
	pthread_mutex_lock(&lock);
	strcpy(what, order);
	order[0] = 0;
	pthread_mutex_unlock(&lock);
	if (*what) {
		printf("onpath: %s\n", what);
		fflush(stdout);
	}
}

static int frame_attack(struct way *way, uint8_t *frame, size_t bytes)
{
	static __thread uint8_t next[FRAME_BYTES_MAX];
	char what[sizeof(order)];
	size_t next_bytes;

	order_take(what);
	if (!strcmp(what, "flip"))
		frame[HEAD_BYTES + MESSAGE_BYTES + 100] ^= 4;
	else if (!strcmp(what, "forge"))
		memset(frame + HEAD_BYTES + MESSAGE_BYTES, 0x66, PAGE_BYTES);
	else if (!strcmp(what, "length"))
		frame[0] ^= 1;
	else if (!strcmp(what, "drop"))
		return 1;
	else if (!strcmp(what, "swap")) {
		next_bytes = frame_take(way->from, HANDSHAKE_FRAMES, next);
		if (!next_bytes || !pass(way->to, next, next_bytes))
			return 0;
	} else if (!strcmp(what, "repeat") && !pass(way->to, frame, bytes))
		return 0;
	return pass(way->to, frame, bytes);
}

static void *way_run(void *argument)
{
	struct way way = *(struct way *)argument;
	uint8_t *frame = malloc(FRAME_BYTES_MAX);
	unsigned long number = 0;
	size_t bytes;

	free(argument);
	for (; frame && (bytes = frame_take(way.from, number, frame)); number++)
		if (number >= HANDSHAKE_FRAMES && bytes > PAGE_BYTES ? !frame_attack(&way, frame, bytes)
								     : !pass(way.to, frame, bytes))
			break;
	free(frame);
	shutdown(way.from, SHUT_RDWR);
	shutdown(way.to, SHUT_RDWR);
	return NULL;
}

static void way_begin(int from, int to)
{
	struct way *way = malloc(sizeof(*way));
	pthread_t thread;

	need(way != NULL, "malloc");
	*way = (struct way){from, to};
	need(!pthread_create(&thread, NULL, way_run, way), "pthread_create");
	pthread_detach(thread);
}

/* The descriptors of ended connections stay: there are few. */
static void *side_run(void *argument)
{
	struct side *side = argument;
	int in, out;

	need(!setns(side->net, CLONE_NEWNET), "setns");
	while ((in = accept(side->listener, NULL, NULL)) >= 0) {
		out = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(out, (void *)&side->to, sizeof(side->to))) {
			close(in);
			close(out);
			continue;
		}
		way_begin(in, out);
		way_begin(out, in);
	}
	return NULL;
}

static void side_begin(struct side *side, const char *own, const char *to, int net)
{
	struct sockaddr_in at = address(own);
	pthread_t thread;
	int yes = 1;

	side->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	side->net = net;
	side->to = address(to);
	setsockopt(side->listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	need(!bind(side->listener, (void *)&at, sizeof(at)) && !listen(side->listener, 8), "listen");
	need(!pthread_create(&thread, NULL, side_run, side), "pthread_create");
}

static int net_open(void)
{
	int fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	need(fd >= 0, "/proc/thread-self/ns/net");
	return fd;
}

int main(int argc, char **argv)
{
	static struct side outer, inner;
	char command[128], line[sizeof(order)];
	int net;
	FILE *fifo;

	if (argc != 4)
		return 2;
	net = net_open();
	need(!unshare(CLONE_NEWNET), "unshare");
	snprintf(command, sizeof(command), "ip link set lo up; ip addr add %s/32 dev lo; ip addr add %s/32 dev lo",
		 argv[1], argv[2]);
	need(!system(command), command);
	side_begin(&inner, argv[2], argv[2], net);
	net = net_open();
	need(!setns(inner.net, CLONE_NEWNET), "setns");
	side_begin(&outer, argv[1], argv[1], net);
	need(!setns(net, CLONE_NEWNET), "setns");
	need(!mkfifo(argv[3], 0600), argv[3]);
	printf("onpath: up\n");
	fflush(stdout);
	/* Open for writing, too, so that it never ends. */
	fifo = fopen(argv[3], "r+");
	while (fifo && fscanf(fifo, "%15s", line) == 1) {
		pthread_mutex_lock(&lock);
		strcpy(order, line);
		pthread_mutex_unlock(&lock);
	}
	return 1;
}
