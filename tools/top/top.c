// SPDX-License-Identifier: GPL-2.0-or-later
/* gvm top - what guests wait for, as it happens: on a terminal (screen.c), or as plain text. */
#include "sampler.h"
#include "picture.h"
#include "screen.h"
#include "tools/gvm.h"
#include "tools/say.h"
#include "view.h"

#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char help_text[] =
	"usage: gvm top [OPTION ...] [MOUNT ...]\n"
	"\n"
	"Shows, as it happens, what the mounts of this host do, or those given: of each\n"
	"region how much is here, its faults, how long they waited, what is written\n"
	"back; of each node what it holds, its compression and its round trip.\n"
	"\n"
	"Keys: q quits, s sorts by another column, arrows choose a region, Enter shows\n"
	"more of it.\n"
	"\n"
	"  --batch N     print it N times, as plain text\n"
	"  --interval S  every S seconds (default: 2; 0.1 to 3600)\n"
	"  --key FILE    the secret shared with the nodes, to ask them\n"
	"  --sort BY     name, faults, wait, here or write-back\n"
	"  --svg FILE    draw it to FILE once, as SVG\n"
	"  --tls         speak to the nodes over TLS, by that secret\n"
	"  --help        show this text\n";

#define BATCH_MAX    1000000
#define NODES_WAIT_NS 2000000000ull /* for answers of nodes, with --batch */

struct wanted {
	double interval_s;
	long batch; /* 0: on a terminal */
	const char *svg; /* NULL: as text */
	enum top_sort sort;
	struct gvm_conn_opts opts;
	char **paths;
	unsigned count;
};

static void widen(size_t *columns, size_t needed)
{
	if (needed > *columns)
		*columns = needed;
}

/* As wide as the longest name needs. */
static unsigned columns_of(const struct top_sample *s)
{
	size_t columns = TOP_COLUMNS_MIN;

	for (unsigned m = 0; m < s->count; m++) {
		for (unsigned r = 0; r < s->mounts[m].region_count; r++)
			widen(&columns, strlen(s->mounts[m].rows[r].name) + TOP_REGION_COLUMNS);
		for (unsigned n = 0; n < s->mounts[m].node_count; n++)
			widen(&columns, strlen(s->mounts[m].nodes[n].address) + TOP_NODE_COLUMNS);
	}
	return columns < TOP_COLUMNS_MAX ? (unsigned)columns : TOP_COLUMNS_MAX;
}

static int mounts_error(const struct top_sample *s)
{
	int status = s->error != 0;

	for (unsigned i = 0; i < s->count; i++)
		status |= s->mounts[i].error != 0;
	return status;
}

static int picture_write(const char *path, const struct top_lines *lines, unsigned columns)
{
	FILE *f = fopen(path, "we");
	bool lost = !f;

	if (f) {
		top_picture_print(f, lines, columns);
		lost = ferror(f);
		if (lost)
			errno = EIO;
		lost |= fclose(f) != 0;
	}
	if (lost)
		say("%s: %s", path, strerror(errno));
	return lost;
}

static int batch_run(const struct wanted *w)
{
	const struct timespec pause = {.tv_sec = (time_t)w->interval_s,
				       .tv_nsec = (long)((w->interval_s - (double)(time_t)w->interval_s) * 1e9)};
	struct top_sample *now = top_sample_take(w->paths, w->count), *before = NULL;
	struct top_nodes nodes = {.opts = &w->opts};
	struct top_lines lines = {NULL, 0, 0};
	int status = 0;

	if (now)
		top_nodes_wait(&nodes, now, NODES_WAIT_NS);
	for (long i = 0; i < w->batch && now; i++) {
		nanosleep(&pause, NULL);
		top_sample_free(before);
		before = now;
		now = top_sample_take(w->paths, w->count);
		if (!now)
			break;
		top_nodes_wait(&nodes, now, NODES_WAIT_NS);
		top_view_all(&lines, &(struct top_moment){now, before, &nodes, columns_of(now)}, w->sort);
		if (w->svg) {
			status = picture_write(w->svg, &lines, columns_of(now)) | mounts_error(now);
			break;
		}
		if (i)
			putchar('\n');
		for (unsigned l = 0; l < lines.count; l++) {
			size_t n = strlen(lines.list[l].text);

			while (n && lines.list[l].text[n - 1] == ' ')
				n--;
			printf("%.*s\n", (int)n, lines.list[l].text);
		}
		fflush(stdout);
		status = mounts_error(now);
	}
	top_lines_free(&lines);
	top_nodes_close(&nodes);
	top_sample_free(before);
	top_sample_free(now);
	return now ? status : 1;
}

