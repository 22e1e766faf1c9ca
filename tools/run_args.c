// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QEMU takes its RAM from one of three places: -m alone (it allocates by itself), a memory backend
 * that -machine memory-backend= names, or one backend for each NUMA node. In the first case a
 * backend is added; in the others the backends become memory-backend-file in their place, with
 * their other properties kept. Everything else passes through word by word.
 *
 * QEMU's options all take one argument, except those listed here. Only the options that are
 * handled below are ever looked into, so that what is not known does no harm.
 */
#include "run_args.h"

#include "qemu_opts.h"
#include "size.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RAM_DEFAULT (128 * MIB) /* QEMU's own where -m is missing */
#define RAM_ALIGN   8192	/* QEMU rounds -m up to it */

static const char pinned_why[] =
	"pins all of the guest's memory on the host, so that none of it could be remote";

static const char *const flag_options[] = {
	"S",
	"s",
	"h",
	"help",
	"version",
	"audio-help",
	"snapshot",
	"usb",
	"nographic",
	"portrait",
	"full-screen",
	"win2k-hack",
	"no-fd-bootchk",
	"no-acpi",
	"no-hpet",
	"singlestep",
	"preconfig",
	"enable-kvm",
	"xen-attach",
	"xen-domid-restrict",
	"no-reboot",
	"no-shutdown",
	"daemonize",
	"only-migratable",
	"nodefaults",
	"no-user-config",
	"nouserconfig",
	"enable-sync-profile",
	"mem-prealloc",
	"async-teardown",
	"no-quit",
	"alt-grab",
	"ctrl-grab",
	"no-frame",
	"sdl",
	"curses",
	"gtk",
	"enable-fips",
	"no-kvm",
	"rtc-td-hack",
	"semihosting",
	"old-param",
	"qtest-allow",
};

static bool is_flag(const char *name)
{
	for (unsigned i = 0; i < sizeof(flag_options) / sizeof(flag_options[0]); i++)
		if (!strcmp(name, flag_options[i]))
			return true;
	return false;
}

/* What the handlers share while a command line is read. */
struct scan {
	struct run_args *a;
	char *err;
	bool pinning_allowed;
	uint64_t ram_bytes; /* of -m or -machine memory.size=; 0: not given */
	bool numa_memdev;
	bool readconfig;
	char *machine_backend;
	struct backend {
		char *id;
		int arg;
		struct qemu_opts o;
	} * backend;
	unsigned backends;
	char *numa_id[RUN_REGIONS_MAX];
	unsigned numa_ids;
};

__attribute__((format(printf, 3, 4))) static int refuse(struct scan *s, int rc, const char *fmt,
							...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->err, RUN_ERR_TEXT, fmt, ap);
	va_end(ap);
	return rc;
}

__attribute__((format(printf, 2, 3))) static int note(struct run_args *a, const char *fmt, ...)
{
	char **grown = realloc(a->notes, (a->note_count + 1) * sizeof(*grown));
	va_list ap;
	int n;

	if (!grown)
		return -ENOMEM;
	a->notes = grown;
	va_start(ap, fmt);
	n = vasprintf(&a->notes[a->note_count], fmt, ap);
	va_end(ap);
	if (n < 0)
		return -ENOMEM;
	a->note_count++;
	return 0;
}

/* `what` would pin all of the guest's memory on this host. */
static int pin(struct scan *s, const char *what, const char *name)
{
	if (s->pinning_allowed)
		return note(s->a, "%s%s: all of the guest's memory stays on this host, whatever "
			    "--local says", what, name);
	return refuse(s, -EOPNOTSUPP, "%s%s %s", what, name, pinned_why);
}

static int keep(char **slot, const char *value)
{
	char *copy = strdup(value);

	if (!copy)
		return -ENOMEM;
	free(*slot);
	*slot = copy;
	return 0;
}

static int ram_size_take(struct scan *s, const char *text, uint64_t unit)
{
	uint64_t bytes;
	int rc = size_parse(text, unit, &bytes);

	if (rc || bytes > INT64_MAX - RAM_ALIGN)
		return refuse(s, rc ? rc : -ERANGE, "RAM size '%s' is not a size", text);
	s->ram_bytes = (bytes + RAM_ALIGN - 1) / RAM_ALIGN * RAM_ALIGN;
	if (!s->ram_bytes)
		s->ram_bytes = RAM_DEFAULT; /* as QEMU reads -m 0 */
	return 0;
}

