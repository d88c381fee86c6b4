#include "routed/trace.h"

#define FIRST_HOPS 8

static const struct {
	const char *name, *text;
	bool bad;
} ends[] = {
	[TRACE_DELIVERED] = {"delivered", "delivered there", false},
	[TRACE_LEAVES] = {"leaves", "leaves the organisation there", false},
	[TRACE_BY_DNS] = {"dns", "no route fits; the mail server decides by DNS", false},
	[TRACE_SHARED] = {"shared",
			  "the domain is shared; the directory tells the recipient's home site",
			  false},
	[TRACE_NO_ROUTE] = {"noroute", "DEAD END: no way to the target, the mail waits", true},
	[TRACE_LOST] = {"lost", "DEAD END: the site that got it knows nothing of the domain", true},
	[TRACE_UNKNOWN_SITE] = {"unknown", "DEAD END: that site has no object in the directory",
				true},
	[TRACE_LOOP] = {"loop", "LOOP: the mail was there before", true},
};

bool trace_is_bad(enum trace_end end)
{
	return ends[end].bad;
}

/* --- walking --- */

static int add_hop(struct trace *t, struct arena *a, unsigned *size, struct trace_hop **out)
{
	struct trace_hop *bigger;

	if (t->nhops == *size) {
		*size = *size != 0 ? *size * 2 : FIRST_HOPS;
		bigger = arena_zalloc(a, *size, sizeof(*bigger));
		if (bigger == NULL)
			return RC_NOMEM;
		if (t->nhops != 0)
			memcpy(bigger, t->hops, t->nhops * sizeof(*bigger));
		t->hops = bigger;
	}
	*out = &t->hops[t->nhops++];
	**out = (struct trace_hop){0};
	return RC_OK;
}

static bool was_at(const struct trace *t, struct span site)
{
	unsigned i;

	for (i = 0; i + 1 < t->nhops; i++) {
		if (span_eq(t->hops[i].site, site))
			return true;
	}
	return false;
}

/* The walk goes on at hop->next, if there is one. */
static int step(struct trace *t, struct trace_hop *hop)
{
	switch (hop->answer.verdict) {
	case LOOKUP_ROUTE:
		t->end = TRACE_LEAVES;
		return lookup_next_site(hop->table, &hop->answer.result, &hop->next);
	case LOOKUP_NO_ROUTE:
		t->end = TRACE_NO_ROUTE;
		break;
	case LOOKUP_LOCAL:
		t->end = TRACE_DELIVERED;
		break;
	case LOOKUP_SHARED:
		t->end = TRACE_SHARED;
		break;
	case LOOKUP_ABSENT:
		t->end = t->nhops == 1 ? TRACE_BY_DNS : TRACE_LOST;
		break;
	}
	return RC_OK;
}

static int walk(struct trace *t, enum table_class cls, struct span site, trace_table_fn *fn,
		void *arg, struct arena *a)
{
	struct trace_hop *hop;
	unsigned size = 0;
	int rc;

	for (;;) {
		rc = add_hop(t, a, &size, &hop);
		if (rc != RC_OK)
			return rc;
		rc = fn(arg, site, &hop->table);
		hop->site = site;
		if (rc == RC_NOTFOUND && t->nhops != 1) {
			t->end = TRACE_UNKNOWN_SITE;
			return RC_OK;
		}
		if (rc != RC_OK)
			return rc;
		hop->site = table_text(hop->table, hop->table->site);
		if (was_at(t, hop->site)) {
			t->end = TRACE_LOOP;
			return RC_OK;
		}
		rc = lookup_route(hop->table, &t->key, cls, &hop->answer);
		if (rc == RC_OK)
			rc = step(t, hop);
		if (rc != RC_OK || hop->next.n == 0)
			return rc;
		site = hop->next;
	}
}

int trace_run(struct span address, enum table_class cls, struct span from, trace_table_fn *fn,
	      void *arg, struct arena *a, struct buf *scratch, struct trace *out)
{
	int rc;

	*out = (struct trace){.end = TRACE_BY_DNS};
	rc = lookup_key(address, scratch, &out->key);
	if (rc == RC_OK && out->key.kind == LOOKUP_KEY_NONE)
		rc = RC_INVALID;
	return rc == RC_OK ? walk(out, cls, from, fn, arg, a) : rc;
}

/* --- words --- */

static bool is_asked(const struct trace *t, unsigned i)
{
	return t->hops[i].table != NULL && (t->end != TRACE_LOOP || i + 1 != t->nhops);
}

static void write_hop(const struct trace *t, unsigned i, struct buf *out)
{
	const struct trace_hop *h = &t->hops[i];
	const struct table_row *row = h->answer.result.row;

	buf_printf(out, "%3u. ", i + 1);
	buf_put(out, h->site);
	if (is_asked(t, i) && row != NULL) {
		buf_printf(out, ": %s, ", table_mode_name((enum table_mode)row->mode));
		buf_put(out, table_text(h->table, row->nexthop));
		buf_printf(out, "%s%s", row->nexthop != TABLE_NONE ? ", " : "",
			   table_reason_name((enum table_reason)row->reason));
		if (row->connector != TABLE_NONE) {
			buf_puts(out, ", connector ");
			buf_put(out, table_text(h->table, row->connector));
		}
		if (h->answer.result.nrows > 1)
			buf_printf(out, " (first of %u candidates)", h->answer.result.nrows);
	}
	buf_putc(out, '\n');
}

void trace_write(const struct trace *t, struct buf *out)
{
	unsigned i;

	buf_put(out, t->key.full);
	buf_printf(out, ", class %s\n", table_class_name(t->hops[0].answer.cls));
	for (i = 0; i < t->nhops; i++)
		write_hop(t, i, out);
	buf_printf(out, "     %s\n", ends[t->end].text);
}

static void member(struct buf *out, const char *name, struct span s)
{
	buf_puts(out, name);
	if (s.p == NULL)
		buf_puts(out, "null");
	else
		table_json_string(s, out);
}

static void json_hop(const struct trace *t, unsigned i, struct buf *out)
{
	const struct trace_hop *h = &t->hops[i];
	const struct table_row *row = h->answer.result.row;

	member(out, "{\"site\":", h->site);
	if (is_asked(t, i) && row != NULL) {
		member(out, ",\"type\":", table_text(h->table, row->type));
		member(out, ",\"target\":", table_text(h->table, row->target));
		buf_printf(out, ",\"mode\":\"%s\"", table_mode_name((enum table_mode)row->mode));
		member(out, ",\"nexthop\":", table_text(h->table, row->nexthop));
		member(out, ",\"connector\":", table_text(h->table, row->connector));
		buf_printf(out, ",\"reason\":\"%s\",\"candidates\":%u",
			   table_reason_name((enum table_reason)row->reason),
			   h->answer.result.nrows);
	}
	member(out, ",\"next\":", h->next.n != 0 ? h->next : span_make(NULL, 0));
	buf_putc(out, '}');
}

void trace_json(const struct trace *t, struct buf *out)
{
	unsigned i;

	member(out, "{\"address\":", t->key.full);
	buf_printf(out, ",\"class\":\"%s\",\"hops\":[", table_class_name(t->hops[0].answer.cls));
	for (i = 0; i < t->nhops; i++) {
		buf_puts(out, i != 0 ? "," : "");
		json_hop(t, i, out);
	}
	buf_printf(out, "],\"end\":\"%s\",\"problem\":%s}\n", ends[t->end].name,
		   ends[t->end].bad ? "true" : "false");
}
