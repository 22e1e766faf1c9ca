/* SPDX-License-Identifier: GPL-2.0-or-later */
/* journal_death.h - a worker's death at any change of its journal, in a test of what its successor finds. */
#ifndef TESTS_UNIT_JOURNAL_DEATH_H
#define TESTS_UNIT_JOURNAL_DEATH_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>

/* At the n-th change (0: none), before it is made or just after it. */
static struct {
	unsigned at;
	bool after;
	jmp_buf dead;
} death;

/* The journal's means to change a word. */
static void mark32(uint32_t *where, uint32_t value)
{
	bool dies = death.at && !--death.at;

	if (dies && !death.after)
		longjmp(death.dead, 1);
	*where = value;
	if (dies)
		longjmp(death.dead, 1);
}

#endif
