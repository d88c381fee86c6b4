/* LDAP result codes (RFC 4511 §4.1.9, RFC 3909, RFC 4533) and the result of one operation. */
#pragma once

#include "lib/arena.h"

#define LDAP_RESULT_MAP(X)                                                                         \
	X(LR_SUCCESS, 0, "success")                                                                \
	X(LR_OPERATIONS_ERROR, 1, "operationsError")                                               \
	X(LR_PROTOCOL_ERROR, 2, "protocolError")                                                   \
	X(LR_TIME_LIMIT, 3, "timeLimitExceeded")                                                   \
	X(LR_SIZE_LIMIT, 4, "sizeLimitExceeded")                                                   \
	X(LR_COMPARE_FALSE, 5, "compareFalse")                                                     \
	X(LR_COMPARE_TRUE, 6, "compareTrue")                                                       \
	X(LR_AUTH_METHOD, 7, "authMethodNotSupported")                                             \
	X(LR_STRONGER_AUTH, 8, "strongerAuthRequired")                                             \
	X(LR_REFERRAL, 10, "referral")                                                             \
	X(LR_ADMIN_LIMIT, 11, "adminLimitExceeded")                                                \
	X(LR_CRITICAL_EXTENSION, 12, "unavailableCriticalExtension")                               \
	X(LR_CONFIDENTIALITY, 13, "confidentialityRequired")                                       \
	X(LR_SASL_IN_PROGRESS, 14, "saslBindInProgress")                                           \
	X(LR_NO_SUCH_ATTRIBUTE, 16, "noSuchAttribute")                                             \
	X(LR_UNDEFINED_TYPE, 17, "undefinedAttributeType")                                         \
	X(LR_INAPPROPRIATE_MATCHING, 18, "inappropriateMatching")                                  \
	X(LR_CONSTRAINT_VIOLATION, 19, "constraintViolation")                                      \
	X(LR_VALUE_EXISTS, 20, "attributeOrValueExists")                                           \
	X(LR_INVALID_SYNTAX, 21, "invalidAttributeSyntax")                                         \
	X(LR_NO_SUCH_OBJECT, 32, "noSuchObject")                                                   \
	X(LR_ALIAS_PROBLEM, 33, "aliasProblem")                                                    \
	X(LR_INVALID_DN, 34, "invalidDNSyntax")                                                    \
	X(LR_ALIAS_DEREF, 36, "aliasDereferencingProblem")                                         \
	X(LR_INAPPROPRIATE_AUTH, 48, "inappropriateAuthentication")                                \
	X(LR_INVALID_CREDENTIALS, 49, "invalidCredentials")                                        \
	X(LR_INSUFFICIENT_ACCESS, 50, "insufficientAccessRights")                                  \
	X(LR_BUSY, 51, "busy")                                                                     \
	X(LR_UNAVAILABLE, 52, "unavailable")                                                       \
	X(LR_UNWILLING, 53, "unwillingToPerform")                                                  \
	X(LR_LOOP, 54, "loopDetect")                                                               \
	X(LR_NAMING_VIOLATION, 64, "namingViolation")                                              \
	X(LR_CLASS_VIOLATION, 65, "objectClassViolation")                                          \
	X(LR_NOT_ALLOWED_ON_NONLEAF, 66, "notAllowedOnNonLeaf")                                    \
	X(LR_NOT_ALLOWED_ON_RDN, 67, "notAllowedOnRDN")                                            \
	X(LR_EXISTS, 68, "entryAlreadyExists")                                                     \
	X(LR_CLASS_MODS_PROHIBITED, 69, "objectClassModsProhibited")                               \
	X(LR_AFFECTS_MULTIPLE_DSAS, 71, "affectsMultipleDSAs")                                     \
	X(LR_VLV_ERROR, 76, "virtualListViewError")                                                \
	X(LR_OTHER, 80, "other")                                                                   \
	X(LR_CANCELED, 118, "canceled")                                                            \
	X(LR_NO_SUCH_OPERATION, 119, "noSuchOperation")                                            \
	X(LR_TOO_LATE, 120, "tooLate")                                                             \
	X(LR_CANNOT_CANCEL, 121, "cannotCancel")                                                   \
	X(LR_ASSERTION_FAILED, 122, "assertionFailed")                                             \
	X(LR_AUTHORIZATION_DENIED, 123, "authorizationDenied")                                     \
	X(LR_SYNC_REFRESH_REQUIRED, 4096, "e-syncRefreshRequired")                                 \
	X(LR_NO_OPERATION, 16654, "noOperation")

enum ldap_result {
#define LR_ENUM(name, value, text) name = value,
	LDAP_RESULT_MAP(LR_ENUM)
#undef LR_ENUM
};

struct result {
	enum ldap_result code;
	struct span matched; /* matchedDN, "" if none */
	const char *text;    /* diagnosticMessage: which attribute, value, rule; NULL if none */
	const char *const *referrals; /* LDAP URIs, NULL-terminated; NULL if none */
};

/** The name of a code as RFC 4511 spells it. */
const char *result_name(enum ldap_result code);

/**
 * Fill in code and a formatted text (in the arena) and return RC_REFUSED, so that a check can end
 * with `return result_set(...)`. Without memory the text is left out.
 */
int result_set(struct result *r, struct arena *a, enum ldap_result code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
