// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * QEMU takes its RAM from one of three places: -m alone (it allocates by itself), a memory backend
 * that -machine memory-backend= names, or one backend for each NUMA node. In the first case a
 * backend is added; in the others the backends become memory-backend-file in their place, with
 * their other properties kept, as do those of DIMMs and virtio-mem devices. Everything else passes
 * through word by word.
 *
 * The RAM block is called what QEMU itself would have called it, so that saved states and migration
 * streams fit in either direction: the added backend has the machine's name for its RAM as its id.
 *
 * Which words are options, and which are an option's argument, depends on the QEMU: qemu_facts.h.
 */
#include "args.h"

#include "machine.h"

#include "argv.h"
#include "memnode/size.h"
#include "qemu_opts.h"
#include "scan.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RAM_DEFAULT	 (128 * MIB) /* a PC's where -m is missing */
#define CONFIG_BYTES_MAX (1u << 20)

/* ---- words ---- */

/* The option's name without its dashes (QEMU takes two as one), or NULL if it is not an option. */
static const char *option_name(const char *arg)
{
	if (arg[0] != '-' || !arg[1])
		return NULL;
	return arg[1] == '-' ? arg + 2 : arg + 1;
}

/* Whether the word behind the option at args[i] is its argument: 1 or 0, or a negative errno. */
static int option_argument(struct run_scan *s, struct qemu_facts *facts, int i, const char *name)
{
	struct run_args *a = s->a;
	enum qemu_arity arity = qemu_facts_arity(facts, name);

	if (i + 1 == a->count) {
		if (arity == QEMU_ARITY_ARGUMENT && run_scan_handles(name))
			return run_scan_refuse(s, -EINVAL, "%s: an argument is missing",
					       a->args[i]);
		return 0;
	}
	if (arity != QEMU_ARITY_UNKNOWN)
		return arity == QEMU_ARITY_ARGUMENT;
	/* a word without a dash says nothing that counts, whatever it is */
	if (!option_name(a->args[i + 1]))
		return 1;
	return run_scan_refuse(
		s, -EINVAL,
		"%s: whether '%s' is its argument or another option cannot be told from "
		"%s -help; put %s at the end of the command line",
		a->args[i], a->args[i + 1], a->args[0], a->args[i]);
}

static int options_read(struct run_scan *s, struct qemu_facts *facts)
{
	struct run_args *a = s->a;
	int rc = 0;

	a->option = calloc((size_t)a->count, sizeof(*a->option)); /* as many as there could be */
	if (!a->option)
		return -ENOMEM;
	for (int i = 1; i < a->count && rc >= 0; i++) {
		const char *name = option_name(a->args[i]);

		if (!name)
			continue; /* a disk image */
		rc = option_argument(s, facts, i, name);
		if (rc >= 0)
			a->option[a->options++] = (struct run_option){name, i, rc ? i + 1 : 0};
		i += rc > 0;
	}
	return rc < 0 ? rc : 0;
}

static bool options_have(const struct run_args *a, const char *name)
{
	for (unsigned i = 0; i < a->options; i++)
		if (!strcmp(a->option[i].name, name))
			return true;
	return false;
}

/* ---- command lines without a guest ---- */

/* Options whose argument may ask for a list of what there is. */
static bool option_asks(const struct run_args *a, const struct run_option *at)
{
	static const char *const asking[] = {"accel",	"audio",  "audiodev", "chardev", "cpu",
					     "d",	"device", "display",  "drive",	 "M",
					     "machine", "net",	  "netdev",   "nic",	 "object",
					     "soundhw", "trace",  "vga",      "watchdog"};
	struct qemu_opts o;
	bool asks = false;

	for (unsigned i = 0; at->arg && i < sizeof(asking) / sizeof(asking[0]); i++) {
		if (strcmp(at->name, asking[i]))
			continue;
		asks = !qemu_opts_parse(&o, a->args[at->arg], NULL) && !o.json &&
		       (qemu_opts_get(&o, "help") || qemu_opts_get(&o, "?"));
		qemu_opts_deinit(&o);
	}
	return asks;
}

