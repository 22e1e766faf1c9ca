// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * dsm_attach.c - the client's end of the conversation of gvmfs/gvm_attach.h, for one region.
 *
 * An attach has four steps that can be undone: the memfd is mapped over the file, registered with a
 * userfaultfd, made accessible, and given a thread that drops page-table entries when gvmfs asks.
 * Until it is registered the mapping is PROT_NONE: a page allocated in the memfd by accident (by a
 * stray access, or by the kernel under mlockall(MCL_FUTURE)) would be taken for the guest's, and be
 * zeros. After GO nothing can fail any more.
 *
 * Up to GO the thread that attaches reads the socket, and afterwards only the helper does. The
 * helper takes no lock that an attach or a detach holds, so that gvmfs never waits for those; and
 * when the guest's memory is lost, it ends the process. At SETTLE it makes the mapping an ordinary
 * one, and ends.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "dsm_attach.h"

#include "dsm_calls.h"
#include "gvm_mount.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

/* Newer than some distributions' headers; the values are the kernel's ABI. */
#ifndef UFFD_FEATURE_MINOR_SHMEM
#define UFFD_FEATURE_MINOR_SHMEM (1 << 10)
#endif
#ifndef UFFD_FEATURE_POISON
#define UFFD_FEATURE_POISON (1 << 14)
#endif
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24
#endif

#define DEADLINE_MS	   10000
#define SHORT_MS	   10 /* between attempts to send while the kernel has no memory for it */
#define HELPER_STACK_BYTES (128 * 1024)
#define UFFD_FLAGS	   (O_CLOEXEC | O_NONBLOCK)

/* ---- messages to the user ---- */

void dsm_say(const char *format, ...)
{
	char line[PATH_MAX + 1024] = "gvm: ";
	size_t prefix = strlen(line);
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line + prefix, sizeof(line) - prefix - 1, format, args);
	va_end(args);
	if (n < 0)
		return;
	n = strlen(line);
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) < 0)
		return; /* standard error is gone */
}

int dsm_because(struct ram *ram, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(ram->why, sizeof(ram->why), format, args);
	va_end(args);
	return err;
}

static void fd_close(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define OWNED_FD __attribute__((cleanup(fd_close))) int

/* ---- messages ---- */

struct fds {
	int fd[GVM_ATTACH_FDS_MAX];
	unsigned count;
};

static void fds_close(struct fds *fds)
{
	while (fds->count)
		close(fds->fd[--fds->count]);
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Any thread may send: a SEQPACKET socket keeps messages whole. A message takes memory of the guest's group, which may be
 * at its limit: then this waits until there is some, as the guest's own accesses do. */
static int message_send(int sock, const struct gvm_attach_msg *msg, const int *fd)
{
	struct iovec iov = {(void *)(uintptr_t)msg, sizeof(*msg)};
	struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1};
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = {0};
	ssize_t n;

	if (fd) {
		hdr.msg_control = control.room;
		hdr.msg_controllen = sizeof(control.room);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.align), fd, sizeof(int));
	}
	for (;;) {
		n = sendmsg(sock, &hdr, MSG_NOSIGNAL);
		if (n >= 0)
			return 0;
		if (errno == ENOBUFS || errno == ENOMEM)
			poll(NULL, 0, SHORT_MS);
		else if (errno != EINTR)
			return -errno;
	}
}

static void fds_take(struct msghdr *hdr, struct fds *fds)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(hdr); c; c = CMSG_NXTHDR(hdr, c)) {
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
			if (fds->count < GVM_ATTACH_FDS_MAX)
				fds->fd[fds->count++] = fd;
			else
				close(fd);
		}
	}
}

