// SPDX-License-Identifier: GPL-2.0-or-later
#include "note.h"

#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char name[] = "VMCOREINFO";

size_t note_bytes(const uint8_t head[NOTE_HEAD_BYTES])
{
	Elf64_Nhdr nh;

	_Static_assert(NOTE_HEAD_BYTES == sizeof(nh) + (sizeof(name) + 3) / 4 * 4, "header and padded name");
	memcpy(&nh, head, sizeof(nh));
	if (nh.n_namesz != sizeof(name) || memcmp(head + sizeof(nh), name, sizeof(name)) != 0 || !nh.n_descsz ||
	    nh.n_descsz > NOTE_BYTES_MAX - NOTE_HEAD_BYTES)
		return 0;
	return NOTE_HEAD_BYTES + ((size_t)nh.n_descsz + 3) / 4 * 4;
}

char *note_vmcoreinfo(const uint8_t *note, size_t bytes)
{
	size_t n = bytes >= NOTE_HEAD_BYTES ? note_bytes(note) : 0;

	if (!n || n > bytes)
		return NULL;
	return strndup((const char *)note + NOTE_HEAD_BYTES, n - NOTE_HEAD_BYTES);
}

bool note_value(const char *text, const char *wanted, int base, uint64_t *value)
{
	size_t n = strlen(wanted);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		char *end;

		line += *line == '\n';
		if (strncmp(line, wanted, n) != 0 || line[n] != '=')
			continue;
		errno = 0;
		*value = strtoull(line + n + 1, &end, base);
		return !errno && end != line + n + 1 && (*end == '\n' || !*end);
	}
	return false;
}
