"""Parameters as Keras and the papers of these networks count them."""

from agecompact.models import complexity
from agecompact.weights.importers import Imported


def keras_count(imported: Imported) -> int:
    """All values of the network's layers, BN statistics included."""
    network = imported.network
    return complexity.parameters(network) + complexity.bn_statistics(network)
