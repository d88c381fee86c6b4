/*
 * bench_raw WHAT [N]: what the machine allows. Prints one figure, in microseconds of CPU.
 *
 *   get     a record of 1 KB by number, of N
 *   find    a number by a string key, then its record
 *   commit  one durable commit of one record; commit64: of 64, for each record
 *   echo    64 bytes in, 1 KB out, over loopback, 8 connections with 4 in flight: the server's side
 *   tls     a TLS 1.3 handshake with P-256: the server's side
 */
#include "tests/bench/people.h"

#include <lmdb.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double cpu_us(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* --- LMDB ------------------------------------------------------------------------------------- */

static char folder[] = "/tmp/bench_raw.XXXXXX";

static MDB_env *open_env(unsigned flags)
{
	MDB_env *env;

	must(mkdtemp(folder) != NULL);
	must(mdb_env_create(&env) == 0 && mdb_env_set_maxdbs(env, 2) == 0 &&
	     mdb_env_set_mapsize(env, (size_t)1 << 34) == 0 &&
	     mdb_env_open(env, folder, flags, 0600) == 0);
	return env;
}

static void close_env(MDB_env *env)
{
	char path[64];

	mdb_env_close(env);
	snprintf(path, sizeof(path), "%s/data.mdb", folder);
	unlink(path);
	snprintf(path, sizeof(path), "%s/lock.mdb", folder);
	unlink(path);
	rmdir(folder);
}

static void key_of(uint64_t i, char key[static 32], MDB_val *out)
{
	out->mv_size =
		(size_t)snprintf(key, 32, "person.%llu@x",
				 (unsigned long long)people_mix(i, 9) % 1000000000u * 10 + i % 10);
	out->mv_data = key;
}

static double lookups(uint64_t n, bool by_string)
{
	MDB_env *env = open_env(MDB_NOSYNC);
	char record[1024] = {0}, key[32];
	MDB_dbi numbers, strings;
	uint64_t i, id, sum = 0;
	MDB_val k, v;
	MDB_txn *t;
	double begin;

	must(mdb_txn_begin(env, NULL, 0, &t) == 0);
	must(mdb_dbi_open(t, "n", MDB_CREATE | MDB_INTEGERKEY, &numbers) == 0);
	must(mdb_dbi_open(t, "s", MDB_CREATE, &strings) == 0);
	for (i = 0; i < n; i++) {
		k = (MDB_val){sizeof(i), &i};
		v = (MDB_val){sizeof(record), record};
		must(mdb_put(t, numbers, &k, &v, MDB_APPEND) == 0);
		key_of(i, key, &k);
		v = (MDB_val){sizeof(i), &i};
		must(mdb_put(t, strings, &k, &v, 0) == 0);
	}
	must(mdb_txn_commit(t) == 0);
	begin = cpu_us(CLOCK_PROCESS_CPUTIME_ID);
	for (i = 0; i < 1000000; i++) {
		must(mdb_txn_begin(env, NULL, MDB_RDONLY, &t) == 0);
		id = people_mix(i, 10) % n;
		if (by_string) {
			key_of(id, key, &k);
			must(mdb_get(t, strings, &k, &v) == 0);
			memcpy(&id, v.mv_data, sizeof(id));
		}
		k = (MDB_val){sizeof(id), &id};
		must(mdb_get(t, numbers, &k, &v) == 0);
		sum += ((uint8_t *)v.mv_data)[i % 1024];
		mdb_txn_abort(t);
	}
	begin = cpu_us(CLOCK_PROCESS_CPUTIME_ID) - begin;
	must(sum == 0);
	close_env(env);
	return begin / 1e6;
}

static double commits(unsigned records)
{
	MDB_env *env = open_env(0);
	char record[1024] = {0};
	uint64_t i, n = 100000, id = 0;
	struct timespec a, b;
	MDB_dbi numbers;
	MDB_val k, v;
	MDB_txn *t;
	unsigned c, commits_max = 500;

	must(mdb_txn_begin(env, NULL, 0, &t) == 0);
	must(mdb_dbi_open(t, "n", MDB_CREATE | MDB_INTEGERKEY, &numbers) == 0);
	for (i = 0; i < n; i++) {
		k = (MDB_val){sizeof(i), &i};
		v = (MDB_val){sizeof(record), record};
		must(mdb_put(t, numbers, &k, &v, MDB_APPEND) == 0);
	}
	must(mdb_txn_commit(t) == 0);
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (c = 0; c < commits_max; c++) {
		must(mdb_txn_begin(env, NULL, 0, &t) == 0);
		for (i = 0; i < records; i++) {
			id = people_mix(c, i) % n;
			k = (MDB_val){sizeof(id), &id};
			v = (MDB_val){sizeof(record), record};
			must(mdb_put(t, numbers, &k, &v, 0) == 0);
		}
		must(mdb_txn_commit(t) == 0);
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	close_env(env);
	return ((double)(b.tv_sec - a.tv_sec) * 1e6 + (double)(b.tv_nsec - a.tv_nsec) / 1e3) /
	       commits_max / records;
}

/* --- loopback --------------------------------------------------------------------------------- */

#define CONNECTIONS 8
#define DEPTH 4
#define ROUNDS 20000

static void ask(int listener)
{
	struct sockaddr_in to;
	socklen_t n = sizeof(to);
	char request[64 * DEPTH] = {0}, answer[1024 * DEPTH];
	int fds[CONNECTIONS], i, k;

	must(getsockname(listener, (struct sockaddr *)&to, &n) == 0);
	for (i = 0; i < CONNECTIONS; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM, 0);
		must(connect(fds[i], (struct sockaddr *)&to, sizeof(to)) == 0);
	}
	for (k = 0; k < ROUNDS; k++) {
		for (i = 0; i < CONNECTIONS; i++)
			must(send(fds[i], request, sizeof(request), 0) == sizeof(request));
		for (i = 0; i < CONNECTIONS; i++)
			must(recv(fds[i], answer, sizeof(answer), MSG_WAITALL) == sizeof(answer));
	}
	_exit(0);
}

