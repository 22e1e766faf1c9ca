// SPDX-License-Identifier: GPL-2.0-or-later
/* world.c - one world under chance: see sim.c. */
#include "world.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEPS 1500u

struct world w;
uint64_t chance;
jmp_buf broken;
char why[200];
bool calm, traced;

static unsigned draw(unsigned below)
{
	chance ^= chance << 13;
	chance ^= chance >> 7;
	chance ^= chance << 17;
	return (unsigned)((chance >> 20) % below);
}

__attribute__((format(printf, 1, 2), noreturn)) static void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	longjmp(broken, 1);
}

__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...)
{
	va_list args;

	if (!traced)
		return;
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
}

static const uint8_t byte = 1;

static const char *const step_names[] = {
	"idle", "put", "fence", "list", "heal", "forget",
};

static const char *const what_names[] = {
	"create", "change", "remove", "read", "round",
};

static unsigned number_of(const struct mount *m)
{
	return (unsigned)(m - w.mount);
}

static struct gvm_id key_of(unsigned name)
{
	return (struct gvm_id){ { 1, (uint8_t)name } };
}

static void hear(struct mount *m, uint64_t number)
{
	if (number > m->clock)
		m->clock = number;
}

/* ---- requests ---- */

static int status_error(uint16_t status)
{
	switch (status) {
	case GVM_OK:
		return 0;
	case GVM_ERR_STALE:
		return -ESTALE;
	case GVM_ERR_FENCED:
		return -EKEYREVOKED;
	case GVM_ERR_GONE:
		return -EIDRM;
	case GVM_ERR_NOSPACE:
		return -ENOSPC;
	}
	fail("status %u", status);
}

/* Its version there, 0: it is not; *live: it is no tombstone. */
static uint64_t node_version(unsigned node, unsigned name, bool *live)
{
	static uint8_t buf[GVM_DATA_MAX];
	struct gvm_name_list_req what = {.round = 0};
	struct gvm_name_list_rsp rsp;
	struct gvm_id key = key_of(name);
	uint64_t detail;
	uint32_t bytes;

	*live = false;
	name_list(&w.node[node], &what, &rsp, buf, &bytes, &detail);
	for (const uint8_t *p = buf; p < buf + bytes;
	     p += GVM_NAME_ENTRY_BYTES + gvm_load_le(p + 40, 4))
		if (!memcmp(p, key.b, 16)) {
			*live = gvm_load_le(p + 40, 4);
			return gvm_load_le(p + 32, 8);
		}
	return 0;
}

/* What a node makes of a save, whoever it is from and however late: see memnode/PROTOCOL.md. */
static int put_run(const struct ghost *g, uint64_t *detail)
{
	struct names *t = &w.node[g->node];
	bool over = g->put.born <= names_horizon(t, g->put.table), live, lives;
	unsigned name = g->put.key.b[1], count = t->count;
	uint64_t before = node_version(g->node, name, &live), after;
	int r = status_error(name_put(t, &g->put, &byte, g->live, detail));

	after = node_version(g->node, name, &lives);
	if (r && !g->live)
		fail("node %u refuses to remove name %u", g->node, name);
	if (r == -EKEYREVOKED && over)
		fail("node %u does not say that name %u is gone", g->node, name);
	if (r && *detail < (r == -ESTALE ? g->put.version : g->put.born))
		fail("node %u does not say what refuses name %u", g->node, name);
	if (r == -ESTALE && before == g->put.version)
		fail("node %u refuses what it has of name %u", g->node, name);
	if (live && lives && after < before)
		fail("node %u has an older record of name %u now", g->node, name);
	if (over && t->count > count)
		fail("node %u takes what is over of name %u", g->node, name);
	return r;
}

static int forget_run(const struct ghost *g, uint64_t *detail)
{
	struct names *t = &w.node[g->node];
	uint64_t before = names_horizon(t, g->table), after;
	int r = status_error(
		name_forget(t, &(struct gvm_name_forget_req){g->round, g->table}, detail));

	after = names_horizon(t, g->table);
	if (after < before || (after > before && after > g->upto))
		fail("node %u: its horizon goes from %u to %u, of a round up to %u", g->node,
		     (unsigned)before, (unsigned)after, (unsigned)g->upto);
	return r;
}

