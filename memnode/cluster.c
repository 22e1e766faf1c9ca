// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * cluster.c - reads cluster.conf: the nodes' ids, addresses, roles and racks.
 *
 * A line with an equals sign is a setting, which holds for all nodes.
 *
 * The parser is pure: text in, nodes out. It accepts exactly the format that the header describes,
 * and otherwise names the line and the reason; a list with one wrong line is not used.
 */
#include "addr.h"
#include "file.h"
#include "gvm_client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NODE_ID_MAX    10239
#define NODES_MAX      (NODE_ID_MAX + 1)
#define FILE_BYTES_MAX (4u << 20)
#define ERR_BYTES      128

struct word {
	const char *at;
	size_t len;
};

/* For finding duplicates: a line, and its address in one spelling. */
struct place {
	struct addr addr;
	unsigned line, id;
};

struct parser {
	struct gvm_cluster_node *nodes;
	struct place *places;
	unsigned count, room;
	unsigned line_of_id[NODES_MAX];
	unsigned line_of_tls;
	bool tls;
	char *err;
};

static int complain(struct parser *p, unsigned line, const char *what, struct word w)
{
	int shown = w.len < 48 ? (int)w.len : 48;

	if (w.at)
		snprintf(p->err, ERR_BYTES, "line %u: %s '%.*s'", line, what, shown, w.at);
	else
		snprintf(p->err, ERR_BYTES, "line %u: %s", line, what);
	return -EINVAL;
}

static struct word word_next(const char **at, const char *end)
{
	struct word w;

	while (*at < end && (**at == ' ' || **at == '\t' || **at == '\r'))
		++*at;
	w.at = *at;
	while (*at < end && **at != ' ' && **at != '\t' && **at != '\r')
		++*at;
	w.len = (size_t)(*at - w.at);
	return w;
}

static bool id_parse(struct word w, unsigned *id)
{
	*id = 0;
	if (!w.len || w.len > 5)
		return false;
	for (size_t i = 0; i < w.len; i++) {
		if (w.at[i] < '0' || w.at[i] > '9')
			return false;
		*id = *id * 10 + (unsigned)(w.at[i] - '0');
	}
	return *id <= NODE_ID_MAX;
}

static bool roles_parse(struct word w, struct gvm_cluster_node *node)
{
	const char *at = w.at, *end = w.at + w.len;

	do {
		const char *comma = memchr(at, ',', (size_t)(end - at));
		size_t n = (size_t)((comma ? comma : end) - at);
		bool *role = n == 3 && !memcmp(at, "cpu", 3) ? &node->cpu :
			     n == 3 && !memcmp(at, "mem", 3) ? &node->mem :
							       NULL;

		if (!role || *role)
			return false;
		*role = true;
		at = comma ? comma + 1 : NULL;
	} while (at);
	return true;
}

static int entry_add(struct parser *p, unsigned line, const struct gvm_cluster_node *node,
		    const struct place *place)
{
	if (p->count == p->room) {
		unsigned room = p->room ? p->room * 2 : 16;
		void *nodes = reallocarray(p->nodes, room, sizeof(*p->nodes)), *places;

		if (!nodes)
			return -ENOMEM;
		p->nodes = nodes;
		places = reallocarray(p->places, room, sizeof(*p->places));
		if (!places)
			return -ENOMEM;
		p->places = places;
		p->room = room;
	}
	p->line_of_id[node->id] = line;
	p->nodes[p->count] = *node;
	p->places[p->count++] = *place;
	return 0;
}

static bool word_is(struct word w, const char *text)
{
	return w.len == strlen(text) && !memcmp(w.at, text, w.len);
}

/* `name = value`, spaces as one likes; what stands before the equals sign is in [at, equals). */
static int setting_parse(struct parser *p, unsigned line, const char *at, const char *equals, const char *end)
{
	struct word name = word_next(&at, equals), value, more = word_next(&at, equals);

	if (!word_is(name, "tls") || more.len)
		return complain(p, line, "there is no setting", name.len ? name : (struct word){equals, 1});
	at = equals + 1;
	value = word_next(&at, end);
	more = word_next(&at, end);
	if (more.len)
		return complain(p, line, "nothing may follow the value, but there is", more);
	if (!word_is(value, "yes") && !word_is(value, "no"))
		return complain(p, line, "tls is 'yes' or 'no', not", value);
	if (p->line_of_tls)
		return complain(p, line, "a second setting", name);
	p->line_of_tls = line;
	p->tls = word_is(value, "yes");
	return 0;
}

