// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * lists.c - the requests of a connection: each is in the list that its state names, or in none.
 *
 * The lists keep the order of submission: sent requests, then queued ones. In that order they are
 * sent again.
 */
#include "impl.h"

#include <assert.h>

void req_lists_init(struct gvm_conn *conn)
{
	for (unsigned i = 0; i < REQ_STATES; i++)
		TAILQ_INIT(&conn->list[i]);
}

void req_move(struct gvm_conn *conn, struct gvm_req *req, enum req_state to)
{
	assert(req->conn == conn && req->state < REQ_STATES && to < REQ_STATES);
	if (req->state != REQ_IDLE)
		TAILQ_REMOVE(&conn->list[req->state], req, entry);
	req->state = to;
	if (to != REQ_IDLE)
		TAILQ_INSERT_TAIL(&conn->list[to], req, entry);
}

void req_move_all(struct gvm_conn *conn, enum req_state from, enum req_state to)
{
	while (req_first(conn, from))
		req_move(conn, req_first(conn, from), to);
}
