// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An option's line in `-help` begins with its names. Then comes its argument, or, from column 16
 *on, what it does:
 *
 *	-fda/-fdb file  use 'file' as floppy disk 0/1 image
 *	-nographic      disable graphical output and redirect serial I/Os to console
 *	-dtb    file    use 'file' as device tree image
 *	-async-teardown enable asynchronous teardown
 *
 * The last could be read either way. Options that `-help` does not show are in the tables.
 */
#include "qemu_facts.h"

#include "qemu_opts.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HELP_COLUMN 16
#define TAB_COLUMNS 8

static const char *const flags[] = {
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
	"perfmap",
	"jitdump",
	"no-quit",
	"alt-grab",
	"ctrl-grab",
	"no-frame",
	"sdl",
	"curses",
	"enable-fips",
	"no-kvm",
	"no-kvm-irqchip",
	"no-kvm-pit",
	"no-kvm-pit-reinjection",
	"rtc-td-hack",
	"tdf",
	"semihosting",
	"old-param",
};

/* Those that command lines mostly have, in every version, and those that -help hides. */
static const char *const arguments[] = {
	"accel",
	"add-fd",
	"append",
	"audio",
	"audiodev",
	"balloon",
	"bios",
	"blockdev",
	"boot",
	"cdrom",
	"chardev",
	"chroot",
	"cpu",
	"d",
	"D",
	"debugcon",
	"device",
	"display",
	"drive",
	"fda",
	"fdb",
	"fsdev",
	"fw_cfg",
	"gdb",
	"global",
	"hda",
	"hdb",
	"hdc",
	"hdd",
	"icount",
	"incoming",
	"initrd",
	"k",
	"kernel",
	"L",
	"loadvm",
	"m",
	"M",
	"machine",
	"mem-path",
	"mon",
	"monitor",
	"msg",
	"name",
	"net",
	"netdev",
	"nic",
	"numa",
	"object",
	"overcommit",
	"parallel",
	"pflash",
	"pidfile",
	"qmp",
	"qmp-pretty",
	"qtest",
	"qtest-log",
	"readconfig",
	"realtime",
	"rtc",
	"runas",
	"sandbox",
	"seed",
	"serial",
	"set",
	"smbios",
	"smp",
	"soundhw",
	"spice",
	"trace",
	"usbdevice",
	"uuid",
	"vga",
	"virtfs",
	"vnc",
	"watchdog",
	"watchdog-action",
	"writeconfig",

};

static bool listed(const char *const *list, unsigned n, const char *name)
{
	for (unsigned i = 0; i < n; i++)
		if (!strcmp(list[i], name))
			return true;
	return false;
}
#define LISTED(list, name) listed(list, sizeof(list) / sizeof((list)[0]), name)

/* ---- -help ---- */

