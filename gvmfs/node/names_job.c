// SPDX-License-Identifier: GPL-2.0-or-later
/* names_job.c - see names_job.h. */
#include "names_job.h"

#include "names_round.h"

#include <errno.h>

#define ONCE_NS	   1000000000ull
#define SAVE_TRIES 8

/*
 * Nodes vote at different times, and one that restarts after its vote has lost the record. Even if it was
 * healed since, with the records that the others had at that moment, it may lack this one. So once a majority has
 * voted, its nodes are asked again. A node that still has the record, in the same incarnation, had it when
 * the last of them voted.
 */
static void save_confirm(struct names_talk *talk, struct names_votes *votes)
{
	struct pool *pool = talk->pool;

	for (unsigned i = 0; i < talk->count; i++)
		talk->peers[i].out = !talk->peers[i].ok;
	names_talk_put(talk, NAMES_MAJORITY, pool_call_deadline(pool->opts));
	*votes = (struct names_votes){ .nodes = pool_nodes(pool) };
	for (unsigned i = 0; i < talk->count; i++) {
		const struct names_peer *peer = &talk->peers[i];

		if (!pool->again[i] && !peer->out && peer->over)
			names_votes_add_again(votes, peer->result, peer->detail, peer->same_life);
	}
}

/* One try with all nodes. 0, or the error of names_votes_result(). */
static int save_try(struct names_save_job *sj, struct pool *pool, struct names_votes *votes)
{
	struct names_talk talk;
	int r = names_talk_init(&talk, pool);

	if (r < 0)
		return r;
	talk.put = sj->put;
	talk.record = sj->record;
	talk.record_bytes = sj->record_bytes;
	names_talk_put(&talk, NAMES_MAJORITY, pool_call_deadline(pool->opts));
	*votes = (struct names_votes){ .nodes = pool_nodes(pool) };
	for (unsigned i = 0; i < talk.count; i++)
		if (!pool->again[i] && talk.peers[i].over)
			names_votes_add(votes, talk.peers[i].ok ? 0 : talk.peers[i].result,
					talk.peers[i].detail);
	r = names_votes_result(votes, sj->creates);
	/* A save of times alone is not worth a second question. */
	if (!r && names_votes_count_twice(votes) && !sj->gives_way) {
		save_confirm(&talk, votes);
		r = names_votes_result(votes, sj->creates);
	}
	if (talk.clock > sj->clock)
		sj->clock = talk.clock;
	names_talk_deinit(&talk);
	return r;
}

static int save_tries(struct names_save_job *sj, struct pool *pool, struct names_votes *votes)
{
	int r = -EBUSY;

	for (unsigned try = 0; try < SAVE_TRIES; try++) {
		r = save_try(sj, pool, votes);
		if (sj->gives_way)
			break;
		/* Another host changed the record meanwhile: the later save wins. */
		if (r == -ESTALE && votes->newest >= sj->put.version &&
		    votes->newest < GVM_NAME_VERSION_MAX)
			sj->put.version = votes->newest + 1;
		else if (r == -EKEYREVOKED)
			names_round(pool, votes->newest);
		else if (r != -ESTALE && r != -ERESTART)
			break;
	}
	if (r == -EKEYREVOKED || r == -ERESTART || (r == -ESTALE && !sj->gives_way))
		r = -EBUSY;
	return r;
}

/* A name that is born too late is made again under another key. A node may have taken it under this key, and it would
 * show twice: so this key is removed first. */
static int save_take_back(struct names_save_job *sj, struct pool *pool)
{
	struct names_votes votes;

	sj->creates = false;
	sj->record_bytes = 0;
	sj->put.version++;
	return save_tries(sj, pool, &votes) ? -EBUSY : -EAGAIN;
}

void names_job_save(struct job *job, struct pool *pool)
{
	struct names_save_job *sj = (struct names_save_job *)job;
	struct names_votes votes;

	job->result = save_tries(sj, pool, &votes);
	if (job->result == -EAGAIN && names_votes_may_have(&votes))
		job->result = save_take_back(sj, pool);
}

/* Reads what has changed since the last reading, and settles what counts now. -EAGAIN: read everything anew. */
static int load_read(struct names_load_job *lj, struct names_talk *talk, uint64_t deadline_ns)
{
	struct pool *pool = talk->pool;

	if (!names_talk_changes(talk, lj->known, NAMES_MAJORITY, deadline_ns))
		return -ETIMEDOUT;
	lj->all_answered = true;
	for (unsigned i = 0; i < talk->count; i++)
		lj->all_answered &= talk->peers[i].ok || pool->again[i];
	return names_known_take(lj->known, talk->views, &talk->all);
}

/* Gives each node what it lacks. If none lacked anything after the last reading, that is at most what has changed. */
static void load_heal(struct names_load_job *lj, struct names_talk *talk)
{
	struct names_known *known = lj->known;
	const struct names_list *with = known->healed ? names_known_news(known) : &known->all;

	known->healed = true;
	for (unsigned i = 0; i < talk->count; i++)
		if (talk->peers[i].ok)
			known->healed &= names_talk_heal(talk, i, with, &known->views[i]);
}

static int load_once(struct names_load_job *lj, struct pool *pool, uint64_t deadline_ns)
{
	struct names_talk talk;
	int r = names_talk_init(&talk, pool);

	if (r < 0)
		return r;
	if (!lj->known->views)
		r = names_known_init(lj->known, talk.count);
	if (!r)
		r = load_read(lj, &talk, deadline_ns);
	if (!r)
		load_heal(lj, &talk);
	if (talk.clock > lj->clock)
		lj->clock = talk.clock;
	names_talk_deinit(&talk);
	return r;
}

void names_job_load(struct job *job, struct pool *pool)
{
	struct names_load_job *lj = (struct names_load_job *)job;
	const struct names_known *known = lj->known;
	uint64_t deadline_ns = lj->once ? gvm_now_ns() + ONCE_NS : pool_deadline(pool->opts);

	job->result = load_once(lj, pool, deadline_ns);
	if (job->result == -EAGAIN)
		job->result = load_once(lj, pool, deadline_ns);
	if (job->result < 0)
		return;
	lj->table = names_list_table(&known->all, known->views, known->count, lj->all_answered);
	names_due_find(&lj->due, &known->all, known->views, known->count);
}

void names_job_round(struct job *job, struct pool *pool)
{
	job->result = names_round(pool, ((struct names_round_job *)job)->upto);
}
