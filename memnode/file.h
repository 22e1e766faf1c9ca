/* SPDX-License-Identifier: GPL-2.0-or-later */
/* file.h - files read and written whole, and the lines of those of /proc, of a cgroup and of statistics. */
#ifndef GVM_FILE_H
#define GVM_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* All of these bytes: 0 or a negative errno; -EIO if the file ends before. */
int file_pread(int fd, void *to, size_t bytes, uint64_t at);
int file_pwrite(int fd, const void *from, size_t bytes, uint64_t at);

/* Up to the file's end, or until there is no room: the number of bytes, or a negative errno. */
ssize_t file_read(int fd, void *to, size_t room);
/* The same by path, for a text, which is zero-terminated in any case: 0 or a negative errno. */
int file_text(const char *path, char *text, size_t room);

/* What stands behind `name` in the line that begins with it, blanks and tabs skipped. NULL: there is no such line. */
const char *text_field(const char *text, const char *name);
/* The number there; 0 if there is none. "MemTotal:", or "resident_bytes" of lines "name value". */
uint64_t text_number(const char *text, const char *name);

#endif
