// SPDX-License-Identifier: GPL-2.0-or-later
/* cluster_parse.c - a list of nodes is read exactly as written, or refused with its line. */
#include "check.h"
#include "gvm_client.h"

#include <errno.h>

static struct gvm_cluster_node *nodes;
static unsigned count;
static char err[128];

/* From a copy of exactly the text's size, so that a sanitizer sees a read beyond it. */
static int parse_bytes(const char *text, size_t bytes)
{
	char *copy = malloc(bytes ? bytes : 1);
	int ret;

	free(nodes);
	nodes = NULL;
	memcpy(copy, text, bytes);
	ret = gvm_cluster_parse(copy, bytes, &nodes, &count, err);
	free(copy);
	return ret;
}

static void refused(const char *text, const char *why)
{
	CHECK_EQ(parse_bytes(text, strlen(text)), -EINVAL);
	if (strcmp(err, why))
		fprintf(stderr, "said: %s\n", err);
	CHECK(!strcmp(err, why));
}

static void every_node_is_read_in_order(void)
{
	static const char text[] = "# a comment\n"
				   "\n"
				   "  7\t10.0.0.1:9999   cpu,mem # here\r\n"
				   "0 [fd00::1]:1 mem\n"
				   "1 node-1.example.org:99 mem\n"
				   "10239 10.0.0.2 cpu";

	CHECK_EQ(parse_bytes(text, strlen(text)), 0);
	CHECK_EQ(count, 4);
	CHECK_EQ(nodes[0].id, 7);
	CHECK(!strcmp(nodes[0].addr, "10.0.0.1:9999") && nodes[0].cpu && nodes[0].mem);
	CHECK_EQ(nodes[1].id, 0);
	CHECK(!strcmp(nodes[1].addr, "[fd00::1]:1") && !nodes[1].cpu && nodes[1].mem);
	CHECK(!strcmp(nodes[2].addr, "node-1.example.org:99"));
	CHECK_EQ(nodes[3].id, 10239);
	CHECK(!strcmp(nodes[3].addr, "10.0.0.2") && nodes[3].cpu && !nodes[3].mem);
	CHECK(!err[0]);
}

static void a_rack_is_read_where_there_is_one(void)
{
	static const char text[] = "0 10.0.0.1 mem a\n1 10.0.0.2 cpu,mem\t0123456789abcdef0123456789abcde # here\n2 10.0.0.3 mem\n";

	CHECK_EQ(parse_bytes(text, strlen(text)), 0);
	CHECK_EQ(count, 3);
	CHECK(!strcmp(nodes[0].rack, "a"));
	CHECK(!strcmp(nodes[1].rack, "0123456789abcdef0123456789abcde"));
	CHECK(!strcmp(nodes[2].rack, ""));
}

static void settings_hold_for_all_nodes(void)
{
	static const char *const yes[] = {"0 n mem\ntls = yes\n1 m mem", "tls=yes # or not\n0 n mem\n1 m mem",
					  " tls\t= yes\r\n0 n mem\n1 m mem"};

	for (unsigned i = 0; i < 3; i++) {
		CHECK_EQ(parse_bytes(yes[i], strlen(yes[i])), 0);
		CHECK(count == 2 && nodes[0].tls && nodes[1].tls);
	}
	CHECK_EQ(parse_bytes("tls = no\n0 n mem", 16), 0);
	CHECK(count == 1 && !nodes[0].tls);
	refused("0 n mem\ntls = maybe", "line 2: tls is 'yes' or 'no', not 'maybe'");
	refused("0 n mem\ntls =", "line 2: tls is 'yes' or 'no', not ''");
	refused("0 n mem\ntls = yes please", "line 2: nothing may follow the value, but there is 'please'");
	refused("0 n mem\nssl = yes", "line 2: there is no setting 'ssl'");
	refused("0 n mem\n= yes", "line 2: there is no setting '='");
	refused("0 n mem\ntls = yes\ntls = no", "line 3: a second setting 'tls'");
	refused("tls = yes", "no node is named");
}

