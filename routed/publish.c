#include "routed/publish.h"

#include "lib/clock.h"
#include "lib/dn.h"
#include "lib/log.h"
#include "routed/sched.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>

/* Operations on the way at once: enough to let the directory put many into one commit. */
#define WINDOW 64

#define BACKOFF_FLOOR_MS 100
#define BACKOFF_FIRST_MS 1000
#define HANG_FACTOR 2
#define MAX_MODS (ROUTES_ATTRS + 4)

struct publish {
	struct publish_config config;
	pthread_t thread;
	atomic_bool stop;

	pthread_mutex_t lock; /* guards the job and the status */
	pthread_cond_t wake;
	struct routes job;
	bool has_job;
	unsigned long job_generation;
	struct publish_status status;

	/* of the thread alone */
	struct session session;
	struct routes have; /* what the directory holds, if `known` */
	bool known;
	struct backoff backoff;
	char why[SESSION_WHY_BYTES];
};

static uint64_t now_ms(void)
{
	return clock_system.mono_ms(&clock_system);
}

/* --- reading what is there --- */

static int read_values(struct arena *a, LDAP *ld, LDAPMessage *msg, const char *type,
		       struct span **values, unsigned *n)
{
	struct berval **from = ldap_get_values_len(ld, msg, type);
	unsigned i;
	int rc = RC_OK;

	*n = from != NULL ? (unsigned)ldap_count_values_len(from) : 0;
	*values = arena_zalloc(a, *n, sizeof(**values));
	if (*values == NULL)
		rc = RC_NOMEM;
	for (i = 0; i < *n && rc == RC_OK; i++) {
		(*values)[i] = arena_span(a, span_make(from[i]->bv_val, from[i]->bv_len));
		if ((*values)[i].p == NULL)
			rc = RC_NOMEM;
	}
	ldap_value_free_len(from);
	return rc;
}

static int read_route(struct arena *a, LDAP *ld, LDAPMessage *msg, struct routes_entry *e)
{
	struct span *names;
	unsigned n;
	unsigned i;
	int rc = read_values(a, ld, msg, "cn", &names, &n);

	if (rc != RC_OK)
		return rc;
	if (n != 0)
		e->name = names[0];
	for (i = 0; routes_type(i) != NULL && rc == RC_OK; i++) {
		struct routes_attr *attr = &e->attrs[e->nattrs];

		rc = read_values(a, ld, msg, routes_type(i), &attr->values, &attr->nvalues);
		attr->type = routes_type(i);
		e->nattrs += attr->nvalues != 0;
	}
	return rc;
}

static int read_all(struct publish *p, LDAPMessage *res)
{
	LDAP *ld = p->session.ld;
	LDAPMessage *msg;
	int rc = RC_OK;

	p->have.entries = arena_zalloc(&p->have.arena, (size_t)ldap_count_entries(ld, res),
				       sizeof(*p->have.entries));
	if (p->have.entries == NULL)
		return RC_NOMEM;
	for (msg = ldap_first_entry(ld, res); msg != NULL && rc == RC_OK;
	     msg = ldap_next_entry(ld, msg))
		rc = read_route(&p->have.arena, ld, msg, &p->have.entries[p->have.n++]);
	return rc;
}

static int add_container(struct publish *p)
{
	char *classes[] = {(char[]){"container"}, (char[]){"siteLocal"}, NULL};
	char *names[] = {(char[]){"Routes"}, NULL};
	LDAPMod class_mod = {.mod_op = LDAP_MOD_ADD,
			     .mod_type = (char[]){"objectClass"},
			     .mod_vals.modv_strvals = classes};
	LDAPMod name_mod = {
		.mod_op = LDAP_MOD_ADD, .mod_type = (char[]){"cn"}, .mod_vals.modv_strvals = names};
	LDAPMod *mods[] = {&class_mod, &name_mod, NULL};
	int rc;

	session_enter(&p->session);
	rc = ldap_add_ext_s(p->session.ld, p->config.base, mods, NULL, NULL);
	session_leave(&p->session);
	if (rc == LDAP_ALREADY_EXISTS)
		rc = LDAP_SUCCESS;
	return session_rc(&p->session, rc, NULL, p->why);
}

