#include "dird/op_impl.h"
#include "dird/enrol.h"
#include "dird/manage.h"
#include "dird/op_txn.h"
#include "dird/repl.h"
#include "lib/clock.h"

#include <stdio.h>

#define VIRTUAL_RECORD_MAX_BYTES (4u * 1024 * 1024)
#define VIRTUAL_ATTRS_MAX 32

/* An entry while it is put together. Values are copied into the arena. */
struct draft {
	struct arena *a;
	struct attr attrs[VIRTUAL_ATTRS_MAX];
	unsigned n;
	int rc;
};

struct list {
	struct op *op;
	struct arena *a;
	struct op_virtual *at;
	unsigned n, size;
};

static void put_values(struct draft *d, const char *type, const char *const *values)
{
	struct attr *at = &d->attrs[d->n];
	unsigned i, n = 0;

	while (values[n] != NULL)
		n++;
	if (n == 0 || d->rc != 0)
		return;
	must(d->n < VIRTUAL_ATTRS_MAX);
	*at = (struct attr){.type = span_of(type), .nvalues = n};
	at->values = arena_zalloc(d->a, n, sizeof(*at->values));
	for (i = 0; i < n && at->values != NULL; i++)
		at->values[i] = arena_span(d->a, span_of(values[i]));
	if (at->values == NULL || at->values[n - 1].p == NULL)
		d->rc = RC_NOMEM;
	else
		d->n++;
}

/* Without a value there is no attribute. */
static void put(struct draft *d, const char *type, const char *value)
{
	const char *values[] = {value[0] != '\0' ? value : NULL, NULL};

	put_values(d, type, values);
}

static void put_number(struct draft *d, const char *type, uint64_t n)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	put(d, type, text);
}

static int build(struct op *op, struct draft *d, struct span *record)
{
	struct attr_list attrs = {d->attrs, d->n};
	enum entry_run runs[VIRTUAL_ATTRS_MAX];
	struct entry_head head = {.parent = 0};
	struct buf out;
	unsigned i;
	int rc;

	if (d->rc != 0)
		return d->rc;
	for (i = 0; i < d->n; i++)
		runs[i] = schema_run(op->server->schema, d->attrs[i].type);
	buf_init(&out, VIRTUAL_RECORD_MAX_BYTES);
	rc = entry_build(&head, &attrs, runs, &out);
	if (rc == 0) {
		*record = arena_span(d->a, buf_span(&out));
		rc = record->p != NULL ? 0 : RC_NOMEM;
	}
	buf_fini(&out);
	return rc;
}

static int add(struct list *l, struct draft *d, const char *dn, unsigned depth)
{
	struct op_virtual *v, *more;
	unsigned size;

	if (l->n == l->size) {
		size = l->size != 0 ? l->size * 2 : 8;
		more = arena_zalloc(l->a, size, sizeof(*more));
		if (more == NULL)
			return RC_NOMEM;
		if (l->n != 0)
			memcpy(more, l->at, l->n * sizeof(*more));
		l->at = more;
		l->size = size;
	}
	v = &l->at[l->n++];
	v->dn = arena_span(l->a, span_of(dn));
	v->depth = depth;
	return v->dn.p != NULL ? build(l->op, d, &v->record) : RC_NOMEM;
}

/* --- root DSE (RFC 4512 §5.1) --- */

static int add_root_dse(struct list *l)
{
	static const char *const features[] = {
		"1.3.6.1.1.14",           /* increment, RFC 4525 */
		"1.3.6.1.4.1.4203.1.5.1", /* + , RFC 3673 */
		"1.3.6.1.4.1.4203.1.5.2", /* @class, RFC 4529 */
		"1.3.6.1.4.1.4203.1.5.3", /* (&) and (|), RFC 4526 */
		"1.3.6.1.4.1.4203.1.5.4", /* language tags, RFC 3866 */
		NULL};
	struct server *s = l->op->server;
	bool has_tls = s->config.tls.certificate != NULL;
	const char *extensions[] = {OP_OID_CANCEL,
				    OP_OID_WHO_AM_I,
				    OP_OID_PASSWD,
				    OP_OID_TXN_START,
				    OP_OID_TXN_END,
				    MANAGE_OID,
				    has_tls ? OP_OID_START_TLS : NULL,
				    has_tls ? ENROL_OID : NULL,
				    NULL};
	const char *controls[OP_CONTROLS_MAX + 1];
	struct draft d = {.a = l->a};

	op_controls_known(controls);
	put(&d, "objectClass", "top");
	put(&d, "namingContexts", s->config.organisation);
	put(&d, "subschemaSubentry", "cn=Subschema");
	put(&d, "supportedLDAPVersion", "3");
	put_values(&d, "supportedControl", controls);
	put_values(&d, "supportedExtension", extensions);
	put_values(&d, "supportedFeatures", features);
	put(&d, "supportedSASLMechanisms", "EXTERNAL");
	put(&d, "vendorName", "Waypost");
	put(&d, "vendorVersion", WAYPOST_VERSION);
	return add(l, &d, "", 0);
}