static int ghost_run(const struct ghost *g, uint64_t *detail)
{
	struct names *t = &w.node[g->node];
	int r;

	*detail = 0;
	if (g->step == PUTTING || g->step == HEALING) {
		r = put_run(g, detail);
		tell("  node %u: %s name %u %s, table %x, born %u, version %u, round %u: %s, %u\n",
		     g->node, step_names[g->step], g->put.key.b[1], g->live ? "record" : "tombstone",
		     (unsigned)g->put.table, (unsigned)g->put.born, (unsigned)g->put.version,
		     (unsigned)g->put.round, strerror(-r), (unsigned)*detail);
		return r;
	}
	if (g->step == FENCING)
		r = status_error(name_fence(t, &(struct gvm_name_fence_req){ g->round, g->upto }));
	else
		r = forget_run(g, detail);
	tell("  node %u: %s, round %u, upto %u, table %x: %s, %u\n", g->node, step_names[g->step],
	     (unsigned)g->round, (unsigned)g->upto, (unsigned)g->table, strerror(-r),
	     (unsigned)*detail);
	return r;
}

static void ghost_leave(const struct ghost *g)
{
	if (g->step != LISTING && w.ghosts < GHOSTS && draw(2))
		w.ghost[w.ghosts++] = *g;
}

static void ghost_appears(void)
{
	unsigned i = draw(w.ghosts);
	uint64_t detail;

	tell("late:\n");
	ghost_run(&w.ghost[i], &detail);
	w.ghost[i] = w.ghost[--w.ghosts];
}

static struct ghost request_of(const struct mount *m, unsigned node)
{
	return (struct ghost){ .node = node, .step = m->step, .put = m->put, .live = m->live,
			       .round = m->round, .upto = m->upto,
			       .table = m->due.tables ? m->due.table[m->due.tables - 1] : 0 };
}

static int list_run(struct mount *m, unsigned node)
{
	static uint8_t buf[GVM_DATA_MAX];
	struct gvm_name_list_req what = { .round = m->what == ROUND ? m->round : 0,
					  .since = m->what == READ ? names_known_since(&m->known, node) : 0 };
	struct gvm_name_list_rsp rsp;
	uint64_t detail;
	uint32_t bytes;
	int r = status_error(name_list(&w.node[node], &what, &rsp, buf, &bytes, &detail));
	bool cut = !calm && !draw(16);

	tell("  node %u: list, round %u: %s\n", node, (unsigned)what.round, strerror(-r));
	if (r)
		return r;
	if (what.round && what.round != w.node[node].round)
		fail("node %u lists for a round that is over", node);
	hear(m, rsp.fence);
	if (rsp.fence > m->fence)
		m->fence = rsp.fence;
	m->view[node].changes = rsp.since != 0;
	m->view[node].stamp = rsp.stamp;
	for (const uint8_t *p = buf; p < buf + bytes;) {
		struct name_entry e = { .table = gvm_load_le(p + 16, 8), .born = gvm_load_le(p + 24, 8),
					.version = gvm_load_le(p + 32, 8),
					.bytes = (uint32_t)gvm_load_le(p + 40, 4) };

		if (cut && !draw(3)) {
			tell("    the rest does not come\n");
			return -ETIMEDOUT;
		}
		memcpy(e.key.b, p, 16);
		e.record = e.bytes ? (uint8_t *)(uintptr_t)(p + GVM_NAME_ENTRY_BYTES) : NULL;
		tell("    %s %u, table %x, born %u, version %u\n",
		     gvm_name_is_horizon(&e.key) ? "horizon" : e.bytes ? "record" : "tombstone",
		     e.key.b[1], (unsigned)e.table, (unsigned)e.born, (unsigned)e.version);
		hear(m, e.version);
		if (!gvm_name_is_horizon(&e.key) && names_list_add(&m->all, &e))
			fail("no memory");
		e.record = NULL;
		if (names_list_add(&m->view[node].has, &e))
			fail("no memory");
		p += GVM_NAME_ENTRY_BYTES + e.bytes;
	}
	m->view[node].whole = true;
	return 0;
}

