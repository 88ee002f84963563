# few.sh, to be sourced: which API tests run where all of them would take too long. They cover every kernel, the golden files and sizes.
# API=PATTERNS runs others, API='*' all.
few="golden*,keys*,very few rows,queries of any*,signed bytes*,F1*,single*,files too large*,the most rows*"

# These take two thirds of the time of all; where tests run at full speed they alone are left out.
slow="*allocator*,*any number of threads*,every metric*,every row of*,rows of four bits*,learnann_build_bytes*,full effort*,progress: each*"

# files_with PATTERNS FILES...: those that hold such a test, and the one with main().
files_with() {
    local names=${1//\*/[^\"]*}
    grep -lEi "TEST_CASE\\(\"(${names//,/|})\"|WITH_MAIN|IMPLEMENT" "${@:2}"
}
