#include "routed/gal_private.h"

#include "lib/log.h"

#define RETRY_MS 1000

/* RFC 4515 §3 */
static void put_escaped(struct buf *b, struct span s)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		if (memchr("*()\\", s.p[i], 4) != NULL || s.p[i] < ' ')
			buf_printf(b, "\\%02x", s.p[i]);
		else
			buf_putc(b, s.p[i]);
	}
}

static int connect_now(struct gal *g)
{
	char why[SESSION_WHY_BYTES];
	int rc;

	if (g->session.ld != NULL)
		return RC_OK;
	if (gal_now_ms() < g->retry_at_ms)
		return RC_CLOSED;
	rc = session_open(&g->session, &g->config.session, why);
	if (rc != RC_OK) {
		g->retry_at_ms = gal_now_ms() + RETRY_MS;
		log_warn(NULL, "gal.down", "why=\"%s\"", why);
	}
	return rc;
}

static int keep_values(struct gal_entry *e, struct berval **from)
{
	unsigned n = (unsigned)ldap_count_values_len(from);
	struct span *values = arena_zalloc(&e->arena, e->nvalues + n, sizeof(*values));
	unsigned i;

	if (values == NULL)
		return RC_NOMEM;
	if (e->nvalues != 0)
		memcpy(values, e->values, e->nvalues * sizeof(*values));
	for (i = 0; i < n; i++) {
		values[e->nvalues] =
			arena_span(&e->arena, span_make(from[i]->bv_val, from[i]->bv_len));
		if (values[e->nvalues++].p == NULL)
			return RC_NOMEM;
	}
	e->values = values;
	return RC_OK;
}

static int keep_entry(LDAP *ld, LDAPMessage *msg, struct gal_entry *e)
{
	static const char *const names[] = {"proxyAddresses", "mail"};
	char *dn = ldap_get_dn(ld, msg);
	unsigned i;
	int rc = RC_OK;

	if (dn == NULL)
		return RC_INVALID;
	e->dn = arena_span(&e->arena, span_of(dn));
	ldap_memfree(dn);
	if (e->dn.p == NULL)
		return RC_NOMEM;
	for (i = 0; i < 2 && rc == RC_OK; i++) {
		struct berval **values = ldap_get_values_len(ld, msg, names[i]);

		if (values != NULL)
			rc = keep_values(e, values);
		ldap_value_free_len(values);
	}
	return rc;
}

static int search_by_address(struct gal *g, struct span address, char **attributes,
			     LDAPMessage **res)
{
	struct buf filter;
	int rc;

	buf_init(&filter, 64 * 1024);
	buf_puts(&filter, "(|(proxyAddresses=smtp:");
	put_escaped(&filter, address);
	buf_puts(&filter, ")(mail=");
	put_escaped(&filter, address);
	buf_puts(&filter, "))");
	rc = buf_rc(&filter) != RC_OK ? LDAP_NO_MEMORY : LDAP_SUCCESS;
	if (rc == LDAP_SUCCESS)
		rc = ldap_search_ext_s(g->session.ld, g->config.base, LDAP_SCOPE_SUBTREE,
				       buf_cstr(&filter), attributes, 0, NULL, NULL, NULL, 2, res);
	buf_fini(&filter);
	return rc;
}

/* A DN that an address made up is no failure of the directory. */
static int search_by_dn(struct gal *g, const char *dn, char **attributes, LDAPMessage **res)
{
	int rc = ldap_search_ext_s(g->session.ld, dn, LDAP_SCOPE_BASE,
				   "(|(proxyAddresses=*)(mail=*))", attributes, 0, NULL, NULL, NULL,
				   2, res);

	return rc == LDAP_NO_SUCH_OBJECT || rc == LDAP_INVALID_DN_SYNTAX ? LDAP_SUCCESS : rc;
}

/* RC_OK: exactly one recipient fits the question. RC_NOTFOUND: none. Else: doubt. */
static int search(struct gal *g, struct gal_entry *e)
{
	static const char *const names[] = {"proxyAddresses", "mail", NULL};
	char **attributes = (char **)(uintptr_t)names;
	char why[SESSION_WHY_BYTES];
	char text[LOG_TEXT_BYTES];
	LDAPMessage *res = NULL;
	int count;
	int rc;

	session_enter(&g->session);
	rc = e->asked_dn != NULL ? search_by_dn(g, e->asked_dn, attributes, &res)
				 : search_by_address(g, span_of(e->address), attributes, &res);
	session_leave(&g->session);
	count = res != NULL ? ldap_count_entries(g->session.ld, res) : 0;
	rc = session_rc(&g->session, rc, NULL, why);
	if (rc == RC_OK && count == 0)
		rc = RC_NOTFOUND;
	else if (rc == RC_OK || count > 1)
		rc = count == 1 ? keep_entry(g->session.ld, ldap_first_entry(g->session.ld, res), e)
				: RC_CONFLICT;
	if (rc == RC_CONFLICT)
		log_warn(NULL, "gal.ambiguous", "address=%s several entries have it",
			 log_text(span_of(e->address), text));
	else if (rc != RC_OK && rc != RC_NOTFOUND)
		log_warn(NULL, "gal.failed", "why=\"%s\"", why[0] != '\0' ? why : rc_text(rc));
	ldap_msgfree(res);
	return rc;
}

static int try_once(struct gal *g, struct gal_entry *e)
{
	int rc = connect_now(g);

	if (rc == RC_OK)
		rc = search(g, e);
	if (rc != RC_OK && rc != RC_NOTFOUND && rc != RC_CONFLICT)
		session_close(&g->session);
	return rc;
}

/* The directory may have closed an idle connection meanwhile; that alone is no failure. */
static void answer(struct gal *g, struct gal_entry *e)
{
	bool was_open = g->session.ld != NULL;

	e->found_rc = try_once(g, e);
	if (e->found_rc == RC_CLOSED && was_open && !atomic_load(&g->stop))
		e->found_rc = try_once(g, e);
}

void gal_search_run(void *arg)
{
	struct gal *g = arg;

	pthread_mutex_lock(&g->lock);
	while (!atomic_load(&g->stop)) {
		struct gal_entry *e = g->questions;

		if (e == NULL) {
			pthread_cond_wait(&g->wake, &g->lock);
			continue;
		}
		g->questions = e->queue;
		if (g->questions == NULL)
			g->last_question = NULL;
		pthread_mutex_unlock(&g->lock);
		answer(g, e);
		pthread_mutex_lock(&g->lock);
		e->queue = g->findings;
		g->findings = e;
		(void)uv_async_send(&g->async);
	}
	pthread_mutex_unlock(&g->lock);
}
