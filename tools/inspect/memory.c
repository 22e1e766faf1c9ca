// SPDX-License-Identifier: GPL-2.0-or-later
#include "memory.h"

#include "note.h"
#include "progress.h"
#include "say.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096u

/* 0, a negative errno, or -ENODATA at the file's end. */
static int read_all(int fd, void *buf, size_t bytes, uint64_t off)
{
	while (bytes) {
		ssize_t n = pread(fd, buf, bytes, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -ENODATA;
		buf = (char *)buf + n;
		bytes -= (size_t)n;
		off += (uint64_t)n;
	}
	return 0;
}

/* The view is tried first: the region may itself hold bytes that look like an ELF file. */
static int view_open(const char *path)
{
	char view[PATH_MAX];
	int n = snprintf(view, sizeof(view), "%s.core", path);

	return n < (int)sizeof(view) ? open(view, O_RDONLY | O_CLOEXEC) : -1;
}

static int say_no_core(const char *path)
{
	struct stat st;

	if (!stat(path, &st) && S_ISREG(st.st_mode) && !st.st_size)
		say("%s has no size yet: there is no guest in it", path);
	else
		say("%s is neither a region of a gvmfs mount nor an ELF core of a guest: gvm region list shows the regions",
		    path);
	return -EINVAL;
}

int memory_open(struct memory *m, const char *path)
{
	uint8_t head[CORE_MAP_HEAD];
	struct stat st;
	ssize_t n;

	memset(m, 0, sizeof(*m));
	m->fd = view_open(path);
	if (m->fd < 0)
		m->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (m->fd < 0 || fstat(m->fd, &st)) {
		int rc = -errno;

		say("%s: %s", path, strerror(-rc));
		memory_close(m);
		return rc;
	}
	m->file_bytes = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	n = pread(m->fd, head, sizeof(head), 0);
	if (n < 0 || core_map_parse(&m->map, head, (size_t)n, m->file_bytes)) {
		memory_close(m);
		return say_no_core(path);
	}
	m->range_count = core_map_ranges(&m->map, m->ranges);
	for (unsigned i = 0; i < m->range_count; i++)
		m->bytes += m->ranges[i].bytes;
	return 0;
}

void memory_close(struct memory *m)
{
	if (m->fd >= 0)
		close(m->fd);
	m->fd = -1;
}

int memory_read(const struct memory *m, uint64_t gpa, void *buf, size_t bytes)
{
	while (bytes) {
		uint64_t off, here;
		int rc;

		if (!core_map_gpa(&m->map, gpa, &off, &here))
			return -EFAULT;
		if (here > bytes)
			here = bytes;
		rc = read_all(m->fd, buf, here, off);
		if (rc)
			return rc;
		buf = (char *)buf + here;
		gpa += here;
		bytes -= here;
	}
	return 0;
}

/* ---- all of it */

struct visiting {
	const struct memory *m;
	memory_visit *visit;
	void *arg;
	uint64_t *unreadable;
	uint8_t *buf;
};

/* A page that is lost must not hide its neighbours. */
static int visit_pages(const struct visiting *v, uint64_t gpa, uint64_t off, size_t bytes)
{
	int rc = 0;

	for (size_t at = 0; at < bytes && !rc; at += PAGE) {
		size_t n = bytes - at < PAGE ? bytes - at : PAGE;

		if (read_all(v->m->fd, v->buf, n, off + at))
			*v->unreadable += n;
		else
			rc = v->visit(v->arg, gpa + at, v->buf, n);
	}
	return rc;
}

/* The next content from `off` on; `end` if there is none. A file that does not say has some everywhere. */
static uint64_t data_next(int fd, uint64_t off, uint64_t end)
{
	off_t at = lseek(fd, (off_t)off, SEEK_DATA);

	if (at < 0)
		return errno == ENXIO ? end : off;
	return (uint64_t)at < end ? (uint64_t)at : end;
}

static int visit_range(const struct visiting *v, const struct core_map_part *range, struct progress *p)
{
	uint64_t off = range->off, end = range->off + range->bytes;
	int rc = 0;

	while (off < end && !rc) {
		uint64_t data = data_next(v->m->fd, off, end);
		size_t n;

		data -= (data - range->off) % PAGE;
		if (data > off) {
			progress_add(p, data - off);
			off = data;
			continue;
		}
		n = end - off < MEMORY_VISIT_BYTES ? end - off : MEMORY_VISIT_BYTES;
		if (read_all(v->m->fd, v->buf, n, off))
			rc = visit_pages(v, range->gpa + (off - range->off), off, n);
		else
			rc = v->visit(v->arg, range->gpa + (off - range->off), v->buf, n);
		off += n;
		progress_add(p, n);
	}
	return rc;
}

int memory_each(const struct memory *m, const char *doing, memory_visit *visit, void *arg, uint64_t *unreadable)
{
	struct visiting v = { .m = m, .visit = visit, .arg = arg, .unreadable = unreadable };
	struct progress p;
	int rc = 0;

	*unreadable = 0;
	v.buf = malloc(MEMORY_VISIT_BYTES);
	if (!v.buf)
		return -ENOMEM;
	progress_begin(&p, doing, m->bytes);
	for (unsigned i = 0; i < m->range_count && !rc; i++)
		rc = visit_range(&v, &m->ranges[i], &p);
	progress_end(&p);
	free(v.buf);
	return rc;
}

/* ---- virtual addresses */

static int entry_read(void *arg, uint64_t gpa, uint64_t *entry)
{
	return memory_read(arg, gpa, entry, sizeof(*entry));
}

static int say_no_kernel(uint64_t va, char err[MEMORY_ERR])
{
	snprintf(err, MEMORY_ERR,
		 "0x%" PRIx64 ": nothing is known of this address: give --cr3 or --qmp, or run gvm inspect kernel first", va);
	return -ENOENT;
}

int memory_translate(const struct memory_virtual *v, uint64_t va, uint64_t *gpa, uint64_t *bytes, char err[MEMORY_ERR])
{
	struct page_table pt = { .cr3 = v->cr3, .levels = v->levels, .read = entry_read, .arg = (void *)(uintptr_t)v->m };
	struct page_table_found found;
	int rc;

	if (!v->cr3)
		return core_map_va(&v->m->map, va, gpa, bytes) ? 0 : say_no_kernel(va, err);
	rc = page_table_walk(&pt, va, &found);
	if (rc == -EINVAL)
		snprintf(err, MEMORY_ERR, "0x%" PRIx64 " is no address where page tables have %u levels", va, v->levels);
	else if (rc == -ENOENT)
		snprintf(err, MEMORY_ERR, "0x%" PRIx64 " is not mapped: its entry of level %u, at guest physical 0x%" PRIx64
			 ", is 0x%" PRIx64, va, found.level, found.entry_gpa, found.entry);
	else if (rc)
		snprintf(err, MEMORY_ERR, "0x%" PRIx64 ": the page table's entry at guest physical 0x%" PRIx64
			 " cannot be read (%s): is this the guest's CR3?", va, found.entry_gpa, strerror(-rc));
	*gpa = found.gpa;
	*bytes = found.bytes;
	return rc;
}

char *memory_vmcoreinfo(const struct memory *m)
{
	uint64_t n = m->map.note_bytes;
	char *text = NULL;
	uint8_t *note;

	if (!n || n > NOTE_BYTES_MAX)
		return NULL;
	note = malloc(n);
	if (note && !read_all(m->fd, note, n, m->map.note_off))
		text = note_vmcoreinfo(note, n);
	free(note);
	return text;
}

bool memory_kernel_tables(const struct memory *m, struct memory_virtual *v)
{
	char *text = memory_vmcoreinfo(m);
	uint64_t va, gpa, bytes, five = 0;
	bool known;

	*v = (struct memory_virtual){ .m = m, .levels = 4 };
	if (!text)
		return false;
	known = note_value(text, "SYMBOL(swapper_pg_dir)", 16, &va) && core_map_va(&m->map, va, &gpa, &bytes);
	if (known && note_value(text, "NUMBER(pgtable_l5_enabled)", 10, &five) && five)
		v->levels = 5;
	if (known)
		v->cr3 = gpa;
	free(text);
	return known;
}
