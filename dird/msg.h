/*
 * LDAPMessage to struct and back (RFC 4511 §4), both directions: dird answers clients and asks
 * partners.
 *
 * Reading borrows from the frame; lists lie in the arena.
 */
#pragma once

#include "dird/change.h"
#include "dird/result.h"
#include "dird/tlv.h"

enum msg_op { /* numbers of the protocol's APPLICATION tags */
	      MSG_BIND_REQUEST = 0,
	      MSG_BIND_RESPONSE = 1,
	      MSG_UNBIND = 2,
	      MSG_SEARCH_REQUEST = 3,
	      MSG_SEARCH_ENTRY = 4,
	      MSG_SEARCH_DONE = 5,
	      MSG_MODIFY_REQUEST = 6,
	      MSG_MODIFY_RESPONSE = 7,
	      MSG_ADD_REQUEST = 8,
	      MSG_ADD_RESPONSE = 9,
	      MSG_DELETE_REQUEST = 10,
	      MSG_DELETE_RESPONSE = 11,
	      MSG_MODDN_REQUEST = 12,
	      MSG_MODDN_RESPONSE = 13,
	      MSG_COMPARE_REQUEST = 14,
	      MSG_COMPARE_RESPONSE = 15,
	      MSG_ABANDON = 16,
	      MSG_SEARCH_REFERENCE = 19,
	      MSG_EXTENDED_REQUEST = 23,
	      MSG_EXTENDED_RESPONSE = 24,
	      MSG_INTERMEDIATE = 25,
};

#define MSG_MAX_CONTROLS 32

struct msg_control {
	struct span oid;
	bool critical;
	bool has_value;
	struct span value;
};

struct msg_bind {
	int64_t version;
	struct span name;
	bool is_other; /* an authentication choice that RFC 4511 does not have */
	bool is_sasl;
	struct span password;  /* simple */
	struct span mechanism; /* SASL */
	bool has_credentials;
	struct span credentials;
};

struct msg_search {
	struct span base;
	int64_t scope; /* 0 base, 1 one, 2 sub, 3 subordinate */
	int64_t deref;
	int64_t size_limit;
	int64_t time_limit;
	bool types_only;
	struct span filter; /* the Filter element, see filter_read() */
	struct span *attrs;
	unsigned nattrs;
};

struct msg_modify {
	struct span dn;
	struct change_mod *mods;
	unsigned nmods;
};
struct msg_add {
	struct span dn;
	struct attr_list attrs;
};
struct msg_moddn {
	struct span dn, new_rdn;
	bool delete_old_rdn, has_new_superior;
	struct span new_superior;
};
struct msg_compare {
	struct span dn, type, value;
};
struct msg_extended {
	struct span oid;
	bool has_value;
	struct span value;
};

/* what a partner answers */
struct msg_entry {
	struct span dn;
	struct attr_list attrs;
};
struct msg_result {
	int64_t code;
	struct span matched, text;
	struct span oid;   /* EXTENDED_RESPONSE: responseName, "" if none */
	struct span value; /* EXTENDED_RESPONSE: responseValue; BIND_RESPONSE: serverSaslCreds */
};
struct msg_intermediate {
	struct span oid;
	struct span value;
};

struct msg {
	int32_t id;
	size_t bytes; /* of the whole message */
	enum msg_op op;
	union {
		struct msg_bind bind;
		struct msg_search search;
		struct msg_modify modify;
		struct msg_add add;
		struct span delete_dn;
		struct msg_moddn moddn;
		struct msg_compare compare;
		int32_t abandon_id;
		struct msg_extended extended;
		struct msg_entry entry;
		struct msg_result result; /* every ...RESPONSE and SEARCH_DONE */
		struct msg_intermediate intermediate;
	} u;
	struct msg_control controls[MSG_MAX_CONTROLS];
	unsigned ncontrols;
};

/**
 * Decode one whole LDAPMessage (SEQUENCE included).
 * Errors   RC_INVALID, RC_UNSUPPORTED (unknown operation), RC_TOOBIG (controls), RC_NOMEM; *why
 * (static) says what is wrong. *fatal_out: the session must end with a notice of disconnection (RFC
 * 4511 §4.1.1), else out->id and out->op are valid for an error answer.
 */
int msg_read(struct span frame, struct arena *a, struct msg *out, bool *fatal_out,
	     const char **why) WARN_UNUSED;

const struct msg_control *msg_control(const struct msg *m, const char *oid);

/** LDAPMessage with an LDAPResult; `extra` is appended inside the operation (serverSaslCreds,
 * responseName ...), controls behind. */
void msg_write_result(struct buf *out, int32_t id, enum msg_op op, const struct result *r,
		      struct span extra, const struct msg_control *controls, unsigned ncontrols);
/** A continuation reference of a search (RFC 4511 §4.5.3). */
void msg_write_reference(struct buf *out, int32_t id, const struct span *uris, unsigned n);
void msg_write_intermediate(struct buf *out, int32_t id, const char *oid, struct span value);
/** One Control. */
void msg_write_control(struct buf *out, const struct msg_control *control);
/** Controls [0] element, or nothing. */
void msg_write_controls(struct buf *out, const struct msg_control *controls, unsigned ncontrols);

/* requests, for the consumer; a search's filter is a whole Filter element, value.p NULL leaves the
 * value out */
void msg_write_sasl_external(struct buf *out, int32_t id);
void msg_write_search(struct buf *out, int32_t id, const struct msg_search *s,
		      const struct msg_control *controls, unsigned ncontrols);
void msg_write_extended(struct buf *out, int32_t id, const char *oid, struct span value);
