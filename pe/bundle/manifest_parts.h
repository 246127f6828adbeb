/* What the files of the manifest share: the tables of the maps that are named by the code. */
#ifndef PE_BUNDLE_MANIFEST_PARTS_H
#define PE_BUNDLE_MANIFEST_PARTS_H

#include "pe/bundle/settings.h"

extern const struct setting manifest_prototype_settings[];
setting_read manifest_app_parameters;

#endif
