// SPDX-License-Identifier: GPL-2.0-or-later
#include "cpus.h"

#include "argv.h"
#include "qemu_opts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_ID	 "gvm-key"
#define VCPUS_ID "gvm-vcpus"
#define FLASH	 "firmware in flash is a device of node 0's, and the others would have another: use -bios"
#define ADDED	 16 /* words that a command line gets more, at most */

__attribute__((format(printf, 3, 4))) static int refuse(char err[RUN_ERR_TEXT], int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, RUN_ERR_TEXT, fmt, ap);
	va_end(ap);
	return rc;
}

/* ---- the hosts ---- */

static int host_parse(struct run_cpus *c, const char *item, size_t bytes, char err[RUN_ERR_TEXT])
{
	struct run_host *h = &c->host[c->hosts];
	size_t digits = strspn(item, "0123456789"), host_bytes = bytes > digits ? bytes - digits - 1 : 0;
	unsigned long count = strtoul(item, NULL, 10); /* ULONG_MAX: more than that */

	if (!digits || !count || item[digits] != '@' || !host_bytes || host_bytes >= RUN_HOST_TEXT)
		return refuse(err, -EINVAL, "--cpus: '%.*s' is not COUNT@HOST", (int)bytes, item);
	if (count > RUN_CPUS_MAX - c->cpus)
		return refuse(err, -EINVAL, "--cpus: a guest has at most %d vCPUs", RUN_CPUS_MAX);
	c->cpus += (unsigned)count;
	memset(h, 0, sizeof(*h));
	memcpy(h->text, item + digits + 1, host_bytes);
	h->cpus = (unsigned)count;
	c->hosts++;
	return 0;
}

int run_cpus_parse(struct run_cpus *c, const char *text, char err[RUN_ERR_TEXT])
{
	int rc = 0;

	c->cpus = c->hosts = 0;
	do {
		size_t bytes = strcspn(text, ",");

		rc = host_parse(c, text, bytes, err);
		text += bytes;
	} while (!rc && *text++);
	return rc;
}

static unsigned first_of(const struct run_cpus *c, unsigned node)
{
	unsigned first = 0;

	for (unsigned i = 0; i < node; i++)
		first += c->host[i].cpus;
	return first;
}

void run_cpus_of(const struct run_cpus *c, unsigned node, char text[32])
{
	unsigned first = first_of(c, node), last = first + c->host[node].cpus - 1;

	if (first == last)
		snprintf(text, 32, "%u", first);
	else
		snprintf(text, 32, "%u-%u", first, last);
}

/* ---- what the command line says ---- */

static bool option_is(const struct run_option *o, const char *name)
{
	return !strcmp(o->name, name) || (!strcmp(name, "machine") && !strcmp(o->name, "M"));
}

/* The last value of a key of an option, copied to be freed; NULL: there is none. */
static char *option_value(const struct run_args *a, const char *name, const char *implied, const char *key)
{
	char *found = NULL;

	for (unsigned i = 0; i < a->options; i++) {
		struct qemu_opts o;

		if (!a->option[i].arg || !option_is(&a->option[i], name))
			continue;
		if (!qemu_opts_parse(&o, a->args[a->option[i].arg], implied) && qemu_opts_get(&o, key)) {
			free(found);
			found = strdup(qemu_opts_get(&o, key));
		}
		qemu_opts_deinit(&o);
	}
	return found;
}

static const char *option_text(const struct run_args *a, const char *name)
{
	const char *text = NULL;

	for (unsigned i = 0; i < a->options; i++)
		if (option_is(&a->option[i], name))
			text = a->option[i].arg ? a->args[a->option[i].arg] : "";
	return text;
}

/* Of -smp; 0: not given. As QEMU reads it, whatever its base. */
static int smp_value(const struct run_args *a, const char *key, unsigned *value, char err[RUN_ERR_TEXT])
{
	char *text = option_value(a, "smp", "cpus", key), *end = NULL;
	unsigned long n = text ? strtoul(text, &end, 0) : 0;
	int rc = 0;

	if (text && (*text < '0' || *text > '9' || *end))
		rc = refuse(err, -EINVAL, "-smp %s=%s: '%s' is not a number", key, text, text);
	free(text);
	*value = n > 1u << 20 ? 1u << 20 : (unsigned)n;
	return rc;
}