static bool machine_is_none(const struct run_args *a, const struct run_option *at)
{
	struct qemu_opts o;
	const char *type;
	bool none;

	if (!at->arg || (strcmp(at->name, "machine") && strcmp(at->name, "M")))
		return false;
	none = !qemu_opts_parse(&o, a->args[at->arg], "type");
	type = none ? qemu_opts_get(&o, "type") : NULL;
	none = type && !strcmp(type, "none");
	qemu_opts_deinit(&o);
	return none;
}

/* QEMU is asked for its version or its abilities, as libvirt does before it starts a guest. */
static bool is_probe(const struct run_args *a)
{
	static const char *const asking[] = {"h", "help", "version", "audio-help"};
	bool none = false;

	for (unsigned i = 0; i < sizeof(asking) / sizeof(asking[0]); i++)
		if (options_have(a, asking[i]))
			return true;
	for (unsigned i = 0; i < a->options; i++) {
		if (option_asks(a, &a->option[i]))
			return true;
		none |= machine_is_none(a, &a->option[i]);
	}
	return none && !options_have(a, "m");
}

/* ---- files of -readconfig ---- */

static int file_read(const char *path, char **text, bool *regular)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
	struct stat st;
	size_t have = 0;
	ssize_t n;

	*text = NULL;
	if (fd < 0)
		return -errno;
	*regular = !fstat(fd, &st) && S_ISREG(st.st_mode);
	*text = malloc(CONFIG_BYTES_MAX + 1);
	do {
		n = *text ? read(fd, *text + have, CONFIG_BYTES_MAX - have) : -1;
		have += n > 0 ? (size_t)n : 0;
	} while (n > 0 && have < CONFIG_BYTES_MAX);
	if (n)
		rc = !*text ? -ENOMEM : n < 0 ? -errno : -EFBIG;
	else if (memchr(*text, 0, have))
		rc = -EINVAL; /* QEMU would read on behind it */
	else
		(*text)[have] = 0;
	close(fd);
	return rc;
}

static int config_take(struct run_scan *s, const char *path, int arg)
{
	struct run_args *a = s->a;
	struct run_config *c = &a->config[a->configs];
	unsigned line;
	bool regular = true;
	char *text;
	int rc;

	if (a->configs == RUN_CONFIGS_MAX)
		return run_scan_refuse(s, -EINVAL, "more than %d -readconfig", RUN_CONFIGS_MAX);
	rc = file_read(path, &text, &regular);
	if (rc) {
		free(text);
		return run_scan_refuse(s, rc, "-readconfig %s: %s", path, strerror(-rc));
	}
	a->configs++;
	c->arg = arg;
	c->consumed = !regular;
	rc = qemu_config_parse(&c->text, text, &line);
	free(text);
	if (rc == -EINVAL)
		return run_scan_refuse(s, rc, "%s: line %u is not understood", path, line);
	for (unsigned i = 0; i < c->text.count && !rc; i++)
		rc = run_scan_group(s, &c->text.group[i],
				    (struct run_place){(int)a->configs - 1, (int)i});
	return rc;
}

/* ---- */

static int option_take(struct run_scan *s, const struct run_option *at)
{
	if (!at->arg)
		return run_scan_flag(s, at->name);
	if (!strcmp(at->name, "readconfig"))
		return config_take(s, s->a->args[at->arg], at->arg);
	return run_scan_text(s, at->name, s->a->args[at->arg], at->arg);
}

static int backend_is_replaceable(struct run_scan *s, const struct run_backend *b)
{
	if (b->at.config >= 0 && s->a->config[b->at.config].arg < 0)
		return run_scan_refuse(
			s, -EOPNOTSUPP,
			"the guest's RAM '%s' stands in the file that QEMU reads by "
			"itself: name the file with -readconfig, after -no-user-config",
			b->id);
	if (qemu_opts_is_on(&b->o, "readonly") &&
	    (qemu_opts_is_on(&b->o, "share") || !qemu_opts_get(&b->o, "mem-path")))
		return run_scan_refuse(s, -EOPNOTSUPP,
				       "-object %s,id=%s: readonly memory is not a machine's RAM",
				       qemu_opts_get(&b->o, "qom-type"), b->id);
	return run_scan_backend_check(s, b);
}

