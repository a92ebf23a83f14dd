"""HSC-JIT v3, the Support Center for music gear: entry points. The domain is in `app.core`."""
