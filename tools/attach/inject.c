// SPDX-License-Identifier: GPL-2.0-or-later
/* inject.c - see inject.h. */
#include "inject.h"

#include "memnode/file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#ifdef __x86_64__

#include <dirent.h>
#include <elf.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE_BYTES   4096u
#define TRIES	     10000 /* of PAUSE_NS */
#define PAUSE_NS     1000000
#define VDSO_MAX     (16 * PAGE_BYTES)
#define USER_CODE    0x33 /* the code segment of 64-bit programs */
#define SYSCALL_BYTES 2
#define CALLS	     2 /* of remote_call() for one clerk */

/* What a system call that a stop has interrupted leaves in its result: the kernel's own, never shown to programs. */
enum { RESTART_SYS = 512, RESTART_NOINTR = 513, RESTART_NOHAND = 514, RESTART_BLOCK = 516 };

struct target {
	pid_t pid;
	char *err;
	uint64_t hole, hole_end; /* behind the vdso's code */
	unsigned places;	 /* so many pieces have room there */
	uint64_t room, code_bytes, room_bytes; /* the clerk's */
};

__attribute__((format(printf, 3, 4))) static int because(const struct target *t, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(t->err, INJECT_ERR, fmt, ap);
	va_end(ap);
	return rc;
}

static void pause_short(void)
{
	static const struct timespec t = {.tv_nsec = PAUSE_NS};

	nanosleep(&t, NULL);
}

static int process_read(pid_t pid, uint64_t at, void *to, size_t bytes)
{
	struct iovec here = {to, bytes}, there = {(void *)(uintptr_t)at, bytes};
	ssize_t n = process_vm_readv(pid, &here, 1, &there, 1, 0);

	return n == (ssize_t)bytes ? 0 : n < 0 ? -errno : -EFAULT;
}

static int process_write(pid_t pid, uint64_t at, const void *from, size_t bytes)
{
	struct iovec here = {(void *)(uintptr_t)from, bytes}, there = {(void *)(uintptr_t)at, bytes};
	ssize_t n = process_vm_writev(pid, &here, 1, &there, 1, 0);

	return n == (ssize_t)bytes ? 0 : n < 0 ? -errno : -EFAULT;
}

/* ---- its address space ---- */

/* With at 0: where [vdso] is. Otherwise whether a mapping from `at` to `end` is there, with these permissions. */
static bool maps_find(pid_t pid, uint64_t at, uint64_t end, const char *perms, uint64_t vdso[2])
{
	char path[32], line[512], found_perms[8];
	unsigned long long from, to;
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx-%llx %7s", &from, &to, found_perms) != 3)
			continue;
		if (at) {
			found = from == at && to == end && !strcmp(found_perms, perms);
		} else if (strstr(line, "[vdso]")) {
			vdso[0] = from;
			vdso[1] = to;
			found = true;
		}
	}
	if (f)
		fclose(f);
	return found;
}

/* A gap of that many bytes, with as many on both sides, in the upper half; 0: there is none. */
static uint64_t gap_find(pid_t pid, uint64_t bytes)
{
	unsigned long long from, to, before = 0, best = 0;
	char path[32], line[512];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx-%llx", &from, &to) != 2)
			continue;
		/* below what is highest: where the kernel puts mappings last */
		if (before && from > before && from - before >= 64 * bytes && from < 0x800000000000ull)
			best = before + (from - before) / 2;
		before = to;
	}
	if (f)
		fclose(f);
	return best & ~(uint64_t)(PAGE_BYTES - 1);
}

static uint64_t call_bytes(void)
{
	return ((uint64_t)(clerk_call_end - clerk_call) + 63) & ~63ull;
}