static void what_is_not_a_node_is_refused_with_its_line(void)
{
	refused("", "no node is named");
	refused("# none\n", "no node is named");
	refused("1 10.0.0.1:1 mem\n10240 10.0.0.2:1 mem\n",
		"line 2: a node id is a number from 0 to 10239, not '10240'");
	refused("-1 10.0.0.1:1 mem", "line 1: a node id is a number from 0 to 10239, not '-1'");
	refused("\n\n1\n", "line 3: a node is 'id address:port roles', or that and its rack");
	refused("1 10.0.0.1:1\n", "line 1: a node is 'id address:port roles', or that and its rack");
	refused("1 10.0.0.1:1 mem a b\n", "line 1: nothing may follow the rack, but there is 'b'");
	refused("1 10.0.0.1:1 mem 0123456789abcdef0123456789abcdef\n",
		"line 1: a rack's name has at most 31 bytes, not '0123456789abcdef0123456789abcdef'");
	refused("1 node_1..x:1 mem", "line 1: not an address:port: 'node_1..x:1'");
	refused("1 10.0.0.256:1 mem", "line 1: not an address:port: '10.0.0.256:1'");
	refused("1 10.0.0.1:0 mem", "line 1: not an address:port: '10.0.0.1:0'");
	refused("1 10.0.0.1:65536 mem", "line 1: not an address:port: '10.0.0.1:65536'");
	refused("1 10.0.0.1: mem", "line 1: not an address:port: '10.0.0.1:'");
	refused("1 fd00::1:1 mem", "line 1: not an address:port: 'fd00::1:1'");
	refused("1 [fd00::1 mem", "line 1: not an address:port: '[fd00::1'");
	refused("1 10.0.0.1:1 mem,", "line 1: roles are 'cpu', 'mem' or 'cpu,mem', not 'mem,'");
	refused("1 10.0.0.1:1 gpu", "line 1: roles are 'cpu', 'mem' or 'cpu,mem', not 'gpu'");
	refused("1 10.0.0.1:1 mem,mem", "line 1: roles are 'cpu', 'mem' or 'cpu,mem', not 'mem,mem'");
	CHECK_EQ(parse_bytes("1 10.0.0.1:1 mem\0", 17), -EINVAL);
	CHECK(!strcmp(err, "line 1: a zero byte"));
}

static void a_node_stands_there_once(void)
{
	refused("1 10.0.0.1:1 mem\n1 10.0.0.2:1 mem\n", "line 2: line 1 has the same node id '1'");
	/* The same port said and unsaid. */
	refused("1 10.0.0.1 mem\n3 10.0.0.3 mem\n2 10.0.0.1:9999 mem\n",
		"line 3: node 1 of line 1 has the same address");
	refused("1 [fd00::1]:5 mem\n2 [fd00:0::1]:5 cpu\n",
		"line 2: node 1 of line 1 has the same address");
	refused("1 10.0.0.1:5 mem\n2 [::ffff:10.0.0.1]:5 cpu\n",
		"line 2: node 1 of line 1 has the same address");
	refused("1 Node1.example.org mem\n2 node1.EXAMPLE.org:9999 cpu\n",
		"line 2: node 1 of line 1 has the same address");
}

static void any_size_up_to_all_ids_is_read(void)
{
	char *text = malloc(10240 * 40), *p = text;

	for (unsigned i = 0; i < 10240; i++)
		p += sprintf(p, "%u 10.0.%u.%u mem\n", 10239 - i, i >> 8, i & 255);
	CHECK_EQ(parse_bytes(text, (size_t)(p - text)), 0);
	CHECK_EQ(count, 10240);
	CHECK_EQ(nodes[10239].id, 0);
	CHECK(!strcmp(nodes[10239].addr, "10.0.39.255"));
	free(text);
}

static void any_bytes_are_survived(void)
{
	static const char start[] = "1 10.0.0.1:77 mem\n2 [fd00::2%lo]:9 cpu,mem # x\n";

	for (unsigned round = 0; round < 20000; round++) {
		char text[sizeof(start)];
		size_t bytes = 1 + check_random_below(sizeof(start) - 1);

		memcpy(text, start, sizeof(start));
		for (unsigned n = check_random_below(4); n; n--)
			text[check_random_below((unsigned)bytes)] =
				" \t\n\r#,:[]%.0129memcpu\xff"[check_random_below(22)];
		err[0] = 0;
		CHECK((parse_bytes(text, bytes) == 0) == !err[0]);
	}
}

static void a_file_is_read_and_a_missing_one_named(void)
{
	char path[] = "/tmp/gvm-cluster-XXXXXX";
	FILE *f = fdopen(mkstemp(path), "w");

	fputs("5 127.0.0.1:99 cpu\n", f);
	fclose(f);
	CHECK_EQ(gvm_cluster_load(path, &nodes, &count, err), 0);
	CHECK_EQ(count, 1);
	CHECK_EQ(nodes[0].id, 5);
	free(nodes);
	nodes = NULL;
	remove(path);
	CHECK_EQ(gvm_cluster_load(path, &nodes, &count, err), -ENOENT);
	CHECK(!strcmp(err, "No such file or directory"));
}

static const struct check_test tests[] = {
	{"every-node-is-read-in-order", every_node_is_read_in_order},
	{"a-rack-is-read-where-there-is-one", a_rack_is_read_where_there_is_one},
	{"settings-hold-for-all-nodes", settings_hold_for_all_nodes},
	{"what-is-not-a-node-is-refused-with-its-line", what_is_not_a_node_is_refused_with_its_line},
	{"a-node-stands-there-once", a_node_stands_there_once},
	{"any-size-up-to-all-ids-is-read", any_size_up_to_all_ids_is_read},
	{"any-bytes-are-survived", any_bytes_are_survived},
	{"a-file-is-read-and-a-missing-one-named", a_file_is_read_and_a_missing_one_named},
};
CHECK_MAIN(tests)
