#include "routed/session.h"

#include "lib/clock.h"
#include "lib/file.h"
#include "lib/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define PASSWORD_MAX_BYTES 1024

void session_init(struct session *s)
{
	*s = (struct session){.fd = -1};
	must(pthread_mutex_init(&s->lock, NULL) == 0);
}

void session_fini(struct session *s)
{
	session_close(s);
	pthread_mutex_destroy(&s->lock);
}

static void set_fd(struct session *s, int fd)
{
	pthread_mutex_lock(&s->lock);
	s->fd = fd;
	pthread_mutex_unlock(&s->lock);
}

/* libldap calls these right after connect(2), before TLS, and before it closes the descriptor. */
static int on_connect(LDAP *ld, Sockbuf *sb, LDAPURLDesc *url, struct sockaddr *addr,
		      struct ldap_conncb *ctx)
{
	struct session *s = ctx->lc_arg;
	ber_socket_t fd = -1;

	(void)ld;
	(void)url;
	(void)addr;
	if (ber_sockbuf_ctrl(sb, LBER_SB_OPT_GET_FD, &fd) == 1)
		set_fd(s, (int)fd);
	return 0;
}

static void on_disconnect(LDAP *ld, Sockbuf *sb, struct ldap_conncb *ctx)
{
	(void)ld;
	(void)sb;
	set_fd(ctx->lc_arg, -1);
}

void session_enter(struct session *s)
{
	pthread_mutex_lock(&s->lock);
	s->busy_since_ms = clock_system.mono_ms(&clock_system);
	pthread_mutex_unlock(&s->lock);
}

void session_leave(struct session *s)
{
	pthread_mutex_lock(&s->lock);
	s->busy_since_ms = 0;
	pthread_mutex_unlock(&s->lock);
}

uint64_t session_busy_ms(struct session *s, uint64_t now_ms)
{
	uint64_t since;

	pthread_mutex_lock(&s->lock);
	since = s->busy_since_ms;
	pthread_mutex_unlock(&s->lock);
	return since != 0 && now_ms > since ? now_ms - since : 0;
}

void session_interrupt(struct session *s)
{
	pthread_mutex_lock(&s->lock);
	if (s->fd >= 0)
		(void)shutdown(s->fd, SHUT_RDWR);
	pthread_mutex_unlock(&s->lock);
}

static int map_code(int ldap_rc)
{
	switch (ldap_rc) { /* codes of the library and of the server */
	case LDAP_SUCCESS:
		return RC_OK;
	case LDAP_NO_MEMORY:
		return RC_NOMEM;
	case LDAP_TIMEOUT:
	case LDAP_TIMELIMIT_EXCEEDED:
		return RC_TIMEOUT;
	case LDAP_SERVER_DOWN:
	case LDAP_CONNECT_ERROR:
	case LDAP_UNAVAILABLE:
		return RC_CLOSED;
	case LDAP_INVALID_CREDENTIALS:
	case LDAP_INSUFFICIENT_ACCESS:
	case LDAP_STRONG_AUTH_REQUIRED:
	case LDAP_INAPPROPRIATE_AUTH:
	case LDAP_CONFIDENTIALITY_REQUIRED:
		return RC_DENIED;
	case LDAP_NO_SUCH_OBJECT:
		return RC_NOTFOUND;
	case LDAP_ALREADY_EXISTS:
		return RC_EXISTS;
	case LDAP_DECODING_ERROR:
	case LDAP_PARAM_ERROR:
		return RC_INVALID;
	case LDAP_BUSY:
		return RC_BUSY;
	default:
		return RC_REFUSED;
	}
}

int session_rc(struct session *s, int ldap_rc, const char *diagnostic,
	       char why[static SESSION_WHY_BYTES])
{
	char text[LOG_TEXT_BYTES];
	char *own = NULL;

	why[0] = '\0';
	if (ldap_rc == LDAP_SUCCESS)
		return RC_OK;
	if (diagnostic == NULL && s->ld != NULL) {
		(void)ldap_get_option(s->ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &own);
		diagnostic = own;
	}
	(void)snprintf(why, SESSION_WHY_BYTES, "%s", ldap_err2string(ldap_rc));
	if (diagnostic != NULL && diagnostic[0] != '\0')
		(void)snprintf(why, SESSION_WHY_BYTES, "%.*s: %s", 64, ldap_err2string(ldap_rc),
			       log_text(span_of(diagnostic), text));
	ldap_memfree(own);
	return map_code(ldap_rc);
}