static int option_add(struct qemu_facts *f, const char *name, size_t len, enum qemu_arity arity)
{
	struct qemu_option *grown = realloc(f->option, (f->options + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	f->option = grown;
	grown[f->options].name = strndup(name, len);
	grown[f->options].arity = arity;
	return grown[f->options++].name ? 0 : -ENOMEM;
}

/* What stands behind the names, the first blank of which is in `column`. */
static enum qemu_arity arity_read(const char *p, unsigned column)
{
	unsigned blanks = 0;

	for (; *p == ' ' || *p == '\t'; p++, blanks++)
		column += *p == '\t' ? TAB_COLUMNS - column % TAB_COLUMNS : 1;
	if (!*p || *p == '\n')
		return QEMU_ARITY_FLAG;
	if (column < HELP_COLUMN)
		return QEMU_ARITY_ARGUMENT;
	if (blanks > 1 || p[-1] == '\t')
		return QEMU_ARITY_FLAG;
	return column == HELP_COLUMN ? QEMU_ARITY_UNKNOWN : QEMU_ARITY_ARGUMENT;
}

static int help_line(struct qemu_facts *f, const char *line)
{
	static const char or_help[] = " or -";
	const char *end = line + strcspn(line, " \t\n"), *p = line;
	enum qemu_arity arity;
	int rc = 0;

	while (!strncmp(end, or_help, strlen(or_help)))
		end += strlen(or_help) + strcspn(end + strlen(or_help), " \t\n");
	arity = arity_read(end, (unsigned)(end - line));
	while (!rc && p < end) {
		size_t n;

		p += strspn(p, "-/");
		n = strcspn(p, "/ \t\n");
		rc = n ? option_add(f, p, n, arity) : 0;
		p += n;
		if (!strncmp(p, or_help, strlen(or_help)))
			p += strlen(or_help);
	}
	return rc;
}

static int help_read(struct qemu_facts *f, const char *text)
{
	int rc = 0;

	for (; *text && !rc; text += strcspn(text, "\n"), text += *text == '\n')
		if (*text == '-')
			rc = help_line(f, text);
	return rc;
}

/* ---- query-machines, query-target ---- */

/* A copy of a string, or NULL where there is none. *rc tells of no memory. */
static char *copied(struct json_object *object, const char *key, int *rc)
{
	struct json_object *value;
	char *copy;

	if (!json_object_object_get_ex(object, key, &value) ||
	    !json_object_is_type(value, json_type_string))
		return NULL;
	copy = strdup(json_object_get_string(value));
	if (!copy)
		*rc = -ENOMEM;
	return copy;
}

static int machine_add(struct qemu_facts *f, struct json_object *said)
{
	struct qemu_machine *grown = realloc(f->machine, (f->machines + 1) * sizeof(*grown)), *m;
	struct json_object *is_default;
	int rc = 0;

	if (!grown)
		return -ENOMEM;
	f->machine = grown;
	m = &grown[f->machines++];
	m->name = copied(said, "name", &rc);
	m->alias = copied(said, "alias", &rc);
	m->ram_id = copied(said, "default-ram-id", &rc);
	m->is_default = json_object_object_get_ex(said, "is-default", &is_default) &&
			json_object_get_boolean(is_default);
	return rc;
}

static int machines_add(struct qemu_facts *f, struct json_object *list)
{
	size_t count = json_object_array_length(list);
	int rc = 0;

	for (size_t i = 0; i < count && !rc; i++) {
		struct json_object *said = json_object_array_get_idx(list, i), *name;

		if (json_object_object_get_ex(said, "name", &name))
			rc = machine_add(f, said);
	}
	return rc;
}

static int answer_read(struct qemu_facts *f, const char *line)
{
	struct json_object *answer = qemu_json_parse(line), *said, *arch;
	int rc = answer ? 0 : -EINVAL;

	if (json_object_object_get_ex(answer, "return", &said)) {
		if (json_object_object_get_ex(said, "arch", &arch))
			snprintf(f->arch, sizeof(f->arch), "%s", json_object_get_string(arch));
		if (json_object_is_type(said, json_type_array))
			rc = machines_add(f, said);
	}
	json_object_put(answer);
	return rc;
}

static int machines_read(struct qemu_facts *f, char *text)
{
	char *save;
	int rc = 0;

	for (char *line = strtok_r(text, "\r\n", &save); line && !rc;
	     line = strtok_r(NULL, "\r\n", &save))
		if (*line == '{')
			rc = answer_read(f, line);
	return rc;
}

/* ---- */

static bool asked(struct qemu_facts *f, enum qemu_question question)
{
	char *text;

	if (f->asked[question])
		return f->answered[question];
	f->asked[question] = true;
	text = f->ask ? f->ask(f->qemu, question) : NULL;
	if (text && question == QEMU_ASK_HELP)
		f->answered[question] = !help_read(f, text) && f->options;
	if (text && question == QEMU_ASK_MACHINES)
		f->answered[question] = !machines_read(f, text) && f->machines;
	free(text);
	return f->answered[question];
}

enum qemu_arity qemu_facts_arity(struct qemu_facts *f, const char *name)
{
	if (LISTED(flags, name))
		return QEMU_ARITY_FLAG;
	if (LISTED(arguments, name))
		return QEMU_ARITY_ARGUMENT;
	if (!asked(f, QEMU_ASK_HELP))
		return QEMU_ARITY_UNKNOWN;
	for (unsigned i = 0; i < f->options; i++)
		if (!strcmp(f->option[i].name, name))
			return f->option[i].arity;
	return QEMU_ARITY_NONE;
}

/* Machines of a PC's kind, in whatever version, have called their RAM so ever since. */
static const char *ram_id_known(const char *machine)
{
	static const struct {
		const char *name, *ram_id;
	} exact[] = {
		{"pc", "pc.ram"},
		{"q35", "pc.ram"},
		{"isapc", "pc.ram"},
		{"microvm", "microvm.ram"},
	};

	for (unsigned i = 0; i < sizeof(exact) / sizeof(exact[0]); i++)
		if (!strcmp(machine, exact[i].name))
			return exact[i].ram_id;
	if (!strncmp(machine, "pc-i440fx-", 10) || !strncmp(machine, "pc-q35-", 7))
		return "pc.ram";
	return NULL;
}

const char *qemu_facts_ram_id(struct qemu_facts *f, const char *machine)
{
	const char *known = machine ? ram_id_known(machine) : NULL;

	if (known)
		return known;
	if (!asked(f, QEMU_ASK_MACHINES))
		return machine ? NULL : "pc.ram"; /* undocumented, but the usual default */
	for (unsigned i = 0; i < f->machines; i++) {
		const struct qemu_machine *m = &f->machine[i];

		if (machine ? !strcmp(m->name, machine) || (m->alias && !strcmp(m->alias, machine))
			    : m->is_default)
			return m->ram_id;
	}
	return NULL;
}

bool qemu_facts_ram_is_128m(struct qemu_facts *f)
{
	return !asked(f, QEMU_ASK_MACHINES) || !strcmp(f->arch, "x86_64") ||
	       !strcmp(f->arch, "i386");
}

void qemu_facts_deinit(struct qemu_facts *f)
{
	for (unsigned i = 0; i < f->options; i++)
		free(f->option[i].name);
	for (unsigned i = 0; i < f->machines; i++) {
		free(f->machine[i].name);
		free(f->machine[i].alias);
		free(f->machine[i].ram_id);
	}
	free(f->option);
	free(f->machine);
	f->option = NULL;
	f->machine = NULL;
	f->options = f->machines = 0;
}
