// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * hosts.c - see hosts.h.
 *
 * Each name is looked up once, by whoever prints or begins: what the hosts are told are addresses, the same ones on all,
 * as a host's own name is often a loopback address there (Debian's /etc/hosts).
 */
#include "hosts.h"

#include "args.h"
#include "argv.h"
#include "config.h"
#include "cpus.h"
#include "kernel.h"
#include "memnode/addr.h"
#include "memnode/clock.h"
#include "memnode/gvm_client.h"
#include "memnode/size.h"
#include "relay.h"
#include "say.h"
#include "walks.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CONF	    "/etc/gvm/cluster.conf"
#define KEY	    "/etc/gvm/key"
#define PORT	    9998 /* the module's own is 9999 */
#define END_NS	    (10 * 1000000000ull) /* for the others, once one host's QEMU has ended */
#define FAILED_NS   (1 * 1000000000ull)	 /* the same, where it has failed: there may be no guest yet */
#define LISTEN_MS   1000
#define REGION_PATH 300

struct hosts {
	const struct run_hosts_options *o;
	struct run_cpus c;
	struct run_args args; /* the user's command line */
	const char *key;
	bool local[RUN_CPUS_MAX]; /* the address is this host's */
	pid_t pid[RUN_CPUS_MAX];  /* 0: none runs */
	struct run_relay relay[RUN_CPUS_MAX];
	int said; /* where the one says it that is begun now */
	int status;		  /* of node 0, or of the first that failed; -1: none has ended */
};

/* ---- addresses ---- */

static bool is_number(const char *text)
{
	return *text && !text[strspn(text, "0123456789")];
}

/* The colon before the port, or NULL; an IPv6 address is in brackets. */
static char *port_at(char *text)
{
	char *bracket = strchr(text, ']');

	return strchr(bracket ? bracket : text, ':');
}

/* Replaces the number of a node by its address, without the port, which is the module's. */
static int conf_look(const struct run_hosts_options *o, struct run_host *h)
{
	const char *conf = o->conf ? o->conf : CONF;
	struct gvm_cluster_node *nodes, *found = NULL;
	unsigned count = 0;
	char err[128];
	int rc = gvm_cluster_load(conf, &nodes, &count, err);

	if (rc) {
		say("--cpus %u@%s: %s: %s", h->cpus, h->text, conf, err);
		return rc;
	}
	for (unsigned i = 0; i < count; i++)
		if (nodes[i].id == strtoul(h->text, NULL, 10))
			found = &nodes[i];
	if (!found) {
		say("--cpus %u@%s: %s has no node %s", h->cpus, h->text, conf, h->text);
		rc = -ENOENT;
	} else if (!found->cpu) {
		say("--cpus %u@%s: node %s lends memory alone: %s does not give it the role cpu", h->cpus, h->text, h->text, conf);
		rc = -EINVAL;
	} else {
		snprintf(h->name, sizeof(h->name), "%s", found->addr);
		if (port_at(h->name))
			*port_at(h->name) = 0;
	}
	free(nodes);
	return rc;
}

static void ip_text(const struct sockaddr_storage *sa, char text[64], bool *loopback)
{
	const struct sockaddr_in6 *in6 = (const void *)sa;
	const struct sockaddr_in *in = (const void *)sa;
	char ip[INET6_ADDRSTRLEN] = "";

	if (sa->ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof(ip));
		snprintf(text, 64, "[%s]", ip);
		*loopback = IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
	} else {
		inet_ntop(AF_INET, &in->sin_addr, text, 64);
		*loopback = ntohl(in->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	}
}

static int host_look(const struct run_hosts_options *o, struct run_host *h, bool *loopback)
{
	struct sockaddr_storage sa;
	const char *why = "neither a host's name nor an address";
	struct addr addr;
	socklen_t bytes;
	char *colon;
	int rc = 0;

	h->port = o->port ? o->port : PORT;
	if (is_number(h->text)) {
		rc = conf_look(o, h);
		if (rc)
			return rc;
	} else {
		memcpy(h->name, h->text, sizeof(h->name));
		colon = port_at(h->name);
		if (colon) {
			h->port = is_number(colon + 1) && strlen(colon + 1) < 6 ? (unsigned)strtoul(colon + 1, NULL, 10) : 0;
			*colon = 0;
		}
	}
	rc = !h->port || h->port > 65535 ? -EINVAL : addr_parse(h->name, &addr);
	if (!rc)
		rc = addr_resolve(&addr, &sa, &bytes, &why);
	if (rc) {
		say("--cpus %u@%s: %s", h->cpus, h->text, why);
		return rc;
	}
	ip_text(&sa, h->ip, loopback);
	return 0;
}

