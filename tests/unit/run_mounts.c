// SPDX-License-Identifier: GPL-2.0-or-later
/* run_mounts.c - which gvmfs mount is meant. */
#include "memnode/mountinfo.h"
#include "tools/mounts.h"
#include "check.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static char dir[] = "/tmp/gvm-mounts.XXXXXX", list[PATH_MAX], path[PATH_MAX], err[MOUNTS_ERR_TEXT];

static void mounts(const char *text)
{
	FILE *f = fopen(list, "w");

	CHECK(f);
	fputs(text, f);
	CHECK_EQ(fclose(f), 0);
}

#define GVMFS(at) "70 25 0:71 / " at " rw,nosuid shared:9 - fuse.gvmfs gvmfs rw,user_id=0\n"
#define ROOT	  "25 1 8:1 / / rw shared:1 - ext4 /dev/sda rw\n"

static void the_only_mount_is_found(void)
{
	mounts(ROOT GVMFS("/mnt/a") "71 25 0:72 / /mnt/b rw - fuse.other x rw\n");
	CHECK_EQ(mounts_find_in(list, NULL, path, err), 0);
	CHECK_EQ(strcmp(path, "/mnt/a"), 0);
	/* mounted twice in one place, it still is one place */
	mounts(GVMFS("/mnt/a") GVMFS("/mnt/a"));
	CHECK_EQ(mounts_find_in(list, NULL, path, err), 0);
	mounts(GVMFS("/mnt/with\\040blank\\134"));
	CHECK_EQ(mounts_find_in(list, NULL, path, err), 0);
	CHECK_EQ(strcmp(path, "/mnt/with blank\\"), 0);
}

static void every_byte_of_a_name_is_read(void)
{
	char line[9000], deep[4000], *at = deep;
	struct mountinfo m;

	/* as the kernel writes " \t\n\\#", and bytes that it leaves alone */
	mounts("36 35 0:57 /\\040r /a\\040b\\011c\\012d\\134e\\043f-\xc3\xa9=,' rw shared:1 master:2 - "
	       "fuse.gvmfs no\\043de rw,x=\\040\n");
	CHECK_EQ(mountinfo_open(&m, list), 0);
	CHECK(mountinfo_next(&m));
	CHECK_EQ(m.id, 36);
	CHECK_EQ(m.dev, makedev(0, 57));
	CHECK_EQ(strcmp(m.root, "/ r"), 0);
	CHECK_EQ(strcmp(m.at, "/a b\tc\nd\\e#f-\xc3\xa9=,'"), 0);
	CHECK_EQ(strcmp(m.type, "fuse.gvmfs"), 0);
	CHECK_EQ(strcmp(m.source, "no#de"), 0);
	CHECK_EQ(strcmp(m.super, "rw,x= "), 0);
	CHECK(!mountinfo_next(&m));
	mountinfo_close(&m);
	/* a name as long as names may be, all of it escaped; and a source that is empty */
	for (unsigned i = 0; i < 900; i++)
		at += sprintf(at, "\\040");
	snprintf(line, sizeof(line), "1 1 7:300 / /%s rw - tmpfs  rw\n", deep);
	mounts(line);
	CHECK_EQ(mountinfo_open(&m, list), 0);
	CHECK(mountinfo_next(&m));
	CHECK_EQ(strlen(m.at), 901);
	CHECK_EQ(m.dev, makedev(7, 300));
	CHECK_EQ(strcmp(m.source, ""), 0);
	CHECK_EQ(strcmp(m.super, "rw"), 0);
	mountinfo_close(&m);
	/* what is no such line is passed over */
	mounts("\nrubbish\n1 2\n1 2 3:4 / /x rw\n" GVMFS("/mnt/a"));
	CHECK_EQ(mounts_find_in(list, NULL, path, err), 0);
	CHECK_EQ(strcmp(path, "/mnt/a"), 0);
	CHECK_EQ(mountinfo_open(&m, "/nowhere"), -ENOENT);
	mountinfo_close(&m);
}

static void none_or_several_are_refused(void)
{
	mounts(ROOT);
	CHECK_EQ(mounts_find_in(list, NULL, path, err), -ENODEV);
	CHECK(strstr(err, "not mounted"));
	mounts(GVMFS("/mnt/a") GVMFS("/mnt/b"));
	CHECK_EQ(mounts_find_in(list, NULL, path, err), -ENOTUNIQ);
	CHECK(strstr(err, "--mount"));
}

static void folder_belongs_to_the_deepest_mount(void)
{
	static const char line[] = "70 25 0:71 / %s rw - fuse.gvmfs gvmfs rw\n",
			  over[] = "71 70 0:72 / %s rw - tmpfs tmpfs rw\n";
	char in[PATH_MAX], text[3 * PATH_MAX];
	int n;

	snprintf(in, sizeof(in), "%s/sub", dir);
	mkdir(in, 0700);
	n = snprintf(text, sizeof(text), line, dir);
	mounts(text);
	CHECK_EQ(mounts_find_in(list, in, path, err), 0);
	CHECK_EQ(strcmp(path, in), 0);
	CHECK_EQ(mounts_find_in(list, "/tmp", path, err), -ENODEV);
	CHECK_EQ(mounts_find_in(list, "/nowhere/at/all", path, err), -ENOENT);
	/* something else over it */
	snprintf(text + n, sizeof(text) - (size_t)n, over, in);
	mounts(text);
	CHECK_EQ(mounts_find_in(list, in, path, err), -ENODEV);
	/* a name that only begins alike */
	snprintf(text, sizeof(text), "70 25 0:71 / %.20s rw - fuse.gvmfs gvmfs rw\n", dir);
	mounts(text);
	CHECK_EQ(mounts_find_in(list, in, path, err), -ENODEV);
	rmdir(in);
}

static const struct check_test tests[] = {
	{"the-only-mount-is-found", the_only_mount_is_found},
	{"every-byte-of-a-name-is-read", every_byte_of_a_name_is_read},
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
