// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gvm run - an existing QEMU command line with its RAM in regions of a gvmfs mount.
 *
 * In order: read the command line (args), make the regions (region), make the group
 * (memcg), start QEMU in it (child), keep it within the budget until it ends (watch). Then
 * the group goes first, the regions after it: what waits for a memory node must not keep the group.
 * The kernel mode has neither: there this process becomes QEMU (kernel).
 */
#include "args.h"
#include "argv.h"
#include "balance.h"
#include "budget.h"
#include "child.h"
#include "config.h"
#include "cpus.h"
#include "ending.h"
#include "fast.h"
#include "figures.h"
#include "file.h"
#include "gvm.h"
#include "gvmfs/gvm_mount.h"
#include "hosts.h"
#include "kernel.h"
#include "limit.h"
#include "machine.h"
#include "memcg.h"
#include "memnode/clock.h"
#include "memnode/size.h"
#include "mounts.h"
#include "region.h"
#include "say.h"
#include "watch.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static const char help_text[] =
	"usage: gvm run --local SIZE|MIN..MAX|auto [OPTION ...] -- QEMU [ARGUMENT ...]\n"
	"       gvm run [--mode kernel] --region NAME -- QEMU [ARGUMENT ...]\n"
	"       gvm run --cpus N@HOST,N@HOST... [--region NAME] [--node N | --ssh]\n"
	"               [--conf FILE] [--key FILE] [--port PORT] [--force]\n"
	"               -- QEMU [ARGUMENT ...]\n"
	"\n"
	"Runs a QEMU command line, unmodified, with its RAM in a region: of a gvmfs\n"
	"mount, or, in the kernel mode, one that several hosts share (gvm dsm).\n"
	"\n"
	"  --local SIZE   the budget: how much of the RAM may be on this host at a time\n"
	"                 (at least 16M; the suffixes are those of QEMU's -m); between\n"
	"                 two limits it follows what the guest needs and the host has;\n"
	"                 auto: between 16M and all of the RAM\n"
	"  --mode MODE    how QEMU gets at its RAM: uffd (the fast path), fuse (as a\n"
	"                 mapped file), kernel (from /dev/giantvm, without a budget), or\n"
	"                 auto (default): uffd where that is safe; without --local kernel\n"
	"  --mount DIR    the gvmfs mount, or a folder in it (default: the only one)\n"
	"  --region NAME  the region's name; it is kept at the end, and used again when\n"
	"                 it is there and has the size asked for\n"
	"  --keep         keep the region although it was not named\n"
	"  --take-over    with --region and QEMU's -incoming: the guest of a gvm run that\n"
	"                 still has the region goes on in this QEMU (mode fuse)\n"
	"  --cpus LIST    how many of the guest's vCPUs run on which host: N@HOST,...;\n"
	"                 prints the command line of each host's QEMU, a patched one; the\n"
	"                 first has all devices. A host is a name or an address, with\n"
	"                 :PORT if it has its own; or the number of a node of --conf\n"
	"  --node N       run the QEMU of the N-th host, from 0, here\n"
	"  --ssh          run all of them: on other hosts by ssh, where gvm has to be\n"
	"  --conf FILE    the nodes of gvm dsm (default: /etc/gvm/cluster.conf)\n"
	"  --key FILE     a secret that the QEMUs prove to each other, the same on all\n"
	"                 hosts (default: /etc/gvm/key)\n"
	"  --port PORT    on which the QEMUs meet (default: 9998)\n"
	"  --force        run a QEMU here although the processor writes to page tables\n"
	"                 as it walks them, which hosts would fight for\n"
	"  --help         show this text\n";

struct run {
	uint64_t min_bytes, max_bytes; /* the budget's limits: the same, where it is a fixed one */
	enum run_mode mode;
	const char *mount, *name;
	bool keep, take_over;
	struct run_hosts_options hosts; /* cpus NULL: one host */
	char dir[PATH_MAX];
	struct run_args args;
	struct run_region region[RUN_REGIONS_MAX];
	unsigned regions;
	char **argv;
	struct memcg cg;
	struct run_budget budget;
	struct run_figures figures;
	uint64_t oom_kills;
	const char *why_fuse; /* where that is known before QEMU runs */
};

/* SIZE, MIN..MAX or "auto". 0 or a negative errno. */
static int local_parse(struct run *r, const char *text)
{
	if (strcmp(text, "auto"))
		return size_parse_limits(text, &r->min_bytes, &r->max_bytes);
	r->min_bytes = RUN_BUDGET_MIN;
	r->max_bytes = INT64_MAX;
	return 0;
}

