// SPDX-License-Identifier: GPL-2.0-or-later
/* notes.c - see notes.h. */
#include "notes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int run_notes_add(struct run_notes *notes, const char *fmt, ...)
{
	char **grown = realloc(notes->text, (notes->count + 1) * sizeof(*grown));
	va_list ap;
	int n;

	if (!grown)
		return -ENOMEM;
	notes->text = grown;
	va_start(ap, fmt);
	n = vasprintf(&notes->text[notes->count], fmt, ap);
	va_end(ap);
	if (n < 0)
		return -ENOMEM;
	notes->count++;
	return 0;
}

void run_notes_deinit(struct run_notes *notes)
{
	for (unsigned i = 0; i < notes->count; i++)
		free(notes->text[i]);
	free(notes->text);
	memset(notes, 0, sizeof(*notes));
}
