// SPDX-License-Identifier: GPL-2.0-or-later
#include "snapshot.h"

#include "memnode/size.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define PAGE  4096u
#define WORD  sizeof(uint64_t)

struct snapshot {
	const struct memory *m;
	int fd;		  /* of a save */
	uint64_t *file;	  /* of a diff: mapped */
	size_t bytes;	  /* of it */
	uint64_t *hashes; /* in it, of the first page */
	uint64_t pages;
	/* of a diff: */
	uint64_t changed, run_gpa, run_end;
};

static uint64_t range_pages(const struct core_map_part *r)
{
	return (r->bytes + PAGE - 1) / PAGE;
}

static void layout(struct snapshot *s, const struct memory *m)
{
	s->m = m;
	for (unsigned i = 0; i < m->range_count; i++)
		s->pages += range_pages(&m->ranges[i]);
	s->bytes = (3 + 2 * m->range_count + s->pages) * WORD;
}

static uint64_t page_hash(const uint8_t *page, size_t bytes)
{
	uint64_t hash;

	if (!page[0] && (bytes == 1 || !memcmp(page, page + 1, bytes - 1)))
		return 0;
	hash = XXH3_64bits(page, bytes);
	return hash ? hash : 1;
}

/* The number of the page among all. */
static uint64_t page_number(const struct memory *m, uint64_t gpa)
{
	uint64_t before = 0;
	unsigned i = 0;

	while (i < m->range_count && (gpa < m->ranges[i].gpa || gpa - m->ranges[i].gpa >= m->ranges[i].bytes))
		before += range_pages(&m->ranges[i++]);
	return i < m->range_count ? before + (gpa - m->ranges[i].gpa) / PAGE : before;
}

static void head_fill(const struct memory *m, uint64_t *words)
{
	words[0] = SNAPSHOT_MAGIC;
	words[1] = m->bytes;
	words[2] = m->range_count;
	for (unsigned i = 0; i < m->range_count; i++) {
		words[3 + 2 * i] = m->ranges[i].gpa;
		words[4 + 2 * i] = m->ranges[i].bytes;
	}
}

/* ---- save */

static int write_all(int fd, const void *buf, size_t bytes, uint64_t off)
{
	while (bytes) {
		ssize_t n = pwrite(fd, buf, bytes, (off_t)off);

		if (n < 0)
			return -errno;
		buf = (const char *)buf + n;
		bytes -= (size_t)n;
		off += (uint64_t)n;
	}
	return 0;
}

static int save_visit(void *arg, uint64_t gpa, const uint8_t *data, size_t bytes)
{
	uint64_t hash[MEMORY_VISIT_BYTES / PAGE], any = 0;
	const struct snapshot *s = arg;
	size_t n = 0;

	for (size_t at = 0; at < bytes; at += PAGE, n++) {
		hash[n] = page_hash(data + at, bytes - at < PAGE ? bytes - at : PAGE);
		any |= hash[n];
	}
	return any ? write_all(s->fd, hash, n * WORD, s->bytes - (s->pages - page_number(s->m, gpa)) * WORD) : 0;
}

/* The file has no name until it is whole, so a save that is interrupted leaves nothing. */
static int save_open(const char *path, size_t bytes)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	int fd = folder ? open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) : -1;
	int rc = fd < 0 ? -errno : 0;

	free(folder);
	if (!rc && ftruncate(fd, (off_t)bytes))
		rc = -errno;
	if (rc && fd >= 0)
		close(fd);
	return rc ? rc : fd;
}

static int save_name(int fd, const char *path)
{
	char proc[32];

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, proc, AT_FDCWD, path, AT_SYMLINK_FOLLOW) ? -errno : 0;
}

static int save_failed(const char *path, int rc)
{
	say("--snapshot %s: %s%s", path, strerror(-rc),
	    rc == -EEXIST    ? ": remove it first, or take another name" :
	    rc == -EOPNOTSUPP ? ": that filesystem knows no files without a name; take another place" :
				"");
	return 1;
}

