// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An Ethernet switch for QEMU's -netdev dgram over UNIX sockets, that does to frames what a bad
 * network does.
 *
 *     switch FOLDER PORTS [SEED]
 *
 * Port N sends to FOLDER/switchN and is sent to at FOLDER/guestN. What happens to frames is told by
 * datagrams to FOLDER/control, each a line; percents may have fractions:
 *
 *     drop PERCENT | repeat PERCENT | reorder PERCENT | delay MICROSECONDS
 *     cut PORT | heal PORT      nothing goes into or comes out of the port | again it does
 *     break PORT OTHER          a TCP connection of the port ends: the next segment that goes to it from the other
 *                               one is a reset; then it is cut, so that only one end knows
 *
 * Frames wait in one list, ordered by when they are due; a reordered one is due up to 2 ms later.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define PORTS_MAX 16
#define FRAME_BYTES_MAX 9216
#define WAITING_MAX 16384
#define REORDER_NS_MAX 2000000
#define ETHERNET_BYTES 14
#define TCP_BYTES 20
#define TCP_FLAGS 13 /* where they are in the header */
#define TCP_SUM 16
#define TCP_RST 4
#define TCP_SYN 2

struct frame {
	struct frame *next;
	uint64_t due_ns;
	int port;
	size_t bytes;
	unsigned char data[];
};

static struct port {
	int fd;
	struct sockaddr_un guest;
	unsigned char mac[6];
	bool cut;
	int breaks; /* 1 + the port from which a reset comes; 0: none */
} ports[PORTS_MAX];

static int nr_ports;
static double drop_percent, repeat_percent, reorder_percent;
static uint64_t delay_ns;
static struct frame *waiting;
static size_t nr_waiting;
static uint64_t random_state;

static uint64_t random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state >> 11;
}

