// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * dsm_backend.c - chooses the mode of a mapped region, and keeps a table of replaced mappings.
 *
 * An attach examines the file, chooses the mode, and tells mode and reason in one line. In mode
 * uffd dsm_attach.c puts gvmfs's memory in the mapping's place, and the region goes into the table;
 * pins, advice and detach find it there by its addresses.
 *
 * A region is immutable, but for its being settled, once it is in the table, and neither it nor its pins are ever freed: so
 * dsm_pin() and dsm_ram_covers() read the table without a lock.
 *
 * Neither glib nor anything else of QEMU is used: the files also go into a preloaded library.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "dsm_backend.h"

#include "dsm_attach.h"
#include "dsm_calls.h"
#include "giantvm.h"
#include "gvm_mount.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Newer than some distributions' headers; the values are the kernel's ABI. */
#ifndef FUSE_SUPER_MAGIC
#define FUSE_SUPER_MAGIC 0x65735546
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define GIANTVM_MAGIC 0x6769766d /* the filesystem of the file that GIANTVM_JOIN returns */

#define REGIONS_MAX 16

static struct {
	pthread_mutex_t lock; /* held by attach, detach and dsm_pin_all(), never by helpers */
	_Atomic(struct region *) table[REGIONS_MAX]; /* written under `lock`, read without */
	struct region *retired;			     /* under `lock`; detached, never freed */
	const char *pin_why;			     /* under `lock`; NULL: not all is pinned */
	const char *veto;			     /* under `lock`; NULL: uffd is possible */
	bool fork_watched;			     /* under `lock` */
} ours = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct {
	pthread_once_t once;
	atomic_int mode; /* enum dsm_mode, or a negative errno */
	char accel[32];
} config = {.once = PTHREAD_ONCE_INIT};

/* ---- messages to the user ---- */

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
		dsm_say("RAM %s (%s): %s, since %s", ram->name, size, mode, why);
	else if (config.accel[0])
		dsm_say("RAM %s (%s): %s, with %s", ram->name, size, mode, config.accel);
	else
		dsm_say("RAM %s (%s): %s", ram->name, size, mode);
}

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

/* ---- attach ---- */

static void forget_after_fork(void)
{
	pthread_mutex_init(&ours.lock, NULL); /* another thread may have held it */
	for (int i = 0; i < REGIONS_MAX; i++) {
		struct region *r = atomic_exchange(&ours.table[i], NULL);

		if (r)
			dsm_region_forget(r);
	}
}

static int fork_watch(struct ram *ram)
{
	int err = ours.fork_watched ? 0 : pthread_atfork(NULL, NULL, forget_after_fork);

	ours.fork_watched = !err;
	return err ? dsm_because(ram, -err, "pthread_atfork: %s", strerror(err)) : 0;
}

/* It is never freed: see the file's head. */
static void region_retire(struct region *r)
{
	if (!r)
		return;
	r->next = ours.retired;
	ours.retired = r;
}

static int region_attach(struct ram *ram, const char *path, _Atomic(struct region *) *place)
{
	struct region *r;
	int err = fork_watch(ram);

	assert(!atomic_load(place) || atomic_load(&atomic_load(place)->settled));
	if (err)
		return err;
	r = (struct region *)calloc(1, sizeof(*r));
	if (!r)
		return dsm_because(ram, -ENOMEM, "no memory");
	err = dsm_region_attach(ram, path, r);
	if (err) {
		free(r);
		return err;
	}
	region_retire(atomic_exchange(place, r));
	if (ours.pin_why)
		dsm_region_pin_all(r, ours.pin_why);
	return 0;
}

static bool file_attached(const struct stat *st)
{
	for (int i = 0; i < REGIONS_MAX; i++) {
		struct region *r = atomic_load(&ours.table[i]);

		if (r && !atomic_load(&r->settled) && r->dev == st->st_dev && r->ino == st->st_ino)
			return true;
	}
	return false;
}

