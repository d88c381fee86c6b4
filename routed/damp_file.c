#include "routed/damp_file.h"

#include "routed/crc64.h"

#include <inttypes.h>
#include <stdio.h>

#define MAGIC "waypost-dampening "
#define FIRST_LINE MAGIC "1\n"
#define LAST_WORD "checksum "
#define LAST_BYTES (sizeof(LAST_WORD) - 1 + 16 + 1)
#define STAMP_MAX_BYTES 128

void damp_file_write(const struct damp_stamp *now, struct span lines, struct buf *out)
{
	size_t from = out->n;

	buf_printf(out, FIRST_LINE "boot %s mono %" PRIu64 " wall %" PRId64 "\n",
		   now->boot[0] != '\0' ? now->boot : "-", now->mono_ms, now->wall_us);
	buf_put(out, lines);
	buf_printf(out, LAST_WORD "%016" PRIx64 "\n", crc64(span_from(buf_span(out), from)));
}

static bool parse_stamp(struct span line, struct damp_stamp *out)
{
	char text[STAMP_MAX_BYTES];

	if (line.n >= sizeof(text))
		return false;
	memcpy(text, line.p, line.n);
	text[line.n] = '\0';
	return sscanf(text, "boot %39s mono %" SCNu64 " wall %" SCNd64, out->boot, &out->mono_ms,
		      &out->wall_us) == 3;
}

static uint64_t age_of(const struct damp_stamp *then, const struct damp_stamp *now)
{
	bool same_boot = now->boot[0] != '\0' && strcmp(then->boot, now->boot) == 0;

	if (same_boot && now->mono_ms >= then->mono_ms)
		return now->mono_ms - then->mono_ms;
	return now->wall_us > then->wall_us ? (uint64_t)(now->wall_us - then->wall_us) / 1000 : 0;
}

/* The last line holds the checksum of all before it. */
static bool is_whole(struct span file)
{
	char last[LAST_BYTES + 1];
	struct span head;

	if (file.n < LAST_BYTES)
		return false;
	head = span_head(file, file.n - LAST_BYTES);
	(void)snprintf(last, sizeof(last), LAST_WORD "%016" PRIx64 "\n", crc64(head));
	return span_eq(span_from(file, head.n), span_of(last));
}

int damp_file_read(struct span file, const struct damp_stamp *now, struct span *lines,
		   uint64_t *age_ms)
{
	struct damp_stamp then = {0};
	struct span rest = file, line;

	if (!span_starts(file, SPAN_LIT(MAGIC)) || !is_whole(file))
		return RC_CORRUPT;
	if (!span_starts(file, SPAN_LIT(FIRST_LINE)))
		return RC_UNSUPPORTED;
	rest = span_from(span_head(file, file.n - LAST_BYTES), sizeof(FIRST_LINE) - 1);
	if (!span_cut(&rest, '\n', &line) || !parse_stamp(line, &then))
		return RC_CORRUPT;
	*age_ms = age_of(&then, now);
	*lines = rest;
	return RC_OK;
}
