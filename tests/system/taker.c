// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * taker.c - a client of the fast path that reads its own userfaultfd, and makes it again and again a
 * descriptor whose reads wait: whoever sees a message there may find it gone, and wait for the next.
 *
 *	taker SOCKET REGION BYTES
 *
 * With one more argument it takes nothing: it makes it such a descriptor, and touches a page, a few times, and from
 * then on does nothing at all.
 */
#include "gvm_attach.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define TAKERS	 4
#define TOUCHERS 4
#define PAGE	 4096u
#define CHANGES	 3

union control {
	struct cmsghdr align;
	char room[CMSG_SPACE(3 * sizeof(int))];
};

static int sock, uffd;
static char *memory;
static size_t bytes;

static int say(enum gvm_attach_type type, int fd)
{
	struct gvm_attach_msg msg = { .magic = GVM_ATTACH_MAGIC, .version = GVM_ATTACH_VERSION,
				      .type = (uint16_t)type, .bytes = bytes };
	struct iovec iov = { &msg, sizeof(msg) };
	union control c = { 0 };
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = c.room,
			    .msg_controllen = CMSG_SPACE(sizeof(int)) };

	if (type == GVM_ATTACH_READY) {
		msg.address = (uint64_t)(uintptr_t)memory;
		msg.page_bytes = PAGE;
	}
	c.align.cmsg_level = SOL_SOCKET;
	c.align.cmsg_type = SCM_RIGHTS;
	c.align.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&c.align), &fd, sizeof(fd));
	return sendmsg(sock, &h, 0) < 0;
}

/* The type of the next message; its first descriptor. */
static int hear(int *fd)
{
	struct gvm_attach_msg msg = { 0 };
	struct iovec iov = { &msg, sizeof(msg) };
	union control c;
	struct msghdr h = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = c.room,
			    .msg_controllen = sizeof(c.room) };

	if (recvmsg(sock, &h, 0) <= 0)
		return 0;
	if (CMSG_FIRSTHDR(&h))
		memcpy(fd, CMSG_DATA(CMSG_FIRSTHDR(&h)), sizeof(*fd));
	return msg.type;
}

static void *take(void *arg)
{
	struct uffd_msg msg[8];

	for (;;)
		if (read(uffd, msg, sizeof(msg)) < 0 && errno != EAGAIN)
			return arg;
}

/* Now reads wait, now they do not. */
static void *change(void *arg)
{
	for (;;) {
		fcntl(uffd, F_SETFL, O_RDWR | O_NONBLOCK);
		if (fcntl(uffd, F_SETFL, O_RDWR) < 0)
			return arg;
	}
}

static void *touch(void *arg)
{
	for (size_t off = (size_t)(uintptr_t)arg * PAGE; off < bytes; off += TOUCHERS * PAGE) {
		((volatile char *)memory)[off] = 1;
		usleep(1000);
	}
	return NULL;
}

static int registered(void)
{
	struct uffdio_api api = { .api = UFFD_API,
				  .features = UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM };
	struct uffdio_register reg = { .range = { (uint64_t)(uintptr_t)memory, bytes },
				       .mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR };

	uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	return uffd < 0 || ioctl(uffd, UFFDIO_API, &api) || ioctl(uffd, UFFDIO_REGISTER, &reg);
}

static void change_and_rest(void)
{
	for (size_t i = 0; i < CHANGES; i++) {
		fcntl(uffd, F_SETFL, O_RDWR);
		((volatile char *)memory)[i * (bytes / CHANGES / PAGE * PAGE)] = 1;
	}
	fcntl(uffd, F_SETFL, O_RDWR);
	printf("rests\n");
	fflush(stdout);
	pause();
}

int main(int argc, char **argv)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	pthread_t thread;
	int memfd = -1;

	if (argc != 4 && argc != 5)
		return 2;
	bytes = strtoul(argv[3], NULL, 0);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", argv[1]);
	sock = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	if (connect(sock, (struct sockaddr *)&addr, sizeof(addr)) || say(GVM_ATTACH_HELLO, open(argv[2], O_RDWR)) ||
	    hear(&memfd) != GVM_ATTACH_WELCOME)
		return 1;
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	if (memory == MAP_FAILED || registered() || say(GVM_ATTACH_READY, uffd) || hear(&memfd) != GVM_ATTACH_GO)
		return 1;
	if (argc == 5)
		change_and_rest();
	pthread_create(&thread, NULL, change, NULL);
	for (uintptr_t i = 0; i < TAKERS; i++)
		pthread_create(&thread, NULL, take, NULL);
	for (uintptr_t i = 0; i < TOUCHERS; i++)
		pthread_create(&thread, NULL, touch, (void *)i);
	printf("takes\n");
	fflush(stdout);
	pause();
	return 0;
}