static _Atomic(struct region *) *place_find_free(void)
{
	for (int i = 0; i < REGIONS_MAX; i++) {
		struct region *r = atomic_load(&ours.table[i]);

		if (!r || atomic_load(&r->settled))
			return &ours.table[i];
	}
	return NULL;
}

/*
 * Refuses mode uffd for reasons known before gvmfs is asked. `path`: of gvmfs's socket, or empty.
 */
static int ram_refusal(struct ram *ram, enum dsm_mode mode, const char *path)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	int flags = dsm_fcntl(ram->fd, F_GETFL, 0);

	if (mode == DSM_MODE_FUSE)
		return dsm_because(ram, -EPERM, "this mode was asked for");
	if (ours.veto)
		return dsm_because(ram, -EPERM, "%s", ours.veto);
	if (!*path)
		return dsm_because(ram, -EOPNOTSUPP, "this gvmfs has no other mode");
	if (ram->offset || ram->st.st_size < 0 || (size_t)ram->st.st_size != ram->bytes)
		return dsm_because(ram, -EINVAL, "it is a part of its file");
	if (!ram->bytes || ram->bytes % page || (uintptr_t)ram->host % page)
		return dsm_because(ram, -EINVAL, "its size or address is not a multiple of a page");
	if (flags < 0 || (flags & O_ACCMODE) != O_RDWR)
		return dsm_because(ram, -EACCES, "its file is not open for writing");
	/* the guest's writes must not reach a file that other processes may open later */
	if (!ram->shared && ram->st.st_nlink > 0)
		return dsm_because(ram, -EINVAL, "its mapping is private (share=on is missing)");
	if (file_attached(&ram->st))
		return dsm_because(ram, -EBUSY, "its file is attached in this process already");
	if (!place_find_free())
		return dsm_because(ram, -ENOSPC, "there are %d regions already", REGIONS_MAX);
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
		err = region_attach(ram, path, place_find_free());
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

static void giantvm_version(char version[static 32])
{
	int fd = dsm_open("/sys/module/giantvm_kvm/version", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, version, 31);

	if (fd >= 0)
		close(fd);
	version[n > 0 ? n : 0] = 0;
	version[strcspn(version, "\n")] = 0;
}

/* The memory is the module's in any case: the mode only decides whether the guest may start. */
static int giantvm_attach(struct ram *ram, enum dsm_mode mode)
{
	struct giantvm_region_info info = {0};
	char version[32];

	if (mode == DSM_MODE_UFFD || mode == DSM_MODE_FUSE) {
		say_mode(ram, mode == DSM_MODE_UFFD ? "not in mode uffd" : "not in mode fuse",
			 "it is a region of /dev/giantvm");
		return -EINVAL;
	}
	giantvm_version(version);
	if (ioctl(ram->fd, GIANTVM_REGION_INFO, &info))
		dsm_because(ram, -errno, "giantvm_kvm %s refuses GIANTVM_REGION_INFO: %s", version,
			    strerror(errno));
	else if (info.abi != GIANTVM_ABI)
		dsm_because(ram, -EPROTONOSUPPORT, "giantvm_kvm %s has interface version %u, not %u",
			    version, info.abi, GIANTVM_ABI);
	else if (!ram->shared)
		dsm_because(ram, -EINVAL, "its mapping is private (share=on is missing)");
	else {
		snprintf(ram->why, sizeof(ram->why), "it is region %s of giantvm_kvm %s", info.name,
			 version);
		say_mode(ram, "kernel", ram->why);
		return 0;
	}
	say_mode(ram, "not in mode kernel", ram->why);
	return mode == DSM_MODE_KERNEL ? -EPROTONOSUPPORT : 0;
}

/*
 * /dev/gvm/NAME is a device, recognised by its path in /sys; GIANTVM_JOIN's descriptor is a file.
 */
