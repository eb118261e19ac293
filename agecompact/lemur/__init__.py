"""Networks for LEMUR, the neural network dataset (PyPI `nn-dataset`).

`adapter` is what stands between LEMUR and a network, `flatten` cuts definitions out of our sources,
`module` puts both into one file.
"""
