# The device code of native/cuda/kernels/*.cu: PTX by nvcc, cubins by ptxas from that PTX, all packed into a generated
# images.cpp (scripts/pack-cuda-images.mjs). Included by CMakeLists.txt; sets CUDA_IMAGE_SOURCE. Without nvcc the list of images is empty.
# The rule easy to break: a cubin comes from the newest PTX of the list that its architecture can take, which is also what the
# gate of registers and stack (scripts/check-cuda.mjs) looks at.
set(GRAMIAN_CUDA AUTO CACHE STRING "AUTO: CUDA kernels if nvcc is found; ON: an error without nvcc; OFF: none")
set(GRAMIAN_CUDA_IMAGES full CACHE STRING "full: every architecture, for packages; short: PTX and one cubin, for development")
set_property(CACHE GRAMIAN_CUDA PROPERTY STRINGS AUTO ON OFF)

set(NVCC "")
if(NOT GRAMIAN_CUDA STREQUAL "OFF")
  find_program(NVCC_PROGRAM nvcc)
  find_program(PTXAS_PROGRAM ptxas)
  if(NVCC_PROGRAM AND PTXAS_PROGRAM)
    set(NVCC ${NVCC_PROGRAM})
  elseif(GRAMIAN_CUDA STREQUAL "ON")
    message(FATAL_ERROR "GRAMIAN_CUDA is ON, but nvcc and ptxas are not on PATH")
  endif()
endif()

set(CUDA_FOLDER ${CMAKE_BINARY_DIR}/cuda)
set(CUDA_IMAGE_SOURCE ${CUDA_FOLDER}/images.cpp)
set(CUDA_IMAGE_FILES "")
set(CUDA_TOOLKIT "")
if(NVCC)
  execute_process(COMMAND ${NVCC} --version OUTPUT_VARIABLE CUDA_VERSION_TEXT)
  string(REGEX REPLACE ".*release ([0-9]+\\.[0-9]+).*" "\\1" CUDA_TOOLKIT "${CUDA_VERSION_TEXT}")
  if(GRAMIAN_CUDA_IMAGES STREQUAL "full")
    set(CUDA_PTX 75 80 90 120)
    set(CUDA_CUBINS 75:75 80:80 80:86 80:89 90:90 120:120)
  else()
    set(CUDA_PTX 75 80 120)
    set(CUDA_CUBINS 80:86)
  endif()
  file(GLOB CUDA_SOURCES CONFIGURE_DEPENDS native/cuda/kernels/*.cu)
  foreach(source IN LISTS CUDA_SOURCES)
    get_filename_component(name ${source} NAME_WE)
    foreach(sm IN LISTS CUDA_PTX)
      # Lines of the source for whoever looks at a finding; packing drops them from a full list.
      set(ptx ${CUDA_FOLDER}/${name}.ptx${sm})
      add_custom_command(
        OUTPUT ${ptx} DEPENDS ${source} DEPFILE ${ptx}.d VERBATIM
        COMMAND ${NVCC} -ptx -O3 -std=c++17 -lineinfo -arch=compute_${sm} -MD -MF ${ptx}.d -o ${ptx} ${source}
        COMMENT "nvcc ${name} compute_${sm}")
      list(APPEND CUDA_IMAGE_FILES ${ptx})
    endforeach()
    foreach(pair IN LISTS CUDA_CUBINS)
      string(REPLACE ":" ";" pair ${pair})
      list(GET pair 0 from)
      list(GET pair 1 sm)
      set(cubin ${CUDA_FOLDER}/${name}.sm${sm})
      add_custom_command(
        OUTPUT ${cubin} DEPENDS ${CUDA_FOLDER}/${name}.ptx${from} ${CMAKE_SOURCE_DIR}/native/cuda/cubin.cmake VERBATIM
        COMMAND ${CMAKE_COMMAND} -DPTX=${CUDA_FOLDER}/${name}.ptx${from} -DSM=${sm} -DOUT=${cubin} -DPTXAS=${PTXAS_PROGRAM}
                -P ${CMAKE_SOURCE_DIR}/native/cuda/cubin.cmake
        COMMENT "ptxas ${name} sm_${sm}")
      list(APPEND CUDA_IMAGE_FILES ${cubin})
    endforeach()
  endforeach()
endif()

add_custom_command(
  OUTPUT ${CUDA_IMAGE_SOURCE} BYPRODUCTS ${CUDA_FOLDER}/images.br
  DEPENDS ${CUDA_IMAGE_FILES} ${CMAKE_SOURCE_DIR}/scripts/pack-cuda-images.mjs VERBATIM
  COMMAND ${CMAKE_COMMAND} -E make_directory ${CUDA_FOLDER}
  COMMAND ${NODE_PROGRAM} ${CMAKE_SOURCE_DIR}/scripts/pack-cuda-images.mjs ${CUDA_IMAGE_SOURCE} "${CUDA_TOOLKIT}"
          ${GRAMIAN_CUDA_IMAGES} ${CUDA_IMAGE_FILES}
  COMMENT "packing CUDA images")
# The assembler reads the images behind the compiler's back.
set_source_files_properties(${CUDA_IMAGE_SOURCE} PROPERTIES OBJECT_DEPENDS "${CUDA_IMAGE_FILES}")