static bool is_own(const char *ip)
{
	struct ifaddrs *list, *i;
	bool own = false;

	if (getifaddrs(&list))
		return false;
	for (i = list; i; i = i->ifa_next) {
		bool loopback;
		char text[64];

		if (!i->ifa_addr || (i->ifa_addr->sa_family != AF_INET && i->ifa_addr->sa_family != AF_INET6))
			continue;
		ip_text((const void *)i->ifa_addr, text, &loopback);
		own |= !strcmp(text, ip);
	}
	freeifaddrs(list);
	return own;
}

static int hosts_look(struct hosts *h)
{
	struct run_cpus *c = &h->c;
	int here = -1, there = -1;

	for (unsigned i = 0; i < c->hosts; i++) {
		bool loopback = false;
		int rc = host_look(h->o, &c->host[i], &loopback);

		if (rc)
			return rc;
		h->local[i] = loopback || is_own(c->host[i].ip);
		*(loopback ? &here : &there) = (int)i;
		for (unsigned k = 0; k < i; k++) {
			if (strcmp(c->host[i].ip, c->host[k].ip) || c->host[i].port != c->host[k].port)
				continue;
			say("--cpus: %s and %s are both %s:%u", c->host[k].text, c->host[i].text, c->host[i].ip, c->host[i].port);
			return -EINVAL;
		}
	}
	if (here >= 0 && there >= 0) {
		say("--cpus: %s is %s here, which %s cannot reach: give the address that others reach it at", c->host[here].text,
		    c->host[here].ip, c->host[there].text);
		return -EINVAL;
	}
	return 0;
}

/* ---- a host's command line ---- */

/* In the kernel mode: with the region in place of what the command line has for RAM. */
static int line_in_region(const struct hosts *h, char **given, char ***line)
{
	static const char *const no_configs[RUN_CONFIGS_MAX];
	static char texts[RUN_REGIONS_MAX][REGION_PATH];
	const char *paths[RUN_REGIONS_MAX];
	struct run_args a;
	int rc = run_config_read(&a, given, false);

	for (unsigned i = 0; i < a.rams && !rc; i++) {
		snprintf(texts[i], REGION_PATH, run_args_ram_has_suffix(&a, i) ? "/dev/gvm/%s.%s" : "/dev/gvm/%s", h->o->region,
			 a.ram[i].id);
		paths[i] = texts[i];
	}
	if (!rc)
		rc = run_args_build(&a, paths, no_configs, line);
	run_args_deinit(&a);
	return rc;
}

static int print(const struct hosts *h)
{
	printf("# Before, on each host: a QEMU that qemu/build has made, and the same key in %s%s%s\n", h->key,
	       h->o->region ? "; gvm dsm join " : "; the RAM's file, which all of them share", h->o->region ? h->o->region : "");
	for (unsigned node = 0; node < h->c.hosts; node++) {
		const struct run_host *host = &h->c.host[node];
		char **given, **line = NULL, *text, of[32];
		int rc = run_cpus_build(&h->c, &h->args, node, h->key, &given);

		if (rc)
			return rc;
		rc = h->o->region ? line_in_region(h, given, &line) : 0;
		text = rc ? NULL : run_cpus_shell(line ? line : given);
		run_cpus_of(&h->c, node, of);
		if (text)
			printf("# Node %u, %s (%s): vCPU%s %s%s\n%s\n", node, host->text, host->ip, host->cpus > 1 ? "s" : "", of,
			       node ? "" : ", and all devices", text);
		free(text);
		run_args_free_argv(line);
		run_args_free_argv(given);
		if (!text)
			return rc ? rc : -ENOMEM;
	}
	return 0;
}

/* QEMU would say that it cannot read it, but neither how it is made, nor that others can read it. */
static bool key_check(const char *path)
{
	uint8_t *key;
	size_t bytes;
	int rc = gvm_key_load(path, &key, &bytes);

	if (rc == -ENOENT)
		say("--key %s: %s: umask 077; head -c 32 /dev/urandom | base64 > %s on one host, and copy it to the others", path,
		    gvm_key_error(rc), path);
	else if (rc)
		say("--key %s: %s", path, gvm_key_error(rc));
	if (!rc) {
		explicit_bzero(key, bytes);
		free(key);
	}
	return !rc;
}

