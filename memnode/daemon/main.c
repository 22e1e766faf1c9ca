// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gvm-memnode - lends this machine's memory to guests on other hosts.
 *
 * Options, then the parts of the node, brought up in order and taken down in reverse.
 */
#include "../addr.h"
#include "../size.h"
#include "../tls.h"
#include "../gvm_client.h"
#include "../clock.h"
#include "log.h"
#include "memory.h"
#include "notify.h"
#include "sandbox.h"
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LISTEN_TRIES 100 /* 20 ms apart */

#define READING_SAY_NS	     2000000000ull
#define READING_WAIT_SECONDS 60u

struct options {
	union conn_addr listen;
	uint64_t memory_bytes;
	double overcommit;
	const char *key_path;
	const char *user;   /* NULL: nobody, if that is allowed */
	const char *engine; /* NULL: as the kernel allows */
	bool open, tls;
	unsigned names;
	const char *persist; /* a directory; NULL: chunks end with the node */
	uint64_t persist_bytes; /* 0: as memory_bytes need */
	bool persist_sync;
};

static const char usage[] =
	"Usage: gvm-memnode [--listen ADDR:PORT] --memory SIZE [OPTION]...\n"
	"Lend SIZE of this machine's memory to guests whose RAM gvmfs keeps here.\n"
	"\n"
	"  -l, --listen ADDR:PORT  serve this address (127.0.0.1:9999); port 0: any\n"
	"  -m, --memory SIZE       memory to lend, for example 512M, 16G or 50%\n"
	"  -c, --overcommit F      promise F times as much as there is (1.0)\n"
	"  -k, --key FILE          serve only clients that hold the same key\n"
	"  -t, --tls               serve only clients that use TLS, by that key\n"
	"  -o, --open              serve anybody, also on addresses beyond loopback\n"
	"  -n, --names N           keep at most N names of files and folders (65536)\n"
	"  -u, --user NAME         where started as root, run as this user (nobody)\n"
	"  -p, --persist DIR       keep all of it in DIR, over a restart of the node\n"
	"  -s, --persist-size SIZE use SIZE of the disk there (1.75 times --memory)\n"
	"  -y, --persist-sync      answer nothing before it is on the disk\n"
	"  -i, --io ENGINE         uring, epoll or auto: what is allowed (auto)\n"
	"  -h, --help              print this and exit\n"
	"  -V, --version           print the version and exit\n";

__attribute__((format(printf, 1, 2), noreturn)) static void fail(const char *format, ...)
{
	char text[400];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	log_line("%s", text);
	exit(1);
}

/* A name is looked up once, at the start. */
static void listen_parse(const char *text, union conn_addr *listen)
{
	struct sockaddr_storage sa;
	const char *why;
	struct addr addr;
	socklen_t bytes;

	if (addr_parse_listen(text, &addr))
		fail("--listen %s: not an address (1.2.3.4:9999, [::1]:9999, a host name)", text);
	if (addr_resolve(&addr, &sa, &bytes, &why))
		fail("--listen %s: %s", text, why);
	memset(listen, 0, sizeof(*listen));
	memcpy(listen, &sa, bytes < sizeof(*listen) ? bytes : sizeof(*listen));
}

static bool addr_is_loopback(const union conn_addr *addr)
{
	if (addr->any.sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&addr->v6.sin6_addr);
	return ntohl(addr->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

/* Output of --help and --version that cannot be written is an error. */
static _Noreturn void output_end(void)
{
	if (fflush(stdout))
		fail("standard output: %s", strerror(errno));
	exit(0);
}

/* A size, or N% of this machine's memory. */
static int memory_parse(const char *text, uint64_t *bytes)
{
	char *end;
	unsigned long percent = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || strcmp(end, "%"))
		return size_parse_option(text, bytes);
	if (!percent || percent > 100)
		return -EINVAL;
	*bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) / 100 * percent * (uint64_t)sysconf(_SC_PAGESIZE);
	return 0;
}

