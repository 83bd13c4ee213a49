#!/bin/sh
# Licensed under the Apache License, Version 2.0; see LICENSE.
#
# lua-header.sh FILE.lua...: a C header with each script as a string literal,
# rlx_lua_<name>, without comments, blank lines and indents.
set -eu
echo '/* Made by build-aux/lua-header.sh from src/store/lua; do not edit. */'
for file; do
    name=$(basename "$file" .lua)
    echo "#define rlx_lua_$name \\"
    sed -e 's/^ *//' -e '/^--/d' -e 's/ -- .*//' -e '/^$/d' \
        -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/.*/    "&\\n" \\/' "$file"
    echo '    ""'
done
