// Runs one ClickHouse node from the library libchdb.so, and ends when its standard input
// closes. It is for tests: see package chnode.
//
//	LIBCHDB=/path/to/libchdb.so launch --config-file=… --path=… --tcp_port=… <pipe
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void *until_eof(void *fd)
{
	char buf[256];
	while (read((int)(long)fd, buf, sizeof buf) > 0)
		;
	_exit(0);
}

int main(int argc, char **argv)
{
	// The library is clickhouse-local. Unless it is interactive, which takes a terminal, an error
	// that a connection's thread does not catch ends it: a peer that resets an idle connection, or
	// one that names a missing database. A server logs the error and goes on.
	int input = dup(0), terminal = posix_openpt(O_RDWR | O_NOCTTY);
	if (terminal < 0 || grantpt(terminal) || unlockpt(terminal) || close(0) || open(ptsname(terminal), O_RDWR | O_NOCTTY) != 0) {
		perror("terminal");
		return 1;
	}
	pthread_t reader;
	if (pthread_create(&reader, NULL, until_eof, (void *)(long)input))
		return 1;
	void *lib = dlopen(getenv("LIBCHDB"), RTLD_NOW | RTLD_GLOBAL);
	if (!lib) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	void *(*cmdline)(int, char **) = (void *(*)(int, char **))dlsym(lib, "chdb_query_cmdline");
	char **args = calloc(argc + 3, sizeof *args);
	for (int i = 1; i < argc; i++)
		args[i] = argv[i];
	args[0] = "clickhouse";
	args[argc] = "--interactive";
	args[argc + 1] = "--query=SYSTEM START LISTEN TCP; SYSTEM START LISTEN HTTP";
	return cmdline(argc + 2, args) ? 0 : 2;
}
