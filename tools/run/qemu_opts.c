// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One reader for each form, one writer for both. Nothing here knows what a key means.
 */
#include "qemu_opts.h"

#include <assert.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int opts_add(struct qemu_opts *o, char *key, char *value, enum qemu_opt_form form)
{
	struct qemu_opt *grown = NULL;

	if (key && (value || form == QEMU_OPT_ALONE))
		grown = realloc(o->opt, (o->count + 1) * sizeof(*grown));
	if (!grown) {
		free(key);
		free(value);
		return -ENOMEM;
	}
	o->opt = grown;
	o->opt[o->count++] = (struct qemu_opt){key, value, form};
	return 0;
}

/* Reads up to a comma that is not doubled. Moves *p behind the comma, or to the end. */
static char *keyval_item(const char **p)
{
	char *item = malloc(strlen(*p) + 1), *to = item;
	const char *from = *p;

	if (!item)
		return NULL;
	for (; *from; *to++ = *from++) {
		if (*from != ',')
			continue;
		if (from[1] != ',')
			break;
		from++;
	}
	*to = 0;
	*p = *from ? from + 1 : from;
	return item;
}

static int keyval_parse(struct qemu_opts *o, const char *text, const char *implied)
{
	bool first = true;
	int rc = 0;

	while (*text && !rc) {
		char *item = keyval_item(&text), *eq;

		if (!item)
			return -ENOMEM;
		eq = strchr(item, '=');
		if (eq)
			rc = opts_add(o, strndup(item, (size_t)(eq - item)), strdup(eq + 1),
				      QEMU_OPT_PLAIN);
		else if (first && implied)
			rc = opts_add(o, strdup(implied), strdup(item), QEMU_OPT_IMPLIED);
		else
			rc = opts_add(o, strdup(item), NULL, QEMU_OPT_ALONE);
		free(item);
		first = false;
	}
	return rc;
}

/* QEMU refuses half of a surrogate pair; json-c has U+FFFD in its place. */
#define REPLACEMENT "\xef\xbf\xbd"
#define JSON_TEXT   (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)

static bool string_is_sound(const char *s, size_t bytes, const char *source)
{
	return strlen(s) == bytes && (!strstr(s, REPLACEMENT) || strstr(source, REPLACEMENT));
}

/* *text is the caller's to free. What is not a string keeps its JSON. */
static int value_text(struct json_object *value, const char *source, char **text)
{
	const char *s;

	if (json_object_is_type(value, json_type_string)) {
		s = json_object_get_string(value);
		if (!string_is_sound(s, (size_t)json_object_get_string_len(value), source))
			return -EINVAL;
	} else {
		s = json_object_to_json_string_ext(value, JSON_TEXT);
	}
	*text = s ? strdup(s) : NULL;
	return *text ? 0 : -ENOMEM;
}

struct json_object *qemu_json_parse(const char *text)
{
	struct json_tokener *tok = json_tokener_new();
	struct json_object *found = NULL;

	if (!tok)
		return NULL;
	found = json_tokener_parse_ex(tok, text, (int)strlen(text) + 1);
	if (json_tokener_get_error(tok) != json_tokener_success ||
	    text[json_tokener_get_parse_end(tok) + strspn(text + json_tokener_get_parse_end(tok),
							  " \t\r\n")]) {
		json_object_put(found);
		found = NULL;
	}
	json_tokener_free(tok);
	return found;
}

static int json_parse(struct qemu_opts *o, const char *text)
{
	struct json_object *object = qemu_json_parse(text);
	int rc = object ? 0 : -EINVAL;

	o->json = true;
	if (!object)
		return rc;
	json_object_object_foreach(object, key, value) {
		bool quoted = json_object_is_type(value, json_type_string);
		char *said;

		rc = value_text(value, text, &said);
		if (!rc)
			rc = opts_add(o, strdup(key), said, quoted ? QEMU_OPT_PLAIN : QEMU_OPT_RAW);
		if (rc)
			break;
	}
	json_object_put(object);
	return rc;
}

int qemu_opts_parse(struct qemu_opts *o, const char *text, const char *implied)
{
	memset(o, 0, sizeof(*o));
	return *text == '{' ? json_parse(o, text) : keyval_parse(o, text, implied);
}

