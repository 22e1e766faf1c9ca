// SPDX-License-Identifier: GPL-2.0-or-later
/* node_figures.c - see node_figures.h. */
#include "node_figures.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct asked {
	struct gvm_call call; /* first */
	struct gvm_node_stat_rsp stat;
	struct gvm_node_rot_rsp rot;
};

/* The answer's fields are valid in these callbacks only. */
static void stat_answered(struct gvm_req *req)
{
	struct asked *a = (struct asked *)req;

	if (!req->result)
		a->stat = a->call.rsp.node_stat;
}

static void rot_answered(struct gvm_req *req)
{
	struct asked *a = (struct asked *)req;

	if (!req->result)
		a->rot = a->call.rsp.node_rot;
}

int node_stat_ask(struct gvm_conn *conn, struct gvm_node_stat_rsp *stat)
{
	struct asked a = {.call.req = {.done = stat_answered, .deadline_ns = gvm_now_ns() + NODE_DEADLINE_NS}};
	int rc;

	gvm_node_stat(conn, &a.call);
	rc = gvm_conn_wait(conn, &a.call.req);
	*stat = a.stat;
	return rc;
}

int node_rot_ask(struct gvm_conn *conn, struct gvm_node_rot_rsp *rot, bool *knows)
{
	struct asked a = {.call.req = {.done = rot_answered, .deadline_ns = gvm_now_ns() + NODE_DEADLINE_NS}};
	int rc;

	gvm_node_rot(conn, &a.call);
	rc = gvm_conn_wait(conn, &a.call.req);
	*rot = a.rot;
	*knows = !rc;
	return rc == -EOPNOTSUPP ? 0 : rc;
}

char *node_figures_lines(const struct gvm_node_stat_rsp *stat, const struct gvm_node_rot_rsp *rot)
{
	char *lines = NULL;
	size_t bytes;
	FILE *f = open_memstream(&lines, &bytes);

	if (!f)
		return NULL;
#define FIELD(type, name) fprintf(f, #name " %llu\n", (unsigned long long)stat->name);
	GVM_MSG_NODE_STAT_RSP(FIELD)
#undef FIELD
#define FIELD(type, name) fprintf(f, #name " %llu\n", (unsigned long long)rot->name);
	if (rot) {
		GVM_MSG_NODE_ROT_RSP(FIELD)
	}
#undef FIELD
	if (!fclose(f))
		return lines;
	free(lines);
	return NULL;
}

void node_reason_note(struct gvm_conn *conn, enum gvm_conn_state state, bool renewed, const char *why, void *arg)
{
	struct node_reason *reason = arg;

	(void)conn;
	(void)renewed;
	snprintf(reason->text, sizeof(reason->text), "%s", state == GVM_CONN_UP ? "" : why);
}

const char *node_reason_text(int error, const struct node_reason *reason)
{
	static char text[sizeof(reason->text) + 32];

	switch (error) {
	case -EINVAL:
		return "not an ADDRESS:PORT";
	case -ETIMEDOUT:
		snprintf(text, sizeof(text), "no answer within 5 s%s%s", *reason->text ? ": " : "", reason->text);
		return text;
	case -EACCES:
		snprintf(text, sizeof(text), "%s%s", *reason->text ? reason->text : "the node refused the key",
			 strstr(reason->text, "--tls") ? "" : " (--key)");
		return text;
	case -EPROTONOSUPPORT:
		return "the node speaks another version of the protocol";
	default:
		return strerror(-error);
	}
}