static void options_parse(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"listen", required_argument, NULL, 'l'},
		{"memory", required_argument, NULL, 'm'},
		{"overcommit", required_argument, NULL, 'c'},
		{"key", required_argument, NULL, 'k'},
		{"tls", no_argument, NULL, 't'},
		{"open", no_argument, NULL, 'o'},
		{"names", required_argument, NULL, 'n'},
		{"user", required_argument, NULL, 'u'},
		{"persist", required_argument, NULL, 'p'},
		{"persist-size", required_argument, NULL, 's'},
		{"persist-sync", no_argument, NULL, 'y'},
		{"io", required_argument, NULL, 'i'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{0},
	};
	unsigned long names;
	char *end;
	int c;

	*o = (struct options){.overcommit = 1, .names = NAMES_COUNT_DEFAULT};
	listen_parse("127.0.0.1", &o->listen);
	while ((c = getopt_long(argc, argv, "l:m:c:k:ton:u:p:s:yi:hV", longs, NULL)) != -1) {
		switch (c) {
		case 'l':
			listen_parse(optarg, &o->listen);
			break;
		case 'm':
			if (memory_parse(optarg, &o->memory_bytes) || !o->memory_bytes)
				fail("--memory %s: not a size (512M, 16G, 50%%)", optarg);
			break;
		case 'c':
			o->overcommit = strtod(optarg, &end);
			if (*end || end == optarg || !(o->overcommit >= 1 && o->overcommit <= 1000))
				fail("--overcommit %s: not a number from 1 to 1000", optarg);
			break;
		case 'k':
			o->key_path = optarg;
			break;
		case 't':
			o->tls = true;
			break;
		case 'o':
			o->open = true;
			break;
		case 'n':
			names = strtoul(optarg, &end, 10);
			if (*end || *optarg < '0' || *optarg > '9' || names < NAMES_COUNT_MIN ||
			    names > NAMES_COUNT_MAX)
				fail("--names %s: not a number from %u to %u", optarg,
				     NAMES_COUNT_MIN, NAMES_COUNT_MAX);
			o->names = (unsigned)names;
			break;
		case 'u':
			o->user = optarg;
			break;
		case 'p':
			o->persist = optarg;
			break;
		case 's':
			if (size_parse_option(optarg, &o->persist_bytes) || !o->persist_bytes)
				fail("--persist-size %s: not a size (512M, 16G)", optarg);
			break;
		case 'y':
			o->persist_sync = true;
			break;
		case 'i':
			if (strcmp(optarg, "uring") && strcmp(optarg, "epoll") && strcmp(optarg, "auto"))
				fail("--io %s: neither uring, epoll nor auto", optarg);
			o->engine = strcmp(optarg, "auto") ? optarg : NULL;
			break;
		case 'h':
			fputs(usage, stdout);
			output_end();
		case 'V':
			puts("gvm-memnode " GVM_PROGRAM_VERSION);
			output_end();
		default:
			fputs("Try 'gvm-memnode --help'.\n", stderr);
			exit(2);
		}
	}
	if (optind < argc)
		fail("%s: unexpected argument", argv[optind]);
	if (!o->memory_bytes)
		fail("--memory SIZE is needed");
	if (!o->persist && (o->persist_bytes || o->persist_sync))
		fail("--persist-size and --persist-sync need --persist DIR");
	if (o->tls && !o->key_path)
		fail("--tls needs --key FILE: the key says which clients may come in");
	if (!o->key_path && !o->open && !addr_is_loopback(&o->listen))
		fail("%s is not a loopback address: give --key FILE, or --open to serve anybody",
		     conn_addr_name(&o->listen));
}

/* Connections inherit these from the listening socket. A peer that vanished is noticed within half a
 * minute, so that its region can be attached again. */
