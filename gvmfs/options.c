// SPDX-License-Identifier: GPL-2.0-or-later
/* options.c - the command line of gvmfs. */
#include "options.h"

#include "addr.h"
#include "gvm_client.h"
#include "node/shares.h"
#include "place.h"
#include "state/record.h"
#include "state/sealing.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage_text[] =
	"Usage: gvmfs [OPTION]... --nodes HOST:PORT[,HOST:PORT]... DIR\n"
	"       gvmfs [OPTION]... --conf FILE DIR\n"
	"       mount -t fuse.gvmfs -o nodes=HOST:PORT[/HOST:PORT]...,key=FILE none DIR\n"
	"Mount the memory of memory nodes on DIR: each file there is a region of memory.\n"
	"\n"
	"      --nodes LIST      memory nodes, as host:port separated by commas\n"
	"      --conf FILE       read the nodes (those with the role mem) from FILE\n"
	"      --key FILE        the secret shared with the nodes\n"
	"      --tls             speak to the nodes over TLS, by that secret\n"
	"      --seal            encrypt what leaves this host, and believe no node that\n"
	"                        changes it; the default, unless all are on loopback\n"
	"      --no-seal         do not: the nodes can read and change it\n"
	"      --seal-key-file FILE  the key for that, which stays on this host\n"
	"                        (default " OPTIONS_SEAL_KEY ")\n"
	"      --timeout SECONDS give an error when a node has not answered for so long\n"
	"                        (default: wait, with a message, until it is back)\n"
	"      --replicas N      keep new regions on N nodes each (1 to 3; default: 1)\n"
	"      --repair-after SECONDS  copy to other nodes what a node had that has been\n"
	"                        away for so long (default 30)\n"
	"      --repair-rate MB  copy so many MB a second to nodes that lack copies\n"
	"                        (default 100)\n"
	"      --repair-reserve PERCENT  give new regions no more than leaves so much of\n"
	"                        each node for copies that are made anew (default, with\n"
	"                        replicas: as much as the loss of one node needs)\n"
	"      --no-balance      leave what is on a full node there, also if another is\n"
	"                        much emptier\n"
	"      --scrub-rate MB   have the nodes look at so many MB a second of what they\n"
	"                        have, whether it is what was stored (default 4; 0: none)\n"
	"      --no-replay       do not record what a start touches on the fast path, to\n"
	"                        fetch it before the next one asks for it\n"
	"      --force           open regions with replicas also while no node that is\n"
	"                        there is known to have what was written last\n"
	"      --lease SECONDS   keep from other hosts what is open for writing, for so\n"
	"                        long after the nodes last heard of it (default 10)\n"
	"      --unlinked-lease SECONDS  the same of files without a name: the nodes\n"
	"                        remove them then (default 86400: a day)\n"
	"      --allow-other     let other users than the one who mounts use the files\n"
	"      --writers N       threads that encode and send what is written (1 to 8;\n"
	"                        default 2)\n"
	"      --compress WHEN   auto: leave it to the nodes where that takes less time\n"
	"                        than to do it here (default); always: do it here; never\n"
	"  -o OPTION[,OPTION]... the same as mount(8) gives them: nodes=A/B, key=FILE,\n"
	"                        allow_other, ro, noexec, ...\n"
	"  -f, --foreground      stay in the foreground, messages on standard error\n"
	"      --bench-no-network  do not send what is written: for measurements only,\n"
	"                        what is written is lost\n"
	"      --bench-turns     measure for how long faults may have to wait for others'\n"
	"                        requests: longest_turn_ns in the mount's figures\n"
	"      --help            show this text\n"
	"      --version         show the version\n";

enum {
	OPT_NODES = 256, OPT_CONF, OPT_KEY, OPT_TLS, OPT_SEAL, OPT_NO_SEAL, OPT_SEAL_KEY, OPT_TIMEOUT, OPT_LEASE,
	OPT_REPLICAS, OPT_REPAIR_AFTER, OPT_REPAIR_RATE, OPT_REPAIR_RESERVE, OPT_NO_BALANCE, OPT_NO_REPLAY, OPT_SCRUB_RATE, OPT_FORCE, OPT_UNLINKED_LEASE,
	OPT_ALLOW_OTHER, OPT_WRITERS, OPT_COMPRESS,
	OPT_NO_NETWORK, OPT_TURNS, OPT_HELP, OPT_VERSION, OPT_WILL
};

