/* SPDX-License-Identifier: GPL-2.0-or-later */
/* node.h - the same as exchange.h from a memory node, through the client library. */
#ifndef TOOLS_BENCH_NODE_H
#define TOOLS_BENCH_NODE_H

#include "exchange.h"
#include "memnode/gvm_client.h"

struct bench_node;
/* A region of `values` chunks is made there, and written. */
int bench_node_at(const char *addr, const struct gvm_conn_opts *opts, unsigned values, unsigned depth, struct bench_node **n);
/* Takes the region away. */
int bench_node_remove(struct bench_node *n);
/* `key_path` NULL: without TLS. */
int bench_node_open(uint16_t port, const char *key_path, unsigned values, unsigned depth, struct bench_node **n);
void bench_node_close(struct bench_node *n);
int bench_node_run(struct bench_node *n, bool put, unsigned ms, double *mb_s);
/* Bytes of the frames that bench_node_run() exchanges, for raw TCP. */
void bench_node_frames(struct bench_store *s);

#endif
