// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * dsm_backend.c - puts gvmfs's memory in the place of a mapped region, and keeps it right.
 *
 * An attach is a conversation (gvmfs/gvm_attach.h) and four steps that can be taken back: the memfd
 * is mapped over the file, registered with a userfaultfd, made accessible, and given a thread that
 * drops page-table entries when gvmfs asks. Until it is registered the mapping is PROT_NONE: a page
 * that came into the memfd by itself (a stray access, or the kernel's populating under
 * mlockall(MCL_FUTURE)) would be taken for the guest's, and it would be zeros. After GO nothing can
 * fail any more.
 *
 * A region is immutable once it is in the table, and neither it nor its pins are ever given back:
 * that is what lets dsm_pin() and dsm_ram_covers() look without a lock.
 *
 * Neither glib nor anything else of QEMU is used: the file also goes into a preloaded library.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "dsm_backend.h"
#include "gvm_attach.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

/* Newer than some distributions' headers; the values are the kernel's ABI. */
#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif
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
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define STATS_XATTR	   "user.gvm.stats"
#define REGIONS_MAX	   16
#define DEADLINE_MS	   10000
#define HELPER_STACK_BYTES (128 * 1024)
#define CHUNK_BYTES	   ((size_t)GVM_ATTACH_CHUNK_BYTES)
#define UFFD_FLAGS	   (O_CLOEXEC | O_NONBLOCK)

/* What one attach is about, and why it does not come about. */
struct ram {
	int fd;
	uint8_t *host;
	size_t bytes;
	off_t offset;
	bool shared;
	bool lost; /* after a failure: neither the memfd nor the file is mapped any more */
	struct stat st;
	char name[PATH_MAX];
	char why[512];
};

struct region {
	uint8_t *host;
	size_t bytes;
	_Atomic uint32_t *pins; /* one for each chunk */
	size_t chunks;
	int sock;
	int uffd; /* open until the end: the last close lets faulting threads go on with zeros */
	int file; /* for punches, whatever becomes of the caller's descriptor */
	dev_t dev;
	ino_t ino;
	pthread_t helper;
	sem_t gate; /* the helper starts when it is opened */
	atomic_bool closing;
	struct region *next; /* among the retired, under `lock` */
	char name[PATH_MAX];
};

static struct {
	pthread_mutex_t lock; /* attach, detach, and what dsm_pin_all() sends; not the helpers */
	_Atomic(struct region *) table[REGIONS_MAX]; /* written under `lock`, read without */
	struct region *retired;			     /* under `lock`; detached, but see above */
	const char *pin_why;			     /* under `lock`; NULL: not all is pinned */
	const char *veto;			     /* under `lock`; NULL: uffd is possible */
	bool fork_watched;			     /* under `lock` */
} ours = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct {
	pthread_once_t once;
	atomic_int mode; /* enum dsm_mode, or a negative errno */
	char accel[32];
} config = {.once = PTHREAD_ONCE_INIT};

/* ---- what is said ---- */

/* One write, so that lines of several processes on one terminal stay whole. */
__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
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
		return; /* nobody left to tell */
}

/* Notes why the attach cannot be, and returns `err` for the caller to return. */
__attribute__((format(printf, 3, 4))) static int because(struct ram *ram, int err,
							 const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(ram->why, sizeof(ram->why), format, args);
	va_end(args);
	return err;
}

/* A peer's text goes to a terminal. */
static void text_clean(char *text)
{
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
	}
}

static void size_text(size_t bytes, char text[static 32])
{
	if (bytes >> 30 && !(bytes & ((1u << 30) - 1)))
		snprintf(text, 32, "%zu GiB", bytes >> 30);
	else if (bytes >> 20 && !(bytes & ((1u << 20) - 1)))
		snprintf(text, 32, "%zu MiB", bytes >> 20);
	else
		snprintf(text, 32, "%zu KiB", bytes >> 10);
}