void request_run(struct mount *m, unsigned node)
{
	struct answer *a = &m->answer[node];
	struct ghost g = request_of(m, node);
	int r;

	tell("mount %u, %s:\n", number_of(m), what_names[m->what]);
	if (m->step == LISTING)
		r = list_run(m, node);
	else
		r = ghost_run(&g, &a->detail);
	if (m->step != LISTING && !calm && !draw(8))
		return; /* its answer is lost: it is sent again */
	a->over = true;
	a->ok = !r;
	a->result = r;
	a->life = w.life[node];
	if (r && a->detail)
		hear(m, a->detail);
}

static void request_give_up(struct mount *m, unsigned node)
{
	struct ghost g = request_of(m, node);

	tell("mount %u, %s: gives up %s on node %u\n", number_of(m), what_names[m->what],
	     step_names[m->step], node);
	m->answer[node].over = true;
	m->answer[node].result = -ETIMEDOUT;
	if (m->step == HEALING)
		m->out[node] = true;
	else
		ghost_leave(&g);
}

/* ---- what mounts do ---- */

static void step_begin(struct mount *m, enum step step)
{
	tell("mount %u, %s: begins %s\n", number_of(m), what_names[m->what], step_names[step]);
	m->step = step;
	for (unsigned i = m->first; i <= m->last; i++) {
		m->answer[i] = (struct answer){ .over = m->out[i] };
		m->healed[i] = 0;
	}
}

void op_end(struct mount *m)
{
	tell("mount %u, %s: over\n", number_of(m), what_names[m->what]);
	for (unsigned i = 0; i < NODES; i++) {
		names_list_free(&m->view[i].has);
		m->view[i] = (struct names_view){ 0 };
		m->out[i] = false;
	}
	names_list_free(&m->all);
	m->step = IDLE;
}

/* What has been listed; of the table itself, with what was known before. */
static const struct names_list *all_of(const struct mount *m)
{
	return m->what == READ ? &m->known.all : &m->all;
}

static const struct names_view *views_of(const struct mount *m)
{
	return m->what == READ ? m->known.views : m->view;
}

static unsigned nodes_of(const struct mount *m)
{
	return m->last - m->first + 1;
}

static unsigned well_of(const struct mount *m)
{
	unsigned n = 0;

	for (unsigned i = m->first; i <= m->last; i++)
		n += m->answer[i].ok;
	return n;
}

static bool enough(const struct mount *m)
{
	bool all = m->what == ROUND && !NAMES_MUTANT(ROUND_WITHOUT_ALL);

	return well_of(m) >= (all ? nodes_of(m) : names_majority(nodes_of(m)));
}

void put_begin(struct mount *m, enum what what, unsigned name)
{
	struct known *k = &m->names[name];

	m->what = what;
	m->name = name;
	m->again = false;
	m->removed_then[name] = w.name[name].removed;
	m->live = what != REMOVE;
	if (what == CREATE) {
		if (!m->table)
			m->table = 1 + draw(1u << 30);
		*k = (struct known){ .table = m->table, .born = m->clock + 1, .version = m->clock + 1 };
	} else {
		k->version++;
	}
	hear(m, k->version);
	m->put = (struct gvm_name_put_req){ key_of(name), k->table, k->born, k->version, 0 };
	if (what == REMOVE)
		w.name[name].remove_tried = true;
	step_begin(m, PUTTING);
}

void create_begin(struct mount *m)
{
	if (w.used == NAMES)
		return;
	w.name[w.used].used = true;
	put_begin(m, CREATE, w.used++);
}

void round_begin(struct mount *m, uint64_t upto)
{
	m->what = ROUND;
	m->round = ++w.rounds;
	m->upto = upto;
	m->fence = 0;
	m->restarted_then = w.restarted;
	m->due = (struct names_due){ 0 };
	step_begin(m, NAMES_MUTANT(ROUND_WITHOUT_FENCE) ? LISTING : FENCING);
	if (NAMES_MUTANT(ROUND_WITHOUT_FENCE))
		for (unsigned i = m->first; i <= m->last; i++)
			name_fence(&w.node[i], &(struct gvm_name_fence_req){ m->round, 0 }),
				w.node[i].round_upto = upto;
}