/* Waits for a message: 0; -ETIMEDOUT: none came before the deadline (negative: there is none). */
static int message_wait(int sock, int64_t deadline_ms)
{
	struct pollfd p = {.fd = sock, .events = POLLIN};

	for (;;) {
		int64_t left = deadline_ms < 0 ? -1 : deadline_ms - now_ms();
		int n;

		if (deadline_ms >= 0 && left <= 0)
			return -ETIMEDOUT;
		n = poll(&p, 1, left > INT_MAX ? INT_MAX : (int)left);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

/*
 * -ECONNRESET: gvmfs closed its end; -EPROTO: not a message of this protocol. `fds` may be NULL
 * where no message brings any, and otherwise is the caller's to close.
 */
static int message_receive(int sock, int64_t deadline_ms, struct gvm_attach_msg *msg,
			   struct fds *fds)
{
	struct fds none = {.count = 0}, *got = fds ? fds : &none;
	struct iovec iov = {msg, sizeof(*msg)};
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int) * GVM_ATTACH_FDS_MAX)];
	} control;
	struct msghdr hdr = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room,
			     .msg_controllen = sizeof(control.room)};
	ssize_t n;
	int err;

	got->count = 0;
	do {
		err = message_wait(sock, deadline_ms);
		if (err)
			return err;
		n = recvmsg(sock, &hdr, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	} while (n < 0 && (errno == EINTR || errno == EAGAIN));
	if (n < 0)
		return -errno;
	fds_take(&hdr, got);
	if (n == 0)
		err = -ECONNRESET;
	else if (n != (ssize_t)sizeof(*msg) || (hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) ||
		 !gvm_attach_accept(msg, got->count, GVM_ATTACH_TO_CLIENT))
		err = -EPROTO;
	if (err || !fds)
		fds_close(got);
	return err;
}

/* ---- the helper ---- */

/*
 * A guest whose memory is lost must not go on: it would run on those pages that happen to be here.
 */
__attribute__((noreturn)) static void region_lost(const struct region *r, const char *why)
{
	dsm_say("RAM %s: %s: the guest's memory is lost, so the guest ends", r->name,
		why);
	_exit(1);
}

static void zap(struct region *r, const struct gvm_attach_msg *msg)
{
	struct gvm_attach_msg done = gvm_attach_message(GVM_ATTACH_ZAPPED);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (!msg->bytes || msg->offset % page || msg->bytes % page || msg->offset > r->bytes ||
	    msg->bytes > r->bytes - msg->offset)
		region_lost(r, "protocol error: gvmfs asked to zap an invalid range");
	/* Locked memory needs the other advice, which Linux before 5.18 does not know. */
	if (dsm_madvise(r->host + msg->offset, msg->bytes, MADV_DONTNEED) &&
	    dsm_madvise(r->host + msg->offset, msg->bytes, MADV_DONTNEED_LOCKED))
		region_lost(r, "its page-table entries cannot be dropped");
	done.seq = msg->seq;
	if (message_send(r->sock, &done, NULL) && !atomic_load(&r->closing))
		region_lost(r, "gvmfs is gone");
}

/* Whether fd is the region's file. Asks no filesystem. */
static bool is_file_of(const struct region *r, int fd)
{
	struct statx st;

	return !statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &st) &&
	       makedev(st.stx_dev_major, st.stx_dev_minor) == r->dev && st.stx_ino == r->ino;
}

/* Unregisters the mapping: whoever waits for a page of it is woken, and finds the memfd's. */
static int unregister(const struct region *r)
{
	struct uffdio_range range = {(uintptr_t)r->host, r->bytes};

	while (ioctl(r->uffd, UFFDIO_UNREGISTER, &range)) {
		if (errno != ENOMEM && errno != EINTR)
			return -errno;
		poll(NULL, 0, SHORT_MS);
	}
	return 0;
}

/* In the place of each descriptor of the file, so that a hole that is punched there is one in the memory, and nothing keeps
 * the mount busy. */
static void descriptors_replace(const struct region *r, int memfd)
{
	DIR *all = opendir("/proc/self/fd");
	const struct dirent *entry;

	while (all && (entry = readdir(all))) {
		int fd = atoi(entry->d_name);

		if (*entry->d_name != '.' && is_file_of(r, fd))
			dup3(memfd, fd, dsm_fcntl(fd, F_GETFD, 0) & FD_CLOEXEC ? O_CLOEXEC : 0);
	}
	if (all)
		closedir(all);
}