static int learn(struct publish *p)
{
	const char *wanted[ROUTES_ATTRS + 2] = {"cn"};
	LDAPMessage *res = NULL;
	unsigned i;
	int rc;

	for (i = 0; routes_type(i) != NULL; i++)
		wanted[i + 1] = routes_type(i);
	routes_fini(&p->have);
	routes_init(&p->have);
	session_enter(&p->session);
	rc = ldap_search_ext_s(p->session.ld, p->config.base, LDAP_SCOPE_ONELEVEL,
			       "(objectClass=mailRoute)", (char **)(uintptr_t)wanted, 0, NULL, NULL,
			       NULL, LDAP_NO_LIMIT, &res);
	session_leave(&p->session);
	if (rc == LDAP_NO_SUCH_OBJECT) {
		rc = add_container(p);
	} else {
		rc = session_rc(&p->session, rc, NULL, p->why);
		if (rc == RC_OK)
			rc = read_all(p, res);
	}
	ldap_msgfree(res);
	if (rc == RC_OK)
		routes_sort(&p->have);
	p->known = rc == RC_OK;
	return rc;
}

/* --- writing changes --- */

struct mods {
	LDAPMod mod[MAX_MODS];
	LDAPMod *list[MAX_MODS + 1];
	unsigned n;
	struct arena *arena;
};

/* Append one modification; no values with LDAP_MOD_REPLACE removes the attribute. RC_NOMEM. */
static int mods_put(struct mods *m, int op, const char *type, const struct span *values, unsigned n)
{
	struct berval *store = arena_zalloc(m->arena, n, sizeof(*store));
	struct berval **list = arena_zalloc(m->arena, n + 1, sizeof(*list));
	unsigned i;

	must(m->n < MAX_MODS);
	if (store == NULL || list == NULL)
		return RC_NOMEM;
	for (i = 0; i < n; i++) {
		store[i] = (struct berval){values[i].n, (char *)(uintptr_t)values[i].p};
		list[i] = &store[i];
	}
	m->mod[m->n] = (LDAPMod){.mod_op = op | LDAP_MOD_BVALUES,
				 .mod_type = (char *)(uintptr_t)type,
				 .mod_vals.modv_bvals = list};
	m->list[m->n] = &m->mod[m->n];
	m->list[++m->n] = NULL;
	return RC_OK;
}

static int mods_of(struct mods *m, const struct routes_change *change)
{
	const struct routes_entry *e = change->entry;
	struct span cls = SPAN_LIT("mailRoute");
	unsigned i;
	unsigned k = 0;
	int rc = RC_OK;

	if (change->op == ROUTES_ADD) {
		rc = mods_put(m, LDAP_MOD_ADD, "objectClass", &cls, 1);
		if (rc == RC_OK)
			rc = mods_put(m, LDAP_MOD_ADD, "cn", &e->name, 1);
		for (i = 0; i < e->nattrs && rc == RC_OK; i++)
			rc = mods_put(m, LDAP_MOD_ADD, e->attrs[i].type, e->attrs[i].values,
				      e->attrs[i].nvalues);
		return rc;
	}
	for (i = 0; routes_type(i) != NULL && rc == RC_OK; i++) {
		bool has = k < e->nattrs && strcmp(e->attrs[k].type, routes_type(i)) == 0;

		rc = mods_put(m, LDAP_MOD_REPLACE, routes_type(i), has ? e->attrs[k].values : NULL,
			      has ? e->attrs[k].nvalues : 0);
		k += has;
	}
	return rc;
}

static int dn_of(struct publish *p, const struct routes_entry *e, struct buf *out)
{
	struct dn_ava ava = {SPAN_LIT("cn"), e->name};
	struct dn_rdn rdn = {&ava, 1};

	dn_rdn_write(&rdn, out);
	buf_putc(out, ',');
	buf_puts(out, p->config.base);
	return buf_rc(out);
}

