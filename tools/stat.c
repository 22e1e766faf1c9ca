// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * gvm stat - what gvmfs counted, for a mount or for a region. The figures that answer a question
 * first, in words; every counter with --raw.
 */
#include "fsstats.h"
#include "gvm.h"
#include "json_out.h"
#include "memnode/size.h"
#include "say.h"
#include "waits.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char help_text[] =
	"usage: gvm stat [OPTION ...] MOUNT|REGION ...\n"
	"\n"
	"Shows what gvmfs counted for a whole mount, or for one region (a file in it).\n"
	"\n"
	"  --json  every counter and size, for programs\n"
	"  --raw   every counter, as lines of `name value`\n"
	"  --help  show this text\n";

__attribute__((format(printf, 2, 3))) static void line(const char *label, const char *fmt, ...)
{
	va_list ap;

	printf("  %-13s", label);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
}

static double ratio(uint64_t part, uint64_t whole)
{
	return whole ? (double)part / (double)whole : 0;
}

/* What the nodes hold: of a mount the nodes' room, of a region its blocks. */
static void storage_print(const char *path)
{
	char a[SIZE_TEXT], b[SIZE_TEXT], c[SIZE_TEXT];
	uint64_t lent, room, kept;
	struct stat st;

	if (stat(path, &st))
		return;
	if (S_ISDIR(st.st_mode)) {
		if (!fsstats_room(path, &lent, &room, &kept))
			line("nodes", "%s lent, %s free%s%s%s", size_text(lent, a), size_text(room, b), kept ? ", " : "",
			     kept ? size_text(kept, c) : "", kept ? " kept for copies that are made anew" : "");
		return;
	}
	line("size", "%s, %s of it held by the nodes", size_text((uint64_t)st.st_size, a),
	     size_text((uint64_t)st.st_blocks * 512, b));
}

/* How long users waited, by stage. */
static void waits_print(const char *path)
{
	static const char *const labels[LATENCY_STAGES] = {
		[LATENCY_FAULT] = "fault waits", [LATENCY_READ] = "read waits", [LATENCY_PUT] = "write-back"};
	char half[WAITS_TEXT], most[WAITS_TEXT];
	struct waits waits;

	if (waits_read(path, &waits))
		return;
	for (unsigned s = 0; s < LATENCY_STAGES; s++)
		if (waits_count(&waits, s))
			line(labels[s], "%llu; 50 %% within %s, 99 %% within %s", (unsigned long long)waits_count(&waits, s),
			     waits_text(waits_quantile_ns(&waits, s, 50), half),
			     waits_text(waits_quantile_ns(&waits, s, 99), most));
}

