// SPDX-License-Identifier: GPL-2.0-or-later
/* keep_file.c - see keep_file.h. */
#include "keep_file.h"
#include "../file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#define NAME	   "chunks.gvm"
#define LOCK_TRIES 100 /* 20 ms apart: a node that was killed takes a moment to end */

struct why {
	char *text;
	size_t bytes;
};

__attribute__((format(printf, 3, 4))) static int refuse(const struct why *why, int err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why->text, why->bytes, format, args);
	va_end(args);
	return err;
}

/* All zero where it cannot be read: then no two starts are of one boot. */
static struct gvm_id boot_id(void)
{
	struct gvm_id boot = {{0}};
	char text[64] = "";
	unsigned digits = 0;

	if (file_text("/proc/sys/kernel/random/boot_id", text, sizeof(text)))
		return boot;
	for (const char *p = text; *p && digits < 32; p++) {
		unsigned value;

		if (sscanf((const char[]){*p, 0}, "%1x", &value) != 1)
			continue;
		boot.b[digits / 2] = (uint8_t)(boot.b[digits / 2] << 4 | value);
		digits++;
	}
	return boot;
}

static int file_lock(int fd, const char *dir, const struct why *why)
{
	static const struct timespec pause = {.tv_nsec = 20000000};

	for (unsigned i = 0; flock(fd, LOCK_EX | LOCK_NB); i++) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return refuse(why, -errno, "%s cannot be locked: %s", dir, strerror(errno));
		if (i == LOCK_TRIES)
			return refuse(why, -EBUSY, "%s is in use by another gvm-memnode: give each its own directory",
				      dir);
		nanosleep(&pause, NULL);
	}
	return 0;
}

static uint32_t segment_bytes_of(uint64_t bytes)
{
	uint32_t segment = KEEP_SEGMENT_MIN;

	while (segment < KEEP_SEGMENT_MAX && (uint64_t)segment * 2 * 128 <= bytes)
		segment *= 2;
	return segment;
}

/* Takes the disk's space for segments [from, to). A filesystem that cannot do that may fill up later. */
static int space_take(int fd, const struct keep_super *s, uint32_t from, uint32_t to)
{
	off_t at = from ? KEEP_BASE + (off_t)from * s->segment_bytes : 0;
	off_t end = KEEP_BASE + (off_t)to * s->segment_bytes;
	int err = fallocate(fd, 0, at, end - at) ? -errno : 0;

	if (err == -EOPNOTSUPP)
		err = ftruncate(fd, end) ? -errno : 0;
	return err;
}

static uint64_t disk_free(int fd)
{
	struct statvfs fs;

	return fstatvfs(fd, &fs) ? 0 : (uint64_t)fs.f_bavail * fs.f_frsize;
}

static int file_make(struct keep_file *f, const struct keep_wish *w, const struct why *why)
{
	uint64_t room = disk_free(f->fd) / 16 * 15;
	uint64_t bytes = w->bytes ? w->bytes : w->memory_bytes / 4 * 7 + (16u << 20);
	struct keep_super *s = &f->super;
	int err;

	if (!w->bytes && bytes > room)
		bytes = room;
	*s = (struct keep_super){.version = KEEP_VERSION, .clean = true, .segment_bytes = segment_bytes_of(bytes)};
	if (bytes < KEEP_BASE + (uint64_t)s->segment_bytes * KEEP_SEGMENTS_MIN)
		return refuse(why, -ENOSPC, "%s has room for %llu MiB, and the least that a node can work with is %u MiB",
			      w->dir, (unsigned long long)(bytes >> 20), (KEEP_SEGMENTS_MIN * KEEP_SEGMENT_MIN >> 20) + 1);
	s->segments = (uint32_t)((bytes - KEEP_BASE) / s->segment_bytes);
	if (getrandom(&s->file, sizeof(s->file), 0) != sizeof(s->file))
		return refuse(why, -EIO, "no random bytes");
	snprintf(s->owner, sizeof(s->owner), "%s", w->owner);
	err = space_take(f->fd, s, 0, s->segments);
	if (err && ftruncate(f->fd, 0)) {
		/* It is taken again by the next start. */
	}
	if (err)
		return refuse(why, err, "%s cannot have the %llu MiB for what the node keeps: %s", w->dir,
			      (unsigned long long)(bytes >> 20), strerror(-err));
	f->segments = s->segments;
	f->fresh = f->vouched = true;
	return 0;
}

