// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gvm bench table - what each mode leaves of a guest's speed on this machine, with KVM and with TCG, and the three figures
 * by which tiers of memory are judged. gvm-bench(1) defines each. Nothing is said of a mode that cannot be had here but why.
 */
#include "table.h"

#include "budget.h"
#include "child.h"
#include "command.h"
#include "guest.h"
#include "memnode/gvm_client.h"
#include "memnode/size.h"
#include "say.h"
#include "stop.h"
#include "touch.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LOSS	   0.10
#define GOAL_US	   200.0
#define FRACTIONS  5u
#define ROUNDS_MAX 5u

static const char help_text[] =
	"usage: gvm bench table [--quick] [--json FILE] [--bindir DIR]\n"
	"\n"
	"Measures how much of its speed a guest keeps in each mode, with KVM and with\n"
	"TCG, beside the same guest in this host's memory: CPU, memory, and both. And how\n"
	"many guests fit at a loss of 10 %, how much of their budget is active memory\n"
	"then, and the 99th percentile of a remote fault. For modes that cannot be had\n"
	"here it says why. Needs root and qemu-system-x86_64.\n"
	"\n"
	"  --quick        once, and smaller: within 60 s\n"
	"  --json FILE    write the figures to FILE instead of printing a table\n"
	"  --bindir DIR   where gvmfs and gvm-memnode are (default: beside gvm, or PATH)\n"
	"  --help         show this text\n";

struct table_sizes {
	unsigned rounds, faults, ms, warm_ms;
	uint64_t set_bytes, file_bytes;
};

static const struct table_sizes full = {
	.rounds = 3, .faults = 900, .ms = 3000, .warm_ms = 6000, .set_bytes = 64 * MIB, .file_bytes = 256 * MIB};
static const struct table_sizes quick = {
	.rounds = 1, .faults = 240, .ms = 600, .warm_ms = 800, .set_bytes = 32 * MIB, .file_bytes = 64 * MIB};

static const char *const accels[] = {"kvm", "tcg"};
static const struct {
	const char *name, *mode; /* of gvm run; NULL: the kernel mode */
} modes[] = {
	{"memory-only, fast path", "uffd"},
	{"memory-only, mapped file", "fuse"},
	{"full-share", NULL},
};
#define MODES  (sizeof(modes) / sizeof(*modes))
#define ACCELS (sizeof(accels) / sizeof(*accels))

/* What a guest keeps of its speed, from 0 to 1. */
struct kept {
	double cpu, memory, both;
	char absent[BENCH_WHY]; /* why there are none */
	bool failed;		/* though they should be had */
};

struct table {
	struct table_sizes z;
	struct bench_peers *peers;
	struct kept kept[MODES][ACCELS];
	double density, active, fault_p99_us;
	char no_fast[BENCH_WHY];
};

