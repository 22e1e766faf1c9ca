// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gvm inspect - looks into a guest while it runs, through the view NAME.core of its region (gvmfs(8)): by address, by
 * content, by kinds of pages, and what changes. `gvm inspect kernel` finds the guest's kernel, and tells the mount.
 */
#include "census.h"
#include "dump.h"
#include "find.h"
#include "gvm.h"
#include "gvmfs/gvm_mount.h"
#include "kernel.h"
#include "memnode/size.h"
#include "memory.h"
#include "monitor.h"
#include "say.h"
#include "snapshot.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char help_text[] =
	"usage: gvm inspect [OPTION ...] REGION\n"
	"       gvm inspect kernel --map FILE REGION\n"
	"\n"
	"Looks into a guest while it runs. REGION is the guest's RAM, a file of a gvmfs\n"
	"mount; or an ELF core of a guest. Without an option: what lies where. With\n"
	"kernel: finds the guest's Linux, so that REGION.core shows its addresses, too.\n"
	"\n"
	"  --phys ADDR      show memory at a guest physical address\n"
	"  --virt ADDR      show memory at a guest virtual address\n"
	"  --bytes N        so much of it (256)\n"
	"  --raw            as it is, not in hexadecimal\n"
	"  --cr3 VALUE      virtual addresses are those of these page tables\n"
	"  --five-level     and these have five levels\n"
	"  --qmp SOCKET     ask the guest's QEMU for both; it was started with\n"
	"                   -qmp unix:SOCKET,server=on,wait=off\n"
	"  --cpu N          of this CPU (0)\n"
	"  --find TEXT      where this text is\n"
	"  --find-hex HEX   where these bytes are\n"
	"  --census         how many pages are zero, compressible, random, duplicate\n"
	"  --snapshot FILE  note what each page is now, to a new file\n"
	"  --diff FILE      which pages have changed since\n"
	"  --map FILE       the guest's System.map, or its /proc/kallsyms as root sees it\n"
	"  --help           show this text\n";

enum action { ACTION_NONE, ACTION_PHYS, ACTION_VIRT, ACTION_FIND, ACTION_CENSUS, ACTION_SNAPSHOT, ACTION_DIFF };

#define BYTES_DEFAULT 256
#define DUMP_AT_ONCE  65536u

struct inspect {
	enum action action;
	const char *path, *file, *qmp, *map;
	uint64_t address, bytes, cr3;
	unsigned cpu;
	bool kernel, raw, five_level;
	uint8_t pattern[FIND_BYTES_MAX];
	size_t pattern_bytes;
};

/* ---- the command line */

static int number_parse(const char *option, const char *text, uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 0);
	if (!errno && *text >= '0' && *text <= '9' && !*end)
		return 0;
	say("--%s %s: not a number; hexadecimal ones begin with 0x", option, text);
	return -EINVAL;
}

static int pattern_take(struct inspect *in, const char *text, bool hex)
{
	size_t n = strlen(text);

	if (hex && !find_hex(text, in->pattern, &in->pattern_bytes))
		return 0;
	if (!hex && n && n <= FIND_BYTES_MAX) {
		memcpy(in->pattern, text, n);
		in->pattern_bytes = n;
		return 0;
	}
	say(hex ? "--find-hex %s: not 1 to %u bytes in hexadecimal" : "--find %s: not 1 to %u bytes", text, FIND_BYTES_MAX);
	return -EINVAL;
}

static int action_set(struct inspect *in, enum action action)
{
	if (in->action == ACTION_NONE) {
		in->action = action;
		return 0;
	}
	say("one of --phys, --virt, --find, --find-hex, --census, --snapshot and --diff at a time");
	return -EINVAL;
}

static int option_take(struct inspect *in, int c)
{
	uint64_t value;
	int rc;

	switch (c) {
	case 'p':
		rc = number_parse("phys", optarg, &in->address);
		return rc ? rc : action_set(in, ACTION_PHYS);
	case 'v':
		rc = number_parse("virt", optarg, &in->address);
		return rc ? rc : action_set(in, ACTION_VIRT);
	case 'b':
		if (!size_parse_option(optarg, &in->bytes) && in->bytes)
			return 0;
		say("--bytes %s: not a size", optarg);
		return -EINVAL;
	case 'r':
		in->raw = true;
		return 0;
	case '3':
		return number_parse("cr3", optarg, &in->cr3);
	case '5':
		in->five_level = true;
		return 0;
	case 'q':
		in->qmp = optarg;
		return 0;
	case 'c':
		rc = number_parse("cpu", optarg, &value);
		if (!rc && value > UINT_MAX) {
			say("--cpu %s: no guest has so many", optarg);
			return -EINVAL;
		}
		in->cpu = (unsigned)value;
		return rc;
	case 'f':
	case 'x':
		rc = pattern_take(in, optarg, c == 'x');
		return rc ? rc : action_set(in, ACTION_FIND);
	case 'z':
		return action_set(in, ACTION_CENSUS);
	case 's':
	case 'd':
		in->file = optarg;
		return action_set(in, c == 's' ? ACTION_SNAPSHOT : ACTION_DIFF);
	case 'm':
		in->map = optarg;
		return 0;
	default:
		return -EINVAL;
	}
}

