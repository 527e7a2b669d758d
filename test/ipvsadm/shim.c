/* SPDX-License-Identifier: Apache-2.0 */
/* Stands between the real ipvsadm and the kernel (LD_PRELOAD), so that it runs where there is no ip_vs. Each netlink
 * request is printed on stderr as "[nl CMD PAYLOAD]" in hex and succeeds. Answers come from the file named by
 * IPVSADM_ANSWERS, one "CMD REQUEST ANSWER-CMD ANSWER" per line, all hex, "-" for an empty payload; the connection table
 * from the file named by IPVSADM_CONNECTIONS. Compiled by real-ipvsadm.ts. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct nlmsghdr { unsigned len; unsigned short type, flags; unsigned seq, pid; };
struct genlmsghdr { unsigned char cmd, version; unsigned short reserved; };
struct nl_msg;
typedef int (*callback)(struct nl_msg *, void *);

extern struct nlmsghdr *nlmsg_hdr(struct nl_msg *);
extern struct nl_msg *nlmsg_convert(struct nlmsghdr *);
extern void nlmsg_free(struct nl_msg *);

#define HEADERS (sizeof(struct nlmsghdr) + sizeof(struct genlmsghdr))

static callback on_valid;
static void *on_valid_data;
static char request[8192];

int genl_connect(void *socket) { return 0; }
int genl_ctrl_resolve(void *socket, const char *name) { return 30; }
int nl_wait_for_ack(void *socket) { return 0; }

int nl_socket_modify_cb(void *socket, int type, int kind, callback function, void *data) {
	on_valid = function;
	on_valid_data = data;
	return 0;
}

int nl_send_auto_complete(void *socket, struct nl_msg *message) {
	struct nlmsghdr *header = nlmsg_hdr(message);
	unsigned char *bytes = (unsigned char *)header;
	int at = sprintf(request, "%u ", ((struct genlmsghdr *)(header + 1))->cmd);
	if (header->len == HEADERS) strcpy(request + at, "-");
	for (unsigned i = HEADERS; i < header->len; i++) at += sprintf(request + at, "%02x", bytes[i]);
	fprintf(stderr, "[nl %s]\n", request);
	return header->len;
}

static void answer(unsigned command, const char *hex) {
	static unsigned char bytes[65536];
	unsigned length = HEADERS;
	memset(bytes, 0, HEADERS);
	for (; *hex != '-' && hex[0] && hex[1]; hex += 2) sscanf(hex, "%2hhx", &bytes[length++]);
	struct nlmsghdr *header = (struct nlmsghdr *)bytes;
	header->len = length;
	header->type = 30;
	struct genlmsghdr *generic = (struct genlmsghdr *)(header + 1);
	generic->cmd = command;
	generic->version = 1;
	struct nl_msg *message = nlmsg_convert(header);
	on_valid(message, on_valid_data);
	nlmsg_free(message);
}

int nl_recvmsgs_default(void *socket) {
	static char line[200000], wanted[8192], payload[131072], key[8192 + 16];
	const char *path = getenv("IPVSADM_ANSWERS");
	FILE *file = path ? fopen(path, "r") : NULL;
	if (!file) return 0;
	while (fgets(line, sizeof line, file)) {
		unsigned asked, command;
		if (sscanf(line, "%u %8100s %u %131000s", &asked, wanted, &command, payload) != 4) continue;
		snprintf(key, sizeof key, "%u %s", asked, wanted);
		if (strcmp(key, request) == 0) answer(command, payload);
	}
	fclose(file);
	return 0;
}

FILE *fopen(const char *path, const char *mode) {
	FILE *(*real)(const char *, const char *) = (FILE * (*)(const char *, const char *)) dlsym(RTLD_NEXT, "fopen");
	const char *table = getenv("IPVSADM_CONNECTIONS");
	return real(table && strcmp(path, "/proc/net/ip_vs_conn") == 0 ? table : path, mode);
}
