// SPDX-License-Identifier: GPL-2.0-or-later
/* say.c - see say.h. */
#include "say.h"

#include <stdarg.h>
#include <stdio.h>

static const char *speaker = "gvm";

void say_as(const char *name)
{
	speaker = name;
}

void say(const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* one write, so that the lines of several processes do not mix */
	fprintf(stderr, "%s: %s\n", speaker, text);
}
