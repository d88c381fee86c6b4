/* What the update*.c files share: one change on its way into the tables. Nobody else's. */
#pragma once

#include "dird/apply.h"
#include "dird/store_int.h"
#include "dird/update.h"

struct update {
	struct store_txn *t;
	const struct update_context *ctx;
	struct change *c;
	struct arena *a;
	enum update_outcome *outcome;
	struct result *why;
	struct uuid awaited; /* why a replicated change is refused: because of this entry */
	bool is_retrying;
	bool is_placing;    /* the end of a recovery */
	bool views_changed; /* definitions of views are to be looked at again */
};

/** An entry that is there: its record is copied, so that puts do not disturb it. */
struct update_old {
	uint64_t eid;
	struct entry e;
	struct attr_list attrs; /* all of them; values that are stored apart stay there */
};

/** What update_prepare() has found out. */
struct update_ready {
	int rc; /* of apply_add() */
	struct result why;
	struct uuid uuid;
	struct apply_entry content;
	struct apply_keys keys;
};

/** A random entryUUID. */
int update_new_uuid(const struct update_context *ctx, struct uuid *out) WARN_UNUSED;

/** Load an entry and all its attributes. RC_NOTFOUND; else an error of the store. */
int update_load(struct update *u, uint64_t eid, struct update_old *out) WARN_UNUSED;

/**
 * Put record and index rows of entry `eid`; `old` is NULL for a new one. Name, uuid, order and
 * context rows are the caller's.
 */
int update_write(struct update *u, uint64_t eid, const struct entry_head *head,
		 const struct apply_entry *content, const struct update_old *old) WARN_UNUSED;

/** The entry is about to get another name, or to be hidden or shown, by the change `usn`. */
void update_trail(struct update *u, const struct update_old *old, uint64_t usn);

/* --- values that are stored apart (update_values.c, update_value_index.c) --- */

/** What a change does to an attribute whose values were stored apart. */
struct update_value_change {
	struct span type;             /* description */
	const struct schema_attr *at; /* NULL: not known */
	const struct attr_gone *gone;
	unsigned ngone;
	const struct span *added;
	unsigned nadded;
	struct attr left; /* as the record then has it */
};

struct update_values {
	struct update *u;
	uint64_t eid;
	const struct update_old *old;
	struct apply_entry stored; /* the content as the record holds it */
	struct attr_list was, now; /* what is in no change: for update_index() */
	struct update_value_change *changes;
	unsigned nchanges;
};

/** Put and delete the rows of values that are stored apart: decides which are. */
int update_values_write(struct update *u, uint64_t eid, const struct update_old *old,
			const struct apply_entry *content, struct update_values *v) WARN_UNUSED;
/** Then the rows of the value index of what that has changed. */
int update_values_index(const struct update_values *v) WARN_UNUSED;
/** Must a row of the value index stay, since another description of the type has the value? */
bool update_values_keep(const struct update_values *v, uint32_t attr, struct span key);

/** The digest of the context follows (update_digest.c): the entry has changed, `old` NULL for a new
 * one; its rows are put. Or it is about to go. */
void update_count(struct update *u, const struct entry *old, const struct entry *now,
		  const struct update_values *v);
void update_uncount(struct update *u, const struct entry *old);

/** The rows of the indexes by which two contents of an entry differ. */
int update_index(struct update *u, uint64_t eid, const struct attr_list *old,
		 const struct attr_list *now) WARN_UNUSED;

/** The same content under another head. */
int update_write_head(struct update *u, const struct update_old *old,
		      const struct entry_head *head) WARN_UNUSED;

/** Record, index rows and uuid row go. */
void update_erase(struct update *u, const struct update_old *old);

/** Is the entry, or one above it, hidden? Then its tombstone has no name, which a persistent search
 * of an ordinary reader would tell. */
bool update_is_hidden(struct update *u, const struct entry *e);

struct apply_context update_apply_context(const struct update *u);

/* --- client changes (update.c, update_rename.c) --- */

/** The entry that change.dn names; RC_REFUSED with 32 and matchedDN. */
int update_find(struct update *u, struct update_old *out) WARN_UNUSED;
bool update_is_root(struct update *u, uint64_t eid);
int update_no_such_object(struct update *u, uint64_t deepest, const char *what);

