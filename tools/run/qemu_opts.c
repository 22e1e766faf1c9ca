// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One reader for each form, one writer for both. Nothing here knows what a key means.
 */
#include "qemu_opts.h"

#include <errno.h>
#include <stdint.h>
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

static const char *json_space(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

static bool is_quote(char c)
{
	return c == '"' || c == '\'';
}

static int hex4(const char *p, uint32_t *v)
{
	*v = 0;
	for (unsigned i = 0; i < 4; i++) {
		char c = p[i];

		if (c >= '0' && c <= '9')
			*v = *v << 4 | (uint32_t)(c - '0');
		else if ((c | 32) >= 'a' && (c | 32) <= 'f')
			*v = *v << 4 | (uint32_t)((c | 32) - 'a' + 10);
		else
			return -EINVAL; /* the terminating zero too */
	}
	return 0;
}

static char *utf8_put(char *to, uint32_t c)
{
	if (c < 0x80) {
		*to++ = (char)c;
	} else if (c < 0x800) {
		*to++ = (char)(0xc0 | c >> 6);
		*to++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*to++ = (char)(0xe0 | c >> 12);
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
		*to++ = (char)(0x80 | (c & 0x3f));
	} else {
		*to++ = (char)(0xf0 | c >> 18);
		*to++ = (char)(0x80 | (c >> 12 & 0x3f));
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
		*to++ = (char)(0x80 | (c & 0x3f));
	}
	return to;
}

/* The character of \uXXXX, or of two that are a surrogate pair; *p is at the u, then at the last
 * digit. */
static int json_character(const char **p, uint32_t *c)
{
	const char *at = *p + 1;
	uint32_t low;

	if (hex4(at, c) || !*c || (*c >= 0xdc00 && *c < 0xe000))
		return -EINVAL;
	if (*c >= 0xd800 && *c < 0xdc00) {
		at += 4;
		if (at[0] != '\\' || at[1] != 'u' || hex4(at + 2, &low) || low < 0xdc00 ||
		    low >= 0xe000)
			return -EINVAL;
		at += 2;
		*c = 0x10000 + ((*c - 0xd800) << 10 | (low - 0xdc00));
	}
	*p = at + 3;
	return 0;
}

/* Reads the string that begins at the quote **p: QEMU takes single quotes as well. */
static int json_string(const char **p, char **out)
{
	const char *from = *p + 1, quote = **p;
	char *s = malloc(strlen(from) + 1), *to = s;
	uint32_t c;

	if (!s)
		return -ENOMEM;
	for (; *from && *from != quote; from++) {
		if (*from != '\\') {
			*to++ = *from;
			continue;
		}
		switch (*++from) {
		case '"':
		case '\'':
		case '\\':
		case '/':
			*to++ = *from;
			break;
		case 'b':
			*to++ = '\b';
			break;
		case 'f':
			*to++ = '\f';
			break;
		case 'n':
			*to++ = '\n';
			break;
		case 'r':
			*to++ = '\r';
			break;
		case 't':
			*to++ = '\t';
			break;
		case 'u':
			if (json_character(&from, &c))
				goto bad;
			to = utf8_put(to, c);
			break;
		default:
			goto bad;
		}
	}
	if (*from != quote)
		goto bad;
	*to = 0;
	*p = from + 1;
	*out = s;
	return 0;
bad:
	free(s);
	return -EINVAL;
}

/* Copies a number, word, array or object as it stands; brackets are balanced, strings skipped. */
static int json_raw(const char **p, char **out)
{
	const char *from = *p, *at = from;
	unsigned depth = 0;

	for (; *at; at++) {
		if (is_quote(*at)) {
			char *skipped;
			int rc = json_string(&at, &skipped);

			if (rc)
				return rc;
			free(skipped);
			at--;
		} else if (*at == '[' || *at == '{') {
			depth++;
		} else if (depth && (*at == ']' || *at == '}')) {
			depth--;
		} else if (!depth && strchr(",]} \t\r\n", *at)) {
			break;
		}
	}
	if (depth || at == from)
		return -EINVAL;
	*out = strndup(from, (size_t)(at - from));
	*p = at;
	return *out ? 0 : -ENOMEM;
}

int qemu_json_element(const char **p, char **element)
{
	const char *at = json_space(*p);
	int rc;

	*element = NULL;
	if (*at == '[' && *json_space(at + 1) == ']')
		at = json_space(at + 1);
	if (*at == ']')
		return *json_space(at + 1) ? -EINVAL : 0;
	if (*at != '[' && *at != ',')
		return -EINVAL;
	at = json_space(at + 1);
	rc = json_raw(&at, element);
	*p = at;
	return rc ? rc : 1;
}

static int json_parse(struct qemu_opts *o, const char *text)
{
	const char *p = json_space(text + 1);
	int rc;

	o->json = true;
	if (*p == '}')
		return *json_space(p + 1) ? -EINVAL : 0;
	for (;; p = json_space(p + 1)) {
		char *key = NULL, *value = NULL;
		bool quoted;

		if (!is_quote(*p))
			return -EINVAL;
		rc = json_string(&p, &key);
		if (rc)
			return rc;
		p = json_space(p);
		rc = -EINVAL;
		if (*p == ':') {
			p = json_space(p + 1);
			quoted = is_quote(*p);
			rc = quoted ? json_string(&p, &value) : json_raw(&p, &value);
		}
		if (rc) {
			free(key);
			return rc;
		}
		rc = opts_add(o, key, value, quoted ? QEMU_OPT_PLAIN : QEMU_OPT_RAW);
		if (rc)
			return rc;
		p = json_space(p);
		if (*p == '}')
			return *json_space(p + 1) ? -EINVAL : 0;
		if (*p != ',')
			return -EINVAL;
	}
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

static void json_print(FILE *f, const char *s)
{
	fputc('"', f);
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			fputc('\\', f);
		if ((unsigned char)*s < 0x20)
			fprintf(f, "\\u%04x", (unsigned)*s);
		else
			fputc(*s, f);
	}
	fputc('"', f);
}

char *qemu_opts_text(const struct qemu_opts *o)
{
	char *text = NULL;
	size_t bytes;
	FILE *f = open_memstream(&text, &bytes);

	if (!f)
		return NULL;
	if (o->json)
		fputc('{', f);
	for (unsigned i = 0; i < o->count; i++) {
		const struct qemu_opt *opt = &o->opt[i];

		if (i)
			fputc(',', f);
		if (o->json) {
			json_print(f, opt->key);
			fputc(':', f);
			if (opt->form == QEMU_OPT_RAW)
				fputs(opt->value, f);
			else
				json_print(f, opt->value);
			continue;
		}
		if (opt->form != QEMU_OPT_IMPLIED)
			keyval_print(f, opt->key);
		if (opt->form == QEMU_OPT_PLAIN)
			fputc('=', f);
		if (opt->value)
			keyval_print(f, opt->value);
	}
	if (o->json)
		fputc('}', f);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}
