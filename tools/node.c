// SPDX-License-Identifier: GPL-2.0-or-later
/* gvm node - a memory node's own figures, as lines of `name value`; its regions, and what they are. */
#include "gvm.h"
#include "memnode/gvm_client.h"
#include "node_regions.h"
#include "say.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEADLINE_NS (5ull * 1000 * 1000 * 1000)
#define REASON_TEXT 160

static const char help_text[] = "usage: gvm node [OPTION ...] ADDRESS[:PORT] ...\n"
				"\n"
				"Asks memory nodes for their statistics: lines of `name value`.\n"
				"\n"
				"  --key FILE   the secret shared with the nodes\n"
				"  --tls        speak to them over TLS, by that secret\n"
				"  --regions    show each region that a node holds, and what it is\n"
				"  --remove ID  remove the region whose id begins with ID, which has no\n"
				"               file and no writer\n"
				"  --help       show this text\n";

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

static void stat_print(const struct gvm_node_stat_rsp *s)
{
#define FIELD(type, name) printf(#name " %llu\n", (unsigned long long)s->name);
	GVM_MSG_NODE_STAT_RSP(FIELD)
#undef FIELD
}

static int node_stat(struct gvm_conn *conn)
{
	struct asked a = {.call.req = {.done = answered}};
	int rc;

	a.call.req.arg = &a;
	a.call.req.deadline_ns = gvm_now_ns() + DEADLINE_NS;
	gvm_node_stat(conn, &a.call);
	rc = gvm_conn_wait(conn, &a.call.req);
	if (!rc)
		stat_print(&a.stat);
	return rc;
}

/* Shows, or does, at one node what the command line says. */
static int node_ask(const char *addr, const struct gvm_conn_opts *opts, bool regions,
		    const char *remove_id, bool *said)
{
	struct gvm_conn *conn;
	int rc = gvm_conn_create(addr, opts, &conn);

	*said = false;
	if (rc)
		return rc;
	if (remove_id) {
		rc = node_region_remove(conn, remove_id);
		*said = rc == -EBUSY || rc == -EINVAL;
	} else {
		rc = regions ? node_regions_print(conn) : node_stat(conn);
	}
	gvm_conn_destroy(conn);
	return rc;
}

/* What stood in the way of a connection last. */
static void state_note(struct gvm_conn *conn, enum gvm_conn_state state, bool renewed, const char *why,
		       void *arg)
{
	char *reason = arg;

	(void)conn;
	(void)renewed;
	snprintf(reason, REASON_TEXT, "%s", state == GVM_CONN_UP ? "" : why);
}

static const char *why(int rc, const char *reason)
{
	static char text[REASON_TEXT + 32];

	switch (rc) {
	case -EINVAL:
		return "not an ADDRESS:PORT";
	case -ETIMEDOUT:
		snprintf(text, sizeof(text), "no answer within 5 s%s%s", *reason ? ": " : "", reason);
		return text;
	case -EACCES:
		snprintf(text, sizeof(text), "%s%s", *reason ? reason : "the node refused the key",
			 strstr(reason, "--tls") ? "" : " (--key)");
		return text;
	case -EPROTONOSUPPORT:
		return "the node speaks another version of the protocol";
	default:
		return strerror(-rc);
	}
}

int cmd_node(int argc, char **argv)
{
	static const struct option longs[] = {{"key", required_argument, NULL, 'k'},
					      {"tls", no_argument, NULL, 't'},
					      {"regions", no_argument, NULL, 'r'},
					      {"remove", required_argument, NULL, 'd'},
					      {"help", no_argument, NULL, 'h'},
					      {NULL, 0, NULL, 0}};
	static char reason[REASON_TEXT];
	struct gvm_conn_opts opts = {.on_state = state_note, .arg = reason};
	const char *remove_id = NULL;
	uint8_t *key = NULL;
	bool regions = false;
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
		case 't':
			opts.tls = true;
			break;
		case 'r':
			regions = true;
			break;
		case 'd':
			remove_id = optarg;
			if (strlen(optarg) < 8 || strspn(optarg, "0123456789abcdef") != strlen(optarg)) {
				say("--remove %s: not a region's id, nor at least its first 8 digits: gvm node --regions lists them",
				    optarg);
				free(key);
				return EXIT_USAGE;
			}
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
	if (opts.tls && !key) {
		say("--tls needs --key FILE");
		return EXIT_USAGE;
	}
	if (optind == argc) {
		fputs(help_text, stderr);
		free(key);
		return EXIT_USAGE;
	}
	for (bool several = argc - optind > 1; optind < argc; optind++) {
		bool said;

		reason[0] = 0;
		if (several && !remove_id)
			printf("node %s\n", argv[optind]);
		rc = node_ask(argv[optind], &opts, regions, remove_id, &said);
		status |= rc != 0;
		if (rc && !said)
			say("%s: %s", argv[optind], why(rc, reason));
	}
	free(key);
	return status;
}
