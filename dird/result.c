#include "dird/result.h"

#include "lib/rc.h"

#include <stdarg.h>
#include <stdio.h>

const char *result_name(enum ldap_result code)
{
	switch (code) {
#define LR_CASE(name, value, text)                                                                 \
	case name:                                                                                 \
		return text;
		LDAP_RESULT_MAP(LR_CASE)
#undef LR_CASE
	}
	return "unknown";
}

int result_set(struct result *r, struct arena *a, enum ldap_result code, const char *fmt, ...)
{
	va_list ap;
	char *text = NULL;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n >= 0)
		text = arena_alloc(a, (size_t)n + 1);
	if (text != NULL) {
		va_start(ap, fmt);
		vsnprintf(text, (size_t)n + 1, fmt, ap);
		va_end(ap);
	}
	r->code = code;
	r->text = text;
	return RC_REFUSED;
}
