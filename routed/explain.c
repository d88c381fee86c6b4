#include "routed/explain.h"

#include "routed/alternates.h"
#include "routed/netstring.h"

struct step {
	struct span name;                        /* "site/connector" */
	const struct model_connector *connector; /* NULL: not in the model */
	const struct model_site *site;
};

struct view {
	const struct table *t;
	const struct model *m;
	const struct explain_request *r;
	struct lookup_key key;
	struct lookup_answer answer;
	bool sender_is_system, recipient_is_system;
	struct step *steps;
	unsigned nsteps;
	struct buf transport;
	struct alternates alternates;
	struct span next_site;              /* that gets the mail; n = 0: none */
	const struct health_domain *health; /* of the site's domain; NULL: nothing watches it */
};

static const char *const reasons[] = {
	[TABLE_OK] =
		"every connector on the path is an Internet Mail Service (SMTP), the first one has "
		"onlySystemMessagesUseCDs TRUE, and the target site takes SMTP mail at a domain "
		"of its own",
	[TABLE_IS_SYSTEM] = "system messages always keep to the connected sites",
	[TABLE_IS_SPACE] = "an address space of a connector covers the address",
	[TABLE_NO_PATH] = "no chain of connected domains leads to the site",
	[TABLE_FIRST_HOP_NOT_IMS] =
		"the first connector on the cheapest path is no Internet Mail Service",
	[TABLE_FLAG_OFF] = "onlySystemMessagesUseCDs is not TRUE on the first connector",
	[TABLE_SMART_HOST] = "the first connector forwards all its mail to a smart host",
	[TABLE_MIXED_PATH] = "a later connector on the path is not SMTP",
	[TABLE_SITE_NOT_LIVE] = "the target site has no object in the directory",
	[TABLE_NO_INBOUND_IMS] =
		"the target site has no enabled Internet Mail Service that takes mail in",
	[TABLE_NO_SITE_DOMAIN] = "the target site has no siteSmtpDomain",
	[TABLE_SHARED_DOMAIN] = "another site has the same siteSmtpDomain",
	[TABLE_DNS_UNCONFIRMED] =
		"two checks have yet to find the site's domain fit for mail in DNS",
	[TABLE_DNS_UNHEALTHY] = "in DNS the site's domain is not fit for mail",
	[TABLE_DAMPENED] = "the direct route has come and gone too often in a short time",
};

const char *explain_reason(enum table_reason reason)
{
	size_t i = (size_t)reason;

	return i < sizeof(reasons) / sizeof(reasons[0]) && reasons[i] != NULL ? reasons[i] : "";
}

static const char *kind_text(enum model_kind kind)
{
	switch (kind) {
	case MODEL_IMS:
		return "Internet Mail Service";
	case MODEL_SITE_LINK:
		return "site connector";
	case MODEL_X400:
		return "X.400 connector";
	case MODEL_GATEWAY:
		return "gateway connector";
	}
	return "";
}

/* The flag of an Internet Mail Service and where it comes from. */
static const char *flag_source(const struct step *s, bool *value)
{
	enum model_flag own = s->connector->flag;
	enum model_flag site = s->site != NULL ? s->site->flag : MODEL_FLAG_ABSENT;

	*value = own == MODEL_FLAG_TRUE || (own == MODEL_FLAG_ABSENT && site == MODEL_FLAG_TRUE);
	if (own != MODEL_FLAG_ABSENT)
		return "connector";
	return site != MODEL_FLAG_ABSENT ? "site" : "default";
}

/* --- gathering --- */

static void find_records(const struct model *m, struct step *s)
{
	uint32_t i;

	for (i = 0; m != NULL && i < m->nconnectors; i++) {
		const struct model_connector *c = &m->connectors[i];
		const struct model_site *site;

		if (c->site == MODEL_NONE)
			continue;
		site = &m->sites[c->site];
		if (s->name.n != site->name.n + 1 + c->name.n ||
		    !span_eq_nocase(span_head(s->name, site->name.n), site->name) ||
		    !span_eq(span_from(s->name, site->name.n + 1), c->name))
			continue;
		s->connector = c;
		s->site = site;
		return;
	}
}

static int gather_path(struct view *v, struct arena *a, const struct table_row *row)
{
	uint32_t at;
	unsigned i;

	for (at = row->step; at != TABLE_NONE; at = v->t->steps[at].parent)
		v->nsteps++;
	v->steps = arena_zalloc(a, v->nsteps, sizeof(*v->steps));
	if (v->steps == NULL)
		return RC_NOMEM;
	i = v->nsteps;
	for (at = row->step; at != TABLE_NONE; at = v->t->steps[at].parent) {
		v->steps[--i].name = table_text(v->t, v->t->steps[at].name);
		find_records(v->m, &v->steps[i]);
	}
	return RC_OK;
}

