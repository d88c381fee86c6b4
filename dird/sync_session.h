/*
 * One content synchronization session, shared by the files of the provider:
 *
 *   sync.c          begin, stages, wake and end of sessions
 *   sync_request.c  what is asked for, by whom
 *   sync_slice.c    rows of the change order to messages, slice by slice
 *   sync_content.c  what belongs to the content
 *   sync_begin.c    what a cookie says; contexts and the first stage
 *   sync_send.c     the messages, cookies
 *   sync_heads.c    signed heads for partners
 *   sync_openldap.c what is different for slapd as a consumer
 *
 * Runs on the thread of its connection's loop.
 *
 * A pass goes through the change order of every context until one snapshot has nothing left; that
 * point is consistent and gets a cookie. The refresh stage is one pass, or two: with a present
 * phase, what went away while it ran is told in a delete phase behind it. The persist stage is a
 * pass after each commit.
 */
#pragma once

#include "dird/csn.h"
#include "dird/op_impl.h"
#include "dird/sync.h"
#include "lib/siphash.h"

#define SYNC_SLICE_ROWS 256
#define SYNC_SET_UUIDS 256
#define SYNC_COOKIE_ENTRIES 1000 /* a partner gets a cookie at least so often during a refresh */
#define SYNC_CHASE_SLICES 1000   /* a refresh stage follows new writes at most so long */
#define SYNC_HELD_MAX 200000

enum sync_stage {
	SYNC_STAGE_PRESENT, /* refresh: everything is sent or named, removals are not told */
	SYNC_STAGE_DELETE,  /* refresh: changes and removals */
	SYNC_STAGE_PERSIST,
};

/** How far one context is for this session. */
struct sync_nc {
	uint32_t number;
	struct position sent; /* life, and the usn up to which rows were looked at */
	unsigned npast;
	struct position *past; /* of that life, for partners; heap */
	uint64_t floor;        /* as this session has seen it */
	uint64_t here;         /* usn in the current snapshot */
	uint64_t usn;          /* our position; a home is told what is beyond it, too */
	struct position reach;
	struct vector asked; /* the lives that the home has named itself */
	uint64_t told;       /* usn in the last cookie */
	uint64_t begin;   /* of the cookie: rows up to it are named in a present phase, not sent */
	uint64_t settled; /* usn at the last consistent point */
	uint64_t pass_high; /* usn when this pass began */
	uint64_t named;     /* delete phase behind a present phase: live rows up to it were sent */
	bool is_ahead;      /* the partner is in a later life: nothing to send, nothing to say */
	bool is_here;       /* not removed with its site */
	bool is_own;        /* written here */
	bool is_home;       /* the partner's site writes it */
	bool is_partners;   /* the partner writes it: nothing to send */
	bool speaks;        /* of the present phase: it names all of this context */
	unsigned sid;       /* for slapd; CSN_SIDS: none */
	bool is_waiting;    /* is_ahead, until our own context is recovered ... */
	struct position lost;            /* ... up to here */
	uint64_t head_usn, head_version; /* a head was looked for here (sync_heads.c) */
	uint64_t quiet; /* the client comes from an earlier life: no cookie below this */
};

/** A row whose entry has no parent yet: nobody but a partner may see it. */
struct sync_held {
	struct uuid uuid;
	uint32_t nc;
	uint64_t usn;
};

struct sync_session {
	struct op *op;
	struct sync_session *next, *prev; /* of this thread */
	bool is_linked;
	enum sync_mode mode;
	enum sync_stage stage;
	bool is_partner;      /* a site, or somebody who asks for exactly what a site asks for */
	bool with_local;      /* the context that never leaves the site belongs to the content */
	struct uuid instance; /* of the partner's process; zero: it did not say */
	bool wants_heads;     /* the partner compares with signed heads */
	struct store_txn *snapshot; /* of the slice that is sent */
	uint64_t next_eid;          /* in the current snapshot */
	uint64_t newest; /* entries from this number on were made since the consistent point */
	bool is_busy;    /* resume() will come: next slice, or the client is slow */
	uint64_t hash;   /* of what controls the content; 0 for partners */
	uint8_t key[SIPHASH_KEY_BYTES]; /* of cookies; the same at all sites */
	bool reload_hint;
	uint64_t right; /* what a site's right rests on, its keys, as the session began */

	bool is_openldap;           /* the client is slapd */
	struct span rid, csns;      /* of its cookie */
	uint8_t sids[CSN_SIDS / 8]; /* taken */

	struct dn base;
	struct uuid base_uuid;
	uint64_t base_eid; /* of the current slice, as root_eid */
	uint64_t root_eid;
	struct filter *filter;
	bool filter_needs_dn;
	struct op_view view; /* for the filter */
	struct buf computed; /* of the view */
	struct op_selection *selection;

	struct sync_nc *ncs; /* in number order */
	unsigned nncs;
	unsigned turn; /* context to begin the next slice with */
	bool pass_is_new;
	unsigned chase_slices; /* slices of this refresh beyond its first high */

	struct store_iter *walk;  /* below an entry that moved; its descendants are looked at */
	bool walk_is_before_pass; /* the move precedes this pass */

	uint64_t chain_eid; /* the last parent that was asked for, in this slice */
	bool chain_moved;

	struct sync_held *held; /* looked at again in later slices; cookies stay below them */
	size_t nheld, held_size;

	struct uuid set[SYNC_SET_UUIDS]; /* waiting to be sent as one set */
	unsigned nset;
	bool set_deletes;

	uint64_t entries_sent;
	unsigned since_cookie; /* messages since the last cookie */
	unsigned rows_since_cookie;
	struct buf out, scratch;
	struct buf last_cookie; /* that tells of all contexts */
	struct arena arena;     /* cookies read, context lists */
};