/* Becomes that node's QEMU. Returns only where that fails. */
static int become(struct hosts *h, unsigned node)
{
	const char *why;
	struct run_args a;
	char **line;

	if (!key_check(h->key))
		return 1;
	if (run_cpus_build(&h->c, &h->args, node, h->key, &line)) {
		say("%s", strerror(ENOMEM));
		return 1;
	}
	why = h->o->region && h->args.accel == RUN_ACCEL_KVM && !h->o->force ? run_walks_write(RUN_WALKS_MODULES) : NULL;
	if (why) {
		say("%s", why);
		return 1;
	}
	if (h->o->region) {
		if (!run_config_read(&a, line, false))
			run_kernel(&a, h->o->region, a.accel == RUN_ACCEL_KVM ? "KVM" : "TCG");
		return 1;
	}
	execvp(line[0], line);
	say("%s: cannot be started: %s", line[0], strerror(errno));
	return 1;
}

/* ---- all of them ---- */

/* "4@10.0.0.1:9998,...", to be freed. */
static char *cpus_text(const struct run_cpus *c)
{
	size_t room = c->hosts * 96 + 1, bytes = 0;
	char *text = malloc(room);

	for (unsigned i = 0; text && i < c->hosts; i++)
		bytes += (size_t)snprintf(text + bytes, room - bytes, "%s%u@%s:%u", i ? "," : "", c->host[i].cpus, c->host[i].ip,
					  c->host[i].port);
	return text;
}

/* What a shell on that host is given. sshd tells a command without a terminal nothing when the connection ends, so that it ends
 * with its parent, which is sshd. */
static char *remote_text(const struct hosts *h, unsigned node, char *const argv[])
{
	char number[16], *cpus = cpus_text(&h->c), *text = NULL;
	const char **words;
	int n = 0, count = 0;

	while (argv[count])
		count++;
	words = calloc((size_t)count + 24, sizeof(*words));
	snprintf(number, sizeof(number), "%u", node);
	if (cpus && words) {
		const char *const own[] = {"exec", "setpriv", "--pdeathsig", "TERM", "gvm", "run", "--cpus", cpus, "--node", number,
					   "--key", h->key, NULL};

		for (n = 0; own[n]; n++)
			words[n] = own[n];
		if (h->o->region) {
			words[n++] = "--region";
			words[n++] = h->o->region;
		}
		if (h->o->force)
			words[n++] = "--force";
		words[n++] = "--";
		memcpy(words + n, argv, (size_t)count * sizeof(*words));
		text = run_cpus_shell((char *const *)words);
	}
	free(words);
	free(cpus);
	return text;
}

__attribute__((noreturn)) static void child(struct hosts *h, unsigned node, char **argv, const sigset_t *mask, pid_t parent)
{
	char name[RUN_HOST_TEXT], *text;
	int null;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(127);
	if (node) { /* the terminal is the guest's, where its devices are; as are the signals of its keys */
		setpgid(0, 0);
		null = open("/dev/null", O_RDONLY);
		dup2(null, STDIN_FILENO);
		dup2(h->said, STDOUT_FILENO);
	}
	dup2(h->said, STDERR_FILENO);
	sigprocmask(SIG_SETMASK, mask, NULL);
	if (h->local[node])
		_exit(become(h, node));
	/* ssh knows no brackets */
	snprintf(name, sizeof(name), "%s", h->c.host[node].name + (*h->c.host[node].name == '['));
	name[strcspn(name, "]")] = 0;
	text = remote_text(h, node, argv);
	if (text)
		execlp("ssh", "ssh", "-T", "-o", "BatchMode=yes", "--", name, text, NULL);
	say("ssh: cannot be started: %s", strerror(errno));
	_exit(127);
}

static void all_tell(const struct hosts *h, int signal)
{
	for (unsigned node = 0; node < h->c.hosts; node++)
		if (h->pid[node])
			kill(h->pid[node], signal);
}

/* Takes what has ended. Whether any is left. */
static bool all_reap(struct hosts *h)
{
	bool left = false;

	for (unsigned node = 0; node < h->c.hosts; node++) {
		int status, code;

		if (h->pid[node] && waitpid(h->pid[node], &status, WNOHANG) == h->pid[node]) {
			h->pid[node] = 0;
			code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
			if (code)
				say("node %u, %s: ended with status %d", node, h->c.host[node].text, code);
			if (h->status < 0 || !node)
				h->status = code;
		}
		left |= h->pid[node] != 0;
	}
	return left;
}

/* Shows what they say. Returns a signal that has come, or 0 after a second. */
static int all_listen(struct hosts *h, int signals)
{
	struct pollfd ready[RUN_CPUS_MAX + 1] = {{.fd = signals, .events = POLLIN}};
	struct signalfd_siginfo came;

	for (unsigned i = 0; i < h->c.hosts; i++)
		ready[i + 1] = (struct pollfd){.fd = h->relay[i].fd, .events = POLLIN};
	poll(ready, h->c.hosts + 1, LISTEN_MS);
	for (unsigned i = 0; i < h->c.hosts; i++)
		if (ready[i + 1].revents)
			run_relay_take(&h->relay[i]);
	return ready[0].revents && read(signals, &came, sizeof(came)) == sizeof(came) ? (int)came.ssi_signo : 0;
}