static int file_grow(struct keep_file *f, const struct keep_wish *w, const struct why *why)
{
	const struct keep_super *s = &f->super;
	uint64_t held = KEEP_BASE + (uint64_t)s->segments * s->segment_bytes;
	uint64_t wanted = w->bytes > KEEP_BASE ? (w->bytes - KEEP_BASE) / s->segment_bytes : 0;
	int err;

	f->segments = s->segments;
	if (!w->bytes || wanted == s->segments)
		return 0;
	if (wanted < s->segments)
		return refuse(why, -EINVAL, "%s was made with %llu MiB, and can grow only: for less, empty the node and "
			      "give it another directory", w->dir, (unsigned long long)(held >> 20));
	if (wanted > UINT32_MAX / 2)
		return refuse(why, -EINVAL, "--persist-size is too large for %s", w->dir);
	f->segments = (uint32_t)wanted;
	err = space_take(f->fd, s, s->segments, f->segments);
	if (err)
		return refuse(why, err, "%s cannot grow to %llu MiB: %s", w->dir, (unsigned long long)(w->bytes >> 20),
			      strerror(-err));
	return 0;
}

/* Of the two superblocks the first that can be read: in the middle of a change either is true. */
static int super_read(struct keep_file *f, const char *dir, const struct why *why)
{
	uint8_t buf[KEEP_SUPER_BYTES];
	struct keep_super s;
	uint32_t version = 0;
	int err = -ENODATA;

	for (unsigned i = 0; i < 2; i++) {
		int one;

		memset(buf, 0, sizeof(buf));
		if (pread(f->fd, buf, sizeof(buf), i * KEEP_SUPER_BYTES) < 0)
			return refuse(why, -errno, "%s cannot be read: %s", dir, strerror(errno));
		one = keep_super_unpack(&s, buf);
		if (!one) {
			f->super = s;
			return 0;
		}
		if (one == -EPROTONOSUPPORT)
			version = s.version;
		if (one == -EPROTONOSUPPORT || (one == -EBADMSG && err == -ENODATA))
			err = one;
	}
	if (err == -EPROTONOSUPPORT)
		return refuse(why, err, "%s was made by another version of gvm-memnode (format %u; this one has %u)", dir,
			      version, KEEP_VERSION);
	if (err == -EBADMSG)
		return refuse(why, err, "%s/" NAME " is no file of gvm-memnode, or its beginning is damaged: give the node "
			      "another directory", dir);
	return err;
}

/* Whether both are of one node: with port 0 it serves any that is free. */
static bool owner_fits(const char *a, const char *b)
{
	const char *port_a = strrchr(a, ':'), *port_b = strrchr(b, ':');

	if (!port_a || !port_b || port_a - a != port_b - b || memcmp(a, b, (size_t)(port_a - a)))
		return false;
	return !strcmp(port_a, port_b) || !strcmp(port_a, ":0") || !strcmp(port_b, ":0");
}

/*
 * Each start has a number. It is in the superblock, and in an attribute of the file: so an older copy that is written over the file
 * is found out, which has the same inode. The attribute has two numbers, so that a start that is cut short between the two
 * does no harm. Where there are no attributes, the number is 0, and tells nothing.
 */
static int lives_set(int fd, uint64_t before, uint64_t now)
{
	uint8_t lives[16];

	gvm_store_le(lives, before, 8);
	gvm_store_le(lives + 8, now, 8);
	return fsetxattr(fd, KEEP_LIVES, lives, sizeof(lives), 0) || fsync(fd) ? -errno : 0;
}

static bool life_fits(int fd, uint64_t life)
{
	uint8_t lives[16];
	ssize_t n = life ? fgetxattr(fd, KEEP_LIVES, lives, sizeof(lives)) : 0;

	if (!life || (n < 0 && errno == ENOTSUP)) /* (it may be mounted in another way than before) */
		return true;
	return n == sizeof(lives) && (gvm_load_le(lives, 8) == life || gvm_load_le(lives + 8, 8) == life);
}