static bool number_parse(const char *text, unsigned long most, unsigned long *number)
{
	char *end;

	*number = strtoul(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && *number <= most;
}

/* An option of --cpus. False: another one, or wrong, which has been said. */
static bool hosts_option(struct run *r, int c)
{
	unsigned long number = 0;

	switch (c) {
	case 'c':
		r->hosts.cpus = optarg;
		return true;
	case 'n':
		if (!number_parse(optarg, RUN_CPUS_MAX - 1, &number)) {
			say("--node %s: not the number of a host of --cpus, from 0", optarg);
			return false;
		}
		r->hosts.node = (int)number;
		return true;
	case 's':
		r->hosts.ssh = true;
		return true;
	case 'F':
		r->hosts.force = true;
		return true;
	case 'f':
		r->hosts.conf = optarg;
		return true;
	case 'y':
		r->hosts.key = optarg;
		return true;
	case 'p':
		if (!number_parse(optarg, 65535, &number) || !number) {
			say("--port %s: not a port", optarg);
			return false;
		}
		r->hosts.port = (unsigned)number;
		return true;
	default:
		return false;
	}
}

/* Whether the options of --cpus go together; `other`: there are some of a single host's guest. */
static bool hosts_agree(struct run *r, bool other)
{
	r->hosts.region = r->name;
	if (!r->hosts.cpus)
		say("--node, --ssh, --conf, --key, --port and --force belong to --cpus");
	else if (r->hosts.ssh && r->hosts.node >= 0)
		say("--node runs one host's QEMU, and --ssh all of them");
	else if (other)
		say("--cpus takes --region, a region of the kernel mode, and none of --local, --mount, --keep and --take-over");
	else
		return true;
	return false;
}

/* Returns the index of QEMU's name in argv, or the negated exit status - 1. */
static int options_read(struct run *r, int argc, char **argv)
{
	static const struct option longs[] = {
		{"local", required_argument, NULL, 'l'},  {"mount", required_argument, NULL, 'm'},
		{"mode", required_argument, NULL, 'o'},
		{"region", required_argument, NULL, 'r'}, {"keep", no_argument, NULL, 'k'},
		{"take-over", no_argument, NULL, 't'},	  {"help", no_argument, NULL, 'h'},
		{"cpus", required_argument, NULL, 'c'},	  {"node", required_argument, NULL, 'n'},
		{"ssh", no_argument, NULL, 's'},	  {"conf", required_argument, NULL, 'f'},
		{"force", no_argument, NULL, 'F'},
		{"key", required_argument, NULL, 'y'},	  {"port", required_argument, NULL, 'p'},
		{NULL, 0, NULL, 0}};
	bool local_given = false, of_hosts = false;
	int c;

	optind = 1;
	while ((c = getopt_long(argc, argv, "+h", longs, NULL)) != -1) {
		switch (c) {
		case 'l':
			local_given = true;
			if (local_parse(r, optarg)) {
				say("--local %s: neither a size, nor two limits, the smaller one first (1G..8G), nor auto", optarg);
				return -1 - EXIT_USAGE;
			}
			break;
		case 'o':
			if (run_mode_parse(optarg, &r->mode)) {
				say("--mode %s: must be auto, fuse, uffd or kernel", optarg);
				return -1 - EXIT_USAGE;
			}
			break;
		case 'm':
			r->mount = optarg;
			break;
		case 'r':
			r->name = optarg;
			break;
		case 'k':
			r->keep = true;
			break;
		case 't':
			r->take_over = true;
			break;
		case 'h':
			fputs(help_text, stdout);
			return -1;
		default:
			if (!hosts_option(r, c))
				return -1 - EXIT_USAGE;
			of_hosts = true;
		}
	}
	if (optind == argc) {
		say("no QEMU command line after --");
		return -1 - EXIT_USAGE;
	}
	if (of_hosts) {
		bool other = local_given || r->mount || r->keep || r->take_over ||
			     (r->mode != RUN_MODE_AUTO && (r->mode != RUN_MODE_KERNEL || !r->name));

		return hosts_agree(r, other) ? optind : -1 - EXIT_USAGE;
	}
	if (r->take_over && (!r->name || (r->mode != RUN_MODE_AUTO && r->mode != RUN_MODE_FUSE))) {
		say("--take-over needs --region, and works in mode fuse only");
		return -1 - EXIT_USAGE;
	}
	if (r->take_over)
		r->mode = RUN_MODE_FUSE;
	if (r->mode == RUN_MODE_AUTO && !local_given && !r->mount && r->name &&
	    run_kernel_possible(r->name))
		r->mode = RUN_MODE_KERNEL;
	if (r->mode == RUN_MODE_KERNEL) {
		if (r->name && !local_given && !r->mount)
			return optind;
		say("--mode kernel needs --region, and takes neither --local nor --mount: the "
		    "module's parameter cache_mb bounds what stays on this host");
		return -1 - EXIT_USAGE;
	}
	if (r->min_bytes < RUN_BUDGET_MIN) {
		say("--local SIZE is needed, and at least 16M%s",
		    r->name && !access("/dev/giantvm", F_OK) ?
			    "; or, if it is a region of the kernel mode: gvm dsm join NAME first" : "");
		return -1 - EXIT_USAGE;
	}
	if (r->name && (!*r->name || *r->name == '.' || strchr(r->name, '/') ||
			strlen(r->name) >= RUN_REGION_NAME)) {
		say("--region %s: not a valid name for a region", r->name);
		return -1 - EXIT_USAGE;
	}
	return optind;
}

/* NAME.ID would be a view of the region NAME: gvmfs(8). */
static bool is_of_view(const char *id)
{
	return !strcmp(id, "core") || !strcmp(id, "low") || !strcmp(id, "high");
}

/* Region i's path: where there are several, with its backend's id behind the name. */
static int region_path(const struct run *r, const char *name, unsigned i, char path[PATH_MAX])
{
	char id[RUN_REGION_NAME];
	int n;

	run_region_name(r->args.ram[i].id, 0, id);
	n = snprintf(path, PATH_MAX,
		     !run_args_ram_has_suffix(&r->args, i) ? "%s/%s" :
		     is_of_view(id)			   ? "%s/%s.ram-%s" :
							     "%s/%s.%s",
		     r->dir, name, id);
	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* A region of its own for ram i, or what the command line itself names for it. */
static int region_open_as(struct run *r, const char *name, unsigned i)
{
	const struct run_ram *ram = &r->args.ram[i];
	char path[PATH_MAX];
	int rc;

	if (ram->kept && !ram->shared)
		return run_file_hold(&r->region[i], ram->file, ram->bytes);
	if (ram->kept)
		return run_region_open(&r->region[i], ram->file, ram->bytes, RUN_REGION_REUSE);
	rc = region_path(r, name, i, path);
	return rc ? rc : run_region_open(&r->region[i], path, ram->bytes,
					 r->take_over ? RUN_REGION_TAKE_OVER :
					 r->name      ? RUN_REGION_REUSE :
					 r->keep      ? RUN_REGION_NEW :
							RUN_REGION_TEMPORARY);
}

static int regions_open_as(struct run *r, const char *name)
{
	int rc = 0;

	for (r->regions = 0; r->regions < r->args.rams; r->regions++) {
		rc = region_open_as(r, name, r->regions);
		if (rc)
			return rc;
	}
	return 0;
}

static void regions_close(struct run *r)
{
	while (r->regions)
		run_region_close(&r->region[--r->regions]);
}

/* Before any region is made: what becomes of the files that the command line names. */
static int files_decide(struct run *r)
{
	char path[PATH_MAX], err[RUN_FILE_ERR_TEXT];
	int rc = 0;

	for (unsigned i = 0; i < r->args.rams && !rc; i++) {
		rc = r->name ? region_path(r, r->name, i, path) : 0;
		if (!rc)
			rc = run_file_decide(&r->args, i, r->name ? path : NULL, err);
		else
			snprintf(err, sizeof(err), "%s: %s", r->name, strerror(-rc));
	}
	if (rc)
		say("%s", rc == -ENOMEM ? strerror(ENOMEM) : err);
	return rc;
}

static int regions_open(struct run *r)
{
	char name[RUN_REGION_NAME], longer[RUN_REGION_NAME + 16];
	int rc;

	if (r->name)
		return regions_open_as(r, r->name);
	run_region_name(r->args.guest, getpid(), name);
	rc = regions_open_as(r, name);
	if (rc != -EEXIST)
		return rc;
	/* another guest of that name, or a region that was kept */
	regions_close(r);
	snprintf(longer, sizeof(longer), "%s-%d", name, getpid());
	rc = regions_open_as(r, longer);
	if (rc == -EEXIST)
		say("%s/%s exists already", r->dir, longer);
	return rc;
}

/* Where it is will be of use to who looks into the guest: gvm inspect. */
static void low_tell(const struct run *r)
{
	unsigned long long before = 0, low = r->args.low_bytes;
	char text[64];

	for (unsigned i = 0; i < r->regions && low; i++) {
		const struct run_ram *ram = &r->args.ram[i];
		int n;

		if (ram->plugged && ram->gpa < RUN_HIGH_GPA)
			continue;
		if (ram->plugged) /* as if all from 4 GiB up to it were RAM, too */
			before = low + (ram->gpa - RUN_HIGH_GPA);
		n = snprintf(text, sizeof(text), "low %llu\nbefore %llu", low, before);
		setxattr(r->region[i].path, GVM_XATTR_CORE, text, (size_t)n, 0);
		before += r->region[i].bytes;
	}
}

static int argv_build(struct run *r)
{
	const char *path[RUN_REGIONS_MAX];

	for (unsigned i = 0; i < r->regions; i++)
		path[i] = r->region[i].path;
	return run_config_build(&r->args, path, &r->argv);
}

/* KVM or TCG, as QEMU is going to choose, and why. */
static void accel_text(enum run_accel accel, char *text, size_t size)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), error = errno;

	if (fd >= 0)
		close(fd);
	if (accel == RUN_ACCEL_OTHER)
		snprintf(text, size, "another accelerator");
	else if (accel == RUN_ACCEL_TCG)
		snprintf(text, size, "TCG%s",
			 fd >= 0 ? " (/dev/kvm is usable, but not asked for: -accel kvm)" : "");
	else if (fd >= 0)
		snprintf(text, size, "KVM");
	else
		snprintf(text, size, "%s (/dev/kvm: %s)",
			 accel == RUN_ACCEL_KVM ? "KVM, which will fail" : "TCG", strerror(error));
}

