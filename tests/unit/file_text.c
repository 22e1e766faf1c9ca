// SPDX-License-Identifier: GPL-2.0-or-later
/* file_text.c - files are read and written whole, and a line is found by the whole of its name. */
#include "check.h"
#include "memnode/file.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

static const char lines[] = "MemTotal:       16 kB\nSigPnd:\t00f0\nfile 7\nfile_dirty 8\nprefile 9\nfast\t10\nlast 11";

static void a_line_is_found_by_all_of_its_name(void)
{
	CHECK_EQ(text_number(lines, "MemTotal:"), 16);
	CHECK_EQ(text_number(lines, "file"), 7);
	CHECK_EQ(text_number(lines, "file_dirty"), 8);
	CHECK_EQ(text_number(lines, "prefile"), 9);
	CHECK_EQ(text_number(lines, "fast"), 10);
	CHECK_EQ(text_number(lines, "last"), 11);
	CHECK_EQ(text_number(lines, "file_d"), 0);
	CHECK(!text_field(lines, "Total:") && !text_field(lines, "fil") && !text_field("", "a"));
	CHECK(!text_field("last", "last"));
	CHECK(!strncmp(text_field(lines, "SigPnd:"), "00f0\n", 5));
}

static void a_file_is_read_to_its_end_or_the_rooms(void)
{
	int fd = memfd_create("file", MFD_CLOEXEC);
	char path[64], text[8], all[16];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	CHECK_EQ(file_pwrite(fd, "0123456789", 10, 0), 0);
	CHECK_EQ(file_text(path, text, sizeof(text)), 0);
	CHECK(!strcmp(text, "0123456"));
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_EQ(file_read(fd, all, sizeof(all)), 10);
	CHECK_EQ(file_pread(fd, all, 5, 5), 0);
	CHECK_MEM(all, "56789", 5);
	CHECK_EQ(file_pread(fd, all, 5, 6), -EIO);
	CHECK_EQ(file_pread(-1, all, 5, 6), -EBADF);
	close(fd);
	CHECK_EQ(file_text("/nowhere/at/all", text, sizeof(text)), -ENOENT);
	CHECK(!*text);
}

static const struct check_test tests[] = {
	{"a-line-is-found-by-all-of-its-name", a_line_is_found_by_all_of_its_name},
	{"a-file-is-read-to-its-end-or-the-rooms", a_file_is_read_to_its_end_or_the_rooms},
};

CHECK_MAIN(tests)