/* Why there is no KVM; NULL: there is. */
static const char *kvm_absent(void)
{
	static char why[64];
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	bool is = fd >= 0 && ioctl(fd, KVM_GET_API_VERSION, 0) >= 0;

	snprintf(why, sizeof(why), "/dev/kvm: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	return is ? NULL : why;
}

static double middle(double *value, unsigned count)
{
	for (unsigned i = 1; i < count; i++)
		for (unsigned k = i; k && value[k - 1] > value[k]; k--) {
			double other = value[k];

			value[k] = value[k - 1];
			value[k - 1] = other;
		}
	return count % 2 ? value[count / 2] : (value[count / 2 - 1] + value[count / 2]) / 2;
}

static bool is_installed(const char *program)
{
	char copy[4096], path[PATH_MAX];
	const char *where = getenv("PATH");

	snprintf(copy, sizeof(copy), "%s", where ? where : "");
	for (char *dir = strtok(copy, ":"); dir; dir = strtok(NULL, ":")) {
		snprintf(path, sizeof(path), "%s/%s", dir, program);
		if (!access(path, X_OK))
			return true;
	}
	return false;
}

/* NULL: it can be had. */
static const char *mode_absent(const struct table *t, unsigned mode, unsigned accel)
{
	if (!modes[mode].mode)
		return access("/dev/giantvm", F_OK) ? "the kernel module giantvm_kvm is not loaded" :
						      "it takes several hosts: not measured from one";
	if (!is_installed("qemu-system-x86_64"))
		return "qemu-system-x86_64 is not installed";
	if (accel == 0 && kvm_absent())
		return kvm_absent();
	return !strcmp(modes[mode].mode, "uffd") && *t->no_fast ? t->no_fast : NULL;
}

/* The others go on. */
static void mode_fail(struct kept *k, int rc)
{
	snprintf(k->absent, sizeof(k->absent), "the guest failed: %s", strerror(-rc));
	k->failed = true;
}

/* A guest in this host's memory and one in each mode, in turn. 0 or -EINTR. */
static int accel_measure(struct table *t, unsigned accel)
{
	double cpu[MODES][ROUNDS_MAX] = {{0}}, memory[MODES][ROUNDS_MAX] = {{0}};

	for (unsigned i = 0; i < t->z.rounds; i++) {
		struct bench_guest g = {
			.set_bytes = t->z.set_bytes,
			.budget_bytes = t->z.set_bytes / 2,
			.ms = t->z.ms,
			.seed = i + 1,
		};
		struct bench_guest_pace local, ours;
		int first = bench_guest_run(t->peers, &g, accels[accel], NULL, &local); /* all of it is there at once */

		g.warm_ms = t->z.warm_ms;
		for (unsigned m = 0; m < MODES; m++) {
			int rc = first;

			if (*t->kept[m][accel].absent)
				continue;
			if (!rc)
				rc = bench_guest_run(t->peers, &g, accels[accel], modes[m].mode, &ours);
			if (bench_stopped())
				return -EINTR;
			if (rc) {
				mode_fail(&t->kept[m][accel], rc);
				continue;
			}
			cpu[m][i] = local.compute_ms / ours.compute_ms;
			memory[m][i] = local.access_us / ours.access_us;
		}
	}
	for (unsigned m = 0; m < MODES; m++) {
		struct kept *k = &t->kept[m][accel];

		if (*k->absent)
			continue;
		k->cpu = middle(cpu[m], t->z.rounds);
		k->memory = middle(memory[m], t->z.rounds);
		k->both = 2 / (1 / k->cpu + 1 / k->memory);
	}
	return 0;
}

static int modes_measure(struct table *t)
{
	int rc = 0;

	for (unsigned a = 0; a < ACCELS && !rc; a++) {
		bool some = false;

		for (unsigned m = 0; m < MODES; m++) {
			struct kept *k = &t->kept[m][a];
			const char *why = mode_absent(t, m, a);

			snprintf(k->absent, sizeof(k->absent), "%s", why ? why : "");
			some |= !why;
		}
		if (some)
			rc = accel_measure(t, a);
	}
	return rc;
}

/* The faults first: they show whether there is a fast path. */
static int faults_measure(struct table *t, struct bench_file *f)
{
	uint64_t *latency = calloc(t->z.faults, sizeof(*latency));
	double p99[ROUNDS_MAX] = {0};
	int rc = latency ? 0 : -ENOMEM;

	for (unsigned i = 0; i < t->z.rounds && !rc; i++) {
		unsigned n = 0;

		rc = bench_touch_random(f, t->z.faults, i + 1, latency, &n);
		p99[i] = (double)latency_rank(latency, n, 990) / 1e3;
	}
	free(latency);
	if (rc == -EOPNOTSUPP && *f->why) {
		snprintf(t->no_fast, sizeof(t->no_fast), "%s", f->why);
		return 0;
	}
	if (!rc)
		t->fault_p99_us = middle(p99, t->z.rounds);
	return rc;
}

/* How small a part of its set a program may have here, at most LOSS slower than with all of it. */
static int density_measure(struct table *t, struct bench_file *f)
{
	double local, us, loss = 0, before, part = 1, us_there;
	int rc = bench_budget_zipf_within(NULL, t->z.set_bytes, 0, t->z.ms, 1, &local);

	us_there = local;
	for (unsigned i = 1; i <= FRACTIONS && !rc && loss <= LOSS; i++) {
		uint64_t budget = t->z.set_bytes * (8 - i) / 8;

		rc = bench_budget_zipf_within(f, t->z.set_bytes, budget, t->z.ms, 1, &us);
		if (rc)
			break;
		before = loss;
		loss = us > local ? 1 - local / us : before;
		if (loss > LOSS)
			part -= (LOSS - before) / (loss - before) / 8;
		else
			part = (8.0 - i) / 8;
		us_there = loss > LOSS ? local / (1 - LOSS) : us;
	}
	if (rc)
		return rc;
	t->density = 1 / part;
	t->active = (double)bench_budget_zipf_active(t->z.set_bytes, 1, (uint64_t)(t->z.ms * 1e3 / us_there)) /
		    (part * (double)t->z.set_bytes);
	return 0;
}

static void table_print(const struct table *t)
{
	printf("what a guest keeps of its speed, half of its memory here:\n\n"
	       "mode                      accel    CPU  memory  overall\n");
	for (unsigned m = 0; m < MODES; m++)
		for (unsigned a = 0; a < ACCELS; a++) {
			const struct kept *k = &t->kept[m][a];

			printf("%-24s  %-5s  ", modes[m].name, a ? "TCG" : "KVM");
			if (*k->absent)
				printf("%s%s\n", k->failed ? "" : "absent: ", k->absent);
			else
				printf("%3.0f %%   %3.0f %%    %3.0f %%\n", 100 * k->cpu, 100 * k->memory, 100 * k->both);
		}
	if (*t->no_fast) {
		printf("\ndensity, active memory, remote fault: absent: %s\n", t->no_fast);
		return;
	}
	printf("\ndensity at 10 %% loss        %.2f times as many guests\n"
	       "active memory there         %.2f of the budget\n"
	       "remote fault, p99           %.0f us (goal: below %.0f: %s)\n", t->density, t->active, t->fault_p99_us, GOAL_US,
	       t->fault_p99_us < GOAL_US ? "reached" : "missed");
}

static struct json_object *kept_json(const struct kept *k, unsigned mode, unsigned accel)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "mode", json_object_new_string(modes[mode].name));
	json_object_object_add(o, "accel", json_object_new_string(accels[accel]));
	if (*k->absent) {
		json_object_object_add(o, k->failed ? "failed" : "absent", json_object_new_string(k->absent));
		return o;
	}
	json_object_object_add(o, "cpu", json_object_new_double(k->cpu));
	json_object_object_add(o, "memory", json_object_new_double(k->memory));
	json_object_object_add(o, "overall", json_object_new_double(k->both));
	return o;
}