static void say_mode(const struct ram *ram, const char *mode, const char *why)
{
	char size[32];

	size_text(ram->bytes, size);
	if (why)
		say("RAM %s (%s): %s, since %s", ram->name, size, mode, why);
	else if (config.accel[0])
		say("RAM %s (%s): %s, with %s", ram->name, size, mode, config.accel);
	else
		say("RAM %s (%s): %s", ram->name, size, mode);
}

static void fd_close(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

#define OWNED_FD __attribute__((cleanup(fd_close))) int

/* ---- the mode ---- */

static void mode_read(void)
{
	static const char *const names[] = {"auto", "fuse", "uffd", "kernel"};
	const char *value = getenv("GVM_MODE");

	if (!value || !*value)
		return;
	for (int i = 0; i < 4; i++) {
		if (!strcmp(value, names[i])) {
			atomic_store(&config.mode, i);
			return;
		}
	}
	atomic_store(&config.mode, -EINVAL);
}

static int mode_or_error(void)
{
	pthread_once(&config.once, mode_read);
	return atomic_load(&config.mode);
}

int dsm_universal_init(const char *accel)
{
	int mode = mode_or_error();

	if (accel)
		snprintf(config.accel, sizeof(config.accel), "%s", accel);
	return mode < 0 ? mode : 0;
}

void dsm_mode_set(enum dsm_mode mode)
{
	pthread_once(&config.once, mode_read);
	atomic_store(&config.mode, mode);
}

enum dsm_mode dsm_mode_get(void)
{
	int mode = mode_or_error();

	return mode < 0 ? DSM_MODE_AUTO : (enum dsm_mode)mode;
}

void dsm_uffd_veto(const char *why)
{
	pthread_mutex_lock(&ours.lock);
	ours.veto = why;
	pthread_mutex_unlock(&ours.lock);
}

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

/* Any thread may send: a SEQPACKET socket keeps messages whole. */
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
	do {
		n = sendmsg(sock, &hdr, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

static struct gvm_attach_msg message(enum gvm_attach_type type)
{
	return (struct gvm_attach_msg){
		.magic = GVM_ATTACH_MAGIC, .version = GVM_ATTACH_VERSION, .type = type};
}

/* Whether it is a message that gvmfs may send, with nothing in it that its type does not name. */
static bool message_valid(const struct gvm_attach_msg *msg, unsigned fds)
{
	enum { SEQ = 1, OFFSET = 2, BYTES = 4, ERROR = 8, TEXT = 16, KNOWN = 32 };
	static const struct {
		uint8_t fields, fds_min, fds_max;
	} shapes[] = {
		[GVM_ATTACH_WELCOME] = {KNOWN | BYTES, 2, 3},
		[GVM_ATTACH_REFUSE] = {KNOWN | ERROR | TEXT, 0, 0},
		[GVM_ATTACH_GO] = {KNOWN, 0, 0},
		[GVM_ATTACH_ZAP] = {KNOWN | SEQ | OFFSET | BYTES, 0, 0},
		[GVM_ATTACH_ABORT] = {KNOWN | TEXT, 0, 0},
	};
	unsigned fields;

	if (msg->magic != GVM_ATTACH_MAGIC || msg->version != GVM_ATTACH_VERSION ||
	    msg->type >= sizeof(shapes) / sizeof(*shapes))
		return false;
	fields = shapes[msg->type].fields;
	return (fields & KNOWN) && fds >= shapes[msg->type].fds_min &&
	       fds <= shapes[msg->type].fds_max && !msg->address && !msg->page_bytes &&
	       ((fields & SEQ) || !msg->seq) && ((fields & OFFSET) || !msg->offset) &&
	       ((fields & BYTES) || !msg->bytes) &&
	       ((fields & ERROR) ? msg->error < 0 && msg->error > -4096 : !msg->error) &&
	       ((fields & TEXT) ? !!memchr(msg->text, 0, sizeof(msg->text)) : !msg->text[0]);
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

/* -ETIMEDOUT: nothing came in time. A negative deadline: gvmfs speaks when it has reason to. */
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
		 !message_valid(msg, got->count))
		err = -EPROTO;
	if (err || !fds)
		fds_close(got);
	if (!err)
		text_clean(msg->text);
	return err;
}

/* ---- the helper ---- */

/* A guest whose memory cannot be had must not go on: it would run on what it happens to have. */
__attribute__((noreturn)) static void region_lost(const struct region *r, const char *why)
{
	say("RAM %s: %s: the guest's memory cannot be had any more, so it ends here", r->name, why);
	_exit(1);
}

static void zap(struct region *r, const struct gvm_attach_msg *msg)
{
	struct gvm_attach_msg done = message(GVM_ATTACH_ZAPPED);
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (!msg->bytes || msg->offset % page || msg->bytes % page || msg->offset > r->bytes ||
	    msg->bytes > r->bytes - msg->offset)
		region_lost(r, "gvmfs asked for a part that does not exist");
	/* Locked memory needs the other advice, which Linux before 5.18 does not know. */
	if (madvise(r->host + msg->offset, msg->bytes, MADV_DONTNEED) &&
	    madvise(r->host + msg->offset, msg->bytes, MADV_DONTNEED_LOCKED))
		region_lost(r, "its pages cannot be taken from the guest");
	done.seq = msg->seq;
	if (message_send(r->sock, &done, NULL) && !atomic_load(&r->closing))
		region_lost(r, "gvmfs has gone");
}

static void helper_serve(struct region *r)
{
	struct gvm_attach_msg msg;
	int err = message_receive(r->sock, -1, &msg, NULL);

	if (atomic_load(&r->closing))
		return;
	if (!err && msg.type == GVM_ATTACH_GO)
		return; /* of a killed worker's successor */
	if (err == -EPROTO || (!err && msg.type != GVM_ATTACH_ZAP && msg.type != GVM_ATTACH_ABORT))
		region_lost(r, "gvmfs sent what nobody understands");
	if (err)
		region_lost(r, "gvmfs has gone");
	if (msg.type == GVM_ATTACH_ABORT)
		region_lost(r, msg.text[0] ? msg.text : "gvmfs gives up");
	zap(r, &msg);
}

/* Never touches guest memory: a fault of its own would wait for itself. */
static void *helper_run(void *arg)
{
	struct region *r = (struct region *)arg;

	prctl(PR_SET_NAME, "gvm-zap");
	while (sem_wait(&r->gate))
		;
	while (!atomic_load(&r->closing))
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

/* `device`: an open /dev/userfaultfd that gvmfs lends to who may not open its own, or -1. */
static int uffd_new(int device)
{
	/* never UFFD_USER_MODE_ONLY: KVM and system calls fault on guest memory too */
	int fd = (int)syscall(SYS_userfaultfd, UFFD_FLAGS);
	OWNED_FD own = -1;

	if (fd >= 0)
		return fd;
	own = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
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

	/* Linux before 6.6 has no POISON, and says so in no finer way */
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
	struct gvm_attach_msg msg = message(GVM_ATTACH_HELLO);
	int err;

	msg.bytes = ram->bytes;
	err = message_send(sock, &msg, &ram->fd);
	return err ? because(ram, err, "gvmfs does not listen: %s", strerror(-err)) : 0;
}

/* The next message, which has to be of this type. */
static int expect(struct ram *ram, int sock, int64_t deadline_ms, enum gvm_attach_type type,
		  struct gvm_attach_msg *msg, struct fds *fds)
{
	int err = message_receive(sock, deadline_ms, msg, fds);

	if (err == -ETIMEDOUT)
		return because(ram, err, "gvmfs does not answer");
	if (err == -EPROTO)
		return because(ram, err, "gvmfs sent what nobody understands");
	if (err)
		return because(ram, err, "gvmfs has gone: %s", strerror(-err));
	if (msg->type == type)
		return 0;
	if (fds)
		fds_close(fds);
	if (msg->type == GVM_ATTACH_REFUSE)
		return because(ram, msg->error, "gvmfs refuses: %s",
			       msg->text[0] ? msg->text : strerror(-msg->error));
	return because(ram, -EPROTO, "gvmfs sent a message out of turn");
}

static int size_check(struct ram *ram, int fd, uint64_t bytes, const char *what)
{
	struct stat st;

	if (fstat(fd, &st))
		return because(ram, -errno, "gvmfs's %s: %s", what, strerror(errno));
	if ((uint64_t)st.st_size < bytes)
		return because(ram, -EPROTO, "gvmfs's %s is too short", what);
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
	pins = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (pins == MAP_FAILED)
		return because(ram, -errno, "gvmfs's pins: %s", strerror(errno));
	r->pins = (_Atomic uint32_t *)pins;
	return 0;
}

static void pins_unmap(struct region *r)
{
	munmap((void *)r->pins, r->chunks * sizeof(*r->pins));
}

/* PROT_NONE: see the file's head. */
static int memfd_map(struct ram *ram, int memfd)
{
	if (mmap(ram->host, ram->bytes, PROT_NONE, MAP_SHARED | MAP_FIXED, memfd, 0) == MAP_FAILED)
		return because(ram, -errno, "gvmfs's memory: %s", strerror(errno));
	/* EINVAL: a kernel without huge pages */
	if (madvise(ram->host, ram->bytes, MADV_NOHUGEPAGE) && errno != EINVAL)
		return because(ram, -errno, "MADV_NOHUGEPAGE: %s", strerror(errno));
	if (madvise(ram->host, ram->bytes, MADV_DONTFORK))
		return because(ram, -errno, "MADV_DONTFORK: %s", strerror(errno));
	madvise(ram->host, ram->bytes, MADV_DONTDUMP); /* a core would hold what is resident */
	return 0;
}

static int register_and_show(struct ram *ram, struct region *r, int device)
{
	int err;

	r->uffd = uffd_open(device);
	if (r->uffd < 0)
		return because(ram, r->uffd, "userfaultfd: %s", strerror(-r->uffd));
	err = uffd_register(r->uffd, ram->host, ram->bytes);
	if (err)
		return because(ram, err, "userfaultfd does not take the memory: %s",
			       strerror(-err));
	if (mprotect(ram->host, ram->bytes, PROT_READ | PROT_WRITE))
		return because(ram, -errno, "mprotect: %s", strerror(errno));
	return 0;
}

static int ready_and_go(struct ram *ram, struct region *r, int deadline_ms)
{
	struct gvm_attach_msg msg = message(GVM_ATTACH_READY);
	int err;

	msg.address = (uintptr_t)ram->host;
	msg.bytes = ram->bytes;
	msg.page_bytes = (uint32_t)sysconf(_SC_PAGESIZE);
	err = message_send(r->sock, &msg, &r->uffd);
	if (err)
		return because(ram, err, "gvmfs has gone: %s", strerror(-err));
	return expect(ram, r->sock, now_ms() + deadline_ms, GVM_ATTACH_GO, &msg, NULL);
}

/* The mapping is gone, though the process lives on. */
static void detached_send(const struct region *r)
{
	struct gvm_attach_msg msg = message(GVM_ATTACH_DETACHED);

	message_send(r->sock, &msg, NULL); /* it fails when gvmfs is gone: all the same now */
}

/* The file is back before gvmfs and the userfaultfd let go: a stray access must not see zeros. */
static void replace_undo(struct ram *ram, struct region *r, bool helper)
{
	int flags = MAP_FIXED | (ram->shared ? MAP_SHARED : MAP_PRIVATE);

	ram->lost = mmap(ram->host, ram->bytes, PROT_READ | PROT_WRITE, flags, ram->fd,
			 ram->offset) == MAP_FAILED;
	detached_send(r);
	if (helper)
		helper_stop(r);
	fd_close(&r->uffd);
}

/* From the memfd to GO; a failure is taken back, down to the mapping of the file. */
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
			because(ram, err, "no thread: %s", strerror(-err));
	}
	if (!err)
		err = ready_and_go(ram, r, deadline_ms);
	if (err)
		replace_undo(ram, r, helper);
	return err;
}

/*
 * All of it, over a connected socket, up to GO. On success the region has all but a place in the
 * table, and owns the socket; its helper waits at the gate. On failure `ram` is mapped as before
 * (or ram->lost), and says why.
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
	r->host = ram->host;
	r->bytes = ram->bytes;
	r->sock = sock;
	r->uffd = -1;
	r->file = -1;
	r->dev = ram->st.st_dev;
	r->ino = ram->st.st_ino;
	memcpy(r->name, ram->name, sizeof(r->name));
	if (msg.bytes != ram->bytes)
		err = because(ram, -EPROTO, "gvmfs's memory has another size");
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

/* ---- attach ---- */

/* The socket also bounds connect() (a full backlog) and the sends until GO. */
static int attach_connect(struct ram *ram, const char *path, int deadline_ms)
{
	struct timeval limit = {deadline_ms / 1000, deadline_ms % 1000 * 1000};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int sock = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), err;

	if (sock < 0)
		return because(ram, -errno, "socket: %s", strerror(errno));
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (!connect(sock, (struct sockaddr *)&addr, sizeof(addr)))
		return sock;
	err = -errno;
	close(sock);
	return because(ram, err, "gvmfs cannot be reached at %s: %s", path, strerror(-err));
}