/* --- sync_request.c --- */

/** May this be asked? RC_REFUSED: op->result tells why not, as with the others. */
int sync_check_request(struct op *op) WARN_UNUSED;
/** Take the request apart, into the session and `out`. */
int sync_read_request(struct sync_session *s, const struct msg_control *control,
		      struct sync_request *out) WARN_UNUSED;
/** Note which process of its site asks; refused where two run as that site. */
int sync_check_twin(struct sync_session *s) WARN_UNUSED;

/* --- sync_content.c --- */

/** Find base and root in this snapshot. RC_NOTFOUND: the base is gone or another entry. */
int sync_find_base(struct sync_session *s, struct store_txn *t) WARN_UNUSED;

enum sync_membership {
	SYNC_HIDDEN, /* an ancestor has not come yet */
	SYNC_OUTSIDE,
	SYNC_UNMATCHED, /* in scope, but not of the filter */
	SYNC_MEMBER,
};

/** Does the entry belong to the content? To a partner's everything does. */
int sync_content_has(struct sync_session *s, struct store_txn *t, uint64_t eid,
		     const struct entry *e, enum sync_membership *out) WARN_UNUSED;

/** Hash of base, scope, filter, attributes and identity class. */
int sync_content_hash(struct sync_session *s, uint64_t *out) WARN_UNUSED;

/** Is it the request that one site makes to another? */
bool sync_is_partner_request(const struct op *op);

/** Has the entry come to its place, alone or with what is above it, since the cookie? */
int sync_has_moved(struct sync_session *s, struct store_txn *t, const struct entry *e,
		   bool *out) WARN_UNUSED;

/** Note what the right of the client rests on; later, RC_DENIED when that has changed. */
int sync_begin_right(struct sync_session *s, struct store_txn *t) WARN_UNUSED;
int sync_check_right(struct sync_session *s, struct store_txn *t) WARN_UNUSED;

/* --- sync_begin.c --- */

/** Keyed check of a position of this content. `purpose` keeps the uses apart. */
uint64_t sync_mac(const struct sync_session *s, const struct position *p, unsigned purpose);
/** The same of a cookie; 0 for partners. */
uint64_t sync_cookie_mac(const struct sync_session *s, const struct vector *v);

/**
 * Compare the cookie with what is here, and set up the contexts and the first stage: a present
 * phase where the order here does not tell everything since, or where that is the shorter way.
 * RC_CONFLICT: the cookie is none of this content, and the client prefers to be told so.
 */
int sync_begin_contexts(struct sync_session *s, struct store_txn *t,
			struct span cookie) WARN_UNUSED;

struct sync_nc *sync_find_nc(struct sync_session *s, const struct uuid *id);

/** Contexts that came into being since. RC_CONFLICT: the order no longer tells all that has gone
 * since what was sent: another life, or removals without a trace. */
int sync_refresh_contexts(struct sync_session *s, struct store_txn *t) WARN_UNUSED;

/* --- sync_slice.c --- */

/**
 * Send up to SYNC_SLICE_ROWS rows. RC_DONE: this snapshot has nothing more; RC_OK: there may be
 * more; else an error.
 */
int sync_slice(struct sync_session *s, struct store_txn *t) WARN_UNUSED;

/** Begin the next pass: from here on rows count as new. */
void sync_begin_pass(struct sync_session *s);

/* --- sync_send.c --- */

int sync_send_entry(struct sync_session *s, struct store_txn *t, uint64_t eid,
		    const struct entry *e, enum sync_state state) WARN_UNUSED;
/** A change that waits in quarantine, as it came: its name is its RDN. To partners alone. */
int sync_send_quarantined(struct sync_session *s, const struct entry *e) WARN_UNUSED;
/** Tell that an entry left the content. `stamp` is told to partners. */
int sync_send_delete(struct sync_session *s, const struct uuid *u, struct span dn,
		     const struct stamp *stamp) WARN_UNUSED;
/** Tell that an entry stays. */
int sync_send_present(struct sync_session *s, const struct uuid *u) WARN_UNUSED;
/** Send the set of UUIDs that waits, if any. */
int sync_send_set(struct sync_session *s) WARN_UNUSED;
/** newcookie, or the end of a phase of a refresh stage. */
int sync_send_info(struct sync_session *s, enum sync_info_kind kind, bool refresh_done) WARN_UNUSED;
/** At the begin: how far we have what the partner writes, for it to compare. */
int sync_send_home(struct sync_session *s) WARN_UNUSED;
/** The cookie that tells where the session is; `all`: with contexts that did not move. */
void sync_cookie(struct sync_session *s, bool all, struct buf *out);

/* --- sync_heads.c --- */

/** Send the heads that say what the partner now has, if it has not got them. */
int sync_send_heads(struct sync_session *s) WARN_UNUSED;

/* --- sync_openldap.c --- */

/** Give a context its sid. */
void sync_openldap_add(struct sync_session *s, struct sync_nc *nc);
/** What the client's cookie says of a context; false: nothing that can be used. */
bool sync_openldap_find(const struct sync_session *s, const struct sync_nc *nc,
			struct position *out);
/** Does the client have contexts that are not here? */
bool sync_openldap_has_strangers(const struct sync_session *s);
/** Append a context to a cookie, and at the end those that are not here any more. */
void sync_openldap_put(const struct sync_session *s, const struct sync_nc *nc,
		       const struct position *p, struct buf *out);
void sync_openldap_put_gone(const struct sync_session *s, struct buf *out);
/** Append the entry's entryCSN; nothing where it can have none. */
int sync_openldap_entry_csn(struct sync_session *s, const struct entry *e,
			    struct buf *out) WARN_UNUSED;
