#include "dird/server.h"

#include "lib/file.h"

#include <stdio.h>

#define ADMIN_HASH_MAX_BYTES 1024

static int load_tls(const struct server_config *cfg, struct tls_context **out)
{
	struct buf why;
	int rc;

	*out = NULL;
	if (cfg->tls.certificate == NULL)
		return 0;
	buf_init(&why, 4096);
	rc = tls_context_new(&cfg->tls, out, &why);
	if (rc != 0)
		log_error(NULL, "tls.failed", "%s", buf_cstr(&why));
	buf_fini(&why);
	return rc;
}

static int load_admin_hash(const struct server_config *cfg, char **out)
{
	const char *path = cfg->admin_password_file;
	bool is_private = false;
	struct span hash;
	struct buf b;
	int rc;

	*out = NULL;
	if (path == NULL)
		return 0;
	buf_init(&b, ADMIN_HASH_MAX_BYTES);
	rc = file_is_private(path, &is_private);
	if (rc == 0 && !is_private)
		rc = RC_DENIED;
	if (rc == 0)
		rc = file_read(path, &b);
	if (rc == 0) {
		hash = span_trim(buf_span(&b));
		buf_truncate(&b, (size_t)(hash.p - b.p) + hash.n);
		*out = mem_strdup(buf_cstr(&b) + (hash.p - b.p));
		rc = *out != NULL ? 0 : RC_NOMEM;
	}
	if (rc != 0)
		log_error(NULL, "config.failed", "file=%s error=\"%s\"", path,
			  rc == RC_DENIED && !is_private ? "may be read by others; chmod 600 it"
							 : rc_text(rc));
	buf_fini(&b);
	return rc;
}

static int load_schema(struct server *s)
{
	struct buf errors;
	int rc;

	buf_init(&errors, 64 * 1024);
	rc = schema_load(s->config.schema, &s->schema, &errors);
	if (rc != 0 && errors.n != 0)
		fputs(buf_cstr(&errors), stderr);
	if (rc != 0)
		log_error(NULL, "schema.failed", "folder=%s error=\"%s\"", s->config.schema,
			  rc_text(rc));
	buf_fini(&errors);
	return rc;
}

static int load_config(struct server *s, const char *path)
{
	enum log_level level = LOG_INFO;
	struct buf errors;
	int rc;

	buf_init(&errors, 64 * 1024);
	rc = server_config_read(path, &s->arena, &s->config, &errors);
	if (errors.n != 0)
		fputs(buf_cstr(&errors), stderr);
	buf_fini(&errors);
	if (rc != 0)
		return rc;
	if (log_level_parse(span_of(s->config.log_level), &level))
		log_set_level(level);
	s->acl.anonymous_read = s->config.anonymous_read;
	rc = dn_parse(&s->arena, span_of(s->config.organisation), &s->root, NULL);
	if (rc == 0)
		rc = dn_normalize_text(&s->arena, span_of(s->config.organisation), &s->root_normal);
	return rc;
}

int server_load(struct server *s, const char *path)
{
	int rc = load_config(s, path);

	if (rc == 0)
		rc = load_schema(s);
	if (rc == 0)
		rc = load_admin_hash(&s->config, &s->admin_hash);
	if (rc == 0)
		rc = load_tls(&s->config, &s->tls);
	return rc;
}

static void replace_secrets(struct server *s, struct tls_context *tls, char *hash)
{
	struct tls_context *old;
	char *old_hash;

	uv_mutex_lock(&s->tls_lock);
	old = s->tls;
	s->tls = tls;
	old_hash = s->admin_hash;
	s->admin_hash = hash;
	uv_mutex_unlock(&s->tls_lock);
	tls_context_free(&old);
	mem_free(old_hash);
}

void server_reload(struct server *s)
{
	struct server_config cfg;
	enum log_level level;
	struct tls_context *tls = NULL;
	char *hash = NULL;
	struct arena a;
	struct buf errors;
	int rc;

	arena_init(&a);
	buf_init(&errors, 64 * 1024);
	rc = server_config_read(s->config.path, &a, &cfg, &errors);
	if (rc == 0)
		rc = load_tls(&cfg, &tls);
	if (rc == 0)
		rc = load_admin_hash(&cfg, &hash);
	if (rc == 0) {
		if (log_level_parse(span_of(cfg.log_level), &level))
			log_set_level(level);
		replace_secrets(s, tls, hash);
		log_info(NULL, "reloaded", "config=%s", s->config.path);
	} else {
		if (errors.n != 0)
			fputs(buf_cstr(&errors), stderr);
		log_error(NULL, "reload.failed", "config=%s error=\"%s\"; all stays as it was",
			  s->config.path, rc_text(rc));
		tls_context_free(&tls);
	}
	buf_fini(&errors);
	arena_fini(&a);
}
