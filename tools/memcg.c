// SPDX-License-Identifier: GPL-2.0-or-later
#include "memcg.h"

#include "memcg_hold.h"
#include "memnode/file.h"
#include "memnode/mountinfo.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SWEEP_MAX 64 /* stale groups removed at a time */
#define NAMES_MAX 64 /* tried for a group */

__attribute__((format(printf, 2, 3))) static int path_print(char path[PATH_MAX], const char *fmt,
							    ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(path, PATH_MAX, fmt, ap);
	va_end(ap);
	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static int file_write(const char *dir, const char *name, const char *text)
{
	char path[PATH_MAX];
	int rc = path_print(path, "%s/%s", dir, name), fd;

	if (rc)
		return rc;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

static int file_write_u64(const char *dir, const char *name, uint64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	return file_write(dir, name, text);
}

/* Reads a small kernel file as text. */
static int group_text(const char *dir, const char *name, char *buf, size_t size)
{
	char path[PATH_MAX];
	int rc = path_print(path, "%s/%s", dir, name);

	return rc ? rc : file_text(path, buf, size);
}

/* True if the list of words in a file of `dir` has `word`. */
static bool file_has_word(const char *dir, const char *name, const char *word)
{
	char buf[4096], *save;

	if (group_text(dir, name, buf, sizeof(buf)))
		return false;
	for (char *w = strtok_r(buf, " \n", &save); w; w = strtok_r(NULL, " \n", &save))
		if (!strcmp(w, word))
			return true;
	return false;
}

/*
 * A process's group as /proc/PID/cgroup (`file`) names it, in the hierarchy of v1's memory controller or
 * of v2. Returns 1 for v1, 2 for v2, or a negative errno.
 */
static int group_of(const char *file, char group[PATH_MAX])
{
	FILE *f = fopen(file, "re");
	char *line = NULL;
	size_t room = 0;
	int found = -ENOENT;

	if (!f)
		return -errno;
	while (found != 1 && getline(&line, &room, f) > 0) {
		char *names = strchr(line, ':'), *path = names ? strchr(++names, ':') : NULL, *save;

		if (!path)
			continue;
		*path++ = 0;
		path[strcspn(path, "\n")] = 0;
		if (!*names && found < 0 && !path_print(group, "%s", path))
			found = 2;
		for (char *w = strtok_r(names, ",", &save); w; w = strtok_r(NULL, ",", &save))
			if (!strcmp(w, "memory") && !path_print(group, "%s", path))
				found = 1;
	}
	free(line);
	fclose(f);
	return found;
}

static bool options_have(const char *options, const char *word)
{
	size_t len = strlen(word);

	for (; *options; options += options[0] == ',') {
		size_t n = strcspn(options, ",");

		if (n == len && !strncmp(options, word, n))
			return true;
		options += n;
	}
	return false;
}

/*
 * Where `group` of that hierarchy is found in the file system. A container may see its part only:
 * mountinfo's root is then what must be taken off the front. *top gets the mount point's length.
 */
static int group_dir(bool v2, const char *group, char dir[PATH_MAX], size_t *top)
{
	struct mountinfo m;
	int rc = mountinfo_open(&m, NULL);

	if (!rc)
		rc = -ENOENT;
	while (rc == -ENOENT && mountinfo_next(&m)) {
		size_t len = strcmp(m.root, "/") ? strlen(m.root) : 0;

		if (strcmp(m.type, v2 ? "cgroup2" : "cgroup") ||
		    (!v2 && !options_have(m.super, "memory")))
			continue;
		if (strncmp(group, m.root, len) || (len && group[len] && group[len] != '/'))
			continue;
		*top = strlen(m.at);
		rc = path_print(dir, "%s%s", m.at, strcmp(group + len, "/") ? group + len : "");
	}
	mountinfo_close(&m);
	return rc;
}

static int count_processes(const char *dir)
{
	char buf[4096];
	int n = 0;

	if (group_text(dir, "cgroup.procs", buf, sizeof(buf)))
		return -1;
	for (char *p = buf; *p; p++)
		n += *p == '\n';
	return n;
}

/* v2: turns `dir`, the caller's group, into one below which the memory group may be made. */
static int v2_find_parent(struct memcg *cg, char dir[PATH_MAX], size_t top)
{
	char own[PATH_MAX];
	int rc;

	if (file_has_word(dir, "cgroup.subtree_control", "memory"))
		return 0;
	if (!file_has_word(dir, "cgroup.controllers", "memory"))
		return -EOPNOTSUPP;
	/* the root may have processes and children with controllers at once */
	if (strlen(dir) == top)
		return file_write(dir, "cgroup.subtree_control", "+memory");
	strcpy(own, dir);
	if (count_processes(own) == 1 && !path_print(cg->leaf, "%s/gvm.%d.self", own, getpid())) {
		if (mkdir(cg->leaf, 0755) == 0) {
			rc = file_write(cg->leaf, "cgroup.procs", "0");
			if (!rc)
				rc = file_write(own, "cgroup.subtree_control", "+memory");
			if (!rc) {
				strcpy(cg->moved_from, own);
				return 0;
			}
			file_write(own, "cgroup.procs", "0");
			rmdir(cg->leaf);
		}
	}
	while (strlen(dir) > top) {
		char *slash = strrchr(dir, '/');

		*slash = 0;
		if (file_has_word(dir, "cgroup.subtree_control", "memory"))
			return 0;
	}
	return -EOPNOTSUPP;
}

/* Removes a group whose maker is gone. One with processes in it stays: rmdir refuses it. */
static void stale_remove(const char *path)
{
	int fd = memcg_hold(path);

	if (fd < 0)
		return;
	rmdir(path);
	close(fd);
}

/* Does so for groups PREFIX.PID below `parent`. (The pid is looked at for the sake of makers that take
 * no lock; it may be one of another pid namespace.) */
static void sweep(const char *parent, const char *prefix)
{
	DIR *d = opendir(parent);
	size_t len = strlen(prefix);
	struct dirent *e;
	unsigned n = 0;

	while (d && n < SWEEP_MAX && (e = readdir(d))) {
		char path[PATH_MAX], *end;
		long pid;

		if (strncmp(e->d_name, prefix, len) || e->d_name[len] != '.')
			continue;
		pid = strtol(e->d_name + len + 1, &end, 10);
		if ((*end && *end != '-') || pid <= 0 || kill((pid_t)pid, 0) == 0 || errno != ESRCH)
			continue;
		if (!path_print(path, "%s/%s", parent, e->d_name))
			stale_remove(path);
		n++;
	}
	if (d)
		closedir(d);
}

/* Makes PREFIX.PID below `dir`, or PREFIX.PID-N where others have that name. */
static int group_make(struct memcg *cg, const char *dir, const char *prefix)
{
	int rc = -EEXIST;

	for (unsigned n = 0; n < NAMES_MAX && (rc == -EEXIST || rc == -ENOENT); n++) {
		if (n)
			rc = path_print(cg->path, "%s/%s.%d-%u", dir, prefix, getpid(), n);
		else
			rc = path_print(cg->path, "%s/%s.%d", dir, prefix, getpid());
		if (rc)
			break;
		stale_remove(cg->path); /* of an earlier process with this pid */
		rc = mkdir(cg->path, 0755) ? -errno : 0;
		if (rc)
			continue;
		cg->fd = memcg_hold(cg->path);
		if (cg->fd >= 0)
			return 0;
		/* -ENOENT, -EWOULDBLOCK: taken for a stale one and removed, before it was locked. */
		rc = -ENOENT;
	}
	*cg->path = 0;
	return rc;
}

int memcg_create(struct memcg *cg, const char *prefix, char err[MEMCG_ERR_TEXT])
{
	char group[PATH_MAX], dir[PATH_MAX];
	size_t top = 0;
	int rc;

	memset(cg, 0, sizeof(*cg));
	cg->fd = -1;
	rc = group_of("/proc/self/cgroup", group);
	if (rc < 0) {
		snprintf(err, MEMCG_ERR_TEXT, "this kernel has no memory cgroups");
		return rc;
	}
	cg->v2 = rc == 2;
	rc = group_dir(cg->v2, group, dir, &top);
	if (rc) {
		snprintf(err, MEMCG_ERR_TEXT,
			 "no file system of type %s with the memory controller shows the group %s",
			 cg->v2 ? "cgroup2" : "cgroup", group);
		return rc;
	}
	if (cg->v2)
		rc = v2_find_parent(cg, dir, top);
	if (!rc) {
		sweep(dir, prefix);
		rc = group_make(cg, dir, prefix);
	}
	if (!rc)
		return 0;
	if (cg->v2)
		snprintf(err, MEMCG_ERR_TEXT,
			 "no memory cgroup can be made below %s (%s): run as root, or as "
			 "systemd-run --user --scope -p Delegate=yes gvm run ...",
			 dir, strerror(-rc));
	else
		snprintf(err, MEMCG_ERR_TEXT,
			 "no memory cgroup can be made below %s (%s): run as "
			 "root",
			 dir, strerror(-rc));
	return rc;
}

int memcg_enter(const struct memcg *cg, pid_t pid)
{
	return file_write_u64(cg->path, "cgroup.procs", (uint64_t)pid);
}

static uint64_t number_read(const struct memcg *cg, const char *name)
{
	char buf[32];

	return group_text(cg->path, name, buf, sizeof(buf)) ? 0 : strtoull(buf, NULL, 10);
}

/* v2: the kernel's memory for the group; before Linux 5.18 it stands there in parts only. */
static uint64_t v2_kernel_bytes(const char *stat)
{
	static const char *const parts[] = {"kernel_stack", "pagetables", "percpu", "slab"};
	uint64_t bytes = text_number(stat, "kernel");

	for (unsigned i = 0; !text_number(stat, "kernel") && i < sizeof(parts) / sizeof(parts[0]); i++)
		bytes += text_number(stat, parts[i]);
	return bytes + text_number(stat, "sock");
}

/* Of the files' pages, those that are not tmpfs's. The kernel adds both up while they change. */
static uint64_t without_shared(uint64_t file, uint64_t shared)
{
	return file > shared ? file - shared : 0;
}

int memcg_stat_read(const struct memcg *cg, struct memcg_stat *st)
{
	char buf[8192];
	int rc;

	memset(st, 0, sizeof(*st));
	rc = group_text(cg->path, cg->v2 ? "memory.current" : "memory.usage_in_bytes", buf,
		       sizeof(buf));
	if (rc)
		return rc;
	st->usage = strtoull(buf, NULL, 10);
	st->peak = number_read(cg, cg->v2 ? "memory.peak" : "memory.max_usage_in_bytes");
	rc = group_text(cg->path, "memory.stat", buf, sizeof(buf));
	if (rc)
		return rc;
	if (cg->v2) {
		st->shared = text_number(buf, "shmem");
		st->file = without_shared(text_number(buf, "file"), st->shared);
		st->own = text_number(buf, "anon") + v2_kernel_bytes(buf);
		st->dirty = text_number(buf, "file_dirty");
		st->writeback = text_number(buf, "file_writeback");
		rc = group_text(cg->path, "memory.events", buf, sizeof(buf));
		if (!rc)
			st->oom_kills = text_number(buf, "oom_kill");
		return rc;
	}
	st->shared = text_number(buf, "total_shmem");
	st->file = without_shared(text_number(buf, "total_cache"), st->shared);
	st->own = text_number(buf, "total_rss") + number_read(cg, "memory.kmem.usage_in_bytes");
	st->dirty = text_number(buf, "total_dirty");
	st->writeback = text_number(buf, "total_writeback");
	rc = group_text(cg->path, "memory.oom_control", buf, sizeof(buf));
	if (!rc) {
		st->oom_kills = text_number(buf, "oom_kill");
		st->under_oom = text_number(buf, "under_oom");
	}
	return rc;
}

int memcg_limit(struct memcg *cg, uint64_t bytes, uint64_t margin)
{
	int rc;

	if (!cg->v2)
		return file_write_u64(cg->path, "memory.limit_in_bytes", bytes);
	if (bytes + margin > cg->max_bytes) {
		rc = file_write_u64(cg->path, "memory.max", bytes + margin);
		if (rc)
			return rc;
		cg->max_bytes = bytes + margin;
	}
	return file_write_u64(cg->path, "memory.high", bytes);
}

int memcg_limit_read(const struct memcg *cg, uint64_t *bytes)
{
	char buf[32];
	int rc = group_text(cg->path, cg->v2 ? "memory.high" : "memory.limit_in_bytes", buf, sizeof(buf));

	if (!rc)
		*bytes = strtoull(buf, NULL, 10); /* ("max" it never is, once it was set) */
	return rc;
}

/* What a limit of a group leaves; UINT64_MAX: it has none. */
static uint64_t limit_room(const char *dir, const char *limit, const char *usage)
{
	char text[32], used[32];
	uint64_t bytes, taken;

	if (group_text(dir, limit, text, sizeof(text)) || *text < '0' || *text > '9' ||
	    group_text(dir, usage, used, sizeof(used)))
		return UINT64_MAX;
	bytes = strtoull(text, NULL, 10);
	taken = strtoull(used, NULL, 10);
	if (bytes >= INT64_MAX / 2) /* v1 has a number for no limit */
		return UINT64_MAX;
	return bytes > taken ? bytes - taken : 0;
}

int memcg_room(pid_t pid, const char *but, uint64_t *room_bytes, char group[PATH_MAX])
{
	char file[40], name[PATH_MAX], dir[PATH_MAX], *slash;
	size_t top;
	int kind, rc;

	snprintf(file, sizeof(file), "/proc/%d/cgroup", (int)pid);
	kind = group_of(file, name);
	rc = kind < 0 ? kind : group_dir(kind == 2, name, dir, &top);
	if (rc)
		return rc;
	*room_bytes = UINT64_MAX;
	for (; strlen(dir) >= top; *slash = 0) {
		const char *const limits[] = {kind == 2 ? "memory.high" : "memory.limit_in_bytes", "memory.max"};

		slash = strrchr(dir, '/');
		for (int i = 0; i < 2 && slash && strncmp(slash + 1, but, strlen(but)); i++) {
			uint64_t room = limit_room(dir, limits[i], kind == 2 ? "memory.current" : "memory.usage_in_bytes");

			if (room < *room_bytes) {
				*room_bytes = room;
				path_print(group, "%s", dir);
			}
		}
		if (!slash)
			break;
	}
	return 0;
}

void memcg_forbid_swap(const struct memcg *cg)
{
	/* either file is missing where the kernel has no swap: nothing to forbid then */
	if (cg->v2)
		file_write(cg->path, "memory.swap.max", "0");
	else
		file_write(cg->path, "memory.swappiness", "0");
}

int memcg_wait_on_oom(const struct memcg *cg)
{
	return cg->v2 ? 0 : file_write(cg->path, "memory.oom_control", "1");
}

int memcg_signal(const struct memcg *cg, int sig)
{
	char path[PATH_MAX];
	int n = 0, pid;
	FILE *f;

	if (!memcg_holds(cg->fd, cg->path) || path_print(path, "%s/cgroup.procs", cg->path))
		return 0;
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (fscanf(f, "%d", &pid) == 1)
		n += pid > 0 && kill(pid, sig) == 0;
	fclose(f);
	return n;
}

static void sleep_ms(int ms)
{
	poll(NULL, 0, ms);
}

int memcg_remove(struct memcg *cg)
{
	int rc = 0;

	if (!*cg->path)
		return 0;
	for (int i = 0; i < 100; i++) {
		/* One that was removed by others may by now be another's, by the same name. */
		if (!memcg_holds(cg->fd, cg->path) || rmdir(cg->path) == 0 || errno == ENOENT)
			goto removed;
		rc = -errno;
		/* a task that waits for memory would not see its signal */
		memcg_limit(cg, INT64_MAX / 2, 0);
		memcg_signal(cg, i < 20 ? SIGTERM : SIGKILL);
		sleep_ms(i < 20 ? 50 : 100);
	}
	return rc;
removed:
	*cg->path = 0;
	close(cg->fd);
	cg->fd = -1;
	if (*cg->moved_from) {
		file_write(cg->moved_from, "cgroup.subtree_control", "-memory");
		file_write(cg->moved_from, "cgroup.procs", "0");
		rmdir(cg->leaf);
	}
	return 0;
}