/* Until all have ended. What ends one ends all by itself, if it has begun; else it is told to. */
static void all_watch(struct hosts *h, int signals)
{
	uint64_t end_ns = 0;

	while (all_reap(h)) {
		int signal = all_listen(h, signals);

		if (signal > 0 && signal != SIGCHLD && h->pid[0])
			kill(h->pid[0], signal);
		else if (signal > 0 && signal != SIGCHLD)
			all_tell(h, SIGTERM);
		if (h->status >= 0 && !end_ns)
			end_ns = gvm_now_ns() + (h->status ? FAILED_NS : END_NS);
		if (end_ns && gvm_now_ns() > end_ns)
			all_tell(h, SIGTERM);
	}
	for (unsigned i = 0; i < h->c.hosts; i++)
		run_relay_close(&h->relay[i]);
}

/* Its process, or a negative errno. */
static pid_t begin(struct hosts *h, unsigned node, char **argv, const sigset_t *mask, pid_t parent)
{
	pid_t pid;
	int err;

	h->said = run_relay_open(&h->relay[node], h->c.host[node].text);
	if (h->said < 0)
		return h->said;
	pid = fork();
	if (pid == 0)
		child(h, node, argv, mask, parent);
	err = errno;
	close(h->said);
	return pid < 0 ? -err : pid;
}

/* The others first: where one cannot be begun, no guest has. */
static int run_all(struct hosts *h, char **argv)
{
	pid_t parent = getpid();
	sigset_t set, before;
	int signals;

	signal(SIGCHLD, SIG_DFL); /* a parent may have had it ignored: then no child's end is told */
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, &before);
	signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0) {
		say("signalfd: %s", strerror(errno));
		return 1;
	}
	h->status = -1;
	for (unsigned i = 0; i < h->c.hosts; i++)
		h->relay[i].fd = -1;
	for (unsigned i = h->c.hosts; i-- > 0 && h->status < 0;) {
		h->pid[i] = begin(h, i, argv, &before, parent);
		if (h->pid[i] < 0) {
			say("node %u, %s: cannot be begun: %s", i, h->c.host[i].text, strerror(-h->pid[i]));
			h->pid[i] = 0;
			h->status = 1;
		}
	}
	all_watch(h, signals);
	close(signals);
	return h->status;
}

/* ---- */

/* The hosts' memory is one: a region of the kernel mode, or a file that they share by other means. */
static int ram_check(const struct hosts *h)
{
	for (unsigned i = 0; i < h->args.rams && !h->o->region; i++) {
		if (h->args.ram[i].file && h->args.ram[i].shared)
			continue;
		say("--cpus needs --region NAME (gvm dsm), or the RAM in a file that all hosts share: -object "
		    "memory-backend-file,share=on,mem-path=FILE,... and -machine memory-backend=");
		return -EINVAL;
	}
	return 0;
}

static int look(struct hosts *h, char **argv)
{
	char err[RUN_ERR_TEXT];
	int rc = run_cpus_parse(&h->c, h->o->cpus, err);

	if (rc) {
		say("%s", err);
		return rc;
	}
	if (h->c.hosts < 2) {
		say("--cpus %s: one host needs no --cpus", h->o->cpus);
		return -EINVAL;
	}
	if (h->o->node >= (int)h->c.hosts) {
		say("--node %d: --cpus has nodes 0 to %u", h->o->node, h->c.hosts - 1);
		return -EINVAL;
	}
	rc = run_config_read(&h->args, argv, false);
	if (rc)
		return rc;
	if (h->args.probe) {
		say("this command line only asks QEMU something: leave out --cpus");
		return -EINVAL;
	}
	rc = run_cpus_check(&h->c, &h->args, err);
	if (rc) {
		say("%s", err);
		return rc;
	}
	rc = ram_check(h);
	return rc ? rc : hosts_look(h);
}

int run_hosts(const struct run_hosts_options *o, char **argv)
{
	static struct hosts h;
	int rc, status = 1;

	h.o = o;
	h.key = o->key ? o->key : KEY;
	rc = look(&h, argv);
	if (!rc && o->node >= 0) {
		status = become(&h, (unsigned)o->node);
	} else if (!rc && o->ssh) {
		status = run_all(&h, argv);
	} else if (!rc) {
		rc = print(&h);
		status = rc ? 1 : 0;
		if (rc)
			say("%s", strerror(-rc));
	}
	run_args_deinit(&h.args);
	return status;
}
