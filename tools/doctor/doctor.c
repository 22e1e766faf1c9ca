// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gvm doctor - whether this host, and the way to its nodes, is fit for GVM: what there is, what
 * that means, and the command that mends it. Facts are gathered (probe.c, nodes.c), then judged
 * (judge.c); only --fix changes anything (mend.c).
 */
#include "judge.h"
#include "memnode/gvm_client.h"
#include "mend.h"
#include "nodes.h"
#include "probe.h"
#include "tools/gvm.h"
#include "tools/json_out.h"
#include "tools/say.h"

#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help_text[] =
	"usage: gvm doctor [OPTION ...] [ADDRESS[:PORT] ...]\n"
	"\n"
	"Looks at what GVM needs of this host and of the memory nodes given: what there\n"
	"is, what that means, and the command that mends it. The status is 1 if\n"
	"something is missing without which GVM does not work.\n"
	"\n"
	"  --fix       do what is safe, and say what that was\n"
	"  --json      the same for programs\n"
	"  --key FILE  the secret shared with the nodes\n"
	"  --root DIR  look at DIR/proc and DIR/sys, copied from another host\n"
	"  --tls       speak to the nodes over TLS, by that secret\n"
	"  --help      show this text\n";

static const char *const words[] = {[DOCTOR_OK] = "ok",
				    [DOCTOR_NOTE] = "note",
				    [DOCTOR_WARN] = "warning",
				    [DOCTOR_FAIL] = "failure"};

struct examination {
	const char *root;
	bool fix, failed;
	struct json_object *list; /* NULL: for people */
};

static void finding_print(const struct doctor_finding *f, const char *mended)
{
	printf("%-8s %s: %s\n", words[f->verdict], f->name, f->says);
	if (f->verdict != DOCTOR_OK && *f->means)
		printf("         %s\n", f->means);
	if (mended)
		printf("         %s: %s\n", mended, f->mend);
	else if (f->verdict != DOCTOR_OK && *f->mend)
		printf("         mend: %s\n", f->mend);
}

static void finding_add(struct json_object *list, const struct doctor_finding *f,
			const char *mended)
{
	struct json_object *o = json_object_new_object();

	json_text(o, "check", f->name);
	json_text(o, "verdict", words[f->verdict]);
	json_text(o, "says", f->says);
	if (f->verdict != DOCTOR_OK) {
		json_text(o, "means", f->means);
		json_text(o, "mend", f->mend);
		json_flag(o, "safe", f->module || f->path);
	}
	if (mended)
		json_text(o, "fix", mended);
	json_object_array_add(list, o);
}

/* With --fix: mends first, so that what is shown is what was, and what became of it. */
static void findings_show(struct examination *x, const struct doctor_finding *all, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		const struct doctor_finding *f = &all[i];
		int rc = x->fix && f->verdict != DOCTOR_OK ? doctor_mend(x->root, f) : 1;
		char failed[80], *mended = NULL;

		if (rc < 0)
			snprintf(failed, sizeof(failed), "tried in vain (%s)", strerror(-rc));
		if (rc <= 0)
			mended = rc ? failed : (char *)"done";
		x->failed |= f->verdict == DOCTOR_FAIL && rc;
		if (x->list)
			finding_add(x->list, f, mended);
		else
			finding_print(f, mended);
	}
	fflush(stdout);
}

static void nodes_examine(struct examination *x, const struct gvm_conn_opts *opts, char **addresses,
			  int count)
{
	struct doctor_finding all[DOCTOR_MAX];

	for (int i = 0; i < count; i++) {
		struct doctor_node node;

		doctor_node_probe(addresses[i], opts, &node);
		findings_show(x, all, doctor_judge_node(&node, all));
	}
}

static void host_examine(struct examination *x)
{
	struct doctor_finding all[DOCTOR_MAX];
	struct doctor_facts facts;

	doctor_probe(x->root, &facts);
	findings_show(x, all, doctor_judge(&facts, all));
}

static int examine(struct examination *x, struct gvm_conn_opts *opts, const char *key_path,
		   char **addresses, int count)
{
	uint8_t *key = NULL;
	int rc = key_path ? gvm_key_load(key_path, &key, &opts->key_bytes) : 0;

	if (rc) {
		say("--key %s: %s", key_path, gvm_key_error(rc));
		return 1;
	}
	opts->key = key;
	host_examine(x);
	nodes_examine(x, opts, addresses, count);
	free(key);
	if (x->list)
		json_show(x->list);
	x->list = NULL;
	return x->failed;
}

static bool is_host(const char *root)
{
	char proc[PATH_MAX], sys[PATH_MAX];

	snprintf(proc, sizeof(proc), "%s/proc", root);
	snprintf(sys, sizeof(sys), "%s/sys", root);
	return !access(proc, F_OK) && !access(sys, F_OK);
}

int cmd_doctor(int argc, char **argv)
{
	static const struct option longs[] = {{"fix", no_argument, NULL, 'f'},
					      {"json", no_argument, NULL, 'j'},
					      {"key", required_argument, NULL, 'k'},
					      {"root", required_argument, NULL, 'r'},
					      {"tls", no_argument, NULL, 't'},
					      {"help", no_argument, NULL, 'h'},
					      {NULL, 0, NULL, 0}};
	struct examination x = {.root = ""};
	struct gvm_conn_opts opts = {0};
	const char *key_path = NULL;
	int c, status;

	optind = 1;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'f':
			x.fix = true;
			break;
		case 'j':
			if (!x.list)
				x.list = json_object_new_array();
			break;
		case 'k':
			key_path = optarg;
			break;
		case 'r':
			x.root = optarg;
			break;
		case 't':
			opts.tls = true;
			break;
		case 'h':
			fputs(help_text, stdout);
			return 0;
		default:
			return EXIT_USAGE;
		}
	}
	if (opts.tls && !key_path) {
		say("--tls needs --key FILE");
		return EXIT_USAGE;
	}
	if (*x.root && !is_host(x.root)) {
		say("--root %s: it has no folders proc and sys, copied from a host", x.root);
		return EXIT_USAGE;
	}
	status = examine(&x, &opts, key_path, argv + optind, argc - optind);
	json_object_put(x.list);
	return status;
}
