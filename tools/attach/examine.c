// SPDX-License-Identifier: GPL-2.0-or-later
/* examine.c - see examine.h. */
#include "examine.h"

#include "clerk.h"
#include "gvmfs/gvm_mount.h"
#include "memcg.h"
#include "memnode/file.h"
#include "memnode/size.h"
#include "mounts.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define TEXT_BYTES  8192
#define SLACK_BYTES (32 * MIB)
#define MOUNTS_MAX  64u

struct search {
	pid_t pid;
	char *err;
	struct examined *list;
	unsigned count;
	unsigned dev[MOUNTS_MAX][2];
	unsigned devs;
	bool memfd; /* what else it maps */
	unsigned long long memory; /* gvmfs's, the last one's inode */
	unsigned attached;	   /* so many */
};

__attribute__((format(printf, 3, 4))) static int because(const struct search *s, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->err, EXAMINE_ERR, fmt, ap);
	va_end(ap);
	return rc;
}

/* ---- the process ---- */

static int program_check(const struct search *s)
{
	unsigned char head[20] = {0};
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/exe", s->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == EACCES)
		return because(s, -EACCES, "process %d is another user's, or may not be looked at: only root can attach it", s->pid);
	if (fd < 0)
		return because(s, -errno, "process %d: %s", s->pid, errno == ENOENT ? "there is none" : strerror(errno));
	if (file_pread(fd, head, sizeof(head), 0) || head[EI_CLASS] != ELFCLASS64 || head[18] != EM_X86_64)
		head[0] = 0;
	close(fd);
	return head[0] ? 0 : because(s, -EOPNOTSUPP, "process %d is no x86-64 program", s->pid);
}

static int status_check(const struct search *s)
{
	char path[64], text[TEXT_BYTES];
	const char *state;

	snprintf(path, sizeof(path), "/proc/%d/status", s->pid);
	if (file_text(path, text, sizeof(text)))
		return because(s, -ESRCH, "process %d: there is none", s->pid);
	state = text_field(text, "State:");
	if (text_number(text, "Tgid:") != (uint64_t)s->pid)
		return because(s, -ESRCH, "%d is a thread of process %d: name that", s->pid, (int)text_number(text, "Tgid:"));
	if (!state || strchr("TtZX", *state))
		return because(s, -EBUSY, "process %d is stopped, or has ended", s->pid);
	if (text_number(text, "TracerPid:"))
		return because(s, -EBUSY, "process %d is traced already, by %d", s->pid, (int)text_number(text, "TracerPid:"));
	if (text_number(text, "Seccomp:"))
		return because(s, -EPERM, "process %d has a filter of system calls (seccomp: -sandbox on; also under gvm run in mode "
			       "fuse), which may end it for one that this needs", s->pid);
	if (text_number(text, "VmLck:"))
		return because(s, -EPERM, "process %d has locked memory", s->pid);
	if (text_number(text, "VmPin:"))
		return because(s, -EPERM, "process %d has memory pinned for a device", s->pid);
	return 0;
}

static int command_check(const struct search *s)
{
	static const struct {
		const char *word, *why;
	} words[] = {
		{"vhost-user", "a vhost-user device maps the guest's memory in another process"},
		{"vfio-", "a VFIO device writes to the guest's memory without faults"},
		{"vhost-vdpa", "a vhost-vdpa device writes to the guest's memory without faults"},
		{"vhost-scsi", "a vhost-scsi device writes to the guest's memory without faults"},
		{"scsi-block", "requests of scsi-block go to the guest's memory without faults"},
		{"scsi-generic", "requests of scsi-generic go to the guest's memory without faults"},
	};
	static char text[1 << 20];
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", s->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : file_read(fd, text, sizeof(text));
	if (fd >= 0)
		close(fd);
	for (size_t i = 0; n >= 0 && i < sizeof(words) / sizeof(*words); i++)
		if (memmem(text, (size_t)n, words[i].word, strlen(words[i].word)))
			return because(s, -EPERM, "%s", words[i].why);
	return n < 0 ? because(s, -EACCES, "process %d may not be looked at", s->pid) : 0;
}

/* ---- what it maps ---- */

static void mounts_look(struct search *s)
{
	unsigned count = 0;
	char **paths;

	if (mounts_all(NULL, &paths, &count))
		return;
	for (unsigned i = 0; i < count && s->devs < MOUNTS_MAX; i++) {
		struct statx st;

		if (statx(AT_FDCWD, paths[i], AT_STATX_DONT_SYNC, STATX_TYPE, &st))
			continue;
		s->dev[s->devs][0] = st.stx_dev_major;
		s->dev[s->devs++][1] = st.stx_dev_minor;
	}
	mounts_free(paths, count);
}

