#include "dird/collate.h"

#include "lib/arena.h"
#include "lib/text.h"

#include <threads.h>
#include <unicode/ucol.h>
#include <unicode/ustring.h>

#define STACK_UNITS 256
#define FIRST_KEY_BYTES 256
#define VALUE_MAX_BYTES (1024 * 1024)

static once_flag collator_once = ONCE_FLAG_INIT;
static UCollator *collator; /* of the whole process; NULL: ICU lacks its data, or memory */

static void open_collator(void)
{
	UErrorCode err = U_ZERO_ERROR;

	collator = ucol_open("", &err);
	if (U_SUCCESS(err))
		ucol_setAttribute(collator, UCOL_NORMALIZATION_MODE, UCOL_ON, &err);
	if (U_SUCCESS(err))
		return;
	ucol_close(collator);
	collator = NULL;
}

static const UCollator *root_collator(void)
{
	call_once(&collator_once, open_collator);
	return collator;
}

uint32_t collate_version(void)
{
	const UCollator *c = root_collator();
	UVersionInfo v;

	if (c == NULL)
		return 0;
	ucol_getVersion(c, v);
	return (uint32_t)v[0] << 24 | (uint32_t)v[1] << 16 | (uint32_t)v[2] << 8 | v[3];
}

static int put_key(const UCollator *c, const UChar *text, int32_t n, struct buf *out)
{
	uint8_t first[FIRST_KEY_BYTES], *at = first;
	int32_t need = ucol_getSortKey(c, text, n, first, sizeof(first));

	if (need <= 0)
		return RC_NOMEM;
	/* ICU ends a key with a zero byte, which nobody needs. */
	if (need > (int32_t)sizeof(first)) {
		at = buf_extend(out, (size_t)need);
		if (at != NULL)
			ucol_getSortKey(c, text, n, at, need);
		if (at != NULL)
			buf_truncate(out, out->n - 1);
		return buf_rc(out);
	}
	buf_put(out, span_make(first, (size_t)need - 1));
	return buf_rc(out);
}

/* `text` is prepared, so it is well-formed. */
static int put_text(const UCollator *c, struct span text, struct buf *out)
{
	UChar stack[STACK_UNITS], *units = stack;
	UErrorCode err = U_ZERO_ERROR;
	int32_t n = 0;
	int rc = RC_NOMEM;

	if (text.n > STACK_UNITS)
		units = mem_alloc(text.n * sizeof(*units));
	if (units == NULL)
		return RC_NOMEM;
	u_strFromUTF8(units, (int32_t)(text.n > STACK_UNITS ? text.n : STACK_UNITS), &n,
		      (const char *)text.p, (int32_t)text.n, &err);
	/* Text that fills the array ends without a terminator, which is a warning. */
	if (U_SUCCESS(err))
		rc = put_key(c, units, n, out);
	if (units != stack)
		mem_free(units);
	return rc;
}

int collate_key(struct span value, struct buf *out)
{
	const UCollator *c = root_collator();
	struct buf text;
	int rc;

	if (c == NULL)
		return RC_NOMEM;
	if (value.n > VALUE_MAX_BYTES)
		return RC_TOOBIG;
	buf_init(&text, 64 * VALUE_MAX_BYTES);
	rc = text_prepare(value, TEXT_IGNORE_CASE, TEXT_WHOLE, &text);
	if (rc == RC_OK)
		rc = put_text(c, buf_span(&text), out);
	buf_fini(&text);
	return rc;
}
