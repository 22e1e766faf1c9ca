// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The guest is some hundred bytes of code and no operating system (guest_code.h), which QEMU loads as a multiboot kernel.
 * In turn it computes (a multiplication and an addition, over and over again, in registers) and makes accesses as the
 * program of loads.c does: pages by Zipf's law, each gone over four times for a checksum, one in four changed. After each
 * batch it sends a letter; its time is taken here, since a guest's own clock may stand still with it.
 */
#include "guest.h"

#include "guest_code.h"
#include "loads.h"
#include "memnode/clock.h"
#include "memnode/file.h"
#include "report.h"
#include "say.h"
#include "stop.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SILENT_NS (60ull * 1000 * 1000 * 1000)
#define ARGS	  32
#define ARG(text) BENCH_ARG(text)
#define PAGE	  4096u
#define PLAN	  16384u /* accesses, then again: QEMU loads them slowly */
#define BATCHES	  4096u

static void word_set(uint8_t *image, unsigned at, uint32_t value)
{
	for (unsigned i = 0; i < 4; i++)
		image[at + i] = (uint8_t)(value >> 8 * i);
}

/* Writes code and plan to the file. */
static int image_make(const struct bench_guest *g, const char *path)
{
	uint32_t count, *plan = load_plan(LOAD_ZIPF, g->set_bytes, g->seed, &count), end;
	uint8_t *image = malloc(sizeof(guest_code) + (plan ? count : 0) * 4ull);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), rc = fd < 0 ? -errno : 0;

	count = count < PLAN ? count : PLAN;
	if (!plan || !image)
		rc = -ENOMEM;
	if (!rc) {
		end = GUEST_CODE_AT + (uint32_t)sizeof(guest_code) + 4 * count;
		memcpy(image, guest_code, sizeof(guest_code));
		word_set(image, GUEST_LOAD_END, end);
		word_set(image, GUEST_BSS_END, end);
		word_set(image, GUEST_PAGES, (uint32_t)(g->set_bytes / PAGE));
		word_set(image, GUEST_PLAN, count);
		for (uint32_t i = 0; i < count; i++)
			word_set(image, (unsigned)sizeof(guest_code) + 4 * i, plan[i]);
		rc = file_pwrite(fd, image, sizeof(guest_code) + 4ull * count, 0);
	}
	if (fd >= 0)
		close(fd);
	free(image);
	free(plan);
	return rc;
}

__attribute__((noreturn)) static void guest_exec(struct bench_program *q, char *const argv[], const char *log, pid_t parent)
{
	sigset_t none;
	int fd;

	bench_program_begin(q, parent, SIGTERM);
	fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (fd >= 0) {
		dup2(fd, 1);
		dup2(fd, 2);
	}
	execvp(argv[0], argv);
	_exit(127);
}

static bool guest_ended(struct bench_program *q)
{
	if (waitpid(q->pid, NULL, WNOHANG) != q->pid)
		return false;
	q->pid = 0;
	return true;
}

struct watch {
	uint64_t warm_ns, from_ns, last_ns;
	double ms[2][BATCHES]; /* of batches of computing; of accesses */
	unsigned batches[2];
};

/* A batch has ended; it counts if all of it lies behind `from`. It is warm some time after its first batch: a start takes as
 * long as it takes. */
static void batch_note(struct watch *w, char what, uint64_t now)
{
	unsigned kind = what == 'm';

	if (!w->from_ns && kind)
		w->from_ns = now + w->warm_ns;
	if (w->from_ns && w->last_ns >= w->from_ns && w->batches[kind] < BATCHES)
		w->ms[kind][w->batches[kind]++] = (double)(now - w->last_ns) / 1e6;
	w->last_ns = now;
}

/* Reads its letters until enough is known. */
static int guest_watch(struct bench_program *q, int fd, const struct bench_guest *g, struct watch *w)
{
	char text[256];

	w->last_ns = gvm_now_ns();
	while (!w->from_ns || gvm_now_ns() < w->from_ns + g->ms * 1000000ull || !w->batches[0] || !w->batches[1]) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n;

		if (bench_stopped())
			return -EINTR;
		if (guest_ended(q))
			return -ECHILD;
		if (gvm_now_ns() - w->last_ns > SILENT_NS)
			return -ETIMEDOUT;
		if (poll(&p, 1, 100) <= 0)
			continue;
		n = read(fd, text, sizeof(text));
		for (ssize_t i = 0; i < n; i++)
			if (text[i] == 'c' || text[i] == 'm')
				batch_note(w, text[i], gvm_now_ns());
	}
	return 0;
}