static int ram_add_backend(struct run_scan *s, const char *id)
{
	struct run_args *a = s->a;
	struct run_ram *r = &a->ram[a->rams];
	const char *size, *path;
	struct run_backend *b = NULL;
	int rc;

	for (unsigned i = 0; i < s->backends; i++)
		if (!strcmp(s->backend[i].id, id))
			b = &s->backend[i];
	if (!b)
		return run_scan_refuse(s, -EINVAL, "no -object memory-backend-… has the id '%s'",
				       id);
	if (a->rams == RUN_REGIONS_MAX)
		return run_scan_refuse(s, -EINVAL, "more than %d memory backends", RUN_REGIONS_MAX);
	rc = backend_is_replaceable(s, b);
	if (rc)
		return rc;
	size = qemu_opts_get(&b->o, "size");
	if (!size || size_parse(size, 1, &r->bytes) || !r->bytes)
		return run_scan_refuse(s, -EINVAL,
				       "-object %s,id=%s: its size is missing or not a "
				       "size",
				       qemu_opts_get(&b->o, "qom-type"), id);
	path = qemu_opts_get(&b->o, "mem-path");
	r->at = b->at;
	r->shared = qemu_opts_is_on(&b->o, "share");
	r->id = strdup(id);
	r->file = path ? strdup(path) : NULL;
	a->rams++;
	return r->id && (r->file || !path) ? 0 : -ENOMEM;
}

static int ram_add_own(struct run_scan *s, struct qemu_facts *facts)
{
	struct run_args *a = s->a;
	struct run_ram *r = &a->ram[0];
	const char *id = qemu_facts_ram_id(facts, s->machine_type);

	r->bytes = s->m_bytes ? s->m_bytes : s->machine_bytes;
	if (!r->bytes && !qemu_facts_ram_is_128m(facts))
		return run_scan_refuse(s, -EINVAL,
				       "give the RAM's size with -m: this QEMU's default "
				       "is not known");
	if (!r->bytes)
		r->bytes = RAM_DEFAULT; /* as QEMU reads -m 0, too */
	if (!id && run_notes_add(&a->notes,
				 "what the machine %s calls its RAM is not known: saved states "
				 "do not fit a QEMU that runs without gvm run",
				 s->machine_type ? s->machine_type : "of this QEMU"))
		return -ENOMEM;
	r->at = (struct run_place){-1, -1};
	r->id = strdup(id ? id : RUN_OBJECT_ID);
	r->file = a->mem_path < 0 ? NULL : strdup(a->args[a->mem_path]);
	a->rams = 1;
	return r->id && (r->file || a->mem_path < 0) ? 0 : -ENOMEM;
}

static int machine_rams_find(struct run_scan *s, struct qemu_facts *facts)
{
	int rc = 0;

	if (s->machine_backend && s->numa_ids)
		return run_scan_refuse(s, -EINVAL,
				       "-machine memory-backend= and -numa memdev= exclude each "
				       "other");
	if (s->machine_backend)
		return ram_add_backend(s, s->machine_backend);
	for (unsigned i = 0; i < s->numa_ids && !rc; i++)
		rc = ram_add_backend(s, s->numa_id[i]);
	return rc || s->numa_ids ? rc : ram_add_own(s, facts);
}

/* Where device i's memory is going to be: where it asks to be, or, as QEMU looks for room, in the first gap between those
 * before it that is large enough. Their RAM begins with a->ram[first]. */
static uint64_t plug_place(const struct run_scan *s, unsigned first, unsigned i, uint64_t from)
{
	const struct run_ram *ram = &s->a->ram[first];
	uint64_t align = s->plug[i].align_bytes, gpa = (from + align - 1) / align * align;

	if (s->plug[i].gpa)
		return s->plug[i].gpa;
	for (unsigned k = 0; k < i; k++) {
		uint64_t end = ram[k].gpa + ram[k].bytes;

		if (gpa >= end || gpa + ram[i].bytes <= ram[k].gpa)
			continue;
		end = (end + align - 1) / align * align;
		if (end <= gpa)
			return 0; /* sizes that no machine has */
		gpa = end;
		k = UINT_MAX; /* once more, against all of them */
	}
	return gpa;
}

