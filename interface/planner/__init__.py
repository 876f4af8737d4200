"""A service that plans: jobs over HTTP, a store that several workers share, solves in processes of their own."""