/*
 * gvmfs opens the file anew for direct I/O by now. The caller's descriptor, open since before,
 * would go on reading the kernel's cache; and what it is passed on to (a vhost-user device) could
 * map that cache, which is no longer the guest's memory. Punches are right through either.
 */
static int file_reopen(int fd)
{
	int cloexec = fcntl(fd, F_GETFD) & FD_CLOEXEC ? O_CLOEXEC : 0;
	char path[64];
	OWNED_FD again = -1;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, O_RDWR | O_CLOEXEC);
	if (again < 0 || dup3(again, fd, cloexec) < 0)
		return -errno;
	return 0;
}

/* In the pins too, which a gvmfs that is killed before it has read the message leaves as they are. */
static void pin_all_send(const struct region *r)
{
	struct gvm_attach_msg msg = message(GVM_ATTACH_PIN_ALL);

	for (size_t c = 0; c < r->chunks; c++)
		atomic_fetch_add(&r->pins[c], 1);
	snprintf(msg.text, sizeof(msg.text), "%s", ours.pin_why);
	message_send(r->sock, &msg, NULL); /* it fails when gvmfs is gone: the helper tells */
}

/* In a child that does not exec: it has neither the mapping nor the helper, and these descriptors
 * would keep gvmfs from seeing its parent's end. */
