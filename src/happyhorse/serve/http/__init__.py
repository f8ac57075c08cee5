"""The door: three dialects, each a mapping to one `Order`; who may come in; what is let in; what comes out."""
