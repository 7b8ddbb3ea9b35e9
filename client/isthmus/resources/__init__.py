"""The API's resources, each for both clients; the requests are built once."""
