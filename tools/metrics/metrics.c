// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gvm metrics - what gvmfs, memory nodes and the kernel module count, for Prometheus: as a text, as a file for the textfile
 * collector of node_exporter, or over HTTP, there with a page for people (page.c).
 *
 * This is a process of its own. Neither gvmfs nor a node serves HTTP: what guests wait for is asked only what gvm stat and
 * gvm node ask, and a scraper that stands still holds nobody up.
 */
#include "gather.h"
#include "listen.h"
#include "memnode/file.h"
#include "page.h"
#include "tools/gvm.h"
#include "tools/mounts.h"
#include "tools/say.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char help_text[] =
	"usage: gvm metrics [OPTION ...]\n"
	"\n"
	"Prints what gvmfs, memory nodes and the kernel module count, as Prometheus\n"
	"takes it: of the mounts and nodes that are named; where none is, of all mounts\n"
	"of this host, and of the module if it is loaded.\n"
	"\n"
	"  --mount DIR     a mount; may stand several times\n"
	"  --node ADDRESS  a memory node; may stand several times\n"
	"  --dsm           the kernel module, beside mounts and nodes that are named\n"
	"  --key FILE      the secret shared with the nodes\n"
	"  --tls           speak to the nodes over TLS, by that secret\n"
	"  --output FILE   write it to FILE, which is replaced as a whole: a file *.prom\n"
	"                  for the textfile collector of node_exporter\n"
	"  --listen WHERE  answer GET /metrics there: unix:PATH, or 127.0.0.1:PORT\n"
	"  --page          with --listen: at / is a page for a browser, which shows what\n"
	"                  gvm top and gvm map show, as it happens\n"
	"  --help          show this text\n";

struct asked {
	const char **mounts, **nodes;
	unsigned mount_count, node_count;
	bool dsm, page;
	struct gvm_conn_opts opts;
	const char *output, *listen;
};

static int mounts_gather(const struct asked *a, struct metrics_sources *all)
{
	char **paths;
	unsigned count;
	int status = 0, rc;

	for (unsigned i = 0; i < a->mount_count; i++)
		status |= metrics_gather_mount(all, a->mounts[i]);
	if (a->mount_count || a->node_count || a->dsm)
		return status;
	rc = mounts_all(NULL, &paths, &count);
	if (rc) {
		say("the list of mounts cannot be read: %s", strerror(-rc));
		return 1;
	}
	for (unsigned i = 0; i < count; i++)
		status |= metrics_gather_mount(all, paths[i]);
	mounts_free(paths, count);
	return status;
}

/* The text of now. What does not answer is in it as such, and makes the result 1. */
static int text_make(FILE *f, void *arg)
{
	struct metrics_sources all = STAILQ_HEAD_INITIALIZER(all);
	const struct asked *a = arg;
	int status = mounts_gather(a, &all);

	for (unsigned i = 0; i < a->node_count; i++)
		status |= metrics_gather_node(&all, a->nodes[i], &a->opts);
	if (a->dsm || (!a->mount_count && !a->node_count))
		status |= metrics_gather_dsm(&all, a->dsm);
	metrics_print(f, &all);
	metrics_sources_free(&all);
	return status;
}

/*
 * The file that becomes `path`, empty and locked: another gvm metrics that writes the same one waits for us, and what one
 * left behind that was killed is used again. A descriptor or a negative errno.
 */
static int new_open(const char *path)
{
	struct stat ours, named;

	for (;;) {
		int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0644), rc;

		if (fd < 0)
			return -errno;
		rc = fstat(fd, &ours) || flock(fd, LOCK_EX) ? -errno : !S_ISREG(ours.st_mode) ? -EEXIST : 0;
		/* The one before us may have given it its name meanwhile. */
		if (!rc && !lstat(path, &named) && named.st_dev == ours.st_dev && named.st_ino == ours.st_ino) {
			rc = ftruncate(fd, 0) || fchmod(fd, 0644) ? -errno : 0;
			if (!rc)
				return fd;
		}
		close(fd);
		if (rc)
			return rc;
	}
}