/* All nodes are asked, or only those who have just taken it. */
static void put_once_more(struct mount *m, bool again)
{
	for (unsigned i = m->first; i <= m->last; i++) {
		m->out[i] = again && !m->answer[i].ok;
		m->life[i] = m->answer[i].life;
	}
	m->again = again;
	step_begin(m, PUTTING);
}

/* What a save ends with has a reason, and who saves can do something about it. */
static void put_check(const struct mount *m, int result)
{
	bool gone = false, silent = false;

	for (unsigned i = m->first; i <= m->last; i++) {
		const struct answer *a = &m->answer[i];

		if (m->out[i])
			continue;
		silent |= !a->over || a->result == -ETIMEDOUT;
		gone |= a->over && a->result == -EIDRM;
	}
	if (gone && result != (m->what == CREATE ? -EAGAIN : -EIDRM))
		fail("name %u is gone, and saved: %s", m->name, strerror(-result));
	if (m->what == CREATE && (result == -EIDRM || result == -EKEYREVOKED))
		fail("name %u is not made under another key", m->name);
	if (!silent && result == -ETIMEDOUT)
		fail("name %u is not saved, for no reason", m->name);
}

/* gvmfs/names_job.c: save_try(), names_job_save(). */
static void put_end(struct mount *m)
{
	struct names_votes votes = { .nodes = nodes_of(m) };
	struct known *k = &m->names[m->name];
	struct truth *t = &w.name[m->name];
	int r;

	for (unsigned i = m->first; i <= m->last; i++) {
		const struct answer *a = &m->answer[i];

		if (!a->over || m->out[i] || a->result == -ETIMEDOUT)
			continue;
		if (m->again)
			names_votes_add_again(&votes, a->result, a->detail, a->life == m->life[i]);
		else
			names_votes_add(&votes, a->result, a->detail);
	}
	r = names_votes_result(&votes, m->what == CREATE);
	put_check(m, r);
	tell("mount %u, %s name %u: %s\n", number_of(m), what_names[m->what], m->name, strerror(-r));
	if (r == -ERESTART || (!r && !m->again && names_votes_count_twice(&votes))) {
		put_once_more(m, !r);
		return;
	}
	k->version = m->put.version + (r < 0);
	if (r == -ESTALE && votes.newest >= m->put.version) {
		m->put.version = votes.newest + 1;
		k->version = m->put.version;
		put_once_more(m, false);
		return;
	}
	if (r == -EKEYREVOKED) {
		op_end(m);
		round_begin(m, votes.newest);
		return;
	}
	switch (m->what) {
	case CREATE:
		k->there = !r;
		t->created |= !r;
		if (r) { /* what some have of it is taken back; the name is made under another key */
			put_begin(m, REMOVE, m->name);
			return;
		}
		break;
	case CHANGE:
		if (r == -EIDRM)
			k->there = false;
		if (r == 0 && m->removed_then[m->name] && !w.restarts && !w.moves)
			fail("name %u was changed after its removal", m->name);
		break;
	default:
		t->removed |= !r;
		k->there &= r != 0;
	}
	op_end(m);
}

void read_begin(struct mount *m)
{
	m->what = READ;
	m->fenced = false;
	m->missing = 0;
	for (unsigned i = 0; i < NAMES; i++)
		m->removed_then[i] = w.name[i].removed;
	step_begin(m, LISTING);
}

static void drop(struct mount *m, unsigned name)
{
	if (m->names[name].there && w.name[name].created && !w.name[name].remove_tried)
		fail("name %u is taken for removed (%u nodes%s)", name, w.nodes,
		     w.restarts ? ", restarts" : "");
	tell("mount %u: drops name %u\n", number_of(m), name);
	m->names[name].there = false;
}

