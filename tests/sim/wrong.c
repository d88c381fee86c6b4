/* What goes wrong with sites and between them: crashes, splits, disks, clocks, restores. */
#include "tests/sim/sim.h"

static void crash(struct site *s)
{
	if (!s->is_up)
		return;
	s->server.was_stopped = !s->is_restored && !s->power_is_lost && chance(3);
	trace("site %u %s", s->number, s->server.was_stopped ? "stops" : "crashes");
	net_site_down(s);
	site_close(s);
	plant_lose_sync(s);
	disk_after_crash(s);
	s->up_ms = w.now_ms + draw(chance(3) ? 60000 : 3000);
	w.crashes++;
}

static void restart(struct site *s)
{
	unsigned i;

	if (disk_sync_fails(s)) {
		trace("site %u can not start", s->number);
		s->up_ms = w.now_ms + draw(3000);
		return;
	}
	trace("site %u starts%s", s->number, s->is_restored ? " with an older database" : "");
	site_open(s);
	if (s->is_restored)
		history_restored(s);
	s->is_restored = false;
	s->wall_offset_us = chance(3) ? ((int64_t)draw(200000) - 100000) * 1000000 : 0;
	for (i = 0; s->power_is_lost && i < w.ncontexts; i++) {
		if (w.contexts[i].home ==
		    s) /* nobody was told of the last change, but it is there */
			history_note(&w.contexts[i], NULL);
	}
	s->power_is_lost = false;
	history_positions(s);
	history_check_database(s);
	for (i = 0; i < w.ncontexts; i++)
		history_check(s, &w.contexts[i]);
	remove_check(s);
	poison_retry(s);
	recover_start(s);
}

void wrong_restart_due(bool all)
{
	unsigned i;

	for (i = 0; i < w.nsites; i++) {
		struct site *s = &w.sites[i];

		if (s->is_member && !s->is_up && (all || s->up_ms <= w.now_ms))
			restart(s);
	}
}

void wrong_crash_without_power(void)
{
	unsigned i;

	for (i = 0; i < w.nsites; i++) {
		if (w.sites[i].power_is_lost)
			crash(&w.sites[i]);
	}
}

/* Up to ten years, either way; the monotonic clock goes on as ever (R18). */
static void clock_jumps(struct site *s)
{
	s->wall_offset_us = ((int64_t)draw(20 * 365) - 10 * 365) * 86400 * 1000000;
	trace("site %u: the clock jumps", s->number);
	w.jumps++;
}

void wrong_partition(bool heal)
{
	bool side[SIM_SITES];
	unsigned i, j;

	for (i = 0; i < w.nsites; i++)
		side[i] = !heal && chance(2);
	for (i = 0; i < w.nsites; i++) {
		for (j = 0; j < i; j++)
			net_cut(i, j, side[i] != side[j]);
	}
	trace(heal ? "the network is whole" : "the network is split");
	w.partitions += !heal;
}

/* Somebody brings an older state back. */
static void restore(struct site *s)
{
	if (s == NULL || !s->is_up || s->backup.n == 0 || w.restores == w.most_restores)
		return;
	s->is_restored = true;
	crash(s);
	w.restores++;
}

static void disk_fails(struct site *s, bool hard)
{
	uint64_t until = s->is_member ? w.now_ms + draw(w.is_plain ? 5000 : 500) : 0;

	if (hard)
		s->eio_ms = until;
	else
		s->full_ms = until;
}

void wrong_something(void)
{
	struct site *s = &w.sites[draw(w.nsites)];
	struct context *c = &w.contexts[draw(w.ncontexts)];
	unsigned what = draw(w.backed_up != NULL ? 26 : 24);

	if (w.only_moves)
		what = 0;
	if (what < 10)
		net_break_one();
	else if (what < 13)
		crash(s);
	else if (what < 15)
		wrong_partition(false);
	else if (what < 17)
		wrong_partition(true);
	else if (what < 19)
		disk_fails(s, what == 18 && w.is_plain);
	else if (what < 21)
		clock_jumps(s);
	else if (what < 23)
		world_join_one();
	else if (what >= 24)
		restore(w.backed_up);
	else if (c->home != NULL && c->home->is_up && c->home->is_released &&
		 !c->home->power_is_lost && !c->is_adrift)
		site_begin_life(c);
}

void wrong_back_up(struct site *s)
{
	if (!s->is_up || !s->is_member || s->power_is_lost)
		return;
	disk_backup(s);
	trace("site %u is backed up", s->number);
}