static bool happens(double percent)
{
	return random_next() % 1000000 < percent * 10000;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* A full or absent receiver loses the frame, as on a real wire. */
static void frame_send(int port, const void *data, size_t bytes)
{
	sendto(ports[port].fd, data, bytes, MSG_DONTWAIT, (struct sockaddr *)&ports[port].guest,
	       sizeof(ports[port].guest));
}

static void frame_queue(int port, const void *data, size_t bytes, uint64_t due_ns)
{
	struct frame *frame, **at = &waiting;

	frame = malloc(sizeof(*frame) + bytes);
	if (!frame)
		return;
	frame->due_ns = due_ns;
	frame->port = port;
	frame->bytes = bytes;
	memcpy(frame->data, data, bytes);
	while (*at && (*at)->due_ns <= due_ns)
		at = &(*at)->next;
	frame->next = *at;
	*at = frame;
	nr_waiting++;
}

/* Makes a TCP segment over IPv4 a reset; false: the frame is none. */
static bool segment_reset(unsigned char *data, size_t bytes)
{
	unsigned char *ip = data + ETHERNET_BYTES, *tcp = ip + (ip[0] & 0xf) * 4;
	uint32_t sum;

	if (bytes < (size_t)(tcp - data) + TCP_BYTES || data[12] != 8 || data[13] || ip[9] != IPPROTO_TCP ||
	    tcp[TCP_FLAGS] & (TCP_RST | TCP_SYN))
		return false;
	tcp[TCP_FLAGS] |= TCP_RST;
	/* RFC 1624: what the sum lacks now. */
	sum = 0xffffu - (tcp[TCP_SUM] << 8 | tcp[TCP_SUM + 1]) + TCP_RST;
	sum = 0xffffu - ((sum & 0xffff) + (sum >> 16));
	tcp[TCP_SUM] = (unsigned char)(sum >> 8);
	tcp[TCP_SUM + 1] = (unsigned char)sum;
	return true;
}

static void frame_forward(int from, int port, void *data, size_t bytes)
{
	int copies = 1 + happens(repeat_percent);

	if (ports[port].cut || happens(drop_percent))
		return;
	if (ports[port].breaks == 1 + from && segment_reset(data, bytes)) {
		ports[port].breaks = 0;
		ports[port].cut = true;
	}
	while (copies--) {
		uint64_t wait_ns = delay_ns;

		if (happens(reorder_percent))
			wait_ns += random_next() % REORDER_NS_MAX;
		if (wait_ns && nr_waiting < WAITING_MAX)
			frame_queue(port, data, bytes, now_ns() + wait_ns);
		else
			frame_send(port, data, bytes);
	}
}

static void port_receive(int from)
{
	unsigned char data[FRAME_BYTES_MAX];
	ssize_t bytes;
	int to, port;

	while ((bytes = recv(ports[from].fd, data, sizeof(data), MSG_DONTWAIT)) >= 14) {
		if (ports[from].cut)
			continue;
		memcpy(ports[from].mac, data + 6, 6);
		to = -1;
		for (port = 0; port < nr_ports && !(data[0] & 1); port++)
			if (!memcmp(ports[port].mac, data, 6))
				to = port;
		for (port = 0; port < nr_ports; port++)
			if (port != from && (to < 0 || to == port))
				frame_forward(from, port, data, bytes);
	}
}

static void frames_send_due(void)
{
	struct frame *frame;

	while ((frame = waiting) && frame->due_ns <= now_ns()) {
		waiting = frame->next;
		nr_waiting--;
		if (!ports[frame->port].cut)
			frame_send(frame->port, frame->data, frame->bytes);
		free(frame);
	}
}

static void control_receive(int fd)
{
	char line[128], word[16];
	double value;
	ssize_t bytes;
	int other = -1;

	bytes = recv(fd, line, sizeof(line) - 1, MSG_DONTWAIT);
	if (bytes <= 0)
		return;
	line[bytes] = 0;
	if (sscanf(line, "%15s %lf %d", word, &value, &other) < 2) {
		fprintf(stderr, "switch: what is '%s'?\n", line);
		return;
	}
	if (!strcmp(word, "drop"))
		drop_percent = value;
	else if (!strcmp(word, "repeat"))
		repeat_percent = value;
	else if (!strcmp(word, "reorder"))
		reorder_percent = value;
	else if (!strcmp(word, "delay"))
		delay_ns = value * 1000;
	else if ((!strcmp(word, "cut") || !strcmp(word, "heal")) && value >= 0 && value < nr_ports)
		ports[(int)value].cut = word[0] == 'c';
	else if (!strcmp(word, "break") && value >= 0 && value < nr_ports && other >= 0)
		ports[(int)value].breaks = 1 + other;
	else
		fprintf(stderr, "switch: what is '%s'?\n", line);
}

static int socket_bind(const char *folder, const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int bytes = 1 << 20, fd;

	if (snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", folder, name) >=
	    (int)sizeof(address.sun_path)) {
		fprintf(stderr, "switch: %s: the path is too long\n", folder);
		exit(1);
	}
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address))) {
		fprintf(stderr, "switch: %s: %s\n", address.sun_path, strerror(errno));
		exit(1);
	}
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	return fd;
}

int main(int argc, char **argv)
{
	struct pollfd polled[PORTS_MAX + 1];
	char name[16];
	int port;

	nr_ports = argc >= 3 ? atoi(argv[2]) : 0;
	if (nr_ports < 1 || nr_ports > PORTS_MAX) {
		fprintf(stderr, "usage: switch FOLDER PORTS [SEED]\n");
		return 2;
	}
	random_state = (argc > 3 ? strtoull(argv[3], NULL, 0) : 1) * 2654435761u + 88172645463325252ull;
	for (port = 0; port < nr_ports; port++) {
		snprintf(name, sizeof(name), "switch%d", port);
		ports[port].fd = socket_bind(argv[1], name);
		ports[port].guest.sun_family = AF_UNIX;
		snprintf(ports[port].guest.sun_path, sizeof(ports[port].guest.sun_path), "%s/guest%d",
			 argv[1], port);
		polled[port] = (struct pollfd){ .fd = ports[port].fd, .events = POLLIN };
	}
	polled[nr_ports] = (struct pollfd){ .fd = socket_bind(argv[1], "control"), .events = POLLIN };
	printf("switch: up\n");
	fflush(stdout);
	for (;;) {
		int wait_ms = waiting ? (waiting->due_ns > now_ns() + 1000000) : -1;

		if (poll(polled, nr_ports + 1, wait_ms) < 0 && errno != EINTR)
			return 1;
		for (port = 0; port < nr_ports; port++)
			if (polled[port].revents)
				port_receive(port);
		if (polled[nr_ports].revents)
			control_receive(polled[nr_ports].fd);
		frames_send_due();
	}
}
