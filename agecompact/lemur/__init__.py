"""Networks for LEMUR, the neural network dataset (PyPI `nn-dataset`).

`adapter` connects a network to LEMUR's interface, `standalone` joins modules into one text, and
`module` writes the file that LEMUR imports.
"""
