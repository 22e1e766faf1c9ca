// SPDX-License-Identifier: GPL-2.0-or-later
/* keyfile_load.c - a key is the file's bytes, and was never readable by others. */
#include "check.h"
#include "gvm_client.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[] = "/tmp/gvm-key-XXXXXX";

static int load(const char *text, size_t bytes, mode_t mode, uint8_t **key, size_t *key_bytes)
{
	int fd, ret;

	strcpy(path + strlen(path) - 6, "XXXXXX");
	fd = mkstemp(path);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, text, bytes), bytes);
	CHECK_EQ(fchmod(fd, mode), 0);
	close(fd);
	ret = gvm_key_load(path, key, key_bytes);
	unlink(path);
	return ret;
}

static void the_key_is_the_files_bytes_less_a_newline(void)
{
	char big[4200];
	size_t n;
	uint8_t *key;

	CHECK_EQ(load("0123456789abcdef\n", 17, 0600, &key, &n), 0);
	CHECK_EQ(n, 16);
	CHECK_MEM(key, "0123456789abcdef", 16);
	free(key);
	CHECK_EQ(load("0123456789abcde\n\n", 17, 0400, &key, &n), 0);
	CHECK_EQ(n, 16);
	CHECK_MEM(key, "0123456789abcde\n", 16);
	free(key);
	memset(big, 'k', sizeof(big));
	CHECK_EQ(load(big, 4096, 0600, &key, &n), 0);
	CHECK_EQ(n, 4096);
	free(key);
	big[4096] = '\n';
	CHECK_EQ(load(big, 4097, 0600, &key, &n), 0);
	CHECK_EQ(n, 4096);
	free(key);
}

static void too_short_or_too_long_is_no_key(void)
{
	char big[4200];
	size_t n;
	uint8_t *key;

	memset(big, 'k', sizeof(big));
	CHECK_EQ(load("0123456789abcde\n", 16, 0600, &key, &n), -EINVAL);
	CHECK_EQ(load("", 0, 0600, &key, &n), -EINVAL);
	CHECK_EQ(load(big, 4097, 0600, &key, &n), -EINVAL);
	CHECK_EQ(load(big, 4200, 0600, &key, &n), -EINVAL);
}

static void a_key_that_others_may_see_is_refused(void)
{
	static const mode_t modes[] = {0640, 0604, 0620, 0602, 0644, 0666};
	size_t n;
	uint8_t *key;

	for (unsigned i = 0; i < sizeof(modes) / sizeof(*modes); i++)
		CHECK_EQ(load("0123456789abcdef", 16, modes[i], &key, &n), -EPERM);
}

static void what_is_no_file_is_refused(void)
{
	size_t n;
	uint8_t *key;

	CHECK_EQ(gvm_key_load("/tmp", &key, &n), -EINVAL);
	CHECK_EQ(gvm_key_load("/dev/zero", &key, &n), -EINVAL);
	CHECK_EQ(gvm_key_load("/nonexistent/key", &key, &n), -ENOENT);
}

static const struct check_test tests[] = {
	{"the-key-is-the-files-bytes-less-a-newline", the_key_is_the_files_bytes_less_a_newline},
	{"too-short-or-too-long-is-no-key", too_short_or_too_long_is_no_key},
	{"a-key-that-others-may-see-is-refused", a_key_that_others_may_see_is_refused},
	{"what-is-no-file-is-refused", what_is_no_file_is_refused},
};
CHECK_MAIN(tests)