static const struct option long_options[] = {
	{ "nodes", required_argument, NULL, OPT_NODES },
	{ "conf", required_argument, NULL, OPT_CONF },
	{ "key", required_argument, NULL, OPT_KEY },
	{ "tls", no_argument, NULL, OPT_TLS },
	{ "seal", no_argument, NULL, OPT_SEAL },
	{ "no-seal", no_argument, NULL, OPT_NO_SEAL },
	{ "seal-key-file", required_argument, NULL, OPT_SEAL_KEY },
	{ "timeout", required_argument, NULL, OPT_TIMEOUT },
	{ "lease", required_argument, NULL, OPT_LEASE },
	{ "replicas", required_argument, NULL, OPT_REPLICAS },
	{ "repair-after", required_argument, NULL, OPT_REPAIR_AFTER },
	{ "repair-rate", required_argument, NULL, OPT_REPAIR_RATE },
	{ "repair-reserve", required_argument, NULL, OPT_REPAIR_RESERVE },
	{ "no-balance", no_argument, NULL, OPT_NO_BALANCE },
	{ "no-replay", no_argument, NULL, OPT_NO_REPLAY },
	{ "scrub-rate", required_argument, NULL, OPT_SCRUB_RATE },
	{ "force", no_argument, NULL, OPT_FORCE },
	{ "unlinked-lease", required_argument, NULL, OPT_UNLINKED_LEASE },
	{ "allow-other", no_argument, NULL, OPT_ALLOW_OTHER },
	{ "writers", required_argument, NULL, OPT_WRITERS },
	{ "compress", required_argument, NULL, OPT_COMPRESS },
	{ "foreground", no_argument, NULL, 'f' },
	{ "bench-no-network", no_argument, NULL, OPT_NO_NETWORK },
	{ "bench-turns", no_argument, NULL, OPT_TURNS },
	{ "help", no_argument, NULL, OPT_HELP },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "will", required_argument, NULL, OPT_WILL },
	{ 0 },
};

/* Reports a wrong command line. */
static int complain(const char *what)
{
	fprintf(stderr, "gvmfs: %s\nTry 'gvmfs --help'.\n", what);
	return 2;
}

/* Reports something that the command line names and that cannot be used. */
static int refuse(const char *name, const char *value, const char *why)
{
	fprintf(stderr, "gvmfs: %s%s%s: %s\n", name, *name ? " " : "", value, why);
	return 1;
}

int options_node_add(struct options *opts, const char *addr, const char *rack)
{
	unsigned i = 0;

	while (i < opts->node_count && strcmp(opts->nodes[i], addr) != 0)
		i++;
	if (i == OPTIONS_NODES_MAX)
		return -ENOSPC;
	opts->nodes[i] = addr;
	opts->racks[i] = rack ? rack : opts->racks[i];
	opts->node_count += i == opts->node_count;
	return 0;
}

static int add_node(struct options *opts, const char *text, const char *rack)
{
	struct addr addr;

	if (addr_parse(text, &addr) < 0)
		return refuse("node", text, "not an address: 10.0.0.2:9999, [fd00::2]:9999 or a host name");
	if (options_node_add(opts, text, rack) < 0)
		return refuse("node", text, "too many nodes (at most 128)");
	return 0;
}

/* Adds nodes from a list, separated by commas or, where commas separate options, by slashes. The list is cut
 * up in a copy, which keeps the nodes' names: ps(1) shows the arguments as they were given. */
static int add_list(struct options *opts, const char *text)
{
	char *list = strdup(text);
	int r = 0;

	if (!list)
		return complain("no memory left");
	for (char *addr = strtok(list, ",/"); addr && !r; addr = strtok(NULL, ",/"))
		r = add_node(opts, addr, NULL);
	return r;
}

static int add_conf(struct options *opts, const char *path)
{
	struct gvm_cluster_node *nodes;
	char err[128] = "";
	unsigned count, found = 0;
	int r = gvm_cluster_load(path, &nodes, &count, err);

	if (r < 0)
		return refuse("", path, *err ? err : strerror(-r));
	for (unsigned i = 0; i < count && !r; i++)
		if (nodes[i].mem) {
			r = add_node(opts, nodes[i].addr, *nodes[i].rack ? nodes[i].rack : NULL);
			opts->tls |= nodes[i].tls;
			found++;
		}
	return r || found ? r : refuse("", path, "none of its nodes has the role mem");
	/* the array stays: its addresses and racks are used */
}

