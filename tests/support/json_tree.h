/* Compares what jansson read with a protobuf-c message. */
#ifndef TESTS_SUPPORT_JSON_TREE_H
#define TESTS_SUPPORT_JSON_TREE_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

#include "runtime/base/base.h"

/* Has the object exactly the fields that are present in the message, with their values? */
bool json_tree_is(const json_t *tree, const ProtobufCMessage *message);

#endif
