// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel.h"

#include "gvmfs/state/core.h"
#include "note.h"
#include "progress.h"
#include "say.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOT	    (2ull << 20) /* the kernel begins at a multiple of this */
#define DIRECT_MAP  0xffff888000000000ull /* where it is not moved, with page tables of 4 levels */
#define BANNER	    "Linux version "

/* ---- symbols */

static uint64_t *symbol_named(struct kernel_symbols *s, const char *name)
{
	const struct {
		const char *name;
		uint64_t *value;
	} known[] = {
		{ "_text", &s->text },
		{ "linux_banner", &s->linux_banner },
		{ "phys_base", &s->phys_base },
		{ "page_offset_base", &s->page_offset_base },
		{ "vmcoreinfo_note", &s->vmcoreinfo_note },
	};

	for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcmp(name, known[i].name))
			return known[i].value;
	return NULL;
}

static void symbols_scan(struct kernel_symbols *s, FILE *f)
{
	char *line = NULL, name[64], kind;
	uint64_t value, *symbol;
	size_t room = 0;

	while (getline(&line, &room, f) >= 0) {
		if (sscanf(line, "%" SCNx64 " %c %63s", &value, &kind, name) != 3)
			continue;
		symbol = symbol_named(s, name);
		if (symbol && !*symbol) /* modules come last */
			*symbol = value;
	}
	free(line);
}

int kernel_symbols_read(struct kernel_symbols *s, const char *path)
{
	FILE *f = fopen(path, "re");

	memset(s, 0, sizeof(*s));
	if (!f) {
		int rc = -errno;

		say("--map %s: %s", path, strerror(-rc));
		return rc;
	}
	symbols_scan(s, f);
	fclose(f);
	if (s->text && s->linux_banner && s->phys_base)
		return 0;
	say("--map %s: it does not name _text, linux_banner and phys_base. Debian has the guest's System.map in the "
	    "package linux-image-VERSION-dbg; in the guest, as root, /proc/kallsyms has them", path);
	return -EINVAL;
}

/* ---- where it is */

/* A variable of the kernel whose first byte is at gpa. */
static int variable_read(const struct memory *m, const struct kernel_symbols *s, uint64_t gpa, uint64_t symbol,
			 uint64_t *value)
{
	return memory_read(m, gpa + (symbol - s->text), value, sizeof(*value));
}

/* Whether the kernel is at gpa: the banner is there, and phys_base says so, too. */
static bool is_here(const struct memory *m, const struct kernel_symbols *s, uint64_t gpa, struct kernel_found *k)
{
	char begin[sizeof(BANNER) - 1];

	if (memory_read(m, gpa + (s->linux_banner - s->text), begin, sizeof(begin)) ||
	    memcmp(begin, BANNER, sizeof(begin)) != 0 || variable_read(m, s, gpa, s->phys_base, &k->phys_base))
		return false;
	k->gpa = gpa;
	k->va = CORE_KERNEL_BASE + (gpa - k->phys_base);
	return k->va >= CORE_KERNEL_BASE && k->va < CORE_KERNEL_BASE + CORE_KERNEL_SPAN && (k->va - s->text) % SLOT == 0;
}

static void banner_read(const struct memory *m, const struct kernel_symbols *s, struct kernel_found *k)
{
	memset(k->banner, 0, sizeof(k->banner));
	if (memory_read(m, k->gpa + (s->linux_banner - s->text), k->banner, sizeof(k->banner) - 1))
		*k->banner = 0;
	k->banner[strcspn(k->banner, "\n")] = 0;
}

/* Reads the note at k->note_gpa, of k->note_bytes. It has the offset of KASLR, whichever symbols there are: those of the
 * guest itself are moved already. */
static void note_read(const struct memory *m, struct kernel_found *k)
{
	uint8_t *note = malloc(k->note_bytes);
	char *text = NULL;
	uint64_t offset;

	if (note && !memory_read(m, k->note_gpa, note, k->note_bytes))
		text = note_vmcoreinfo(note, k->note_bytes);
	if (text)
		k->note = note;
	else
		free(note);
	if (text && note_value(text, "KERNELOFFSET", 16, &offset))
		k->kaslr = offset;
	free(text);
}

static void note_find(const struct memory *m, const struct kernel_symbols *s, struct kernel_found *k)
{
	uint8_t head[NOTE_HEAD_BYTES];
	uint64_t va;

	if (!s->vmcoreinfo_note || variable_read(m, s, k->gpa, s->vmcoreinfo_note, &va) || va < k->direct_map ||
	    memory_read(m, va - k->direct_map, head, sizeof(head)))
		return;
	k->note_gpa = va - k->direct_map;
	k->note_bytes = note_bytes(head);
	if (k->note_bytes)
		note_read(m, k);
}

static void rest_find(const struct memory *m, const struct kernel_symbols *s, struct kernel_found *k)
{
	k->kaslr = k->va - s->text;
	if (!s->page_offset_base || variable_read(m, s, k->gpa, s->page_offset_base, &k->direct_map))
		k->direct_map = DIRECT_MAP;
	banner_read(m, s, k);
	note_find(m, s, k);
}

int kernel_find(const struct memory *m, const struct kernel_symbols *s, struct kernel_found *k)
{
	bool found = false;
	struct progress p;

	memset(k, 0, sizeof(*k));
	progress_begin(&p, "the kernel", m->bytes);
	for (unsigned i = 0; i < m->range_count && !found; i++) {
		const struct core_map_part *r = &m->ranges[i];

		for (uint64_t at = 0; at < r->bytes && !found; at += SLOT) {
			found = is_here(m, s, r->gpa + at, k);
			progress_add(&p, SLOT);
		}
	}
	progress_end(&p);
	if (!found)
		return -ENOENT;
	rest_find(m, s, k);
	return 0;
}
