// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gvm dsm - the kernel mode's cluster, seen from one of its hosts: this one becomes a node of it, makes
 * and joins regions, and leaves them. The module does the work (kmod/); here words become its calls,
 * and its errors become words again.
 */
#include "dsm.h"

#include "giantvm.h"
#include "keys.h"
#include "gvm.h"
#include "memnode/addr.h"
#include "memnode/gvm_client.h"
#include "memnode/size.h"
#include "say.h"

#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define WAIT_MS	    10000
#define WAIT_S_MAX  3600
#define CONF_ID_MAX (GIANTVM_NODES_MAX - 1)

static const char help_text[] =
	"usage: gvm dsm up --conf FILE --id N [--key FILE | --keys FILE | --open]\n"
	"       gvm dsm key --master FILE --conf FILE --id N\n"
	"       gvm dsm create [--wait SECONDS] [--homes ID,...] NAME SIZE\n"
	"       gvm dsm join [--wait SECONDS] NAME [SIZE]\n"
	"       gvm dsm status [--json] [NAME [--symbols FILE]]\n"
	"       gvm dsm lost NAME\n"
	"       gvm dsm discard NAME OFFSET SIZE\n"
	"       gvm dsm leave NAME\n"
	"       gvm dsm down [--force]\n"
	"\n"
	"The kernel mode: hosts share the memory of a region, coherently.\n"
	"\n"
	"  up      makes this host a node of the cluster\n"
	"  key     prints the keys that a node shares with each of the others\n"
	"  create  makes a region, /dev/gvm/NAME; its homes join it by themselves\n"
	"  join    joins a region that others have; SIZE, if given, must be its size\n"
	"  status  shows the nodes and the regions, or one region\n"
	"  lost    lists what is lost of this host's share, as lines of OFFSET SIZE\n"
	"  discard makes a part of a region zero, on every host: also what was lost\n"
	"  leave   gives back what this host has of a region, and forgets it\n"
	"  down    leaves every region and the cluster\n"
	"\n"
	"  --conf FILE     the nodes, as lines of `id address:port roles`; a role is cpu\n"
	"                  (uses regions) or mem (lends memory), or both: cpu,mem\n"
	"  --id N          which of them this host is, or is meant\n"
	"  --key FILE      a secret that all nodes have and prove to each other\n"
	"  --keys FILE     what gvm dsm key has printed for this node\n"
	"  --master FILE   a secret that no node has, of which the keys are made\n"
	"  --open          without a key, let in whoever reaches a node's address, also\n"
	"                  beyond loopback\n"
	"  --wait SECONDS  for the nodes that lend memory (default: 10); 0: for those\n"
	"                  that answer at once\n"
	"  --homes ID,...  the nodes that keep the region's pages, up to 16 of those that\n"
	"                  lend memory (default: four, or all)\n"
	"  --force         lose the pages that no node takes, where one that lends memory\n"
	"                  is gone\n"
	"  --symbols FILE  the System.map of the guest's Linux, started with nokaslr, for\n"
	"                  the names of what is in the pages that status NAME shows\n"
	"  --json          status for programs\n"
	"  --help          show this text\n";

struct options {
	const char *conf, *key, *keys, *master, *symbols;
	long id; /* -1: not given */
	unsigned wait_ms;
	struct giantvm_homes homes;
	unsigned long force; /* 0 or 1 */
	bool open, json;
};

static int number_parse(const char *text, long most, long *value)
{
	char *end;

	errno = 0;
	*value = strtol(text, &end, 10);
	return end == text || *end || errno || *value < 0 || *value > most ? -EINVAL : 0;
}

/* ---- up, down ---- */

static int node_from_conf(const struct gvm_cluster_node *from, struct giantvm_node *to)
{
	static const uint8_t mapped[12] = {[10] = 0xff, 0xff}; /* ::ffff:0:0, RFC 4291, 2.5.5.2 */
	struct sockaddr_storage sa;
	const char *why = "not an address:port";
	struct addr addr;
	socklen_t bytes;
	int err = addr_parse(from->addr, &addr);

	/* The kernel keeps addresses: a name is looked up once, here. */
	if (!err)
		err = addr_resolve(&addr, &sa, &bytes, &why);
	if (err) {
		say("%s: %s", from->addr, why);
		return err;
	}
	memset(to, 0, sizeof(*to));
	to->id = (uint16_t)from->id;
	to->roles = (from->cpu ? GIANTVM_ROLE_CPU : 0) | (from->mem ? GIANTVM_ROLE_MEM : 0);
	if (sa.ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)&sa;

		memcpy(to->address, mapped, sizeof(mapped));
		memcpy(to->address + sizeof(mapped), &in->sin_addr, 4);
		to->port = ntohs(in->sin_port);
	} else {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&sa;

		if (in6->sin6_scope_id) {
			say("%s: a link-local address; the module needs one that is the same on all hosts",
			    from->addr);
			return -EINVAL;
		}
		memcpy(to->address, &in6->sin6_addr, 16);
		to->port = ntohs(in6->sin6_port);
	}
	return 0;
}

