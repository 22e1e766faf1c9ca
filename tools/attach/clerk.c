// SPDX-License-Identifier: GPL-2.0-or-later
/* clerk.c - see clerk.h. */
#include "clerk.h"

#include <asm/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#ifdef __x86_64__

#define CODE __attribute__((section("gvm_clerk")))

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
#ifndef __NR_mseal
#define __NR_mseal 462
#endif

#define PAGE_BYTES    4096u
#define NEW_FLAGS     (O_CLOEXEC | O_NONBLOCK)
#define ANSWER_S      60 /* until gvmfs has written the file's cached pages back */
#define DEVICE_S      10 /* until whoever brought it has sent a descriptor, if that lives */
#define SHORT_NS      1000000
#define SET_NAME      15 /* PR_SET_NAME */
#define PIPE_TO_STDERR 2
#define POLL_IN	      1
#define POLL_OUT      4

__asm__(".pushsection gvm_clerk,\"ax\",@progbits\n"
	".globl clerk_call, clerk_call_words, clerk_call_end, clerk_begin, clerk_begin_words, clerk_spawn\n"
	".hidden clerk_call, clerk_call_words, clerk_call_end, clerk_begin, clerk_begin_words, clerk_spawn\n"
	".macro save\n"
	"	lea -128(%rsp), %rsp\n" /* the ABI's red zone */
	"	pushfq\n"
	"	push %rax\n	push %rcx\n	push %rdx\n	push %rsi\n	push %rdi\n"
	"	push %r8\n	push %r9\n	push %r10\n	push %r11\n"
	".endm\n"
	".macro restore\n"
	"	pop %r11\n	pop %r10\n	pop %r9\n	pop %r8\n"
	"	pop %rdi\n	pop %rsi\n	pop %rdx\n	pop %rcx\n	pop %rax\n"
	"	popfq\n"
	"	lea 128(%rsp), %rsp\n"
	".endm\n"
	".balign 16\n"
	"clerk_call:\n"
	"	save\n"
	"	mov clerk_call_words(%rip), %rax\n"
	"	mov clerk_call_words+8(%rip), %rdi\n"
	"	mov clerk_call_words+16(%rip), %rsi\n"
	"	mov clerk_call_words+24(%rip), %rdx\n"
	"	mov clerk_call_words+32(%rip), %r10\n"
	"	mov clerk_call_words+40(%rip), %r8\n"
	"	mov clerk_call_words+48(%rip), %r9\n"
	"	syscall\n"
	"	restore\n"
	"	jmp *clerk_call_words+56(%rip)\n"
	".balign 8\n"
	"clerk_call_words:\n"
	"	.fill 8, 8, 0\n"
	"clerk_call_end:\n"
	/* All signals are blocked meanwhile, and so they are in the new thread, for good. */
	"clerk_begin:\n"
	"	save\n"
	"	sub $16, %rsp\n"
	"	movq $-1, 8(%rsp)\n"
	"	mov $14, %eax\n"
	"	mov $2, %edi\n"
	"	lea 8(%rsp), %rsi\n"
	"	mov %rsp, %rdx\n"
	"	mov $8, %r10d\n"
	"	syscall\n"
	"	mov $56, %eax\n"
	"	mov $0x50f00, %edi\n" /* VM, FS, FILES, SIGHAND, THREAD, SYSVSEM */
	"	mov clerk_begin_words(%rip), %rsi\n"
	"	xor %edx, %edx\n"
	"	xor %r10d, %r10d\n"
	"	xor %r8d, %r8d\n"
	"	syscall\n"
	"	test %rax, %rax\n"
	"	jz 1f\n"
	"	mov $14, %eax\n"
	"	mov $2, %edi\n"
	"	mov %rsp, %rsi\n"
	"	xor %edx, %edx\n"
	"	mov $8, %r10d\n"
	"	syscall\n"
	"	add $16, %rsp\n"
	"	restore\n"
	"	jmp *clerk_begin_words+16(%rip)\n"
	"1:	cld\n"
	"	xor %ebp, %ebp\n"
	"	mov clerk_begin_words+8(%rip), %rdi\n"
	"	call clerk_main\n"
	"	hlt\n"
	".balign 8\n"
	"clerk_begin_words:\n"
	"	.fill 3, 8, 0\n"
	/* (stack's top, struct clerk, where its number is until it has ended) */
	"clerk_spawn:\n"
	"	mov %rsi, %r9\n"
	"	mov %rdi, %rsi\n"
	"	mov %rdx, %r10\n"
	"	xor %r8d, %r8d\n"
	"	mov $0x350f00, %edi\n" /* the same, PARENT_SETTID, CHILD_CLEARTID */
	"	mov $56, %eax\n"
	"	syscall\n"
	"	test %rax, %rax\n"
	"	jz 1f\n"
	"	ret\n"
	"1:	xor %ebp, %ebp\n"
	"	mov %r9, %rdi\n"
	"	call clerk_hand\n"
	"	hlt\n"
	".popsection\n");