/* --- subschema (RFC 4512 §4.2) --- */

static int add_subschema(struct list *l)
{
	static const char *const classes[] = {"top", "subentry", "subschema", "extensibleObject",
					      NULL};
	const struct schema *s = l->op->server->schema;
	struct draft d = {.a = l->a};

	put_values(&d, "objectClass", classes);
	put(&d, "cn", "Subschema");
	put_values(&d, "ldapSyntaxes", schema_definitions(s, SCHEMA_SYNTAXES));
	put_values(&d, "matchingRules", schema_definitions(s, SCHEMA_MATCHING_RULES));
	put_values(&d, "attributeTypes", schema_definitions(s, SCHEMA_ATTRIBUTE_TYPES));
	put_values(&d, "objectClasses", schema_definitions(s, SCHEMA_OBJECT_CLASSES));
	return add(l, &d, "cn=Subschema", 1);
}

/* --- cn=monitor --- */

static void begin_monitor(struct draft *d, struct arena *a, const char *cn)
{
	static const char *const classes[] = {"top", "extensibleObject", NULL};

	*d = (struct draft){.a = a};
	put_values(d, "objectClass", classes);
	put(d, "cn", cn);
}

static int add_monitor_root(struct list *l)
{
	char start[CLOCK_GENERALIZED_BYTES];
	struct draft d;

	begin_monitor(&d, l->a, "monitor");
	put(&d, "description", "Waypost " WAYPOST_VERSION);
	put(&d, "siteName", l->op->server->config.site);
	clock_generalized(l->op->server->start_wall_us, start);
	put(&d, "startTime", start);
	return add(l, &d, "cn=monitor", 1);
}

static int add_monitor_database(struct list *l)
{
	struct store_txn *t;
	struct store_stat st;
	struct writer_stats w;
	struct draft d;
	int rc = store_read_begin(l->op->server->store, &t);

	if (rc != 0)
		return rc;
	rc = store_stat(t, &st);
	store_read_end(&t);
	if (rc != 0)
		return rc;
	writer_stats(l->op->server->writer, &w);
	begin_monitor(&d, l->a, "Database");
	put_number(&d, "entries", st.entries);
	put_number(&d, "tombstones", st.tombstones);
	put_number(&d, "indexRows", st.index_rows);
	put_number(&d, "limboEntries", st.limbo);
	put_number(&d, "quarantinedEntries", st.quarantined);
	put_number(&d, "removalsUnderWay", st.leaving);
	put_number(&d, "mapBytes", st.map_bytes);
	put_number(&d, "usedBytes", st.used_bytes);
	put_number(&d, "commits", w.commits);
	put_number(&d, "changes", w.changes);
	put_number(&d, "refusedChanges", w.refused);
	put_number(&d, "largestBatch", w.batch_max);
	put_number(&d, "addressConflicts", w.conflicts);
	return add(l, &d, "cn=Database,cn=monitor", 2);
}

static int add_monitor_context(struct list *l, const struct repl_status *st, unsigned number)
{
	static const char *const classes[] = {"top", "monitoredContext", NULL};
	struct draft d = {.a = l->a};
	char cn[32], dn[64];

	snprintf(cn, sizeof(cn), "context %u", number);
	snprintf(dn, sizeof(dn), "cn=%s,cn=Replication,cn=monitor", cn);
	put_values(&d, "objectClass", classes);
	put(&d, "cn", cn);
	put(&d, "ncName", st->nc_name);
	put(&d, "ncMaster", st->nc_master);
	put(&d, "position", st->position);
	put(&d, "contextState", st->context_state);
	put(&d, "contextProof", st->proof);
	put(&d, "homePosition", st->head);
	if (st->head_age_s >= 0)
		put_number(&d, "homeHeardSeconds", (uint64_t)st->head_age_s);
	put_number(&d, "tombstoneFloor", st->floor);
	return add(l, &d, dn, 3);
}