static bool is_giantvm(int fd, const struct stat *st)
{
	static const char device[] = "/giantvm/gvm-";
	char link[64], place[PATH_MAX];
	struct statfs fs;
	ssize_t n;

	if (S_ISREG(st->st_mode))
		return !fstatfs(fd, &fs) && fs.f_type == GIANTVM_MAGIC;
	if (!S_ISCHR(st->st_mode))
		return false;
	snprintf(link, sizeof(link), "/sys/dev/char/%u:%u", major(st->st_rdev), minor(st->st_rdev));
	n = readlink(link, place, sizeof(place) - 1);
	if (n < 0)
		return false;
	place[n] = 0;
	return strstr(place, device) != NULL;
}

/* `path`: the socket of the file's gvmfs; empty: none (an old gvmfs, or an unusable path). */
static bool is_gvmfs(int fd, char *path, size_t room)
{
	struct statfs fs;
	ssize_t n;

	path[0] = 0;
	if (fstatfs(fd, &fs) || fs.f_type != FUSE_SUPER_MAGIC)
		return false;
	n = fgetxattr(fd, GVM_XATTR_ATTACH, path, room - 1);
	if (n > 0 && path[0] == '/' && !memchr(path, 0, (size_t)n)) {
		path[n] = 0;
		return true;
	}
	path[0] = 0;
	return n >= 0 || fgetxattr(fd, GVM_XATTR_STATS, NULL, 0) >= 0;
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
	kernel = is_giantvm(fd, &ram.st);
	gvmfs = !kernel && is_gvmfs(fd, path, sizeof(path));
	if (!kernel && !gvmfs)
		return 0;
	name_find(&ram);
	mode = mode_or_error();
	if (mode < 0) {
		say_mode(&ram, "refused", "GVM_MODE must be auto, fuse, uffd or kernel");
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

	if (!r || !bytes || atomic_load_explicit(&r->settled, memory_order_acquire))
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
		dsm_region_detach(r);
		region_retire(r);
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
	case MADV_COLD:		/* gvmfs finds cold pages itself */
	case MADV_PAGEOUT:	/* would swap pages out on the host, unknown to gvmfs */
		return ADVICE_IGNORE;
	case MADV_FREE:		/* means private memory; the kernel refuses it too */
	case MADV_COLLAPSE:	/* makes huge pages */
		return ADVICE_REFUSE;
	case MADV_REMOVE:	/* a hole in the memfd alone would be filled from the node again */
		return ADVICE_PUNCH;
	default:
		/*
		 * DONTNEED only drops page-table entries: the next access maps the pages again.
		 * POPULATE faults, as an access does. NOHUGEPAGE, DONTFORK, DONTDUMP and DODUMP
		 * work as on any mapping.
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

/* Sequentially consistent with gvmfs's check of the pins after a zap: see gvm_attach.h. */
static void pins_add(const void *host, size_t bytes, uint32_t n)
{
	size_t offset, length;

	for (int i = 0; i < REGIONS_MAX; i++) {
		struct region *r = atomic_load_explicit(&ours.table[i], memory_order_acquire);

		if (!region_clip(r, host, bytes, &offset, &length))
			continue;
		assert((offset + length - 1) / CHUNK_BYTES < r->chunks);
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
 * Needs no answer. A zap that gvmfs has requested was either answered before the message, and then
 * the device's pin has yet to fault; or after it, and then gvmfs reads the message before the
 * answer.
 *
 * Once for each region: a program may lock its memory piece by piece, and open devices again and again.
 */
void dsm_pin_all(const char *why)
{
	bool told;

	pthread_mutex_lock(&ours.lock);
	told = ours.pin_why;
	if (!told)
		ours.pin_why = why;
	for (int i = 0; i < REGIONS_MAX && !told; i++) {
		struct region *r = atomic_load(&ours.table[i]);

		if (r)
			dsm_region_pin_all(r, why);
	}
	pthread_mutex_unlock(&ours.lock);
}
