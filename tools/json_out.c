// SPDX-License-Identifier: GPL-2.0-or-later
/* json_out.c - see json_out.h. */
#include "json_out.h"

#include "utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void json_text(struct json_object *o, const char *name, const char *text)
{
	char *clean = text ? utf8_clean(text) : NULL;

	json_object_object_add(o, name, clean ? json_object_new_string(clean) : NULL);
	free(clean);
}

void json_number(struct json_object *o, const char *name, uint64_t number)
{
	json_object_object_add(o, name, json_object_new_uint64(number));
}

void json_real(struct json_object *o, const char *name, double number)
{
	json_object_object_add(o, name, json_object_new_double(number));
}

void json_flag(struct json_object *o, const char *name, bool is)
{
	json_object_object_add(o, name, json_object_new_boolean(is));
}

void json_member(struct json_object *o, const char *name, struct json_object *member)
{
	json_object_object_add(o, name, member);
}

struct json_object *json_lines(const char *lines)
{
	struct json_object *o = json_object_new_object();
	char name[64];

	for (const char *end; *lines; lines = end + (*end == '\n')) {
		size_t n = strcspn(lines, " \n");

		end = lines + strcspn(lines, "\n");
		if (lines[n] != ' ' || n >= sizeof(name))
			continue;
		memcpy(name, lines, n);
		name[n] = '\0';
		json_number(o, name, strtoull(lines + n, NULL, 10));
	}
	return o;
}

void json_show(struct json_object *o)
{
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}