static int add_monitor_partner(struct list *l, const struct repl_status *st, unsigned number)
{
	static const char *const classes[] = {"top", "monitoredPartner", NULL};
	struct draft d = {.a = l->a};
	char cn[32], dn[64];

	snprintf(cn, sizeof(cn), "partner %u", number);
	snprintf(dn, sizeof(dn), "cn=%s,cn=Replication,cn=monitor", cn);
	put_values(&d, "objectClass", classes);
	put(&d, "cn", cn);
	put(&d, "ncName", st->nc_name);
	put(&d, "partnerName", st->partner_name);
	put(&d, "partnerURI", st->partner_uri);
	put(&d, "partnerPosition", st->partner_position);
	put(&d, "linkState", st->link_state);
	put(&d, "lastError", st->last_error);
	put(&d, "refusedContext", st->refused);
	put(&d, "lastContact", st->last_contact);
	put(&d, "nextAttempt", st->next_attempt);
	if (st->lag_s >= 0)
		put_number(&d, "lagSeconds", (uint64_t)st->lag_s);
	put_number(&d, "bytesIn", st->bytes_in);
	put_number(&d, "entriesIn", st->entries_in);
	return add(l, &d, dn, 3);
}

static bool is_listed(const struct repl_status *st, unsigned i)
{
	unsigned k;

	for (k = 0; k < i; k++) {
		if (strcmp(st[k].nc_name, st[i].nc_name) == 0)
			return true;
	}
	return false;
}

static int add_monitor_replication(struct list *l)
{
	struct repl *repl = l->op->server->repl;
	struct repl_status *st = NULL;
	unsigned i, n = 0;
	struct draft d;
	int rc;

	begin_monitor(&d, l->a, "Replication");
	rc = add(l, &d, "cn=Replication,cn=monitor", 2);
	if (rc == 0 && repl != NULL)
		rc = repl_status(repl, l->a, &st, &n);
	for (i = 0; i < n && rc == 0; i++) {
		if (!is_listed(st, i))
			rc = add_monitor_context(l, &st[i], i + 1);
		if (rc == 0 && st[i].partner_name[0] != '\0')
			rc = add_monitor_partner(l, &st[i], i + 1);
	}
	return rc;
}

static int add_monitor(struct list *l)
{
	int rc = add_monitor_root(l);

	if (rc == 0)
		rc = add_monitor_database(l);
	return rc == 0 ? add_monitor_replication(l) : rc;
}

/* --- choosing --- */

bool op_is_virtual(struct span dn_normal)
{
	return dn_normal.n == 0 || span_eq(dn_normal, SPAN_LIT("cn=subschema")) ||
	       dn_is_within(dn_normal, SPAN_LIT("cn=monitor"));
}

bool op_may_read_at(const struct op *op, struct span dn_normal)
{
	/* its figures would tell of hidden entries */
	if (dn_is_within(dn_normal, SPAN_LIT("cn=monitor")))
		return op->identity.kind == IDENTITY_ADMIN || op->identity.kind == IDENTITY_SITE;
	return dn_normal.n == 0 || span_eq(dn_normal, SPAN_LIT("cn=subschema")) ||
	       acl_may_search(&op->server->acl, &op->identity);
}

static int normal_of(struct op_virtual *v, struct arena *a, struct span *out)
{
	return dn_normalize_text(a, v->dn, out);
}

static bool in_scope(int64_t scope, unsigned below)
{
	switch (scope) {
	case 0:
		return below == 0;
	case 1:
		return below == 1;
	case 3:
		return below >= 1;
	default:
		return true;
	}
}

/* Keep what is in scope of the base; RC_NOTFOUND if the base itself is not among them. */
static int choose(struct list *l, struct span base, int64_t scope)
{
	unsigned i, n = 0, base_depth = UINT32_MAX;
	struct span name;
	int rc;

	for (i = 0; i < l->n; i++) {
		rc = normal_of(&l->at[i], l->a, &name);
		if (rc != 0)
			return rc;
		if (span_eq(name, base))
			base_depth = l->at[i].depth;
	}
	if (base_depth == UINT32_MAX)
		return RC_NOTFOUND;
	for (i = 0; i < l->n; i++) {
		rc = normal_of(&l->at[i], l->a, &name);
		if (rc != 0)
			return rc;
		if (dn_is_within(name, base) && in_scope(scope, l->at[i].depth - base_depth))
			l->at[n++] = l->at[i];
	}
	l->n = n;
	return 0;
}

int op_virtual_make(struct op *op, struct arena *a, struct span base_normal, int64_t scope,
		    struct op_virtual **out, unsigned *n_out)
{
	struct list l = {.op = op, .a = a};
	int rc;

	if (base_normal.n == 0)
		rc = add_root_dse(&l);
	else if (span_eq(base_normal, SPAN_LIT("cn=subschema")))
		rc = add_subschema(&l);
	else
		rc = add_monitor(&l);
	if (rc == 0)
		rc = choose(&l, base_normal, scope);
	*out = l.at;
	*n_out = l.n;
	return rc;
}
