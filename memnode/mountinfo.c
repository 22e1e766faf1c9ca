// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * mountinfo.c - see mountinfo.h; proc_pid_mountinfo(5) has the format.
 *
 *	36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
 *
 * Between the mount's options and the lone dash there is any number of further fields.
 */
#include "mountinfo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

/* Three octal digits behind a backslash are one byte. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = 0;
}

/* The next field, which may be empty (a source that was given so): one blank ends it, not several.
 */
static const char *field(char **p)
{
	char *at = strsep(p, " \n");

	if (at)
		unescape(at);
	return at;
}

static bool line_parse(struct mountinfo *m, char *p)
{
	const char *id = field(&p), *word;
	unsigned major, minor;

	word = field(&p); /* the parent mount */
	word = word ? field(&p) : NULL;
	if (!word || sscanf(id, "%u", &m->id) != 1 || sscanf(word, "%u:%u", &major, &minor) != 2)
		return false;
	m->dev = makedev(major, minor);
	m->root = field(&p);
	m->at = field(&p);
	do
		word = field(&p);
	while (word && strcmp(word, "-"));
	m->type = field(&p);
	m->source = field(&p);
	m->super = field(&p);
	return m->super;
}

int mountinfo_open(struct mountinfo *m, const char *list)
{
	memset(m, 0, sizeof(*m));
	m->file = fopen(list ? list : "/proc/self/mountinfo", "re");
	return m->file ? 0 : -errno;
}

bool mountinfo_next(struct mountinfo *m)
{
	while (getline(&m->line, &m->room, m->file) > 0)
		if (line_parse(m, m->line))
			return true;
	return false;
}

void mountinfo_close(struct mountinfo *m)
{
	if (m->file)
		fclose(m->file);
	free(m->line);
	memset(m, 0, sizeof(*m));
}