static int options_check(const struct inspect *in)
{
	if (in->kernel != (in->map != NULL))
		say(in->kernel ? "kernel needs --map FILE: the guest's System.map, or its /proc/kallsyms" :
				 "--map is for gvm inspect kernel");
	else if (in->kernel && in->action != ACTION_NONE)
		say("kernel takes none of these options but --map");
	else if ((in->cr3 || in->qmp) && in->action != ACTION_VIRT)
		say("--cr3 and --qmp are for --virt");
	else if (in->cr3 && in->qmp)
		say("--cr3 and --qmp exclude each other");
	else
		return 0;
	return -EINVAL;
}

/* 0; 1: the help was shown; or -EINVAL. */
static int options_read(struct inspect *in, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "phys", required_argument, NULL, 'p' },     { "virt", required_argument, NULL, 'v' },
		{ "bytes", required_argument, NULL, 'b' },    { "raw", no_argument, NULL, 'r' },
		{ "cr3", required_argument, NULL, '3' },      { "five-level", no_argument, NULL, '5' },
		{ "qmp", required_argument, NULL, 'q' },      { "cpu", required_argument, NULL, 'c' },
		{ "find", required_argument, NULL, 'f' },     { "find-hex", required_argument, NULL, 'x' },
		{ "census", no_argument, NULL, 'z' },	      { "snapshot", required_argument, NULL, 's' },
		{ "diff", required_argument, NULL, 'd' },     { "map", required_argument, NULL, 'm' },
		{ "help", no_argument, NULL, 'h' },	      { NULL, 0, NULL, 0 } };
	int c;

	optind = 1;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (c == 'h') {
			fputs(help_text, stdout);
			return 1;
		}
		if (option_take(in, c))
			return -EINVAL;
	}
	if (optind < argc - 1 && !strcmp(argv[optind], "kernel")) {
		in->kernel = true;
		optind++;
	}
	if (optind != argc - 1) {
		fputs(help_text, stderr);
		return -EINVAL;
	}
	in->path = argv[optind];
	return options_check(in);
}

/* ---- what lies where */

static void ranges_print(const struct inspect *in, const struct memory *m)
{
	char text[SIZE_TEXT];

	printf("%s: %s of guest memory\n", in->path, size_text(m->bytes, text));
	for (unsigned i = 0; i < m->range_count; i++)
		printf("  guest physical 0x%012" PRIx64 "-0x%012" PRIx64 "  %s\n", m->ranges[i].gpa,
		       m->ranges[i].gpa + m->ranges[i].bytes - 1, size_text(m->ranges[i].bytes, text));
	for (unsigned i = 0; i < m->map.parts; i++)
		if (m->map.part[i].va != m->map.part[i].gpa && m->map.part[i].va)
			printf("  virtual 0x%016" PRIx64 "-0x%016" PRIx64 " is guest physical 0x%" PRIx64 "\n",
			       m->map.part[i].va, m->map.part[i].va + m->map.part[i].bytes - 1, m->map.part[i].gpa);
}

static int summary(const struct inspect *in, const struct memory *m)
{
	char facts[512], *info = memory_vmcoreinfo(m);
	ssize_t n = getxattr(in->path, GVM_XATTR_CORE, facts, sizeof(facts) - 1);

	ranges_print(in, m);
	facts[n > 0 ? n : 0] = 0;
	if (strstr(facts, "guessed 1"))
		puts("  where the PCI hole is was guessed: see user.gvm.core in gvmfs(8)");
	if (info)
		printf("  the kernel says: %.*s\n", (int)strcspn(info, "\n"), info);
	else
		puts("  nothing is known of its kernel: gvm inspect kernel finds a Linux");
	free(info);
	return 0;
}

/* ---- at an address */

static int tables_find(const struct inspect *in, const struct memory *m, struct memory_virtual *v)
{
	char err[MONITOR_ERR];

	*v = (struct memory_virtual){ .m = m, .cr3 = in->cr3, .levels = in->five_level ? 5 : 4 };
	if (in->qmp && monitor_page_tables(in->qmp, in->cpu, &v->cr3, &v->levels, err)) {
		say("--qmp %s", err);
		return -EIO;
	}
	if (!v->cr3 && !memory_kernel_tables(m, v))
		*v = (struct memory_virtual){ .m = m, .levels = 4 };
	return 0;
}

