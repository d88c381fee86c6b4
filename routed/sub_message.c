#include "routed/sub_private.h"

#include "lib/log.h"

#include <stdio.h>

#define MAX_ATTRIBUTES 64

#define FILTER                                                                                     \
	"(|(objectClass=mailSite)(objectClass=imsConnector)(objectClass=siteConnector)"            \
	"(objectClass=x400Connector)(objectClass=gatewayConnector))"

static const char *const attributes[] = {
	"objectClass",
	"ou",
	"cn",
	"siteSmtpDomain",
	"siteSharedDomain",
	"systemAddress",
	"siteKey",
	"mailTlsLevel",
	"connectedDomains",
	"routingList",
	"connectorEnabled",
	"messageClassRestriction",
	"mtaTransport",
	"onlySystemMessagesUseCDs",
	"transferMode",
	"smartHost",
	"domainRoute",
	"originStamp",
	NULL,
};

int sub_fail(char *why, int rc, const char *text)
{
	(void)snprintf(why, SESSION_WHY_BYTES, "%s", text);
	return rc;
}

/* The value of the one control with this OID; RC_NOTFOUND without it, RC_INVALID for two. */
static int find_control(LDAPControl **controls, const char *oid, struct span *value)
{
	LDAPControl **at;
	int rc = RC_NOTFOUND;

	for (at = controls; at != NULL && *at != NULL; at++) {
		if (strcmp((*at)->ldctl_oid, oid) != 0)
			continue;
		if (rc == RC_OK)
			return RC_INVALID;
		*value = span_make((*at)->ldctl_value.bv_val, (*at)->ldctl_value.bv_len);
		rc = RC_OK;
	}
	return rc;
}

static int read_attribute(struct arena *a, const struct berval *type, const struct berval *values,
			  struct batch_attr *out)
{
	unsigned n = 0;

	while (values != NULL && values[n].bv_val != NULL)
		n++;
	out->type = span_make(type->bv_val, type->bv_len);
	out->nvalues = 0;
	out->values = arena_zalloc(a, n, sizeof(*out->values));
	if (out->values == NULL)
		return RC_NOMEM;
	for (; out->nvalues < n; out->nvalues++)
		out->values[out->nvalues] =
			span_make(values[out->nvalues].bv_val, values[out->nvalues].bv_len);
	return RC_OK;
}

/* DN and attributes of an entry; the bytes stay in the message. */
static int read_entry(struct sub *s, LDAPMessage *msg, struct arena *a, struct batch_item *out)
{
	BerElement *ber = NULL;
	struct berval dn;
	int rc = RC_OK;

	if (ldap_get_dn_ber(s->session.ld, msg, &ber, &dn) != LDAP_SUCCESS)
		return RC_INVALID;
	out->dn = span_make(dn.bv_val, dn.bv_len);
	out->attrs = arena_zalloc(a, MAX_ATTRIBUTES, sizeof(*out->attrs));
	rc = out->attrs == NULL ? RC_NOMEM : RC_OK;
	while (rc == RC_OK) {
		struct berval type;
		BerVarray values = NULL;

		if (ldap_get_attribute_ber(s->session.ld, msg, ber, &type, &values) != LDAP_SUCCESS)
			rc = RC_INVALID;
		if (rc != RC_OK || type.bv_val == NULL) {
			ber_memfree(values);
			break;
		}
		if (out->nattrs == MAX_ATTRIBUTES)
			rc = RC_TOOBIG;
		else
			rc = read_attribute(a, &type, values, &out->attrs[out->nattrs++]);
		ber_memfree(values);
	}
	ber_free(ber, 0);
	return rc;
}

static int on_entry(struct sub *s, LDAPMessage *msg, char *why)
{
	struct batch_item item = {0};
	struct syncctl_state state;
	LDAPControl **controls = NULL;
	const char *text = "malformed entry";
	struct arena a;
	struct span value;
	int rc;

	arena_init(&a);
	rc = ldap_get_entry_controls(s->session.ld, msg, &controls) == LDAP_SUCCESS ? RC_OK
										    : RC_INVALID;
	if (rc == RC_OK && find_control(controls, SYNCCTL_STATE_OID, &value) != RC_OK) {
		text = "entry without its sync state control";
		rc = RC_INVALID;
	}
	if (rc == RC_OK)
		rc = syncctl_read_state(value, &state, &text);
	if (rc == RC_OK)
		rc = read_entry(s, msg, &a, &item);
	if (rc == RC_OK)
		rc = consumer_on_entry(s->consumer, &state, &item, &text);
	if (rc != RC_OK)
		(void)sub_fail(why, rc, text[0] != '\0' ? text : rc_text(rc));
	ldap_controls_free(controls);
	arena_fini(&a);
	return rc;
}