/* The whole list; says what is wrong with it. */
static int conf_load(const struct options *o, struct giantvm_up *up, const char **own_addr)
{
	struct gvm_cluster_node *list;
	struct giantvm_node *nodes;
	unsigned count, mem = 0;
	char err[128];
	int rc = gvm_cluster_load(o->conf, &list, &count, err);
	static char addr[sizeof(list->addr)];

	if (rc) {
		say("%s: %s", o->conf, err);
		return rc;
	}
	if (list->tls && !o->key && !o->keys)
		say("%s: tls = yes is for memory nodes: without a key, what kernel modules send each other is "
		    "not encrypted", o->conf);
	*own_addr = NULL;
	nodes = calloc(count, sizeof(*nodes));
	rc = nodes ? 0 : -ENOMEM;
	for (unsigned i = 0; i < count && !rc; i++) {
		rc = node_from_conf(&list[i], &nodes[i]);
		mem += list[i].mem;
		if (list[i].id == (unsigned)o->id) {
			memcpy(addr, list[i].addr, sizeof(addr));
			*own_addr = addr;
		}
	}
	free(list);
	up->nodes = (uintptr_t)nodes;
	up->nr_nodes = (uint16_t)count;
	if (!rc && !*own_addr) {
		say("%s has no node %ld", o->conf, o->id);
		rc = -ENOENT;
	} else if (!rc && !mem) {
		say("%s has no node with the role mem: no node would keep pages", o->conf);
		rc = -EINVAL;
	}
	return rc;
}

/* A longer key is what HMAC makes of it (RFC 2104, section 2), so that any key file will do. */
static int key_load(const char *path, uint8_t key[GIANTVM_KEY_BYTES_MAX], uint32_t *key_bytes)
{
	uint8_t *text;
	size_t bytes;
	int rc = gvm_key_load(path, &text, &bytes);

	if (rc) {
		say("--key %s: %s", path, gvm_key_error(rc));
		return rc;
	}
	if (bytes > GIANTVM_KEY_BYTES_MAX) {
		SHA256(text, bytes, key);
		*key_bytes = SHA256_DIGEST_LENGTH;
	} else {
		memcpy(key, text, bytes);
		*key_bytes = (uint32_t)bytes;
	}
	explicit_bzero(text, bytes);
	free(text);
	return 0;
}

static int up_say(int err, const struct options *o, const char *addr)
{
	switch (err) {
	case EBUSY:
		say("this host is a node already, with another id, or another key of a node: gvm dsm down first");
		break;
	case ENOTEMPTY:
		say("%s lacks a node, or its role mem, on which pages of this host's regions are: leave these "
		    "regions there first, or here where it keeps their pages", o->conf);
		break;
	case EALREADY:
		say("gvm dsm down is under way");
		break;
	case EADDRNOTAVAIL:
		say("node %ld has the address %s, which is not one of this host", o->id, addr);
		break;
	case EADDRINUSE:
		say("%s is in use by another program", addr);
		break;
	case ENOKEY:
		say("%s has addresses that are not loopback: give --key FILE or --keys FILE, or --open to let in "
		    "any program that reaches them", o->conf);
		break;
	default:
		say("up: %s", strerror(err));
	}
	return 1;
}

static int do_up(int device, const struct options *o)
{
	struct giantvm_up up = {.abi = GIANTVM_ABI, .id = (uint16_t)o->id};
	uint8_t key[GIANTVM_KEY_BYTES_MAX], *keys = NULL;
	const char *addr;
	int rc = conf_load(o, &up, &addr);

	up.key = (uintptr_t)key;
	up.flags = o->open ? GIANTVM_UP_OPEN : 0;
	if (!rc && o->key)
		rc = key_load(o->key, key, &up.key_bytes);
	if (!rc && o->keys) {
		rc = pair_keys_load(o->keys, (void *)(uintptr_t)up.nodes, up.nr_nodes, up.id, &keys);
		up.key = (uintptr_t)keys;
		up.key_bytes = GIANTVM_PAIR_KEY_BYTES;
		up.flags |= GIANTVM_UP_PAIRS;
	}
	if (rc)
		rc = 1;
	else if (ioctl(device, GIANTVM_UP, &up))
		rc = up_say(errno, o, addr);
	else if (!o->key && !o->keys)
		say("warning: no --key: any program that reaches %s can read and change the memory", addr);
	explicit_bzero(key, sizeof(key));
	pair_keys_free(keys);
	free((void *)(uintptr_t)up.nodes);
	return rc;
}

