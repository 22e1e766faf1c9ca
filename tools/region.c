// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gvm region - looks after regions, which are files of a mount. `local` shows or changes how much of one the fast path may have
 * on this host, while its guest runs or before. (Under FUSE the budget is a memory cgroup's: gvm
 * run's, or whatever QEMU is in.)
 */
#include "fsstats.h"
#include "gvm.h"
#include "gvmfs/gvm_mount.h"
#include "json_out.h"
#include "memnode/size.h"
#include "mounts.h"
#include "region_auto.h"
#include "region_file.h"
#include "region_list.h"
#include "region_settle.h"
#include "say.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

static const char help_text[] =
	"usage: gvm region list [--json] [FOLDER]\n"
	"       gvm region create [--replicas N] [--seal|--no-seal] REGION SIZE\n"
	"       gvm region resize [--force] REGION SIZE\n"
	"       gvm region delete [--force] REGION\n"
	"       gvm region local REGION [SIZE|PERCENT%|all]\n"
	"       gvm region local --auto[=MIN..MAX] REGION|FOLDER\n"
	"       gvm region take [--force] REGION\n"
	"       gvm region settle [--force] REGION\n"
	"\n"
	"list, create, resize, delete: a region is a file in a gvmfs mount. FOLDER is a\n"
	"mount, or one below it; the default is the only mount that there is.\n"
	"\n"
	"local: shows, or sets, how much of a region may be on this host when it is\n"
	"mapped through the fast path; also while the guest runs.\n"
	"\n"
	"take: ends the claim of another host that has the region for writing, at once,\n"
	"without waiting for its lease. A guest that runs there loses its memory.\n"
	"\n"
	"settle: fetches all of a region on the fast path, whatever its budget, and has\n"
	"its guest go on without gvmfs and nodes. A signal (Ctrl-C) takes it back.\n"
	"\n"
	"  --auto     until it is ended, the budget of this region, or of all on the\n"
	"             fast path below a folder, follows what its guest needs and what\n"
	"             this host has, from MIN to MAX (default: from 16M to all of it)\n"
	"  --force    take a region with replicas also if no node that is there is known\n"
	"             to have what was written last; resize one also if it gets smaller;\n"
	"             delete one also if a guest or another program uses it; settle one\n"
	"             also if this host may not have the memory for it\n"
	"  --json     the list for programs\n"
	"  --replicas N\n"
	"             keep N copies of it, each on another node (1 to 3; default: as\n"
	"             gvmfs --replicas says)\n"
	"  --seal, --no-seal\n"
	"             nodes cannot, or can, read and change it (default: as gvmfs says)\n"
	"  SIZE       bytes, or with a suffix as in QEMU's -m (512M, 2G)\n"
	"  PERCENT%   of the region's size\n"
	"  all        no limit\n"
	"  --help     show this text\n";

#define AUTO_MIN (16 * MIB)

struct limits {
	uint64_t min_bytes, max_bytes;
};

static int limits_parse(const char *text, struct limits *l)
{
	int rc = strstr(text, "..") ? size_parse_limits(text, &l->min_bytes, &l->max_bytes) : -EINVAL;

	return !rc && l->min_bytes < AUTO_MIN ? -ERANGE : rc;
}

static int local_show(const char *path)
{
	static char text[FSSTATS_TEXT];
	char local[SIZE_TEXT], here[SIZE_TEXT];
	char value[32] = "";
	int rc = fsstats_read(path, text);

	if (rc)
		return rc;
	if (getxattr(path, GVM_XATTR_LOCAL, value, sizeof(value) - 1) < 0)
		snprintf(local, sizeof(local), "all");
	else
		size_text(strtoull(value, NULL, 10), local);
	printf("%s: %s may be here", path, local);
	if (fsstats_get(text, "fast"))
		printf(", %s is",
		       size_text(fsstats_get(text, "resident_bytes"), here));
	printf("\n");
	return 0;
}

/* 0, or -EOPNOTSUPP: any filesystem takes an attribute, and a mount's root has one that bounds nothing. */
static int region_check(const char *path)
{
	static char text[FSSTATS_TEXT];
	struct stat st;

	if (stat(path, &st))
		return -errno;
	return S_ISREG(st.st_mode) ? fsstats_read(path, text) : -EOPNOTSUPP;
}

/* "25%" of the region, or a size: 0, or a negative errno. */
static int local_parse(const char *path, const char *text, uint64_t *bytes)
{
	struct stat st;
	char *end;
	double percent = strtod(text, &end);

	if (end == text || strcmp(end, "%") != 0)
		return size_parse_option(text, bytes);
	if (stat(path, &st))
		return -errno;
	if (!(percent > 0) || percent > 100)
		return -EINVAL;
	*bytes = (uint64_t)((double)st.st_size * percent / 100);
	return 0;
}

static int local_set(const char *path, const char *text)
{
	char value[32];
	uint64_t bytes;
	int rc;

	if (!strcmp(text, "all"))
		return removexattr(path, GVM_XATTR_LOCAL) ? -errno : 0;
	rc = local_parse(path, text, &bytes);
	if (rc == -EINVAL || rc == -ERANGE || (!rc && !bytes)) {
		say("'%s' is neither a size nor a percentage nor 'all'", text);
		exit(EXIT_USAGE);
	}
	if (rc)
		return rc;
	snprintf(value, sizeof(value), "%llu", (unsigned long long)bytes);
	return setxattr(path, GVM_XATTR_LOCAL, value, strlen(value), 0) ? -errno : 0;
}

/* A folder of a mount, or a region. */
static int local_follow(const char *path, const struct limits *l)
{
	static char text[FSSTATS_TEXT];
	int rc = fsstats_read(path, text);

	return rc ? rc : region_auto(path, l->min_bytes, l->max_bytes);
}

static int list_show(const char *folder, bool json)
{
	char path[PATH_MAX], err[MOUNTS_ERR_TEXT];
	struct region_row *rows;
	unsigned count;
	int rc;

	if (!folder) {
		if (mounts_find(NULL, path, err)) {
			say("%s", err);
			return 1;
		}
		folder = path;
	}
	rc = region_rows_get(folder, &rows, &count);
	if (rc) {
		say("%s: %s", folder, fsstats_error(rc));
		return 1;
	}
	if (json)
		json_show(region_rows_json(rows, count));
	else
		region_rows_print(rows, count);
	region_rows_free(rows, count);
	return 0;
}

/* What is done to regions as files: the exit status, or -1: it is another subcommand, or a wrong command line. */
static int files_run(int argc, char **argv, bool force, bool json, const struct region_make *how)
{
	if (argc == 3 && !force && !json && !strcmp(argv[0], "create"))
		return region_file_create(argv[1], argv[2], how);
	if (how->replicas || how->seal)
		return -1;
	if (argc >= 1 && argc <= 2 && !force && !strcmp(argv[0], "list"))
		return list_show(argc == 2 ? argv[1] : NULL, json);
	if (json)
		return -1;
	if (argc == 3 && !strcmp(argv[0], "resize"))
		return region_file_resize(argv[1], argv[2], force);
	if (argc == 2 && !strcmp(argv[0], "settle"))
		return region_settle(argv[1], force);
	if (argc == 2 && !strcmp(argv[0], "delete"))
		return region_file_delete(argv[1], force);
	return -1;
}

int cmd_region(int argc, char **argv)
{
	static const struct option longs[] = {
		{"auto", optional_argument, NULL, 'a'}, {"force", no_argument, NULL, 'f'},
		{"json", no_argument, NULL, 'j'}, {"replicas", required_argument, NULL, 'r'},
		{"seal", no_argument, NULL, 's'}, {"no-seal", no_argument, NULL, 'n'},
		{"help", no_argument, NULL, 'h'}, {NULL, 0, NULL, 0}};
	struct region_make how = {.replicas = NULL};
	struct limits limits = {.min_bytes = AUTO_MIN, .max_bytes = INT64_MAX};
	bool take, force = false, follow = false, json = false;
	int c, rc;

	optind = 1;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (c == 'f') {
			force = true;
			continue;
		}
		if (c == 'j') {
			json = true;
			continue;
		}
		if (c == 'r') {
			how.replicas = optarg;
			continue;
		}
		if (c == 's' || c == 'n') {
			how.seal = c == 's' ? "1" : "0";
			continue;
		}
		if (c == 'a') {
			follow = true;
			if (!optarg || !limits_parse(optarg, &limits))
				continue;
			say("--auto=%s: not two limits, the smaller one first, of at least 16M (1G..8G)", optarg);
			return EXIT_USAGE;
		}
		if (c != 'h')
			return EXIT_USAGE;
		fputs(help_text, stdout);
		return 0;
	}
	argc -= optind;
	argv += optind;
	rc = follow ? -1 : files_run(argc, argv, force, json, &how);
	if (rc >= 0)
		return rc;
	take = argc == 2 && !strcmp(argv[0], "take");
	if (json || how.replicas || how.seal || (take && follow) || (follow && argc != 2) ||
	    (!take && (force || argc < 2 || argc > 3 || strcmp(argv[0], "local")))) {
		fputs(help_text, stderr);
		return EXIT_USAGE;
	}
	rc = follow ? local_follow(argv[1], &limits) : region_check(argv[1]);
	if (!rc && take)
		rc = setxattr(argv[1], GVM_XATTR_TAKE, force ? "2" : "1", 1, 0) ? -errno : 0;
	else if (!rc && !follow)
		rc = argc == 3 ? local_set(argv[1], argv[2]) : local_show(argv[1]);
	if (!rc)
		return 0;
	if (take && rc == -EBUSY) {
		say("%s is open for writing on this very host: close it there", argv[1]);
		return 1;
	}
	if (take && rc == -EIO) {
		say("%s is not taken, and its writer goes on: a node that may have what was written last does not answer, or "
		    "has lost it; the mount's log says more%s", argv[1], force ? "" : ". --force takes it all the same");
		return 1;
	}
	say("%s: %s", argv[1],
	    rc == -ENODATA || rc == -EOPNOTSUPP ? FSSTATS_NO_REGION : fsstats_error(rc));
	return 1;
}