static void forget_after_fork(void)
{
	pthread_mutex_init(&ours.lock, NULL); /* another thread may have held it */
	for (int i = 0; i < REGIONS_MAX; i++) {
		struct region *r = atomic_exchange(&ours.table[i], NULL);

		if (!r)
			continue;
		close(r->sock);
		close(r->uffd);
		fd_close(&r->file);
	}
}

static int fork_watch(struct ram *ram)
{
	int err = ours.fork_watched ? 0 : pthread_atfork(NULL, NULL, forget_after_fork);

	ours.fork_watched = !err;
	return err ? because(ram, -err, "pthread_atfork: %s", strerror(err)) : 0;
}

static int region_attach(struct ram *ram, const char *path, _Atomic(struct region *) *slot)
{
	struct timeval forever = {0, 0};
	struct region *r;
	int err = fork_watch(ram), sock;

	if (err)
		return err;
	r = (struct region *)calloc(1, sizeof(*r));
	if (!r)
		return because(ram, -ENOMEM, "no memory");
	sock = attach_connect(ram, path, DEADLINE_MS);
	err = sock < 0 ? sock : converse(ram, sock, DEADLINE_MS, r);
	if (err) {
		fd_close(&sock);
		free(r);
		return err;
	}
	/* from here on gvmfs may be slow to listen, never deaf: a send waits */
	setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &forever, sizeof(forever));
	sem_post(&r->gate); /* before the open below, which gvmfs serves: it may ask for a zap */
	err = file_reopen(ram->fd);
	if (err)
		say("RAM %s: the file cannot be opened again (%s): reads of it may be old, and no "
		    "other process may map it", ram->name, strerror(-err));
	r->file = fcntl(ram->fd, F_DUPFD_CLOEXEC, 0);
	atomic_store(slot, r);
	if (ours.pin_why)
		pin_all_send(r);
	return 0;
}

