/* Links, connections, and what goes wrong with them. */
#include "tests/sim/conn.h"

/* --- links --- */

void net_add_link(struct site *from, struct site *to)
{
	struct link *l = &w.links[w.nlinks];

	need(w.nlinks < sizeof(w.links) / sizeof(w.links[0]));
	w.nlinks++;
	l->from = from;
	l->to = to;
	l->peer.repl = &to->repl;
	l->peer.partner.is_enabled = true;
	l->peer.partner.site = w.contexts[from->number].id;
	l->peer.next = to->repl.peers;
	to->repl.peers = &l->peer;
	repl_link_init(&l->peer.link, HEARTBEAT_MS);
	repl_link_enable(&l->peer.link, true, w.now_ms);
}

void net_change_link(struct link *l)
{
	net_drop(&l->peer);
	repl_link_enable(&l->peer.link, false, 0);
	repl_link_enable(&l->peer.link, true, w.now_ms);
	repl_recover_links_changed(&l->to->repl);
}

void net_remove_link(struct link *l)
{
	struct repl_peer **at = &l->to->repl.peers;

	net_drop(&l->peer);
	while (*at != &l->peer)
		at = &(*at)->next;
	*at = l->peer.next;
	l->is_removed = true;
	repl_recover_links_changed(&l->to->repl);
}

static void dial(struct link *l)
{
	struct conn *c = mem_zalloc(1, sizeof(*c)), **end = &w.conns;

	need(c != NULL);
	while (*end != NULL)
		end = &(*end)->next;
	*end = c;
	c->from = l->from;
	c->to = l->to;
	c->link = l;
	l->conn = c;
	l->peer.conn = (struct repl_conn *)c;
	c->turn_ms = c->provider_end_ms = c->probe_ms = UINT64_MAX;
	c->stage_ms = net_later(100);
	buf_init(&c->cookie, SIZE_MAX);
	buf_init(&c->head, HEAD_MAX_BYTES);
	repl_batch_init(&c->batch);
	repl_held_init(&c->held);
}

/* A probe is answered, or the partner knows no such connection, or nothing comes back. */
static void answer_probe(struct conn *c)
{
	c->probe_ms = UINT64_MAX;
	if (c->is_dead || !net_reach(c->from, c->to))
		return;
	if (!c->from->is_up || !c->is_served)
		net_lost(c, "reset by the partner");
	else
		repl_link_heard(&c->link->peer.link, w.now_ms);
}

static void run_link(struct link *l)
{
	if (!l->to->is_up || l->is_removed)
		return;
	switch (repl_link_tick(&l->peer.link, w.now_ms, l->conn != NULL && l->conn->is_paused)) {
	case REPL_DO_NOTHING:
		break;
	case REPL_DO_CONNECT:
		dial(l);
		break;
	case REPL_DO_PROBE:
		l->conn->probe_ms = net_later(100);
		break;
	case REPL_DO_DROP:
		if (plant == PLANT_PROBE_IGNORED)
			repl_link_heard(&l->peer.link, w.now_ms);
		else
			net_lost(l->conn, "silent");
		break;
	case REPL_DO_END: /* links have no hours here */
		break;
	}
}

/* --- connections --- */

static void run_stage(struct conn *c)
{
	if (c->link == NULL || c->stage == STAGE_OPEN || c->stage_ms > w.now_ms ||
	    !net_reach(c->from, c->to))
		return;
	if (!c->from->is_up) {
		net_fail(c, "refused");
	} else if (w.is_plain && !remove_may_talk(c->from, c->to)) {
		net_fail(c, "bind refused");
	} else if (c->stage == STAGE_DIALING) {
		repl_link_heard(&c->link->peer.link, w.now_ms);
		net_begin_session(c);
	} else {
		c->stage = STAGE_OPEN;
		net_serve(c);
	}
}

static void free_conn(struct conn *c)
{
	net_drop_frames(c);
	if (c->has_session)
		repl_session_fini(&c->session);
	repl_batch_fini(&c->batch);
	repl_held_fini(&c->held);
	if (c->written != NULL)
		repl_ready_free(&c->written);
	buf_fini(&c->cookie);
	buf_fini(&c->head);
	mem_free(c);
}

static void sweep(void)
{
	struct conn **at = &w.conns, *c;

	while ((c = *at) != NULL) {
		if (c->link != NULL || c->is_writing || c->is_served) {
			at = &c->next;
			continue;
		}
		*at = c->next;
		free_conn(c);
	}
}

void net_run(void)
{
	struct conn *c;
	unsigned i;

	for (i = 0; i < w.nlinks; i++)
		run_link(&w.links[i]);
	for (c = w.conns; c != NULL; c = c->next) {
		run_stage(c);
		net_run_provider(c);
		net_read_frames(c);
		net_run_writer(c);
		if (c->link != NULL && c->probe_ms <= w.now_ms)
			answer_probe(c);
	}
	for (i = 0; i < w.nsites; i++) {
		recover_run(&w.sites[i]);
		proof_run(&w.sites[i]);
		if (w.sites[i].is_up && w.sites[i].wake_ms <= w.now_ms)
			net_wake(&w.sites[i]);
	}
	sweep();
}

/* --- what goes wrong --- */

static void hang(struct conn *c)
{
	c->is_dead = true;
	c->provider_end_ms = net_later(NET_LINGER_MS);
}

void net_break_one(void)
{
	unsigned n = 0, at;
	struct conn *c;

	for (c = w.conns; c != NULL; c = c->next)
		n += c->link != NULL;
	if (n == 0)
		return;
	at = draw(n);
	for (c = w.conns; c != NULL; c = c->next) {
		if (c->link != NULL && at-- == 0)
			break;
	}
	if (chance(4)) {
		trace("link %u<-%u hangs", c->to->number, c->from->number);
		hang(c);
	} else {
		net_lost(c, "broken");
	}
}

void net_site_down(struct site *s)
{
	struct conn *c;
	unsigned i;

	for (c = w.conns; c != NULL; c = c->next) {
		if (c->to == s)
			net_consumer_down(c);
		if (c->from != s || !c->is_served)
			continue;
		net_end_provider(c);
		if (chance(3))
			c->is_dead = true;
		else
			net_put_frame(c, SPAN_LIT(""));
	}
	for (i = 0; i < w.nlinks; i++) { /* nothing is remembered */
		struct link *l = &w.links[i];

		if (l->to != s)
			continue;
		mem_free(l->peer.figures.partner_at);
		memset(&l->peer.figures, 0, sizeof(l->peer.figures));
		repl_link_init(&l->peer.link, HEARTBEAT_MS);
		repl_link_enable(&l->peer.link, true, w.now_ms);
	}
	sweep();
}

void net_cut(unsigned a, unsigned b, bool cut)
{
	w.is_cut[a][b] = w.is_cut[b][a] = cut;
}

void net_free(void)
{
	struct conn *c;
	unsigned i;

	for (c = w.conns; c != NULL; c = c->next) {
		net_end_provider(c);
		c->link = NULL;
		c->is_writing = false;
	}
	sweep();
	for (i = 0; i < w.nlinks; i++)
		mem_free(w.links[i].peer.figures.partner_at);
}
