// SPDX-License-Identifier: GPL-2.0-or-later
/* gvm node - a memory node's own figures, as lines of `name value`. */
#include "gvm.h"

#include "memnode/gvm_client.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEADLINE_NS (5ull * 1000 * 1000 * 1000)

static const char help_text[] = "usage: gvm node [OPTION ...] ADDRESS[:PORT] ...\n"
				"\n"
				"Asks memory nodes for their statistics: lines of `name value`.\n"
				"\n"
				"  --key FILE  the secret shared with the nodes\n"
				"  --help      show this text\n";

struct asked {
	struct gvm_call call;
	struct gvm_node_stat_rsp stat;
};

/* The answer's fields are valid in here only. */
static void answered(struct gvm_req *req)
{
	struct asked *a = req->arg;

	if (!req->result)
		a->stat = a->call.rsp.node_stat;
}

static int node_ask(const char *addr, const struct gvm_conn_opts *opts,
		    struct gvm_node_stat_rsp *stat)
{
	struct asked a = {.call.req = {.done = answered}};
	struct gvm_conn *conn;
	int rc = gvm_conn_create(addr, opts, &conn);

	if (rc)
		return rc;
	a.call.req.arg = &a;
	a.call.req.deadline_ns = gvm_now_ns() + DEADLINE_NS;
	gvm_node_stat(conn, &a.call);
	rc = gvm_conn_wait(conn, &a.call.req);
	*stat = a.stat;
	gvm_conn_destroy(conn);
	return rc;
}

static const char *why(int rc)
{
	switch (rc) {
	case -EINVAL:
		return "not an ADDRESS:PORT";
	case -ETIMEDOUT:
		return "no answer within 5 s";
	case -EACCES:
		return "the node refuses the key (--key)";
	case -EPROTONOSUPPORT:
		return "the node speaks another version of the protocol";
	default:
		return strerror(-rc);
	}
}

static void stat_print(const struct gvm_node_stat_rsp *s)
{
#define FIELD(type, name) printf(#name " %llu\n", (unsigned long long)s->name);
	GVM_MSG_NODE_STAT_RSP(FIELD)
#undef FIELD
}

int cmd_node(int argc, char **argv)
{
	static const struct option longs[] = {{"key", required_argument, NULL, 'k'},
					      {"help", no_argument, NULL, 'h'},
					      {NULL, 0, NULL, 0}};
	struct gvm_conn_opts opts = {0};
	uint8_t *key = NULL;
	int status = 0, c, rc;

	optind = 1;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'k':
			rc = gvm_key_load(optarg, &key, &opts.key_bytes);
			if (rc) {
				say("--key %s: %s", optarg, gvm_key_error(rc));
				return 1;
			}
			opts.key = key;
			break;
		case 'h':
			fputs(help_text, stdout);
			free(key);
			return 0;
		default:
			free(key);
			return EXIT_USAGE;
		}
	}
	if (optind == argc) {
		fputs(help_text, stderr);
		free(key);
		return EXIT_USAGE;
	}
	for (bool several = argc - optind > 1; optind < argc; optind++) {
		struct gvm_node_stat_rsp stat;

		rc = node_ask(argv[optind], &opts, &stat);
		if (rc) {
			say("%s: %s", argv[optind], why(rc));
			status = 1;
			continue;
		}
		if (several)
			printf("node %s\n", argv[optind]);
		stat_print(&stat);
	}
	free(key);
	return status;
}
