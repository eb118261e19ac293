"""TFLite files in int8 whose answers stay those of the float network, from a few hundred faces.

Rounding every number on its own loses years. Here the layers are rounded in their order, each with
the errors of those before it in sight (`reconstruct`), on a graph whose ops int8 kernels run whole
(`export.passes`). ai-edge-quantizer writes the file (`writer`), and `slim` drops what no phone
reads.
"""
