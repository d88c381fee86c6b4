/*
 * Another process runs as this site, too: a partner has seen both. Nothing is originated until an
 * administrator has chosen this one; then partners are asked for everything that either has
 * written.
 */
#include "dird/repl_int.h"

#include "dird/twins.h"
#include "lib/log.h"

#include <sys/random.h>

void repl_twin_start(struct repl *r)
{
	if (getrandom(r->instance.b, UUID_BYTES, 0) != UUID_BYTES)
		log_error(NULL, "repl.instance", "error=\"no random numbers\"");
}

void repl_twin_value(const struct repl *r, uint8_t out[static TWINS_VALUE_BYTES])
{
	memcpy(out, r->instance.b, UUID_BYTES);
	out[UUID_BYTES] = r->is_chosen;
}

void repl_twin_refused(struct repl_peer *p, const struct msg_result *result)
{
	struct log_ctx lc = {.site = p->partner.name};
	struct repl *r = p->repl;

	if (result->code != LR_UNWILLING || !span_starts(result->text, SPAN_LIT(TWINS_TEXT)) ||
	    r->is_twin)
		return;
	r->is_twin = true;
	writer_stop_origin(r->server->writer,
			   TWINS_TEXT ": stop the other one, then run sitectl take-over here");
	log_error(&lc, "repl.twin",
		  "reason=\"another dird with this site's key and data is running elsewhere; "
		  "changes of "
		  "this site are refused from now on\" action=\"stop the other one, then run: "
		  "sitectl take-over --config %s\"",
		  r->server->config.path);
}

static void on_take_over(void *arg)
{
	struct repl *r = arg;

	if (r->is_stopping)
		return;
	r->is_chosen = true;
	r->is_twin = false;
	writer_stop_origin(r->server->writer, NULL);
	log_warn(NULL, "repl.take_over", "reason=\"an administrator has chosen this copy\"");
	repl_recover_all(r);
}

int repl_take_over(struct repl *r)
{
	return loop_post(r->home, on_take_over, r);
}