static void settle(struct region *r, int memfd)
{
	struct gvm_attach_msg msg = gvm_attach_message(GVM_ATTACH_SETTLED);
	int err = unregister(r);

	if (err)
		region_lost(r, "its memory cannot be unregistered");
	descriptors_replace(r, memfd);
	dsm_madvise(r->host, r->bytes, MADV_DODUMP);
	atomic_store(&r->settled, true);
	message_send(r->sock, &msg, NULL); /* if gvmfs has gone, it knows, or nobody cares */
	shutdown(r->sock, SHUT_RDWR);
	dsm_say("RAM %s: all of it is on this host now, and gvmfs is not needed any more", r->name);
}

static void helper_serve(struct region *r)
{
	struct gvm_attach_msg msg;
	struct fds fds;
	int err = message_receive(r->sock, -1, &msg, &fds);

	if (!err && msg.type == GVM_ATTACH_SETTLE && !atomic_load(&r->closing))
		settle(r, fds.fd[0]);
	fds_close(&fds);
	if (atomic_load(&r->closing) || atomic_load(&r->settled))
		return;
	if (!err && msg.type == GVM_ATTACH_GO)
		return; /* sent by the successor of a killed worker */
	if (err == -EPROTO || (!err && msg.type != GVM_ATTACH_ZAP && msg.type != GVM_ATTACH_ABORT))
		region_lost(r, "protocol error: unexpected message from gvmfs");
	if (err)
		region_lost(r, "gvmfs is gone");
	if (msg.type == GVM_ATTACH_ABORT)
		region_lost(r, msg.text[0] ? msg.text : "gvmfs gives up");
	zap(r, &msg);
}

/* Never touches guest memory: gvmfs could not serve a fault of the thread that zaps for it. */
static void *helper_run(void *arg)
{
	struct region *r = (struct region *)arg;

	prctl(PR_SET_NAME, "gvm-zap");
	while (sem_wait(&r->gate))
		;
	while (!atomic_load(&r->closing) && !atomic_load(&r->settled))
		helper_serve(r);
	return NULL;
}

static int helper_start(struct region *r)
{
	pthread_attr_t attr;
	sigset_t all, old;
	int err;

	if (sem_init(&r->gate, 0, 0))
		return -errno;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, HELPER_STACK_BYTES);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&r->helper, &attr, helper_run, r);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -err;
}

static void helper_stop(struct region *r)
{
	atomic_store(&r->closing, true);
	sem_post(&r->gate);
	shutdown(r->sock, SHUT_RDWR);
	pthread_join(r->helper, NULL);
}

/* ---- the userfaultfd ---- */

/*
 * `device`: an open /dev/userfaultfd that gvmfs lends to a client that may not open its own, or -1.
 */
static int uffd_new(int device)
{
	/* never UFFD_USER_MODE_ONLY: KVM and system calls fault on guest memory too */
	int fd = (int)syscall(SYS_userfaultfd, UFFD_FLAGS);
	OWNED_FD own = -1;

	if (fd >= 0)
		return fd;
	own = dsm_open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
	if (own >= 0)
		fd = ioctl(own, USERFAULTFD_IOC_NEW, UFFD_FLAGS);
	if (fd < 0 && device >= 0)
		fd = ioctl(device, USERFAULTFD_IOC_NEW, UFFD_FLAGS);
	return fd < 0 ? -errno : fd;
}

static int uffd_with(int device, uint64_t features)
{
	struct uffdio_api api = {.api = UFFD_API, .features = features};
	int fd = uffd_new(device), err;

	if (fd < 0 || !ioctl(fd, UFFDIO_API, &api))
		return fd;
	err = -errno;
	close(fd);
	return err;
}

static int uffd_open(int device)
{
	uint64_t need = UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM;
	int fd = uffd_with(device, need | UFFD_FEATURE_POISON);

	/* Linux before 6.6 has no POISON, and returns the same error for it */
	return fd == -EINVAL ? uffd_with(device, need) : fd;
}