static bool file_attached(const struct stat *st)
{
	for (int i = 0; i < REGIONS_MAX; i++) {
		struct region *r = atomic_load(&ours.table[i]);

		if (r && r->dev == st->st_dev && r->ino == st->st_ino)
			return true;
	}
	return false;
}

static _Atomic(struct region *) *slot_free(void)
{
	for (int i = 0; i < REGIONS_MAX; i++) {
		if (!atomic_load(&ours.table[i]))
			return &ours.table[i];
	}
	return NULL;
}

/* What speaks against uffd before gvmfs is asked. `path`: of gvmfs's socket, or empty. */
static int ram_refusal(struct ram *ram, enum dsm_mode mode, const char *path)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int flags = fcntl(ram->fd, F_GETFL);

	if (mode == DSM_MODE_FUSE)
		return because(ram, -EPERM, "this mode was asked for");
	if (ours.veto)
		return because(ram, -EPERM, "%s", ours.veto);
	if (!*path)
		return because(ram, -EOPNOTSUPP, "this gvmfs has no other");
	if (ram->offset || ram->st.st_size < 0 || (size_t)ram->st.st_size != ram->bytes)
		return because(ram, -EINVAL, "it is a part of its file");
	if (!ram->bytes || ram->bytes % page || (uintptr_t)ram->host % page)
		return because(ram, -EINVAL, "its size or address is not a multiple of a page");
	if (flags < 0 || (flags & O_ACCMODE) != O_RDWR)
		return because(ram, -EACCES, "its file is not open for writing");
	/* what the guest writes must not reach a file that others may open later */
	if (!ram->shared && ram->st.st_nlink > 0)
		return because(ram, -EINVAL, "its mapping is private (share=on is missing)");
	if (file_attached(&ram->st))
		return because(ram, -EBUSY, "its file is mapped once more in this process");
	if (!slot_free())
		return because(ram, -ENOSPC, "there are %d regions already", REGIONS_MAX);
	return 0;
}

