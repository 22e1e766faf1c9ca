// SPDX-License-Identifier: GPL-2.0-or-later
/* region.c - the region of world.h: resident_env.h's part of it. */
#include "world.h"

#include <errno.h>

const char *env_name(const struct resident *r)
{
	(void)r;
	return "world";
}

uint64_t env_epoch(const struct resident *r)
{
	(void)r;
	return W_EPOCH;
}

bool env_failed(const struct resident *r)
{
	(void)r;
	return world.failed;
}

bool env_unwanted(const struct resident *r)
{
	(void)r;
	return world.unwanted;
}

void env_changed(struct resident *r)
{
	(void)r;
}

void env_report(struct resident *r, uint64_t c, const char *what, int error)
{
	(void)what;
	if (error == -EKEYREVOKED)
		env_fail(r, c, error);
}

void env_fail(struct resident *r, uint64_t c, int error)
{
	(void)c;
	(void)error;
	if (world.failed)
		return;
	world.failed = true;
	resident_abort(r, "the region has failed");
}

void env_close(struct resident *r)
{
	world.closed = true;
	world.rs.list[0] = NULL;
	world.rs.count--;
	resident_ios_end(r);
}
