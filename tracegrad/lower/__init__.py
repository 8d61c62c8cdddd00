"""From a graph of array equations to a kernel of the loop language."""
