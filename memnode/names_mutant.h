/* SPDX-License-Identifier: GPL-2.0-or-later */
/* names_mutant.h - deliberate faults in the rules of the name table, for tests/names to notice. None is
 * compiled into the programs. */
#ifndef GVM_NAMES_MUTANT_H
#define GVM_NAMES_MUTANT_H

enum names_mutant {
	MUTANT_NONE,
	MUTANT_TOMBSTONE_NOT_FINAL,
	MUTANT_FENCE_NOT_KEPT,
	MUTANT_FORGET_OF_ANY_ROUND,
	MUTANT_OLD_COPIES_COUNT,
	MUTANT_TABLES_COMPARED,
	MUTANT_ROUND_WITHOUT_ALL,
	MUTANT_ROUND_WITHOUT_HEAL,
	MUTANT_ROUND_WITHOUT_FENCE,
	MUTANT_SAVED_AGAIN,
	MUTANT_HEAL_WITHOUT_GONE,
	MUTANT_TABLE_OF_ANY_NAME,
	MUTANT_VOTES_COUNT_ONCE,
	MUTANT_VOTES_OF_DEAD_LIVES,
	MUTANT_ROUND_BELOW_A_FENCE,
	MUTANT_FENCE_OPEN_TO_ANY_ROUND,
	MUTANT_LISTS_SHARE_LESS,
	MUTANTS
};

#ifdef NAMES_MUTANTS
extern enum names_mutant names_mutant;
#define NAMES_MUTANT(name) (names_mutant == MUTANT_##name)
#else
#define NAMES_MUTANT(name) false
#endif

#endif
