// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gvm attach - the fast path for a QEMU that is running already, unmodified, on files of a gvmfs mount. It is examined
 * (examine.h), gets a clerk (inject.h), and the clerk does the rest (clerk.h): this program only waits for what it says.
 */
#include "clerk.h"
#include "examine.h"
#include "gvm.h"
#include "gvmfs/gvm_mount.h"
#include "inject.h"
#include "memnode/size.h"
#include "run/fast.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static const char help_text[] =
	"usage: gvm attach [--local SIZE] [--check] PID\n"
	"\n"
	"Gives a running, unmodified QEMU whose RAM is a file of a gvmfs mount (in mode\n"
	"fuse) the fast path. Its guest goes on, and waits for a moment. What cannot be\n"
	"proved safe is refused, with the reason, and the guest stays as it is.\n"
	"\n"
	"  --local SIZE  how much of it may be on this host (default: as gvmfs was told)\n"
	"  --check       only say whether it could be done\n"
	"  --help        show this text\n";

#define LOOK_NS 2000000
#define UFFD_DEVICE "/dev/userfaultfd"

static const char *const step_names[] = {
	[CLERK_THE_FILE] = "its file cannot be used",
	[CLERK_TO_BE_ALONE] = "another gvm attach is at it",
	[CLERK_THE_USERFAULTFD] = "it gets no userfaultfd (sysctl vm.unprivileged_userfaultfd=1, or a /dev/userfaultfd that you may open)",
	[CLERK_THE_KERNEL] = "the kernel cannot keep the mapping where it is (mseal: Linux 6.10)",
	[CLERK_THE_SOCKET] = "gvmfs cannot be reached",
	[CLERK_THE_MAPPING] = "the mapping cannot be replaced",
	[CLERK_THE_HAND] = "it gets no thread",
	[CLERK_TO_ASK] = "gvmfs cannot be asked",
	[CLERK_TO_BE_WELCOMED] = "gvmfs does not answer as it should",
	[CLERK_THE_MEMORY] = "gvmfs's memory cannot be mapped",
	[CLERK_TO_GO] = "gvmfs has gone",
};

static void told_fill(pid_t pid, struct clerk *c, const struct examined *e)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX}, lock = addr;

	*c = (struct clerk){.address = e->address, .bytes = e->bytes, .file = e->fd, .advice = e->advice, .ino = e->ino,
			    .dev_major = e->dev_major, .dev_minor = e->dev_minor, .socket_bytes = sizeof(addr),
			    .proc_fd = "/proc/self/fd", .uffd_device = UFFD_DEVICE, .name = CLERK_NAME,
			    .memory_name = "gvm-attach", .pinning = CLERK_PINNING};
	_Static_assert(sizeof(c->socket) == sizeof(addr), "a socket's address");
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", e->socket);
	memcpy(c->socket, &addr, sizeof(addr));
	/* behind a zero byte: a name in no folder, of the process's network namespace */
	c->lock_bytes = (uint16_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
				   (size_t)snprintf(lock.sun_path + 1, sizeof(lock.sun_path) - 1, "gvm-attach %d %llx", pid,
						    (unsigned long long)e->address));
	memcpy(c->lock, &lock, sizeof(lock));
	snprintf(c->lost, sizeof(c->lost), "gvm: RAM %.100s: gvmfs is gone, or gives up: the guest's memory is lost, so the guest ends\n",
		 e->name);
}

/* The process's own descriptor, or a negative errno. */
static int fd_of(pid_t pid, int fd)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), copy;

	if (pidfd < 0)
		return -errno;
	copy = (int)syscall(SYS_pidfd_getfd, pidfd, fd, 0);
	if (copy < 0)
		copy = -errno;
	close(pidfd);
	return copy;
}

/* The guest waits while its dirty pages are written back: so as many as possible before. */
static void file_flush(pid_t pid, const struct examined *e)
{
	int fd = fd_of(pid, e->fd); /* the process's own open file: another would be in the way */

	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
}

/* The process is one of another user's, who may open no userfaultfd; whoever may trace it, and open the device, opens it for
 * the process. Without a descriptor in it the message says that there is none. Which file that is does not come from `c`: all
 * of that can be what the process wrote, which would be sent any file that root may open. */
static void device_send(pid_t pid, const struct clerk *c)
{
	struct gvm_attach_msg msg = {.magic = GVM_ATTACH_MAGIC, .version = GVM_ATTACH_VERSION, .type = GVM_ATTACH_HELLO};
	struct iovec iov = {&msg, sizeof(msg)};
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1};
	int door = fd_of(pid, c->door[1]), device = open(UFFD_DEVICE, O_RDWR | O_CLOEXEC);

	if (device >= 0) {
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.align), &device, sizeof(int));
		hdr.msg_control = control.room;
		hdr.msg_controllen = sizeof(control.room);
	}
	if (door >= 0) {
		sendmsg(door, &hdr, MSG_NOSIGNAL | MSG_DONTWAIT);
		close(door);
	}
	if (device >= 0)
		close(device);
}

