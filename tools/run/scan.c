// SPDX-License-Identifier: GPL-2.0-or-later
#include "scan.h"

#include "memnode/size.h"
#include "qemu_opts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RAM_ALIGN  8192 /* QEMU rounds -m up to it */
#define PLUG_ALIGN (2ull << 20) /* of a DIMM, and of virtio-mem's blocks where nothing else is said */

static const char pinned_why[] =
	"pins all of the guest's memory on the host, so that none of it could be remote";
static const char touched_why[] =
	"touches all of the guest's memory before it starts: every page would travel to the nodes "
	"and back for nothing";

int run_scan_refuse(struct run_scan *s, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->err, RUN_ERR_TEXT, fmt, ap);
	va_end(ap);
	return rc;
}

/* `what` would pin all of the guest's memory on this host. */
static int pin(struct run_scan *s, const char *what, const char *name)
{
	if (s->pinning_allowed)
		return run_notes_add(&s->a->notes,
				     "%s%s: all of the guest's memory stays on this host, "
				     "whatever --local says",
				     what, name);
	return run_scan_refuse(s, -EOPNOTSUPP, "%s%s %s", what, name, pinned_why);
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

static int ram_size_take(struct run_scan *s, const char *text, uint64_t unit, uint64_t *ram_bytes)
{
	uint64_t bytes;
	int rc = size_parse(text, unit, &bytes);

	if (rc || bytes > INT64_MAX - RAM_ALIGN)
		return run_scan_refuse(s, rc ? rc : -ERANGE, "RAM size '%s' is not a size", text);
	*ram_bytes = (bytes + RAM_ALIGN - 1) / RAM_ALIGN * RAM_ALIGN;
	return 0;
}

static int plugged_note(struct run_scan *s)
{
	return run_notes_add(&s->a->notes, "memory that is plugged in later is within the budget where it "
				   "is a file of the mount (object_add memory-backend-file,"
				   "share=on,mem-path=DIR/NAME,...), else ordinary memory of this "
				   "host");
}

/* Several -m are one list to QEMU: what the last says of a property holds. */
static int take_m(struct run_scan *s, struct run_place at, const struct qemu_opts *o)
{
	const char *size = qemu_opts_get(o, "size");

	(void)at;
	if (qemu_opts_get(o, "maxmem") && plugged_note(s))
		return -ENOMEM;
	return size ? ram_size_take(s, size, MIB, &s->m_bytes) : 0;
}

static int take_accel_name(struct run_scan *s, const char *names)
{
	bool kvm = !strncmp(names, "kvm", 3), tcg = !strncmp(names, "tcg", 3);

	if (kvm)
		s->a->accel = strstr(names, ":tcg") ? RUN_ACCEL_KVM_OR_TCG : RUN_ACCEL_KVM;
	else
		s->a->accel = tcg ? RUN_ACCEL_TCG : RUN_ACCEL_OTHER;
	return 0;
}

static int take_machine(struct run_scan *s, struct run_place at, const struct qemu_opts *o)
{
	const char *v;
	int rc = 0;

	if (qemu_opts_get(o, "memory-encryption") || qemu_opts_get(o, "confidential-guest-support"))
		return run_scan_refuse(s, -EOPNOTSUPP, "-machine: memory encryption %s",
				       pinned_why);
	if (s->a->machine < 0 && at.config < 0)
		s->a->machine = at.index;
	v = qemu_opts_get(o, "type");
	if (v)
		rc = keep(&s->machine_type, v);
	v = qemu_opts_get(o, "memory-backend");
	if (!rc && v)
		rc = keep(&s->machine_backend, v);
	v = qemu_opts_get(o, "accel");
	if (!rc && v)
		rc = take_accel_name(s, v);
	v = qemu_opts_get(o, "memory.size");
	if (!rc && v)
		rc = ram_size_take(s, v, 1, &s->machine_bytes);
	v = qemu_opts_get(o, "max-ram-below-4g");
	if (!rc && v && size_parse(v, 1, &s->machine_most))
		s->machine_most = 0; /* QEMU says that */
	if (!rc && qemu_opts_get(o, "memory.max-size"))
		rc = plugged_note(s);
	return rc;
}

static int take_accel(struct run_scan *s, struct run_place at, const struct qemu_opts *o)
{
	const char *v = qemu_opts_get(o, "accel");
	enum run_accel before = s->a->accel;
	int rc;

	/* several -accel are tried in turn */
	(void)at;
	rc = v ? take_accel_name(s, v) : 0;
	if (before == RUN_ACCEL_KVM && s->a->accel == RUN_ACCEL_TCG)
		s->a->accel = RUN_ACCEL_KVM_OR_TCG;
	return rc;
}

/* A list of its own: the caller's goes. */
static int opts_copy(struct qemu_opts *to, const struct qemu_opts *from)
{
	char *text = qemu_opts_text(from);
	int rc = text ? qemu_opts_parse(to, text, "qom-type") : -ENOMEM;

	free(text);
	return rc;
}

static int take_object(struct run_scan *s, struct run_place at, const struct qemu_opts *o)
{
	const char *type = qemu_opts_get(o, "qom-type"), *id = qemu_opts_get(o, "id");
	struct run_backend *grown;
	int rc;

	if (!type || strncmp(type, "memory-backend-", 15))
		return 0;
	if (!id)
		return run_scan_refuse(s, -EINVAL, "-object %s: no id", type);
	grown = realloc(s->backend, (s->backends + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	s->backend = grown;
	memset(&grown[s->backends], 0, sizeof(*grown));
	grown[s->backends].at = at;
	rc = keep(&grown[s->backends++].id, id);
	return rc ? rc : opts_copy(&grown[s->backends - 1].o, o);
}

static int take_numa(struct run_scan *s, struct run_place at, const struct qemu_opts *o)
{
	const char *id = qemu_opts_get(o, "memdev");

	(void)at;
	if (!id)
		return 0;
	if (s->numa_ids == RUN_REGIONS_MAX)
		return run_scan_refuse(s, -EINVAL, "more than %d NUMA nodes with memory",
				       RUN_REGIONS_MAX);
	s->numa_id[s->numa_ids] = strdup(id);
	return s->numa_id[s->numa_ids++] ? 0 : -ENOMEM;
}

/* Where it asks to be; a value that is none QEMU refuses. */
static struct run_plug plug_of(const struct qemu_opts *o)
{
	bool dimm = !strcmp(qemu_opts_get(o, "driver"), "pc-dimm");
	const char *addr = qemu_opts_get(o, dimm ? "addr" : "memaddr"), *block = qemu_opts_get(o, "block-size");
	struct run_plug plug = {.gpa = addr ? strtoull(addr, NULL, 0) : 0};

	if (dimm || !block || size_parse(block, 1, &plug.align_bytes) || plug.align_bytes < PLUG_ALIGN)
		plug.align_bytes = PLUG_ALIGN;
	return plug;
}

/* A DIMM, or a virtio-mem device: its backend becomes a region like the machine's RAM. */
static int take_plugged(struct run_scan *s, const struct qemu_opts *o)
{
	const char *id = qemu_opts_get(o, "memdev");

	if (!id)
		return 0; /* QEMU will say that it needs one */
	if (s->plugged_ids == RUN_REGIONS_MAX)
		return run_scan_refuse(s, -EINVAL, "more than %d DIMMs and virtio-mem devices",
				       RUN_REGIONS_MAX);
	s->plug[s->plugged_ids] = plug_of(o);
	s->plugged_id[s->plugged_ids] = strdup(id);
	return s->plugged_id[s->plugged_ids++] ? 0 : -ENOMEM;
}

static int take_device(struct run_scan *s, struct run_place at, const struct qemu_opts *o)
{
	const char *driver = qemu_opts_get(o, "driver");

	(void)at;
	if (!driver)
		return 0;
	if (!strncmp(driver, "vfio-", 5) || !strncmp(driver, "vhost-vdpa", 10))
		return pin(s, "a device passed through by VFIO, -device ", driver);
	if (!strcmp(driver, "pc-dimm") || !strncmp(driver, "virtio-mem", 10))
		return take_plugged(s, o);
	if (!strcmp(driver, "nvdimm") || !strncmp(driver, "virtio-pmem", 11))
		return run_notes_add(&s->a->notes,
				     "-device %s is a file of its own, which stays as it is: its "
				     "pages on this host are outside of the budget",
				     driver);
	return 0;
}

static int take_netdev(struct run_scan *s, struct run_place at, const struct qemu_opts *o)
{
	const char *type = qemu_opts_get(o, "type"), *helper = qemu_opts_get(o, "helper");

	(void)at;
	if (type && !strcmp(type, "vhost-vdpa"))
		return pin(s, "the device of -netdev ", type);
	if (helper || (type && !strcmp(type, "bridge")))
		s->a->setuid_helper = true;
	return 0;
}

static int take_overcommit(struct run_scan *s, struct run_place at, const struct qemu_opts *o)
{
	const char *v = qemu_opts_get(o, "mem-lock");

	(void)at;
	if (v && (qemu_opts_is_on(o, "mem-lock") || !strcmp(v, "on-fault")))
		return pin(s, "-overcommit mem-lock=", v);
	return 0;
}

static int take_realtime(struct run_scan *s, struct run_place at, const struct qemu_opts *o)
{
	(void)at;
	if (qemu_opts_is_on(o, "mlock"))
		return pin(s, "-realtime mlock=", "on");
	return 0;
}

static int take_name(struct run_scan *s, struct run_place at, const struct qemu_opts *o)
{
	const char *v = qemu_opts_get(o, "guest");

	(void)at;
	return v ? keep(&s->a->guest, v) : 0;
}

/* GROUP.ID.PROPERTY=VALUE, of an option that stands before it. */
static int set_take(struct run_scan *s, const char *text)
{
	char group[64], id[64];

	if (sscanf(text, "%63[^.].%63[^.].", group, id) != 2)
		return 0; /* QEMU will report it */
	if (!strcmp(group, "memory") || !strcmp(group, "machine") || !strcmp(group, "numa"))
		return run_scan_refuse(s, -EINVAL,
				       "-set %s: give what it sets in the option itself", text);
	if (strcmp(group, "object"))
		return 0;
	if (s->set_ids == RUN_REGIONS_MAX)
		return run_scan_refuse(s, -EINVAL, "more than %d -set object", RUN_REGIONS_MAX);
	s->set_id[s->set_ids] = strdup(id);
	return s->set_id[s->set_ids++] ? 0 : -ENOMEM;
}

static const struct option_handler {
	const char *name, *group; /* a config file's name for it, where that is another */
	const char *implied;
	int (*take)(struct run_scan *s, struct run_place at, const struct qemu_opts *o);
} handlers[] = {
	{"m", "memory", "size", take_m},
	{"machine", NULL, "type", take_machine},
	{"M", "", "type", take_machine},
	{"accel", NULL, "accel", take_accel},
	{"object", NULL, "qom-type", take_object},
	{"numa", NULL, "type", take_numa},
	{"device", NULL, "driver", take_device},
	{"netdev", NULL, "type", take_netdev},
	{"nic", NULL, "type", take_netdev},
	{"net", NULL, "type", take_netdev},
	{"overcommit", NULL, NULL, take_overcommit},
	{"realtime", NULL, NULL, take_realtime},
	{"name", NULL, "guest", take_name},
};
#define HANDLERS (sizeof(handlers) / sizeof(handlers[0]))

static const struct option_handler *handler_find(const char *name, bool group)
{
	for (unsigned i = 0; i < HANDLERS; i++)
		if (!strcmp(name,
			    group && handlers[i].group ? handlers[i].group : handlers[i].name))
			return &handlers[i];
	return NULL;
}

bool run_scan_handles(const char *name)
{
	return handler_find(name, false) || !strcmp(name, "mem-path") || !strcmp(name, "set") ||
	       !strcmp(name, "incoming");
}

int run_scan_text(struct run_scan *s, const char *name, const char *text, int arg)
{
	const struct option_handler *h = handler_find(name, false);
	struct qemu_opts o;
	int rc;

	if (!strcmp(name, "mem-path"))
		s->a->mem_path = arg;
	if (!strcmp(name, "incoming"))
		s->a->incoming = true;
	if (!strcmp(name, "set"))
		return set_take(s, text);
	if (!h)
		return 0;
	rc = qemu_opts_parse(&o, text, h->implied);
	if (rc == -EINVAL)
		run_scan_refuse(s, rc, "-%s %s: not understood", name, text);
	if (!rc)
		rc = h->take(s, (struct run_place){-1, arg}, &o);
	qemu_opts_deinit(&o);
	return rc;
}

int run_scan_group(struct run_scan *s, const struct qemu_group *group, struct run_place at)
{
	const struct option_handler *h = handler_find(group->name, true);

	return h ? h->take(s, at, &group->o) : 0;
}

int run_scan_flag(struct run_scan *s, const char *name)
{
	if (!strcmp(name, "enable-kvm"))
		s->a->accel = RUN_ACCEL_KVM;
	if (!strcmp(name, "mem-prealloc"))
		return run_scan_refuse(s, -EOPNOTSUPP, "-mem-prealloc %s", touched_why);
	if (!strcmp(name, "daemonize"))
		return run_scan_refuse(s, -EOPNOTSUPP,
				       "-daemonize: gvm run stays beside QEMU to keep the budget; "
				       "put gvm run itself into the background instead");
	return 0;
}

int run_scan_backend_check(struct run_scan *s, const struct run_backend *b)
{
	static const char *const kinds[] = {"memory-backend-ram", "memory-backend-file",
					    "memory-backend-memfd", "memory-backend-shm"};
	const char *type = qemu_opts_get(&b->o, "qom-type");
	bool known = false;

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		known |= !strcmp(type, kinds[i]);
	if (!known)
		return run_scan_refuse(s, -EOPNOTSUPP,
				       "-object %s,id=%s: this kind of memory cannot be remote",
				       type, b->id);
	if (qemu_opts_is_on(&b->o, "prealloc"))
		return run_scan_refuse(s, -EOPNOTSUPP, "-object %s,id=%s: prealloc=on %s", type,
				       b->id, touched_why);
	if (qemu_opts_is_on(&b->o, "hugetlb"))
		return run_scan_refuse(s, -EOPNOTSUPP, "-object %s,id=%s: hugetlb=on %s", type,
				       b->id, pinned_why);
	if (qemu_opts_is_on(&b->o, "pmem"))
		return run_scan_refuse(s, -EOPNOTSUPP,
				       "-object %s,id=%s: pmem memory is not a machine's RAM", type,
				       b->id);
	for (unsigned i = 0; i < s->set_ids; i++)
		if (!strcmp(s->set_id[i], b->id))
			return run_scan_refuse(
				s, -EINVAL, "-set object.%s: give what it sets in -object itself",
				b->id);
	return 0;
}

void run_scan_deinit(struct run_scan *s)
{
	free(s->machine_type);
	free(s->machine_backend);
	for (unsigned i = 0; i < s->numa_ids; i++)
		free(s->numa_id[i]);
	for (unsigned i = 0; i < s->plugged_ids; i++)
		free(s->plugged_id[i]);
	for (unsigned i = 0; i < s->set_ids; i++)
		free(s->set_id[i]);
	for (unsigned i = 0; i < s->backends; i++) {
		free(s->backend[i].id);
		qemu_opts_deinit(&s->backend[i].o);
	}
	free(s->backend);
}