/* Needs no module: an operator's host has the master key, and no node need be there. */
static int do_key(const struct options *o)
{
	struct gvm_cluster_node *list;
	unsigned count, i = 0;
	char err[128];
	int rc = gvm_cluster_load(o->conf, &list, &count, err);

	if (rc) {
		say("%s: %s", o->conf, err);
		return 1;
	}
	while (i < count && list[i].id != (unsigned)o->id)
		i++;
	if (i == count) {
		say("%s has no node %ld", o->conf, o->id);
		rc = -ENOENT;
	} else {
		rc = pair_keys_print(o->master, list, count, (unsigned)o->id);
	}
	free(list);
	return rc ? 1 : 0;
}

/* What LEAVE and DOWN have in common: then the region is joined still. */
static const char *leave_why(int err)
{
	return err == -ETIMEDOUT ? "nodes that lend memory do not take what this host has of it: it stays "
				   "joined (gvm dsm status)" :
	       err == -EIO	 ? "a node that lends memory was out of reach for too long, or has left: pages "
				   "that only this host had are lost; it stays joined" :
				   giantvm_why(err);
}

static int do_down(int device, const struct options *o)
{
	if (!ioctl(device, GIANTVM_DOWN, o->force))
		return 0;
	say("down: %s", errno == EBUSY	  ? "a region is in use" :
			errno == EALREADY ? "this host is leaving a region, and not yet done" :
					    leave_why(-errno));
	return 1;
}

/* ---- regions ---- */

static int region_say(const char *what, const char *name, int err)
{
	say("%s %s: %s", what, name, giantvm_why(err));
	return 1;
}

/* `fd`: of the region, or an error. */
static int region_joined(const char *what, const char *name, int fd)
{
	if (fd < 0)
		return region_say(what, name, fd);
	close(fd);
	return 0;
}

static int do_create(int device, const struct options *o, const char *name, uint64_t bytes)
{
	int fd = giantvm_create(device, name, bytes, o->wait_ms, &o->homes);
	char text[SIZE_TEXT];
	uint64_t there;

	if (fd != -EEXIST || giantvm_lookup(device, name, WAIT_MS, &there))
		return region_joined("create", name, fd);
	say("create %s: exists already, with %s: use gvm dsm join %s", name,
	    size_text(there, text), name);
	return 1;
}

static int do_join(int device, const struct options *o, const char *name, uint64_t bytes)
{
	return region_joined("join", name, giantvm_join(device, name, bytes, o->wait_ms));
}

static int do_discard(const char *name, uint64_t offset, uint64_t bytes)
{
	struct giantvm_range range = {.offset_bytes = offset, .size_bytes = bytes};
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	int fd = giantvm_region_open(name);
	struct giantvm_region_info info;
	int rc = fd < 0 ? fd : giantvm_region_get(fd, &info);

	/* The module leaves out what is no whole page, or beyond the end, as advice may. */
	if (!rc && (offset % page || bytes % page || offset > info.size_bytes ||
		    bytes > info.size_bytes - offset))
		rc = -EINVAL;
	if (!rc && ioctl(fd, GIANTVM_DISCARD, &range))
		rc = -errno;
	if (fd >= 0)
		close(fd);
	if (!rc)
		return 0;
	say("discard %s: %s", name,
	    rc == -ENOENT ? "not joined on this host" :
	    rc == -EINVAL ? "OFFSET and SIZE must cover whole pages within the region" :
	    rc == -EIO	  ? "a node that lends memory has been lost, and is not back" :
			    giantvm_why(rc));
	return 1;
}

static int do_leave(int device, const char *name)
{
	struct giantvm_leave leave = {0};
	int rc = giantvm_name_set(name, leave.name);

	if (!rc && ioctl(device, GIANTVM_LEAVE, &leave))
		rc = -errno;
	if (!rc)
		return 0;
	say("leave %s: %s", name,
	    rc == -ENOENT ? "not joined on this host" :
	    rc == -EBUSY  ? "something has it open" :
			    leave_why(rc));
	return 1;
}

/* ---- the command line ---- */

static int usage(const char *why)
{
	if (why)
		say("%s", why);
	fputs(help_text, stderr);
	return EXIT_USAGE;
}

/* "ID,ID,...": 0 or -1. */
static int homes_parse(char *list, struct giantvm_homes *homes)
{
	char *id;
	long number;

	homes->nr = 0;
	while ((id = strsep(&list, ","))) {
		if (homes->nr == GIANTVM_HOMES_MAX || number_parse(id, CONF_ID_MAX, &number))
			return -1;
		homes->ids[homes->nr++] = (uint16_t)number;
	}
	return 0;
}

