// SPDX-License-Identifier: GPL-2.0-or-later
/* gvm node - a memory node's own figures, as lines of `name value`; its regions, and what they are. */
#include "gvm.h"
#include "json_out.h"
#include "memnode/gvm_client.h"
#include "memnode/size.h"
#include "node_add.h"
#include "node_figures.h"
#include "node_list.h"
#include "node_regions.h"
#include "say.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STUCK_NS    (60ull * 1000 * 1000 * 1000)

static const char help_text[] = "usage: gvm node [OPTION ...] ADDRESS[:PORT] ...\n"
				"       gvm node drain|undrain [OPTION ...] ADDRESS[:PORT] ...\n"
				"       gvm node add [--conf FILE] MOUNT [ADDRESS[:PORT] ...]\n"
				"       gvm node list [--json] [MOUNT]\n"
				"\n"
				"Asks memory nodes for their statistics: lines of `name value`.\n"
				"\n"
				"drain: has the mounts move what the nodes hold to others, waits until they\n"
				"are empty, and shows how far that is. They get nothing new, until undrain.\n"
				"\n"
				"add: a mount that runs uses more nodes from then on.\n"
				"\n"
				"list: the nodes of a mount (of the only one), and which of them answer.\n"
				"\n"
				"  --conf FILE  add those of FILE that have the role mem\n"
				"  --json       the list, or what the nodes say, for programs\n"
				"  --key FILE   the secret shared with the nodes\n"
				"  --tls        speak to them over TLS, by that secret\n"
				"  --regions    show each region that a node holds, and what it is\n"
				"  --remove ID  remove the region whose id begins with ID, which has no\n"
				"               file and no writer\n"
				"  --help       show this text\n";

enum deed { STAT, TELL, DRAIN, UNDRAIN, ADD, LIST };

/* How far a drain was when that was said last. */
struct drained {
	uint64_t regions, held_bytes;
	uint64_t fewest, fewer_ns; /* so few regions were there, since when */
};

static void drain_answered(struct gvm_req *req)
{
	if (!req->result)
		*(bool *)req->arg = ((struct gvm_call *)req)->rsp.node_drain.drains;
}

/* GVM_DRAIN_*. */
static int node_drain_call(struct gvm_conn *conn, uint8_t drain, bool *drains)
{
	struct gvm_node_drain_req what = {.drain = drain};
	struct gvm_call call = {
		.req = {.done = drain_answered, .arg = drains, .deadline_ns = gvm_now_ns() + NODE_DEADLINE_NS}};

	gvm_node_drain(conn, &call, &what);
	return gvm_conn_wait(conn, &call.req);
}

/* Prints the node's figures, or adds them to `o`. */
static int node_stat_show(struct gvm_conn *conn, struct json_object *o)
{
	struct gvm_node_stat_rsp stat;
	struct gvm_node_rot_rsp rot;
	char *lines;
	bool knows;
	int rc = node_stat_ask(conn, &stat);

	if (!rc)
		rc = node_rot_ask(conn, &rot, &knows);
	if (rc)
		return rc;
	lines = node_figures_lines(&stat, knows ? &rot : NULL);
	if (!lines)
		return -ENOMEM;
	if (o)
		json_member(o, "counters", json_lines(lines));
	else
		fputs(lines, stdout);
	free(lines);
	return 0;
}

/* Says what is left, when it has changed; and what it is, when nothing has for long. */
static int drain_say(struct gvm_conn *conn, const char *addr, const struct gvm_node_stat_rsp *stat, struct drained *d)
{
	char held[SIZE_TEXT];
	uint64_t now_ns = gvm_now_ns();

	if (stat->regions != d->regions || stat->held_bytes != d->held_bytes) {
		printf("%s: %llu regions, %s held\n", addr, (unsigned long long)stat->regions,
		       size_text(stat->held_bytes, held));
		d->regions = stat->regions;
		d->held_bytes = stat->held_bytes;
	}
	if (stat->regions < d->fewest) {
		d->fewest = stat->regions;
		d->fewer_ns = now_ns;
	}
	if (!stat->regions || now_ns - d->fewer_ns < STUCK_NS)
		return 0;
	d->fewer_ns = now_ns;
	printf("%s: a region leaves as a whole, and none has for a minute. What is in use is moved by the mount that has it open for "
	       "writing, if other nodes have room: gvm stat FILE there says how much is left to copy. What has no writer stays. Here "
	       "are yet:\n", addr);
	return node_regions_print(conn);
}

static int node_drain(struct gvm_conn *conn, const char *addr)
{
	struct drained d = {.regions = UINT64_MAX, .fewest = UINT64_MAX};
	struct gvm_node_stat_rsp stat = {0};
	struct gvm_id node;
	bool drains;
	int rc = node_drain_call(conn, GVM_DRAIN_BEGIN, &drains);

	node = *gvm_conn_incarnation(conn);
	while (!rc) {
		rc = node_drain_call(conn, GVM_DRAIN_ASK, &drains);
		if (!rc)
			rc = node_stat_ask(conn, &stat);
		if (!rc && !gvm_id_equal(&node, gvm_conn_incarnation(conn))) {
			say("%s was started anew: what it had was not moved, and is LOST there", addr);
			return -EOWNERDEAD;
		}
		if (!rc && !drains) { /* it was started anew with what it had, or somebody has called it off */
			say("%s is not to be drained any more", addr);
			return -ECANCELED;
		}
		if (!rc)
			rc = drain_say(conn, addr, &stat, &d);
		if (rc || !stat.regions)
			break;
		fflush(stdout);
		nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
	}
	if (!rc)
		printf("%s: empty. It gets nothing until gvm node undrain, or its end. Mounts count it among those of which a majority "
		       "has to answer for changes of names, until it is in their lists no more\n", addr);
	return rc;
}