/* gvmfs/names.c: load_end(). */
static void read_apply(struct mount *m)
{
	for (size_t i = 0; i < all_of(m)->count; i++) {
		const struct name_entry *e = &all_of(m)->entry[i];
		unsigned name = e->key.b[1];
		struct known *k = &m->names[name];

		if (!e->bytes) {
			drop(m, name);
			continue;
		}
		if (m->removed_then[name] && !w.restarts && !w.moves)
			fail("name %u shows after its removal", name);
		if (!k->there || k->version < e->version)
			*k = (struct known){ true, e->table, e->born, e->version };
	}
	for (unsigned name = 0; name < w.used; name++) {
		struct known *k = &m->names[name];
		struct gvm_id key = key_of(name);

		if (!k->there || names_list_find(all_of(m), &key))
			continue;
		if (k->born <= names_views_horizon(views_of(m), NODES, k->table) &&
		    !NAMES_MUTANT(SAVED_AGAIN)) {
			drop(m, name);
			continue;
		}
		m->missing = name + 1;
	}
}

/* It has the newest that was listed, and no node is sent what it has forgotten. */
static void list_check(const struct mount *m)
{
	for (size_t i = 0; i < all_of(m)->count; i++)
		for (unsigned n = m->first; n <= m->last; n++) {
			const struct name_entry *e = &all_of(m)->entry[i];
			const struct name_entry *its = names_list_find(&views_of(m)[n].has, &e->key);

			if (its && e->bytes && (!its->bytes || its->version > e->version))
				fail("mount %u takes what is old of name %u", number_of(m),
				     e->key.b[1]);
			if (!its && names_view_lacks(&views_of(m)[n], e) &&
			    e->born <= names_view_horizon(&views_of(m)[n], e->table))
				fail("mount %u would send node %u what it has forgotten",
				     number_of(m), n);
		}
}

static void heal_end(struct mount *m);

/* What is known is what the nodes that answered have, and what counts of it. */
static void known_check(const struct mount *m)
{
	static struct names_list all; /* static: fail() does not come back */
	bool same;

	names_list_free(&all);
	for (unsigned n = 0; n < NODES; n++) {
		const struct names_view *view = &m->known.views[n];

		if (view->whole != m->view[n].whole)
			fail("mount %u knows of node %u what it was not told", number_of(m), n);
		for (size_t i = 0; i < view->has.count; i++)
			if (!gvm_name_is_horizon(&view->has.entry[i].key) &&
			    names_list_add(&all, &view->has.entry[i]))
				fail("no memory");
	}
	names_list_settle(&all, m->known.views, NODES);
	same = all.count == m->known.all.count;
	for (size_t i = 0; same && i < all.count; i++) {
		const struct name_entry *a = &all.entry[i], *b = &m->known.all.entry[i];

		same = gvm_id_equal(&a->key, &b->key) && a->bytes == b->bytes &&
		       (!a->bytes || (a->version == b->version && b->record));
	}
	names_list_free(&all);
	if (!same)
		fail("mount %u does not know what counts", number_of(m));
}

/* gvmfs/names_job.c: load_once(). */
static bool read_take(struct mount *m)
{
	int r = m->known.views ? 0 : names_known_init(&m->known, NODES);

	if (!r)
		r = names_known_take(&m->known, m->view, &m->all);
	if (r && r != -EAGAIN)
		fail("no memory");
	if (!r) {
		known_check(m);
		return true;
	}
	op_end(m);
	read_begin(m);
	return false;
}

static void list_end(struct mount *m)
{
	uint64_t table;

	/* gvmfs/names_round.c: round_once(). */
	if (m->what == ROUND && m->fence > m->upto && !NAMES_MUTANT(ROUND_BELOW_A_FENCE)) {
		op_end(m);
		round_begin(m, m->fence);
		return;
	}
	if (m->what == READ && !read_take(m))
		return;
	if (m->what == ROUND)
		names_list_settle(&m->all, m->view, NODES);
	list_check(m);
	table = names_list_table(all_of(m), views_of(m), NODES, well_of(m) == nodes_of(m));
	if (table)
		m->table = table;
	if (m->what == READ)
		read_apply(m);
	for (unsigned i = m->first; i <= m->last; i++)
		m->out[i] |= !m->answer[i].ok;
	if (m->what == ROUND && NAMES_MUTANT(ROUND_WITHOUT_HEAL)) {
		heal_end(m);
		return;
	}
	/* gvmfs/names_job.c: load_heal(). */
	m->with = m->what == READ && m->known.healed ? names_known_news(&m->known) : all_of(m);
	m->known.healed &= m->what != READ;
	step_begin(m, HEALING);
}

