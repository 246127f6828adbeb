/* What S4 itself never asks ZooKeeper for: entries written past it. Each is a session of its own;
 * a failure fails the test.
 */
#ifndef TESTS_SUPPORT_ZOO_RAW_H
#define TESTS_SUPPORT_ZOO_RAW_H

#include <stddef.h>

enum { ZOO_RAW_READ = 1, ZOO_RAW_WRITE = 2, ZOO_RAW_CREATE = 4 }; /* ORed: what anyone may do */

void zoo_raw_create(const char *hosts, const char *path, int permissions);
void zoo_raw_set(const char *hosts, const char *path, const char *text);
void zoo_raw_check(const char *hosts, const char *path, const char *text); /* that it is this */

#endif
