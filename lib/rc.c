#include "lib/rc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

const char *rc_text(int rc)
{
	switch (rc) {
#define RC_TEXT(name, value, text)                                                                 \
	case value:                                                                                \
		return text;
		RC_MAP(RC_TEXT)
#undef RC_TEXT
	default:
		return "unknown code";
	}
}

int rc_from_errno(int err)
{
	switch (err) {
	case 0:
		return RC_OK;
	case ENOMEM:
		return RC_NOMEM;
	case ENOENT:
	case ENOTDIR:
		return RC_NOTFOUND;
	case EEXIST:
		return RC_EXISTS;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return RC_FULL;
	case EACCES:
	case EPERM:
	case EROFS:
		return RC_DENIED;
	case EBUSY:
	case EADDRINUSE:
		return RC_BUSY;
	case ECONNREFUSED:
		return RC_REFUSED;
	case ECONNRESET:
	case EPIPE:
		return RC_CLOSED;
	case ETIMEDOUT:
		return RC_TIMEOUT;
	case EINVAL:
		return RC_INVALID;
	default:
		return RC_IO;
	}
}

void rc_must_failed(const char *cond, const char *file, int line)
{
	fprintf(stderr, "broken invariant: %s at %s:%d\n", cond, file, line);
	abort();
}