static int set_options(LDAP *ld, const struct session_config *c)
{
	struct timeval tv = {c->timeout_ms / 1000, (suseconds_t)(c->timeout_ms % 1000) * 1000};
	int version = LDAP_VERSION3;
	int demand = LDAP_OPT_X_TLS_DEMAND;
	int server = 0;
	int rc = 0;

	rc |= ldap_set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &version);
	rc |= ldap_set_option(ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF);
	rc |= ldap_set_option(ld, LDAP_OPT_RESTART, LDAP_OPT_ON);
	rc |= ldap_set_option(ld, LDAP_OPT_NETWORK_TIMEOUT, &tv);
	rc |= ldap_set_option(ld, LDAP_OPT_TIMEOUT, &tv);
	if (strncmp(c->uri, "ldaps:", 6) != 0)
		return rc;
	rc |= ldap_set_option(ld, LDAP_OPT_X_TLS_REQUIRE_CERT, &demand);
	if (c->tls_ca != NULL)
		rc |= ldap_set_option(ld, LDAP_OPT_X_TLS_CACERTFILE, c->tls_ca);
	if (c->tls_certificate != NULL)
		rc |= ldap_set_option(ld, LDAP_OPT_X_TLS_CERTFILE, c->tls_certificate);
	if (c->tls_key != NULL)
		rc |= ldap_set_option(ld, LDAP_OPT_X_TLS_KEYFILE, c->tls_key);
	rc |= ldap_set_option(ld, LDAP_OPT_X_TLS_NEWCTX, &server);
	return rc;
}

/* The first line of the password file. */
static int read_password(const char *path, struct buf *out)
{
	struct span line;
	struct span rest;
	int rc = file_read(path, out);

	if (rc != RC_OK)
		return rc;
	rest = buf_span(out);
	(void)span_cut(&rest, '\n', &line);
	buf_truncate(out, line.n);
	return RC_OK;
}

static int bind_start(struct session *s, const struct session_config *c, int *msgid)
{
	struct berval cred = {0, (char[]){""}};
	struct buf password;
	int rc;

	if (c->bind_dn == NULL && strncmp(c->uri, "ldap:", 5) != 0)
		return ldap_sasl_bind(s->ld, NULL, "EXTERNAL", &cred, NULL, NULL, msgid);
	if (c->bind_dn == NULL)
		return ldap_sasl_bind(s->ld, "", LDAP_SASL_SIMPLE, &cred, NULL, NULL, msgid);
	buf_init(&password, PASSWORD_MAX_BYTES);
	rc = c->password_file != NULL ? read_password(c->password_file, &password) : RC_NOTFOUND;
	if (rc == RC_OK) {
		cred = (struct berval){password.n, (char *)password.p};
		rc = ldap_sasl_bind(s->ld, c->bind_dn, LDAP_SASL_SIMPLE, &cred, NULL, NULL, msgid);
	} else {
		rc = LDAP_PARAM_ERROR;
	}
	if (password.p != NULL)
		explicit_bzero(password.p, password.n);
	buf_fini(&password);
	return rc;
}

static int bind_wait(struct session *s, const struct session_config *c, int msgid,
		     char why[static SESSION_WHY_BYTES])
{
	struct timeval tv = {c->timeout_ms / 1000, (suseconds_t)(c->timeout_ms % 1000) * 1000};
	LDAPMessage *res = NULL;
	char *text = NULL;
	int code = LDAP_OTHER;
	int type = ldap_result(s->ld, msgid, LDAP_MSG_ALL, &tv, &res);
	int rc;

	if (type <= 0) {
		ldap_get_option(s->ld, LDAP_OPT_RESULT_CODE, &code);
		rc = session_rc(s, type == 0 ? LDAP_TIMEOUT : code, "no answer to bind", why);
		goto out;
	}
	rc = ldap_parse_result(s->ld, res, &code, NULL, &text, NULL, NULL, 0);
	rc = session_rc(s, rc != LDAP_SUCCESS ? rc : code, text, why);
	if (rc == RC_OK && type != LDAP_RES_BIND)
		rc = session_rc(s, LDAP_DECODING_ERROR, "answer to bind has another type", why);
out:
	ldap_memfree(text);
	ldap_msgfree(res);
	return rc;
}

int session_open(struct session *s, const struct session_config *config,
		 char why[static SESSION_WHY_BYTES])
{
	int msgid;
	int rc;

	session_close(s);
	session_enter(s);
	rc = ldap_initialize(&s->ld, config->uri);
	if (rc != LDAP_SUCCESS) {
		s->ld = NULL;
		rc = session_rc(s, rc, "directory address", why);
		goto out;
	}
	s->callbacks = (struct ldap_conncb){on_connect, on_disconnect, s};
	if (set_options(s->ld, config) != 0 ||
	    ldap_set_option(s->ld, LDAP_OPT_CONNECT_CB, &s->callbacks) != 0) {
		rc = session_rc(s, LDAP_PARAM_ERROR, "connection options refused", why);
		goto out;
	}
	rc = session_rc(s, bind_start(s, config, &msgid), NULL, why);
	if (rc == RC_OK)
		rc = bind_wait(s, config, msgid, why);
out:
	session_leave(s);
	if (rc != RC_OK)
		session_close(s);
	return rc;
}

void session_close(struct session *s)
{
	if (s->ld == NULL)
		return;
	session_enter(s);
	(void)ldap_unbind_ext(s->ld, NULL, NULL);
	s->ld = NULL;
	set_fd(s, -1);
	session_leave(s);
}

int session_set_nonblocking(struct session *s)
{
	int flags;

	if (s->fd < 0)
		return RC_CLOSED;
	flags = fcntl(s->fd, F_GETFL);
	if (flags < 0 || fcntl(s->fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return rc_from_errno(errno);
	return RC_OK;
}