/* Does at one node what the command line says; what it shows it prints, or adds to `o`. */
static int node_ask(const char *addr, const struct gvm_conn_opts *opts, enum deed deed, bool regions,
		    const char *remove_id, struct json_object *o, bool *said)
{
	struct gvm_conn *conn;
	int rc = gvm_conn_create(addr, opts, &conn);

	*said = false;
	if (rc)
		return rc;
	if (deed != STAT) {
		bool drains;

		rc = deed == DRAIN ? node_drain(conn, addr) :
				     node_drain_call(conn, deed == TELL ? GVM_DRAIN_BEGIN : GVM_DRAIN_END, &drains);
		*said = rc == -EOWNERDEAD || rc == -ECANCELED;
	} else if (remove_id) {
		rc = node_region_remove(conn, remove_id);
		*said = rc == -EBUSY || rc == -EINVAL;
	} else if (o && regions) {
		json_member(o, "regions", json_object_new_array());
		rc = node_regions_json(conn, json_object_object_get(o, "regions"));
	} else {
		rc = regions ? node_regions_print(conn) : node_stat_show(conn, o);
	}
	gvm_conn_destroy(conn);
	return rc;
}

int cmd_node(int argc, char **argv)
{
	static const struct option longs[] = {{"key", required_argument, NULL, 'k'},
					      {"conf", required_argument, NULL, 'c'},
					      {"tls", no_argument, NULL, 't'},
					      {"regions", no_argument, NULL, 'r'},
					      {"remove", required_argument, NULL, 'd'},
					      {"json", no_argument, NULL, 'j'},
					      {"help", no_argument, NULL, 'h'},
					      {NULL, 0, NULL, 0}};
	static struct node_reason reason;
	struct gvm_conn_opts opts = {.on_state = node_reason_note, .arg = &reason};
	const char *remove_id = NULL, *conf = NULL;
	enum deed deed = STAT;
	struct json_object *list = NULL;
	uint8_t *key = NULL;
	bool regions = false, json = false, removed = false;
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
		case 'c':
			conf = optarg;
			break;
		case 't':
			opts.tls = true;
			break;
		case 'r':
			regions = true;
			break;
		case 'j':
			json = true;
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
	if (optind < argc && !strcmp(argv[optind], "drain"))
		deed = DRAIN;
	else if (optind < argc && !strcmp(argv[optind], "undrain"))
		deed = UNDRAIN;
	else if (optind < argc && !strcmp(argv[optind], "add"))
		deed = ADD;
	else if (optind < argc && !strcmp(argv[optind], "list"))
		deed = LIST;
	optind += deed != STAT;
	if (deed == LIST && !key && !conf && !regions && !remove_id && argc - optind <= 1)
		return node_list(argv[optind], json);
	if ((json && (deed != STAT || remove_id)) || deed == LIST || optind >= argc ||
	    (deed != STAT && (regions || remove_id)) ||
	    (deed == ADD ? key || optind + !conf >= argc : conf != NULL)) {
		fputs(help_text, stderr);
		free(key);
		return EXIT_USAGE;
	}
	if (deed == ADD)
		return node_add(argv[optind], conf, argv + optind + 1, argc - optind - 1);
	/* What leaves one is not to go to the next. */
	for (int i = optind; deed == DRAIN && i < argc; i++) {
		bool said;

		node_ask(argv[i], &opts, TELL, false, NULL, NULL, &said);
	}
	if (json)
		list = json_object_new_array();
	for (bool several = argc - optind > 1; optind < argc; optind++) {
		struct json_object *o = NULL;
		bool said;

		if (list) {
			o = json_object_new_object();
			json_text(o, "address", argv[optind]);
			json_object_array_add(list, o);
		}
		reason.text[0] = 0;
		if (several && !remove_id && deed == STAT && !list)
			printf("node %s\n", argv[optind]);
		rc = node_ask(argv[optind], &opts, deed, regions, remove_id, o, &said);
		if (rc == NODE_REGION_NONE) {
			printf("%s: has no region %s\n", argv[optind], remove_id);
			continue;
		}
		removed |= remove_id && !rc;
		status |= rc != 0;
		if (rc && !said)
			say("%s: %s", argv[optind], node_reason_text(rc, &reason));
		if (rc && o)
			json_text(o, "error", node_reason_text(rc, &reason));
	}
	if (list)
		json_show(list);
	free(key);
	if (remove_id && !removed && !status) {
		say("--remove %s: no region's id begins so: gvm node --regions lists them", remove_id);
		return 1;
	}
	return status;
}