static uint64_t life_begin(const struct keep_file *f)
{
	uint64_t life;

	if (getrandom(&life, sizeof(life), 0) != sizeof(life) || lives_set(f->fd, f->super.life, life))
		return 0;
	return life;
}

static int file_judge(struct keep_file *f, const struct keep_wish *w, const struct why *why)
{
	static const struct gvm_id none;
	struct keep_super *s = &f->super;
	uint8_t unit[KEEP_UNIT] = {0};
	bool same_boot = !gvm_id_equal(&f->boot, &none) && gvm_id_equal(&f->boot, &s->boot);

	if (!owner_fits(s->owner, w->owner))
		return refuse(why, -EPERM, "%s belongs to the node that serves %s: give this one, which serves %s, a "
			      "directory of its own", w->dir, s->owner, w->owner);
	if (pread(f->fd, unit, sizeof(unit), KEEP_HORIZON_AT) < 0)
		return refuse(why, -errno, "%s cannot be read: %s", w->dir, strerror(errno));
	s->version = KEEP_VERSION; /* as what is written from here on */
	f->horizon_holds = keep_horizon_unpack(&f->horizon, &s->file, unit);
	snprintf(s->owner, sizeof(s->owner), "%s", w->owner);
	f->vouched = s->inode == f->inode && life_fits(f->fd, s->life) && !f->horizon.suspect && (s->clean || same_boot || s->sync);
	return file_grow(f, w, why);
}

static int file_begin(struct keep_file *f, const struct keep_wish *w, const struct why *why)
{
	struct stat st;
	int err = file_lock(f->fd, w->dir, why);

	if (err)
		return err;
	if (fstat(f->fd, &st))
		return refuse(why, -errno, "%s: %s", w->dir, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return refuse(why, -EINVAL, "%s/" NAME " is not a file", w->dir);
	f->inode = st.st_ino;
	f->boot = boot_id();
	f->sync = w->sync;
	err = super_read(f, w->dir, why);
	if (!err)
		return file_judge(f, w, why);
	return err == -ENODATA ? file_make(f, w, why) : err;
}

int keep_file_open(struct keep_file *f, const struct keep_wish *w, char *text, size_t text_bytes)
{
	const struct why why = {text, text_bytes};
	int dir = open(w->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), err;

	*f = (struct keep_file){.fd = -1};
	if (dir < 0)
		return refuse(&why, -errno, "%s: %s", w->dir,
			      errno == ENOENT ? "there is no such directory" : strerror(errno));
	f->fd = openat(dir, NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	err = f->fd < 0 ? refuse(&why, -errno, "%s/" NAME ": %s", w->dir, strerror(errno)) : file_begin(f, w, &why);
	if (!err && f->fresh && fsync(dir))
		err = refuse(&why, -errno, "%s: %s", w->dir, strerror(errno));
	close(dir);
	if (err)
		keep_file_close(f);
	return err;
}

int keep_file_mark(struct keep_file *f, const struct gvm_id *incarnation, bool clean)
{
	struct keep_super s = f->super;
	uint8_t buf[KEEP_SUPER_BYTES];
	int err = 0;

	s.clean = clean;
	s.sync = f->sync;
	s.incarnation = *incarnation;
	s.boot = f->boot;
	s.inode = f->inode;
	s.segments = f->segments;
	if (!clean)
		s.life = life_begin(f);
	keep_super_pack(&s, buf);
	for (unsigned i = 0; i < 2 && !err; i++) {
		err = file_pwrite(f->fd, buf, sizeof(buf), i * KEEP_SUPER_BYTES);
		if (!err && fdatasync(f->fd) && errno != EINVAL)
			err = -errno;
	}
	if (!err)
		f->super = s;
	if (!err && !clean && s.life)
		(void)lives_set(f->fd, s.life, s.life); /* else the last start's is good for another one */
	return err;
}

void keep_file_close(struct keep_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
}