/* One record to one node; true: there was one to send. */
static bool heal_one(struct mount *m, unsigned node)
{
	for (; m->healed[node] < m->with->count; m->healed[node]++) {
		const struct name_entry *e = &m->with->entry[m->healed[node]];
		struct ghost g = { .node = node, .step = HEALING, .live = e->bytes,
				   .put = { e->key, e->table, e->born, e->version,
					    m->what == ROUND ? m->round : 0 } };
		uint64_t detail;
		int r = 0;

		if (!names_view_lacks(&views_of(m)[node], e))
			continue;
		m->healed[node]++;
		if (m->link[node]) {
			tell("mount %u, %s:\n", number_of(m), what_names[m->what]);
			r = ghost_run(&g, &detail);
		}
		if (!m->link[node] || (r && r != -ESTALE && r != -EIDRM)) {
			ghost_leave(&g);
			m->out[node] = true;
			m->answer[node].over = true;
			m->fenced |= r == -EKEYREVOKED;
		}
		return true;
	}
	m->answer[node].over = m->answer[node].ok = true;
	return false;
}

static void heal_end(struct mount *m)
{
	struct names_due due;

	if (m->what == READ) {
		unsigned missing = m->missing;
		bool all = true;

		names_due_find(&due, all_of(m), views_of(m), NODES);
		m->known.healed = true;
		for (unsigned i = m->first; i <= m->last; i++) {
			all &= views_of(m)[i].whole;
			m->known.healed &= m->answer[i].ok || !views_of(m)[i].whole;
		}
		op_end(m);
		if (missing)
			put_begin(m, CHANGE, missing - 1);
		else if (all && (due.gone || due.uneven || m->fenced))
			round_begin(m, m->fenced ? m->clock : due.upto);
		return;
	}
	names_due_find(&m->due, all_of(m), views_of(m), NODES);
	if (!m->due.tables)
		op_end(m);
	else
		step_begin(m, FORGETTING);
}

static bool lists_agree(void)
{
	for (unsigned i = 0; i < MOUNTS; i++)
		if (w.mount[i].first != w.first || w.mount[i].last != w.last)
			return false;
	return true;
}

static void forget_end(struct mount *m)
{
	if (enough(m) && --m->due.tables) {
		step_begin(m, FORGETTING);
		return;
	}
	/* One that restarted after it had answered has nothing, whatever the round's end was. */
	if (!m->due.tables && well_of(m) == w.last - w.first + 1 && lists_agree() &&
	    m->restarted_then == w.restarted) {
		tell("all nodes have everything\n");
		w.restored = NODES;
	}
	op_end(m);
}

void step_end(struct mount *m)
{
	for (unsigned i = m->first; i <= m->last; i++)
		if (!m->answer[i].over)
			request_give_up(m, i);
	switch (m->step) {
	case PUTTING:
		put_end(m);
		break;
	case FENCING:
		enough(m) ? step_begin(m, LISTING) : op_end(m);
		break;
	case LISTING:
		enough(m) ? list_end(m) : op_end(m);
		break;
	case HEALING:
		heal_end(m);
		break;
	case FORGETTING:
		forget_end(m);
		break;
	case IDLE:
		break;
	}
}

/* ---- chance ---- */

static void op_begin(struct mount *m)
{
	unsigned name = w.used ? draw(w.used) : 0, kind = draw(10);

	if (kind < 3)
		create_begin(m);
	else if (kind < 5 && m->names[name].there)
		put_begin(m, REMOVE, name);
	else if (kind < 6 && m->names[name].there)
		put_begin(m, CHANGE, name);
	else
		read_begin(m);
}

