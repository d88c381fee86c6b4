#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "lib/log.h"

#define STEPS 1200
#define QUIET_MS (20 * 60 * 1000)

struct world w;
struct schema *sim_schema;

static uint64_t rng;
static bool is_tracing;
static char folder[64];

uint32_t draw(uint32_t below)
{
	rng = rng * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(rng >> 33) % below;
}

bool chance(uint32_t in)
{
	return draw(in) == 0;
}

int fill_random(void *p, size_t n)
{
	uint8_t *at = p;

	while (n-- > 0)
		*at++ = (uint8_t)draw(256);
	return RC_OK;
}

static void remove_folder(void)
{
	char command[128];

	if (folder[0] == 0)
		return;
	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	if (system(command) != 0)
		fprintf(stderr, "%s could not be removed\n", folder);
	folder[0] = 0;
}

void sim_fail(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	remove_folder();
	printf("%sseed %llu, step %llu, at %llu ms: ", plant != PLANT_NONE ? "found: " : "",
	       (unsigned long long)w.seed, (unsigned long long)w.steps,
	       (unsigned long long)w.now_ms);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	if (plant == PLANT_NONE)
		printf("again: tests/sim/sim --seed %llu --trace\n", (unsigned long long)w.seed);
	fflush(stdout);
	_exit(plant != PLANT_NONE ? 0 : 1);
}

void trace(const char *format, ...)
{
	va_list args;

	if (!is_tracing)
		return;
	printf("%7llu ", (unsigned long long)w.now_ms);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
}

/* --- the world --- */

static void open_world(uint64_t seed, const struct shape *shape)
{
	memset(&w, 0, sizeof(w));
	w.seed = seed;
	rng = seed * 0x9e3779b97f4a7c15ull + 1;
	strcpy(folder, access("/dev/shm", W_OK) == 0 ? "/dev/shm/waypost-sim-XXXXXX"
						     : "/tmp/waypost-sim-XXXXXX");
	need(mkdtemp(folder) != NULL);
	world_open(seed, shape, folder);
}

static void close_world(void)
{
	world_close();
	remove_folder();
}

/* --- steps --- */

static void write_somewhere(void)
{
	struct context *c = &w.contexts[draw(w.ncontexts)];
	unsigned burst = chance(10) ? 20 : 1;

	while (c->home != NULL && c->home->is_up && c->home->is_released && burst-- > 0)
		site_write(c);
}

static void step(void)
{
	w.steps++;
	w.now_ms += chance(40) ? draw(4000) : draw(30);
	wrong_restart_due(false);
	if (w.only_moves || chance(3))
		write_somewhere();
	if (chance(25))
		wrong_something();
	if (w.leaver != NULL && chance(400))
		remove_now();
	if (w.has_new_links && chance(50))
		links_change();
	if (w.is_plain && chance(200))
		poison_retry(&w.sites[draw(w.nsites)]);
	if (chance(30))
		site_collect(&w.sites[draw(w.nsites)]);
	if (w.backed_up != NULL && chance(100))
		wrong_back_up(w.backed_up);
	if (w.steps % 4 == 0)
		remove_pieces();
	net_run();
	wrong_crash_without_power();
}

/* --- the end: nothing goes wrong any more, and everything flows --- */

static bool is_equal(void)
{
	struct position at[SIM_CONTEXTS];
	struct store_nc nc;
	struct store_txn *t;
	bool equal = true;
	unsigned i, j;

	for (j = 0; j < w.ncontexts; j++) {
		if (w.contexts[j].home == NULL)
			return false;
		need(store_read_begin(w.contexts[j].home->store, &t) == RC_OK);
		equal &= store_nc_find(t, &w.contexts[j].id, &nc) == RC_OK && !nc.is_recovering &&
			 w.contexts[j].home->is_released && w.contexts[j].home->finding == NULL;
		at[j] = nc.position;
		store_read_end(&t);
	}
	for (i = 0; i < w.nsites && equal; i++) {
		if (remove_is_gone(&w.sites[i]))
			continue;
		need(store_read_begin(w.sites[i].store, &t) == RC_OK);
		equal = !update_is_forgetting(t);
		for (j = 0; j < w.ncontexts && equal; j++)
			equal = remove_is_gone(w.contexts[j].home) ||
				(store_nc_find(t, &w.contexts[j].id, &nc) == RC_OK &&
				 !nc.is_recovering && nc.position.usn == at[j].usn &&
				 position_same_life(&nc.position, &at[j]) &&
				 proof_is_present(t, &nc));
		store_read_end(&t);
	}
	return equal;
}

