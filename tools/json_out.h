/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * json_out.h - what a subcommand prints for programs: gvm(1), JSON, has the rules.
 *
 * One text on standard output; members in the order in which they are added. The name of a member ends in "_bytes" or "_ns"
 * where its number has that unit; what is not known, or not set, is null. Names that users have given need not be UTF-8:
 * U+FFFD stands for such bytes.
 */
#ifndef TOOLS_JSON_OUT_H
#define TOOLS_JSON_OUT_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

void json_text(struct json_object *o, const char *name, const char *text); /* NULL: null */
void json_number(struct json_object *o, const char *name, uint64_t number);
void json_real(struct json_object *o, const char *name, double number);
void json_flag(struct json_object *o, const char *name, bool is);
/* Takes `member` over; NULL: null. */
void json_member(struct json_object *o, const char *name, struct json_object *member);
/* An object of lines `name value`. */
struct json_object *json_lines(const char *lines);

/* Prints and frees it. */
void json_show(struct json_object *o);

#endif