/* Of batches the median: of 64 accesses in a row some are of pages that are not here. */
static int guest_measure(struct bench_program *q, int fd, const struct bench_guest *g, struct bench_guest_pace *pace)
{
	struct watch *w = calloc(1, sizeof(*w));
	int rc = -ENOMEM;

	if (!w)
		return rc;
	w->warm_ns = g->warm_ms * 1000000ull;
	rc = guest_watch(q, fd, g, w);
	if (!rc) {
		pace->compute_ms = bench_median_of(w->ms[0], w->batches[0]);
		pace->access_us = bench_median_of(w->ms[1], w->batches[1]) * 1e3 / GUEST_ACCESSES;
	}
	free(w);
	return rc;
}

/* The last line of the guest's log, for the user. */
static void complain(const char *log, const char *accel, const char *mode, int rc)
{
	char line[512], last[600] = "";
	FILE *f = fopen(log, "re");

	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		if (*line)
			snprintf(last, sizeof(last), ": %s", line);
	}
	if (f)
		fclose(f);
	say("a guest with %s, %s: %s%s", accel, mode ? mode : "in this host's memory",
	    rc == -ECHILD ? "QEMU has ended" : strerror(-rc), last);
}

/* Sets up argv; texts: what it needs room for. */
static void command(char *argv[ARGS], const struct bench_guest *g, const char *mode, char *mount, char *image,
		    char *serial, char *machine, char texts[3][32])
{
	unsigned n = 0;
	uint64_t ram = g->set_bytes + g->set_bytes / 4;

	snprintf(texts[0], sizeof(texts[0]), "%lluM", (unsigned long long)(g->budget_bytes >> 20));
	snprintf(texts[1], sizeof(texts[1]), "%lluM", (unsigned long long)(ram >> 20));
	snprintf(texts[2], sizeof(texts[2]), "%s", mode ? mode : "");
	if (mode) {
		char *const run[] = {ARG("/proc/self/exe"), ARG("run"), ARG("--mode"),	texts[2], ARG("--local"),
				     texts[0],		    ARG("--mount"), mount, ARG("--")};

		for (unsigned i = 0; i < sizeof(run) / sizeof(*run); i++)
			argv[n++] = run[i];
	}
	char *const qemu[] = {ARG("qemu-system-x86_64"), ARG("-machine"), machine,	    ARG("-m"),
			      texts[1],		  ARG("-nodefaults"), ARG("-display"),  ARG("none"),
			      ARG("-no-reboot"),	  ARG("-serial"),	   serial,	    ARG("-kernel"),
			      image,			  NULL};
	for (unsigned i = 0; i < sizeof(qemu) / sizeof(*qemu); i++)
		argv[n++] = qemu[i];
}

int bench_guest_run(struct bench_peers *p, const struct bench_guest *g, const char *accel, const char *mode,
		    struct bench_guest_pace *pace)
{
	struct bench_program *q = &p->program[BENCH_PROGRAMS - 2]; /* stopped with the others if we are killed */
	char image[PATH_MAX + 16], pipe_path[PATH_MAX + 16], serial[PATH_MAX + 32], log[PATH_MAX + 16];
	char machine[32], texts[3][32];
	char *argv[ARGS];
	int fd, rc;
	pid_t parent = getpid(), pid;

	snprintf(image, sizeof(image), "%s/guest.img", p->dir);
	snprintf(pipe_path, sizeof(pipe_path), "%s/serial", p->dir);
	snprintf(serial, sizeof(serial), "file:%s", pipe_path);
	snprintf(log, sizeof(log), "%s/guest.log", p->dir);
	snprintf(machine, sizeof(machine), "pc,accel=%s", accel);
	rc = image_make(g, image);
	if (!rc && mkfifo(pipe_path, 0600) && errno != EEXIST)
		rc = -errno;
	/* For writing too, so that it has no end before QEMU opens it. */
	fd = rc ? -1 : open(pipe_path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (!rc && fd < 0)
		rc = -errno;
	if (rc) {
		complain(log, accel, mode, rc);
		return rc;
	}
	command(argv, g, mode, p->gvmfs.mount, image, serial, machine, texts);
	pid = fork();
	if (!pid)
		guest_exec(q, argv, log, parent);
	q->pid = pid > 0 ? pid : 0;
	rc = pid < 0 ? -EAGAIN : guest_measure(q, fd, g, pace);
	close(fd);
	if (rc && rc != -EINTR)
		complain(log, accel, mode, rc);
	bench_program_stop(q);
	unlink(pipe_path);
	return rc;
}
