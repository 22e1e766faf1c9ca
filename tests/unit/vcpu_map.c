// SPDX-License-Identifier: GPL-2.0-or-later
/* vcpu_map.c - which vCPU runs where: what is taken, and in which words the rest is refused. */
#include "check.h"
#include "vcpu_map.h"

#include <errno.h>

static void taken(const char *text, const char *shortest)
{
	char error[VCPU_MAP_ERROR_BYTES] = "", again[VCPU_MAP_TEXT_BYTES];
	struct vcpu_map map, second;

	if (vcpu_map_parse(text, &map, error))
		fprintf(stderr, "%s: %s\n", text, error);
	CHECK(!*error);
	vcpu_map_text(&map, again);
	CHECK(!strcmp(again, shortest));
	CHECK(!vcpu_map_parse(again, &second, error) && !memcmp(&map, &second, sizeof(map)));
	CHECK_EQ(vcpu_map_digest(&map), vcpu_map_digest(&second));
}

static void maps_have_one_shortest_text(void)
{
	taken("0@0", "0@0");
	taken("0-3@0;4-7@1", "0-3@0;4-7@1");
	taken("4-7@1;0-3@0", "0-3@0;4-7@1");
	taken("0,1,2,3@0;4@1;7,6,5@1", "0-3@0;4-7@1");
	taken("0,2,4-6@0;1,3,7@1", "0,2,4-6@0;1,3,7@1");
	taken("0-254@0", "0-254@0");
}

static void the_longest_text_has_room(void)
{
	char text[VCPU_MAP_TEXT_BYTES * 2] = "", again[VCPU_MAP_TEXT_BYTES];
	char error[VCPU_MAP_ERROR_BYTES];
	struct vcpu_map map;

	for (unsigned i = 0; i < VCPU_CPUS_MAX; i++)
		sprintf(text + strlen(text), "%s%u@%u", i ? ";" : "", i, VCPU_NODES_MAX - 1 - i);
	CHECK(!vcpu_map_parse(text, &map, error));
	CHECK_EQ(map.cpus, 255);
	CHECK_EQ(map.nodes, 255);
	vcpu_map_text(&map, again);
	CHECK(!strncmp(again, "254@0;253@1;", 12));
}

static void refused(const char *text, const char *said)
{
	char error[VCPU_MAP_ERROR_BYTES] = "";
	struct vcpu_map map;

	CHECK_EQ(vcpu_map_parse(text, &map, error), -EINVAL);
	if (strcmp(error, said))
		fprintf(stderr, "%s: %s\n", text, error);
	CHECK(!strcmp(error, said));
}

static void what_is_wrong_is_said(void)
{
	refused("", "a vCPU's number is missing at the end");
	refused("0", "an '@' and a node's number is missing at the end");
	refused("0@", "a node's number is missing at the end");
	refused("0@0;", "a vCPU's number is missing at the end");
	refused("0@0,1@1", "a ';' is missing at character 4, ','");
	refused("0-@0", "a vCPU's number is missing at character 3, '@'");
	refused("0 @0", "an '@' and a node's number is missing at character 2, ' '");
	refused("0\033@0", "an '@' and a node's number is missing at character 2");
	refused("-1@0", "a vCPU's number is missing at character 1, '-'");
	refused("3-0@0", "3-0: the first is the higher one");
	refused("0-3@0;3@1", "vCPU 3 is given twice");
	refused("0,0@0", "vCPU 0 is given twice");
	refused("0-2@0;4@1", "vCPU 3 has no node, and vCPU 4 has one");
	refused("1@0", "vCPU 0 has no node, and vCPU 1 has one");
	refused("0@0;1@2", "node 1 has no vCPU, and node 2 has one");
	refused("0@1", "node 0 has no vCPU, and node 1 has one");
	refused("0-255@0", "there can be no more than 255 vCPUs, 0 to 254");
	refused("99999999999999999999@0", "there can be no more than 255 vCPUs, 0 to 254");
	refused("0@255", "there can be no more than 255 nodes, 0 to 254");
	refused("0@4294967296", "there can be no more than 255 nodes, 0 to 254");
}

static void maps_that_differ_have_other_digests(void)
{
	char error[VCPU_MAP_ERROR_BYTES];
	struct vcpu_map a, b;

	CHECK(!vcpu_map_parse("0-3@0;4-7@1", &a, error) &&
	      !vcpu_map_parse("0-4@0;5-7@1", &b, error));
	CHECK(vcpu_map_digest(&a) != vcpu_map_digest(&b));
	CHECK_EQ(vcpu_map_count(&a, 0), 4);
	CHECK_EQ(vcpu_map_count(&b, 0), 5);
	CHECK(vcpu_map_runs(&b, 0, 4) && !vcpu_map_runs(&a, 0, 4) && !vcpu_map_runs(&a, 0, 8));
}

static const struct check_test tests[] = {
	{"maps-have-one-shortest-text", maps_have_one_shortest_text},
	{"the-longest-text-has-room", the_longest_text_has_room},
	{"what-is-wrong-is-said", what_is_wrong_is_said},
	{"maps-that-differ-have-other-digests", maps_that_differ_have_other_digests},
};

CHECK_MAIN(tests)