static double echo(void)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int listener = socket(AF_INET, SOCK_STREAM, 0), i;
	static char request[65536], answer[1024 * 1024];
	struct pollfd fds[CONNECTIONS];
	double begin;
	ssize_t n;
	int open_fds = CONNECTIONS;

	must(bind(listener, (struct sockaddr *)&any, sizeof(any)) == 0 &&
	     listen(listener, 64) == 0);
	if (fork() == 0)
		ask(listener);
	for (i = 0; i < CONNECTIONS; i++)
		fds[i] = (struct pollfd){accept(listener, NULL, NULL), POLLIN, 0};
	begin = cpu_us(CLOCK_PROCESS_CPUTIME_ID);
	while (open_fds > 0) {
		must(poll(fds, CONNECTIONS, -1) > 0);
		for (i = 0; i < CONNECTIONS; i++) {
			if (fds[i].revents == 0)
				continue;
			n = recv(fds[i].fd, request, sizeof(request), 0);
			if (n <= 0) {
				close(fds[i].fd);
				fds[i].fd = -1;
				open_fds--;
				continue;
			}
			must(send(fds[i].fd, answer, (size_t)n / 64 * 1024, MSG_NOSIGNAL) >= 0);
		}
	}
	return (cpu_us(CLOCK_PROCESS_CPUTIME_ID) - begin) / ((double)ROUNDS * CONNECTIONS * DEPTH);
}

/* --- TLS -------------------------------------------------------------------------------------- */

static SSL_CTX *tls_server(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();

	must(ctx != NULL && key != NULL && cert != NULL);
	X509_gmtime_adj(X509_getm_notBefore(cert), 0);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	must(X509_sign(cert, key, EVP_sha256()) > 0);
	must(SSL_CTX_use_certificate(ctx, cert) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1);
	SSL_CTX_set_num_tickets(ctx, 0);
	X509_free(cert);
	EVP_PKEY_free(key);
	return ctx;
}

static void move(SSL *from, SSL *to)
{
	char bytes[16384];
	int n;

	while ((n = BIO_read(SSL_get_wbio(from), bytes, sizeof(bytes))) > 0)
		BIO_write(SSL_get_rbio(to), bytes, n);
}

static SSL *tls_end(SSL_CTX *ctx)
{
	SSL *s = SSL_new(ctx);

	SSL_set_bio(s, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
	return s;
}

static double handshakes(void)
{
	SSL_CTX *sc = tls_server(), *cc = SSL_CTX_new(TLS_client_method());
	double sum = 0, begin;
	int i, n = 2000;

	for (i = 0; i < n; i++) {
		SSL *client = tls_end(cc), *server;

		SSL_set_connect_state(client);
		begin = cpu_us(CLOCK_THREAD_CPUTIME_ID);
		server = tls_end(sc);
		SSL_set_accept_state(server);
		sum += cpu_us(CLOCK_THREAD_CPUTIME_ID) - begin;
		while (!SSL_is_init_finished(server)) {
			SSL_do_handshake(client);
			begin = cpu_us(CLOCK_THREAD_CPUTIME_ID);
			move(client, server);
			SSL_do_handshake(server);
			sum += cpu_us(CLOCK_THREAD_CPUTIME_ID) - begin;
			move(server, client);
		}
		SSL_free(client);
		SSL_free(server);
	}
	SSL_CTX_free(sc);
	SSL_CTX_free(cc);
	return sum / n;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	uint64_t n = argc > 2 ? strtoull(argv[2], NULL, 10) : 100000;
	double us;

	if (strcmp(what, "get") == 0)
		us = lookups(n, false);
	else if (strcmp(what, "find") == 0)
		us = lookups(n, true);
	else if (strcmp(what, "commit") == 0)
		us = commits(1);
	else if (strcmp(what, "commit64") == 0)
		us = commits(64);
	else if (strcmp(what, "echo") == 0)
		us = echo();
	else if (strcmp(what, "tls") == 0)
		us = handshakes();
	else {
		fprintf(stderr, "usage: bench_raw get|find|commit|commit64|echo|tls [N]\n");
		return 2;
	}
	printf("%.3f\n", us);
	return 0;
}