static int take_m(struct scan *s, int arg, const struct qemu_opts *o)
{
	const char *size = qemu_opts_get(o, "size");

	(void)arg;
	if (qemu_opts_get(o, "maxmem") &&
	    note(s->a, "memory plugged in later (slots, maxmem) is ordinary memory of this host, "
		       "outside of the region and of the budget"))
		return -ENOMEM;
	return size ? ram_size_take(s, size, MIB) : 0;
}

static int take_accel_name(struct scan *s, const char *names)
{
	bool kvm = !strncmp(names, "kvm", 3), tcg = !strncmp(names, "tcg", 3);

	if (kvm)
		s->a->accel = strstr(names, ":tcg") ? RUN_ACCEL_KVM_OR_TCG : RUN_ACCEL_KVM;
	else
		s->a->accel = tcg ? RUN_ACCEL_TCG : RUN_ACCEL_OTHER;
	return 0;
}

static int take_machine(struct scan *s, int arg, const struct qemu_opts *o)
{
	const char *v;
	int rc = 0;

	if (qemu_opts_get(o, "memory-encryption") || qemu_opts_get(o, "confidential-guest-support"))
		return refuse(s, -EOPNOTSUPP, "-machine %s: memory encryption %s", s->a->args[arg],
			      pinned_why);
	if (s->a->machine < 0)
		s->a->machine = arg;
	v = qemu_opts_get(o, "memory-backend");
	if (v)
		rc = keep(&s->machine_backend, v);
	v = qemu_opts_get(o, "accel");
	if (!rc && v)
		rc = take_accel_name(s, v);
	v = qemu_opts_get(o, "memory.size");
	if (!rc && v)
		rc = ram_size_take(s, v, 1);
	return rc;
}

static int take_accel(struct scan *s, int arg, const struct qemu_opts *o)
{
	const char *v = qemu_opts_get(o, "accel");
	enum run_accel before = s->a->accel;
	int rc;

	/* several -accel are tried in turn */
	(void)arg;
	rc = v ? take_accel_name(s, v) : 0;
	if (before == RUN_ACCEL_KVM && s->a->accel == RUN_ACCEL_TCG)
		s->a->accel = RUN_ACCEL_KVM_OR_TCG;
	return rc;
}