static bool is_system(const struct table *t, struct span address)
{
	struct lookup_key key;
	struct buf scratch;
	bool system = false;

	buf_init(&scratch, 4 * NETSTRING_REQUEST_MAX_BYTES);
	if (lookup_key(address, &scratch, &key) == RC_OK && key.kind == LOOKUP_KEY_ADDRESS)
		system = table_classify(t, key.full) == TABLE_SYSTEM ||
			 table_classify(t, key.address) == TABLE_SYSTEM;
	buf_fini(&scratch);
	return system;
}

static int gather(struct view *v, struct arena *a)
{
	enum table_class cls = v->r->cls;
	int rc;

	v->recipient_is_system = is_system(v->t, v->r->recipient);
	v->sender_is_system = v->r->sender.n != 0 && is_system(v->t, v->r->sender);
	if (v->sender_is_system)
		cls = TABLE_SYSTEM;
	rc = lookup_route(v->t, &v->key, cls, &v->answer);
	if (rc == RC_OK && v->answer.result.row != NULL)
		rc = gather_path(v, a, v->answer.result.row);
	if (rc == RC_OK && v->answer.result.row != NULL && v->m != NULL)
		rc = alternates_find(v->m, v->t, &v->answer.result, &v->alternates);
	if (rc == RC_OK && v->r->health != NULL)
		v->health = health_find(v->r->health, v->answer.domain);
	if (rc == RC_OK && v->answer.verdict == LOOKUP_ROUTE)
		rc = lookup_next_site(v->t, &v->answer.result, &v->next_site);
	if (rc == RC_OK && v->answer.verdict == LOOKUP_ROUTE)
		table_transport(v->t, &v->answer.result, &v->transport);
	return rc == RC_OK ? buf_rc(&v->transport) : rc;
}

static bool is_site_row(const struct view *v)
{
	return span_eq(table_text(v->t, v->answer.result.row->type), SPAN_LIT("EX"));
}

static struct span own_site(const struct view *v)
{
	return table_text(v->t, v->t->site);
}

/* --- words --- */

static void put(struct buf *out, const char *before, struct span s, const char *after)
{
	buf_puts(out, before);
	buf_put(out, s);
	buf_puts(out, after);
}

static void say_class(const struct view *v, struct buf *out)
{
	put(out, "", v->key.full, ": ");
	buf_printf(out, "message class %s", table_class_name(v->answer.cls));
	if (v->recipient_is_system)
		buf_puts(out, ", because the recipient is a system address");
	else if (v->sender_is_system)
		buf_puts(out, ", because the sender is a system address");
	buf_puts(out, "\n");
}

static void say_match(const struct view *v, struct buf *out)
{
	const struct table_row *row = v->answer.result.row;

	if (!is_site_row(v)) {
		put(out, "Match:     address space ", table_text(v->t, row->type), ":");
		put(out, "", table_text(v->t, row->target), "\n");
		return;
	}
	put(out, "Match:     domain ", v->answer.domain, " belongs to site ");
	put(out, "", table_text(v->t, row->target), "\n");
}

static void say_mode(const struct view *v, struct buf *out)
{
	const struct table_row *row = v->answer.result.row;

	buf_puts(out, "Decision:  ");
	switch ((enum table_mode)row->mode) {
	case TABLE_DIRECT:
		buf_puts(out, "direct, one hop to the site's own mail exchanger");
		break;
	case TABLE_CONNECTED:
		buf_printf(out, "over the connected sites, %u hop%s, cost %u", row->hops,
			   row->hops == 1 ? "" : "s", row->cost);
		break;
	case TABLE_NO_ROUTE:
		buf_puts(out, "no route; mail waits in the queue");
		break;
	case TABLE_LOCAL_SPACE:
		buf_printf(out, "out through a connector of this site, cost %u", row->cost);
		break;
	}
	buf_puts(out, "\n");
}

static void say_step(const struct step *s, unsigned number, struct buf *out)
{
	bool value;

	buf_printf(out, "%s%u. ", number == 1 ? "Path:      " : "           ", number);
	put(out, "", s->name, ": ");
	if (s->connector == NULL) {
		buf_puts(out, "not known now, the directory was not read since the start\n");
		return;
	}
	buf_puts(out, kind_text(s->connector->kind));
	buf_puts(out, s->connector->kind == MODEL_IMS ? " (SMTP)" : " (not SMTP)");
	if (s->connector->kind == MODEL_IMS) {
		const char *source = flag_source(s, &value);

		buf_printf(out, ", onlySystemMessagesUseCDs %s (%s)", value ? "TRUE" : "FALSE",
			   source[0] == 'c'   ? "set on the connector"
			   : source[0] == 's' ? "the site's default"
					      : "set nowhere");
	}
	put(out, "\n              ", s->connector->dn, "\n");
}

