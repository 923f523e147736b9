/* Prints what fer-edge tells of each frame: one line of JSON each, from the socket of `--sink unix:PATH`.
 *
 *     cc -O2 -Wall -o client client.c && ./client /run/fer-edge/results.sock
 *
 * It ends with 0 when fer-edge does, and with 1 where it cannot connect or read. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int main(int argc, char **argv) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (argc != 2 || strlen(argv[1]) >= sizeof address.sun_path) {
        fprintf(stderr, "usage: client SOCKET, a path of at most %zu bytes\n", sizeof address.sun_path - 1);
        return 2;
    }
    strcpy(address.sun_path, argv[1]);
    int connection = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connection < 0 || connect(connection, (struct sockaddr *)&address, sizeof address) != 0) {
        perror(argv[1]);
        return 1;
    }
    FILE *records = fdopen(connection, "r");
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    while (records && (length = getline(&line, &room, records)) > 0 && line[length - 1] == '\n') {
        fputs(line, stdout); /* here goes what your firmware does: line is one JSON object and ends with \n */
        fflush(stdout);
    }
    int failed = !records || ferror(records);
    free(line);
    return failed;
}
