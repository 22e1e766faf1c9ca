// SPDX-License-Identifier: GPL-2.0-or-later
/* gvm dsm status - what the module says of the cluster and of its regions. */
#include "dsm.h"
#include "giantvm.h"
#include "json_out.h"
#include "memnode/file.h"
#include "memnode/size.h"
#include "say.h"
#include "symbols.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CONTENDED_SHOWN 10
#define SYMBOLS_MAX	(64 << 20)

static const char *node_roles(const struct giantvm_node *node)
{
	bool cpu = node->roles & GIANTVM_ROLE_CPU, mem = node->roles & GIANTVM_ROLE_MEM;

	return cpu && mem ? "cpu,mem" : cpu ? "cpu" : "mem";
}

static const char *node_state(const struct giantvm_node_info *n)
{
	return n->flags & GIANTVM_NODE_SELF	 ? "this host" :
	       n->flags & GIANTVM_NODE_CONNECTED ? "connected" :
						   "no connection";
}

static void nodes_print(const struct giantvm_state *s)
{
	char addr[GIANTVM_ADDR_TEXT];

	printf("  node  %-28s roles\n", "address");
	for (unsigned i = 0; i < s->info.nr_nodes; i++) {
		const struct giantvm_node_info *n = &s->nodes[i];

		printf("%6u  %-28s %-8s %s\n", n->node.id, giantvm_node_addr(&n->node, addr),
		       node_roles(&n->node), node_state(n));
	}
}

static double mean_us(const struct giantvm_stats *s)
{
	return s->remote_faults ? (double)s->remote_wait_ns / 1e3 / (double)s->remote_faults : 0;
}

static void regions_print(int device, const struct giantvm_state *s)
{
	char size[SIZE_TEXT], here[SIZE_TEXT];
	struct giantvm_stats stats;

	if (!s->info.nr_regions) {
		printf("no region is joined here\n");
		return;
	}
	printf("  %-20s %10s %10s %12s %10s %10s %8s\n", "region", "size", "here", "remote faults",
	       "mean wait", "taken away", "lost");
	for (unsigned i = 0; i < s->info.nr_regions; i++) {
		if (giantvm_stats_get(device, s->regions[i], &stats))
			continue; /* left meanwhile */
		printf("  %-20s %10s %10s %13" PRIu64 " %7.0f us %10" PRIu64 " %8" PRIu64 "\n",
		       stats.name, size_text(stats.size_bytes, size),
		       size_text(stats.resident_pages * 4096, here), (uint64_t)stats.remote_faults,
		       mean_us(&stats), (uint64_t)stats.revoked_pages,
		       (uint64_t)stats.lost_pages);
	}
}

static struct json_object *nodes_json(const struct giantvm_state *s)
{
	struct json_object *list = json_object_new_array();
	char addr[GIANTVM_ADDR_TEXT];

	for (unsigned i = 0; i < s->info.nr_nodes; i++) {
		const struct giantvm_node_info *n = &s->nodes[i];
		struct json_object *o = json_object_new_object();

		json_number(o, "id", n->node.id);
		json_text(o, "address", giantvm_node_addr(&n->node, addr));
		json_flag(o, "cpu", n->node.roles & GIANTVM_ROLE_CPU);
		json_flag(o, "mem", n->node.roles & GIANTVM_ROLE_MEM);
		json_text(o, "state", node_state(n));
		json_object_array_add(list, o);
	}
	return list;
}

static struct json_object *stats_json(const struct giantvm_stats *s)
{
	struct json_object *o = json_object_new_object();

	json_text(o, "name", s->name);
	json_number(o, "size_bytes", s->size_bytes);
	json_number(o, "here_bytes", s->resident_pages * 4096);
#define NUMBER(name) json_number(o, #name, s->name)
	NUMBER(read_faults);
	NUMBER(write_faults);
	NUMBER(remote_faults);
	NUMBER(remote_wait_ns);
	NUMBER(revoked_pages);
	NUMBER(downgraded_pages);
	NUMBER(evicted_pages);
	NUMBER(pin_waits);
	NUMBER(given_up_waits);
	NUMBER(fenced_pins);
	NUMBER(lost_pages);
#undef NUMBER
	return o;
}

static struct json_object *state_json(int device, const struct giantvm_state *s, const char *version)
{
	bool up = s->info.id != GIANTVM_ID_NONE;
	struct json_object *o = json_object_new_object(), *list = json_object_new_array();
	struct giantvm_stats stats;

	json_text(o, "version", version);
	json_member(o, "node", up ? json_object_new_uint64(s->info.id) : NULL);
	json_flag(o, "key", up && s->info.flags & GIANTVM_INFO_KEY);
	json_member(o, "nodes", nodes_json(s));
	for (unsigned i = 0; i < s->info.nr_regions; i++)
		if (!giantvm_stats_get(device, s->regions[i], &stats))
			json_object_array_add(list, stats_json(&stats));
	json_member(o, "regions", list);
	return o;
}

