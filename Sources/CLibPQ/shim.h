// The only door to C in this package. Everything Swift calls from libpq comes through this header, and only
// Sources/ALDCore/Postgres/LibPQ imports it (the tidy test enforces that).
#ifndef ALD_CLIBPQ_SHIM_H
#define ALD_CLIBPQ_SHIM_H

#include <libpq-fe.h>

#endif