static int gvmfs_attach(struct ram *ram, enum dsm_mode mode, const char *path)
{
	int err;

	if (mode == DSM_MODE_KERNEL) {
		say_mode(ram, "not in mode kernel", "it is a file of gvmfs");
		return -EINVAL;
	}
	pthread_mutex_lock(&ours.lock);
	err = ram_refusal(ram, mode, path);
	if (!err)
		err = region_attach(ram, path, slot_free());
	pthread_mutex_unlock(&ours.lock);
	if (!err) {
		say_mode(ram, "uffd", NULL);
		return 1;
	}
	if (ram->lost) {
		say_mode(ram, "lost", ram->why);
		return err;
	}
	say_mode(ram, mode == DSM_MODE_UFFD ? "not in mode uffd" : "fuse", ram->why);
	return mode == DSM_MODE_UFFD ? err : 0;
}

static int giantvm_attach(struct ram *ram, enum dsm_mode mode)
{
	if (mode == DSM_MODE_UFFD) {
		say_mode(ram, "not in mode uffd", "it is a region of /dev/giantvm");
		return -EINVAL;
	}
	say_mode(ram, "kernel", NULL);
	return 0;
}

/* Its place under /sys names the device, and its class. */
static bool is_giantvm(const struct stat *st)
{
	char link[64], place[PATH_MAX];
	ssize_t n;

	if (!S_ISCHR(st->st_mode))
		return false;
	snprintf(link, sizeof(link), "/sys/dev/char/%u:%u", major(st->st_rdev), minor(st->st_rdev));
	n = readlink(link, place, sizeof(place) - 1);
	if (n < 0)
		return false;
	place[n] = 0;
	return strstr(place, "giantvm") != NULL;
}

