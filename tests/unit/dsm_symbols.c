// SPDX-License-Identifier: GPL-2.0-or-later
/* dsm_symbols.c - the names of what a guest's Linux has in a page. */
#include "tools/dsm/symbols.h"
#include "check.h"

#include <errno.h>

static const char map[] = "0000000000000000 D __per_cpu_start\n"
			  "000000000002f4c0 D runqueues\n"
			  "ffffffff82005ffc D behind\n"
			  "ffffffff81000000 T _text\n"
			  "ffffffff82005000 D jiffies\n"
			  "ffffffff82005040 D jiffies_lock\n"
			  "ffffffff82005080 D tick_do_timer_cpu\n"
			  "ffffffff82005090 d more\n"
			  "ffffffff820050a0 d still_more\n"
			  "ffffffff82009010 B far\n"
			  "ffffffff8200a000 B _end\n";

static void is(const struct symbols *s, uint64_t offset, const char *want)
{
	char text[SYMBOLS_TEXT];

	symbols_of_page(s, offset, text);
	if (strcmp(text, want))
		fprintf(stderr, "%#llx: '%s', expected '%s'\n", (unsigned long long)offset, text, want);
	CHECK(!strcmp(text, want));
}

static void pages_have_names(void)
{
	struct symbols s;

	CHECK_EQ(symbols_parse(&s, strdup(map)), 0);
	is(&s, 0, "");
	is(&s, 0xfff000, "");
	is(&s, 0x1000000, "_text");
	is(&s, 0x1fff000, "_text");
	is(&s, 0x2005000, "jiffies, jiffies_lock, tick_do_timer_cpu and 3 others");
	is(&s, 0x2005fff, "jiffies, jiffies_lock, tick_do_timer_cpu and 3 others");
	is(&s, 0x2006000, "behind");
	is(&s, 0x2009000, "behind, far");
	is(&s, 0x200a000, "_end");
	is(&s, 0x200b000, "");
	is(&s, ~0ull - 4095, "");
	symbols_deinit(&s);
}

static void what_is_no_map_is_refused(void)
{
	static const char *const wrong[] = {
		"", "\n\n", "ffffffff81000000 T _text\n", "x y\n", "ffffffffffffffff B The real System.map is in the package\n",
		"ffffffff81000000 T\nffffffff81000000\nffffffff8100000g T x\n81000000 T a\n81000001 T b\n",
	};

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct symbols s;

		CHECK_EQ(symbols_parse(&s, strdup(wrong[i])), -EINVAL);
		symbols_deinit(&s);
	}
}

static void long_names_are_cut(void)
{
	char text[4096] = "", name[1025];
	struct symbols s;

	memset(name, 'n', 1024);
	name[1024] = 0;
	for (int i = 0; i < 2; i++)
		sprintf(text + strlen(text), "ffffffff8100000%d T %s\n", i, name);
	CHECK_EQ(symbols_parse(&s, strdup(text)), 0);
	symbols_of_page(&s, 0x1000000, text);
	CHECK_EQ(strlen(text), SYMBOLS_TEXT - 1);
	symbols_deinit(&s);
}

static const struct check_test tests[] = {
	{"pages-have-names", pages_have_names},
	{"what-is-no-map-is-refused", what_is_no_map_is_refused},
	{"long-names-are-cut", long_names_are_cut},
};

CHECK_MAIN(tests)
