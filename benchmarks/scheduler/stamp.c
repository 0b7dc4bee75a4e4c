/* stamp FILE [SECONDS]: appends, in one write, when it began (monotonic, then wall time) and when it was about to
   end (monotonic), in ns. What begins is main(): the program is linked statically, so nothing much runs before. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static long long ns(struct timespec t) { return t.tv_sec * 1000000000LL + t.tv_nsec; }

int main(int argc, char **argv)
{
    struct timespec began, wall, ended;
    clock_gettime(CLOCK_MONOTONIC, &began);
    clock_gettime(CLOCK_REALTIME, &wall);
    if (argc < 2)
        return 2;
    if (argc > 2) {
        double s = atof(argv[2]);
        struct timespec pause = {(time_t)s, (long)((s - (time_t)s) * 1e9)};
        nanosleep(&pause, NULL);
    }
    int file = open(argv[1], O_WRONLY | O_APPEND);
    if (file < 0)
        return 1;
    char line[100];
    clock_gettime(CLOCK_MONOTONIC, &ended);
    int length = snprintf(line, sizeof line, "%lld %lld %lld\n", ns(began), ns(wall), ns(ended));
    return write(file, line, length) != length;
}
