// SPDX-License-Identifier: GPL-2.0-or-later
/* pagecache_helper.c - the process that makes calls on open files for the worker: see pagecache.h. */
#include "pagecache_helper.h"

#include "base/descriptors.h"
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/mount.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PROBE_NS      500000u /* between two looks at a thread that may be blocked */
#define PROBE_LOOKS   10u
#define PROBES_MAX    256u /* READs that hang may keep them; without one the call itself waits */
#define STACK_BYTES   (256u << 10)

/* Opens the root of the mount; where privilege allows, by a copy of the mount that is attached
 * nowhere, so that the user can unmount the original meanwhile. */
static int root_open(const char *mountpoint)
{
	int fd = (int)syscall(SYS_open_tree, AT_FDCWD, mountpoint, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	return fd >= 0 ? fd : open(mountpoint, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* Opens the file that the message means, or none if another file has its name by now. */
static int file_open(const char *mountpoint, const struct helper_msg *msg)
{
	int root = root_open(mountpoint), fd = -1, error = errno;
	struct statx st;

	if (root < 0)
		return -error;
	/* Checked before any request goes to what may be another filesystem by now. */
	if (statx(root, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &st) < 0)
		error = errno;
	else if (makedev(st.stx_dev_major, st.stx_dev_minor) != msg->dev)
		error = ESTALE;
	else if ((fd = openat(root, msg->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)) < 0)
		error = errno;
	close(root);
	if (fd < 0)
		return -error;
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &st) == 0 &&
	    makedev(st.stx_dev_major, st.stx_dev_minor) == msg->dev && st.stx_ino == msg->ino)
		return fd;
	close(fd);
	return -ESTALE;
}

static bool answer_send(uint64_t cookie, int error)
{
	struct helper_answer answer = { .cookie = cookie, .error = error };

	return send(0, &answer, sizeof(answer), MSG_NOSIGNAL) >= 0;
}

static int invalidate(const struct helper_msg *msg, int fuse_fd)
{
	int r = 0;

	for (unsigned i = 0; !r && i < msg->count; i++) {
		struct {
			struct fuse_out_header out;
			struct fuse_notify_inval_inode_out what;
		} notify = { .out = { .len = sizeof(notify), .error = FUSE_NOTIFY_INVAL_INODE },
			     .what = { .ino = msg->ino, .off = (int64_t)msg->range[i].off,
				       .len = (int64_t)msg->range[i].size } };

		if (write(fuse_fd, &notify, sizeof(notify)) < 0)
			r = -errno;
	}
	return r;
}

/* A small stack will do: these threads call the kernel and little else. */
static int thread_start(void *(*run)(void *arg), void *arg)
{
	pthread_attr_t attr;
	pthread_t thread;
	int error = pthread_attr_init(&attr);

	if (error)
		return -error;
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	error = pthread_create(&thread, &attr, run, arg);
	pthread_attr_destroy(&attr);
	return -error;
}

/* A thread that reads one byte of a page: it returns at once if the kernel has it. */
struct probe {
	int fd;
	off_t off;
	_Atomic pid_t tid;
	_Atomic int result; /* of pread(); valid once `done` */
	_Atomic bool done;
	_Atomic unsigned users;
};

static _Atomic unsigned probes; /* threads */

static void probe_put(struct probe *p)
{
	if (--p->users)
		return;
	close(p->fd);
	free(p);
}

static void *probe_run(void *arg)
{
	struct probe *p = arg;
	char byte;

	p->tid = (pid_t)syscall(SYS_gettid);
	p->result = (int)pread(p->fd, &byte, 1, p->off);
	p->done = true;
	probe_put(p);
	probes--;
	return NULL;
}

static struct probe *probe_start(int fd, uint64_t off)
{
	struct probe *p = ++probes <= PROBES_MAX ? calloc(1, sizeof(*p)) : NULL;

	if (!p) {
		probes--;
		return NULL;
	}
	p->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	p->off = (off_t)(off / GVM_PAGE_BYTES * GVM_PAGE_BYTES);
	p->users = 2;
	if (p->fd >= 0 && !thread_start(probe_run, p))
		return p;
	if (p->fd >= 0)
		close(p->fd);
	free(p);
	probes--;
	return NULL;
}

static bool thread_is_blocked(pid_t tid)
{
	char path[40], text[128];
	const char *name_end;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	if (file_text(path, text, sizeof(text)))
		return false;
	name_end = strrchr(text, ')');
	return name_end && strncmp(name_end, ") D", 3) == 0;
}

/*
 * Whether the kernel has the content of a page. It does not while the page is locked for a READ, or
 * while a part of it is just being written. Then the probe's reader blocks, which harms nobody; a
 * store would wait for the page's lock, and come late. (mincore() could tell, too, but unmapping
 * waits for the file's write-back, which the kernel may hold back meanwhile.)
 */
static bool page_is_present(int fd, uint64_t off)
{
	struct probe *p = probe_start(fd, off);
	unsigned blocked = 0;
	bool present;

	if (!p)
		return true;
	while (!p->done && blocked < PROBE_LOOKS) {
		nanosleep(&(struct timespec){ .tv_nsec = p->tid ? PROBE_NS : 0 }, NULL);
		blocked = p->tid && thread_is_blocked(p->tid) ? blocked + 1 : 0;
	}
	present = p->done && p->result == 1;
	probe_put(p);
	return present;
}

/* Writes into the kernel's page (FUSE_NOTIFY_STORE); waits for the page's lock. */
int helper_store(int fuse_fd, uint64_t ino, uint64_t off, uint64_t size, const uint8_t *content)
{
	struct {
		struct fuse_out_header out;
		struct fuse_notify_store_out what;
	} notify = { .out = { .len = (uint32_t)(sizeof(notify) + size), .error = FUSE_NOTIFY_STORE },
		     .what = { .nodeid = ino, .offset = off, .size = (uint32_t)size } };
	struct iovec iov[] = { { &notify, sizeof(notify) }, { (void *)content, size } };

	while (writev(fuse_fd, iov, 2) < 0) {
		if (errno != ENOMEM && errno != EINTR)
			return -errno;
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
	}
	return 0;
}

/* The text lists a process's groups before its signals: up to 65,536 groups of 11 bytes. */
#define STATUS_BYTES_MAX (1u << 20)

/* Whether SIGKILL is pending for the thread: its own, or what the kernel makes of another fatal signal. */
static bool thread_is_killed(int tid, char *text)
{
	static const char *const pending[] = { "SigPnd:", "ShdPnd:" };
	unsigned long long sets = 0;
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	if (file_text(path, text, STATUS_BYTES_MAX))
		return false;
	for (unsigned i = 0; i < 2; i++) {
		const char *set = text_field(text, pending[i]);

		sets |= set ? strtoull(set, NULL, 16) : 0;
	}
	return sets >> (SIGKILL - 1) & 1;
}

int helper_look(const int32_t *tids, unsigned count)
{
	char *text = malloc(STATUS_BYTES_MAX);
	int killed = 0;

	for (unsigned i = 0; text && i < count; i++)
		killed |= thread_is_killed(tids[i], text) << i;
	free(text);
	return text ? killed : -ENOMEM;
}

/* A request to the helper. */
struct call {
	int fd; /* the file, or a negative errno */
	int fuse_fd; /* or -1 */
	struct helper_msg msg;
};

static int file_do(const struct call *c)
{
	int r = c->fd < 0 ? c->fd : 0;

	for (unsigned i = 0; !r && i < c->msg.count; i++) {
		off_t off = (off_t)c->msg.range[i].off, size = (off_t)c->msg.range[i].size;

		if (c->msg.what == HELPER_DROP)
			r = -posix_fadvise(c->fd, off, size, POSIX_FADV_DONTNEED);
		else if (sync_file_range(c->fd, off, size,
					 SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
						 SYNC_FILE_RANGE_WAIT_AFTER) < 0)
			r = -errno;
	}
	return r;
}

static int call_do(const struct call *c)
{
	const struct helper_msg *msg = &c->msg;

	if (msg->what == HELPER_INVALIDATE)
		return invalidate(msg, c->fuse_fd);
	if (msg->what == HELPER_AROUND)
		return helper_around(msg);
	if (msg->what == HELPER_LOOK)
		return helper_look(msg->tids, msg->count);
	if (msg->what == HELPER_STORE)
		return c->fd < 0 || page_is_present(c->fd, msg->range[0].off)
			       ? helper_store(c->fuse_fd, msg->ino, msg->range[0].off, msg->range[0].size, msg->content)
			       : 0;
	return file_do(c);
}

static void call_close(struct call *c)
{
	if (c->fd >= 0)
		close(c->fd);
	/* The kernel ends the mount when the last descriptor of its FUSE connection is closed. */
	if (c->fuse_fd >= 0)
		close(c->fuse_fd);
}

static void *call_run(void *arg)
{
	struct call *c = arg;
	int r = call_do(c);

	call_close(c);
	answer_send(c->msg.cookie, r);
	free(c);
	return NULL;
}

/* Takes over the call's descriptors and answers later; false: without memory or a thread it does
 * neither. */
static bool call_start(const struct call *call)
{
	struct call *c = malloc(sizeof(*c));

	if (!c)
		return false;
	*c = *call;
	if (!thread_start(call_run, c))
		return true;
	free(c);
	return false;
}

/*
 * Calls that are answered wait for pages: for READs in flight, or for WRITEs that the worker or its
 * successor answers, perhaps only when a node is back. So each runs in a thread of its own. The
 * file is opened before, by the helper's main thread, whose open files do not count
 * (pagecache_is_helper()).
 */
void helper_run(const char *mountpoint, int fd, pid_t parent)
{
	static struct call call;
	int fds[DESCRIPTORS_MAX];
	unsigned count;

	prctl(PR_SET_NAME, "gvmfs-pages");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGINT, SIG_IGN);
	/* A waiting call must not keep other descriptors open, or a folder busy. */
	if (getppid() != parent || dup2(fd, 0) < 0 || chdir("/") < 0)
		_exit(1);
	close_range(1, ~0u, 0);
	while (poll(&(struct pollfd){ .events = POLLIN }, 1, -1) >= 0 &&
	       descriptors_receive(0, &call.msg, sizeof(call.msg), fds, &count) == 0) {
		call.fd = *call.msg.path ? file_open(mountpoint, &call.msg) : -ENOENT;
		call.fuse_fd = count ? fds[0] : -1;
		while (count > 1)
			close(fds[--count]);
		if (call.msg.cookie && call_start(&call))
			continue;
		/* Without memory for a thread, no call that may wait is begun. */
		if (call.msg.what == HELPER_DROP)
			file_do(&call);
		call_close(&call);
		if (call.msg.cookie && !answer_send(call.msg.cookie, -EAGAIN))
			break;
	}
	_exit(0);
}
