// verify.hpp: the deep check of a file: every checksum and every invariant of format.hpp.
#pragma once

#include "format/reader.hpp"

LEARNANN_BEGIN

Status verify_file(const FileView &view, const Allocator &allocator, learnann_error *error);

LEARNANN_END