int snapshot_save(const struct memory *m, const char *path)
{
	uint64_t head[3 + 2 * CORE_MAP_MAX], unreadable = 0;
	struct snapshot s = { .m = m };
	char text[SIZE_TEXT];
	int fd, rc;

	if (!access(path, F_OK))
		return save_failed(path, -EEXIST);
	layout(&s, m);
	fd = save_open(path, s.bytes);
	if (fd < 0)
		return save_failed(path, fd);
	s.fd = fd;
	head_fill(m, head);
	rc = write_all(fd, head, (3 + 2 * m->range_count) * WORD, 0);
	if (!rc)
		rc = memory_each(m, "snapshot", save_visit, &s, &unreadable);
	if (!rc && unreadable) {
		say("%s cannot be read: gvm stat tells of errors", size_text(unreadable, text));
		rc = -EIO;
	}
	if (!rc)
		rc = save_name(fd, path);
	close(fd);
	return rc ? save_failed(path, rc) : 0;
}

/* ---- diff */

static void run_print(struct snapshot *s)
{
	char text[SIZE_TEXT];

	if (s->run_end == s->run_gpa)
		return;
	printf("0x%012" PRIx64 "-0x%012" PRIx64 "  %s\n", s->run_gpa, s->run_end, size_text(s->run_end - s->run_gpa, text));
}

static void page_changed(struct snapshot *s, uint64_t gpa, size_t bytes)
{
	s->changed++;
	if (gpa != s->run_end || s->run_end == s->run_gpa) {
		run_print(s);
		s->run_gpa = gpa;
	}
	s->run_end = gpa + bytes;
}

/* Pages between two visits were passed over: holes, which are zero now. */
static void zeros_compare(struct snapshot *s, uint64_t from, uint64_t to)
{
	for (uint64_t n = from; n < to; n++) {
		uint64_t at = n;
		unsigned i = 0;

		if (!s->hashes[n])
			continue;
		while (at >= range_pages(&s->m->ranges[i]))
			at -= range_pages(&s->m->ranges[i++]);
		page_changed(s, s->m->ranges[i].gpa + at * PAGE, PAGE);
	}
}

struct diffing {
	struct snapshot *s;
	uint64_t next; /* page */
};

static int diff_visit(void *arg, uint64_t gpa, const uint8_t *data, size_t bytes)
{
	struct diffing *d = arg;
	uint64_t n = page_number(d->s->m, gpa);

	zeros_compare(d->s, d->next, n);
	for (size_t at = 0; at < bytes; at += PAGE, n++) {
		size_t here = bytes - at < PAGE ? bytes - at : PAGE;

		if (d->s->hashes[n] != page_hash(data + at, here))
			page_changed(d->s, gpa + at, here);
	}
	d->next = n;
	return 0;
}

static bool is_of_this_memory(const struct snapshot *s)
{
	uint64_t head[3 + 2 * CORE_MAP_MAX];

	head_fill(s->m, head);
	return !memcmp(s->file, head, (3 + 2 * s->m->range_count) * WORD);
}

static int diff_run(struct snapshot *s, uint64_t *unreadable)
{
	struct diffing d = { .s = s };
	int rc = memory_each(s->m, "diff", diff_visit, &d, unreadable);

	if (rc)
		return rc;
	zeros_compare(s, d.next, s->pages);
	run_print(s);
	return 0;
}

int snapshot_diff(const struct memory *m, const char *path)
{
	struct snapshot s = { .m = m };
	uint64_t unreadable = 0;
	char text[SIZE_TEXT];
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;

	if (fd < 0 || fstat(fd, &st)) {
		say("--diff %s: %s%s", path, strerror(errno), errno == ENOENT ? ": --snapshot makes it" : "");
		if (fd >= 0)
			close(fd);
		return 1;
	}
	layout(&s, m);
	s.file = (uint64_t)st.st_size == s.bytes ? mmap(NULL, s.bytes, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
	close(fd);
	if (s.file == MAP_FAILED || !is_of_this_memory(&s)) {
		if (s.file != MAP_FAILED)
			munmap(s.file, s.bytes);
		say("--diff %s: no snapshot of a guest with this memory: --snapshot makes one", path);
		return 1;
	}
	s.hashes = s.file + 3 + 2 * m->range_count;
	rc = diff_run(&s, &unreadable);
	munmap(s.file, s.bytes);
	if (rc) {
		say("the comparison failed: %s", strerror(-rc));
		return 1;
	}
	printf("%" PRIu64 " of %" PRIu64 " pages changed (%.1f %%)\n", s.changed, s.pages,
	       s.pages ? 100.0 * (double)s.changed / (double)s.pages : 0);
	if (unreadable)
		say("%s could not be read, and count as zeros: gvm stat tells of errors", size_text(unreadable, text));
	return 0;
}