static int part_print(const struct inspect *in, const struct memory *m, uint64_t address, uint64_t gpa, size_t bytes)
{
	static uint8_t buf[DUMP_AT_ONCE];
	int rc = memory_read(m, gpa, buf, bytes);

	if (rc == -EFAULT)
		say("0x%" PRIx64 ": the guest has no memory there%s", gpa,
		    in->action == ACTION_VIRT ? " (that is the guest physical address)" :
						"; gvm inspect REGION says where it has some");
	else if (rc)
		say("0x%" PRIx64 ": %s: gvm stat and gvmfs' log tell why", gpa, strerror(-rc));
	else if (in->raw)
		fwrite(buf, 1, bytes, stdout);
	else
		dump_print(address, buf, bytes);
	return rc;
}

static int show(const struct inspect *in, const struct memory *m)
{
	uint64_t address = in->address, left = in->bytes ? in->bytes : BYTES_DEFAULT;
	struct memory_virtual v;
	char err[MEMORY_ERR];

	if (in->action == ACTION_VIRT && tables_find(in, m, &v))
		return 1;
	while (left) {
		uint64_t gpa = address, n = left < DUMP_AT_ONCE ? left : DUMP_AT_ONCE, here = n, off;

		/* What is there of it is shown before it is said that the rest is not. */
		if (in->action == ACTION_PHYS && !core_map_gpa(&m->map, gpa, &off, &here))
			here = n;
		if (in->action == ACTION_VIRT && memory_translate(&v, address, &gpa, &here, err)) {
			say("%s", err);
			return 1;
		}
		if (n > here)
			n = here;
		if (part_print(in, m, address, gpa, n))
			return 1;
		address += n;
		left -= n;
	}
	return 0;
}

/* ---- the kernel */

static void kernel_print(const struct inspect *in, const struct kernel_found *k)
{
	printf("kernel       %s\n", k->banner);
	printf("text         0x%016" PRIx64 ", guest physical 0x%" PRIx64 "\n", k->va, k->gpa);
	printf("KASLR        0x%" PRIx64 "\n", k->kaslr);
	printf("phys_base    0x%" PRIx64 "\n", k->phys_base);
	printf("direct map   0x%016" PRIx64 "\n", k->direct_map);
	if (k->note)
		printf("VMCOREINFO   guest physical 0x%" PRIx64 ", %" PRIu64 " bytes\n", k->note_gpa, k->note_bytes);
	else
		puts("VMCOREINFO   none: crash and drgn need a kernel with CONFIG_CRASH_CORE or CONFIG_VMCORE_INFO");
	printf("gdb          gdb -ex 'symbol-file -o 0x%" PRIx64 " vmlinux' -ex 'core-file %s.core'\n", k->kaslr, in->path);
}

static int kernel_tell(const struct inspect *in, const struct kernel_found *k)
{
	char text[128];
	int n = snprintf(text, sizeof(text), "direct_map 0x%" PRIx64 "\nphys_base 0x%" PRIx64 "\n", k->direct_map,
			 k->phys_base);

	if (!setxattr(in->path, GVM_XATTR_CORE, text, (size_t)n, 0) &&
	    (!k->note || !setxattr(in->path, GVM_XATTR_NOTE, k->note, k->note_bytes, 0)))
		return 0;
	if (errno == EOPNOTSUPP || errno == ENODATA) /* a core that is a file */
		return 0;
	say("%s.core does not know it: %s%s", in->path, strerror(errno),
	    errno == EACCES || errno == EPERM ? ": who may write the region can tell" : "");
	return 1;
}

static int kernel(const struct inspect *in, const struct memory *m)
{
	struct kernel_symbols symbols;
	struct kernel_found found;
	int rc;

	if (kernel_symbols_read(&symbols, in->map))
		return 1;
	if (kernel_find(m, &symbols, &found)) {
		say("%s: no kernel there to which %s fits: is it of this very version, and has the guest booted?", in->path,
		    in->map);
		return 1;
	}
	kernel_print(in, &found);
	rc = kernel_tell(in, &found);
	free(found.note);
	return rc;
}

static int act(const struct inspect *in, const struct memory *m)
{
	if (in->kernel)
		return kernel(in, m);
	switch (in->action) {
	case ACTION_PHYS:
	case ACTION_VIRT:
		return show(in, m);
	case ACTION_FIND:
		return find_run(m, in->pattern, in->pattern_bytes);
	case ACTION_CENSUS:
		return census_run(m);
	case ACTION_SNAPSHOT:
		return snapshot_save(m, in->file);
	case ACTION_DIFF:
		return snapshot_diff(m, in->file);
	case ACTION_NONE:
		break;
	}
	return summary(in, m);
}

int cmd_inspect(int argc, char **argv)
{
	struct inspect in = { .action = ACTION_NONE };
	struct memory m;
	int rc = options_read(&in, argc, argv);

	if (rc)
		return rc > 0 ? 0 : EXIT_USAGE;
	if (memory_open(&m, in.path))
		return 1;
	rc = act(&in, &m);
	memory_close(&m);
	return rc;
}