/* `path`: where its gvmfs listens; empty where that is too old to, or has no usable place. */
static bool is_gvmfs(int fd, char *path, size_t room)
{
	struct statfs fs;
	ssize_t n;

	path[0] = 0;
	if (fstatfs(fd, &fs) || fs.f_type != FUSE_SUPER_MAGIC)
		return false;
	n = fgetxattr(fd, GVM_ATTACH_XATTR, path, room - 1);
	if (n > 0 && path[0] == '/' && !memchr(path, 0, (size_t)n)) {
		path[n] = 0;
		return true;
	}
	path[0] = 0;
	return n >= 0 || fgetxattr(fd, STATS_XATTR, NULL, 0) >= 0;
}

static void name_find(struct ram *ram)
{
	static const char suffix[] = " (deleted)";
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", ram->fd);
	n = readlink(link, ram->name, sizeof(ram->name) - 1);
	if (n < 0)
		n = snprintf(ram->name, sizeof(ram->name), "(fd %d)", ram->fd);
	ram->name[n] = 0;
	n -= (ssize_t)sizeof(suffix) - 1;
	if (n > 0 && !strcmp(ram->name + n, suffix))
		ram->name[n] = 0;
}

int dsm_ram_attach(int fd, void *host, size_t bytes, off_t offset, bool shared)
{
	struct ram ram = {.fd = fd, .host = (uint8_t *)host, .bytes = bytes, .offset = offset,
			  .shared = shared};
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path)];
	bool kernel, gvmfs;
	int mode;

	if (fstat(fd, &ram.st))
		return 0;
	kernel = is_giantvm(&ram.st);
	gvmfs = !kernel && is_gvmfs(fd, path, sizeof(path));
	if (!kernel && !gvmfs)
		return 0;
	name_find(&ram);
	mode = mode_or_error();
	if (mode < 0) {
		say_mode(&ram, "refused", "GVM_MODE is none of auto, fuse, uffd, kernel");
		return mode;
	}
	return kernel ? giantvm_attach(&ram, (enum dsm_mode)mode)
		      : gvmfs_attach(&ram, (enum dsm_mode)mode, path);
}

/* ---- detach, lookup ---- */

/* The part of these bytes that is in the region, from its start. */
static bool region_clip(const struct region *r, const void *host, size_t bytes, size_t *offset,
			size_t *length)
{
	uintptr_t start = (uintptr_t)host, first;
	size_t before;

	if (!r || !bytes)
		return false;
	first = (uintptr_t)r->host;
	before = start < first ? first - start : 0;
	*offset = start < first ? 0 : start - first;
	if (before >= bytes || *offset >= r->bytes)
		return false;
	*length = bytes - before;
	if (*length > r->bytes - *offset)
		*length = r->bytes - *offset;
	return true;
}

bool dsm_ram_covers(const void *host, size_t bytes)
{
	size_t offset, length;

	for (int i = 0; i < REGIONS_MAX; i++) {
		if (region_clip(atomic_load(&ours.table[i]), host, bytes, &offset, &length))
			return true;
	}
	return false;
}

/* The address range stays reserved, so that nothing else can come to lie there before the caller's
 * munmap(). The socket is last: to gvmfs its end means that the memory is gone. */