static int json_write(const struct table *t, const char *path)
{
	struct json_object *all = json_object_new_object(), *list = json_object_new_array();
	int rc;

	for (unsigned m = 0; m < MODES; m++)
		for (unsigned a = 0; a < ACCELS; a++)
			json_object_array_add(list, kept_json(&t->kept[m][a], m, a));
	json_object_object_add(all, "modes", list);
	if (*t->no_fast) {
		json_object_object_add(all, "absent", json_object_new_string(t->no_fast));
	} else {
		json_object_object_add(all, "density", json_object_new_double(t->density));
		json_object_object_add(all, "active", json_object_new_double(t->active));
		json_object_object_add(all, "fault_p99_us", json_object_new_double(t->fault_p99_us));
	}
	rc = json_object_to_file_ext(path, all, JSON_C_TO_STRING_PRETTY) ? (errno ? -errno : -EIO) : 0;
	json_object_put(all);
	return rc;
}

static int measure(struct table *t, const char *bindir)
{
	const struct bench_sizes z = {.file_bytes = t->z.file_bytes};
	struct bench_file f = {.bytes = z.file_bytes, .fast = true};
	int rc = bench_peers_start_ours(t->peers, &z, bindir, z.file_bytes + 8 * t->z.set_bytes);

	if (rc)
		return rc;
	f.path = t->peers->gvmfs.file;
	rc = bench_touch_fill(&(struct bench_file){.path = f.path, .bytes = f.bytes}, 1);
	if (!rc)
		rc = faults_measure(t, &f);
	if (!rc && !*t->no_fast)
		rc = density_measure(t, &f);
	if (!rc)
		return modes_measure(t);
	if (!bench_stopped())
		say("measuring faults: %s", strerror(-rc));
	return rc;
}

static int run(struct table *t, const char *bindir, const char *json)
{
	int rc;

	t->peers = bench_peers_alloc();
	if (!t->peers)
		return -ENOMEM;
	rc = measure(t, bindir);
	bench_peers_stop(t->peers);
	if (rc)
		return rc;
	if (!json)
		table_print(t);
	else
		rc = json_write(t, json);
	if (rc)
		say("%s: %s", json, strerror(-rc));
	for (unsigned m = 0; m < MODES; m++)
		for (unsigned a = 0; a < ACCELS; a++)
			rc = t->kept[m][a].failed ? -EIO : rc;
	return rc;
}

int cmd_bench_table(int argc, char **argv)
{
	struct bench_command command;
	static struct table t;
	int status = bench_command_read(argc, argv, help_text, 0, &command);

	if (status >= 0)
		return status;
	t.z = command.quick ? quick : full;
	return run(&t, command.bindir, command.json) ? 1 : 0;
}