static int uffd_register(int uffd, void *host, size_t bytes)
{
	const uint64_t need =
		1ull << _UFFDIO_COPY | 1ull << _UFFDIO_CONTINUE | 1ull << _UFFDIO_WAKE;
	struct uffdio_register reg = {
		.range = {(uintptr_t)host, bytes},
		.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR,
	};

	if (ioctl(uffd, UFFDIO_REGISTER, &reg))
		return -errno;
	return (reg.ioctls & need) == need ? 0 : -EOPNOTSUPP;
}

/* ---- the conversation ---- */

static int hello(struct ram *ram, int sock)
{
	struct gvm_attach_msg msg = gvm_attach_message(GVM_ATTACH_HELLO);
	int err;

	msg.bytes = ram->bytes;
	if (fgetxattr(ram->fd, GVM_XATTR_SETTLE, NULL, 0) >= 0)
		msg.seq = GVM_ATTACH_SETTLES;
	err = message_send(sock, &msg, &ram->fd);
	return err ? dsm_because(ram, err, "cannot send to gvmfs: %s", strerror(-err)) : 0;
}

/* Receives the next message, which has to be of this type. */
static int expect(struct ram *ram, int sock, int64_t deadline_ms, enum gvm_attach_type type,
		  struct gvm_attach_msg *msg, struct fds *fds)
{
	int err = message_receive(sock, deadline_ms, msg, fds);

	if (err == -ETIMEDOUT)
		return dsm_because(ram, err, "gvmfs does not answer");
	if (err == -EPROTO)
		return dsm_because(ram, err, "protocol error: unexpected message from gvmfs");
	if (err)
		return dsm_because(ram, err, "gvmfs is gone: %s", strerror(-err));
	if (msg->type == type)
		return 0;
	if (fds)
		fds_close(fds);
	if (msg->type == GVM_ATTACH_REFUSE)
		return dsm_because(ram, msg->error, "gvmfs refuses: %s",
				   msg->text[0] ? msg->text : strerror(-msg->error));
	return dsm_because(ram, -EPROTO, "protocol error: message from gvmfs out of turn");
}

static int size_check(struct ram *ram, int fd, uint64_t bytes, const char *what)
{
	struct stat st;

	if (fstat(fd, &st))
		return dsm_because(ram, -errno, "gvmfs's %s: %s", what, strerror(errno));
	if ((uint64_t)st.st_size < bytes)
		return dsm_because(ram, -EPROTO, "gvmfs's %s is too short", what);
	return 0;
}

static int pins_map(struct ram *ram, struct region *r, int fd)
{
	size_t bytes;
	void *pins;
	int err;

	r->chunks = ram->bytes / CHUNK_BYTES + !!(ram->bytes % CHUNK_BYTES);
	bytes = r->chunks * sizeof(*r->pins);
	err = size_check(ram, fd, bytes, "pins");
	if (err)
		return err;
	pins = dsm_mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (pins == MAP_FAILED)
		return dsm_because(ram, -errno, "gvmfs's pins: %s", strerror(errno));
	dsm_madvise(pins, bytes, MADV_NOHUGEPAGE); /* they are sparse */
	r->pins = (_Atomic uint32_t *)pins;
	return 0;
}

static void pins_unmap(struct region *r)
{
	dsm_munmap((void *)r->pins, r->chunks * sizeof(*r->pins));
}

/* PROT_NONE: see the file's head. */
static int memfd_map(struct ram *ram, int memfd)
{
	if (dsm_mmap(ram->host, ram->bytes, PROT_NONE, MAP_SHARED | MAP_FIXED, memfd, 0) ==
	    MAP_FAILED)
		return dsm_because(ram, -errno, "gvmfs's memory: %s", strerror(errno));
	/* EINVAL: a kernel without huge pages */
	if (dsm_madvise(ram->host, ram->bytes, MADV_NOHUGEPAGE) && errno != EINVAL)
		return dsm_because(ram, -errno, "MADV_NOHUGEPAGE: %s", strerror(errno));
	if (dsm_madvise(ram->host, ram->bytes, MADV_DONTFORK))
		return dsm_because(ram, -errno, "MADV_DONTFORK: %s", strerror(errno));
	dsm_madvise(ram->host, ram->bytes, MADV_DONTDUMP); /* a core dump cannot fetch pages */
	return 0;
}

