/*
 * The controls and messages of LDAP Content Synchronization (RFC 4533 §2), read strictly.
 *
 * A value that breaks the grammar, carries a UUID of another length or an unknown state or choice
 * is RC_INVALID: a consumer that guessed would end up with other content than the provider. Pure,
 * on liblber.
 */
#pragma once

#include "lib/arena.h"
#include "lib/rc.h"

#define SYNCCTL_REQUEST_OID "1.3.6.1.4.1.4203.1.9.1.1"
#define SYNCCTL_STATE_OID "1.3.6.1.4.1.4203.1.9.1.2"
#define SYNCCTL_DONE_OID "1.3.6.1.4.1.4203.1.9.1.3"
#define SYNCCTL_INFO_OID "1.3.6.1.4.1.4203.1.9.1.4"

/** e-syncRefreshRequired (RFC 4533 §2.6). */
#define SYNCCTL_REFRESH_REQUIRED 4096

#define SYNCCTL_UUID_BYTES 16
#define SYNCCTL_COOKIE_MAX_BYTES (64u * 1024)

struct syncctl_uuid {
	uint8_t b[SYNCCTL_UUID_BYTES];
};

enum syncctl_state_kind {
	SYNCCTL_PRESENT = 0,
	SYNCCTL_ADD = 1,
	SYNCCTL_MODIFY = 2,
	SYNCCTL_DELETE = 3,
};

struct syncctl_cookie {
	bool present;
	struct span value;
};

struct syncctl_state {
	enum syncctl_state_kind kind;
	struct syncctl_uuid uuid;
	struct syncctl_cookie cookie;
};

struct syncctl_done {
	struct syncctl_cookie cookie;
	bool refresh_deletes;
};

enum syncctl_info_kind {
	SYNCCTL_NEW_COOKIE = 0,
	SYNCCTL_REFRESH_DELETE = 1,
	SYNCCTL_REFRESH_PRESENT = 2,
	SYNCCTL_ID_SET = 3,
};

struct syncctl_info {
	enum syncctl_info_kind kind;
	struct syncctl_cookie cookie;
	bool refresh_done;          /* of the two phase ends */
	bool refresh_deletes;       /* of an id set */
	struct syncctl_uuid *uuids; /* of an id set */
	unsigned nuuids;
};

/**
 * Read a control value. Cookies point into `ber`.
 * Returns  RC_OK, or RC_INVALID and a static text in *why.
 * Source:  RFC 4533 §2.3, §2.4.
 */
int syncctl_read_state(struct span ber, struct syncctl_state *out, const char **why) WARN_UNUSED;
int syncctl_read_done(struct span ber, struct syncctl_done *out, const char **why) WARN_UNUSED;

/** Read a Sync Info Message; its UUIDs lie in the arena. RC_NOMEM too. Source: RFC 4533 §2.5. */
int syncctl_read_info(struct arena *a, struct span ber, struct syncctl_info *out,
		      const char **why) WARN_UNUSED;

/**
 * The value of a refreshAndPersist request control, in the arena.
 * An absent cookie asks for the whole content. Source: RFC 4533 §2.2.
 */
int syncctl_write_request(struct arena *a, const struct syncctl_cookie *cookie,
			  struct span *out) WARN_UNUSED;
