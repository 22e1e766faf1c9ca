/* SPDX-License-Identifier: GPL-2.0-or-later */
/* note.h - Linux's ELF note VMCOREINFO, lines of NAME=VALUE. Pure; the bytes may be anybody's. */
#ifndef TOOLS_INSPECT_NOTE_H
#define TOOLS_INSPECT_NOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NOTE_HEAD_BYTES 24	   /* its header and name */
#define NOTE_BYTES_MAX	(1u << 16) /* Linux gives it a page */

/* The length in bytes of the note that begins with this head; 0: it is not VMCOREINFO. */
size_t note_bytes(const uint8_t head[NOTE_HEAD_BYTES]);
/* The text of the note in these bytes, which the caller frees; NULL: they have no such note. */
char *note_vmcoreinfo(const uint8_t *note, size_t bytes);
/* The value of a line as a number. False: there is no such line, or it is no number. */
bool note_value(const char *text, const char *name, int base, uint64_t *value);

#endif