static int on_intermediate(struct sub *s, LDAPMessage *msg, char *why)
{
	struct berval *data = NULL;
	char *oid = NULL;
	struct syncctl_info info;
	const char *text = "";
	struct arena a;
	int rc = RC_OK;

	arena_init(&a);
	if (ldap_parse_intermediate(s->session.ld, msg, &oid, &data, NULL, 0) != LDAP_SUCCESS) {
		rc = sub_fail(why, RC_INVALID, "malformed intermediate response");
	} else if (oid != NULL && strcmp(oid, SYNCCTL_INFO_OID) == 0) {
		rc = data == NULL ? RC_INVALID
				  : syncctl_read_info(&a, span_make(data->bv_val, data->bv_len),
						      &info, &text);
		if (rc == RC_OK)
			rc = consumer_on_info(s->consumer, &info, &text);
		if (rc != RC_OK)
			(void)sub_fail(why, rc, text[0] != '\0' ? text : "sync info without value");
	}
	ldap_memfree(oid);
	ber_bvfree(data);
	arena_fini(&a);
	return rc;
}

int sub_start_search(struct sub *s, char *why)
{
	struct syncctl_cookie cookie = consumer_cookie(s->consumer);
	LDAPControl control = {.ldctl_oid = (char[]){SYNCCTL_REQUEST_OID}, .ldctl_iscritical = 1};
	LDAPControl *controls[] = {&control, NULL};
	struct arena a;
	struct span value;
	int rc;

	arena_init(&a);
	rc = syncctl_write_request(&a, &cookie, &value);
	if (rc == RC_OK) {
		control.ldctl_value = (struct berval){value.n, (char *)(uintptr_t)value.p};
		rc = ldap_search_ext(s->session.ld, s->config.base, LDAP_SCOPE_SUBTREE, FILTER,
				     (char **)(uintptr_t)attributes, 0, controls, NULL, NULL,
				     LDAP_NO_LIMIT, &s->msgid);
		rc = session_rc(&s->session, rc, NULL, why);
	}
	arena_fini(&a);
	return rc;
}

/* What the end of the search asks for. RC_DONE: the session is over, nothing broke. */
static int act_on_end(struct sub *s, enum consumer_next next, int code, const char *diagnostic,
		      char *why)
{
	int rc = RC_DONE;

	switch (next) {
	case CONSUMER_AGAIN:
		(void)sub_fail(why, rc, "the directory ended the subscription");
		break;
	case CONSUMER_CONTINUE:
		sub_set_state(s, SUB_REFRESHING);
		rc = sub_start_search(s, why);
		break;
	case CONSUMER_RELOAD:
		(void)sub_fail(why, rc, "the directory asked for a full reload");
		break;
	case CONSUMER_ROLLBACK:
		rc = session_rc(&s->session, code, diagnostic, why);
		log_error(NULL, "sub.rollback",
			  "text=\"%s\" the directory is older than the routes here, which stay in "
			  "use; compare them and run 'routectl resync'",
			  why);
		sub_set_state(s, SUB_ROLLED_BACK);
		break;
	case CONSUMER_FAILED:
		rc = session_rc(&s->session, code, diagnostic, why);
		break;
	}
	return rc;
}

static int on_result(struct sub *s, LDAPMessage *msg, char *why)
{
	enum consumer_next next = CONSUMER_FAILED;
	struct syncctl_done done;
	LDAPControl **controls = NULL;
	const char *text = "malformed result";
	char *diagnostic = NULL;
	struct span value;
	bool has_done = false;
	int code = LDAP_OTHER;
	int rc = RC_INVALID;

	if (ldap_parse_result(s->session.ld, msg, &code, NULL, &diagnostic, NULL, &controls, 0) !=
	    LDAP_SUCCESS)
		goto out;
	rc = find_control(controls, SYNCCTL_DONE_OID, &value);
	has_done = rc == RC_OK;
	if (has_done)
		rc = syncctl_read_done(value, &done, &text);
	else if (rc == RC_NOTFOUND)
		rc = RC_OK;
	if (rc == RC_OK)
		rc = sub_take_batch(s);
	if (rc == RC_OK)
		rc = consumer_on_done(s->consumer, code, has_done ? &done : NULL, &next, &text);
	if (rc == RC_OK)
		rc = sub_take_batch(s);
out:
	if (rc != RC_OK)
		(void)sub_fail(why, rc, text[0] != '\0' ? text : rc_text(rc));
	else
		rc = act_on_end(s, next, code, diagnostic, why);
	ldap_memfree(diagnostic);
	ldap_controls_free(controls);
	return rc;
}

int sub_on_message(struct sub *s, int type, LDAPMessage *msg, char *why)
{
	int id = ldap_msgid(msg);

	s->deadline_ms = sub_now_ms() + s->config.heartbeat_ms;
	if (id == s->probe_msgid) {
		s->probe_msgid = -1;
		return RC_OK;
	}
	s->progress_ms = sub_now_ms();
	if (id != s->msgid)
		return sub_fail(why, RC_CLOSED, "notice of disconnection or foreign message");
	switch (type) { /* message tags of the library */
	case LDAP_RES_SEARCH_ENTRY:
		return on_entry(s, msg, why);
	case LDAP_RES_INTERMEDIATE:
		return on_intermediate(s, msg, why);
	case LDAP_RES_SEARCH_RESULT:
		return on_result(s, msg, why);
	case LDAP_RES_SEARCH_REFERENCE:
		return RC_OK; /* a referral holds nothing that routing reads */
	default:
		return sub_fail(why, RC_INVALID, "unexpected kind of message");
	}
}