/** Nothing may be below an alias (33) or, whoever asks, below a referral entry (71). */
int update_check_parent(struct update *u, const struct entry *parent) WARN_UNUSED;

/** Text and normal form of a new RDN, in the arena. */
int update_rdn(struct update *u, const struct dn_rdn *rdn, struct span *text,
	       struct span *normal) WARN_UNUSED;

/** RC_REFUSED with `code` if the entry would belong to another context below `parent` (0: it is the
 * root) or with these attributes: what decides about the context comes and goes with the entry. */
int update_check_context(struct update *u, const struct update_old *old, uint64_t parent,
			 const struct attr_list *attrs, enum ldap_result code) WARN_UNUSED;

/** RC_REFUSED with 53: masterSite of the root may follow a new name of this site, and go nowhere
 * else. */
int update_check_master(struct update *u, const struct update_old *old,
			const struct attr_list *now) WARN_UNUSED;

/** Stamp, record, index and order rows of a changed entry. */
int update_put_changed(struct update *u, const struct update_old *old, struct entry_head *head,
		       const struct apply_entry *content, struct store_nc *nc,
		       bool is_move) WARN_UNUSED;

int update_rename(struct update *u) WARN_UNUSED;

/* --- proxy addresses (update_address.c) --- */

/** RC_REFUSED with 19 if an address that `now` has and `old` (NULL: none) has not is another
 * entry's. `self` is the entry's number, 0 of a new one. */
int update_check_addresses(struct update *u, const struct attr_list *old,
			   const struct attr_list *now, uint64_t self) WARN_UNUSED;
/** The same of a replicated entry that is in: change.conflict is set. */
int update_note_conflict(struct update *u, const struct attr_list *old, const struct attr_list *now,
			 uint64_t self) WARN_UNUSED;

/** While a load gathers the rows of the index: keep the addresses of an entry apart. */
int update_keep_addresses(struct update *u, const struct attr_list *now, uint64_t self) WARN_UNUSED;

/* --- references to entries (update_refs.c) --- */

struct update_name {
	uint64_t eid;
	struct span normal; /* before the change */
	struct span now;    /* text, behind it; .p NULL: the same name */
};

struct update_names {
	struct update_name *at;
	size_t n, room;
	bool is_below; /* only the entry itself is noted, and what lies below it is meant, too */
};

/** Before an entry gets another name, or goes: keep its name, and those of what is below it. */
int update_names_note(struct update *u, uint64_t eid, bool with_subtree,
		      struct update_names *names) WARN_UNUSED;
/** After it: what names them in this site's contexts follows, or goes. */
int update_names_mend(struct update *u, const struct update_names *names, bool is_gone) WARN_UNUSED;

/* --- naming contexts (update_nc.c) --- */

/** The context of an entry with these attributes below `parent` (NULL: the root itself). */
struct uuid update_nc_of(const struct update *u, const struct entry *parent, bool parent_is_root,
			 const struct attr_list *attrs, const struct uuid *uuid);

/**
 * The row of a context that a client wants to change. Contexts of other sites give RC_REFUSED with
 * a referral, or 53 when their servers are not known here. A missing row is made when this site may
 * found the context: the local one, the organisation's while there is no root, a new site's at the
 * organisation's master.
 */
int update_nc_own(struct update *u, const struct uuid *id, struct store_nc *out) WARN_UNUSED;

/** A new life for a row; number 0 makes the row. */
int update_nc_found(struct store_txn *t, const struct update_context *ctx, const struct uuid *id,
		    struct store_nc *nc) WARN_UNUSED;

/** A new life for an own context; the row is put. */
int update_nc_renew(struct store_txn *t, const struct update_context *ctx,
		    struct store_nc *nc) WARN_UNUSED;
/** The same with an epoch above `above`, too; the present life becomes a past one if it is told. */
int update_nc_begin(struct store_txn *t, const struct update_context *ctx, struct store_nc *nc,
		    uint32_t above, bool is_told) WARN_UNUSED;