static const char *dns_state(const struct health_domain *d)
{
	return d->up ? "up" : d->ever ? "down" : "unconfirmed";
}

/* What the resolver of dns-compare says. */
static void say_second_view(const struct health_domain *d, struct buf *out)
{
	const struct dnsview *v = &d->second;

	if (v->verdict == DNSCHECK_NONE)
		return;
	buf_printf(out, "           elsewhere %s%s%s%s", dnscheck_text(v->verdict),
		   v->target[0] != '\0' ? " (" : "", v->target, v->target[0] != '\0' ? ")" : "");
	if (d->differs != DNSVIEW_SAME)
		buf_printf(out, ", which differs in %s", dnsview_text(d->differs));
	buf_puts(out, "\n");
}

static void say_health(const struct view *v, struct buf *out)
{
	const struct health_domain *d = v->health;

	if (d == NULL)
		return;
	if (health_checks(v->r->health)) {
		buf_printf(out, "DNS:       %s, last check %s", dns_state(d),
			   dnscheck_text(d->verdict));
		if (d->target[0] != '\0')
			buf_printf(out, " (%s)", d->target);
		buf_printf(out, ", TTL %u s%s\n", d->ttl_s,
			   d->pending ? ", to be confirmed by another check" : "");
	}
	say_second_view(d, out);
	buf_printf(out, "Dampening: penalty %.0f%s\n",
		   health_penalty(v->r->health, d, v->r->now_ms),
		   d->damp.suppressed ? ", suppressed" : "");
}

/* Only if it is another one than the path says. */
static void say_next_site(const struct view *v, struct buf *out)
{
	struct span meant = table_text(v->t, v->answer.result.row->next);

	if (v->next_site.n == 0 || span_eq_nocase(v->next_site, meant))
		return;
	put(out, "           that is a host of site ", v->next_site, "");
	if (meant.n != 0)
		put(out, ", not of ", meant, "");
	buf_puts(out, "\n");
}

static void say_route(const struct view *v, struct buf *out)
{
	const struct table_row *row = v->answer.result.row;
	enum table_reason reason = (enum table_reason)row->reason;
	unsigned i;

	say_match(v, out);
	say_mode(v, out);
	for (i = 0; i < v->nsteps; i++)
		say_step(&v->steps[i], i + 1, out);
	if (row->mode == TABLE_DIRECT && v->nsteps != 0)
		buf_puts(out, "           (the chain that the direct route replaces)\n");
	buf_printf(out, "Reason:    %s: %s\n", table_reason_name(reason), explain_reason(reason));
	say_health(v, out);
	if (v->answer.verdict != LOOKUP_ROUTE)
		return;
	put(out, "Next hop:  ", table_text(v->t, row->nexthop), "\n");
	put(out, "Postfix:   ", buf_span(&v->transport), "\n");
	say_next_site(v, out);
	if (v->answer.result.nrows > 1)
		buf_printf(out, "           %u candidates of equal cost, this is the first\n",
			   v->answer.result.nrows);
	alternates_write(&v->alternates, out);
}

static void say(const struct view *v, struct buf *out)
{
	say_class(v, out);
	switch (v->answer.verdict) {
	case LOOKUP_ROUTE:
	case LOOKUP_NO_ROUTE:
		say_route(v, out);
		break;
	case LOOKUP_LOCAL:
		put(out, "Match:     domain ", v->answer.domain, " is this site's own (");
		put(out, "", own_site(v), "), the mail server delivers\n");
		break;
	case LOOKUP_SHARED:
		put(out, "Match:     domain ", v->answer.domain,
		    " is shared by several sites; the recipient map finds the home site in the "
		    "directory, else it is local\n");
		break;
	case LOOKUP_ABSENT:
		buf_puts(out, "Match:     no site and no address space; the mail server decides "
			      "by DNS\n");
		break;
	}
}

/* --- JSON --- */

static void member(struct buf *out, const char *name, struct span value)
{
	buf_printf(out, ",\"%s\":", name);
	if (value.p == NULL)
		buf_puts(out, "null");
	else
		table_json_string(value, out);
}

static const char *verdict_text(enum lookup_verdict verdict)
{
	switch (verdict) {
	case LOOKUP_ROUTE:
		return "route";
	case LOOKUP_NO_ROUTE:
		return "noroute";
	case LOOKUP_LOCAL:
		return "local";
	case LOOKUP_SHARED:
		return "shared";
	case LOOKUP_ABSENT:
		return "absent";
	}
	return "";
}

