"""What becomes of requests, a module for each family of them."""
