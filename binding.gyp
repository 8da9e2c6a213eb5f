# A thin shim for tools that know only node-gyp: the one target compiles nothing and runs the CMake build.
# CMakeLists.txt is the only build description. CMake gets a folder of its own because node-gyp writes a Makefile into
# build/. This file is never published: npm would run node-gyp for it on every user's machine.
{
  "targets": [
    {
      "target_name": "gramian_cmake",
      "type": "none",
      "actions": [
        {
          "action_name": "cmake",
          "inputs": ["CMakeLists.txt"],
          "outputs": ["<(INTERMEDIATE_DIR)/always"],
          "action": ["node", "scripts/build-native.mjs", "--out", "build/cmake", "CMAKE_LIBRARY_OUTPUT_DIRECTORY=../Release"],
          "message": "Building with CMake"
        }
      ]
    }
  ]
}