static void opt_deinit(struct qemu_opt *opt)
{
	free(opt->key);
	free(opt->value);
}

void qemu_opts_deinit(struct qemu_opts *o)
{
	for (unsigned i = 0; i < o->count; i++)
		opt_deinit(&o->opt[i]);
	free(o->opt);
	memset(o, 0, sizeof(*o));
}

const char *qemu_opts_get(const struct qemu_opts *o, const char *key)
{
	for (unsigned i = o->count; i--;)
		if (!strcmp(o->opt[i].key, key))
			return o->opt[i].value ? o->opt[i].value : "on";
	return NULL;
}

bool qemu_opts_is_on(const struct qemu_opts *o, const char *key)
{
	const char *v = qemu_opts_get(o, key);

	return v &&
	       (!strcmp(v, "on") || !strcmp(v, "yes") || !strcmp(v, "true") || !strcmp(v, "y"));
}

/* Removes every occurrence of `key` from index `from` on. */
static void opts_drop_from(struct qemu_opts *o, const char *key, unsigned from)
{
	unsigned to = from;

	for (unsigned i = from; i < o->count; i++) {
		if (!strcmp(o->opt[i].key, key))
			opt_deinit(&o->opt[i]);
		else
			o->opt[to++] = o->opt[i];
	}
	if (from < o->count)
		o->count = to;
}

void qemu_opts_drop(struct qemu_opts *o, const char *key)
{
	opts_drop_from(o, key, 0);
}

int qemu_opts_set(struct qemu_opts *o, const char *key, const char *value, bool raw)
{
	enum qemu_opt_form form = o->json && raw ? QEMU_OPT_RAW : QEMU_OPT_PLAIN;
	unsigned i = 0;
	char *copy;

	while (i < o->count && strcmp(o->opt[i].key, key))
		i++;
	if (i == o->count)
		return opts_add(o, strdup(key), strdup(value), form);
	copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	free(o->opt[i].value);
	o->opt[i].value = copy;
	if (o->opt[i].form != QEMU_OPT_IMPLIED)
		o->opt[i].form = form;
	opts_drop_from(o, key, i + 1);
	return 0;
}

static void keyval_print(FILE *f, const char *s)
{
	for (; *s; s++) {
		if (*s == ',')
			fputc(',', f);
		fputc(*s, f);
	}
}

/* False: no memory. */
static bool json_print(FILE *f, const char *s)
{
	struct json_object *string = json_object_new_string(s);
	const char *text = string ? json_object_to_json_string_ext(string, JSON_TEXT) : NULL;

	if (text)
		fputs(text, f);
	json_object_put(string);
	return text;
}

static bool json_opt_print(FILE *f, const struct qemu_opt *opt)
{
	assert(opt->value && (opt->form == QEMU_OPT_PLAIN || opt->form == QEMU_OPT_RAW));
	if (!json_print(f, opt->key))
		return false;
	fputc(':', f);
	if (opt->form != QEMU_OPT_RAW)
		return json_print(f, opt->value);
	fputs(opt->value, f);
	return true;
}

static void keyval_opt_print(FILE *f, const struct qemu_opt *opt)
{
	assert(opt->form != QEMU_OPT_RAW && !opt->value == (opt->form == QEMU_OPT_ALONE));
	if (opt->form != QEMU_OPT_IMPLIED)
		keyval_print(f, opt->key);
	if (opt->form == QEMU_OPT_PLAIN)
		fputc('=', f);
	if (opt->value)
		keyval_print(f, opt->value);
}

char *qemu_opts_text(const struct qemu_opts *o)
{
	char *text = NULL;
	bool whole = true;
	size_t bytes;
	FILE *f = open_memstream(&text, &bytes);

	if (!f)
		return NULL;
	if (o->json)
		fputc('{', f);
	for (unsigned i = 0; i < o->count && whole; i++) {
		if (i)
			fputc(',', f);
		if (o->json)
			whole = json_opt_print(f, &o->opt[i]);
		else
			keyval_opt_print(f, &o->opt[i]);
	}
	if (o->json)
		fputc('}', f);
	if (fclose(f) || !whole) {
		free(text);
		return NULL;
	}
	return text;
}
