// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * options_mount.c - options behind -o, from mount(8) and /etc/fstab: those of gvmfs, those that
 * every filesystem has, and those that only mount(8) and systemd(1) use.
 */
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

const struct options_flag options_flags[OPTIONS_FLAGS] = {
	{ "ro", MOUNT_ATTR_RDONLY, true },
	{ "noexec", MOUNT_ATTR_NOEXEC, false },
	{ "noatime", MOUNT_ATTR_NOATIME, false },
	{ "nodiratime", MOUNT_ATTR_NODIRATIME, false },
	{ "sync", 0, true },
	{ "dirsync", 0, true },
};

/*
 * Options that state the default, or mean nothing here. A region is never a device or a privileged
 * program: nosuid and nodev hold in any case, though mount.fuse3(8) adds their opposites by itself.
 */
static const char *const ignored[] = {
	"defaults", "rw",	"suid",	     "nosuid",	   "dev",      "nodev",	  "exec",
	"async",    "atime",	"diratime",  "relatime",   "norelatime", "strictatime", "nostrictatime",
	"lazytime", "nolazytime", "auto",    "noauto",	   "nofail",   "user",	  "nouser",
	"users",    "owner",	"group",     "_netdev",	   "silent",   "loud",	  "nonempty",
	"default_permissions",
};
static const char *const ignored_prefixes[] = { "x-", "X-", "comment=", "user=", "uhelper=", "helper=",
						"subtype=" };

static bool is_ignored(const char *word)
{
	for (unsigned i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		if (strcmp(word, ignored[i]) == 0)
			return true;
	for (unsigned i = 0; i < sizeof(ignored_prefixes) / sizeof(*ignored_prefixes); i++)
		if (strncmp(word, ignored_prefixes[i], strlen(ignored_prefixes[i])) == 0)
			return true;
	return false;
}

static int refuse(const char *word, const char *why)
{
	fprintf(stderr, "gvmfs: mount option %s: %s\n", word, why);
	return 1;
}

/* `word` must stay allocated: the options point into it. */
static int word_set(struct options *opts, char *word, options_set_fn *set)
{
	char *value;
	int r;

	if (is_ignored(word))
		return 0;
	for (unsigned i = 0; i < OPTIONS_FLAGS; i++)
		if (strcmp(word, options_flags[i].name) == 0) {
			opts->flags |= 1u << i;
			return 0;
		}
	if (strcmp(word, "remount") == 0)
		return refuse(word, "a mount cannot be changed: unmount it and mount again");
	value = strchr(word, '=');
	if (value)
		*value++ = 0;
	if (strcmp(word, "fsname") == 0 && value && *value) {
		opts->source = value;
		return 0;
	}
	for (char *c = word; *c; c++)
		*c = *c == '_' ? '-' : *c;
	r = set(opts, word, value);
	return r < 0 ? refuse(word, "there is no such option") : r;
}

/* The next word, without the quotes and backslashes that protect commas; moves *text past it. */
static char *word_next(const char **text)
{
	const char *p = *text;
	char *word = malloc(strlen(p) + 1), *to = word;
	bool quoted = false;

	for (; word && *p && (quoted || *p != ','); p++) {
		if (*p == '"')
			quoted = !quoted;
		else if (*p == '\\' && p[1])
			*to++ = *++p;
		else
			*to++ = *p;
	}
	if (word)
		*to = 0;
	*text = *p ? p + 1 : p;
	return word;
}

int options_mount_parse(struct options *opts, const char *text, options_set_fn *set)
{
	int r = 0;

	while (!r && *text) {
		char *word = word_next(&text);

		if (!word)
			return refuse(text, "out of memory");
		r = *word ? word_set(opts, word, set) : 0;
	}
	return r;
}
