#!/bin/sh
# build.sh OUT: builds agecompact-bench with the fake Core ML of this folder and only swiftc, and checks
# the types of the tests that run on Apple's systems only.
set -eu
out=$1
here=$(cd "$(dirname "$0")" && pwd)
package=$(cd "$here/../../../ios_bench/AgecompactBench" && pwd)
mkdir -p "$out"
cd "$out"
module() {
  name=$1
  shift
  swiftc -swift-version 5 -parse-as-library -wmo -enable-testing -I . -module-name "$name" \
    -emit-module -emit-module-path "$name.swiftmodule" -emit-object -o "$name.o" "$@"
}
for name in Darwin CoreVideo CoreML; do
  module "$name" "$here/$name.swift"
done
module BenchCore "$package"/Sources/BenchCore/*.swift
module BenchCoreML "$package"/Sources/BenchCoreML/*.swift
swiftc -swift-version 5 -parse-as-library -typecheck -I . -module-name BenchPerformanceTests \
  "$here/XCTMetrics.swift" "$package"/Tests/BenchPerformanceTests/*.swift
swiftc -swift-version 5 -I . -module-name agecompact_bench -o agecompact-bench \
  "$package"/Sources/agecompact-bench/main.swift ./*.o
