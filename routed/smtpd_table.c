#include "routed/smtpd_table.h"

#include <assert.h>

/* --- imsg --- */

struct imsg_header {
	uint32_t type;
	uint16_t length, flags;
	uint32_t peer, pid;
};
static_assert(sizeof(struct imsg_header) == 16, "as smtpd sends it");

enum imsg_type { /* PROC_TABLE_* of smtpd-api.h */
		 IMSG_OK,
		 IMSG_FAIL,
		 IMSG_OPEN,
		 IMSG_CLOSE,
		 IMSG_UPDATE,
		 IMSG_CHECK,
		 IMSG_LOOKUP,
		 IMSG_FETCH
};
#define IMSG_VERSION 2u
#define IMSG_MAX_BYTES 16384

static int take_u32(struct span *s, uint32_t *out)
{
	if (s->n < sizeof(*out))
		return RC_INVALID;
	memcpy(out, s->p, sizeof(*out));
	*s = span_from(*s, sizeof(*out));
	return RC_OK;
}

/* u32 service | size_t number of parameters, always 0 */
static int skip_service(struct span *data)
{
	uint32_t service;
	size_t params;

	if (take_u32(data, &service) != RC_OK || data->n < sizeof(params))
		return RC_INVALID;
	memcpy(&params, data->p, sizeof(params));
	*data = span_from(*data, sizeof(params));
	return params == 0 ? RC_OK : RC_INVALID;
}

static int take_key(struct span data, struct span *key)
{
	return span_cut(&data, '\0', key) && data.n == 0 ? RC_OK : RC_INVALID;
}

static int take_open(struct span data, struct span *table)
{
	uint32_t version;

	if (take_u32(&data, &version) != RC_OK || version != IMSG_VERSION)
		return RC_INVALID;
	return span_cut(&data, '\0', table) ? RC_OK : RC_INVALID;
}

static int read_body(uint32_t type, struct span data, struct smtpd_request *out)
{
	int rc = RC_OK;

	switch (type) { /* from outside */
	case IMSG_OPEN:
		out->kind = SMTPD_OPEN;
		return take_open(data, &out->table);
	case IMSG_CLOSE:
		out->kind = SMTPD_CLOSE;
		return RC_OK;
	case IMSG_UPDATE:
		out->kind = SMTPD_UPDATE;
		return RC_OK;
	case IMSG_CHECK:
	case IMSG_LOOKUP:
		out->kind = type == IMSG_CHECK ? SMTPD_CHECK : SMTPD_LOOKUP;
		rc = skip_service(&data);
		return rc == RC_OK ? take_key(data, &out->key) : rc;
	case IMSG_FETCH:
		out->kind = SMTPD_FETCH;
		return skip_service(&data);
	default:
		return RC_INVALID;
	}
}

static int read_imsg(struct span in, struct smtpd_request *out, size_t *used)
{
	struct imsg_header h;

	if (in.n < sizeof(h))
		return RC_MORE;
	memcpy(&h, in.p, sizeof(h));
	if (h.length < sizeof(h) || h.length > IMSG_MAX_BYTES)
		return RC_INVALID;
	if (in.n < h.length)
		return RC_MORE;
	*used = h.length;
	return read_body(h.type, span_from(span_head(in, h.length), sizeof(h)), out);
}

/* int of the answer, as table_proc.c reads it */
static int number_of(enum smtpd_result result)
{
	switch (result) {
	case SMTPD_FOUND:
		return 1;
	case SMTPD_ABSENT:
		return 0;
	case SMTPD_FAILED:
		break;
	}
	return -1;
}

static void write_imsg(const struct smtpd_request *q, enum smtpd_result result, struct span value,
		       struct buf *out)
{
	bool with_value =
		result == SMTPD_FOUND && (q->kind == SMTPD_LOOKUP || q->kind == SMTPD_FETCH);
	struct imsg_header h = {.type = IMSG_OK, .length = sizeof(h)};
	int n = number_of(result);

	if (q->kind != SMTPD_OPEN)
		h.length = (uint16_t)(h.length + sizeof(n));
	if (with_value) {
		value = span_head(value, IMSG_MAX_BYTES - sizeof(h) - sizeof(n) - 1);
		h.length = (uint16_t)(h.length + value.n + 1);
	}
	buf_put(out, span_make(&h, sizeof(h)));
	if (q->kind != SMTPD_OPEN)
		buf_put(out, span_make(&n, sizeof(n)));
	if (with_value) {
		buf_put(out, value);
		buf_putc(out, '\0');
	}
}

/* --- lines --- */

