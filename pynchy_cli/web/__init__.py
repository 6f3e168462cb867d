"""The HTTP interface: doors, who may do what, what is answered. What speaks HTTP itself (aiohttp)
is loaded when somebody first calls."""