void mount_step(struct mount *m)
{
	unsigned node = m->first + draw(nodes_of(m)), open = 0;

	if (m->step == IDLE) {
		op_begin(m);
		return;
	}
	for (unsigned i = m->first; i <= m->last; i++)
		open += !m->answer[i].over;
	if (!open || (!calm && ((m->step != HEALING && !draw(12) && enough(m)) || !draw(60))))
		step_end(m);
	else if (m->answer[node].over)
		return;
	else if (m->step == HEALING)
		heal_one(m, node);
	else if (m->link[node])
		request_run(m, node);
	else if (!draw(6))
		request_give_up(m, node);
}

/* No two of its lives have a stamp in common. */
void node_begins(unsigned node)
{
	names_init(&w.node[node], 1000, 1 + w.life[node] * 1000000ull);
}

void node_restarts(unsigned node)
{
	tell("node %u restarts\n", node);
	names_deinit(&w.node[node]);
	w.life[node]++;
	node_begins(node);
	w.restored = node;
	w.restarted++;
}

/* It ends, and begins anew with these nodes. */
void mount_anew(struct mount *m, unsigned first, unsigned last)
{
	tell("mount %u: anew, nodes %u to %u\n", number_of(m), first, last);
	while (m->step != IDLE)
		step_end(m);
	names_known_deinit(&m->known);
	*m = (struct mount){.first = first, .last = last};
	for (unsigned n = 0; n < NODES; n++)
		m->link[n] = true;
}

static void clusters_join(void)
{
	for (unsigned i = 0; i < MOUNTS; i++)
		mount_anew(&w.mount[i], 0, w.nodes - 1);
}

/*
 * The list changes to one that has more than half of it, and of which it has more than half: host
 * by host. Then a round gives the new nodes everything, before there is another change, or a node
 * restarts.
 */
static void list_changes(void)
{
	unsigned old = w.last - w.first + 1, first = draw(w.nodes),
		 last = first + draw(w.nodes - first);
	unsigned from = first > w.first ? first : w.first, to = last < w.last ? last : w.last;
	unsigned common = to < from ? 0 : to - from + 1;

	if (2 * common <= old || 2 * common <= last - first + 1)
		return;
	tell("the list: nodes %u to %u, were %u to %u\n", first, last, w.first, w.last);
	w.first = first;
	w.last = last;
	w.restored = UNRESTORED;
}

/* A mount of the old list becomes one of the new. */
static void list_goes_on(void)
{
	struct mount *m = &w.mount[draw(MOUNTS)];

	if (m->first == w.first && m->last == w.last)
		return;
	mount_anew(m, w.first, w.last);
	w.restarted++; /* a round that is under way does not count */
}

static void world_step(void)
{
	unsigned kind = draw(100);

	if (kind < 3) {
		struct mount *m = &w.mount[draw(MOUNTS)];
		unsigned node = draw(w.nodes);

		m->link[node] = draw(3);
		tell("mount %u, node %u: link %s\n", number_of(m), node,
		     m->link[node] ? "up" : "down");
	} else if (kind < 8 && w.ghosts) {
		ghost_appears();
	} else if (kind < 9 && w.restarts && w.restored == NODES && w.last - w.first > 1 &&
		   (w.often || !draw(4))) {
		node_restarts(w.first + draw(w.last - w.first + 1));
	} else if (kind < 10 && w.moves) {
		if (w.restored == NODES)
			list_changes();
		else
			list_goes_on();
	} else {
		/* One of them stands still for long now and then. */
		mount_step(&w.mount[draw(20) ? draw(MOUNTS - 1) : MOUNTS - 1]);
	}
}

void mount_finish(struct mount *m)
{
	for (unsigned n = 0; m->step != IDLE; n++) {
		if (n == 200000)
			fail("mount %u does not come to an end", (unsigned)(m - w.mount));
		mount_step(m);
	}
}

/* All links are up, and everybody reads the table a few times. What is still on its way comes in the
 * midst of that, all of it before the last time. */
void quiet(void)
{
	calm = true;
	for (unsigned i = 0; i < MOUNTS; i++)
		if (w.mount[i].first != w.first || w.mount[i].last != w.last)
			mount_anew(&w.mount[i], w.first, w.last);
	for (unsigned turn = 0; turn < 5; turn++)
		for (unsigned i = 0; i < MOUNTS; i++) {
			struct mount *m = &w.mount[i];

			for (unsigned n = 0; n < NODES; n++)
				m->link[n] = true;
			mount_finish(m);
			while (w.ghosts && (turn == 3 || draw(3)))
				ghost_appears();
			read_begin(m);
			mount_finish(m);
		}
}

