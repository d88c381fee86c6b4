#include "routed/server_private.h"

#include "lib/dn.h"
#include "routed/encap.h"
#include "routed/explain.h"
#include "routed/home.h"

/* What lookup_key() cut out of the local part. */
static void keep_extension(const struct lookup_key *k, struct gal_request *r)
{
	size_t n = k->full.n - k->address.n;

	r->extension_n = n <= sizeof(r->extension) ? n : 0;
	memcpy(r->extension, k->full.p + k->domain_at - 1, r->extension_n);
}

/* true: the address encapsulates the DN of somebody in this organisation, for a domain of ours. */
static bool has_dn(const struct server *s, const struct lookup_key *k,
		   const struct lookup_answer *answer, struct arena *a, struct span *dn)
{
	size_t at = k->full.n - (k->address.n - k->domain_at) - 1;
	struct span name, root;

	return encap_is(k->full) && answer->verdict == LOOKUP_LOCAL &&
	       encap_read(a, span_head(k->full, at), dn) == RC_OK &&
	       dn_normalize_text(a, *dn, &name) == RC_OK &&
	       dn_normalize_text(a, span_of(s->settings->organisation), &root) == RC_OK &&
	       dn_is_within(name, root);
}

static int ask_directory(struct server *s, const struct lookup_key *k,
			 const struct lookup_answer *answer, struct gal_request *r,
			 struct buf *reply)
{
	struct gal_question q = {.address = answer->address};
	struct arena a;
	int rc;

	arena_init(&a);
	if (has_dn(s, k, answer, &a, &q.dn))
		q.address = k->full;
	else if (answer->verdict == LOOKUP_SHARED)
		keep_extension(k, r);
	else
		q.address = span_make(NULL, 0);
	if (q.address.n != 0) {
		rc = gal_lookup(s->gal, &q, r, reply);
	} else {
		buf_puts(reply, "NOTFOUND ");
		rc = RC_OK;
	}
	arena_fini(&a);
	return rc;
}

int server_on_recipient(void *arg, struct span key, struct gal_request *r, struct buf *reply)
{
	struct server *s = arg;
	struct lookup_answer answer;
	struct lookup_key k;
	int rc = lookup_key(key, &s->scratch, &k);

	if (rc == RC_INVALID || rc == RC_TOOBIG) {
		buf_puts(reply, "PERM key is no mail address");
		return RC_OK;
	}
	if (rc == RC_OK && k.kind != LOOKUP_KEY_ADDRESS) {
		buf_puts(reply, "NOTFOUND ");
		return RC_OK;
	}
	if (rc == RC_OK && s->table == NULL) {
		buf_puts(reply, "TEMP no route table yet");
		return RC_OK;
	}
	if (rc == RC_OK)
		rc = lookup_route(s->table, &k, TABLE_USER, &answer);
	return rc == RC_OK ? ask_directory(s, &k, &answer, r, reply) : rc;
}

/* RC_INVALID: there is somebody, but no address to give; the mail waits until there is one. */
static int put_home(struct server *s, const struct gal_finding *found, struct buf *reply)
{
	const struct home_recipient recipient = {found->dn, found->values, found->nvalues};
	char text[LOG_TEXT_BYTES];
	enum home home;
	int rc = home_address(s->model, span_of(s->settings->site),
			      span_of(s->settings->organisation), &recipient, &home, reply);

	if (rc != RC_OK || home == HOME_OTHER)
		return rc;
	if (home == HOME_HERE && !found->by_dn)
		return RC_NOTFOUND;
	if (home == HOME_HERE)
		rc = home_mailbox(s->table, &recipient, reply);
	if (home == HOME_HERE && rc != RC_NOTFOUND)
		return rc;
	log_warn(NULL, "gal.no-address", "dn=\"%s\" the recipient has no address at %s",
		 log_text(found->dn, text),
		 home == HOME_HERE ? "a domain of this site" : "a domain of its site alone");
	return RC_INVALID;
}