static int line_parse(struct parser *p, unsigned line, const char *at, const char *end)
{
	struct gvm_cluster_node node = {0};
	struct place place = {.line = line};
	struct word id, addr, roles, rack, more;
	const char *equals, *hash = memchr(at, '#', (size_t)(end - at));

	if (hash)
		end = hash;
	if (memchr(at, 0, (size_t)(end - at)))
		return complain(p, line, "a zero byte", (struct word){0});
	equals = memchr(at, '=', (size_t)(end - at));
	if (equals)
		return setting_parse(p, line, at, equals, end);
	id = word_next(&at, end);
	if (!id.len)
		return 0;
	addr = word_next(&at, end);
	roles = word_next(&at, end);
	rack = word_next(&at, end);
	more = word_next(&at, end);
	if (!id_parse(id, &node.id))
		return complain(p, line, "a node id is a number from 0 to 10239, not", id);
	if (!addr.len || !roles.len)
		return complain(p, line, "a node is 'id address:port roles', or that and its rack", (struct word){0});
	if (more.len)
		return complain(p, line, "nothing may follow the rack, but there is", more);
	if (addr.len >= sizeof(node.addr))
		return complain(p, line, "not an address:port:", addr);
	memcpy(node.addr, addr.at, addr.len);
	if (addr_parse(node.addr, &place.addr))
		return complain(p, line, "not an address:port:", addr);
	if (!roles_parse(roles, &node))
		return complain(p, line, "roles are 'cpu', 'mem' or 'cpu,mem', not", roles);
	if (rack.len > GVM_RACK_MAX)
		return complain(p, line, "a rack's name has at most 31 bytes, not", rack);
	memcpy(node.rack, rack.at, rack.len);
	if (p->line_of_id[node.id]) {
		char what[64];

		snprintf(what, sizeof(what), "line %u has the same node id",
			 p->line_of_id[node.id]);
		return complain(p, line, what, id);
	}
	place.id = node.id;
	return entry_add(p, line, &node, &place);
}

static int place_compare(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	int diff = memcmp(&x->addr, &y->addr, sizeof(x->addr));

	return diff ? diff : (x->line > y->line) - (x->line < y->line);
}

static int places_check(struct parser *p)
{
	qsort(p->places, p->count, sizeof(*p->places), place_compare);
	for (unsigned i = 1; i < p->count; i++) {
		const struct place *one = &p->places[i - 1], *two = &p->places[i];
		char what[64];

		if (memcmp(&one->addr, &two->addr, sizeof(one->addr)))
			continue;
		snprintf(what, sizeof(what), "node %u of line %u has the same address", one->id,
			 one->line);
		return complain(p, two->line, what, (struct word){0});
	}
	return 0;
}

static int text_parse(struct parser *p, const char *text, size_t bytes)
{
	const char *at = text, *end = text + bytes;

	for (unsigned line = 1; at < end; line++) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const char *stop = newline ? newline : end;
		int err = line_parse(p, line, at, stop);

		if (err)
			return err;
		at = newline ? newline + 1 : end;
	}
	if (!p->count) {
		snprintf(p->err, ERR_BYTES, "no node is named");
		return -EINVAL;
	}
	for (unsigned i = 0; i < p->count; i++)
		p->nodes[i].tls = p->tls;
	return places_check(p);
}

int gvm_cluster_parse(const char *text, size_t bytes, struct gvm_cluster_node **nodes,
		      unsigned *count, char err[128])
{
	struct parser *p = calloc(1, sizeof(*p));
	int ret;

	snprintf(err, ERR_BYTES, "out of memory");
	if (!p)
		return -ENOMEM;
	p->err = err;
	ret = text_parse(p, text, bytes);
	if (!ret) {
		err[0] = 0;
		*nodes = p->nodes;
		*count = p->count;
		p->nodes = NULL;
	}
	free(p->nodes);
	free(p->places);
	free(p);
	return ret;
}

/* The whole file, up to a length that no list of nodes has. */
static int list_read(const char *path, char **text, size_t *bytes)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *buf = malloc(FILE_BYTES_MAX);
	ssize_t n = fd < 0 ? -errno : -ENOMEM;

	if (fd >= 0 && buf)
		n = file_read(fd, buf, FILE_BYTES_MAX);
	if (fd >= 0)
		close(fd);
	if (n == FILE_BYTES_MAX)
		n = -EFBIG;
	if (n < 0) {
		free(buf);
		return (int)n;
	}
	*text = buf;
	*bytes = (size_t)n;
	return 0;
}

int gvm_cluster_load(const char *path, struct gvm_cluster_node **nodes, unsigned *count,
		     char err[128])
{
	size_t bytes = 0;
	char *text = NULL;
	int ret = list_read(path, &text, &bytes);

	if (ret) {
		snprintf(err, ERR_BYTES, "%s", strerrordesc_np(-ret));
		return ret;
	}
	ret = gvm_cluster_parse(text, bytes, nodes, count, err);
	free(text);
	return ret;
}
