"""The stop beside `android_bench`: what a Core ML package costs on a Mac, an iPhone or an iPad.

`AgecompactBench/` is the Swift package that measures, `AgecompactApp/` the app that carries it onto
a device; the modules here drive them (`mac`, `devices`) and hold what they tell to what was built.
"""
