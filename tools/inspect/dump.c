// SPDX-License-Identifier: GPL-2.0-or-later
#include "dump.h"

#include <inttypes.h>
#include <stdio.h>

void dump_text(char *text, const uint8_t *data, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		text[i] = data[i] >= ' ' && data[i] < 0x7f ? (char)data[i] : '.';
	text[bytes] = 0;
}

void dump_print(uint64_t address, const uint8_t *data, size_t bytes)
{
	char text[DUMP_LINE + 1];

	for (size_t at = 0; at < bytes; at += DUMP_LINE) {
		size_t n = bytes - at < DUMP_LINE ? bytes - at : DUMP_LINE;

		printf("%016" PRIx64 " ", address + at);
		for (size_t i = 0; i < DUMP_LINE; i++) {
			if (i == DUMP_LINE / 2)
				putchar(' ');
			if (i < n)
				printf(" %02x", data[at + i]);
			else
				fputs("   ", stdout);
		}
		dump_text(text, data + at, n);
		printf("  |%s|\n", text);
	}
}
