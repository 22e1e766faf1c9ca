/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM giantvm

#if !defined(GVM_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define GVM_TRACE_H

#include <linux/tracepoint.h>

#include "ivy/wire.h"

/* A fault, and the core's answer: 1: the right is here; 0: it has been requested; or an errno. */
TRACE_EVENT(gvm_fault,
	TP_PROTO(u32 tag, u64 page, bool write, int answer),
	TP_ARGS(tag, page, write, answer),
	TP_STRUCT__entry(
		__field(u32, tag)
		__field(u64, page)
		__field(bool, write)
		__field(int, answer)
	),
	TP_fast_assign(
		__entry->tag = tag;
		__entry->page = page;
		__entry->write = write;
		__entry->answer = answer;
	),
	TP_printk("region %08x page %llu %s: %d", __entry->tag, __entry->page,
		  __entry->write ? "write" : "read", __entry->answer)
);

/* Mappings were taken down to `right` (0: none, 1: read); `pins` references are still there. */
TRACE_EVENT(gvm_revoke,
	TP_PROTO(u32 tag, u64 page, int right, int pins),
	TP_ARGS(tag, page, right, pins),
	TP_STRUCT__entry(
		__field(u32, tag)
		__field(u64, page)
		__field(int, right)
		__field(int, pins)
	),
	TP_fast_assign(
		__entry->tag = tag;
		__entry->page = page;
		__entry->right = right;
		__entry->pins = pins;
	),
	TP_printk("region %08x page %llu right %d pins %d", __entry->tag, __entry->page,
		  __entry->right, __entry->pins)
);

DECLARE_EVENT_CLASS(gvm_message,
	TP_PROTO(u32 tag, u16 peer, const struct ivy_msg *m),
	TP_ARGS(tag, peer, m),
	TP_STRUCT__entry(
		__field(u32, tag)
		__field(u16, peer)
		__field(u8, type)
		__field(u8, flags)
		__field(u16, more)
		__field(u64, page)
		__field(u64, ver)
		__field(u64, who)
	),
	TP_fast_assign(
		__entry->tag = tag;
		__entry->peer = peer;
		__entry->type = m->type;
		__entry->flags = m->flags;
		__entry->more = m->more;
		__entry->page = m->page;
		__entry->ver = m->ver;
		__entry->who = m->who;
	),
	TP_printk("region %08x node %u type %u flags %#x page %llu and %u more version %llu who %llx",
		  __entry->tag, __entry->peer, __entry->type, __entry->flags, __entry->page,
		  __entry->more, __entry->ver, __entry->who)
);

DEFINE_EVENT(gvm_message, gvm_send,
	TP_PROTO(u32 tag, u16 peer, const struct ivy_msg *m),
	TP_ARGS(tag, peer, m)
);

DEFINE_EVENT(gvm_message, gvm_receive,
	TP_PROTO(u32 tag, u16 peer, const struct ivy_msg *m),
	TP_ARGS(tag, peer, m)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