static void settle(void)
{
	uint64_t end = w.now_ms + QUIET_MS;
	unsigned i, j;

	w.is_quiet = true;
	wrong_partition(true);
	wrong_restart_due(true);
	world_join_all();
	for (i = 0; i < w.nsites; i++) {
		if (w.sites[i].is_up)
			history_positions(&w.sites[i]);
	}
	for (i = 0; i < w.nsites; i++)
		poison_retry(&w.sites[i]);
	while (!is_equal() && w.now_ms < end) {
		remove_now();
		world_join_all();
		for (i = 0; i < 100; i++) {
			w.now_ms += 20 + (end - w.now_ms < QUIET_MS / 2 ? 200 : 0);
			net_run();
			remove_pieces();
		}
	}
	for (j = 0; j < w.ncontexts; j++) {
		if (w.contexts[j].is_adrift) /* nobody knew more */
			history_recovered(w.contexts[j].home, &w.contexts[j].id);
	}
	for (j = 0; j < w.ncontexts; j++)
		history_check_returned(&w.contexts[j]);
	for (i = 0; i < w.nsites; i++) {
		if (!w.sites[i].is_member)
			sim_fail("at quiet, site %u could not join", i);
		if (remove_is_gone(&w.sites[i]))
			continue;
		remove_check(&w.sites[i]);
		for (j = 0; j < w.ncontexts; j++) {
			if (remove_is_gone(w.contexts[j].home))
				continue;
			history_check(&w.sites[i], &w.contexts[j]);
			history_check_equal(&w.sites[i], &w.contexts[j]);
		}
		history_check_database(&w.sites[i]);
	}
}

static void tell_totals(void)
{
	trace("seed %llu: %llu changes, %llu commits, %llu sessions, %llu crashes, %llu without "
	      "power, %llu splits, %llu jumps of clocks, %llu joins, %llu lives, %llu restores, "
	      "%llu recoveries, %llu writes without room, %llu syncs that failed",
	      (unsigned long long)w.seed, (unsigned long long)w.changes,
	      (unsigned long long)w.commits, (unsigned long long)w.sessions,
	      (unsigned long long)w.crashes, (unsigned long long)w.tears,
	      (unsigned long long)w.partitions, (unsigned long long)w.jumps,
	      (unsigned long long)w.joins, (unsigned long long)w.lives,
	      (unsigned long long)w.restores, (unsigned long long)w.recoveries,
	      (unsigned long long)w.full, (unsigned long long)w.eios);
	trace("%llu tombstones collected, %llu present phases, %llu parked, %llu foreign, %llu "
	      "checks, %llu s, %llu lies, %llu refusals, %llu tries of poison, %llu pieces of "
	      "removals, %llu links changed",
	      (unsigned long long)w.collected, (unsigned long long)w.presents,
	      (unsigned long long)w.parked, (unsigned long long)w.foreign,
	      (unsigned long long)w.checked, (unsigned long long)w.now_ms / 1000,
	      (unsigned long long)w.lies, (unsigned long long)w.refusals,
	      (unsigned long long)w.poisoned, (unsigned long long)w.forgetting,
	      (unsigned long long)w.relinks);
}

static void run_seed(uint64_t seed, const struct shape *shape)
{
	long blocks = mem_live_blocks();
	unsigned i;

	open_world(seed, shape);
	for (i = 0; i < STEPS; i++)
		step();
	settle();
	tell_totals();
	close_world();
	if (mem_live_blocks() != blocks)
		sim_fail("%ld blocks of memory leaked", mem_live_blocks() - blocks);
}

/* R6: in a ring of 5 each of 1,000 changes is applied once at each other site, and costs at most
 * two data messages an edge. */
static int run_ring(uint64_t seed)
{
	static const struct shape ring = {.nsites = 5, .topology = "ring", .is_calm = true};
	unsigned i, changes = 1000;
	uint64_t applied;

	open_world(seed, &ring);
	settle();
	applied = w.applied;
	w.messages = 0;
	for (i = 0; i < changes; i++) {
		site_add_numbered(&w.contexts[draw(w.ncontexts)], i);
		w.now_ms += draw(10);
		net_run();
	}
	settle();
	printf("%u changes: %llu applied, %llu data messages\n", changes,
	       (unsigned long long)(w.applied - applied), (unsigned long long)w.messages);
	if (w.applied - applied != 4 * changes || w.messages > 2 * 5 * changes)
		sim_fail("more than once, or too many messages");
	close_world();
	return 0;
}

/* R17 */
static int run_moves(uint64_t seed, uint64_t steps)
{
	static const struct shape shape = {.nsites = 3, .topology = "chain", .only_moves = true};
	uint64_t done = 0, views = 0, changes = 0;

	for (; done < steps; seed++) {
		run_seed(seed, &shape);
		done += w.steps;
		views += w.views;
		changes += w.changes;
	}
	printf("%llu steps, %llu changes, %llu looks\n", (unsigned long long)done,
	       (unsigned long long)changes, (unsigned long long)views);
	return 0;
}