static int listen_once(union conn_addr *addr)
{
	static const struct {
		int level, name, value;
	} set[] = {
		{SOL_SOCKET, SO_REUSEADDR, 1},	   {SOL_SOCKET, SO_KEEPALIVE, 1},
		{IPPROTO_TCP, TCP_NODELAY, 1},	   {IPPROTO_TCP, TCP_KEEPIDLE, 10},
		{IPPROTO_TCP, TCP_KEEPINTVL, 5},   {IPPROTO_TCP, TCP_KEEPCNT, 4},
		{IPPROTO_TCP, TCP_USER_TIMEOUT, 30000},
	};
	socklen_t len = addr->any.sa_family == AF_INET6 ? sizeof(addr->v6) : sizeof(addr->v4);
	int fd = socket(addr->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	for (unsigned i = 0; i < sizeof(set) / sizeof(*set); i++)
		setsockopt(fd, set[i].level, set[i].name, &set[i].value, sizeof(set[i].value));
	if (bind(fd, &addr->any, len) || listen(fd, SOMAXCONN) || getsockname(fd, &addr->any, &len)) {
		int err = -errno;

		close(fd);
		return err;
	}
	return fd;
}

static const char *listen_error(int err)
{
	switch (err) {
	case EADDRINUSE:
		return "another program serves this address";
	case EADDRNOTAVAIL:
		return "this machine has no such address";
	case EACCES:
		return "ports below 1024 need privilege";
	case EAFNOSUPPORT:
		return "this machine has no IPv6";
	}
	return strerror(err);
}

/* The ring of a killed node, and with it its socket, stays for some milliseconds. A signal that ends
 * this node ends the wait (-EINTR). */
static int listen_open(union conn_addr *addr, const sigset_t *ending)
{
	static const struct timespec pause = {.tv_nsec = 20000000};
	int fd = listen_once(addr);

	for (unsigned i = 0; fd == -EADDRINUSE && i < LISTEN_TRIES; i++) {
		int sig;

		if (!i)
			log_line("%s is in use: retrying for 2 seconds", conn_addr_name(addr));
		sig = sigtimedwait(ending, NULL, &pause);
		if (sig > 0 && sig != SIGUSR1)
			return -EINTR;
		fd = listen_once(addr);
	}
	return fd;
}

/*
 * Guests on other hosts depend on this process: asks the OOM killer to spare it, where permitted.
 */
static void oom_spare(void)
{
	FILE *f = fopen("/proc/self/oom_score_adj", "we");

	if (!f)
		return;
	fputs("-900", f);
	fclose(f);
}

/* Whatever the library loads or reads late, it loads here, before the sandbox. */
static struct tls_key *tls_open(const uint8_t *key, size_t key_bytes)
{
	struct tls_key *tls;
	int err = tls_warm_up(key, key_bytes);

	if (!err)
		err = tls_key_create(key, key_bytes, true, &tls);
	if (err)
		fail("--tls: %s", err == -ENOMEM ? strerror(-err) : "the OpenSSL library lacks what it needs");
	return tls;
}

static void log_held(const struct node *n)
{
	const struct regions *t = &n->regions;

	log_line("ends, %s %u regions with %llu chunks (%llu bytes)", n->journal ? "and keeps" : "and with it", t->count,
		 (unsigned long long)t->totals.chunks,
		 (unsigned long long)t->totals.stored_bytes);
}

struct reading {
	int told; /* the service manager */
	uint64_t said_ns;
	const char *dir;
};

/* A start that takes long says how far it is, and asks the service manager for the time. */
static void reading_say(void *arg, uint64_t done_bytes, uint64_t all_bytes)
{
	struct reading *r = arg;
	uint64_t now = gvm_now_ns();

	if (now - r->said_ns < READING_SAY_NS)
		return;
	r->said_ns = now;
	gvm_notify_wait(r->told, READING_WAIT_SECONDS);
	log_line("has read %llu of %llu MiB of %s: serves when it has all", (unsigned long long)(done_bytes >> 20),
		 (unsigned long long)(all_bytes >> 20), r->dir);
}

/* What was kept in --persist DIR; before the node listens: until then clients are refused the connection, at once. */
static void kept_load(struct node *node, struct journal *journal, const struct options *o, int told)
{
	struct reading reading = {.told = told, .said_ns = gvm_now_ns(), .dir = o->persist};
	const struct keep_wish wish = {
		.dir = o->persist,
		.bytes = o->persist_bytes,
		.memory_bytes = o->memory_bytes,
		.sync = o->persist_sync,
		.owner = conn_addr_name(&o->listen),
		.reading = reading_say,
		.arg = &reading,
	};
	char why[600] = "";

	if (!o->persist)
		return;
	/* A limit of the size of files is an error of the disk, not the end of the node. */
	signal(SIGXFSZ, SIG_IGN);
	regions_clock(&node->regions, gvm_boottime_ns());
	node->journal = journal;
	if (journal_open(journal, &wish, &node->regions, &node->names, &node->incarnation, why, sizeof(why)))
		fail("--persist: %s", why);
	if (node->regions.drains)
		log_line("is to be drained, as before: no region is made here");
}

/* False: the next start begins anew. */
static bool kept_close(const struct node *node)
{
	int err = node->journal ? journal_close(node->journal) : 0;

	if (err)
		log_line("what it keeps is not all on the disk (%s)", strerror(-err));
	return err != -ETIMEDOUT;
}

static int threads_start(void *arg)
{
	struct server *server = arg;

	return server->node->journal ? journal_start(server->node->journal, server->disk_fd) : 0;
}

/* The engine's system calls, and those of the journal's threads. */
static const int *calls_of(const struct server *server)
{
	static const int journal[] = {SYS_pwrite64, SYS_fdatasync, SYS_fadvise64};
	static int all[32];
	unsigned count = 0;

	for (const int *call = server->io.engine->calls; *call >= 0; call++)
		all[count++] = *call;
	for (unsigned i = 0; server->node->journal && i < sizeof(journal) / sizeof(*journal); i++)
		all[count++] = journal[i];
	all[count] = -1;
	return all;
}

/*
 * Sets up the engine and the sandbox, as far as they are allowed here; one line names skipped
 * steps.
 */
static void confine(struct server *server, struct node *node, int fd, const struct options *o)
{
	struct sandbox sandbox = {.user = o->user, .threads = threads_start, .arg = server};
	int err, refused;
	const char *step;

	err = server_init(server, node, fd, o->engine, &refused);
	if (err)
		fail("--io %s: %s", o->engine ? o->engine : "auto", strerror(-err));
	if (refused)
		sandbox_lacks(sandbox.without, sizeof(sandbox.without), "io_uring", -refused);
	sandbox.calls = calls_of(server);
	err = sandbox_enter(&sandbox, &step);
	if (err == -ENOENT && !strcmp(step, "user"))
		fail("--user %s: there is no such user", o->user);
	if (err == -EPERM && !strcmp(step, "setuid"))
		fail("--user %s: this process may not become another user", o->user);
	if (err)
		fail("cannot give up privileges (%s): %s", step, strerror(-err));
	if (*sandbox.without)
		log_line("does without %s", sandbox.without);
}

int main(int argc, char **argv)
{
	static struct server server;
	static struct node node;
	static struct journal journal;
	struct options o;
	uint8_t *key = NULL;
	size_t key_bytes = 0;
	struct tls_key *tls = NULL;
	sigset_t ending;
	int fd, told, err;

	gvm_std_fds_hold();
	close_range(STDERR_FILENO + 1, ~0u, 0); /* descriptors that the parent left open */
	options_parse(argc, argv, &o);
	gvm_log_start(LOG_PROGRAM);
	gvm_descriptors_allow();
	err = o.key_path ? gvm_key_load(o.key_path, &key, &key_bytes) : 0;
	if (err)
		fail("--key %s: %s", o.key_path, gvm_key_error(err));
	err = node_init(&node, o.memory_bytes, o.overcommit, key, key_bytes);
	if (err)
		fail("--memory: %s%s", err == -EINVAL ? "out of range" : strerror(-err),
		     err == -ENOMEM ? " (does a limit of the address space stand against it: ulimit -v?)"
				    : "");
	node.names.count_max = o.names;
	if (o.tls)
		tls = tls_open(key, key_bytes);
	node.tls = tls;
	told = gvm_notify_open();
	kept_load(&node, &journal, &o, told);
	server_signals_block(&ending);
	fd = listen_open(&o.listen, &ending);
	if (fd == -EINTR)
		return 0;
	if (fd < 0)
		fail("cannot listen on %s: %s", conn_addr_name(&o.listen), listen_error(-fd));
	memory_warn(o.memory_bytes);
	oom_spare();
	confine(&server, &node, fd, &o);
	log_line("listening on %s, lending %llu MiB%s", conn_addr_name(&o.listen),
		 (unsigned long long)(o.memory_bytes >> 20), o.tls ? ", by TLS" : "");
	gvm_notify_ready(told);
	err = server_run(&server);
	if (err)
		log_line("cannot serve (%s): %s", server.io.engine->name, strerror(-err));
	log_held(&node);
	if (!err)
		server_deinit(&server);
	if (!kept_close(&node))
		return 1;
	node_deinit(&node);
	tls_key_destroy(tls);
	free(key);
	return err ? 1 : 0;
}
