// SPDX-License-Identifier: GPL-2.0-or-later
/* node_sandbox.c - inside the node's sandbox, what it does not need is refused. */
#include "memnode/daemon/io.h"
#include "memnode/daemon/sandbox.h"
#include "tests/unit/check.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static struct io io;
static const char *engine;

/* Enters the sandbox in a child, with a ring made before, and runs `inside` there. */
static void in_sandbox(void (*inside)(void))
{
	int status;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid) {
		struct sandbox sandbox = {.user = "nobody"};
		const char *why;
		int refused;

		CHECK(!io_init(&io, engine, 1024, &refused));
		sandbox.calls = io.engine->calls;
		if (sandbox_enter(&sandbox, &why) || *sandbox.without) {
			fprintf(stderr, "sandbox: %s failed, without %s\n", why, sandbox.without);
			_exit(1);
		}
		inside();
		_exit(0);
	}
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(status, 0);
}

#define REFUSED(call)                                                                              \
	do {                                                                                       \
		errno = 0;                                                                         \
		CHECK((long)(call) == -1 && errno == EPERM);                                       \
	} while (0)

static void calls_refused(void)
{
	char *const none[] = {NULL};

	REFUSED(socket(AF_INET, SOCK_STREAM, 0));
	REFUSED(execve("/bin/sh", none, none));
	REFUSED(fork());
	REFUSED(kill(1, 0));
	REFUSED(ptrace(PTRACE_ATTACH, 1, 0, 0));
	REFUSED(syscall(SYS_io_uring_setup, 1, NULL));
	REFUSED(syscall(SYS_io_uring_register, io.ring.ring_fd, IORING_REGISTER_PROBE, NULL, 0));
	REFUSED(syscall(SYS_process_vm_readv, 1, NULL, 0, NULL, 0, 0));
	REFUSED(setuid(0));
	REFUSED(chroot("/"));
#ifndef __SANITIZE_ADDRESS__
	REFUSED(open("/", O_RDONLY));
	REFUSED(syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
#endif
	free(malloc(1 << 20)); /* and what it needs is not */
}

static void ring_refuses(void)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&io.ring);
	struct io_uring_cqe *cqe;

	CHECK(sqe);
	io_uring_prep_openat(sqe, AT_FDCWD, "/", O_RDONLY, 0);
	CHECK_EQ(io_uring_submit_and_wait(&io.ring, 1), 1);
	CHECK(!io_uring_peek_cqe(&io.ring, &cqe));
	CHECK_EQ(cqe->res, -EACCES);
	io_uring_cqe_seen(&io.ring, cqe);
}

static void system_calls_are_refused(void)
{
	engine = "epoll";
	in_sandbox(calls_refused);
	engine = "uring";
	in_sandbox(calls_refused);
}

static void ring_opens_no_file(void)
{
	engine = "uring";
	in_sandbox(ring_refuses);
}

static const struct check_test tests[] = {
	{"system-calls-are-refused", system_calls_are_refused},
	{"ring-opens-no-file", ring_opens_no_file},
};
CHECK_MAIN(tests)