static void readable_print(const char *path, const char *t)
{
	char a[SIZE_TEXT], b[SIZE_TEXT];

#define GET(name) fsstats_get(t, #name)
#define LLU(name) ((unsigned long long)GET(name))
	printf("%s\n", path);
	storage_print(path);
	line("reads", "%llu requests, %s; %.0f %% answered from chunks at hand; %llu zero pages",
	     LLU(reads), size_text(GET(read_bytes), a), 100 * ratio(GET(cache_hits), GET(reads)),
	     LLU(zero_pages_read));
	line("fetched", "%llu chunks, %s for %s of pages (%.2f : 1)", LLU(chunks_fetched),
	     size_text(GET(fetch_bytes), a), size_text(GET(fetch_raw_bytes), b),
	     ratio(GET(fetch_raw_bytes), GET(fetch_bytes)));
	line("read-ahead", "%llu chunks, %.0f %% of them used", LLU(prefetched),
	     100 * ratio(GET(prefetch_used), GET(prefetched)));
	if (GET(replayed))
		line("replay", "%llu chunks, since an earlier start touched them, %.0f %% of them used", LLU(replayed),
		     100 * ratio(GET(replay_used), GET(replayed)));
	line("writes", "%llu requests, %s; %llu waited until a node had taken earlier ones", LLU(writes),
	     size_text(GET(write_bytes), a), LLU(write_stalls));
	line("written",
	     "%llu chunks, %s for %s of pages (%.2f : 1); %.0f %% changed blocks only, "
	     "%.0f %% left for the nodes to compress",
	     LLU(chunks_written), size_text(GET(put_bytes), a), size_text(GET(put_raw_bytes), b),
	     ratio(GET(put_raw_bytes), GET(put_bytes)),
	     100 * ratio(GET(delta_puts), GET(chunks_written)),
	     100 * ratio(GET(raw_puts), GET(chunks_written)));
	line("zero pages", "%llu written, %llu punched", LLU(zero_pages_written),
	     LLU(punched_pages));
	if (GET(faults))
		line("fast path",
		     "%llu faults, %llu of them of what was on its way out, %llu waited for room; "
		     "%llu chunks let go, %.0f %% of them unchanged",
		     LLU(faults), LLU(minor_faults), LLU(room_waits), LLU(evictions),
		     100 * ratio(GET(evictions_clean), GET(evictions)));
	if (GET(fast))
		line("on this host", "%s of at most %s",
		     size_text(GET(resident_bytes), a),
		     size_text(GET(local_bytes), b));
	if (GET(settling))
		line("settles", "all of it is being fetched, %s so far", size_text(GET(settle_bytes), a));
	if (GET(settled))
		line("settled", "its guest has all of it, and needs gvmfs no more; what the nodes hold is of no use");
	if (GET(memory_short))
		line("WAITS", "%llu chunks, for memory: the guest's memory group is at its limit", LLU(waiting_chunks));
	else if (GET(waiting_chunks))
		line("waits", "%llu chunks, for room in the budget or for earlier requests", LLU(waiting_chunks));
	waits_print(path);
	if (GET(slots_absent))
		line("copies", "ABSENT: of %.0f %% of the chunks no node answers that has one: what needs them waits",
		     100 * ratio(GET(slots_absent), GET(slots)));
	if (GET(slots_degraded))
		line("copies", "DEGRADED: of %.0f %% of the chunks there are fewer than %llu; %llu chunks are to be copied",
		     100 * ratio(GET(slots_degraded), GET(slots)), LLU(replicas), LLU(repair_chunks));
	else if (GET(slots_unanswered))
		line("copies", "%llu of each chunk; those of %.0f %% are in part on nodes that do not answer", LLU(replicas),
		     100 * ratio(GET(slots_unanswered), GET(slots)));
	else if (GET(replicas))
		line("copies", "%llu of each chunk", LLU(replicas));
	if (GET(drain_chunks))
		line("moves", "%llu chunks are to be copied from a node that is to be emptied, or is much fuller than another",
		     LLU(drain_chunks));
	if (GET(copies_rotten))
		line("rotten", "%llu times what a node had of a chunk did not verify; %llu copies were written anew",
		     LLU(copies_rotten), LLU(copies_mended));
	if (GET(copies_pieced))
		line("pieced", "%llu copies were put together from the sound pages of several, of which none was sound",
		     LLU(copies_pieced));
	if (GET(lone_rotten))
		line("ROTTEN", "%llu chunks are not what was stored, and have no other copy", LLU(lone_rotten));
	line("errors", "%llu", LLU(io_errors));
}

static struct json_object *stat_json(const char *path, const char *text)
{
	struct json_object *o = json_object_new_object();
	struct waits waits;
	uint64_t lent, room, kept;
	struct stat st;

	json_text(o, "path", path);
	if (!stat(path, &st) && S_ISREG(st.st_mode)) {
		json_number(o, "size_bytes", (uint64_t)st.st_size);
		json_number(o, "held_bytes", (uint64_t)st.st_blocks * 512);
	} else if (!fsstats_room(path, &lent, &room, &kept)) {
		json_number(o, "lent_bytes", lent);
		json_number(o, "free_bytes", room);
		json_number(o, "kept_bytes", kept);
	}
	json_member(o, "counters", json_lines(text));
	json_member(o, "latency", waits_read(path, &waits) ? NULL : waits_json(&waits));
	return o;
}

int cmd_stat(int argc, char **argv)
{
	static const struct option longs[] = {{"raw", no_argument, NULL, 'r'},
					      {"json", no_argument, NULL, 'j'},
					      {"help", no_argument, NULL, 'h'},
					      {NULL, 0, NULL, 0}};
	static char text[FSSTATS_TEXT];
	struct json_object *list = NULL;
	bool raw = false, json = false;
	int status = 0, c;

	optind = 1;
	while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		if (c == 'h') {
			fputs(help_text, stdout);
			return 0;
		}
		if (c != 'r' && c != 'j')
			return EXIT_USAGE;
		raw |= c == 'r';
		json |= c == 'j';
	}
	if (optind == argc || (raw && json)) {
		fputs(help_text, stderr);
		return EXIT_USAGE;
	}
	if (json)
		list = json_object_new_array();
	for (; optind < argc; optind++) {
		int rc = fsstats_read(argv[optind], text);

		if (rc) {
			say("%s: %s", argv[optind], fsstats_error(rc));
			status = 1;
		} else if (list) {
			json_object_array_add(list, stat_json(argv[optind], text));
		} else if (raw) {
			fputs(text, stdout);
		} else {
			readable_print(argv[optind], text);
		}
	}
	if (list)
		json_show(list);
	return status;
}
