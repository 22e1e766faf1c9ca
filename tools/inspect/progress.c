// SPDX-License-Identifier: GPL-2.0-or-later
#include "progress.h"

#include "memnode/clock.h"
#include "memnode/size.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FIRST_NS 1000000000ull /* what is over before that shows none */
#define AGAIN_NS 200000000ull

void progress_begin(struct progress *p, const char *doing, uint64_t bytes)
{
	memset(p, 0, sizeof(*p));
	p->doing = doing;
	p->all = bytes;
	p->shown = isatty(STDERR_FILENO);
	p->begun_ns = gvm_now_ns();
}

void progress_add(struct progress *p, uint64_t bytes)
{
	char done[SIZE_TEXT], all[SIZE_TEXT];
	uint64_t now;

	p->done += bytes;
	if (!p->shown)
		return;
	now = gvm_now_ns();
	if (now - p->begun_ns < FIRST_NS || now - p->said_ns < AGAIN_NS)
		return;
	p->said_ns = now;
	p->said = true;
	fprintf(stderr, "\r%s: %3.0f %%, %s of %s \033[K", p->doing, p->all ? 100.0 * (double)p->done / (double)p->all : 100,
		size_text(p->done, done), size_text(p->all, all));
}

void progress_end(struct progress *p)
{
	if (p->said)
		fputs("\r\033[K", stderr);
}
