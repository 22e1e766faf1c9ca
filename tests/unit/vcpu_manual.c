// SPDX-License-Identifier: GPL-2.0-or-later
/* vcpu_manual.c - the manual's options: which vCPU runs where, by a list of nodes. */
#include "qemu/vcpu_manual.h"
#include "qemu/vcpu_map.h"
#include "check.h"

#include <errno.h>

static char path[64];

static void list(const char *text)
{
	FILE *f;
	int fd;

	strcpy(path, "/tmp/gvm-vcpu-manual.XXXXXX");
	fd = mkstemp(path);
	CHECK(fd >= 0);
	f = fdopen(fd, "w");
	CHECK(f && fputs(text, f) >= 0 && !fclose(f));
}

static int object(const char *text, const char *id, const char *roles, unsigned cpus, char **made, char *error)
{
	struct vcpu_manual m = {.id = id, .conf = path, .roles = roles};
	int rc;

	list(text);
	rc = vcpu_manual_object(&m, cpus, made, error);
	unlink(path);
	return rc;
}

static void is(const char *text, const char *id, const char *roles, unsigned cpus, const char *want)
{
	char error[VCPU_MANUAL_ERROR_BYTES] = "", why[VCPU_MAP_ERROR_BYTES], *made = NULL, *map;
	struct vcpu_map parsed;
	int rc = object(text, id, roles, cpus, &made, error);

	if (rc || strcmp(made, want))
		fprintf(stderr, "%d '%s', '%s', expected '%s'\n", rc, error, made ? made : "", want);
	CHECK_EQ(rc, 0);
	CHECK(!strcmp(made, want));
	/* QEMU reads it so */
	map = strstr(made, "cpus=") + 5;
	*strchr(map, ',') = 0;
	CHECK_EQ(vcpu_map_parse(map, &parsed, why), 0);
	CHECK_EQ(parsed.cpus, cpus);
	free(made);
}

static void refused(const char *text, const char *id, const char *roles, unsigned cpus, int want, const char *because)
{
	char error[VCPU_MANUAL_ERROR_BYTES] = "", *made;
	int rc = object(text, id, roles, cpus, &made, error);

	if (rc != want || !strstr(error, because))
		fprintf(stderr, "%d '%s', expected '%s'\n", rc, error, because);
	CHECK_EQ(rc, want);
	CHECK(strstr(error, because));
}

#define THREE "0 10.0.0.1:9999 cpu,mem\n1 10.0.0.2 cpu\n2 10.0.0.3:9999 mem\n"

static void nodes_share_the_vcpus(void)
{
	is(THREE, "0", NULL, 8, "dsm-vcpus,id=giantvm,node=0,cpus=0-3@0;4-7@1,hosts=10.0.0.1:9998;10.0.0.2:9998,key=giantvm-key");
	is(THREE, "1", "cpu", 3, "dsm-vcpus,id=giantvm,node=1,cpus=0-1@0;2-2@1,hosts=10.0.0.1:9998;10.0.0.2:9998,key=giantvm-key");
	is(THREE, "0", "mem,cpu", 2, "dsm-vcpus,id=giantvm,node=0,cpus=0-0@0;1-1@1,hosts=10.0.0.1:9998;10.0.0.2:9998,key=giantvm-key");
	is("9 [fd00::9]:700 cpu\n7 b:7 mem\n3 host3 cpu\n5 10.0.0.5:8000 cpu # more\n", "9", NULL, 4,
	   "dsm-vcpus,id=giantvm,node=2,cpus=0-1@0;2-2@1;3-3@2,hosts=host3:9998;10.0.0.5:7999;[fd00::9]:699,key=giantvm-key");
}

static void what_does_not_fit_is_refused(void)
{
	struct vcpu_manual no_conf = {.id = "0"}, no_id = {.conf = "/x"}, missing = {.id = "0", .conf = "/no/such/file"};
	char error[VCPU_MANUAL_ERROR_BYTES], *made;

	refused(THREE, "2", NULL, 8, -EINVAL, "lends memory alone");
	refused(THREE, "3", NULL, 8, -ENOENT, "no such node");
	refused(THREE, "x", NULL, 8, -EINVAL, "not a number");
	refused(THREE, "1x", NULL, 8, -EINVAL, "not a number");
	refused(THREE, "0", "cpu", 8, -EINVAL, "other roles");
	refused(THREE, "1", "disk", 8, -EINVAL, "other roles");
	refused(THREE, "0", NULL, 1, -EINVAL, "at least as many vCPUs");
	refused(THREE, "0", NULL, 256, -EINVAL, "at most 255");
	refused("0 10.0.0.1 cpu\n", "0", NULL, 8, -EINVAL, "no other node with the role cpu");
	refused("0 10.0.0.1:1 cpu\n1 10.0.0.2 cpu\n", "0", NULL, 8, -EINVAL, "no port below");
	refused("0 10.0.0.1 cup\n", "0", NULL, 8, -EINVAL, "line 1: roles are");
	CHECK_EQ(vcpu_manual_object(&no_conf, 2, &made, error), -EINVAL);
	CHECK_EQ(vcpu_manual_object(&no_id, 2, &made, error), -EINVAL);
	CHECK_EQ(vcpu_manual_object(&missing, 2, &made, error), -ENOENT);
	CHECK(strstr(error, "/no/such/file"));
}

static const struct check_test tests[] = {
	{"nodes-share-the-vcpus", nodes_share_the_vcpus},
	{"what-does-not-fit-is-refused", what_does_not_fit_is_refused},
};

CHECK_MAIN(tests)