static int register_and_show(struct ram *ram, struct region *r, int device)
{
	int err;

	r->uffd = uffd_open(device);
	if (r->uffd < 0)
		return dsm_because(ram, r->uffd, "userfaultfd: %s", strerror(-r->uffd));
	err = uffd_register(r->uffd, ram->host, ram->bytes);
	if (err)
		return dsm_because(ram, err, "userfaultfd cannot be registered on the memory: %s",
				   strerror(-err));
	if (mprotect(ram->host, ram->bytes, PROT_READ | PROT_WRITE))
		return dsm_because(ram, -errno, "mprotect: %s", strerror(errno));
	return 0;
}

static int ready_and_go(struct ram *ram, struct region *r, int deadline_ms)
{
	struct gvm_attach_msg msg = gvm_attach_message(GVM_ATTACH_READY);
	int err;

	msg.address = (uintptr_t)ram->host;
	msg.bytes = ram->bytes;
	msg.page_bytes = (uint32_t)sysconf(_SC_PAGESIZE);
	err = message_send(r->sock, &msg, &r->uffd);
	if (err)
		return dsm_because(ram, err, "gvmfs is gone: %s", strerror(-err));
	return expect(ram, r->sock, now_ms() + deadline_ms, GVM_ATTACH_GO, &msg, NULL);
}

/* Tells gvmfs that the mapping has been removed, while the process lives on. */
static void detached_send(const struct region *r)
{
	struct gvm_attach_msg msg = gvm_attach_message(GVM_ATTACH_DETACHED);

	message_send(r->sock, &msg, NULL); /* if gvmfs has gone there is no one to tell */
}

/* Maps the file again before the userfaultfd is closed: a stray access must not see zeros. */
static void replace_undo(struct ram *ram, struct region *r, bool helper)
{
	int flags = MAP_FIXED | (ram->shared ? MAP_SHARED : MAP_PRIVATE);

	ram->lost = dsm_mmap(ram->host, ram->bytes, PROT_READ | PROT_WRITE, flags, ram->fd,
			     ram->offset) == MAP_FAILED;
	detached_send(r);
	if (helper)
		helper_stop(r);
	fd_close(&r->uffd);
}

/* From the memfd to GO; on failure undoes its steps, and maps the file again. */
static int replace(struct ram *ram, struct region *r, const struct fds *fds, int deadline_ms)
{
	bool helper = false;
	int err = memfd_map(ram, fds->fd[0]);

	if (!err)
		err = register_and_show(ram, r, fds->count > 2 ? fds->fd[2] : -1);
	if (!err) {
		err = helper_start(r);
		helper = !err;
		if (err)
			dsm_because(ram, err, "no thread: %s", strerror(-err));
	}
	if (!err)
		err = ready_and_go(ram, r, deadline_ms);
	if (err)
		replace_undo(ram, r, helper);
	return err;
}

/*
 * The attach over a connected socket, up to GO. On success the region is filled, and owns the
 * socket; its helper waits at the gate. On failure `ram` is mapped as before (or ram->lost), and
 * ram->why has the reason.
 */
