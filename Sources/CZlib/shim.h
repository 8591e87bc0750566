// What Swift calls from zlib comes through this header, and only Sources/ALDCore/Observability imports it (the tidy
// test enforces that).
#ifndef ALD_CZLIB_SHIM_H
#define ALD_CZLIB_SHIM_H

#include <zlib.h>

// On some systems a macro with the name of a 64-bit variant, which Swift would not see.
static inline gzFile ald_gzopen(const char *path, const char *mode) { return gzopen(path, mode); }

#endif
