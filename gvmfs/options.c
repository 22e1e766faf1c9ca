// SPDX-License-Identifier: GPL-2.0-or-later
/* options.c - the command line of gvmfs. */
#include "options.h"

#include "gvm_client.h"
#include "writer.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage_text[] =
	"Usage: gvmfs [OPTION]... --nodes HOST:PORT[,HOST:PORT]... DIR\n"
	"       gvmfs [OPTION]... --conf FILE DIR\n"
	"Mount the memory of memory nodes on DIR: each file there is a region of memory.\n"
	"\n"
	"      --nodes LIST      memory nodes, as host:port separated by commas\n"
	"      --conf FILE       read the nodes (those with the role mem) from FILE\n"
	"      --key FILE        the secret shared with the nodes\n"
	"      --timeout SECONDS give an error when a node has not answered for so long\n"
	"                        (default: wait, with a message, until it is back)\n"
	"      --allow-other     let other users than the one who mounts use the files\n"
	"      --writers N       threads that encode and send what is written (1 to 8;\n"
	"                        default 2)\n"
	"  -f, --foreground      stay in the foreground, messages on standard error\n"
	"      --bench-no-network  do not send what is written: for measurements only,\n"
	"                        what is written is lost\n"
	"      --help            show this text\n"
	"      --version         show the version\n";

enum { OPT_NODES = 256, OPT_CONF, OPT_KEY, OPT_TIMEOUT, OPT_ALLOW_OTHER, OPT_WRITERS, OPT_NO_NETWORK,
       OPT_HELP, OPT_VERSION };

static const struct option long_options[] = {
	{ "nodes", required_argument, NULL, OPT_NODES },
	{ "conf", required_argument, NULL, OPT_CONF },
	{ "key", required_argument, NULL, OPT_KEY },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "allow-other", no_argument, NULL, OPT_ALLOW_OTHER },
	{ "writers", required_argument, NULL, OPT_WRITERS },
	{ "foreground", no_argument, NULL, 'f' },
	{ "bench-no-network", no_argument, NULL, OPT_NO_NETWORK },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ 0 },
};

static int complain(const char *fmt, const char *what)
{
	fprintf(stderr, "gvmfs: ");
	fprintf(stderr, fmt, what);
	fprintf(stderr, "\nTry 'gvmfs --help'.\n");
	return 2;
}

static int add_node(struct options *opts, const char *addr)
{
	if (opts->node_count == OPTIONS_NODES_MAX)
		return complain("too many nodes (at most 128)%s", "");
	for (unsigned i = 0; i < opts->node_count; i++)
		if (strcmp(opts->nodes[i], addr) == 0)
			return complain("node %s is named twice", addr);
	opts->nodes[opts->node_count++] = addr;
	return 0;
}

static int add_list(struct options *opts, char *list)
{
	int r = 0;

	for (char *addr = strtok(list, ","); addr && !r; addr = strtok(NULL, ","))
		r = add_node(opts, addr);
	return r;
}

static int add_conf(struct options *opts, const char *path)
{
	struct gvm_cluster_node *nodes;
	char err[128] = "";
	unsigned count;
	int r = gvm_cluster_load(path, &nodes, &count, err);

	if (r < 0) {
		fprintf(stderr, "gvmfs: %s: %s\n", path, *err ? err : strerror(-r));
		return 2;
	}
	for (unsigned i = 0; i < count && !r; i++)
		if (nodes[i].mem)
			r = add_node(opts, nodes[i].addr);
	return r; /* the array stays: its addresses are used */
}

static int parse_number(const char *text, unsigned min, unsigned max, unsigned *value)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(text, &end, 10);
	if (errno || *end || end == text || *text == '-' || v < min || v > max)
		return complain("%s is not a number in its range", text);
	*value = (unsigned)v;
	return 0;
}

static int load_key(struct options *opts, const char *path)
{
	int r = gvm_key_load(path, &opts->key, &opts->key_bytes);

	if (r == -EPERM)
		return complain("key file %s: others than its owner can read it", path);
	if (r < 0) {
		fprintf(stderr, "gvmfs: key file %s: %s\n", path, strerror(-r));
		return 2;
	}
	return 0;
}

int options_parse(struct options *opts, int argc, char **argv, bool *quit)
{
	int c, r = 0;

	*opts = (struct options){ .writers = 2 };
	*quit = false;
	while (!r && (c = getopt_long(argc, argv, "f", long_options, NULL)) != -1) {
		switch (c) {
		case OPT_NODES:
			r = add_list(opts, optarg);
			break;
		case OPT_CONF:
			r = add_conf(opts, optarg);
			break;
		case OPT_KEY:
			r = load_key(opts, optarg);
			break;
		case OPT_TIMEOUT:
			r = parse_number(optarg, 1, 86400, &opts->timeout_s);
			break;
		case OPT_ALLOW_OTHER:
			opts->allow_other = true;
			break;
		case OPT_WRITERS:
			r = parse_number(optarg, 1, WRITERS_MAX, &opts->writers);
			break;
		case 'f':
			opts->foreground = true;
			break;
		case OPT_NO_NETWORK:
			opts->bench_no_network = true;
			break;
		case OPT_HELP:
			fputs(usage_text, stdout);
			*quit = true;
			return 0;
		case OPT_VERSION:
			puts("gvmfs " GVM_PROGRAM_VERSION);
			*quit = true;
			return 0;
		default:
			return complain("see above%s", "");
		}
	}
	if (r)
		return r;
	if (optind != argc - 1)
		return complain("one directory to mount on is needed%s", "");
	if (!opts->node_count)
		return complain("no memory nodes: give --nodes or --conf%s", "");
	opts->mountpoint = realpath(argv[optind], NULL);
	if (!opts->mountpoint) {
		fprintf(stderr, "gvmfs: %s: %s\n", argv[optind], strerror(errno));
		return 1;
	}
	return 0;
}