static bool is_ours(const struct search *s, unsigned dev_major, unsigned dev_minor)
{
	for (unsigned i = 0; i < s->devs; i++)
		if (s->dev[i][0] == dev_major && s->dev[i][1] == dev_minor)
			return true;
	return false;
}

struct vma {
	unsigned long long from, to, off, ino;
	unsigned dev_major, dev_minor;
	char perms[8];
	int name_at;
};

static bool vma_scan(const char *line, struct vma *v)
{
	return sscanf(line, "%llx-%llx %7s %llx %x:%x %llu %n", &v->from, &v->to, v->perms, &v->off, &v->dev_major, &v->dev_minor,
		      &v->ino, &v->name_at) == 7;
}

static struct examined *known(struct search *s, const struct vma *v)
{
	for (unsigned i = 0; i < s->count; i++)
		if (s->list[i].ino == v->ino && s->list[i].dev_major == v->dev_major && s->list[i].dev_minor == v->dev_minor)
			return &s->list[i];
	return NULL;
}

/* A mapping of a file of ours. Of one file that are several only if they are neighbours, in memory and in the file. */
static int mapping_take(struct search *s, const struct vma *v, const char *name)
{
	struct examined *e = known(s, v);

	if (strcmp(v->perms, "rw-s"))
		return because(s, -EPERM, "its mapping of %s is %s", name,
			       v->perms[3] == 'p' ? "private (share=on is missing)" : "not for reading and writing");
	if (e && (e->address + e->bytes != v->from || e->bytes != v->off))
		return because(s, -EBUSY, "it maps %s more than once", name);
	if (e) {
		e->bytes += v->to - v->from;
		return 0;
	}
	if (s->count == EXAMINE_REGIONS)
		return because(s, -ENOSPC, "it maps more than %d regions", EXAMINE_REGIONS);
	if (v->off)
		return because(s, -EINVAL, "it maps only a part of %s", name);
	e = &s->list[s->count++];
	*e = (struct examined){.address = v->from, .bytes = v->to - v->from, .ino = v->ino, .dev_major = v->dev_major,
			       .dev_minor = v->dev_minor, .fd = -1};
	snprintf(e->name, sizeof(e->name), "%s", name);
	return 0;
}

static void flags_take(struct examined *e, const char *line)
{
	static const struct {
		const char *flag;
		uint32_t advice;
	} flags[] = {{" hg", CLERK_HUGE}, {" nh", CLERK_NO_HUGE}, {" dc", CLERK_NO_FORK}, {" dd", CLERK_NO_DUMP}, {" mg", CLERK_MERGE}};

	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (strstr(line, flags[i].flag))
			e->advice |= flags[i].advice;
}

static int mappings_find(struct search *s)
{
	struct examined *e = NULL;
	char path[64], *line = NULL;
	size_t room = 0;
	FILE *f;
	int rc = 0;

	snprintf(path, sizeof(path), "/proc/%d/smaps", s->pid);
	f = fopen(path, "re");
	if (!f)
		return because(s, -errno, "process %d may not be looked at: %s", s->pid, strerror(errno));
	while (!rc && getline(&line, &room, f) > 0) {
		unsigned long long kib;
		struct vma v;

		line[strcspn(line, "\n")] = 0;
		if (vma_scan(line, &v)) {
			e = NULL;
			s->memfd |= !strncmp(line + v.name_at, "/memfd:", 7) && v.perms[3] == 's';
			if (!strncmp(line + v.name_at, "/memfd:gvmfs-memory", 19) && v.ino != s->memory) {
				s->memory = v.ino;
				s->attached++;
			}
			if (v.ino && is_ours(s, v.dev_major, v.dev_minor)) {
				rc = mapping_take(s, &v, line + v.name_at);
				e = known(s, &v);
			}
		} else if (e && sscanf(line, "Rss: %llu", &kib) == 1) {
			e->file_bytes += kib * KIB;
		} else if (e && !strncmp(line, "VmFlags:", 8)) {
			flags_take(e, line);
			if (strstr(line, " lo") || strstr(line, " io") || strstr(line, " pf"))
				rc = because(s, -EPERM, "%s is locked, or mapped for a device", e->name);
		}
	}
	free(line);
	fclose(f);
	if (rc || s->count)
		return rc;
	if (s->attached)
		return because(s, -EALREADY, "process %d is on the fast path", s->pid);
	return because(s, -ENOENT, "process %d maps no file of a gvmfs mount%s", s->pid,
		       s->memfd ? ": its memory is a memfd, whose content no memory node has; have it start with "
				  "memory-backend-file, or by gvm run" : "");
}