/* The bytes behind the last that a program header of the vdso names, in its last page. */
static int hole_find(struct target *t)
{
	uint64_t vdso[2], last = 0;
	uint8_t *copy;
	const Elf64_Ehdr *head;
	int rc;

	if (!maps_find(t->pid, 0, 0, NULL, vdso) || vdso[1] - vdso[0] > VDSO_MAX)
		return because(t, -EOPNOTSUPP, "it has no vdso");
	copy = calloc(1, VDSO_MAX);
	if (!copy)
		return -ENOMEM;
	rc = process_read(t->pid, vdso[0], copy, vdso[1] - vdso[0]);
	head = (const Elf64_Ehdr *)(const void *)copy;
	if (!rc && (memcmp(head->e_ident, ELFMAG, SELFMAG) || head->e_phoff > PAGE_BYTES || head->e_phnum > 16))
		rc = -ENOEXEC;
	for (unsigned i = 0; !rc && i < head->e_phnum; i++) {
		const Elf64_Phdr *p = (const Elf64_Phdr *)(const void *)(copy + head->e_phoff) + i;

		if (p->p_offset + p->p_filesz > last)
			last = p->p_offset + p->p_filesz;
	}
	/* sections that no header names stand behind: symbols for debuggers, which nobody executes */
	last = (last + 63) & ~63ull;
	if (!rc && last + CALLS * call_bytes() > vdso[1] - vdso[0])
		rc = -ENOSPC;
	t->hole = vdso[0] + last;
	t->hole_end = vdso[1];
	t->places = rc ? 0 : (unsigned)((t->hole_end - t->hole) / call_bytes());
	free(copy);
	return rc ? because(t, rc, "its vdso has no room") : 0;
}

/* ---- a thread of it ---- */

static uint64_t field_hex(const char *text, const char *name)
{
	const char *field = text_field(text, name);

	return field ? strtoull(field, NULL, 16) : ~0ull;
}

/* Until it is stopped by the interrupt; a signal that comes before is passed on. */
static int stopped_wait(pid_t tid)
{
	int status;

	for (unsigned i = 0; i < TRIES; i++) {
		pid_t got = waitpid(tid, &status, __WALL | WNOHANG);

		if (got < 0)
			return -errno;
		if (got != tid) {
			pause_short();
			continue;
		}
		if (!WIFSTOPPED(status))
			return -ESRCH;
		if (status >> 16 == PTRACE_EVENT_STOP)
			return WSTOPSIG(status) == SIGTRAP ? 0 : 1; /* 1: it is stopped as SIGSTOP does it */
		ptrace(PTRACE_CONT, tid, NULL, (void *)(long)(status >> 16 ? 0 : WSTOPSIG(status)));
	}
	return -ETIMEDOUT; /* the end of this process lets it go */
}

/* Whether a handler would run first: then a call that waits for just that must see it, and not be made once more. */
static bool has_signals(pid_t pid, pid_t tid)
{
	uint64_t own, shared, blocked;
	char path[64], text[4096];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", pid, tid);
	if (file_text(path, text, sizeof(text)))
		return true;
	own = field_hex(text, "SigPnd:");
	shared = field_hex(text, "ShdPnd:");
	blocked = field_hex(text, "SigBlk:");
	return (own | shared) & ~blocked;
}

static bool is_inside(const struct target *t, uint64_t at)
{
	return (at >= t->hole && at < t->hole_end) || (t->room && at >= t->room && at < t->room + t->code_bytes);
}

/* Where the thread goes on, if it is somewhere where it can be sent by way of a piece: in a system call that a stop interrupts, or
 * has just ended. Its result is then what the kernel would have made of it. */
static bool is_in_call(const struct target *t, struct user_regs_struct *r)
{
	long result = (long)r->rax;

	if (r->cs != USER_CODE || (long)r->orig_rax < 0 || is_inside(t, r->rip))
		return false;
	if (result == -RESTART_SYS || result == -RESTART_NOINTR || result == -RESTART_NOHAND) {
		r->rax = r->orig_rax;
		r->rip -= SYSCALL_BYTES;
	} else if (result == -RESTART_BLOCK) {
		r->rax = SYS_restart_syscall;
		r->rip -= SYSCALL_BYTES;
	}
	return true;
}

