// SPDX-License-Identifier: GPL-2.0-or-later
/* gvm map - where a region's memory is: on this host, on its way, or on which nodes. Nothing moves by being looked at. */
#include "draw.h"
#include "gvmfs/state/record.h"
#include "memnode/size.h"
#include "state.h"
#include "tools/fsstats.h"
#include "tools/gvm.h"
#include "tools/json_out.h"
#include "tools/say.h"

#include <errno.h>
#include <getopt.h>
#include <langinfo.h>
#include <libgen.h>
#include <limits.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char help_text[] =
	"usage: gvm map [OPTION ...] REGION\n"
	"\n"
	"Draws where a region's memory is: on this host and in use, about to go, on its\n"
	"way, or on the nodes, and on which. In colours on a terminal that has them.\n"
	"\n"
	"  --columns N  draw so wide (default: as the terminal, or 80)\n"
	"  --json       the same for programs\n"
	"  --rows N     draw so high at most (default: 16)\n"
	"  --svg FILE   draw it to FILE, as SVG\n"
	"  --help       show this text\n";

#define COLUMNS 80u
#define ROWS	16u

struct asked {
	unsigned columns, rows; /* 0: as is fit */
	bool json;
	const char *svg;
};

static struct json_object *runs_json(const struct map_state *s)
{
	struct json_object *list = json_object_new_array();

	for (uint64_t first = 0, end; first < s->chunks; first = end) {
		struct json_object *o = json_object_new_object();

		for (end = first + 1; end < s->chunks && s->kind[end] == s->kind[first]; end++)
			;
		json_number(o, "offset_bytes", first * GVM_CHUNK_BYTES);
		json_number(o, "size_bytes", (end - first) * GVM_CHUNK_BYTES);
		json_text(o, "state", map_looks[s->kind[first]].name);
		json_object_array_add(list, o);
	}
	return list;
}

static void json_print(const char *path, const struct map_state *s)
{
	struct json_object *o = json_object_new_object(), *states = json_object_new_object();
	struct json_object *nodes = json_object_new_array();
	uint64_t counts[MAP_KINDS];

	map_count(s, counts);
	json_text(o, "path", path);
	json_number(o, "size_bytes", s->size_bytes);
	for (unsigned k = 0; k < MAP_KINDS; k++)
		json_number(states, map_looks[k].name, counts[k] * GVM_CHUNK_BYTES);
	json_member(o, "states_bytes", states);
	for (unsigned i = 0; i < s->node_count; i++) {
		struct json_object *node = json_object_new_object();

		json_text(node, "address", s->nodes[i]);
		json_number(node, "size_bytes", map_node_chunks(s, i) * GVM_CHUNK_BYTES);
		json_object_array_add(nodes, node);
	}
	json_member(o, "nodes", nodes);
	json_member(o, "runs", runs_json(s));
	json_show(o);
}

static int svg_write(const struct asked *a, const char *name, const struct map_state *s)
{
	FILE *f = fopen(a->svg, "we");
	bool lost;

	if (!f) {
		say("%s: %s", a->svg, strerror(errno));
		return 1;
	}
	map_svg(f, name, s);
	lost = ferror(f);
	errno = EIO;
	if (!fclose(f) && !lost)
		return 0;
	say("%s: %s", a->svg, strerror(errno));
	return 1;
}

static void terminal_print(const struct asked *a, const char *name, const struct map_state *s)
{
	bool tty = isatty(STDOUT_FILENO), colours = tty && !getenv("NO_COLOR");
	const char *term = getenv("TERM");
	unsigned columns = a->columns;
	struct winsize size;

	setlocale(LC_CTYPE, "");
	colours = colours && term && strcmp(term, "dumb") != 0 && !strcmp(nl_langinfo(CODESET), "UTF-8");
	if (!columns)
		columns = tty && !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col ? size.ws_col : COLUMNS;
	if (columns > MAP_COLUMNS_MAX)
		columns = MAP_COLUMNS_MAX;
	map_print(stdout, name, s, columns, a->rows ? a->rows : ROWS, colours);
}

static int map_run(const struct asked *a, const char *path)
{
	char copy[PATH_MAX];
	struct map_state s;
	int rc = map_state_get(path, &s), status = 0;

	if (rc) {
		say("%s: %s", path,
		    rc == -ENODATA || rc == -EOPNOTSUPP ? "not a region of a gvmfs mount, or of one that is too old for this" :
							  fsstats_error(rc));
		return 1;
	}
	snprintf(copy, sizeof(copy), "%s", path);
	if (a->json)
		json_print(path, &s);
	else if (a->svg)
		status = svg_write(a, basename(copy), &s);
	else
		terminal_print(a, path, &s);
	map_state_free(&s);
	return status;
}

/* 0, or the exit status. */
static int number_take(const char *option, const char *text, unsigned *number)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || !n || n > MAP_COLUMNS_MAX) {
		say("--%s %s: not a number from 1 to %u", option, text, MAP_COLUMNS_MAX);
		return EXIT_USAGE;
	}
	*number = (unsigned)n;
	return 0;
}

int cmd_map(int argc, char **argv)
{
	static const struct option longs[] = {{"columns", required_argument, NULL, 'c'},
					      {"rows", required_argument, NULL, 'r'},
					      {"json", no_argument, NULL, 'j'},
					      {"svg", required_argument, NULL, 's'},
					      {"help", no_argument, NULL, 'h'},
					      {NULL, 0, NULL, 0}};
	struct asked a = {0};
	int c, rc = 0;

	optind = 1;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'c':
			rc = number_take("columns", optarg, &a.columns);
			break;
		case 'r':
			rc = number_take("rows", optarg, &a.rows);
			break;
		case 'j':
			a.json = true;
			break;
		case 's':
			a.svg = optarg;
			break;
		case 'h':
			fputs(help_text, stdout);
			return 0;
		default:
			return EXIT_USAGE;
		}
		if (rc)
			return rc;
	}
	if (optind != argc - 1 || (a.json && a.svg)) {
		fputs(help_text, stderr);
		return EXIT_USAGE;
	}
	return map_run(&a, argv[optind]);
}
