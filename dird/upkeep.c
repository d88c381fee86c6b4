#include "dird/upkeep.h"

#include "dird/repl.h"
#include "dird/server.h"
#include "lib/log.h"

#define STEP_TOMBSTONES 256
#define STEP_ROWS 4096
#define ROUND_MIN_MS 500
#define ROUND_MAX_MS (3600u * 1000)
#define LIFETIME_MAX_DAYS 3653 /* as of dird.conf */

struct upkeep {
	struct server *server;
	struct loop *home;
	uv_timer_t timer;
	uv_sem_t stopped;
	bool is_stopping, is_writing, is_closed;
	struct uuid at;      /* the tombstone the last step came to */
	uint64_t lifetime_s; /* of tombstones, in this round */
	uint64_t collected;

	struct write_req req;
	struct change change;
	struct arena arena;
	struct uuid old[STEP_TOMBSTONES];
};

static void arm(struct upkeep *u, uint64_t ms);

static void check_stopped(struct upkeep *u)
{
	if (u->is_closed && !u->is_writing)
		uv_sem_post(&u->stopped);
}

static void on_closed(uv_handle_t *h)
{
	struct upkeep *u = h->data;

	u->is_closed = true;
	check_stopped(u);
}

static void submit(struct upkeep *u, void (*done)(struct write_req *req))
{
	u->req = (struct write_req){.changes = &u->change,
				    .nchanges = 1,
				    .arena = &u->arena,
				    .home = u->home,
				    .is_internal = true,
				    .done = done,
				    .ctx = u};
	u->is_writing = true;
	writer_submit(u->server->writer, &u->req);
}

/* False: the end has come. */
static bool finish_write(struct upkeep *u)
{
	arena_fini(&u->arena);
	u->is_writing = false;
	if (u->is_stopping)
		check_stopped(u);
	return !u->is_stopping;
}

/* --- tombstones --- */

/* tombstoneLifetime of an entry, in days as Active Directory has it; 0: none that can be used. */
static uint64_t read_days(struct store_txn *t, uint64_t eid)
{
	uint64_t days = 0;
	struct span text;
	struct entry e;
	size_t i;

	if (store_entry(t, eid, &e) != RC_OK || !entry_first(&e, "tombstoneLifetime", &text))
		return 0;
	for (i = 0; i < text.n && days <= LIFETIME_MAX_DAYS; i++) {
		if (text.p[i] < '0' || text.p[i] > '9')
			return 0;
		days = days * 10 + (uint64_t)(text.p[i] - '0');
	}
	return days <= LIFETIME_MAX_DAYS ? days : 0;
}

/* The site's own entry decides, then the organisation's, then dird.conf. */
static uint64_t read_lifetime_s(const struct upkeep *u, struct store_txn *t)
{
	uint64_t days = 0, root = 0;
	uint32_t number = 0;
	struct store_nc nc;

	if (store_root(t, &root) == RC_OK)
		days = read_days(t, root);
	while (store_nc_next(t, &number, &nc) == RC_OK) {
		uint64_t own =
			nc.is_own && nc.head != 0 && nc.head != root ? read_days(t, nc.head) : 0;

		if (own != 0)
			days = own;
	}
	return days != 0 ? days * 86400 : u->server->config.tombstone_lifetime_s;
}

/* A clock that jumps only makes this early or late: who misses a tombstone compares everything. */
static int64_t begin_us(const struct upkeep *u)
{
	const struct clock *c = u->server->clock;

	return c->wall_us(c) - (int64_t)u->lifetime_s * 1000000;
}

static uint64_t round_ms(const struct upkeep *u)
{
	uint64_t ms = u->lifetime_s * 1000 / 4;

	return ms < ROUND_MIN_MS ? ROUND_MIN_MS : ms > ROUND_MAX_MS ? ROUND_MAX_MS : ms;
}