static int file_replace(const char *path, const char *text, size_t bytes)
{
	char new[PATH_MAX];
	int fd, rc;

	if (snprintf(new, sizeof(new), "%s.new", path) >= PATH_MAX)
		return -ENAMETOOLONG;
	fd = new_open(new);
	if (fd < 0)
		return fd;
	rc = file_pwrite(fd, text, bytes, 0);
	if (!rc && rename(new, path))
		rc = -errno;
	if (rc)
		unlink(new);
	close(fd);
	return rc;
}

/* A collector that reads meanwhile finds the file as it was, or the new one. While mounts and nodes are asked there is no other
 * file yet. */
static int file_write(struct asked *a)
{
	char *text = NULL;
	size_t bytes = 0;
	int rc, status = 1;
	FILE *f = open_memstream(&text, &bytes);

	if (f)
		status = text_make(f, a);
	rc = !f || fclose(f) ? -ENOMEM : file_replace(a->output, text, bytes);
	if (rc)
		say("%s: %s", a->output, strerror(-rc));
	free(text);
	return status | (rc != 0);
}

/* What does not answer is in the text as such. */
static int answer(void *arg, const char *path, FILE *f, const char **type)
{
	struct asked *a = arg;
	struct metrics_page page = {(char *const *)a->mounts, a->mount_count, &a->opts};

	if (strcmp(path, "/metrics"))
		return a->page ? metrics_page_answer(&page, path, f, type) : -ENOENT;
	text_make(f, a);
	return 0;
}

static int key_load(struct asked *a, const char *path, uint8_t **key)
{
	int rc = path ? gvm_key_load(path, key, &a->opts.key_bytes) : 0;

	if (rc)
		say("--key %s: %s", path, gvm_key_error(rc));
	a->opts.key = *key;
	return rc;
}

static int metrics_run(struct asked *a, const char *key_path)
{
	uint8_t *key = NULL;
	int status;

	if (key_load(a, key_path, &key))
		return 1;
	status = a->listen ? metrics_listen(a->listen, answer, a) : a->output ? file_write(a) : text_make(stdout, a);
	free(key);
	return status;
}

static int command_line(struct asked *a, int argc, char **argv)
{
	static const struct option longs[] = {{"mount", required_argument, NULL, 'm'},
					      {"node", required_argument, NULL, 'n'},
					      {"dsm", no_argument, NULL, 'd'},
					      {"key", required_argument, NULL, 'k'},
					      {"tls", no_argument, NULL, 't'},
					      {"output", required_argument, NULL, 'o'},
					      {"listen", required_argument, NULL, 'l'},
					      {"page", no_argument, NULL, 'p'},
					      {"help", no_argument, NULL, 'h'},
					      {NULL, 0, NULL, 0}};
	const char *key_path = NULL;
	int c;

	optind = 1;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (c) {
		case 'm':
			a->mounts[a->mount_count++] = optarg;
			break;
		case 'n':
			a->nodes[a->node_count++] = optarg;
			break;
		case 'd':
			a->dsm = true;
			break;
		case 'k':
			key_path = optarg;
			break;
		case 't':
			a->opts.tls = true;
			break;
		case 'o':
			a->output = optarg;
			break;
		case 'l':
			a->listen = optarg;
			break;
		case 'p':
			a->page = true;
			break;
		case 'h':
			fputs(help_text, stdout);
			return 0;
		default:
			return EXIT_USAGE;
		}
	}
	if (optind < argc || (a->output && a->listen) || (a->page && !a->listen)) {
		fputs(help_text, stderr);
		return EXIT_USAGE;
	}
	if (a->opts.tls && !key_path) {
		say("--tls needs --key FILE");
		return EXIT_USAGE;
	}
	return metrics_run(a, key_path);
}

int cmd_metrics(int argc, char **argv)
{
	struct asked a = {.mounts = calloc((size_t)argc, sizeof(char *)), .nodes = calloc((size_t)argc, sizeof(char *))};
	int status = a.mounts && a.nodes ? command_line(&a, argc, argv) : 1;

	free(a.mounts);
	free(a.nodes);
	return status;
}