/* Decides from everything that was read where the RAM comes from. */
static int rams_find(struct run_scan *s, struct qemu_facts *facts)
{
	int rc = machine_rams_find(s, facts);
	uint64_t bytes = 0;
	unsigned first;

	for (unsigned i = 0; i < s->a->rams && !rc; i++)
		bytes += s->a->ram[i].bytes;
	if (!rc)
		s->a->low_bytes = run_machine_low(s->a->args[0], s->machine_type, bytes, s->machine_most);
	first = s->a->rams;
	for (unsigned i = 0; i < s->plugged_ids && !rc; i++) {
		rc = ram_add_backend(s, s->plugged_id[i]);
		if (!rc)
			s->a->ram[s->a->rams - 1].plugged = true;
	}
	for (unsigned i = 0; i < s->plugged_ids && !rc && s->a->low_bytes; i++)
		s->a->ram[first + i].gpa = plug_place(s, first, i, run_machine_plug_gpa(bytes, s->a->low_bytes));
	return rc;
}

bool run_args_ram_has_suffix(const struct run_args *a, unsigned i)
{
	return a->ram[i].plugged || (a->rams > 1 && !a->ram[1].plugged);
}

static int args_copy(struct run_args *a, char *const argv[])
{
	while (argv[a->count])
		a->count++;
	a->args = calloc((size_t)a->count + 1, sizeof(*a->args));
	if (!a->args)
		return -ENOMEM;
	for (int i = 0; i < a->count; i++) {
		a->args[i] = strdup(argv[i]);
		if (!a->args[i])
			return -ENOMEM;
	}
	return 0;
}

static int args_scan(struct run_scan *s, struct qemu_facts *facts, const char *user_config)
{
	struct run_args *a = s->a;
	int rc = options_read(s, facts);

	if (!rc)
		a->probe = is_probe(a);
	if (!rc && !a->probe) {
		/* before all others, so that those hold that come after it */
		if (user_config && !options_have(a, "no-user-config") &&
		    !options_have(a, "nouserconfig"))
			rc = config_take(s, user_config, -1);
		for (unsigned i = 0; i < a->options && !rc; i++)
			rc = option_take(s, &a->option[i]);
		if (!rc)
			rc = rams_find(s, facts);
	}
	return rc;
}

int run_args_parse(struct run_args *a, char *const argv[], struct qemu_facts *facts,
		   const char *user_config, bool pinning_allowed, char err[RUN_ERR_TEXT])
{
	struct run_scan s = {.a = a, .err = err, .pinning_allowed = pinning_allowed};
	const char *base;
	int rc;

	*err = 0;
	memset(a, 0, sizeof(*a));
	a->machine = a->mem_path = -1;
	if (!argv[0])
		return run_scan_refuse(&s, -EINVAL, "no command");
	rc = args_copy(a, argv);
	if (rc)
		return rc;
	/* a QEMU installed under the name of kvm uses it by itself */
	base = strrchr(a->args[0], '/') ? strrchr(a->args[0], '/') + 1 : a->args[0];
	a->accel = strlen(base) >= 3 && !strcmp(base + strlen(base) - 3, "kvm")
			   ? RUN_ACCEL_KVM_OR_TCG
			   : RUN_ACCEL_TCG;
	rc = args_scan(&s, facts, user_config);
	run_scan_deinit(&s);
	return rc;
}

void run_args_deinit(struct run_args *a)
{
	run_args_free_argv(a->args);
	free(a->option);
	free(a->guest);
	for (unsigned i = 0; i < a->rams; i++) {
		free(a->ram[i].id);
		free(a->ram[i].file);
	}
	for (unsigned i = 0; i < a->configs; i++)
		qemu_config_deinit(&a->config[i].text);
	run_notes_deinit(&a->notes);
	memset(a, 0, sizeof(*a));
}