static void json_step(const struct step *s, struct buf *out)
{
	bool value;

	buf_puts(out, "{\"name\":");
	table_json_string(s->name, out);
	if (s->connector != NULL) {
		member(out, "dn", s->connector->dn);
		member(out, "kind", span_of(kind_text(s->connector->kind)));
		buf_printf(out, ",\"smtp\":%s", s->connector->kind == MODEL_IMS ? "true" : "false");
	}
	if (s->connector != NULL && s->connector->kind == MODEL_IMS) {
		const char *source = flag_source(s, &value);

		buf_printf(out, ",\"flag\":%s,\"flagFrom\":\"%s\"", value ? "true" : "false",
			   source);
	}
	buf_puts(out, "}");
}

static void json_health(const struct view *v, struct buf *out)
{
	const struct health_domain *d = v->health;

	if (d == NULL)
		return;
	if (health_checks(v->r->health)) {
		member(out, "dns", span_of(dns_state(d)));
		member(out, "dnsVerdict", span_of(dnscheck_text(d->verdict)));
		member(out, "dnsTarget", span_of(d->target));
		buf_printf(out, ",\"dnsTtl\":%u,\"dnsPending\":%s", d->ttl_s,
			   d->pending ? "true" : "false");
	}
	if (d->second.verdict != DNSCHECK_NONE) {
		member(out, "dnsElsewhere", span_of(dnscheck_text(d->second.verdict)));
		member(out, "dnsDiffers", span_of(dnsview_text(d->differs)));
	}
	buf_printf(out, ",\"penalty\":%.0f,\"suppressed\":%s",
		   health_penalty(v->r->health, d, v->r->now_ms),
		   d->damp.suppressed ? "true" : "false");
}

static void json_route(const struct view *v, struct buf *out)
{
	const struct table_row *row = v->answer.result.row;
	enum table_reason reason = (enum table_reason)row->reason;
	unsigned i;

	member(out, "type", table_text(v->t, row->type));
	member(out, "target", table_text(v->t, row->target));
	member(out, "mode", span_of(table_mode_name((enum table_mode)row->mode)));
	member(out, "nexthop", table_text(v->t, row->nexthop));
	member(out, "nextSite", v->next_site.n != 0 ? v->next_site : span_make(NULL, 0));
	member(out, "reason", span_of(table_reason_name(reason)));
	member(out, "reasonText", span_of(explain_reason(reason)));
	json_health(v, out);
	buf_printf(out, ",\"candidates\":%u,\"path\":[", v->answer.result.nrows);
	for (i = 0; i < v->nsteps; i++) {
		buf_puts(out, i != 0 ? "," : "");
		json_step(&v->steps[i], out);
	}
	buf_puts(out, "]");
	alternates_json(&v->alternates, out);
}

static void write_json(const struct view *v, struct buf *out)
{
	struct span transport = {NULL, 0};

	if (v->answer.verdict == LOOKUP_ROUTE)
		transport = buf_span(&v->transport);
	buf_puts(out, "{\"address\":");
	table_json_string(v->key.full, out);
	member(out, "class", span_of(table_class_name(v->answer.cls)));
	member(out, "site", own_site(v));
	member(out, "verdict", span_of(verdict_text(v->answer.verdict)));
	member(out, "domain", v->answer.domain);
	if (v->answer.result.row != NULL)
		json_route(v, out);
	member(out, "transport", transport);
	buf_puts(out, "}\n");
}

void explain_write(const struct table *t, const struct model *m, const struct explain_request *r,
		   struct buf *out)
{
	struct view v = {.t = t, .m = m, .r = r};
	struct buf scratch;
	struct arena a;
	int rc;

	if (t == NULL) {
		buf_puts(out, "error: there is no route table yet\n");
		return;
	}
	arena_init(&a);
	buf_init(&scratch, 4 * NETSTRING_REQUEST_MAX_BYTES);
	buf_init(&v.transport, NETSTRING_REPLY_MAX_BYTES);
	rc = lookup_key(r->recipient, &scratch, &v.key);
	if (rc == RC_OK && v.key.kind == LOOKUP_KEY_NONE)
		rc = RC_INVALID;
	if (rc == RC_OK)
		rc = gather(&v, &a);
	if (rc != RC_OK)
		buf_printf(out, "error: %s\n",
			   rc == RC_INVALID ? "this is no mail address" : rc_text(rc));
	else if (r->json)
		write_json(&v, out);
	else
		say(&v, out);
	alternates_fini(&v.alternates);
	buf_fini(&v.transport);
	buf_fini(&scratch);
	arena_fini(&a);
}