/* All nodes have forgotten as far, of each table; and new names are of one table. */
static void check_tables(void)
{
	static uint8_t buf[GVM_DATA_MAX];
	struct gvm_name_list_req what = {.round = 0};
	struct gvm_name_list_rsp rsp;
	uint64_t detail;
	uint32_t bytes;

	for (unsigned n = w.first; n <= w.last; n++) {
		name_list(&w.node[n], &what, &rsp, buf, &bytes, &detail);
		for (const uint8_t *p = buf; p < buf + bytes;
		     p += GVM_NAME_ENTRY_BYTES + gvm_load_le(p + 40, 4)) {
			struct gvm_id key;

			memcpy(key.b, p, sizeof(key.b));
			for (unsigned o = w.first; gvm_name_is_horizon(&key) && o <= w.last; o++)
				if (names_horizon(&w.node[o], gvm_load_le(p + 16, 8)) !=
				    gvm_load_le(p + 24, 8))
					fail("nodes %u and %u have not forgotten as far", n, o);
		}
		for (unsigned i = 1; bytes && i < MOUNTS; i++)
			if (w.mount[i].table != w.mount[0].table)
				fail("mounts 0 and %u have not one table", i);
	}
}

void check(void)
{
	check_tables();
	for (unsigned name = 0; name < w.used; name++) {
		const struct truth *t = &w.name[name];
		bool shown = w.mount[0].names[name].there, live;
		uint64_t version = node_version(w.first, name, &live);

		for (unsigned i = 0; i < MOUNTS; i++)
			if (w.mount[i].names[name].there != shown)
				fail("mounts 0 and %u differ about name %u", i, name);
			else if (shown && w.mount[i].names[name].version < version)
				fail("mount %u has an old record of name %u", i, name);
		for (unsigned n = w.first; n <= w.last; n++)
			if ((node_version(n, name, &live) && live) != shown)
				fail("node %u has name %u%s", n, name, shown ? " not" : "");
			else if (shown && node_version(n, name, &live) != version)
				fail("nodes %u and %u differ about name %u", w.first, n, name);
		if (t->removed && shown)
			fail("name %u has come back", name);
		if (t->created && !t->remove_tried && !shown)
			fail("name %u has disappeared", name);
	}
	for (unsigned n = w.first; n <= w.last; n++)
		if (w.node[n].gone)
			fail("node %u still has %u tombstones", n, w.node[n].gone);
}

void world_end(void)
{
	for (unsigned i = 0; i < MOUNTS; i++) {
		op_end(&w.mount[i]);
		names_known_deinit(&w.mount[i].known);
	}
	for (unsigned i = 0; i < NODES; i++)
		names_deinit(&w.node[i]);
}

bool world_run(uint64_t seed)
{
	chance = seed * 0x9e3779b97f4a7c15ull + 1;
	memset(&w, 0, sizeof(w));
	calm = false;
	w.nodes = 1 + draw(NODES);
	w.restarts = !draw(2);
	w.often = !draw(2);
	w.restored = NODES;
	w.last = w.nodes - 1;
	w.apart = w.nodes > 1 && !draw(4);
	w.moves = !w.apart && w.nodes > 2 && !draw(2);
	for (unsigned i = 0; i < NODES; i++)
		node_begins(i);
	for (unsigned i = 0; i < MOUNTS; i++) {
		struct mount *m = &w.mount[i];

		m->last = w.nodes - 1;
		if (w.apart) {
			m->first = i ? 1 : 0;
			m->last = i ? w.nodes - 1 : 0;
			w.restarts = false;
		}
		for (unsigned n = 0; n < NODES; n++)
			m->link[n] = true;
	}
	if (setjmp(broken)) {
		world_end();
		return false;
	}
	for (unsigned i = 0; i < STEPS; i++) {
		if (w.apart && i == STEPS / 2)
			clusters_join();
		world_step();
	}
	quiet();
	check();
	world_end();
	return true;
}
