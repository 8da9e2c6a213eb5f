# A cubin from PTX whose lines of source are dropped first, as a package has no use for them. Fails when a kernel spills
# registers or has a stack frame. Called by cuda.cmake with PTX, SM, OUT and PTXAS.
cmake_minimum_required(VERSION 3.20)
file(READ ${PTX} TEXT)
string(REGEX REPLACE "\n[ \t]*\\.(loc|file)[ \t][^\n]*" "" TEXT "${TEXT}")
file(WRITE ${OUT}.ptx "${TEXT}")
execute_process(
  COMMAND ${PTXAS} -O3 -arch=sm_${SM} -warn-spills -warn-lmem-usage -Werror ${OUT}.ptx -o ${OUT}
  RESULT_VARIABLE FAILED ERROR_VARIABLE MESSAGE)
file(REMOVE ${OUT}.ptx)
if(FAILED)
  message(FATAL_ERROR "ptxas sm_${SM}: ${MESSAGE}")
endif()
