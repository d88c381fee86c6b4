#include "dird/repl_int.h"

#include "dird/repl_held.h"
#include "dird/store_digest.h"
#include "dird/sync_ctl.h"
#include "dird/twins.h"
#include "dird/verify.h"

/* Own contexts, and the vector of all that leave a site. */
static int read_contexts(struct server *s, struct arena *a, struct uuid **own, unsigned *nown,
			 struct vector *v)
{
	struct position room[1 + POSITION_PAST_MAX];
	uint32_t number = 0;
	struct vector lives;
	struct store_nc nc;
	struct store_txn *t;
	struct uuid *more;
	int rc = store_read_begin(s->store, &t);

	if (rc != RC_OK)
		return rc;
	while ((rc = store_nc_next(t, &number, &nc)) == RC_OK) {
		if (uuid_eq(&nc.position.nc, &POSITION_LOCAL_NC))
			continue;
		lives = store_nc_lives(&nc, room);
		if (!nc.is_own) /* partners look at the past of what its home asks for */
			lives.n = 1;
		rc = vector_put_lives(v, a, &lives);
		if (rc == RC_OK && nc.is_own) {
			more = mem_realloc(*own, ((size_t)*nown + 1) * sizeof(**own));
			rc = more != NULL ? RC_OK : RC_NOMEM;
			if (more != NULL) {
				*own = more;
				(*own)[(*nown)++] = nc.position.nc;
			}
		}
		if (rc != RC_OK)
			break;
	}
	store_read_end(&t);
	return rc == RC_DONE ? RC_OK : rc;
}

/* The whole directory of the partner that may leave its site, from our vector on. */
static int write_search(struct repl *repl, int32_t id, const struct vector *v, struct buf *out)
{
	static const uint8_t any[] = "\x87\x0bobjectClass"; /* present [7] */
	struct span attrs[] = {SPAN_LIT("*"), SPAN_LIT("+"), SPAN_LIT("originStamp"),
			       SPAN_LIT("parentUUID")};
	struct msg_search m = {.base = span_of(repl->server->config.organisation),
			       .scope = STORE_SUB,
			       .filter = span_make(any, sizeof(any) - 1),
			       .attrs = attrs,
			       .nattrs = sizeof(attrs) / sizeof(attrs[0])};
	struct msg_control controls[] = {
		{.oid = SPAN_LIT(SYNC_OID_REQUEST), .critical = true, .has_value = true},
		{.oid = SPAN_LIT(TWINS_OID), .has_value = true},
		{.oid = SPAN_LIT(HEAD_OID)}};
	uint8_t instance[TWINS_VALUE_BYTES];
	struct sync_request r = {.mode = SYNC_REFRESH_AND_PERSIST};
	struct buf cookie, value;
	int rc;

	buf_init(&cookie, SIZE_MAX);
	buf_init(&value, SIZE_MAX);
	cookie_write(0, v, &cookie);
	if (v->n != 0)
		r.cookie = buf_span(&cookie);
	sync_request_write(&value, &r);
	repl_twin_value(repl, instance);
	controls[0].value = buf_span(&value);
	controls[1].value = span_make(instance, sizeof(instance));
	msg_write_search(out, id, &m, controls, 3);
	rc = buf_rc(&cookie) != RC_OK ? buf_rc(&cookie) : buf_rc(&value);
	buf_fini(&cookie);
	buf_fini(&value);
	return rc == RC_OK ? buf_rc(out) : rc;
}

/* Homes that we have a link of our own to speak for themselves (S2). */
static int refuse_relayed(const struct repl_peer *partner, struct repl_session *s, struct arena *a)
{
	struct repl_peer *p;
	struct uuid *homes;
	unsigned n = 0;

	for (p = partner->repl->peers; p != NULL; p = p->next)
		n++;
	homes = arena_zalloc(a, (size_t)n + 1, sizeof(*homes));
	if (homes == NULL)
		return RC_NOMEM;
	for (p = partner->repl->peers, n = 0; p != NULL; p = p->next) {
		if (p != partner && p->partner.is_enabled && !uuid_is_zero(&p->partner.site))
			homes[n++] = p->partner.site;
	}
	return repl_session_refuse(s, homes, n);
}

static int note_proof(struct repl_held *h, struct store_txn *t, const struct store_nc *nc)
{
	enum verify_proof proof;
	int rc = verify_proof(t, nc, &proof);

	if (rc == RC_OK && proof != VERIFY_NOTHING)
		rc = repl_held_note_proven(h, &nc->position.nc);
	if (rc == RC_OK && proof != VERIFY_PRESENT && !nc->is_own)
		rc = repl_held_note_unproven(h, &nc->position);
	return rc;
}

static int note_proofs(struct repl_held *h, struct store_txn *t)
{
	uint32_t number = 0;
	struct store_nc nc;
	int rc;

	while ((rc = store_nc_next(t, &number, &nc)) == RC_OK) {
		rc = note_proof(h, t, &nc);
		if (rc != RC_OK)
			return rc;
	}
	return rc == RC_DONE ? RC_OK : rc;
}

/* What the partner writes itself, and of what it has to prove what it says. */
static int note_sources(const struct repl_peer *p, struct repl_held *h)
{
	struct server *s = p->repl->server;
	struct store_txn *t;
	struct span master;
	struct entry root;
	uint64_t eid;
	int rc = store_read_begin(s->store, &t);

	if (rc != RC_OK)
		return rc;
	h->needs_heads = !s->config.believes_partners;
	h->home = p->partner.site;
	rc = store_root(t, &eid);
	if (rc == RC_OK)
		rc = store_entry(t, eid, &root);
	if (rc == RC_OK) {
		h->root = root.head.uuid;
		h->root_is_homes = entry_first(&root, "masterSite", &master) &&
				   span_eq_nocase(master, span_of(p->partner.name));
	}
	if (rc == RC_OK || rc == RC_NOTFOUND)
		rc = note_proofs(h, t);
	store_read_end(&t);
	return rc;
}

int repl_begin(struct repl_peer *p, int32_t id, struct repl_session *session,
	       struct repl_held *held, struct buf *request)
{
	struct server *s = p->repl->server;
	struct vector v = {NULL, 0};
	struct uuid *own = NULL;
	unsigned nown = 0;
	struct arena a;
	int rc;

	arena_init(&a);
	rc = read_contexts(s, &a, &own, &nown, &v);
	if (rc == RC_OK)
		rc = repl_session_init(session, own, nown);
	if (rc == RC_OK && s->config.indirect_only)
		rc = refuse_relayed(p, session, &a);
	if (rc == RC_OK)
		rc = note_sources(p, held);
	if (rc == RC_OK)
		rc = write_search(p->repl, id, &v, request);
	mem_free(own);
	arena_fini(&a);
	return rc;
}
