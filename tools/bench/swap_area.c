// SPDX-License-Identifier: GPL-2.0-or-later
/* swap_area.c - see swap_area.h. */
#include "swap_area.h"

#include "memnode/file.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define CONTROL  "/sys/class/zram-control/"
#define PRIORITY 32767 /* the highest */
#define ZRAM_TRIES 50  /* 20 ms apart: udev looks at a new device, and holds it meanwhile */

static int text_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), rc = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

static int mkswap_run(const char *path)
{
	int status, null;
	pid_t pid = fork();

	if (pid == 0) {
		null = open("/dev/null", O_RDWR);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		execlp("mkswap", "mkswap", path, NULL);
		execl("/sbin/mkswap", "mkswap", path, NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -errno;
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : WIFEXITED(status) && WEXITSTATUS(status) == 127 ? -ENOENT : -EIO;
}

int bench_swap_on(struct bench_swap *s)
{
	int rc;

	s->on = true; /* before it is: whoever kills us in between leaves that to the keeper */
	rc = swapon(s->path, SWAP_FLAG_PREFER | PRIORITY) ? -errno : 0;
	s->on = !rc;
	return rc;
}

int bench_swap_off(struct bench_swap *s)
{
	int rc = s->on ? -EINTR : 0;

	while (rc == -EINTR) /* a signal that comes meanwhile says no more than the first */
		rc = swapoff(s->path) ? -errno : 0;
	if (rc == -EINVAL) /* it was not on yet */
		rc = 0;
	s->on = rc;
	return rc;
}

/* As a trial, too: what cannot be used is said at once. */
static int swap_make(struct bench_swap *s, const char *name)
{
	int rc = mkswap_run(s->path);

	if (rc) {
		say("%s is left out: mkswap: %s", name, strerror(-rc));
		return rc;
	}
	rc = bench_swap_on(s);
	if (!rc)
		rc = bench_swap_off(s);
	if (rc)
		say("%s is left out: swapon: %s", name, strerror(-rc));
	return rc;
}

static int zram_set(const struct bench_swap *s, const char *name, const char *value)
{
	char path[64];

	snprintf(path, sizeof(path), "/sys/block/zram%d/%s", s->zram - 1, name);
	return text_write(path, value);
}

/* The device file is our own: /dev need not show what is new. */
static int zram_node_make(struct bench_swap *s, const char *path)
{
	char at[64], text[32];
	unsigned major, minor;
	int rc;

	snprintf(at, sizeof(at), "/sys/block/zram%d/dev", s->zram - 1);
	rc = file_text(at, text, sizeof(text));
	if (rc < 0)
		return rc;
	if (sscanf(text, "%u:%u", &major, &minor) != 2)
		return -EIO;
	if (mknod(path, S_IFBLK | 0600, makedev(major, minor)))
		return -errno;
	snprintf(s->path, sizeof(s->path), "%s", path);
	return 0;
}

int bench_swap_zram(struct bench_swap *s, const char *path, uint64_t bytes)
{
	char text[32];
	int rc = file_text(CONTROL "hot_add", text, sizeof(text));

	if (rc < 0) {
		say("zram is left out: this kernel has none (%s: %s)", CONTROL "hot_add", strerror(-rc));
		return rc;
	}
	s->zram = atoi(text) + 1;
	zram_set(s, "comp_algorithm", "lz4"); /* as ours; where the kernel has none, its default */
	snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);
	rc = zram_set(s, "disksize", text);
	if (!rc)
		rc = zram_node_make(s, path);
	if (rc) {
		say("zram is left out: %s", strerror(-rc));
		return rc;
	}
	return swap_make(s, "zram");
}

int bench_swap_file(struct bench_swap *s, const char *path, uint64_t bytes)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600), rc = 0;

	if (fd < 0)
		rc = -errno;
	else
		snprintf(s->path, sizeof(s->path), "%s", path);
	/* Written, since a swap file must have no holes; not all file systems say no to fallocate() where they make some. */
	for (uint64_t at = 0; !rc && at < bytes; at += 1u << 20) {
		static uint8_t zeros[1u << 20];

		rc = file_pwrite(fd, zeros, sizeof(zeros), at);
	}
	if (!rc && fsync(fd))
		rc = -errno;
	if (fd >= 0)
		close(fd);
	if (rc) {
		say("the swap file is left out: %s: %s", path, strerror(-rc));
		return rc;
	}
	return swap_make(s, "the swap file");
}

void bench_swap_end(struct bench_swap *s)
{
	char text[16];
	int rc = -EBUSY, off = bench_swap_off(s);

	if (off)
		say("%s: swapoff: %s", s->path, strerror(-off));
	snprintf(text, sizeof(text), "%d", s->zram - 1);
	for (unsigned i = 0; s->zram && i < ZRAM_TRIES && rc == -EBUSY; i++) {
		if (i)
			usleep(20000);
		rc = text_write(CONTROL "hot_remove", text);
	}
	if (s->zram && rc)
		say("zram%s cannot be removed: %s", text, strerror(-rc));
	if (*s->path)
		unlink(s->path);
	memset(s, 0, sizeof(*s));
}
