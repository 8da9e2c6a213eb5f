# Writes images.cpp: every file of FILES (NAME.ptx80, NAME.sm86 ...) as bytes in the addon, with a line in the manifest of
# images.h. STRIP drops the lines of source from PTX. Called by cuda.cmake with FILES, OUT, TOOLKIT and STRIP.
cmake_minimum_required(VERSION 3.20)
string(REPLACE " " ";" FILES "${FILES}")
get_filename_component(FOLDER ${OUT} DIRECTORY)
file(MAKE_DIRECTORY ${FOLDER})
set(BYTES "")
set(ROWS "")
set(COUNT 0)
foreach(file IN LISTS FILES)
  get_filename_component(base ${file} NAME)
  string(REGEX MATCH "^(.*)\\.(ptx|sm)([0-9]+)$" matched ${base})
  set(module ${CMAKE_MATCH_1})
  set(kind ${CMAKE_MATCH_2})
  set(sm ${CMAKE_MATCH_3})
  if(kind STREQUAL "ptx" AND STRIP)
    file(READ ${file} text)
    string(REGEX REPLACE "\n[ \t]*(\\.(loc|file)[ \t]|//)[^\n]*" "" text "${text}")
    set(file ${file}.stripped)
    file(WRITE ${file} "${text}")
  endif()
  string(APPEND BYTES
    "__asm__(\".section .rodata.images,\\\"a\\\"\\n.balign 64\\ngramian_image_${COUNT}:\\n.incbin \\\"${file}\\\"\\n"
    "gramian_image_end_${COUNT}:\\n.byte 0\\n.previous\");\n"
    "extern \"C\" const unsigned char gramian_image_${COUNT}[], gramian_image_end_${COUNT}[];\n")
  file(SIZE ${file} size)
  set(ptx false)
  if(kind STREQUAL "ptx")
    set(ptx true)
  endif()
  string(APPEND ROWS "    {\"${module}\", ${sm}, ${ptx}, gramian_image_${COUNT}, ${size}},\n")
  math(EXPR COUNT "${COUNT} + 1")
endforeach()
if(COUNT EQUAL 0)
  set(ROWS "    {nullptr, 0, false, nullptr, 0},\n")
endif()
file(WRITE ${OUT}
  "// Written by native/cuda/embed.cmake.\n#include \"cuda/images.h\"\n\n${BYTES}\nnamespace gramian::cuda {\n\n"
  "const Image kImages[] = {\n${ROWS}};\nconst size_t kImageCount = ${COUNT};\n"
  "const char* const kToolkit = \"${TOOLKIT}\";\n\n}  // namespace gramian::cuda\n")