static uint64_t ram_bytes(const struct run *r)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < r->regions; i++)
		bytes += r->region[i].bytes;
	return bytes;
}

/* Where it moves it is no more than all of the RAM. */
static uint64_t max_bytes(const struct run *r)
{
	uint64_t ram = ram_bytes(r) > r->min_bytes ? ram_bytes(r) : r->min_bytes;

	return r->min_bytes == r->max_bytes || r->max_bytes < ram ? r->max_bytes : ram;
}

/* "at most 1 GiB", or "1 GiB to 8 GiB, as it needs them,". */
static const char *local_text(const struct run *r, char *text, size_t size)
{
	char min[SIZE_TEXT], max[SIZE_TEXT];

	size_text(r->min_bytes, min);
	size_text(max_bytes(r), max);
	if (r->min_bytes == r->max_bytes)
		snprintf(text, size, "at most %s", max);
	else
		snprintf(text, size, "%s to %s, as it needs them,", min, max);
	return text;
}

static void say_start(const struct run *r)
{
	char accel[128], ram[SIZE_TEXT], local[128];

	for (unsigned i = 0; i < r->args.notes.count; i++)
		say("%s", r->args.notes.text[i]);
	if (r->args.setuid_helper && run_child_loses_privileges())
		say("without root, programs that QEMU starts cannot gain privileges: a setuid "
		    "network helper will fail");
	accel_text(r->args.accel, accel, sizeof(accel));
	if (r->why_fuse)
		say("mode fuse, since %s", r->why_fuse);
	say("%s; %s of RAM in %s%s, %s of it on this host", accel,
	    size_text(ram_bytes(r), ram), r->region[0].path, r->regions > 1 ? " and others" : "",
	    local_text(r, local, sizeof(local)));
}

