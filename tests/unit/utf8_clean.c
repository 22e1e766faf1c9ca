// SPDX-License-Identifier: GPL-2.0-or-later
/* utf8_clean.c - what RFC 3629 takes for UTF-8 stays; of anything else each byte is U+FFFD, wherever the text ends. */
#include "check.h"
#include "utf8.h"

#include <stdlib.h>
#include <string.h>

static void expect_clean(const char *text, const char *want)
{
	char *clean = utf8_clean(text);

	CHECK(clean && strcmp(clean, want) == 0);
	free(clean);
}

static void characters_stay(void)
{
	static const char *const texts[] = {"", "a", "\x7f\n", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
					    "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "a\303\244b\342\202\254"};

	for (unsigned i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		expect_clean(texts[i], texts[i]);
}

static void other_bytes_do_not(void)
{
#define R UTF8_REPLACEMENT
	expect_clean("\x80", R);
	expect_clean("\xff", R);
	expect_clean("\xc0\xaf", R R);		 /* longer than need be */
	expect_clean("\xe0\x9f\xbf", R R R);
	expect_clean("\xf0\x8f\xbf\xbf", R R R R);
	expect_clean("\xed\xa0\x80", R R R);	 /* a surrogate */
	expect_clean("\xf4\x90\x80\x80", R R R R); /* beyond Unicode */
	expect_clean("\xf5\x80\x80\x80", R R R R);
	expect_clean("a\xe2\x82" "b", "a" R R "b"); /* cut off */
	expect_clean("\xe2", R);
	expect_clean("\xf0\x90\x80", R R R);
#undef R
}

static void every_pair_is_clean(void)
{
	for (unsigned a = 1; a < 256; a++)
		for (unsigned b = 1; b < 256; b++) {
			char text[] = {(char)a, (char)b, '\0'}, *clean = utf8_clean(text);

			CHECK(clean != NULL);
			for (const char *c = clean; clean && *c; c += utf8_bytes(c))
				if (!utf8_bytes(c)) {
					CHECK(!"a byte that is no character");
					break;
				}
			free(clean);
		}
}

static const struct check_test tests[] = {
	{ "characters-stay", characters_stay },
	{ "other-bytes-do-not", other_bytes_do_not },
	{ "every-pair-is-clean", every_pair_is_clean },
};
CHECK_MAIN(tests)