static void end_round(struct upkeep *u)
{
	if (u->collected != 0)
		log_info(NULL, "tombstones.collected", "n=%llu", (unsigned long long)u->collected);
	u->collected = 0;
	memset(&u->at, 0, sizeof(u->at));
	arm(u, round_ms(u));
}

static void on_collected(struct write_req *req)
{
	struct upkeep *u = req->ctx;
	int rc = req->rc;

	if (!finish_write(u))
		return;
	if (rc == RC_OK) {
		u->collected += u->change.collected;
		arm(u, 0);
	} else {
		log_error(NULL, "tombstones.failed", "error=\"%s\"", rc_text(rc));
		end_round(u);
	}
}

static void step(struct upkeep *u)
{
	struct store_txn *t;
	unsigned n = 0;
	int rc = store_read_begin(u->server->store, &t);

	if (rc == RC_OK) {
		if (uuid_is_zero(&u->at))
			u->lifetime_s = read_lifetime_s(u, t);
		rc = store_tombstones_before(t, begin_us(u), STEP_ROWS, &u->at, u->old,
					     STEP_TOMBSTONES, &n);
		store_read_end(&t);
	}
	if (n != 0) {
		u->change = (struct change){.kind = CHANGE_COLLECT,
					    .keep = u->old,
					    .nkeep = n,
					    .spares_own = !repl_is_confirmed(u->server->repl)};
		submit(u, on_collected);
	} else if (rc == RC_OK) {
		arm(u, 0);
	} else {
		end_round(u);
	}
}

static void on_timer(uv_timer_t *t)
{
	struct upkeep *u = t->data;

	if (!u->is_stopping && !u->is_writing)
		step(u);
}

static void arm(struct upkeep *u, uint64_t ms)
{
	(void)uv_timer_start(&u->timer, on_timer, ms, 0);
}

/* --- quarantine --- */

static void on_retried(struct write_req *req)
{
	struct upkeep *u = req->ctx;

	if (req->rc != RC_OK)
		log_error(NULL, "quarantine.retry", "error=\"%s\"", rc_text(req->rc));
	if (finish_write(u))
		arm(u, 0);
}

static bool has_quarantined(struct upkeep *u)
{
	struct store_txn *t;
	bool has;

	if (store_read_begin(u->server->store, &t) != RC_OK)
		return false;
	has = store_quarantine_count(t) != 0;
	store_read_end(&t);
	return has;
}

/* --- start and stop --- */

static void on_start(void *arg)
{
	struct upkeep *u = arg;

	must(uv_timer_init(loop_uv(u->home), &u->timer) == 0);
	u->timer.data = u;
	if (has_quarantined(u)) {
		u->change = (struct change){.kind = CHANGE_RETRY};
		submit(u, on_retried);
	} else {
		arm(u, 0);
	}
}

static void on_stop(void *arg)
{
	struct upkeep *u = arg;

	u->is_stopping = true;
	uv_close((uv_handle_t *)&u->timer, on_closed);
}

int upkeep_start(struct server *s, struct loop *home, struct upkeep **out)
{
	struct upkeep *u = mem_zalloc(1, sizeof(*u));
	int rc;

	if (u == NULL)
		return RC_NOMEM;
	u->server = s;
	u->home = home;
	u->lifetime_s = s->config.tombstone_lifetime_s;
	arena_init(&u->arena);
	if (uv_sem_init(&u->stopped, 0) != 0) {
		mem_free(u);
		return RC_NOMEM;
	}
	rc = loop_post(home, on_start, u);
	if (rc != RC_OK) {
		uv_sem_destroy(&u->stopped);
		mem_free(u);
		return rc;
	}
	*out = u;
	return RC_OK;
}

void upkeep_stop(struct upkeep **u)
{
	if (*u == NULL)
		return;
	must(loop_post((*u)->home, on_stop, *u) == RC_OK);
	uv_sem_wait(&(*u)->stopped);
	uv_sem_destroy(&(*u)->stopped);
	mem_free(*u);
	*u = NULL;
}