/* A clerk whose gvm attach was killed goes on by itself, and must have no second one beside it. */
static int clerks_check(const struct search *s)
{
	unsigned clerks = 0;
	struct dirent *e;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", s->pid);
	dir = opendir(path);
	while (dir && (e = readdir(dir))) {
		char name[32];

		snprintf(path, sizeof(path), "/proc/%d/task/%.16s/comm", s->pid, e->d_name);
		clerks += !file_text(path, name, sizeof(name)) && !strcmp(name, CLERK_NAME "\n");
	}
	if (dir)
		closedir(dir);
	return clerks > s->attached ? because(s, -EBUSY, "process %d is just being attached: try again", s->pid) : 0;
}

/* ---- descriptors ---- */

/* As clerk.c looks for it. */
static const char *why_pins(const char *link, const struct stat *st, int flags)
{
	static const char *const names[] = CLERK_PINNING;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strncmp(link, names[i], strlen(names[i])))
			return "a device may write to the guest's memory through it without faults";
	if (S_ISBLK(st->st_mode))
		return "a block device, to which requests may go without faults";
	if (S_ISREG(st->st_mode) && flags & O_DIRECT)
		return "open for direct I/O (cache=none), which writes to the guest's memory without faults";
	return NULL;
}

static bool kvm_nests(void)
{
	static const char *const files[] = {"/sys/module/kvm_intel/parameters/nested", "/sys/module/kvm_amd/parameters/nested"};
	char text[8];

	for (int i = 0; i < 2; i++)
		if (!file_text(files[i], text, sizeof(text)) && (*text == 'Y' || *text == '1'))
			return true;
	return false;
}

static int flags_read(pid_t pid, const char *name, int *flags)
{
	char path[64], text[4096];
	const char *field;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%.16s", pid, name);
	field = file_text(path, text, sizeof(text)) ? NULL : text_field(text, "flags:");
	*flags = field ? (int)strtol(field, NULL, 8) : 0;
	return field ? 0 : -ENOENT;
}

static int descriptor_look(struct search *s, const char *name)
{
	char path[64], link[PATH_MAX];
	ssize_t n;
	struct stat st = {0};
	const char *why;
	int flags;

	snprintf(path, sizeof(path), "/proc/%d/fd/%.16s", s->pid, name);
	n = readlink(path, link, sizeof(link) - 1);
	if (n < 0 || flags_read(s->pid, name, &flags))
		return 0; /* it has been closed */
	link[n] = 0;
	for (unsigned i = 0; i < s->count; i++) {
		struct examined *e = &s->list[i];
		struct statx x;

		if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_INO, &x) || x.stx_ino != e->ino ||
		    x.stx_dev_major != e->dev_major || x.stx_dev_minor != e->dev_minor)
			continue;
		if ((flags & O_ACCMODE) == O_RDWR && !(flags & O_DIRECT)) {
			e->fd = atoi(name);
			snprintf(e->at, sizeof(e->at), "%s", path);
		}
		return 0;
	}
	/* asks no filesystem of others that could hang: only what is a path of its own kind */
	if (*link == '/' && (flags & O_DIRECT || !strncmp(link, "/dev/", 5)) && stat(path, &st))
		st = (struct stat){0};
	why = why_pins(link, &st, flags);
	if (why)
		return because(s, -EPERM, "%s is open in it: %s", link, why);
	if ((!strcmp(link, "/dev/kvm") || !strncmp(link, "anon_inode:kvm-vm", 17)) && kvm_nests())
		return because(s, -EPERM, "KVM with nested guests (parameter nested of kvm_intel or kvm_amd) pins pages by itself");
	return 0;
}

static int descriptors_look(struct search *s)
{
	char path[64];
	struct dirent *e;
	int rc = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", s->pid);
	dir = opendir(path);
	if (!dir)
		return because(s, -errno, "process %d may not be looked at: %s", s->pid, strerror(errno));
	while (!rc && (e = readdir(dir)))
		if (*e->d_name != '.')
			rc = descriptor_look(s, e->d_name);
	closedir(dir);
	for (unsigned i = 0; !rc && i < s->count; i++)
		if (s->list[i].fd < 0)
			rc = because(s, -EBADF, "it has %s no longer open for reading and writing", s->list[i].name);
	return rc;
}

