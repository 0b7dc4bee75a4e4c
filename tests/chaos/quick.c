/* quick JOURNAL LINES CODE...: what stage.py does in its plainest form, in the time that a program takes that ends at
   once. The exit code of each attempt is its CODE, the last one holds for the rest. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

static int journal;

static void note(const char *what, const char *more)
{
    struct timespec now;
    char line[500];
    clock_gettime(CLOCK_MONOTONIC, &now);
    int length = snprintf(line, sizeof line,
        "{\"what\": \"%s\", \"job\": %s, \"stage\": \"%s\", \"attempt\": %s, \"pid\": %d, \"t\": %lld.%09ld%s}\n", what,
        getenv("LABSCHED_JOB"), getenv("LABSCHED_STAGE"), getenv("LABSCHED_ATTEMPT"), getpid(), (long long)now.tv_sec,
        now.tv_nsec, more);
    if (write(journal, line, length) != length)
        _exit(99);
}

int main(int argc, char **argv)
{
    char text[4096];
    if (argc < 4 || !getenv("LABSCHED_JOB") || !getenv("LABSCHED_STAGE") || !getenv("LABSCHED_ATTEMPT"))
        return 2;
    int attempt = atoi(getenv("LABSCHED_ATTEMPT")), last = argc - 4;
    const char *code = argv[3 + (attempt - 1 < last ? attempt - 1 : last)];
    journal = open(argv[1], O_WRONLY | O_APPEND | O_CREAT, 0600);
    note("begin", "");
    snprintf(text, sizeof text, "%s.%s.%s", argv[1], getenv("LABSCHED_JOB"), getenv("LABSCHED_STAGE"));
    int guard = open(text, O_RDWR | O_CREAT, 0600);
    if (flock(guard, LOCK_EX | LOCK_NB) != 0)
        note("ghost", "");
    for (int number = 0; number < atoi(argv[2]); number++) {
        int length = snprintf(text, sizeof text, "%s %s %d %d\n", getenv("LABSCHED_JOB"), getenv("LABSCHED_STAGE"),
            attempt, number);
        for (int done = 0, more; done < length; done += more)
            if ((more = write(1, text + done, length - done)) < 0) {
                more = 0; /* a full disk: as soon as there is room */
                usleep(50000);
            }
        snprintf(text, sizeof text, ", \"lines\": %d", number + 1);
        note("tick", text);
    }
    snprintf(text, sizeof text, ", \"code\": %s", code);
    note("end", text);
    _exit(atoi(code));
}