static int words_poke(pid_t tid, uint64_t at, const void *from, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += sizeof(long)) {
		long word = 0;

		memcpy(&word, (const uint8_t *)from + i, bytes - i < sizeof(word) ? bytes - i : sizeof(word));
		if (ptrace(PTRACE_POKEDATA, tid, (void *)(uintptr_t)(at + i), (void *)word))
			return -errno;
	}
	return 0;
}

struct piece {
	uint64_t at; /* in the process */
	const uint8_t *code; /* NULL: it is there already */
	size_t bytes;
	uint64_t words_at;
	uint64_t words[8]; /* the last of them is where to go on */
	unsigned count;
};

/* 0: the thread is on its way. 1: it was not where it can be sent on from. */
static int stopped_send(const struct target *t, pid_t tid, struct piece *p)
{
	struct user_regs_struct regs, before;
	int rc;

	if (ptrace(PTRACE_GETREGS, tid, NULL, &regs))
		return -errno;
	before = regs;
	if (!is_in_call(t, &regs))
		return 1;
	p->words[p->count - 1] = regs.rip;
	rc = p->code ? words_poke(tid, p->at, p->code, p->bytes) : 0;
	if (!rc)
		rc = words_poke(tid, p->words_at, p->words, p->count * sizeof(*p->words));
	regs.rip = p->at;
	regs.orig_rax = (unsigned long long)-1; /* no call is to be repeated by the kernel */
	if (!rc && ptrace(PTRACE_SETREGS, tid, NULL, &regs))
		rc = -errno;
	if (rc || !has_signals(t->pid, tid))
		return rc;
	return ptrace(PTRACE_SETREGS, tid, NULL, &before) ? -errno : 1;
}

static int thread_send(const struct target *t, pid_t tid, struct piece *p)
{
	int rc;

	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL))
		return -errno;
	rc = ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) ? -errno : stopped_wait(tid);
	if (rc < 0)
		return rc;
	rc = rc ? -EBUSY : stopped_send(t, tid, p);
	ptrace(PTRACE_DETACH, tid, NULL, NULL);
	return rc;
}

/* Whether the thread is in a system call, and has no filter of them (each may have one of its own), which the clerk would get. */
static bool looks_fit(pid_t pid, pid_t tid)
{
	char path[64], text[4096];

	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", pid, tid);
	if (file_text(path, text, sizeof(text)) || text_number(text, "Seccomp:"))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", pid, tid);
	return !file_text(path, text, sizeof(text)) && text[0] >= '0' && text[0] <= '9';
}

static int any_send(const struct target *t, struct piece *p)
{
	char path[32];
	struct dirent *e;
	int rc = 1;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", t->pid);
	dir = opendir(path);
	if (!dir)
		return because(t, -ESRCH, "it has ended");
	/* its first thread comes first, which no virtual CPU is */
	while (rc == 1 && (e = readdir(dir))) {
		pid_t tid = atoi(e->d_name);

		if (tid > 0 && looks_fit(t->pid, tid)) {
			rc = thread_send(t, tid, p);
			if ((rc == -ESRCH || rc == -EPERM) && tid != t->pid)
				rc = 1; /* that thread has ended, or is the kernel's (vhost's are in the list) */
		}
	}
	closedir(dir);
	return rc < 0 ? because(t, rc, "its thread cannot be traced: %s", strerror(-rc)) : rc;
}

static int send_on(const struct target *t, struct piece *p)
{
	int rc = 1;

	for (unsigned i = 0; rc == 1 && i < TRIES; i++) {
		rc = any_send(t, p);
		if (rc == 1)
			pause_short();
	}
	return rc == 1 ? because(t, -EBUSY, "no thread of it waits in a system call") : rc;
}

/* A thread that has made its call may still be on its way out of the piece, for as long as it gets no CPU: the words of that,
 * which say where it goes on, must not become another's. */
static uint64_t place_next(const struct target *t)
{
	static unsigned used;

	return t->hole + ((unsigned)getpid() + used++) % t->places * call_bytes();
}

