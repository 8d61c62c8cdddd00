"""The graph IR: types with symbolic shapes, primitives, equations, printer."""
