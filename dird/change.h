/*
 * One write as data. Client writes, replicated changes and bulk load all become a struct change and
 * take the same road: write queue -> update -> store.
 *
 * Everything a change points at lies in the arena of its request.
 */
#pragma once

#include "dird/position.h"
#include "dird/result.h"
#include "lib/dn.h"

enum change_kind {
	/* of a client, at the context's own site */
	CHANGE_ADD,
	CHANGE_MODIFY,
	CHANGE_DELETE,
	CHANGE_RENAME,
	/* replicated, with the origin's stamp; keyed by entryUUID */
	CHANGE_PUT,       /* the whole entry */
	CHANGE_REMOVE,    /* a tombstone */
	CHANGE_POSITION,  /* everything up to here is in: position of one context */
	CHANGE_KEEP_ONLY, /* end of a present phase: remove what of this context was not named */
	/* of this site's own upkeep */
	CHANGE_ROLLED_BACK, /* a partner knows a later position of an own context than we do */
	CHANGE_RECOVERED,   /* partners were asked; position.usn: above all usns that were heard of.
			       Done in steps: again, until the context is not recovering any more */
	CHANGE_RETRY,       /* try everything in quarantine again */
	CHANGE_COLLECT,     /* forget tombstones and raise the floors of their contexts */
	CHANGE_FORGET,      /* the next piece of what a removed site has written goes */
};

enum change_op {
	CHANGE_OP_ADD = 0,
	CHANGE_OP_DELETE = 1,
	CHANGE_OP_REPLACE = 2,
	CHANGE_OP_INCREMENT = 3
};

struct change_mod {
	enum change_op op; /* numbers of RFC 4511 §4.6 */
	struct attr attr;  /* nvalues 0: delete or replace the whole attribute */
};

struct update_ready;

struct change {
	enum change_kind kind;

	struct dn dn;             /* ADD MODIFY DELETE RENAME: target */
	struct span actor;        /* DN for creatorsName, modifiersName */
	bool may_set_operational; /* restore and load: keep given entryUUID, timestamps, creators */
	bool is_permissive; /* MODIFY: values to add that are there, and values to delete that are
			       not, are passed over */
	bool replace_existing; /* ADD of bulk load: the root or a site entry of the file replaces
				  ours */

	const struct update_ready *ready; /* ADD: of update_prepare(); NULL */
	struct attr_list attrs;           /* ADD, PUT (PUT: with operational attributes) */
	struct change_mod *mods;          /* MODIFY */
	unsigned nmods;
	struct dn_rdn new_rdn; /* RENAME */
	bool delete_old_rdn;
	bool has_new_superior;
	struct dn new_superior;

	struct uuid uuid;        /* PUT REMOVE */
	struct uuid parent_uuid; /* PUT; zero: the root */
	struct span rdn;         /* PUT: RFC 4514 text */
	struct stamp stamp;      /* PUT REMOVE */
	struct span old_dn;      /* REMOVE: may be empty */
	bool is_overruling;      /* RECOVERED: our older state counts, whatever partners know.
				    ROLLED_BACK: in any case, from the beginning */
	bool spares_own;         /* COLLECT: those of what is written here stay */
	bool is_retry;           /* PUT REMOVE: out of quarantine; the position covers it */
	const char *poison;      /* PUT REMOVE: why it can not be applied, found out when the batch
				    failed; NULL */

	struct position position; /* POSITION ROLLED_BACK RECOVERED; KEEP_ONLY: the context and up
				     to where the list speaks */
	const struct position *past; /* of the same four: former lives (RECOVERED: all lives that
					partners told of, whatever their order) */
	unsigned npast;
	struct uuid *keep; /* KEEP_ONLY: sorted; COLLECT: the tombstones, in any order */
	size_t nkeep;

	/* out, filled by update_apply() */
	/* PUT: an address that another entry has, too, and both names; .p NULL: none. For the log
	 */
	struct span conflict, conflict_entry, conflict_other;
	uint64_t eid_out;
	struct uuid uuid_out;
	const char *quarantined; /* the reason, if that is what became of it */
	unsigned moved;          /* RECOVERED: entries that got another name or parent */
	unsigned collected;      /* COLLECT: tombstones that went */
};