/* Makes the group, with its first limit. */
static int group_make(struct run *r)
{
	char err[MEMCG_ERR_TEXT];
	int rc = memcg_create(&r->cg, "gvm-run", err);

	if (rc) {
		say("%s", err);
		return rc;
	}
	memcg_forbid_swap(&r->cg);
	memcg_wait_on_oom(&r->cg);
	run_budget_init(&r->budget, run_balance_local(), gvm_now_ns());
	rc = memcg_limit(&r->cg, r->budget.limit_bytes, max_bytes(r) / 2 + RUN_BUDGET_START);
	if (rc) {
		say("%s cannot be limited: %s", r->cg.path, strerror(-rc));
		memcg_remove(&r->cg);
	}
	return rc;
}

/* Runs QEMU in its group. The wait status, or a negative errno if it never ran (said). */
static int qemu_run(struct run *r)
{
	const char *step;
	sigset_t mask;
	int status, rc;

	rc = run_watch_begin(&mask);
	if (!rc)
		rc = group_make(r);
	if (rc) {
		run_watch_end(&mask);
		return rc;
	}
	say_start(r);
	run_figures_begin(&r->figures, r->region, r->regions, r->budget.limit_bytes);
	status = run_child_start(r->argv, &r->cg, &mask, &step);
	if (status < 0) {
		say("%s: %s: %s", r->argv[0], step, strerror(-status));
	} else {
		run_balance_watch(status);
		status = run_watch(status, &r->cg, &r->budget, &r->figures, &r->oom_kills);
		run_balance_end();
	}
	run_figures_end(&r->figures, &r->cg);
	rc = memcg_remove(&r->cg);
	if (rc)
		say("%s cannot be removed: %s", r->cg.path, strerror(-rc));
	if (run_limit_waits())
		say("the kernel still takes pages of the guest back, and waits for a memory node: this ends when the node is "
		    "back");
	run_ending_begin(r->region, r->regions);
	return status;
}

