/* The checking program of the tests, which are programs of their own. */
#include "pe/host/plugin.h"

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], PLUGIN_CHECKER_FLAG) == 0)
        return plugin_checker_main(argc, argv);
    return 2;
}