/* Send one change without waiting for its result. */
static int send_change(struct publish *p, const struct routes_change *change)
{
	struct mods m = {0};
	struct arena a;
	struct buf dn;
	int msgid;
	int rc;

	arena_init(&a);
	buf_init(&dn, DN_MAX_BYTES);
	m.arena = &a;
	rc = dn_of(p, change->entry, &dn);
	if (rc == RC_OK && change->op != ROUTES_DELETE)
		rc = mods_of(&m, change);
	if (rc != RC_OK)
		goto out;
	session_enter(&p->session);
	switch (change->op) {
	case ROUTES_ADD:
		rc = ldap_add_ext(p->session.ld, buf_cstr(&dn), m.list, NULL, NULL, &msgid);
		break;
	case ROUTES_MODIFY:
		rc = ldap_modify_ext(p->session.ld, buf_cstr(&dn), m.list, NULL, NULL, &msgid);
		break;
	case ROUTES_DELETE:
		rc = ldap_delete_ext(p->session.ld, buf_cstr(&dn), NULL, NULL, &msgid);
		break;
	}
	session_leave(&p->session);
	rc = session_rc(&p->session, rc, NULL, p->why);
out:
	buf_fini(&dn);
	arena_fini(&a);
	return rc;
}

static int await_one(struct publish *p)
{
	struct timeval tv = {p->config.session.timeout_ms / 1000, 0};
	LDAPMessage *res = NULL;
	char *text = NULL;
	int code = LDAP_OTHER;
	int type;
	int rc;

	session_enter(&p->session);
	type = ldap_result(p->session.ld, LDAP_RES_ANY, LDAP_MSG_ALL, &tv, &res);
	session_leave(&p->session);
	if (type < 0)
		ldap_get_option(p->session.ld, LDAP_OPT_RESULT_CODE, &code);
	if (type <= 0)
		return session_rc(&p->session, type == 0 ? LDAP_TIMEOUT : code, NULL, p->why);
	rc = ldap_parse_result(p->session.ld, res, &code, NULL, &text, NULL, NULL, 1);
	rc = session_rc(&p->session, rc != LDAP_SUCCESS ? rc : code, text, p->why);
	ldap_memfree(text);
	return rc;
}

static int apply_all(struct publish *p, const struct routes_change *changes, size_t n)
{
	size_t sent = 0;
	size_t answered = 0;
	int rc = RC_OK;

	while (rc == RC_OK && answered < n && !atomic_load(&p->stop)) {
		if (sent < n && sent - answered < WINDOW) {
			rc = send_change(p, &changes[sent++]);
			continue;
		}
		rc = await_one(p);
		answered++;
	}
	return rc == RC_OK && answered < n ? RC_CLOSED : rc;
}

static void count_changes(struct publish *p, const struct routes_change *changes, size_t n)
{
	struct publish_status *s = &p->status;
	size_t i;

	pthread_mutex_lock(&p->lock);
	for (i = 0; i < n; i++) {
		s->added += changes[i].op == ROUTES_ADD;
		s->modified += changes[i].op == ROUTES_MODIFY;
		s->deleted += changes[i].op == ROUTES_DELETE;
	}
	pthread_mutex_unlock(&p->lock);
}

/* Bring the directory to `want`; on success `want` becomes what we know it to hold. */
static int try_once(struct publish *p, struct routes *want)
{
	struct routes_change *changes;
	struct arena a;
	size_t n;
	int rc = RC_OK;

	arena_init(&a);
	if (p->session.ld == NULL) {
		p->known = false;
		rc = session_open(&p->session, &p->config.session, p->why);
	}
	if (rc == RC_OK && !p->known)
		rc = learn(p);
	if (rc == RC_OK)
		rc = routes_compare(&a, &p->have, want, &changes, &n);
	if (rc == RC_OK)
		rc = apply_all(p, changes, n);
	if (rc == RC_OK) {
		count_changes(p, changes, n);
		log_info(NULL, "publish.done", "routes=%zu changes=%zu", want->n, n);
		routes_fini(&p->have);
		p->have = *want;
		*want = (struct routes){0};
	} else {
		session_close(&p->session);
	}
	arena_fini(&a);
	return rc;
}

/* The directory may have closed an idle connection meanwhile; that alone is no failure. */
static int bring_about(struct publish *p, struct routes *want)
{
	bool was_open = p->session.ld != NULL;
	int rc = try_once(p, want);

	if (rc == RC_CLOSED && was_open && !atomic_load(&p->stop))
		rc = try_once(p, want);
	return rc;
}

