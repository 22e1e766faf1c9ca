// SPDX-License-Identifier: GPL-2.0-or-later
/* run_mounts.c - which gvmfs mount is meant. */
#include "tools/mounts.h"
#include "check.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/gvm-mounts.XXXXXX", list[PATH_MAX], path[PATH_MAX], err[MOUNTS_ERR_TEXT];

static void mounts(const char *text)
{
	FILE *f = fopen(list, "w");

	CHECK(f);
	fputs(text, f);
	CHECK_EQ(fclose(f), 0);
}

static void the_only_mount_is_found(void)
{
	mounts("/dev/sda / ext4 rw 0 0\ngvmfs /mnt/a fuse.gvmfs rw 0 0\nx /mnt/b fuse.other rw 0 "
	       "0\n");
	CHECK_EQ(mounts_find_in(list, NULL, path, err), 0);
	CHECK_EQ(strcmp(path, "/mnt/a"), 0);
	/* mounted twice in one place, it still is one place */
	mounts("gvmfs /mnt/a fuse.gvmfs rw 0 0\ngvmfs /mnt/a fuse.gvmfs rw 0 0\n");
	CHECK_EQ(mounts_find_in(list, NULL, path, err), 0);
	mounts("gvmfs /mnt/with\\040blank\\134 fuse.gvmfs rw 0 0\n");
	CHECK_EQ(mounts_find_in(list, NULL, path, err), 0);
	CHECK_EQ(strcmp(path, "/mnt/with blank\\"), 0);
}

static void none_or_several_are_refused(void)
{
	mounts("/dev/sda / ext4 rw 0 0\n");
	CHECK_EQ(mounts_find_in(list, NULL, path, err), -ENODEV);
	CHECK(strstr(err, "not mounted"));
	mounts("gvmfs /mnt/a fuse.gvmfs rw 0 0\ngvmfs /mnt/b fuse.gvmfs rw 0 0\n");
	CHECK_EQ(mounts_find_in(list, NULL, path, err), -ENOTUNIQ);
	CHECK(strstr(err, "--mount"));
}

static void folder_belongs_to_the_deepest_mount(void)
{
	char in[PATH_MAX], text[3 * PATH_MAX];

	snprintf(in, sizeof(in), "%s/sub", dir);
	mkdir(in, 0700);
	snprintf(text, sizeof(text), "gvmfs %s fuse.gvmfs rw 0 0\n", dir);
	mounts(text);
	CHECK_EQ(mounts_find_in(list, in, path, err), 0);
	CHECK_EQ(strcmp(path, in), 0);
	CHECK_EQ(mounts_find_in(list, "/tmp", path, err), -ENODEV);
	CHECK_EQ(mounts_find_in(list, "/nowhere/at/all", path, err), -ENOENT);
	/* something else over it */
	snprintf(text, sizeof(text), "gvmfs %s fuse.gvmfs rw 0 0\ntmpfs %s tmpfs rw 0 0\n", dir,
		 in);
	mounts(text);
	CHECK_EQ(mounts_find_in(list, in, path, err), -ENODEV);
	/* a name that only begins alike */
	snprintf(text, sizeof(text), "gvmfs %.20s fuse.gvmfs rw 0 0\n", dir);
	mounts(text);
	CHECK_EQ(mounts_find_in(list, in, path, err), -ENODEV);
	rmdir(in);
}

static const struct check_test tests[] = {
	{"the-only-mount-is-found", the_only_mount_is_found},
	{"none-or-several-are-refused", none_or_several_are_refused},
	{"folder-belongs-to-the-deepest-mount", folder_belongs_to_the_deepest_mount},
};

int main(int argc, char **argv)
{
	int rc;

	CHECK(mkdtemp(dir));
	snprintf(list, sizeof(list), "%s/mounts", dir);
	rc = check_run(argc, argv, tests, sizeof(tests) / sizeof(*tests));
	unlink(list);
	rmdir(dir);
	return rc;
}
