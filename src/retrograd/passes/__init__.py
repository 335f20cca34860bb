"""From a Graph to kernels: which loops there are, what each computes, where its results lie."""
