// SPDX-License-Identifier: GPL-2.0-or-later
/* pace.c - see pace.h. */
#include "pace.h"

static uint32_t lesser(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

uint32_t pace_kbs(const struct pace *p, unsigned most)
{
	uint32_t kbs = atomic_load_explicit(&p->kbs, memory_order_relaxed);

	return lesser(kbs ? kbs : PACE_FIRST, most * 1000u);
}

uint32_t pace_least(unsigned most)
{
	return most > 16 ? most * 1000u / 16 : 1000u;
}

/* Little more than it was: by half, and what a busy host adds anyway. */
static bool is_felt(const struct pace *p, uint64_t each_ns)
{
	return p->quiet_ns && each_ns > p->quiet_ns + p->quiet_ns / 2 + 50000;
}

static uint32_t slower(uint32_t kbs, unsigned most)
{
	uint32_t least = pace_least(most), next = kbs - kbs / 4;

	return next > least ? next : lesser(kbs, least);
}

void pace_look(struct pace *p, uint64_t now_ns, uint64_t answers, uint64_t took_ns, unsigned most)
{
	uint64_t copied = atomic_load_explicit(&p->copied, memory_order_relaxed), n = answers - p->answers_then;
	uint64_t each_ns = n ? (took_ns - p->took_then_ns) / n : 0;
	uint32_t kbs = pace_kbs(p, most);
	bool tells = n >= PACE_ANSWERS;

	if (now_ns < p->look_ns + PACE_LOOK_NS)
		return;
	if (copied != p->copied_then)
		p->copied_ns = now_ns;
	p->look_ns = now_ns;
	p->copied_then = copied;
	if (n && !tells && now_ns < p->told_ns + PACE_LONG_NS)
		return;
	if (now_ns >= p->copied_ns + PACE_IDLE_NS) {
		kbs = 0;
		if (tells)
			p->quiet_ns = p->quiet_ns ? p->quiet_ns - p->quiet_ns / 8 + each_ns / 8 : each_ns;
	} else if (tells && is_felt(p, each_ns)) {
		kbs = slower(kbs, most);
	} else {
		kbs = lesser(kbs + kbs / 8 + 1, most * 1000u);
	}
	atomic_store_explicit(&p->kbs, kbs, memory_order_relaxed);
	p->told_ns = now_ns;
	p->answers_then = answers;
	p->took_then_ns = took_ns;
}

static uint64_t takes_ns(const struct pace *p, uint32_t bytes, unsigned most)
{
	return bytes * 1000000ull / pace_kbs(p, most);
}

void pace_take(struct pace *p, uint64_t now_ns, uint32_t bytes, unsigned most)
{
	if (p->due_ns + PACE_BURST_NS < now_ns)
		p->due_ns = now_ns - PACE_BURST_NS;
	p->due_ns += takes_ns(p, bytes, most);
}

void pace_took(struct pace *p, uint32_t guess, uint32_t bytes, unsigned most)
{
	uint64_t back_ns = bytes < guess ? takes_ns(p, guess - bytes, most) : 0;

	p->due_ns += bytes > guess ? takes_ns(p, bytes - guess, most) : 0;
	p->due_ns -= back_ns < p->due_ns ? back_ns : p->due_ns;
	atomic_fetch_add_explicit(&p->copied, bytes ? bytes : 1, memory_order_relaxed);
}
