# few.sh, to be sourced: which API tests run where all of them would take too long. They cover every kernel, the golden files and sizes.
# API=PATTERNS runs others, API='*' all.
few="golden*,keys*,very few rows,queries of any*,signed bytes*,F1*,single*,files too large*,the most rows*"

# Of some files those that hold such a test, and the one with main(); all where API is set.
files_of_few() {
    if [ "${API:-}" ]; then printf '%s\n' "$@"; else grep -lE "TEST_CASE\\(\"($(tr -d '*' <<<"$few" | tr , '|'))|WITH_MAIN|IMPLEMENT" "$@"; fi
}
