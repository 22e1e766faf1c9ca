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
	CHECK(strstr(gvm_key_error(-EPERM), "mode is 0666"));
}

static void a_credential_is_a_key(void)
{
	static const struct {
		mode_t mode;
		int result;
	} files[] = {{0400, 0}, {0440, 0}, {0444, -EPERM}, {0460, -EPERM}, {0450, -EPERM}};
	char folder[] = "/tmp/gvm-creds-XXXXXX", file[64], outside[] = "/tmp/gvm-key-XXXXXX", link[64];
	uint8_t *key;
	size_t n;
	int fd;

	CHECK(mkdtemp(folder));
	snprintf(file, sizeof(file), "%s/key", folder);
	snprintf(link, sizeof(link), "%s/link", folder);
	fd = open(file, O_RDWR | O_CREAT | O_EXCL, 0600);
	CHECK_EQ(write(fd, "0123456789abcdef", 16), 16);
	CHECK(!chmod(file, 0440));
	unsetenv("CREDENTIALS_DIRECTORY");
	CHECK_EQ(gvm_key_load(file, &key, &n), -EPERM);
	CHECK(!setenv("CREDENTIALS_DIRECTORY", folder, 1));
	for (unsigned i = 0; i < sizeof(files) / sizeof(*files); i++) {
		CHECK(!fchmod(fd, files[i].mode));
		CHECK_EQ(gvm_key_load(file, &key, &n), files[i].result);
		if (!files[i].result)
			free(key);
	}
	close(fd);
	/* A name in there for a file elsewhere does not count. */
	fd = mkstemp(outside);
	CHECK_EQ(write(fd, "0123456789abcdef", 16), 16);
	CHECK(!fchmod(fd, 0440));
	CHECK(!symlink(outside, link));
	CHECK_EQ(gvm_key_load(link, &key, &n), -EPERM);
	CHECK_EQ(gvm_key_load(outside, &key, &n), -EPERM);
	close(fd);
	unlink(outside);
	unlink(link);
	unlink(file);
	rmdir(folder);
	unsetenv("CREDENTIALS_DIRECTORY");
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
	{"a-credential-is-a-key", a_credential_is_a_key},
	{"what-is-no-file-is-refused", what_is_no_file_is_refused},
};
CHECK_MAIN(tests)