static int set_number(const char *name, const char *text, unsigned min, unsigned max, unsigned *value)
{
	char *end, why[64];
	unsigned long v;

	errno = 0;
	v = strtoul(text, &end, 10);
	if (errno || *end || *text < '0' || *text > '9' || v < min || v > max) {
		snprintf(why, sizeof(why), "not a number from %u to %u", min, max);
		refuse(name, text, why);
		return 2;
	}
	*value = (unsigned)v;
	return 0;
}

static int set_key(struct options *opts, const char *path)
{
	int r;

	free(opts->key);
	opts->key = NULL;
	r = gvm_key_load(path, &opts->key, &opts->key_bytes);
	return r < 0 ? refuse("key file", path, gvm_key_error(r)) : 0;
}

static int set_seal(struct options *opts, enum options_seal seal)
{
	if (opts->seal && opts->seal != seal)
		return complain("--no-seal contradicts --seal");
	opts->seal = seal;
	return 0;
}

static int set_seal_key(struct options *opts, const char *path)
{
	opts->seal_key_path = path;
	return 0;
}

static bool nodes_are_local(const struct options *opts)
{
	struct addr addr;

	for (unsigned i = 0; i < opts->node_count; i++)
		if (addr_parse(opts->nodes[i], &addr) < 0 || !addr_is_local(&addr))
			return false;
	return true;
}

/* Reads the key, if there is something to seal. */
static int seal_begin(struct options *opts)
{
	static struct sealing sealing;
	const char *path = opts->seal_key_path ? opts->seal_key_path : OPTIONS_SEAL_KEY;
	int r;

	/* With --no-seal a key is for regions that are made otherwise. */
	if (!opts->seal_key_path && (opts->seal == OPTIONS_NO_SEAL || (!opts->seal && nodes_are_local(opts))))
		return 0;
	r = sealing_load(&sealing, path);
	if (r == -ENOENT && !opts->seal_key_path) {
		fprintf(stderr,
			"gvmfs: %s: there is no key to seal with what %s. Make one, to be kept on this host (umask "
			"077; openssl rand -hex 32 > %s), or give --no-seal: then the nodes can read and change it\n",
			path, opts->seal ? "leaves this host" : "leaves this host for nodes beyond its loopback", path);
		return 1;
	}
	if (r < 0)
		return refuse("seal key file", path, seal_key_error(r));
	opts->sealing = &sealing;
	return 0;
}

static int set_compress(struct options *opts, const char *value)
{
	static const char *const names[] = {
		[COMPRESS_AUTO] = "auto", [COMPRESS_ALWAYS] = "always", [COMPRESS_NEVER] = "never"};

	for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(value, names[i])) {
			opts->compress = (enum options_compress)i;
			return 0;
		}
	return refuse("compress", value, "is none of auto, always and never");
}

static options_set_fn set_named;

static int set_option(struct options *opts, int c, char *value)
{
	switch (c) {
	case OPT_NODES:
		return add_list(opts, value);
	case OPT_CONF:
		return add_conf(opts, value);
	case OPT_KEY:
		return set_key(opts, value);
	case OPT_TLS:
		opts->tls = true;
		return 0;
	case OPT_SEAL:
		return set_seal(opts, OPTIONS_SEAL);
	case OPT_NO_SEAL:
		return set_seal(opts, OPTIONS_NO_SEAL);
	case OPT_SEAL_KEY:
		return set_seal_key(opts, value);
	case OPT_TIMEOUT:
		return set_number("timeout", value, 1, 86400, &opts->timeout_s);
	case OPT_LEASE:
		return set_number("lease", value, 1, 86400, &opts->lease_s);
	case OPT_REPLICAS:
		return set_number("replicas", value, 1, RECORD_REPLICAS, &opts->replicas);
	case OPT_REPAIR_AFTER:
		return set_number("repair-after", value, 1, 86400, &opts->repair_after_s);
	case OPT_REPAIR_RATE:
		return set_number("repair-rate", value, 1, 100000, &opts->repair_rate);
	case OPT_REPAIR_RESERVE:
		return set_number("repair-reserve", value, 0, 90, &opts->repair_reserve);
	case OPT_NO_BALANCE:
		opts->no_balance = true;
		return 0;
	case OPT_NO_REPLAY:
		opts->no_replay = true;
		return 0;
	case OPT_SCRUB_RATE:
		return set_number("scrub-rate", value, 0, 100000, &opts->scrub_rate);
	case OPT_FORCE:
		opts->force = true;
		return 0;
	case OPT_UNLINKED_LEASE:
		return set_number("unlinked-lease", value, 1, 30 * 86400, &opts->unlinked_lease_s);
	case OPT_ALLOW_OTHER:
		opts->allow_other = true;
		return 0;
	case OPT_WRITERS:
		return set_number("writers", value, 1, OPTIONS_WRITERS_MAX, &opts->writers);
	case OPT_COMPRESS:
		return set_compress(opts, value);
	case OPT_NO_NETWORK:
		opts->bench_no_network = true;
		return 0;
	case OPT_TURNS:
		opts->bench_turns = true;
		return 0;
	case 'f':
		opts->foreground = true;
		return 0;
	case 'o':
		return options_mount_parse(opts, value, set_named);
	default:
		return -1;
	}
}

