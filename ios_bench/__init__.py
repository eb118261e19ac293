"""The drivers for Core ML: what a package costs on a Mac, an iPhone or an iPad.

`AgecompactBench/` is the Swift package that measures, `AgecompactApp/` the app that runs it on a
device. The modules here start them (`mac`, `devices`) and check that the record they return is of
the package that was built.
"""