/* Has it make a system call, of which a mapping from `at` to `end` with these permissions comes. */
static int remote_call(const struct target *t, const uint64_t words[7], uint64_t at, uint64_t end, const char *perms)
{
	uint64_t place = place_next(t);
	struct piece p = {.at = place, .code = clerk_call, .bytes = (size_t)(clerk_call_end - clerk_call),
			  .words_at = place + (uint64_t)(clerk_call_words - clerk_call), .count = 8};
	int rc;

	memcpy(p.words, words, 7 * sizeof(*words));
	rc = send_on(t, &p);
	for (unsigned i = 0; !rc && i < TRIES; i++) {
		if (maps_find(t->pid, at, end, perms, NULL))
			return 0;
		if (kill(t->pid, 0))
			return because(t, -ESRCH, "it has ended");
		pause_short();
	}
	return rc ? rc : because(t, -EACCES, "it may not have code of its own making (SELinux?), or has no memory for it");
}

/* ---- the clerk ---- */

static int room_make(struct target *t)
{
	uint64_t code = ((uint64_t)(__stop_gvm_clerk - __start_gvm_clerk) + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
	uint64_t data = (sizeof(struct clerk) + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
	uint64_t room = gap_find(t->pid, code + data);
	uint64_t words[7] = {SYS_mmap, room, code + data, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, (uint64_t)-1, 0};
	int rc;

	if (!room)
		return because(t, -ENOMEM, "its address space has no room");
	rc = remote_call(t, words, room, room + code + data, "rw-p");
	t->room = room;
	t->code_bytes = code;
	t->room_bytes = code + data;
	return rc;
}

static int code_put(const struct target *t)
{
	uint64_t words[7] = {SYS_mprotect, t->room, t->code_bytes, PROT_READ | PROT_EXEC, 0, 0, 0};
	int rc = process_write(t->pid, t->room, __start_gvm_clerk, (size_t)(__stop_gvm_clerk - __start_gvm_clerk));

	if (rc)
		return because(t, rc, "its memory cannot be written to: %s", strerror(-rc));
	return remote_call(t, words, t->room, t->room + t->code_bytes, "r-xp");
}

static int begin(const struct target *t, uint64_t there)
{
	struct piece p = {.at = t->room + (uint64_t)(clerk_begin - __start_gvm_clerk),
			  .words_at = t->room + (uint64_t)(clerk_begin_words - __start_gvm_clerk),
			  .words = {there + offsetof(struct clerk, stack) + CLERK_STACK, there}, .count = 3};
	struct clerk c;
	int rc = send_on(t, &p);

	for (unsigned i = 0; !rc && i < TRIES; i++) {
		rc = inject_look(t->pid, there, &c);
		if (rc || c.stage)
			return rc;
		pause_short();
	}
	return rc ? rc : because(t, -EAGAIN, "it may have no more threads");
}

int inject_clerk(pid_t pid, const struct clerk *told, uint64_t *there, char err[INJECT_ERR])
{
	struct target t = {.pid = pid, .err = err};
	int rc = hole_find(&t);

	if (!rc)
		rc = room_make(&t);
	if (!rc)
		rc = code_put(&t);
	if (rc)
		return rc;
	*there = t.room + t.code_bytes;
	rc = process_write(pid, *there, told, sizeof(*told));
	return rc ? because(&t, rc, "its memory cannot be written to: %s", strerror(-rc)) : begin(&t, *there);
}

int inject_look(pid_t pid, uint64_t there, struct clerk *c)
{
	return process_read(pid, there, c, offsetof(struct clerk, hand_stack));
}

#else

int inject_clerk(pid_t pid, const struct clerk *told, uint64_t *there, char err[INJECT_ERR])
{
	(void)pid;
	(void)told;
	(void)there;
	snprintf(err, INJECT_ERR, "only x86-64 programs can be attached");
	return -EOPNOTSUPP;
}

int inject_look(pid_t pid, uint64_t there, struct clerk *c)
{
	(void)pid;
	(void)there;
	(void)c;
	return -EOPNOTSUPP;
}

#endif