/* 0, or the negated exit status - 1. */
static int options_read(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {{"conf", required_argument, NULL, 'c'},
					      {"id", required_argument, NULL, 'i'},
					      {"key", required_argument, NULL, 'k'},
					      {"keys", required_argument, NULL, 'K'},
					      {"master", required_argument, NULL, 'm'},
					      {"wait", required_argument, NULL, 'w'},
					      {"homes", required_argument, NULL, 'H'},
					      {"force", no_argument, NULL, 'f'},
					      {"open", no_argument, NULL, 'o'},
					      {"json", no_argument, NULL, 'j'},
					      {"symbols", required_argument, NULL, 's'},
					      {"help", no_argument, NULL, 'h'},
					      {NULL, 0, NULL, 0}};
	long seconds;
	int c;

	optind = 1;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			o->conf = optarg;
			break;
		case 'k':
			o->key = optarg;
			break;
		case 'K':
			o->keys = optarg;
			break;
		case 'm':
			o->master = optarg;
			break;
		case 'i':
			if (number_parse(optarg, CONF_ID_MAX, &o->id))
				return -1 - usage("--id: not the number of a node");
			break;
		case 'w':
			if (number_parse(optarg, WAIT_S_MAX, &seconds))
				return -1 - usage("--wait: not a number of seconds");
			o->wait_ms = (unsigned)seconds * 1000;
			break;
		case 'H':
			if (homes_parse(optarg, &o->homes))
				return -1 - usage("--homes: not up to 16 numbers of nodes");
			break;
		case 'f':
			o->force = 1;
			break;
		case 'o':
			o->open = true;
			break;
		case 'j':
			o->json = true;
			break;
		case 's':
			o->symbols = optarg;
			break;
		case 'h':
			fputs(help_text, stdout);
			return -1;
		default:
			return -1 - EXIT_USAGE;
		}
	}
	return 0;
}

enum deed { UP, KEY, CREATE, JOIN, STATUS, LOST, DISCARD, LEAVE, DOWN, DEEDS };

static const struct {
	const char *name;
	int least, most; /* arguments */
} deeds[DEEDS] = {
	[UP] = {"up", 0, 0},	     [KEY] = {"key", 0, 0},
	[CREATE] = {"create", 2, 2},   [JOIN] = {"join", 1, 2},
	[STATUS] = {"status", 0, 1}, [LOST] = {"lost", 1, 1},	    [DISCARD] = {"discard", 3, 3},
	[LEAVE] = {"leave", 1, 1},   [DOWN] = {"down", 0, 0},
};

static int deed_do(enum deed deed, int device, const struct options *o, const char *name,
		   uint64_t offset, uint64_t bytes)
{
	switch (deed) {
	case UP:
		return do_up(device, o);
	case CREATE:
		return do_create(device, o, name, bytes);
	case JOIN:
		return do_join(device, o, name, bytes);
	case STATUS:
		return name ? dsm_status_region(device, name, o->json, o->symbols) : dsm_status(device, o->json);
	case LOST:
		return dsm_lost(device, name);
	case DISCARD:
		return do_discard(name, offset, bytes);
	case LEAVE:
		return do_leave(device, name);
	default:
		return do_down(device, o);
	}
}

int cmd_dsm(int argc, char **argv)
{
	struct options o = {.id = -1, .wait_ms = WAIT_MS};
	int rc = options_read(&o, argc, argv), device;
	enum deed deed = 0;
	uint64_t offset = 0, bytes = 0;

	if (rc)
		return -1 - rc;
	argc -= optind;
	argv += optind;
	while (argc && deed < DEEDS && strcmp(argv[0], deeds[deed].name))
		deed++;
	if (!argc || deed == DEEDS)
		return usage(argc ? "unknown command" : NULL);
	argc--;
	argv++;
	if (argc < deeds[deed].least || argc > deeds[deed].most)
		return usage("wrong number of arguments");
	if (o.json && deed != STATUS)
		return usage("--json is for status");
	if (o.symbols && (deed != STATUS || !argc))
		return usage("--symbols is for status NAME");
	if (deed == UP && (!o.conf || o.id < 0))
		return usage("up needs --conf and --id");
	if (deed == UP && !!o.key + !!o.keys + o.open > 1)
		return usage("only one of --key, --keys and --open");
	if (deed == KEY)
		return o.conf && o.master && o.id >= 0 ? do_key(&o) :
							 usage("key needs --master, --conf and --id");
	if (argc > 1 && (size_parse_option(argv[argc - 1], &bytes) || !bytes))
		return usage("SIZE: not a size");
	if (argc > 2 && size_parse_option(argv[1], &offset))
		return usage("OFFSET: not a size");
	device = giantvm_open();
	if (device < 0)
		return 1;
	rc = deed_do(deed, device, &o, argc ? argv[0] : NULL, offset, bytes);
	close(device);
	return rc;
}
