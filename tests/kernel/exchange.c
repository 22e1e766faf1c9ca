// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The raw exchange that a remote fault is measured against: over TCP, as many bytes as a request
 * and an answer with a page have. And how fast bytes come that nobody has to ask for.
 *
 *     exchange serve | exchange ADDRESS ROUNDS | exchange ADDRESS 0 MIB
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PORT 7000
#define REQUEST_BYTES 48
#define ANSWER_BYTES (48 + 4096)
#define STREAM_BYTES (64 << 10) /* at a time */

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static int read_all(int fd, char *data, size_t bytes)
{
	ssize_t got;

	for (; bytes; data += got, bytes -= got) {
		got = read(fd, data, bytes);
		if (got <= 0)
			return -1;
	}
	return 0;
}

/* An answer; or, if the request says so, that many MiB. */
static int answer(int connection, const char *request)
{
	static char data[STREAM_BYTES];
	unsigned int mib, i;

	memcpy(&mib, request, sizeof(mib));
	if (!mib)
		return write(connection, data, ANSWER_BYTES) != ANSWER_BYTES;
	for (i = 0; i < mib * ((1 << 20) / STREAM_BYTES); i++)
		if (write(connection, data, STREAM_BYTES) != STREAM_BYTES)
			return 1;
	return 0;
}

static int serve(int fd)
{
	static char data[REQUEST_BYTES];
	int one = 1, connection;

	if (listen(fd, 1))
		return 1;
	for (;;) {
		connection = accept(fd, NULL, NULL);
		if (connection < 0)
			return 1;
		setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		while (!read_all(connection, data, REQUEST_BYTES))
			if (answer(connection, data))
				break;
		close(connection);
	}
}

static int ask(int fd, unsigned int rounds)
{
	static char data[ANSWER_BYTES];
	double *seconds = calloc(rounds, sizeof(*seconds)), begun;
	unsigned int i;

	for (i = 0; i < rounds; i++) {
		begun = now();
		if (write(fd, data, REQUEST_BYTES) != REQUEST_BYTES ||
		    read_all(fd, data, ANSWER_BYTES))
			return 1;
		seconds[i] = now() - begun;
	}
	qsort(seconds, rounds, sizeof(*seconds), by_value);
	printf("exchange: median %.1f us, 90 %% %.1f us\n", seconds[rounds / 2] * 1e6,
	       seconds[rounds * 9 / 10] * 1e6);
	return 0;
}

static int stream(int fd, unsigned int mib)
{
	static char data[STREAM_BYTES];
	double begun = now();
	unsigned int i;

	memcpy(data, &mib, sizeof(mib));
	if (write(fd, data, REQUEST_BYTES) != REQUEST_BYTES)
		return 1;
	for (i = 0; i < mib * ((1 << 20) / STREAM_BYTES); i++)
		if (read_all(fd, data, STREAM_BYTES))
			return 1;
	printf("exchange: stream: %.2f MB/s\n", mib * 1048576.0 / (now() - begun) / 1e6);
	return 0;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (argc == 2 && !strcmp(argv[1], "serve"))
		return bind(fd, (struct sockaddr *)&address, sizeof(address)) || serve(fd);
	if (argc < 3 || argc > 4 || inet_pton(AF_INET, argv[1], &address.sin_addr) != 1)
		return 2;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) ||
	    (argc == 4 ? stream(fd, atoi(argv[3])) : ask(fd, atoi(argv[2])))) {
		perror("exchange");
		return 1;
	}
	return 0;
}
