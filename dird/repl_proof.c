/*
 * What can be proven of other sites' contexts, and what can not: refused ones, and homes of which
 * nothing new is heard although links are up. Own heads are signed again with each heartbeat, so
 * that everybody can tell.
 */
#include "dird/repl_int.h"

#include "dird/heads.h"
#include "dird/store_digest.h"
#include "dird/sync.h"
#include "lib/log.h"

#include <stdio.h>

/* --- refused contexts --- */

static struct repl_refused *find_refused(struct repl_figures *f, const struct uuid *nc)
{
	unsigned i;

	for (i = 0; i < f->nrefused; i++) {
		if (uuid_eq(&f->refused[i].nc, nc))
			return &f->refused[i];
	}
	return NULL;
}

/* Under the mutex. True: that is news. */
static bool note_refused(struct repl_figures *f, const struct uuid *nc, const char *why)
{
	struct repl_refused *r = find_refused(f, nc);
	bool is_new = r == NULL || strcmp(r->why, why) != 0;

	if (r == NULL && f->nrefused < REPL_MAX_REFUSED) {
		r = &f->refused[f->nrefused++];
		r->nc = *nc;
	}
	if (r != NULL)
		snprintf(r->why, sizeof(r->why), "%s", why);
	return is_new;
}

static bool forget_refused(struct repl_figures *f, const struct uuid *nc)
{
	struct repl_refused *r = find_refused(f, nc);

	if (r != NULL)
		*r = f->refused[--f->nrefused];
	return r != NULL;
}

void repl_note_proof(struct repl_peer *p, const struct uuid *nc, bool is_proven, const char *why)
{
	struct log_ctx lc = {.site = p->partner.name};
	char context[UUID_TEXT_BYTES];
	bool is_news = false;

	uuid_write(nc, context);
	pthread_mutex_lock(&p->repl->mutex);
	if (why != NULL)
		is_news = note_refused(&p->figures, nc, why);
	else if (is_proven)
		is_news = forget_refused(&p->figures, nc);
	pthread_mutex_unlock(&p->repl->mutex);
	if (is_news && why != NULL)
		log_error(&lc, "repl.unproven",
			  "context=%s reason=\"%s\" action=\"nothing of it is taken from this "
			  "partner until it can be proven\"",
			  context, why);
	else if (is_news)
		log_info(&lc, "repl.proven", "context=%s", context);
}

const char *repl_refused_why(const struct repl_peer *p, const struct uuid *nc)
{
	const struct repl_refused *r =
		find_refused((struct repl_figures *)(uintptr_t)&p->figures, nc);

	return r != NULL ? r->why : "";
}

/* --- beats --- */

static uint64_t stale_ms(const struct repl *r)
{
	return (uint64_t)REPL_STALE_HEARTBEATS * r->server->config.heartbeat_ms;
}

static bool has_live_link(const struct repl *r)
{
	const struct repl_peer *p;

	for (p = r->peers; p != NULL; p = p->next) {
		if (p->link.state == REPL_PERSISTING)
			return true;
	}
	return false;
}

bool repl_is_stale(struct repl *r, struct store_txn *t, const struct store_nc *nc)
{
	struct heads_news news;
	struct span head;

	if (nc->is_own || r->server->heads == NULL)
		return false;
	heads_news(r->server->heads, &nc->position.nc, &news);
	return news.age_ms > stale_ms(r) &&
	       (news.is_known || store_head(t, &nc->position.nc, &head) == RC_OK);
}

static void tell_stale(struct repl *r, const struct store_nc *nc, bool is_stale)
{
	char context[UUID_TEXT_BYTES];
	struct heads_news news;

	if (!heads_set_stale(r->server->heads, &nc->position.nc, is_stale))
		return;
	uuid_write(&nc->position.nc, context);
	heads_news(r->server->heads, &nc->position.nc, &news);
	if (is_stale)
		log_error(NULL, "repl.stale",
			  "context=%s seconds=%llu reason=\"nothing new is heard of the site that "
			  "writes it although links are up: it is down or cut off, or what it "
			  "says is withheld\"",
			  context, (unsigned long long)(news.age_ms / 1000));
	else
		log_info(NULL, "repl.fresh", "context=%s", context);
}

static void look_for_stale(struct repl *r)
{
	uint32_t number = 0;
	struct store_nc nc;
	struct store_txn *t;

	if (!has_live_link(r) || store_read_begin(r->server->store, &t) != RC_OK)
		return;
	while (store_nc_next(t, &number, &nc) == RC_OK)
		tell_stale(r, &nc, repl_is_stale(r, t, &nc));
	store_read_end(&t);
}

uint64_t repl_beat_due(const struct repl *r)
{
	return r->server->heads != NULL ? r->beat_ms : UINT64_MAX;
}

bool repl_beat_tick(struct repl *r)
{
	uint64_t now = r->server->clock->mono_ms(r->server->clock);

	if (now < repl_beat_due(r))
		return false;
	r->beat_ms = now + r->server->config.heartbeat_ms;
	heads_beat(r->server->heads);
	sync_wake_all(r->server);
	look_for_stale(r);
	return true;
}