static int set_named(struct options *opts, const char *name, char *value)
{
	for (const struct option *o = long_options; o->name; o++) {
		if (strcmp(o->name, name) != 0 || o->val < OPT_NODES || o->val >= OPT_HELP)
			continue;
		if (o->has_arg == required_argument && (!value || !*value))
			return refuse("option", name, "needs a value");
		if (o->has_arg == no_argument && value)
			return refuse("option", name, "takes no value");
		return set_option(opts, o->val, value);
	}
	return -1;
}

static int set_mountpoint(struct options *opts, const char *dir)
{
	static char path[PATH_MAX];
	int fd = place_open(dir, path);

	switch (fd) {
	case -ENOENT:
		return refuse("", dir, "there is no such directory to mount on");
	case -ENOTDIR:
		return refuse("", dir, "not a directory");
	case -ENOTCONN:
		return refuse("", dir, "lies in a FUSE filesystem whose process is gone");
	default:
		if (fd < 0)
			return refuse("", dir, strerror(-fd));
	}
	close(fd);
	opts->mountpoint = path;
	return 0;
}

/* Takes [SOURCE] DIR, as mount(8) passes it: SOURCE is `none`, or the nodes if no option names
 * them. */
static int set_places(struct options *opts, int count, char **words)
{
	if (count < 1 || count > 2)
		return complain("one directory to mount on is needed");
	if (count == 2) {
		bool nodes = !opts->node_count && strcmp(words[0], "none") != 0 &&
			     strcmp(words[0], "gvmfs") != 0;
		int r = nodes ? add_list(opts, words[0]) : 0;

		if (r)
			return r;
		if (!opts->source)
			opts->source = words[0];
	}
	if (!opts->source)
		opts->source = "gvmfs";
	if (!opts->node_count)
		return complain("no memory nodes: give --nodes or --conf");
	if (opts->tls && !opts->key)
		return complain("TLS needs the secret shared with the nodes: give --key");
	return set_mountpoint(opts, words[count - 1]);
}

/* --help and --version fail if their output cannot be written. */
static int output_end(void)
{
	if (!fflush(stdout))
		return 0;
	perror("gvmfs: standard output");
	return EXIT_FAILURE;
}

int options_parse(struct options *opts, int argc, char **argv, bool *quit)
{
	int c, r = 0;

	*opts = (struct options){ .will = -1, .writers = 2, .replicas = 1, .repair_after_s = 30, .repair_rate = 100,
				  .repair_reserve = SHARES_KEEP, .scrub_rate = 4,
				  .lease_s = 10, .unlinked_lease_s = 86400 };
	*quit = false;
	while (!r && (c = getopt_long(argc, argv, "fo:", long_options, NULL)) != -1) {
		switch (c) {
		case OPT_HELP:
			fputs(usage_text, stdout);
			*quit = true;
			return output_end();
		case OPT_VERSION:
			puts("gvmfs " GVM_PROGRAM_VERSION);
			*quit = true;
			return output_end();
		case OPT_WILL:
			opts->will = atoi(optarg);
			break;
		case '?':
			fputs("Try 'gvmfs --help'.\n", stderr);
			return 2;
		default:
			r = set_option(opts, c, optarg);
		}
	}
	if (!r)
		r = set_places(opts, argc - optind, argv + optind);
	return r ? r : seal_begin(opts);
}