/* What the directory found, turned into a reply. */
int server_on_resolve(void *arg, const struct gal_finding *found, struct buf *reply)
{
	struct server *s = arg;
	int rc;

	if (!s->model_loaded)
		return RC_BUSY;
	rc = s->computing ? RC_OK : model_commit(s->model);
	if (rc != RC_OK)
		return rc;
	buf_puts(reply, "OK ");
	return put_home(s, found, reply);
}

/* --- control requests --- */

long long server_age_s(int64_t since_wall_us)
{
	return (clock_system.wall_us(&clock_system) - since_wall_us) / 1000000;
}

static void put_status(struct server *s, struct buf *out)
{
	struct sub_status sub;
	char text[LOG_TEXT_BYTES];

	sub_get_status(s->sub, &sub);
	buf_printf(out, "site=%s\n", s->settings->site);
	buf_printf(out, "table=%s\n",
		   s->table == NULL ? "none"
		   : s->from_disk   ? "disk"
				    : "directory");
	buf_printf(out, "generation=%lu\n", s->generation);
	if (s->table != NULL)
		buf_printf(out, "age_s=%lld\nrows=%u\nroutes=%u\n", server_age_s(s->table_wall_us),
			   s->table->nrows, table_routes(s->table));
	buf_printf(out,
		   "ignored=%zu\ncompute_ms=%llu\ncompute_max_ms=%llu\n"
		   "untouched_changes=%lu\n",
		   s->nignored, (unsigned long long)s->computed_ms,
		   (unsigned long long)s->computed_max_ms, s->skipped);
	buf_printf(out, "directory=%s\nentries=%zu\nsessions=%lu\nfailures=%lu\n",
		   sub_state_text(sub.state), sub.entries, sub.sessions, sub.failures);
	buf_printf(out, "directory_current=%d\n", sub.state == SUB_CURRENT);
	if (sub.current_at_ms != 0)
		buf_printf(out, "directory_age_s=%llu\n",
			   (unsigned long long)((server_now_ms() - sub.current_at_ms) / 1000));
	if (sub.error[0] != '\0')
		buf_printf(out, "directory_error=%s\n", log_text(span_of(sub.error), text));
}

/* Rows of sites, for each class. */
static void put_routes(const struct table *t, struct buf *out)
{
	unsigned modes[TABLE_CLASSES][TABLE_LOCAL_SPACE + 1] = {0}, reasons[TABLE_REASONS] = {0};
	uint32_t i;

	for (i = 0; t != NULL && i < t->nrows; i++) {
		const struct table_row *row = &t->rows[i];

		if (!span_eq(t->texts[row->type], SPAN_LIT("EX")))
			continue;
		modes[row->cls][row->mode]++;
		if (row->cls == TABLE_USER)
			reasons[row->reason]++;
	}
	buf_printf(out, "routes_direct=%u\nroutes_connected=%u\nroutes_none=%u\nroutes_held=%u\n",
		   modes[TABLE_USER][TABLE_DIRECT], modes[TABLE_USER][TABLE_CONNECTED],
		   modes[TABLE_USER][TABLE_NO_ROUTE],
		   reasons[TABLE_DNS_UNCONFIRMED] + reasons[TABLE_DNS_UNHEALTHY] +
			   reasons[TABLE_DAMPENED]);
	buf_printf(out, "routes_system_connected=%u\nroutes_system_none=%u\n",
		   modes[TABLE_SYSTEM][TABLE_CONNECTED], modes[TABLE_SYSTEM][TABLE_NO_ROUTE]);
}

