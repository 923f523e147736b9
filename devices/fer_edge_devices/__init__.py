"""What a device is and how it does: board, processor, temperatures, clocks, throttling, power and energy."""