/* --- the program --- */

static const char usage[] =
	"Usage: sim [--seed N [--trace]] [--first N] [--seeds N] [--seconds N] [--plant NAME]\n"
	"           [--topology NAME --sites N] [--restores] [--lies] | --ring | --moves STEPS\n"
	"\n"
	"  --seed N      one world\n"
	"  --trace       tell what happens\n"
	"  --seeds N     worlds 1 to N (default 1000)\n"
	"  --first N     do not begin at 1\n"
	"  --seconds N   as many of them as fit into N seconds\n"
	"  --plant NAME  with this bug; exit status 0 when it is found\n"
	"  --plants      list the bugs\n"
	"  --topology T  hub, chain, ring, mesh or random, of --sites N (up to 50)\n"
	"  --restores    one site is put back to older backups, up to four times\n"
	"  --lies        the hub alters what it passes on\n"
	"  --ring        count what a change costs in a calm ring of five\n"
	"  --moves N     N steps of moves and names used again, looked at by readers\n";

static int list_plants(void)
{
	unsigned i;

	for (i = 1; i < PLANT_COUNT; i++)
		puts(plant_names[i]);
	return 0;
}

static bool find_plant(const char *name)
{
	unsigned i;

	for (i = 1; i < PLANT_COUNT; i++) {
		if (strcmp(name, plant_names[i]) == 0)
			plant = i;
	}
	return plant != PLANT_NONE;
}

static int run(uint64_t first, uint64_t last, uint64_t seconds, const struct shape *shape)
{
	time_t end = time(NULL) + (time_t)seconds;
	uint64_t seed;

	for (seed = first; seed <= last && (seconds == 0 || time(NULL) < end); seed++)
		run_seed(seed, shape);
	if (plant != PLANT_NONE)
		printf("not found: %s, seeds %llu to %llu\n", plant_names[plant],
		       (unsigned long long)first, (unsigned long long)seed - 1);
	else
		printf("seeds %llu to %llu\n", (unsigned long long)first,
		       (unsigned long long)seed - 1);
	return plant != PLANT_NONE ? 1 : 0;
}

static int bad_usage(void)
{
	fputs(usage, stderr);
	return 2;
}

int main(int argc, char **argv)
{
	uint64_t first = 1, last = 1000, seconds = 0, moves = 0;
	struct shape shape = {.nsites = 0};
	bool ring = false;
	struct buf errors;
	int i, rc;

	for (i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : NULL;

		if (strcmp(argv[i], "--trace") == 0) {
			is_tracing = true;
			continue;
		}
		if (strcmp(argv[i], "--plants") == 0)
			return list_plants();
		if (strcmp(argv[i], "--lies") == 0) {
			shape.has_lies = true;
			continue;
		}
		if (strcmp(argv[i], "--restores") == 0) {
			shape.has_restores = true;
			continue;
		}
		if (strcmp(argv[i], "--ring") == 0) {
			ring = true;
			continue;
		}
		if (value == NULL)
			return bad_usage();
		if (strcmp(argv[i], "--seed") == 0)
			first = last = strtoull(value, NULL, 10);
		else if (strcmp(argv[i], "--first") == 0)
			first = strtoull(value, NULL, 10);
		else if (strcmp(argv[i], "--seeds") == 0)
			last = strtoull(value, NULL, 10);
		else if (strcmp(argv[i], "--seconds") == 0)
			seconds = strtoull(value, NULL, 10);
		else if (strcmp(argv[i], "--moves") == 0)
			moves = strtoull(value, NULL, 10);
		else if (strcmp(argv[i], "--topology") == 0)
			shape.topology = value;
		else if (strcmp(argv[i], "--sites") == 0)
			shape.nsites = (unsigned)strtoul(value, NULL, 10);
		else if (strcmp(argv[i], "--plant") != 0 || !find_plant(value))
			return bad_usage();
		i++;
	}
	log_set_fd(-1);
	buf_init(&errors, 1 << 20);
	rc = schema_load(SCHEMADIR, &sim_schema, &errors);
	if (rc != RC_OK) {
		fprintf(stderr, "%s: %.*s\n", SCHEMADIR, (int)errors.n, (const char *)errors.p);
		return 2;
	}
	buf_fini(&errors);
	poison_open();
	if (ring)
		rc = run_ring(first);
	else if (moves != 0)
		rc = run_moves(first, moves);
	else
		rc = run(first, last, seconds, &shape);
	poison_close();
	schema_free(&sim_schema);
	return rc;
}