static void region_detach(struct region *r)
{
	if (mmap(r->host, r->bytes, PROT_NONE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
		say("RAM %s: cannot be taken out of the way: %s", r->name, strerror(errno));
	detached_send(r);
	helper_stop(r);
	close(r->uffd);
	fd_close(&r->file);
	close(r->sock);
	r->next = ours.retired;
	ours.retired = r;
}

static bool cuts_a_region(const void *host, size_t bytes)
{
	size_t offset, length;

	for (int i = 0; i < REGIONS_MAX; i++) {
		struct region *r = atomic_load(&ours.table[i]);

		if (region_clip(r, host, bytes, &offset, &length) && length != r->bytes)
			return true;
	}
	return false;
}

int dsm_ram_detach(void *host, size_t bytes)
{
	size_t offset, length;

	pthread_mutex_lock(&ours.lock);
	if (cuts_a_region(host, bytes)) {
		pthread_mutex_unlock(&ours.lock);
		return -EINVAL;
	}
	for (int i = 0; i < REGIONS_MAX; i++) {
		struct region *r = atomic_load(&ours.table[i]);

		if (!region_clip(r, host, bytes, &offset, &length))
			continue;
		atomic_store(&ours.table[i], NULL);
		region_detach(r);
	}
	pthread_mutex_unlock(&ours.lock);
	return 0;
}

/* ---- advice ---- */

enum advice_deed { ADVICE_PASS, ADVICE_IGNORE, ADVICE_REFUSE, ADVICE_PUNCH };

static enum advice_deed advice_deed(int advice)
{
	switch (advice) {
	case MADV_HUGEPAGE:	/* pages come and go one by one */
	case MADV_MERGEABLE:	/* KSM does not look at shared memory */
	case MADV_UNMERGEABLE:	/* so there is nothing to undo */
	case MADV_DOFORK:	/* a child's mapping would not be registered: it would see zeros */
	case MADV_COLD:		/* which pages are cold is for gvmfs to find out */
	case MADV_PAGEOUT:	/* it would put pages into the host's swap behind gvmfs's back */
		return ADVICE_IGNORE;
	case MADV_FREE:		/* means private memory; the kernel refuses it too */
	case MADV_COLLAPSE:	/* makes huge pages */
		return ADVICE_REFUSE;
	case MADV_REMOVE:	/* a hole in the memfd alone would be filled from the node again */
		return ADVICE_PUNCH;
	default:
		/*
		 * DONTNEED only drops page-table entries: the next access has them back. POPULATE
		 * faults, as an access does. NOHUGEPAGE, DONTFORK, DONTDUMP and DODUMP are what
		 * they seem.
		 */
		return ADVICE_PASS;
	}
}

static int region_punch(const void *host, size_t bytes)
{
	size_t offset, length;

	for (int i = 0; i < REGIONS_MAX; i++) {
		struct region *r = atomic_load(&ours.table[i]);

		if (!region_clip(r, host, bytes, &offset, &length))
			continue;
		if (length != bytes)
			return -EINVAL;
		if (fallocate(r->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
			      (off_t)length))
			return -errno;
		return 0;
	}
	return -ENOMEM;
}

int dsm_ram_madvise(void *host, size_t bytes, int advice, int *result)
{
	enum advice_deed deed = advice_deed(advice);

	if (deed == ADVICE_PASS || !dsm_ram_covers(host, bytes))
		return 0;
	if (deed == ADVICE_PUNCH)
		*result = region_punch(host, bytes);
	else
		*result = deed == ADVICE_REFUSE ? -EINVAL : 0;
	return 1;
}

/* ---- pins ---- */

/* Sequentially consistent, against gvmfs's look after a zap: see gvm_attach.h. */
static void pins_add(const void *host, size_t bytes, uint32_t n)
{
	size_t offset, length;

	for (int i = 0; i < REGIONS_MAX; i++) {
		struct region *r = atomic_load_explicit(&ours.table[i], memory_order_acquire);

		if (!region_clip(r, host, bytes, &offset, &length))
			continue;
		for (size_t c = offset / CHUNK_BYTES; c <= (offset + length - 1) / CHUNK_BYTES; c++)
			atomic_fetch_add(&r->pins[c], n);
	}
}

void dsm_pin(const void *host, size_t bytes)
{
	pins_add(host, bytes, 1);
}

void dsm_unpin(const void *host, size_t bytes)
{
	pins_add(host, bytes, UINT32_MAX); /* minus 1 */
}

/*
 * There is no answer to wait for. A zap that gvmfs has asked for was either answered before the
 * message, and then the device's pin has yet to fault; or after it, and then gvmfs reads the
 * message before the answer.
 */
void dsm_pin_all(const char *why)
{
	pthread_mutex_lock(&ours.lock);
	ours.pin_why = why;
	for (int i = 0; i < REGIONS_MAX; i++) {
		struct region *r = atomic_load(&ours.table[i]);

		if (r)
			pin_all_send(r);
	}
	pthread_mutex_unlock(&ours.lock);
}