long clerk_spawn(void *stack, struct clerk *c, int32_t *tid) __attribute__((visibility("hidden")));
void clerk_main(struct clerk *c) __attribute__((visibility("hidden"), used, noreturn));
void clerk_hand(struct clerk *c) __attribute__((visibility("hidden"), used, noreturn));

/* ---- calls ---- */

CODE static long call(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	register uint64_t r10 __asm__("r10") = d;
	register uint64_t r8 __asm__("r8") = e;
	register uint64_t r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall" : "=a"(result) : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

#define AT(pointer) ((uint64_t)(uintptr_t)(pointer))

/* The compiler must not make a call of the library of it. */
CODE static void zero(void *at, size_t bytes)
{
	for (volatile uint8_t *p = (volatile uint8_t *)at; bytes--; p++)
		*p = 0;
}

CODE static void fd_drop(int32_t *fd)
{
	if (*fd >= 0)
		call(__NR_close, (uint64_t)*fd, 0, 0, 0, 0, 0);
	*fd = -1;
}

CODE static void pause_short(void)
{
	struct timespec t;

	t.tv_sec = 0;
	t.tv_nsec = SHORT_NS;
	call(__NR_nanosleep, AT(&t), 0, 0, 0, 0, 0);
}

CODE static uint64_t clock_ns(void)
{
	struct timespec t;

	call(__NR_clock_gettime, CLOCK_MONOTONIC, AT(&t), 0, 0, 0, 0);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

CODE static long advise(uint64_t address, uint64_t bytes, int advice)
{
	return call(__NR_madvise, address, bytes, (uint64_t)advice, 0, 0, 0);
}

CODE static _Noreturn void thread_end(void)
{
	for (;;)
		call(__NR_exit, 0, 0, 0, 0, 0, 0);
}

struct poll {
	int32_t fd;
	int16_t events, revents;
};

/* A guest whose memory is lost must not go on: nor does it for a log that nobody reads. */
CODE static _Noreturn void guest_end(struct clerk *c)
{
	struct timespec t;
	struct poll p;
	size_t n = 0;

	while (n < sizeof(c->lost) && c->lost[n])
		n++;
	p.fd = PIPE_TO_STDERR;
	p.events = POLL_OUT;
	p.revents = 0;
	t.tv_sec = t.tv_nsec = 0;
	if (call(__NR_ppoll, AT(&p), 1, AT(&t), 0, 0, 0) > 0 && p.revents & POLL_OUT)
		call(__NR_write, PIPE_TO_STDERR, AT(c->lost), n, 0, 0, 0);
	for (;;)
		call(__NR_exit_group, 1, 0, 0, 0, 0, 0);
}

/* ---- messages ---- */

CODE static void message_new(struct clerk *c, enum gvm_attach_type type)
{
	zero(&c->msg, sizeof(c->msg));
	c->msg.magic = GVM_ATTACH_MAGIC;
	c->msg.version = GVM_ATTACH_VERSION;
	c->msg.type = (uint16_t)type;
}

CODE static void header_set(struct clerk *c, struct msghdr *hdr, struct iovec *iov)
{
	iov->iov_base = &c->msg;
	iov->iov_len = sizeof(c->msg);
	zero(hdr, sizeof(*hdr));
	hdr->msg_iov = iov;
	hdr->msg_iovlen = 1;
	hdr->msg_control = c->control;
	hdr->msg_controllen = sizeof(c->control);
}

/* fd -1: none goes with it. */
CODE static long message_send(struct clerk *c, int fd)
{
	struct cmsghdr *head = (struct cmsghdr *)(void *)c->control;
	struct msghdr hdr;
	struct iovec iov;
	long n;

	header_set(c, &hdr, &iov);
	zero(c->control, sizeof(c->control));
	hdr.msg_controllen = fd < 0 ? 0 : CMSG_SPACE(sizeof(int));
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	*(int32_t *)(void *)CMSG_DATA(head) = fd;
	for (;;) {
		n = call(__NR_sendmsg, (uint64_t)c->sock, AT(&hdr), MSG_NOSIGNAL, 0, 0, 0);
		if (n != -ENOBUFS && n != -ENOMEM && n != -EINTR)
			return n < 0 ? n : 0;
		pause_short();
	}
}

CODE static void fds_take(struct clerk *c, long bytes)
{
	struct cmsghdr *head = (struct cmsghdr *)(void *)c->control;
	const int32_t *fd = (const int32_t *)(void *)CMSG_DATA(head);

	for (unsigned i = 0; i < 4; i++)
		c->fds[i] = -1;
	if (bytes < (long)sizeof(*head) || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
		return;
	for (unsigned i = 0; i < 4 && CMSG_LEN((i + 1) * sizeof(int)) <= head->cmsg_len; i++)
		c->fds[i] = fd[i];
}

/* -EPROTO: no message of this protocol. The descriptors are in c->fds, and the caller's. */
CODE static long message_receive(struct clerk *c)
{
	struct msghdr hdr;
	struct iovec iov;
	long n;

	do {
		header_set(c, &hdr, &iov);
		n = call(__NR_recvmsg, (uint64_t)c->sock, AT(&hdr), MSG_CMSG_CLOEXEC, 0, 0, 0);
	} while (n == -EINTR || n == -ENOMEM);
	fds_take(c, n < 0 ? 0 : (long)hdr.msg_controllen);
	if (n < 0)
		return n;
	if (n == 0)
		return -ECONNRESET;
	return n == (long)sizeof(c->msg) && c->msg.magic == GVM_ATTACH_MAGIC && c->msg.version == GVM_ATTACH_VERSION ? 0 : -EPROTO;
}

CODE static void fds_drop(struct clerk *c)
{
	for (unsigned i = 0; i < 4; i++)
		fd_drop(&c->fds[i]);
}

/* ---- descriptors of the process ---- */

struct entry {
	uint64_t ino;
	int64_t off;
	uint16_t bytes;
	uint8_t type;
	char name[];
};

/* -1: the entry is no descriptor. */
CODE static int entry_fd(const struct entry *e)
{
	int fd = 0;

	if (*e->name < '0' || *e->name > '9')
		return -1;
	for (const char *p = e->name; *p; p++)
		fd = fd * 10 + *p - '0';
	return fd;
}

CODE static bool begins(const char *text, const char *with)
{
	while (*with && *text == *with) {
		text++;
		with++;
	}
	return !*with;
}

/* Whether a device may write to pages of the process through it, without faults. */
CODE static bool fd_pins(const struct clerk *c, struct clerk_look *l, const struct entry *e, int fd)
{
	long n = call(__NR_readlinkat, (uint64_t)l->fd, AT(e->name), AT(l->link), sizeof(l->link) - 1, 0, 0);
	long flags = call(__NR_fcntl, (uint64_t)fd, F_GETFL, 0, 0, 0, 0);
	struct statx st;

	l->link[n < 0 ? 0 : n] = 0;
	for (unsigned i = 0; i < CLERK_PINNING_COUNT; i++)
		if (begins(l->link, c->pinning[i]))
			return true;
	if (*l->link != '/')
		return false;
	/* what is known here: a filesystem that does not answer (NFS, FUSE) would have gvmfs wait for this zap */
	if (flags < 0 || flags & O_PATH ||
	    call(__NR_statx, (uint64_t)fd, AT(c->nothing), AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, AT(&st), 0) < 0)
		return false;
	return S_ISBLK(st.stx_mode) || (S_ISREG(st.stx_mode) && flags & O_DIRECT);
}

CODE static bool is_region(const struct clerk *c, int fd)
{
	struct statx st;

	return !call(__NR_statx, (uint64_t)fd, AT(c->nothing), AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, AT(&st), 0) &&
	       st.stx_dev_major == c->dev_major && st.stx_dev_minor == c->dev_minor && st.stx_ino == c->ino;
}

/* By now gvmfs opens the file for direct I/O; a descriptor from before would go on reading the page cache. */
CODE static void fd_renew(struct clerk *c, const struct clerk_look *l, const struct entry *e, int fd)
{
	long again = call(__NR_openat, (uint64_t)l->fd, AT(e->name), O_RDWR | O_CLOEXEC, 0, 0, 0);
	long cloexec = call(__NR_fcntl, (uint64_t)fd, F_GETFD, 0, 0, 0, 0) & FD_CLOEXEC ? O_CLOEXEC : 0;

	if (again < 0 || call(__NR_dup3, (uint64_t)again, (uint64_t)fd, (uint64_t)cloexec, 0, 0, 0) < 0)
		c->stale++;
	if (again >= 0)
		call(__NR_close, (uint64_t)again, 0, 0, 0, 0, 0);
}

/* Whether one of them pins; with `renew` it opens the region's again instead. */
CODE static bool fds_look(struct clerk *c, struct clerk_look *l, bool renew)
{
	long n;

	call(__NR_lseek, (uint64_t)l->fd, 0, SEEK_SET, 0, 0, 0);
	while ((n = call(__NR_getdents64, (uint64_t)l->fd, AT(l->names), sizeof(l->names), 0, 0, 0)) > 0) {
		const struct entry *e;

		for (const char *p = l->names; p < l->names + n; p += e->bytes) {
			int fd;

			e = (const struct entry *)(const void *)p;
			fd = entry_fd(e);
			if (fd < 0)
				continue;
			if (renew && is_region(c, fd))
				fd_renew(c, l, e, fd);
			else if (!renew && fd_pins(c, l, e, fd))
				return true;
		}
	}
	return n < 0; /* what cannot be seen may pin */
}

/* ---- the hand ---- */

/* Reads the userfaultfd, so that mremap() returns. What it takes of faults is sent again when everybody is woken. */
CODE static void events_read(struct clerk *c)
{
	struct timespec t;
	struct poll p;

	while (!c->hand_stops) {
		p.fd = c->uffd;
		p.events = POLL_IN;
		p.revents = 0;
		t.tv_sec = 0;
		t.tv_nsec = SHORT_NS;
		if (call(__NR_ppoll, AT(&p), 1, AT(&t), 0, 0, 0) > 0)
			call(__NR_read, (uint64_t)c->uffd, AT(c->hand_look.names), sizeof(struct uffd_msg), 0, 0, 0);
	}
}

CODE void clerk_hand(struct clerk *c)
{
	if (!c->hand_renews) {
		events_read(c);
		thread_end();
	}
	fds_look(c, &c->hand_look, true);
	fd_drop(&c->hand_look.fd);
	c->stage = CLERK_SERVED;
	thread_end();
}

CODE static long hand_start(struct clerk *c)
{
	long tid = clerk_spawn(c->hand_stack + sizeof(c->hand_stack), c, &c->hand_tid);

	return tid < 0 ? tid : 0;
}

CODE static bool hand_lives(const struct clerk *c)
{
	return *(const volatile int32_t *)&c->hand_tid != 0; /* the kernel's to clear */
}

CODE static void hand_end(struct clerk *c)
{
	c->hand_stops = 1;
	while (hand_lives(c))
		pause_short();
}

/* ---- the mapping ---- */

CODE static long patience_set(const struct clerk *c, int seconds)
{
	struct timeval limit;
	long r;

	limit.tv_sec = seconds;
	limit.tv_usec = 0;
	r = call(__NR_setsockopt, (uint64_t)c->sock, SOL_SOCKET, SO_RCVTIMEO, AT(&limit), sizeof(limit), 0);
	return r ? r : call(__NR_setsockopt, (uint64_t)c->sock, SOL_SOCKET, SO_SNDTIMEO, AT(&limit), sizeof(limit), 0);
}

/* What the process may not open itself: its descriptor, or a negative errno. */
CODE static long device_wait(struct clerk *c)
{
	long r = call(__NR_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, AT(c->door), 0, 0);

	if (r)
		return r;
	c->sock = c->door[0];
	r = patience_set(c, DEVICE_S);
	c->asks++;
	c->stage = CLERK_ASKS;
	if (!r)
		r = message_receive(c);
	else
		fds_take(c, 0);
	if (!r)
		r = c->fds[0] < 0 ? -EPERM : c->fds[0];
	c->fds[0] = r >= 0 ? -1 : c->fds[0];
	fds_drop(c);
	fd_drop(&c->door[0]);
	fd_drop(&c->door[1]);
	c->sock = -1;
	c->stage = CLERK_BEGUN;
	return r;
}

CODE static long uffd_with(struct clerk *c, uint64_t features)
{
	struct uffdio_api api;
	long fd = call(__NR_userfaultfd, NEW_FLAGS, 0, 0, 0, 0, 0), device, r;

	if (fd < 0) {
		device = call(__NR_openat, (uint64_t)AT_FDCWD, AT(c->uffd_device), O_RDWR | O_CLOEXEC, 0, 0, 0);
		if (device < 0)
			device = device_wait(c);
		if (device < 0)
			return fd;
		fd = call(__NR_ioctl, (uint64_t)device, USERFAULTFD_IOC_NEW, NEW_FLAGS, 0, 0, 0);
		call(__NR_close, (uint64_t)device, 0, 0, 0, 0, 0);
		if (fd < 0)
			return fd;
	}
	zero(&api, sizeof(api));
	api.api = UFFD_API;
	api.features = features;
	r = call(__NR_ioctl, (uint64_t)fd, UFFDIO_API, AT(&api), 0, 0, 0);
	c->uffd = (int32_t)fd;
	if (r)
		fd_drop(&c->uffd);
	return r;
}

CODE static long uffd_new(struct clerk *c)
{
	uint64_t need = UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_EVENT_REMAP;
	long r = uffd_with(c, need | UFFD_FEATURE_POISON);

	return r == -EINVAL ? uffd_with(c, need) : r;
}

CODE static void everybody_wake(const struct clerk *c)
{
	struct uffdio_range range;

	range.start = c->address;
	range.len = c->bytes;
	call(__NR_ioctl, (uint64_t)c->uffd, UFFDIO_WAKE, AT(&range), 0, 0, 0);
}

/* Puts a memfd that nobody has touched in the mapping's place, registered. Until it is registered it cannot be touched:
 * the kernel puts pages in locked memory. */
CODE static long mapping_replace(struct clerk *c, int memory)
{
	struct uffdio_register reg;
	long at = call(__NR_mmap, 0, c->bytes, PROT_NONE, MAP_SHARED, (uint64_t)memory, 0), r;

	if (at < 0 && at > -PAGE_BYTES)
		return at;
	advise((uint64_t)at, c->bytes, MADV_NOHUGEPAGE);
	advise((uint64_t)at, c->bytes, MADV_DONTDUMP);
	r = advise((uint64_t)at, c->bytes, MADV_DONTFORK);
	zero(&reg, sizeof(reg));
	reg.range.start = (uint64_t)at;
	reg.range.len = c->bytes;
	reg.mode = UFFDIO_REGISTER_MODE_MISSING | UFFDIO_REGISTER_MODE_MINOR;
	if (!r)
		r = call(__NR_ioctl, (uint64_t)c->uffd, UFFDIO_REGISTER, AT(&reg), 0, 0, 0);
	if (!r)
		r = call(__NR_mprotect, (uint64_t)at, c->bytes, PROT_READ | PROT_WRITE, 0, 0, 0);
	if (!r) {
		long moved = call(__NR_mremap, (uint64_t)at, c->bytes, c->bytes, MREMAP_MAYMOVE | MREMAP_FIXED, c->address, 0);

		r = moved < 0 && moved > -PAGE_BYTES ? moved : 0;
	}
	if (r)
		call(__NR_munmap, (uint64_t)at, c->bytes, 0, 0, 0, 0);
	return r;
}

CODE static long wait_here(struct clerk *c)
{
	long memory = call(__NR_memfd_create, AT(c->memory_name), 1 /* MFD_CLOEXEC */, 0, 0, 0, 0), r;

	if (memory < 0)
		return memory;
	r = call(__NR_ftruncate, (uint64_t)memory, c->bytes, 0, 0, 0, 0);
	if (!r)
		r = mapping_replace(c, (int)memory);
	call(__NR_close, (uint64_t)memory, 0, 0, 0, 0, 0);
	return r;
}

CODE static void advice_restore(const struct clerk *c)
{
	if (c->advice & CLERK_HUGE)
		advise(c->address, c->bytes, MADV_HUGEPAGE);
	if (c->advice & CLERK_NO_HUGE)
		advise(c->address, c->bytes, MADV_NOHUGEPAGE);
	if (c->advice & CLERK_NO_FORK)
		advise(c->address, c->bytes, MADV_DONTFORK);
	if (c->advice & CLERK_NO_DUMP)
		advise(c->address, c->bytes, MADV_DONTDUMP);
	if (c->advice & CLERK_MERGE)
		advise(c->address, c->bytes, MADV_MERGEABLE);
}

/* There is nothing else to do than to try again: everybody waits. */
CODE static void file_map(struct clerk *c)
{
	for (;;) {
		long at = call(__NR_mmap, c->address, c->bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, (uint64_t)c->own, 0);

		if ((uint64_t)at == c->address)
			break;
		pause_short();
	}
	advice_restore(c);
	everybody_wake(c);
}

/* ---- the conversation ---- */

CODE static _Noreturn void refused(struct clerk *c, enum clerk_step step, long error)
{
	fd_drop(&c->uffd);
	fd_drop(&c->sock);
	fd_drop(&c->look.fd);
	fd_drop(&c->hand_look.fd);
	fd_drop(&c->own);
	fd_drop(&c->alone);
	if (c->pins)
		call(__NR_munmap, AT(c->pins), c->chunks * sizeof(uint32_t), 0, 0, 0, 0);
	c->step = step;
	c->error = (int32_t)error;
	c->stage = CLERK_REFUSED;
	thread_end();
}

/* Maps the file again. c->msg is kept where it is gvmfs's refusal. */
CODE static _Noreturn void undone(struct clerk *c, enum clerk_step step, long error)
{
	file_map(c);
	c->waited_ns = clock_ns() - c->waited_ns;
	hand_end(c);
	if (step == CLERK_TO_GO && error) {
		message_new(c, GVM_ATTACH_DETACHED);
		message_send(c, -1);
	}
	refused(c, step, error);
}

CODE static int32_t names_open(const struct clerk *c)
{
	return (int32_t)call(__NR_openat, (uint64_t)AT_FDCWD, AT(c->proc_fd), O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, 0, 0);
}

/* Another, whose gvm attach was killed or runs at the same time, might be about to replace the mapping: the file would come back
 * in the place of gvmfs's memory. It keeps the name for as long as it is there. */
CODE static long alone_be(struct clerk *c)
{
	c->alone = (int32_t)call(__NR_socket, AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, 0, 0, 0);
	return c->alone < 0 ? c->alone : call(__NR_bind, (uint64_t)c->alone, AT(c->lock), c->lock_bytes, 0, 0, 0);
}

CODE static void prepare(struct clerk *c)
{
	long r;

	c->own = c->uffd = c->sock = c->alone = c->door[0] = c->door[1] = c->look.fd = c->hand_look.fd = -1;
	r = alone_be(c);
	if (r)
		refused(c, CLERK_TO_BE_ALONE, r);
	c->own = (int32_t)call(__NR_fcntl, (uint64_t)c->file, F_DUPFD_CLOEXEC, 0, 0, 0, 0);
	if (c->own < 0 || !is_region(c, c->own))
		refused(c, CLERK_THE_FILE, c->own < 0 ? c->own : -ESTALE);
	c->look.fd = names_open(c);
	c->hand_look.fd = c->look.fd < 0 ? -1 : names_open(c);
	if (c->hand_look.fd < 0)
		refused(c, CLERK_THE_FILE, -EMFILE);
	r = call(__NR_mseal, c->address, 0, 0, 0, 0, 0);
	if (r)
		refused(c, CLERK_THE_KERNEL, r);
	r = uffd_new(c);
	if (r)
		refused(c, CLERK_THE_USERFAULTFD, r);
}

CODE static void connect_to(struct clerk *c)
{
	long r;

	c->sock = (int32_t)call(__NR_socket, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, 0, 0, 0);
	r = c->sock < 0 ? c->sock : patience_set(c, ANSWER_S);
	if (!r)
		r = call(__NR_connect, (uint64_t)c->sock, AT(c->socket), c->socket_bytes, 0, 0, 0);
	if (r)
		refused(c, CLERK_THE_SOCKET, r);
}

CODE static void welcome_wait(struct clerk *c)
{
	long r;

	message_new(c, GVM_ATTACH_HELLO);
	c->msg.bytes = c->bytes;
	r = message_send(c, c->own);
	if (r)
		undone(c, CLERK_TO_ASK, r);
	r = message_receive(c);
	if (r || c->msg.type != GVM_ATTACH_WELCOME) {
		fds_drop(c);
		undone(c, CLERK_TO_BE_WELCOMED, r || c->msg.type == GVM_ATTACH_REFUSE ? r : -EPROTO);
	}
}

CODE static void memory_take(struct clerk *c)
{
	long at, r = c->msg.bytes == c->bytes && c->fds[1] >= 0 ? 0 : -EPROTO;

	c->chunks = c->bytes / GVM_ATTACH_CHUNK_BYTES + (c->bytes % GVM_ATTACH_CHUNK_BYTES != 0);
	if (!r) {
		at = call(__NR_mmap, 0, c->chunks * sizeof(uint32_t), PROT_READ | PROT_WRITE, MAP_SHARED, (uint64_t)c->fds[1], 0);
		if (at < 0 && at > -PAGE_BYTES)
			r = at;
		else
			c->pins = (_Atomic uint32_t *)(uintptr_t)at;
	}
	if (!r)
		r = mapping_replace(c, c->fds[0]);
	fds_drop(c);
	if (r)
		undone(c, CLERK_THE_MEMORY, r);
	/* What the hand took of faults comes again; from here on they are gvmfs's. */
	hand_end(c);
	everybody_wake(c);
}

/* Whether gvmfs serves the faults is only known by its answer, however long that takes: with READY it may have begun. */
CODE static void go_wait(struct clerk *c)
{
	long r;

	patience_set(c, 0);
	message_new(c, GVM_ATTACH_READY);
	c->msg.address = c->address;
	c->msg.bytes = c->bytes;
	c->msg.page_bytes = PAGE_BYTES;
	r = message_send(c, c->uffd);
	if (!r)
		r = message_receive(c);
	fds_drop(c);
	if (r || c->msg.type != GVM_ATTACH_GO)
		undone(c, CLERK_TO_GO, r || c->msg.type == GVM_ATTACH_REFUSE ? r : -EPROTO);
}

/* ---- on the fast path ---- */

CODE static void pin_all(struct clerk *c)
{
	for (uint64_t i = 0; i < c->chunks; i++)
		c->pins[i]++;
	c->pinned = 1;
	message_new(c, GVM_ATTACH_PIN_ALL);
	c->msg.text[0] = 'a';
	c->msg.text[1] = ' ';
	c->msg.text[2] = 'd';
	c->msg.text[3] = 'e';
	c->msg.text[4] = 'v';
	c->msg.text[5] = 'i';
	c->msg.text[6] = 'c';
	c->msg.text[7] = 'e';
	message_send(c, -1);
}

CODE static void zap(struct clerk *c)
{
	uint64_t seq = c->msg.seq, offset = c->msg.offset, bytes = c->msg.bytes;

	if (!bytes || offset % PAGE_BYTES || bytes % PAGE_BYTES || offset > c->bytes || bytes > c->bytes - offset)
		guest_end(c);
	if (advise(c->address + offset, bytes, MADV_DONTNEED) && advise(c->address + offset, bytes, MADV_DONTNEED_LOCKED))
		guest_end(c);
	if (!c->pinned && fds_look(c, &c->look, false))
		pin_all(c);
	message_new(c, GVM_ATTACH_ZAPPED);
	c->msg.seq = seq;
	if (message_send(c, -1))
		guest_end(c);
}

CODE static _Noreturn void serve(struct clerk *c)
{
	for (;;) {
		long r = message_receive(c);

		fds_drop(c);
		if (r || (c->msg.type != GVM_ATTACH_ZAP && c->msg.type != GVM_ATTACH_GO))
			guest_end(c);
		if (c->msg.type == GVM_ATTACH_ZAP)
			zap(c);
	}
}

void CODE clerk_main(struct clerk *c)
{
	long r;

	call(__NR_prctl, SET_NAME, AT(c->name), 0, 0, 0, 0);
	c->stage = CLERK_BEGUN;
	prepare(c);
	connect_to(c);
	r = hand_start(c);
	if (r)
		refused(c, CLERK_THE_HAND, r);
	c->waited_ns = clock_ns();
	c->stage = CLERK_WAITS;
	r = wait_here(c);
	if (r)
		undone(c, CLERK_THE_MAPPING, r);
	welcome_wait(c);
	memory_take(c);
	go_wait(c);
	if (call(__NR_mseal, c->address, c->bytes, 0, 0, 0, 0))
		guest_end(c); /* prepare() has asked: it cannot fail */
	fd_drop(&c->own);
	c->waited_ns = clock_ns() - c->waited_ns;
	/* In another thread: gvmfs may ask for a zap before it answers. */
	c->hand_renews = 1;
	if (hand_start(c)) {
		c->stale = 1;
		c->stage = CLERK_SERVED;
	}
	serve(c);
}

#endif