int dsm_status(int device, bool json)
{
	char version[GIANTVM_VERSION_TEXT];
	struct giantvm_state s;
	int rc = giantvm_state_get(device, &s);

	if (rc) {
		say("status: %s", strerror(-rc));
		return 1;
	}
	giantvm_version(version);
	if (json) {
		json_show(state_json(device, &s, version));
	} else if (s.info.id == GIANTVM_ID_NONE) {
		printf("giantvm_kvm %s: this host is no node of a cluster (gvm dsm up)\n", version);
	} else {
		printf("giantvm_kvm %s: node %u of %u, %s\n", version, s.info.id, s.info.nr_nodes,
		       s.info.flags & GIANTVM_INFO_KEY ? "with a key" : "without a key");
		nodes_print(&s);
		regions_print(device, &s);
	}
	giantvm_state_free(&s);
	return 0;
}

/* Says what is wrong with the file. */
static int symbols_load(const char *path, struct symbols *s)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc = fd < 0 ? -errno : 0;
	char *text = NULL;
	struct stat st;
	ssize_t n = 0;

	*s = (struct symbols){0};
	if (!rc && (fstat(fd, &st) || st.st_size > SYMBOLS_MAX))
		rc = -EFBIG;
	if (!rc) {
		text = malloc((size_t)st.st_size + 1);
		n = text ? file_read(fd, text, (size_t)st.st_size) : -ENOMEM;
		rc = n < 0 ? (int)n : 0;
	}
	if (fd >= 0)
		close(fd);
	if (rc) {
		free(text);
	} else {
		text[n] = 0;
		rc = symbols_parse(s, text);
	}
	if (rc)
		say("--symbols %s: %s", path, rc == -EINVAL ? "not a System.map with addresses (Debian's is in the package with debug "
							      "symbols)" : strerror(-rc));
	return rc;
}

/* The pages that this host and others take from each other most; needs debugfs. `list` NULL: prints. */
static void contended_show(const char *name, struct json_object *list, const struct symbols *symbols)
{
	char path[128], text[256], names[SYMBOLS_TEXT];
	int shown = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/kernel/debug/giantvm/%s/contended", name);
	f = fopen(path, "re");
	if (!f)
		return;
	while (shown < CONTENDED_SHOWN && fgets(text, sizeof(text), f)) {
		unsigned long long page, offset, count, excess;
		struct json_object *o;

		if (sscanf(text, "%llu %llx %llu %llu", &page, &offset, &count, &excess) != 4)
			continue;
		if (excess >= count)
			continue; /* it may have been another page's */
		if (!shown++ && !list)
			printf("most contended pages (offset: waits and losses, at least):\n");
		symbols_of_page(symbols, offset, names);
		if (!list) {
			printf("  %#14llx: %llu%s%s\n", offset, count - excess, *names ? "  " : "", names);
			continue;
		}
		o = json_object_new_object();
		json_number(o, "offset_bytes", offset);
		json_number(o, "times", count - excess);
		if (symbols->count)
			json_text(o, "symbols", names);
		json_object_array_add(list, o);
	}
	fclose(f);
}

static struct json_object *region_json(const struct giantvm_stats *s, const struct symbols *symbols)
{
	struct json_object *o = stats_json(s), *list = json_object_new_array();

	contended_show(s->name, list, symbols);
	json_member(o, "contended", list);
	return o;
}

static void region_print(const struct giantvm_stats *s, const struct symbols *symbols)
{
	char size[SIZE_TEXT];

	printf("%s: %s, /dev/gvm/%s\n", s->name, size_text(s->size_bytes, size), s->name);
	printf("  here          %" PRIu64 " pages (%s)\n", (uint64_t)s->resident_pages,
	       size_text(s->resident_pages * 4096, size));
	printf("  faults        %" PRIu64 " read, %" PRIu64 " write\n", (uint64_t)s->read_faults,
	       (uint64_t)s->write_faults);
	printf("  remote        %" PRIu64 " faults waited for another node, %.1f us each\n",
	       (uint64_t)s->remote_faults, mean_us(s));
	printf("  taken away    %" PRIu64 " pages, %" PRIu64 " more became read-only\n",
	       (uint64_t)s->revoked_pages, (uint64_t)s->downgraded_pages);
	printf("  evicted       %" PRIu64 " pages\n", (uint64_t)s->evicted_pages);
	printf("  pins          %" PRIu64 " waits, %" PRIu64 " given up, %" PRIu64
	       " cut off at a lease's end\n",
	       (uint64_t)s->pin_waits, (uint64_t)s->given_up_waits, (uint64_t)s->fenced_pins);
	printf("  lost          %" PRIu64 " pages\n", (uint64_t)s->lost_pages);
	contended_show(s->name, NULL, symbols);
}

int dsm_status_region(int device, const char *name, bool json, const char *file)
{
	struct symbols symbols = {0};
	struct giantvm_stats s;
	int rc = giantvm_stats_get(device, name, &s);

	if (rc)
		say("status %s: %s", name, rc == -ENOENT ? "not joined on this host" : strerror(-rc));
	else if (file)
		rc = symbols_load(file, &symbols);
	if (!rc && json)
		json_show(region_json(&s, &symbols));
	else if (!rc)
		region_print(&s, &symbols);
	symbols_deinit(&symbols);
	return rc ? 1 : 0;
}