static void put_counters(struct server *s, struct buf *out)
{
	struct publish_status p = {0};
	struct serve_stats v;
	struct gal_stats g;

	serve_get_stats(s->serve, &v);
	gal_get_stats(s->gal, &g);
	buf_printf(out,
		   "connections=%u\nrequests=%lu\nok=%lu\nnotfound=%lu\ntemp=%lu\nperm=%lu\n"
		   "broken=%lu\n",
		   v.connections, v.requests, v.ok, v.notfound, v.temp, v.perm, v.broken);
	latency_write(&v.latency, "lookup_us", out);
	buf_printf(out,
		   "recipients_asked=%lu\nrecipients_cached=%u\nrecipients_searched=%lu\n"
		   "recipients_doubtful=%lu\n",
		   g.asked, g.cached, g.searched, g.doubtful);
	if (s->publish == NULL)
		return;
	publish_get_status(s->publish, &p);
	buf_printf(out, "published=%lu\npublish_failures=%lu\n", p.generation, p.failures);
	if (p.error[0] != '\0')
		buf_printf(out, "publish_error=%s\n", p.error);
}

/* The objects that were left out, a line each. */
static void put_ignored(struct server *s, struct buf *out)
{
	struct model_ignored *list = NULL;
	struct arena a;
	size_t n = 0;
	size_t i;

	arena_init(&a);
	if (s->model_loaded && model_ignored(s->model, &a, &list, &n) != RC_OK)
		buf_puts(out, "error: out of memory\n");
	for (i = 0; i < n; i++) {
		buf_puts(out, "ignored_object=");
		model_ignored_write(&list[i], out);
		buf_puts(out, "\n");
	}
	arena_fini(&a);
}

/* Status lines, an empty line, then the table in its saved form. */
static void put_table(struct server *s, struct buf *out)
{
	if (s->table == NULL) {
		buf_puts(out, "error: there is no route table yet\n");
		return;
	}
	put_status(s, out);
	put_ignored(s, out);
	buf_puts(out, "\n");
	table_write(s->table, out);
}

/* "explain user|system RECIPIENT [SENDER] text|json" */
static void explain(struct server *s, struct span args, struct buf *out)
{
	struct explain_request r = {
		.cls = TABLE_USER, .health = s->health, .now_ms = server_now_ms()};
	const struct model *m = NULL;
	struct span words[4] = {0};
	unsigned n = 0;

	while (n < 4 && args.n != 0)
		(void)span_cut(&args, ' ', &words[n++]);
	if (n < 3) {
		buf_puts(out, "error: explain needs class, recipient and form\n");
		return;
	}
	if (span_eq(words[0], SPAN_LIT("system")))
		r.cls = TABLE_SYSTEM;
	r.recipient = words[1];
	r.json = span_eq(words[n - 1], SPAN_LIT("json"));
	if (n == 4)
		r.sender = words[2];
	if (s->model_loaded && (s->computing || model_commit(s->model) == RC_OK))
		m = s->model;
	explain_write(s->table, m, &r, out);
}

void server_on_control(void *arg, struct span line, struct buf *out)
{
	struct server *s = arg;
	struct span rest = line;
	struct span word;

	(void)span_cut(&rest, ' ', &word);
	if (span_eq(word, SPAN_LIT("status"))) {
		put_status(s, out);
		server_put_saved(s, out);
		put_routes(s->table, out);
		server_put_health(s, out);
		put_counters(s, out);
		put_ignored(s, out);
	} else if (span_eq(word, SPAN_LIT("table"))) {
		put_table(s, out);
	} else if (span_eq(word, SPAN_LIT("explain"))) {
		explain(s, rest, out);
	} else if (span_eq(word, SPAN_LIT("resync"))) {
		sub_resync(s->sub);
		buf_puts(out, "ok: everything is loaded again from the directory\n");
	} else if (span_eq(word, SPAN_LIT("handover"))) {
		server_hand_over(s, out);
	} else if (span_eq(word, SPAN_LIT("recalc"))) {
		server_cause(s, "routectl recalc");
		server_recompute_now(s);
		buf_puts(out, s->model_loaded ? "ok: the routes are computed again\n"
					      : "error: the directory has not been read yet\n");
	} else if (span_eq(word, SPAN_LIT("accept"))) {
		s->accept = true;
		server_cause(s, "routectl accept");
		server_recompute_now(s);
		buf_puts(out, "ok: the next table is taken whatever it holds\n");
	} else {
		buf_puts(out, "error: unknown request\n");
	}
}