static int smp_check(const struct run_cpus *c, const struct run_args *a, char err[RUN_ERR_TEXT])
{
	static const char *const parts[] = {"sockets", "dies", "clusters", "cores", "threads"};
	unsigned cpus, most, part, product = 1;
	int rc = smp_value(a, "cpus", &cpus, err);

	rc = rc ? rc : smp_value(a, "maxcpus", &most, err);
	for (unsigned i = 0; !rc && i < sizeof(parts) / sizeof(parts[0]); i++) {
		rc = smp_value(a, parts[i], &part, err);
		product *= part ? part : 1;
	}
	if (rc)
		return rc;
	if (!cpus)
		cpus = most ? most : product;
	if (most && most != cpus)
		return refuse(err, -EOPNOTSUPP, "-smp maxcpus=%u: vCPUs cannot be plugged in where several hosts run them",
			      most);
	if (cpus != c->cpus)
		return refuse(err, -EINVAL, "--cpus has %u vCPUs, and -smp has %u", c->cpus, cpus);
	return 0;
}

/* A property of -machine that has to be as `want` says. */
static int machine_check(const struct run_args *a, const char *key, const char *want, const char *why,
			 char err[RUN_ERR_TEXT])
{
	char *text = option_value(a, "machine", "type", key);
	int rc = 0;

	if (text && strcmp(text, want))
		rc = refuse(err, -EOPNOTSUPP, "-machine %s=%s: %s: leave it out", key, text, why);
	free(text);
	return rc;
}

static int cpu_check(const struct run_args *a, char err[RUN_ERR_TEXT])
{
	static const char *const wrong[] = {"+vmx", "vmx=on", "+svm", "svm=on"};
	const char *cpu = option_text(a, "cpu");

	for (unsigned i = 0; cpu && a->accel == RUN_ACCEL_KVM && i < sizeof(wrong) / sizeof(wrong[0]); i++)
		if (strstr(cpu, wrong[i]))
			return refuse(err, -EOPNOTSUPP,
				      "-cpu %s: a guest whose vCPUs run on several hosts can have no guests of its own", cpu);
	if (cpu && a->accel == RUN_ACCEL_KVM && (strstr(cpu, ",hv-") || strstr(cpu, ",hv_")))
		return refuse(err, -EOPNOTSUPP, "-cpu %s: what KVM offers to Windows (hv-...) reaches the vCPUs of one host "
			      "alone", cpu);
	return 0;
}

static int device_check(const struct run_args *a, char err[RUN_ERR_TEXT])
{
	for (unsigned i = 0; i < a->options; i++) {
		struct qemu_opts o;
		const char *driver;
		size_t bytes;
		bool cpu;

		if (!a->option[i].arg || !option_is(&a->option[i], "device"))
			continue;
		driver = qemu_opts_parse(&o, a->args[a->option[i].arg], "driver") ? NULL : qemu_opts_get(&o, "driver");
		bytes = driver ? strlen(driver) : 0;
		cpu = bytes > 11 && !strcmp(driver + bytes - 11, "-x86_64-cpu");
		qemu_opts_deinit(&o);
		if (cpu)
			return refuse(err, -EOPNOTSUPP, "-device %s: vCPUs cannot be plugged in where several hosts run them",
				      a->args[a->option[i].arg]);
	}
	return 0;
}

static int memory_check(const struct run_args *a, char err[RUN_ERR_TEXT])
{
	char *most = option_value(a, "m", "size", "maxmem"), *slots = option_value(a, "m", "size", "slots");
	bool plugs = most || slots;

	free(most);
	free(slots);
	for (unsigned i = 0; i < a->rams; i++)
		plugs |= a->ram[i].plugged;
	if (plugs)
		return refuse(err, -EOPNOTSUPP, "memory cannot be plugged in where several hosts run the guest's vCPUs, since all "
			      "would have to have it at once (-m maxmem=, slots=, pc-dimm, virtio-mem)");
	return 0;
}

/* Options that nothing of the machine's state but node 0's would know of. */
static int options_check(const struct run_args *a, char err[RUN_ERR_TEXT])
{
	static const struct {
		const char *name, *why;
	} wrong[] = {
		{"loadvm", "a guest whose vCPUs run on several hosts can be neither saved nor migrated"},
		{"incoming", "a guest whose vCPUs run on several hosts can be neither saved nor migrated"},
		{"icount", "instructions cannot be counted over several hosts"},
		{"pflash", FLASH},
		{"readconfig", "each host would have to have that file: write what it says on the command line"},
	};

	for (unsigned i = 0; i < a->options; i++)
		for (unsigned k = 0; k < sizeof(wrong) / sizeof(wrong[0]); k++)
			if (option_is(&a->option[i], wrong[k].name))
				return refuse(err, -EOPNOTSUPP, "-%s: %s", wrong[k].name, wrong[k].why);
	return 0;
}