/* "NAME|lookup|SERVICE|ID|KEY" behind "table|0.1|TIME|"; update has an id alone. */
static int read_query(struct span rest, struct smtpd_request *out)
{
	static const struct {
		const char *word;
		enum smtpd_request_kind kind;
	} words[] = {{"check", SMTPD_CHECK}, {"lookup", SMTPD_LOOKUP}, {"fetch", SMTPD_FETCH}};
	struct span word, service;
	size_t i;

	if (!span_cut(&rest, '|', &out->table) || !span_cut(&rest, '|', &word))
		return RC_INVALID;
	if (span_eq(word, SPAN_LIT("update"))) {
		out->kind = SMTPD_UPDATE;
		out->id = rest;
		return RC_OK;
	}
	if (!span_cut(&rest, '|', &service))
		return RC_INVALID;
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!span_eq(word, span_of(words[i].word)))
			continue;
		out->kind = words[i].kind;
		if (out->kind == SMTPD_FETCH)
			out->id = rest;
		else if (!span_cut(&rest, '|', &out->id))
			return RC_INVALID;
		out->key = out->kind == SMTPD_FETCH ? span_make(NULL, 0) : rest;
		return RC_OK;
	}
	return RC_INVALID;
}

static int read_line(struct span line, struct smtpd_request *out)
{
	struct span word, version, time;

	if (!span_cut(&line, '|', &word))
		return RC_INVALID;
	if (span_eq(word, SPAN_LIT("config"))) {
		out->kind = span_eq(line, SPAN_LIT("ready")) ? SMTPD_OPEN : SMTPD_CONFIG;
		if (span_starts(line, SPAN_LIT("tablename|")))
			out->table = span_from(line, sizeof("tablename|") - 1);
		return RC_OK;
	}
	if (!span_eq(word, SPAN_LIT("table")) || !span_cut(&line, '|', &version) ||
	    !span_eq(version, SPAN_LIT("0.1")) || !span_cut(&line, '|', &time))
		return RC_INVALID;
	return read_query(line, out);
}

static void write_line(const struct smtpd_request *q, enum smtpd_result result, struct span value,
		       struct buf *out)
{
	static const char *const words[] = {[SMTPD_UPDATE] = "update",
					    [SMTPD_CHECK] = "check",
					    [SMTPD_LOOKUP] = "lookup",
					    [SMTPD_FETCH] = "fetch"};
	static const char *const results[] = {
		[SMTPD_FOUND] = "found", [SMTPD_ABSENT] = "not-found", [SMTPD_FAILED] = "error"};
	const char *word =
		q->kind == SMTPD_UPDATE && result == SMTPD_FOUND ? "ok" : results[result];
	bool with_value =
		result == SMTPD_FAILED ||
		(result == SMTPD_FOUND && (q->kind == SMTPD_LOOKUP || q->kind == SMTPD_FETCH));

	if (q->kind == SMTPD_OPEN) {
		buf_puts(out, "register|domain\nregister|mailaddr\nregister|relayhost\n"
			      "register|string\nregister|ready\n");
		return;
	}
	buf_printf(out, "%s-result|%.*s|%s", words[q->kind], SPAN_ARG(q->id), word);
	if (with_value)
		buf_printf(out, "|%.*s", SPAN_ARG(value));
	buf_putc(out, '\n');
}

/* --- both --- */

int smtpd_table_read(enum smtpd_protocol *protocol, struct span in, struct smtpd_request *out,
		     size_t *used)
{
	struct span rest = span_head(in, SMTPD_REQUEST_MAX_BYTES), line;

	*out = (struct smtpd_request){.kind = SMTPD_CONFIG};
	if (in.n == 0)
		return RC_MORE;
	if (*protocol == SMTPD_UNKNOWN)
		*protocol = in.p[0] == 'c' ? SMTPD_LINES : SMTPD_IMSG;
	if (*protocol == SMTPD_IMSG)
		return read_imsg(in, out, used);
	if (!span_cut(&rest, '\n', &line))
		return in.n < SMTPD_REQUEST_MAX_BYTES ? RC_MORE : RC_INVALID;
	*used = line.n + 1;
	return read_line(line, out);
}

void smtpd_table_write(enum smtpd_protocol protocol, const struct smtpd_request *q,
		       enum smtpd_result result, struct span value, struct buf *out)
{
	if (q->kind == SMTPD_CONFIG || q->kind == SMTPD_CLOSE)
		return;
	if (protocol == SMTPD_LINES)
		write_line(q, result, value, out);
	else
		write_imsg(q, result, value, out);
}