/* --- the thread --- */

static void pause_for(struct publish *p, unsigned ms)
{
	struct timespec until;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ms / 1000;
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	while (!atomic_load(&p->stop) &&
	       pthread_cond_timedwait(&p->wake, &p->lock, &until) != ETIMEDOUT)
		;
}

/* With the lock held: note the outcome, and hand the job back if it is to be tried again. */
static void note(struct publish *p, struct routes *want, unsigned long generation, int rc)
{
	uint32_t random = 0;

	if (rc == RC_OK) {
		p->status.generation = generation;
		p->status.error[0] = '\0';
		backoff_reset(&p->backoff);
		return;
	}
	p->status.failures++;
	(void)snprintf(p->status.error, sizeof(p->status.error), "%s",
		       p->why[0] != '\0' ? p->why : rc_text(rc));
	log_warn(NULL, "publish.failed", "why=\"%s\"", p->status.error);
	if (!p->has_job) {
		p->job = *want;
		*want = (struct routes){0};
		p->job_generation = generation;
		p->has_job = true;
	}
	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = (uint32_t)now_ms();
	pause_for(p, backoff_next_ms(&p->backoff, random));
}

static void *run(void *arg)
{
	struct publish *p = arg;

	pthread_mutex_lock(&p->lock);
	while (!atomic_load(&p->stop)) {
		struct routes want = p->job;
		unsigned long generation = p->job_generation;
		int rc;

		if (!p->has_job) {
			pthread_cond_wait(&p->wake, &p->lock);
			continue;
		}
		p->has_job = false;
		p->job = (struct routes){0};
		pthread_mutex_unlock(&p->lock);
		p->why[0] = '\0';
		rc = bring_about(p, &want);
		pthread_mutex_lock(&p->lock);
		if (!atomic_load(&p->stop))
			note(p, &want, generation, rc);
		routes_fini(&want);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

static void destroy(struct publish *p)
{
	session_fini(&p->session);
	routes_fini(&p->job);
	routes_fini(&p->have);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	mem_free(p);
}

int publish_new(const struct publish_config *config, struct publish **out)
{
	struct publish *p = mem_zalloc(1, sizeof(*p));
	pthread_condattr_t attr;

	*out = NULL;
	if (p == NULL)
		return RC_NOMEM;
	p->config = *config;
	backoff_init(&p->backoff, BACKOFF_FLOOR_MS, BACKOFF_FIRST_MS, config->backoff_cap_ms);
	session_init(&p->session);
	must(pthread_mutex_init(&p->lock, NULL) == 0);
	must(pthread_condattr_init(&attr) == 0);
	must(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
	must(pthread_cond_init(&p->wake, &attr) == 0);
	pthread_condattr_destroy(&attr);
	if (pthread_create(&p->thread, NULL, run, p) != 0) {
		destroy(p);
		return RC_IO;
	}
	*out = p;
	return RC_OK;
}

void publish_close(struct publish **pp)
{
	struct publish *p = *pp;

	if (p == NULL)
		return;
	*pp = NULL;
	pthread_mutex_lock(&p->lock);
	atomic_store(&p->stop, true);
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	session_interrupt(&p->session);
	(void)pthread_join(p->thread, NULL);
	destroy(p);
}

void publish_submit(struct publish *p, struct routes *routes, unsigned long generation)
{
	struct routes old;

	pthread_mutex_lock(&p->lock);
	old = p->job;
	p->job = *routes;
	p->job_generation = generation;
	p->has_job = true;
	pthread_cond_signal(&p->wake);
	pthread_mutex_unlock(&p->lock);
	*routes = (struct routes){0};
	routes_fini(&old);
}

void publish_get_status(struct publish *p, struct publish_status *out)
{
	pthread_mutex_lock(&p->lock);
	*out = p->status;
	pthread_mutex_unlock(&p->lock);
}

void publish_watch(struct publish *p, uint64_t now)
{
	uint64_t busy = session_busy_ms(&p->session, now);

	if (busy > (uint64_t)p->config.session.timeout_ms * HANG_FACTOR) {
		log_warn(NULL, "publish.hang", "busy_ms=%llu connection=shut",
			 (unsigned long long)busy);
		session_interrupt(&p->session);
	}
}