/* As -pflash, said otherwise. */
static int flash_check(const struct run_args *a, char err[RUN_ERR_TEXT])
{
	static const struct {
		const char *option, *implied, *key, *value; /* value NULL: any */
	} flash[] = {
		{"drive", NULL, "if", "pflash"},
		{"machine", "type", "pflash0", NULL},
		{"machine", "type", "pflash1", NULL},
	};

	for (unsigned i = 0; i < a->options; i++)
		for (unsigned k = 0; k < sizeof(flash) / sizeof(flash[0]); k++) {
			struct qemu_opts o;
			const char *value = NULL;
			bool is;

			if (!a->option[i].arg || !option_is(&a->option[i], flash[k].option))
				continue;
			if (!qemu_opts_parse(&o, a->args[a->option[i].arg], flash[k].implied))
				value = qemu_opts_get(&o, flash[k].key);
			is = value && (!flash[k].value || !strcmp(value, flash[k].value));
			qemu_opts_deinit(&o);
			if (is)
				return refuse(err, -EOPNOTSUPP, "-%s %s: " FLASH, flash[k].option, a->args[a->option[i].arg]);
		}
	return 0;
}

int run_cpus_check(const struct run_cpus *c, const struct run_args *a, char err[RUN_ERR_TEXT])
{
	int rc = smp_check(c, a, err);

	if (!rc && a->accel != RUN_ACCEL_KVM && a->accel != RUN_ACCEL_TCG)
		rc = refuse(err, -EINVAL, "-accel: all hosts need the same one: say kvm, or, to try it, tcg");
	if (!rc)
		rc = options_check(a, err);
	if (!rc)
		rc = flash_check(a, err);
	if (!rc)
		rc = memory_check(a, err);
	if (!rc)
		rc = device_check(a, err);
	if (!rc)
		rc = cpu_check(a, err);
	if (!rc)
		rc = machine_check(a, "smm", "off", "system management mode is no affair of several hosts", err);
	if (!rc)
		rc = machine_check(a, "vmport", "off", "VMware's port is a look at registers, which another host may have", err);
	if (!rc && a->accel == RUN_ACCEL_KVM)
		rc = machine_check(a, "kernel-irqchip", "split", "the APICs have to be in the kernel and the IOAPIC in QEMU", err);
	return rc;
}

/* ---- a command line ---- */

/* What makes the machine, and how this host's QEMU runs: all else is node 0's. */
static bool is_shared(const struct run_args *a, const struct run_option *o)
{
	static const char *const names[] = {"machine", "M",    "accel",	     "enable-kvm", "cpu",     "smp",	    "m",
					    "numa",    "bios", "L",	     "name",	   "global",  "overcommit", "sandbox",
					    "runas",   "compat", "no-hpet", "no-acpi",	   "mem-path", "no-user-config",
					    "nouserconfig"};

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(o->name, names[i]))
			return true;
	return !strcmp(o->name, "object") && o->arg && strstr(a->args[o->arg], "memory-backend-");
}

struct line {
	char **word;
	int count;
	bool failed;
};

static void put(struct line *l, const char *word)
{
	char *copy = strdup(word);

	if (copy)
		l->word[l->count++] = copy;
	else
		l->failed = true;
}

/* Takes over what the list says. */
static void put_opts(struct line *l, const char *option, struct qemu_opts *o, int rc)
{
	char *text = rc ? NULL : qemu_opts_text(o);

	put(l, option);
	if (text)
		put(l, text);
	else
		l->failed = true;
	free(text);
	qemu_opts_deinit(o);
}

static void put_key(struct line *l, const char *key)
{
	struct qemu_opts o;
	int rc = qemu_opts_parse(&o, "secret,id=" KEY_ID, "qom-type");

	if (!rc)
		rc = qemu_opts_set(&o, "file", key, false);
	put_opts(l, "-object", &o, rc);
}