static int fast_prepare(struct run *r)
{
	bool templates = false;
	int rc = 0;

	for (unsigned i = 0; i < r->regions && !rc; i++) {
		if (!r->args.ram[i].kept || r->args.ram[i].shared)
			continue;
		templates = true;
		rc = run_file_announce(&r->region[i]);
	}
	if (templates && r->mode == RUN_MODE_UFFD) {
		say("--mode uffd: RAM that is mapped privately from a file cannot take the fast path");
		return -EOPNOTSUPP;
	}
	if (!rc)
		rc = run_fast_prepare(r->mode, r->argv[0], templates, &r->why_fuse);
	if (rc) {
		say("--mode uffd: %s", r->why_fuse ? r->why_fuse : strerror(-rc));
		return rc;
	}
	for (unsigned i = 0; i < r->regions && !rc; i++)
		if (!r->args.ram[i].kept || r->args.ram[i].shared)
			rc = run_balance_add(r->region[i].path, r->region[i].bytes, r->region[i].fd);
	if (!rc)
		rc = run_balance_begin(r->dir, r->min_bytes, r->max_bytes, r->mode == RUN_MODE_UFFD);
	if (rc && r->mode == RUN_MODE_UFFD) {
		say("--mode uffd: %s takes no budget: %s", r->region[0].path, strerror(-rc));
		return rc;
	}
	return 0;
}

static int run(struct run *r)
{
	int status, rc;

	if (r->take_over && !r->args.incoming) {
		say("--take-over: the guest comes from another QEMU, for which this one needs -incoming");
		return -EINVAL;
	}
	rc = files_decide(r);
	if (!rc)
		rc = regions_open(r);
	if (!rc) {
		low_tell(r);
		rc = argv_build(r);
	}
	if (!rc)
		rc = fast_prepare(r);
	if (rc)
		return rc;
	status = qemu_run(r);
	if (status < 0)
		return status;
	for (unsigned i = 0; i < r->regions; i++) {
		r->region[i].keep |= r->name || r->keep;
		r->region[i].settled = run_balance_settled(r->region[i].path);
	}
	for (unsigned i = 0; i < r->regions; i++) {
		if (r->region[i].keep && !r->region[i].settled)
			fsync(r->region[i].fd); /* it counts too; an error is said when it is closed */
	}
	run_figures_say(&r->figures, r->oom_kills);
	return status;
}

/* There is no guest: QEMU answers as if we were not there. */
static int probe(char **argv)
{
	execvp(argv[0], argv);
	say("%s: cannot be started: %s", argv[0], strerror(errno));
	return 1;
}

static int run_in_mount(struct run *r)
{
	char err[MOUNTS_ERR_TEXT];
	int status, rc = mounts_find(r->mount, r->dir, err);

	if (rc) {
		say("%s", err);
		return 1;
	}
	status = run(r);
	while (r->regions)
		rc |= run_region_close(&r->region[--r->regions]);
	run_args_free_argv(r->argv);
	if (status < 0 || rc)
		return 1;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int cmd_run(int argc, char **argv)
{
	static struct run r = {.hosts = {.node = -1}};
	char accel[128];
	int first = options_read(&r, argc, argv), status;

	if (first < 0)
		return -1 - first;
	if (r.hosts.cpus)
		return run_hosts(&r.hosts, argv + first);
	if (run_config_read(&r.args, argv + first, r.mode == RUN_MODE_UFFD)) {
		status = 1;
	} else if (r.args.probe) {
		status = probe(argv + first);
	} else if (r.mode == RUN_MODE_KERNEL) {
		accel_text(r.args.accel, accel, sizeof(accel));
		status = run_kernel(&r.args, r.name, accel);
	} else {
		status = run_in_mount(&r);
	}
	run_args_deinit(&r.args);
	return status;
}
