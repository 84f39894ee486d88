"""Training: one loop on Accelerate for every model of facegen; it knows no feature. Rooms give it a `Task`."""