static int region_ask(struct search *s, struct examined *e)
{
	struct statx st;
	ssize_t n;

	n = getxattr(e->at, GVM_XATTR_ATTACH, e->socket, sizeof(e->socket) - 1);
	if (n <= 0)
		return because(s, -EOPNOTSUPP, "%s is no region, or its gvmfs has no fast path", e->name);
	e->socket[n] = 0;
	if (statx(AT_FDCWD, e->at, 0, STATX_SIZE, &st) || st.stx_size != e->bytes)
		return because(s, -EINVAL, "it maps only a part of %s", e->name);
	return 0;
}

/* ---- other processes ---- */

static bool shares_mapping(struct search *s, FILE *maps)
{
	char line[PATH_MAX + 128];
	struct vma v;

	while (fgets(line, sizeof(line), maps))
		if (vma_scan(line, &v) && known(s, &v))
			return true;
	return false;
}

static bool shares_file(struct search *s, pid_t pid, DIR *fds)
{
	struct dirent *d;

	while ((d = readdir(fds))) {
		char path[64], link[PATH_MAX];
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/%d/fd/%.16s", pid, d->d_name);
		n = readlink(path, link, sizeof(link) - 1);
		if (n <= 0)
			continue;
		link[n] = 0;
		/* by the name first, so that no stranger's filesystem is asked; a name of another namespace ends likewise */
		for (unsigned i = 0; i < s->count; i++) {
			const char *base = strrchr(s->list[i].name, '/');
			struct statx x;

			if (base && strstr(link, base) && !statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_INO, &x) &&
			    x.stx_ino == s->list[i].ino && x.stx_dev_major == s->list[i].dev_major &&
			    x.stx_dev_minor == s->list[i].dev_minor)
				return true;
		}
	}
	return false;
}

static int other_look(struct search *s, pid_t pid)
{
	char path[64];
	bool shares;
	FILE *maps;
	DIR *fds;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "re");
	if (!maps && errno == EACCES)
		return because(s, -EACCES, "process %d may not be looked at, and might share the memory: only root can be sure", pid);
	if (!maps)
		return 0; /* it has ended */
	shares = shares_mapping(s, maps);
	fclose(maps);
	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	fds = opendir(path);
	if (!fds && errno == EACCES)
		return because(s, -EACCES, "process %d may not be looked at, and might share the memory: only root can be sure", pid);
	if (fds) {
		shares = shares || shares_file(s, pid, fds);
		closedir(fds);
	}
	return shares ? because(s, -EBUSY, "process %d shares its memory's file", pid) : 0;
}

static int others_look(struct search *s)
{
	DIR *dir = opendir("/proc");
	struct dirent *e;
	int rc = dir ? 0 : -errno;

	while (!rc && (e = readdir(dir))) {
		pid_t pid = atoi(e->d_name);

		/* a container hides the first process: an init takes no descriptors of a guest's memory */
		if (pid > 1 && pid != s->pid && pid != getpid())
			rc = other_look(s, pid);
	}
	if (dir)
		closedir(dir);
	return rc;
}

/* ---- */

int examine(pid_t pid, struct examined list[EXAMINE_REGIONS], unsigned *count, char err[EXAMINE_ERR])
{
	struct search s = {.pid = pid, .err = err, .list = list};
	int rc = program_check(&s);

	mounts_look(&s);
	if (!rc)
		rc = mappings_find(&s);
	if (!rc)
		rc = status_check(&s);
	if (!rc)
		rc = clerks_check(&s);
	if (!rc)
		rc = command_check(&s);
	if (!rc)
		rc = descriptors_look(&s);
	for (unsigned i = 0; !rc && i < s.count; i++)
		rc = region_ask(&s, &list[i]);
	if (!rc)
		rc = others_look(&s);
	*count = s.count;
	return rc;
}

int examine_room(pid_t pid, const struct examined *list, const uint64_t *local_bytes, unsigned count, char err[EXAMINE_ERR])
{
	uint64_t want = 0, here = 0, room;
	char group[PATH_MAX], wants[SIZE_TEXT];

	for (unsigned i = 0; i < count; i++) {
		want += (local_bytes[i] && local_bytes[i] < list[i].bytes ? local_bytes[i] : list[i].bytes) + SLACK_BYTES;
		here += list[i].file_bytes;
	}
	if (memcg_room(pid, "\n", &room, group) || room == UINT64_MAX || room + here >= want)
		return 0;
	snprintf(err, EXAMINE_ERR, "its cgroup %s has no room for %s of %s%s: allow less by --local, or raise its limit", group,
		 size_text(want, wants), list[0].name, count > 1 ? " and its other regions" : "");
	return -ENOMEM;
}