static int wait_for(pid_t pid, uint64_t there, struct clerk *c)
{
	static const struct timespec pause = {.tv_nsec = LOOK_NS};
	uint32_t sent = 0;

	for (;;) {
		int rc = inject_look(pid, there, c);

		if (rc || c->stage == CLERK_SERVED || c->stage == CLERK_REFUSED)
			return rc;
		if (c->stage == CLERK_ASKS && c->asks != sent) {
			device_send(pid, c);
			sent = c->asks;
		}
		nanosleep(&pause, NULL);
	}
}

static int outcome(const struct examined *e, struct clerk *c)
{
	if (c->stage == CLERK_SERVED) {
		printf("%s: on the fast path; whoever touched it meanwhile waited for up to %.1f ms\n", e->name, (double)c->waited_ns / 1e6);
		if (c->stale)
			say("%s: a descriptor of it cannot be opened again: reads of it may be stale", e->name);
		return 0;
	}
	c->msg.text[sizeof(c->msg.text) - 1] = 0;
	for (char *text = c->msg.text; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 127)
			*text = '?'; /* it may be another user's */
	if (!c->error && (c->step == CLERK_TO_BE_WELCOMED || c->step == CLERK_TO_GO))
		say("%s: gvmfs refuses: %s", e->name, c->msg.text[0] ? c->msg.text : strerror(-c->msg.error));
	else
		say("%s: %s: %s", e->name, c->step < sizeof(step_names) / sizeof(*step_names) ? step_names[c->step] : "?",
		    strerror(-c->error));
	return 1;
}

static int attach(pid_t pid, const struct examined *e)
{
	static struct clerk c;
	char err[INJECT_ERR];
	uint64_t there;
	int rc;

	told_fill(pid, &c, e);
	file_flush(pid, e);
	rc = inject_clerk(pid, &c, &there, err);
	if (rc) {
		say("%s: %s; the guest is as before", e->name, err);
		return 1;
	}
	rc = wait_for(pid, there, &c);
	if (!rc)
		return outcome(e, &c);
	say("process %d has ended meanwhile", pid);
	return 1;
}

/* Until this program ends nobody else attaches it. */
static int alone(pid_t pid)
{
	char path[32];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || !flock(fd, LOCK_EX | LOCK_NB))
		return 0; /* there is none: that is said later */
	say("process %d: another gvm attach is at it", pid);
	close(fd);
	return -EBUSY;
}

static int attach_all(pid_t pid, uint64_t local_bytes, bool check)
{
	static struct examined list[EXAMINE_REGIONS];
	uint64_t local[EXAMINE_REGIONS];
	char err[EXAMINE_ERR];
	unsigned count;
	int rc = alone(pid);

	if (rc)
		return 1;
	rc = examine(pid, list, &count, err);
	for (unsigned i = 0; !rc && i < count; i++)
		local[i] = local_bytes ? local_bytes : run_fast_budget_get(list[i].at);
	if (!rc)
		rc = examine_room(pid, list, local, count, err);
	if (rc) {
		say("%s", err);
		return 1;
	}
	for (unsigned i = 0; !rc && i < count; i++) {
		if (check) {
			printf("%s: nothing is in the way of the fast path\n", list[i].name);
			continue;
		}
		rc = local_bytes ? run_fast_budget(list[i].at, local_bytes) : 0;
		if (rc)
			say("%s: %s", list[i].name, strerror(-rc));
		else
			rc = attach(pid, &list[i]);
	}
	return rc ? 1 : 0;
}

int cmd_attach(int argc, char **argv)
{
	static const struct option longs[] = {{"local", required_argument, NULL, 'l'}, {"check", no_argument, NULL, 'c'},
					      {"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	uint64_t local_bytes = 0;
	bool check = false;
	char *end;
	long pid;
	int c;

	optind = 1;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (c == 'h') {
			fputs(help_text, stdout);
			return 0;
		}
		if (c == 'c') {
			check = true;
			continue;
		}
		if (c != 'l')
			return EXIT_USAGE;
		if (size_parse_option(optarg, &local_bytes) || !local_bytes) {
			say("--local %s: not a size (512M, 8G)", optarg);
			return EXIT_USAGE;
		}
	}
	if (argc - optind != 1) {
		fputs(help_text, stderr);
		return EXIT_USAGE;
	}
	pid = strtol(argv[optind], &end, 10);
	if (pid <= 0 || pid > INT_MAX || *end) {
		say("%s: not the number of a process (pidof qemu-system-x86_64 tells it)", argv[optind]);
		return EXIT_USAGE;
	}
	return attach_all((pid_t)pid, local_bytes, check);
}