static void put_vcpus(struct line *l, const struct run_cpus *c, unsigned node)
{
	size_t room = c->hosts * 96 + 1, map_bytes = 0, hosts_bytes = 0;
	char *map = malloc(room), *hosts = malloc(room), number[16], of[32];
	struct qemu_opts o = {0};
	int rc = map && hosts ? qemu_opts_parse(&o, "dsm-vcpus,id=" VCPUS_ID, "qom-type") : -ENOMEM;

	for (unsigned i = 0; i < c->hosts && !rc; i++) {
		const struct run_host *h = &c->host[i];
		const char *semicolon = i ? ";" : "";

		run_cpus_of(c, i, of);
		map_bytes += (size_t)snprintf(map + map_bytes, room - map_bytes, "%s%s@%u", semicolon, of, i);
		hosts_bytes += (size_t)snprintf(hosts + hosts_bytes, room - hosts_bytes, "%s%s:%u", semicolon, h->ip, h->port);
	}
	snprintf(number, sizeof(number), "%u", node);
	if (!rc)
		rc = qemu_opts_set(&o, "node", number, true);
	if (!rc)
		rc = qemu_opts_set(&o, "cpus", map, false);
	if (!rc)
		rc = qemu_opts_set(&o, "hosts", hosts, false);
	if (!rc)
		rc = qemu_opts_set(&o, "key", KEY_ID, false);
	put_opts(l, "-object", &o, rc);
	free(map);
	free(hosts);
}

/* With KVM a guest has none of its own; and its Linux takes x2APICs, which hear of interrupts for any id. */
static void put_cpu(struct line *l, const struct run_args *a)
{
	const char *given = option_text(a, "cpu");
	char *text = NULL;

	if (a->accel != RUN_ACCEL_KVM)
		return;
	given = given ? given : "host";
	if (asprintf(&text, "%s%s%s%s", given, strstr(given, "vmx") ? "" : ",vmx=off", strstr(given, "svm") ? "" : ",svm=off",
		     strstr(given, "x2apic") ? "" : ",x2apic=on") < 0)
		text = NULL;
	put(l, "-cpu");
	if (text)
		put(l, text);
	else
		l->failed = true;
	free(text);
}

/* QEMU takes the last of several -cpu, and merges several -machine. */
static void put_own(struct line *l, const struct run_cpus *c, const struct run_args *a, unsigned node, const char *key)
{
	put(l, "-machine");
	put(l, a->accel == RUN_ACCEL_KVM ? "smm=off,vmport=off,kernel-irqchip=split" : "smm=off,vmport=off");
	put_cpu(l, a);
	put_key(l, key);
	put_vcpus(l, c, node);
	if (node) {
		put(l, "-nodefaults");
		put(l, "-display");
		put(l, "none");
	}
}

int run_cpus_build(const struct run_cpus *c, const struct run_args *a, unsigned node, const char *key, char ***argv)
{
	struct line l = {.word = calloc((size_t)a->count + ADDED + 1, sizeof(*l.word))};

	if (!l.word)
		return -ENOMEM;
	for (int i = 0; !node && i < a->count; i++)
		put(&l, a->args[i]);
	if (node)
		put(&l, a->args[0]);
	for (unsigned i = 0; node && i < a->options; i++) {
		const struct run_option *o = &a->option[i];

		if (!is_shared(a, o))
			continue;
		put(&l, a->args[o->at]);
		if (o->arg)
			put(&l, a->args[o->arg]);
	}
	put_own(&l, c, a, node, key);
	if (l.failed) {
		run_args_free_argv(l.word);
		return -ENOMEM;
	}
	*argv = l.word;
	return 0;
}

/* Letters that no shell takes for anything else. */
static bool is_plain(const char *word)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+=./:,@%";

	return *word && !word[strspn(word, plain)];
}

char *run_cpus_shell(char *const argv[])
{
	size_t bytes = 1;
	char *text, *to;

	for (int i = 0; argv[i]; i++)
		bytes += 4 * strlen(argv[i]) + 3;
	text = to = malloc(bytes);
	for (int i = 0; text && argv[i]; i++) {
		const char *from = argv[i];

		if (i)
			*to++ = ' ';
		if (is_plain(from)) {
			to = stpcpy(to, from);
			continue;
		}
		*to++ = '\'';
		for (; *from; from++)
			if (*from == '\'')
				to = stpcpy(to, "'\\''");
			else
				*to++ = *from;
		*to++ = '\'';
	}
	if (text)
		*to = 0;
	return text;
}