static int take_object(struct scan *s, int arg, const struct qemu_opts *o)
{
	const char *type = qemu_opts_get(o, "qom-type"), *id = qemu_opts_get(o, "id");
	struct backend *grown;
	int rc;

	if (!type || strncmp(type, "memory-backend-", 15))
		return 0;
	if (!id)
		return refuse(s, -EINVAL, "-object %s: no id", s->a->args[arg]);
	grown = realloc(s->backend, (s->backends + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	s->backend = grown;
	memset(&grown[s->backends], 0, sizeof(*grown));
	grown[s->backends].arg = arg;
	rc = keep(&grown[s->backends++].id, id);
	/* a list of its own: the caller's goes when this returns */
	return rc ? rc : qemu_opts_parse(&grown[s->backends - 1].o, s->a->args[arg], "qom-type");
}

static int take_numa(struct scan *s, int arg, const struct qemu_opts *o)
{
	const char *id = qemu_opts_get(o, "memdev");

	(void)arg;
	if (!id)
		return 0;
	s->numa_memdev = true;
	if (s->numa_ids == RUN_REGIONS_MAX)
		return refuse(s, -EINVAL, "more than %d NUMA nodes with memory", RUN_REGIONS_MAX);
	s->numa_id[s->numa_ids] = strdup(id);
	return s->numa_id[s->numa_ids++] ? 0 : -ENOMEM;
}

static int take_device(struct scan *s, int arg, const struct qemu_opts *o)
{
	const char *driver = qemu_opts_get(o, "driver");

	(void)arg;
	if (!driver)
		return 0;
	if (!strncmp(driver, "vfio-", 5) || !strncmp(driver, "vhost-vdpa", 10))
		return pin(s, "a device passed through by VFIO, -device ", driver);
	if ((!strcmp(driver, "pc-dimm") || !strcmp(driver, "virtio-mem-pci") ||
	     !strcmp(driver, "nvdimm")) &&
	    note(s->a,
		 "-device %s stays in memory of this host, outside of the region and of the "
		 "budget",
		 driver))
		return -ENOMEM;
	return 0;
}

static int take_netdev(struct scan *s, int arg, const struct qemu_opts *o)
{
	const char *type = qemu_opts_get(o, "type"), *helper = qemu_opts_get(o, "helper");

	(void)arg;
	if (type && !strcmp(type, "vhost-vdpa"))
		return pin(s, "the device of -netdev ", type);
	if (helper || (type && !strcmp(type, "bridge")))
		s->a->setuid_helper = true;
	return 0;
}

static int take_overcommit(struct scan *s, int arg, const struct qemu_opts *o)
{
	const char *v = qemu_opts_get(o, "mem-lock");

	(void)arg;
	if (v && (qemu_opts_is_on(o, "mem-lock") || !strcmp(v, "on-fault")))
		return pin(s, "-overcommit mem-lock=", v);
	return 0;
}

static int take_realtime(struct scan *s, int arg, const struct qemu_opts *o)
{
	(void)arg;
	if (qemu_opts_is_on(o, "mlock"))
		return pin(s, "-realtime mlock=", "on");
	return 0;
}

static int take_name(struct scan *s, int arg, const struct qemu_opts *o)
{
	const char *v = qemu_opts_get(o, "guest");

	(void)arg;
	return v ? keep(&s->a->guest, v) : 0;
}

static int take_mem_path(struct scan *s, int arg, const struct qemu_opts *o)
{
	(void)o;
	s->a->drop[arg - 1] = s->a->drop[arg] = true;
	return note(s->a, "-mem-path %s is left out: the region takes its place", s->a->args[arg]);
}

static int take_readconfig(struct scan *s, int arg, const struct qemu_opts *o)
{
	(void)arg;
	(void)o;
	s->readconfig = true;
	return 0;
}

static const struct option_handler {
	const char *name, *implied;
	int (*take)(struct scan *s, int arg, const struct qemu_opts *o);
} handlers[] = {
	{"m", "size", take_m},
	{"machine", "type", take_machine},
	{"M", "type", take_machine},
	{"accel", "accel", take_accel},
	{"object", "qom-type", take_object},
	{"numa", "type", take_numa},
	{"device", "driver", take_device},
	{"netdev", "type", take_netdev},
	{"nic", "type", take_netdev},
	{"net", "type", take_netdev},
	{"overcommit", NULL, take_overcommit},
	{"realtime", NULL, take_realtime},
	{"name", "guest", take_name},
	{"mem-path", "path", take_mem_path},
	{"readconfig", "file", take_readconfig},
};

/* The option's name without its dashes (QEMU takes two as one), or NULL if it is none. */
static const char *option_name(const char *arg)
{
	if (arg[0] != '-' || !arg[1])
		return NULL;
	return arg[1] == '-' ? arg + 2 : arg + 1;
}

static const struct option_handler *handler_find(const char *name)
{
	for (unsigned i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++)
		if (!strcmp(name, handlers[i].name))
			return &handlers[i];
	return NULL;
}

static int take_flag(struct scan *s, const char *name)
{
	if (!strcmp(name, "enable-kvm"))
		s->a->accel = RUN_ACCEL_KVM;
	if (!strcmp(name, "mem-prealloc"))
		return refuse(s, -EOPNOTSUPP,
			      "-mem-prealloc touches all of the guest's memory before it starts: "
			      "every page would travel to the nodes and back for nothing");
	if (!strcmp(name, "daemonize"))
		return refuse(
			s, -EOPNOTSUPP,
			"-daemonize: gvm run stays beside QEMU to keep the budget; put gvm run "
			"itself into the background instead");
	return 0;
}

static int args_scan(struct scan *s)
{
	struct run_args *a = s->a;
	int rc = 0;

	for (int i = 1; i < a->count && !rc; i++) {
		const char *name = option_name(a->args[i]);
		const struct option_handler *h;
		struct qemu_opts o;

		if (!name)
			continue; /* a disk image */
		if (is_flag(name)) {
			rc = take_flag(s, name);
			continue;
		}
		h = handler_find(name);
		if (i + 1 == a->count)
			return h ? refuse(s, -EINVAL, "%s: an argument is missing", a->args[i]) : 0;
		i++;
		if (!h)
			continue;
		rc = qemu_opts_parse(&o, a->args[i], h->implied);
		if (rc == -EINVAL)
			refuse(s, rc, "%s %s: not understood", a->args[i - 1], a->args[i]);
		if (!rc)
			rc = h->take(s, i, &o);
		qemu_opts_deinit(&o);
	}
	return rc;
}

/* What a backend's properties would do to remote memory. */
static int backend_check(struct scan *s, const struct backend *b)
{
	const char *type = qemu_opts_get(&b->o, "qom-type");

	if (strcmp(type, "memory-backend-ram") && strcmp(type, "memory-backend-file") &&
	    strcmp(type, "memory-backend-memfd") && strcmp(type, "memory-backend-shm"))
		return refuse(s, -EOPNOTSUPP,
			      "-object %s,id=%s: this kind of memory cannot be "
			      "remote",
			      type, b->id);
	if (qemu_opts_is_on(&b->o, "prealloc"))
		return refuse(
			s, -EOPNOTSUPP,
			"-object %s,id=%s: prealloc=on touches all of the guest's memory before "
			"it starts: every page would travel to the nodes and back for nothing",
			type, b->id);
	if (qemu_opts_is_on(&b->o, "hugetlb"))
		return refuse(s, -EOPNOTSUPP, "-object %s,id=%s: hugetlb=on %s", type, b->id,
			      pinned_why);
	if (qemu_opts_is_on(&b->o, "readonly") || qemu_opts_is_on(&b->o, "pmem"))
		return refuse(s, -EOPNOTSUPP,
			      "-object %s,id=%s: readonly or pmem memory is not a "
			      "machine's RAM",
			      type, b->id);
	return 0;
}

static int ram_add_backend(struct scan *s, const char *id)
{
	struct run_args *a = s->a;
	struct run_ram *r = &a->ram[a->rams];
	const char *size, *path;
	struct backend *b = NULL;
	int rc;

	for (unsigned i = 0; i < s->backends; i++)
		if (!strcmp(s->backend[i].id, id))
			b = &s->backend[i];
	if (!b)
		return refuse(s, -EINVAL, "no -object memory-backend-… has the id '%s'", id);
	rc = backend_check(s, b);
	if (rc)
		return rc;
	size = qemu_opts_get(&b->o, "size");
	if (!size || size_parse(size, 1, &r->bytes) || !r->bytes)
		return refuse(s, -EINVAL, "-object %s: its size is missing or not a size",
			      a->args[b->arg]);
	r->arg = b->arg;
	r->id = strdup(id);
	a->rams++;
	path = qemu_opts_get(&b->o, "mem-path");
	if (!r->id ||
	    (path &&
	     note(a, "mem-path=%s of '%s' is left out: the region takes its place", path, id)))
		return -ENOMEM;
	return 0;
}

/* Decides from everything that was read where the RAM comes from. */
static int rams_find(struct scan *s)
{
	struct run_args *a = s->a;
	int rc = 0;

	if (s->machine_backend && s->numa_memdev)
		return refuse(s, -EINVAL,
			      "-machine memory-backend= and -numa memdev= exclude each "
			      "other");
	if (s->machine_backend)
		return ram_add_backend(s, s->machine_backend);
	for (unsigned i = 0; i < s->numa_ids && !rc; i++)
		rc = ram_add_backend(s, s->numa_id[i]);
	if (rc || s->numa_ids)
		return rc;
	if (s->readconfig && !s->ram_bytes)
		return refuse(s, -EINVAL,
			      "-readconfig: give the RAM's size with -m on the command "
			      "line; the file is not read here");
	a->ram[0] = (struct run_ram){strdup(RUN_OBJECT_ID), -1,
				     s->ram_bytes ? s->ram_bytes : RAM_DEFAULT};
	a->rams = 1;
	return a->ram[0].id ? 0 : -ENOMEM;
}

int run_args_parse(struct run_args *a, char *const argv[], bool pinning_allowed,
		   char err[RUN_ERR_TEXT])
{
	struct scan s = {.a = a, .err = err, .pinning_allowed = pinning_allowed};
	const char *base;
	int rc = 0;

	*err = 0;
	memset(a, 0, sizeof(*a));
	a->machine = -1;
	while (argv[a->count])
		a->count++;
	if (!a->count)
		return refuse(&s, -EINVAL, "no command");
	a->args = calloc((size_t)a->count + 1, sizeof(*a->args));
	a->drop = calloc((size_t)a->count + 1, sizeof(*a->drop));
	if (!a->args || !a->drop)
		return -ENOMEM;
	for (int i = 0; i < a->count; i++) {
		a->args[i] = strdup(argv[i]);
		if (!a->args[i])
			return -ENOMEM;
	}
	/* a QEMU installed under the name of kvm uses it by itself */
	base = strrchr(a->args[0], '/') ? strrchr(a->args[0], '/') + 1 : a->args[0];
	a->accel = strlen(base) >= 3 && !strcmp(base + strlen(base) - 3, "kvm")
			   ? RUN_ACCEL_KVM_OR_TCG
			   : RUN_ACCEL_TCG;
	rc = args_scan(&s);
	if (!rc)
		rc = rams_find(&s);
	free(s.machine_backend);
	for (unsigned i = 0; i < s.numa_ids; i++)
		free(s.numa_id[i]);
	for (unsigned i = 0; i < s.backends; i++) {
		free(s.backend[i].id);
		qemu_opts_deinit(&s.backend[i].o);
	}
	free(s.backend);
	return rc;
}

void run_args_deinit(struct run_args *a)
{
	run_args_free_argv(a->args);
	free(a->drop);
	free(a->guest);
	for (unsigned i = 0; i < a->rams; i++)
		free(a->ram[i].id);
	for (unsigned i = 0; i < a->note_count; i++)
		free(a->notes[i]);
	free(a->notes);
	memset(a, 0, sizeof(*a));
}

/* The -object's value for ram `r`: made anew, or what stood there with another type and place. */
static char *backend_text(const struct run_args *a, const struct run_ram *r, const char *path)
{
	static const char *const dropped[] = {"hugetlb",
					      "hugetlbsize",
					      "seal",
					      "prealloc",
					      "prealloc-threads",
					      "prealloc-context",
					      "align",
					      "offset",
					      "readonly",
					      "pmem",
					      "rom"};
	struct qemu_opts o;
	char size[24], *text = NULL;
	int rc;

	snprintf(size, sizeof(size), "%llu", (unsigned long long)r->bytes);
	rc = qemu_opts_parse(&o, r->arg < 0 ? "memory-backend-file" : a->args[r->arg], "qom-type");
	for (unsigned i = 0; r->arg >= 0 && i < sizeof(dropped) / sizeof(dropped[0]); i++)
		qemu_opts_drop(&o, dropped[i]);
	if (!rc)
		rc = qemu_opts_set(&o, "qom-type", "memory-backend-file", false);
	if (!rc)
		rc = qemu_opts_set(&o, "id", r->id, false);
	if (!rc)
		rc = qemu_opts_set(&o, "size", size, true);
	if (!rc)
		rc = qemu_opts_set(&o, "mem-path", path, false);
	if (!rc)
		rc = qemu_opts_set(&o, "share", o.json ? "true" : "on", true);
	if (!rc)
		text = qemu_opts_text(&o);
	qemu_opts_deinit(&o);
	return text;
}

static char *machine_text(const char *before)
{
	char *text;

	if (asprintf(&text, "%s%smemory-backend=" RUN_OBJECT_ID, before, *before ? "," : "") < 0)
		return NULL;
	return text;
}

/* The new text of argument i, or a copy of the old one. */
static char *arg_text(const struct run_args *a, const char *const path[], int i)
{
	if (a->ram[0].arg < 0 && i == a->machine)
		return machine_text(a->args[i]);
	for (unsigned r = 0; r < a->rams; r++)
		if (a->ram[r].arg == i)
			return backend_text(a, &a->ram[r], path[r]);
	return strdup(a->args[i]);
}

int run_args_build(const struct run_args *a, const char *const path[], char ***argv)
{
	/* at most four words more: -object X -machine Y */
	char **out = calloc((size_t)a->count + 5, sizeof(*out));
	bool ok = out, added = a->ram[0].arg < 0;
	int n = 0;

	for (int i = 0; ok && i < a->count; i++) {
		if (a->drop[i])
			continue;
		out[n] = arg_text(a, path, i);
		ok = out[n++];
	}
	if (ok && added) {
		out[n++] = strdup("-object");
		out[n++] = backend_text(a, &a->ram[0], path[0]);
		if (a->machine < 0) {
			out[n++] = strdup("-machine");
			out[n++] = machine_text("");
		}
		for (int i = 0; i < n; i++)
			ok = ok && out[i];
	}
	if (!ok) {
		for (int i = 0; out && i < a->count + 4; i++)
			free(out[i]);
		free(out);
		return -ENOMEM;
	}
	*argv = out;
	return 0;
}

void run_args_free_argv(char **argv)
{
	for (char **p = argv; p && *p; p++)
		free(*p);
	free(argv);
}