/** The next usn of the context; the row is put. */
struct stamp update_next_stamp(struct update *u, struct store_nc *nc);

/* --- replicated changes (update_repl.c) --- */

int update_put(struct update *u) WARN_UNUSED;
int update_remove(struct update *u) WARN_UNUSED;

/** Refuse the change, but that may end when that entry changes. */
int update_refuse_for(struct update *u, const struct uuid *awaited, const char *text) WARN_UNUSED;
/** The row of a context that a partner names; a new one knows nothing yet and has number 0. */
int update_nc_named(struct update *u, const struct uuid *id, struct store_nc *nc) WARN_UNUSED;
/** An entry goes, with all rows but a tombstone; its children wait in limbo. */
int update_erase_placed(struct update *u, uint32_t nc, const struct update_old *old) WARN_UNUSED;
/** Before that: the name for its tombstone. */
int update_old_name(struct update *u, const struct update_old *old, struct span *out) WARN_UNUSED;

/* --- how far a context is (update_position.c) --- */

int update_position(struct update *u) WARN_UNUSED;
int update_keep_only(struct update *u) WARN_UNUSED;
int update_collect(struct update *u) WARN_UNUSED;
/** Does the list of KEEP_ONLY name the entry? */
bool update_is_kept(const struct change *c, const struct uuid *uuid);

/* --- places in the tree (update_place.c) --- */

/**
 * Find the entry's place: head->parent, 0 for limbo. An older holder of the name, whose own change
 * must still come, gives way. eid 0: an entry that is not there yet.
 */
int update_find_place(struct update *u, uint64_t eid, struct entry_head *head) WARN_UNUSED;
/** Entries in limbo take their places below `parent` where they can now. */
int update_free_waiting(struct update *u, const struct uuid *parent) WARN_UNUSED;
/** A subtree has moved: that may have opened a ring anywhere. */
int update_free_all(struct update *u) WARN_UNUSED;
/** The children of an entry that goes wait: their changes must still come. */
int update_park_children(struct update *u, uint64_t eid) WARN_UNUSED;
/**
 * Nothing more is to come of an own context that is recovering: what waits gets a place, with a
 * name of its own where its name is taken, below the head of the context where its parent is gone.
 * The row is put and read again.
 */
int update_place_all(struct update *u, struct store_nc *nc) WARN_UNUSED;

/* --- quarantine (update_quarantine.c) --- */

/** Keep the refused PUT or REMOVE with the reason in *why. RC_TOOBIG: it can not be kept. */
int update_quarantine(struct update *u, struct store_nc *nc) WARN_UNUSED;
/** Entry has changed or gone: try what stumbled over it again. */
int update_retry_awaiting(struct update *u, const struct uuid *entry) WARN_UNUSED;
/** Try everything. */
int update_retry(struct update *u) WARN_UNUSED;

/* --- views (update_view.c, update_viewdef.c) --- */

/** Rows of the views for an entry that has come (old NULL), changed, or gone (now NULL). Its record
 * is put, its name not necessarily. Neither may lie in the map. */
int update_views(struct update *u, uint64_t eid, const struct entry *old,
		 const struct entry *now) WARN_UNUSED;
/** After the change: definitions that it concerned. */
int update_views_end(struct update *u) WARN_UNUSED;
/* --- removed sites (update_removed.c) --- */

/** May a context that is not known here be made? Not when the site that wrote it was removed:
 * nothing of it is taken again. */
int update_may_come(struct update *u, const struct uuid *nc, bool *out) WARN_UNUSED;
/** After a change of the root entry: contexts of removed sites leave. */
int update_forget_removed(struct update *u) WARN_UNUSED;
/** A piece of what is leaving goes. Nothing left is no error. */
int update_forget(struct update *u) WARN_UNUSED;

/* --- own contexts after a restore (update_recover.c) --- */

int update_rolled_back(struct update *u) WARN_UNUSED;
int update_recovered(struct update *u) WARN_UNUSED;
/** KEEP_ONLY of a recovering context: what the partner knew and does not have any more goes. */
int update_keep_only_own(struct update *u, struct store_nc *nc) WARN_UNUSED;