static int converse(struct ram *ram, int sock, int deadline_ms, struct region *r)
{
	struct gvm_attach_msg msg;
	struct fds fds;
	int err = hello(ram, sock);

	if (!err)
		err = expect(ram, sock, now_ms() + deadline_ms, GVM_ATTACH_WELCOME, &msg, &fds);
	if (err)
		return err;
	assert(fds.count >= 2); /* gvm_attach_accept() has counted the memory and the pins */
	r->host = ram->host;
	r->bytes = ram->bytes;
	r->sock = sock;
	r->uffd = -1;
	r->file = -1;
	r->dev = ram->st.st_dev;
	r->ino = ram->st.st_ino;
	memcpy(r->name, ram->name, sizeof(r->name));
	if (msg.bytes != ram->bytes)
		err = dsm_because(ram, -EPROTO, "protocol error: gvmfs's memory has another size");
	if (!err)
		err = size_check(ram, fds.fd[0], ram->bytes, "memory");
	if (!err)
		err = pins_map(ram, r, fds.fd[1]);
	if (!err) {
		err = replace(ram, r, &fds, deadline_ms);
		if (err)
			pins_unmap(r);
	}
	fds_close(&fds);
	return err;
}

/* ---- a region ---- */

/* The socket also bounds connect() (a full backlog) and the sends until GO. */
static int attach_connect(struct ram *ram, const char *path, int deadline_ms)
{
	struct timeval limit = {deadline_ms / 1000, deadline_ms % 1000 * 1000};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), err;

	if (sock < 0)
		return dsm_because(ram, -errno, "socket: %s", strerror(errno));
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (!connect(sock, (struct sockaddr *)&addr, sizeof(addr)))
		return sock;
	err = -errno;
	close(sock);
	return dsm_because(ram, err, "gvmfs cannot be reached at %s: %s", path, strerror(-err));
}

/*
 * By now gvmfs opens the file for direct I/O. The caller's descriptor, which is older, would go on
 * reading the page cache; and a process that gets it (a vhost-user device) could map the page
 * cache, which is no longer the guest's memory. So it is replaced by a new one. Punches work
 * through either.
 */
static int file_reopen(int fd)
{
	int cloexec = dsm_fcntl(fd, F_GETFD, 0) & FD_CLOEXEC ? O_CLOEXEC : 0;
	char path[64];
	OWNED_FD again = -1;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = dsm_open(path, O_RDWR | O_CLOEXEC);
	if (again < 0 || dup3(again, fd, cloexec) < 0)
		return -errno;
	return 0;
}

int dsm_region_attach(struct ram *ram, const char *path, struct region *r)
{
	struct timeval forever = {0, 0};
	int sock = attach_connect(ram, path, DEADLINE_MS);
	int err = sock < 0 ? sock : converse(ram, sock, DEADLINE_MS, r);

	if (err) {
		fd_close(&sock);
		return err;
	}
	/* from here on sends have no timeout: gvmfs may be slow to read, but always does */
	setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &forever, sizeof(forever));
	sem_post(&r->gate); /* before the open below: gvmfs may zap before it serves that */
	err = file_reopen(ram->fd);
	if (err)
		dsm_say("RAM %s: the file cannot be opened again (%s): reads of it may be stale, and "
			"no other process may map it", ram->name, strerror(-err));
	r->file = dsm_fcntl(ram->fd, F_DUPFD_CLOEXEC, 0);
	return 0;
}

void dsm_region_pin_all(const struct region *r, const char *why)
{
	struct gvm_attach_msg msg = gvm_attach_message(GVM_ATTACH_PIN_ALL);

	for (size_t c = 0; c < r->chunks; c++)
		atomic_fetch_add(&r->pins[c], 1);
	gvm_attach_explain(&msg, why);
	message_send(r->sock, &msg, NULL); /* if gvmfs has gone the helper notices */
}

/* The address range stays reserved, so that no other mapping is placed there before the caller's
 * munmap(). The socket is closed last: its end tells gvmfs that the mapping is gone. */
void dsm_region_detach(struct region *r)
{
	/* From here on the helper ignores an ABORT: gvmfs may find that it cannot put pages there. */
	atomic_store(&r->closing, true);
	if (dsm_mmap(r->host, r->bytes, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
		dsm_say("RAM %s: cannot be made inaccessible: %s", r->name, strerror(errno));
	detached_send(r);
	helper_stop(r);
	close(r->uffd);
	fd_close(&r->file);
	close(r->sock);
}

void dsm_region_forget(const struct region *r)
{
	close(r->sock);
	close(r->uffd);
	fd_close(&r->file);
}