static int screen_run(const struct wanted *w)
{
	static struct top_sampler sampler; /* its thread may outlive this call */

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
		say("this is no terminal: --batch N needs none");
		return EXIT_USAGE;
	}
	sampler.paths = w->paths;
	sampler.count = w->count;
	sampler.interval_ns = (uint64_t)(w->interval_s * 1e9);
	return top_screen_run(&sampler, w->sort, &w->opts);
}

static int top_run(struct wanted *w, const char *key_path)
{
	uint8_t *key = NULL;
	int rc = key_path ? gvm_key_load(key_path, &key, &w->opts.key_bytes) : 0, status;

	if (rc) {
		say("--key %s: %s", key_path, gvm_key_error(rc));
		return 1;
	}
	w->opts.key = key;
	setlocale(LC_CTYPE, "");
	status = w->batch ? batch_run(w) : screen_run(w);
	free(key);
	return status;
}

/* 0, or -EINVAL. */
static int sort_parse(const char *text, enum top_sort *sort)
{
	for (unsigned i = 0; i < TOP_SORTS; i++)
		if (!strcmp(text, top_sort_names[i])) {
			*sort = (enum top_sort)i;
			return 0;
		}
	return -EINVAL;
}

static int option_take(struct wanted *w, int c, const char **key_path)
{
	char *end;

	switch (c) {
	case 'b':
		w->batch = strtol(optarg, &end, 10);
		if (*end || w->batch < 1 || w->batch > BATCH_MAX) {
			say("--batch %s: not a number from 1 to %d", optarg, BATCH_MAX);
			return EXIT_USAGE;
		}
		return 0;
	case 'i':
		w->interval_s = strtod(optarg, &end);
		if (*end || !(w->interval_s >= 0.1 && w->interval_s <= 3600)) {
			say("--interval %s: not a number of seconds from 0.1 to 3600", optarg);
			return EXIT_USAGE;
		}
		return 0;
	case 'v':
		w->svg = optarg;
		return 0;
	case 's':
		if (!sort_parse(optarg, &w->sort))
			return 0;
		say("--sort %s: none of name, faults, wait, here and write-back", optarg);
		return EXIT_USAGE;
	case 'k':
		*key_path = optarg;
		return 0;
	case 't':
		w->opts.tls = true;
		return 0;
	default:
		return EXIT_USAGE;
	}
}

int cmd_top(int argc, char **argv)
{
	static const struct option longs[] = {{"batch", required_argument, NULL, 'b'},
					      {"interval", required_argument, NULL, 'i'},
					      {"key", required_argument, NULL, 'k'},
					      {"sort", required_argument, NULL, 's'},
					      {"svg", required_argument, NULL, 'v'},
					      {"tls", no_argument, NULL, 't'},
					      {"help", no_argument, NULL, 'h'},
					      {NULL, 0, NULL, 0}};
	struct wanted w = {.interval_s = 2};
	const char *key_path = NULL;
	int c, rc;

	optind = 1;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (c == 'h') {
			fputs(help_text, stdout);
			return 0;
		}
		rc = option_take(&w, c, &key_path);
		if (rc)
			return rc;
	}
	if (w.opts.tls && !key_path) {
		say("--tls needs --key FILE");
		return EXIT_USAGE;
	}
	if (w.svg && w.batch) {
		fputs(help_text, stderr);
		return EXIT_USAGE;
	}
	w.batch += w.svg != NULL;
	w.paths = argv + optind;
	w.count = (unsigned)(argc - optind);
	return top_run(&w, key_path);
}
